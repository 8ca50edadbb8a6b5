"""Every failure a user can meet: a stable code, an exit status, one sentence in the user's language and the next step."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar


class ExitStatus(IntEnum):
    """What the process returns to a script; README's table is checked against this one."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    NO_TOKEN = 3
    SEVERAL_TOKENS = 4
    PIN_WRONG = 5
    PIN_LOCKED = 6
    CA_REFUSED = 7
    CA_UNREACHABLE = 8
    CA_WAIT = 9
    NOT_TRUSTED = 10
    ACT = 11
    PARTLY = 12
    REVOKED = 13
    DUE = 14
    REGISTRATIONS_OPEN = 15
    HELD = 16
    DRIVER_FAILED = 17
    NOT_CHECKED = 18
    INTERRUPTED = 130


class SafetokError(Exception):
    """A failure with everything its reader needs.

    `message` is one clear sentence, `hint` the next step, both already in the user's language. `token` is the serial of the
    token it is about. `data` goes into the envelope's `data` (the contract end that was not confirmed, for one).
    `code` names the failure to scripts; it never changes once published.
    """

    exit_status: ClassVar[ExitStatus] = ExitStatus.UNEXPECTED
    default_code: ClassVar[str] = "unexpected"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str = "",
        token: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.token = token
        self.data = data or {}
        self.remark = ""  # what else the reader should know, set where the run ends

    def add_hint(self, text: str) -> None:
        """Say one more thing of the next step, apart from what stands there: that may end with a command to be copied."""
        self.hint = f"{self.hint.rstrip('.')}. {text}" if self.hint else text


class Unexpected(SafetokError):
    """Something safetok did not foresee (1)."""


class UsageError(SafetokError):
    """The command line, a file it names, or a setting cannot be used as given (2)."""

    exit_status = ExitStatus.USAGE
    default_code = "usage"


class NoToken(SafetokError):
    """No token is in, or not the one that is needed (3)."""

    exit_status = ExitStatus.NO_TOKEN
    default_code = "no_token"


class SeveralTokens(SafetokError):
    """More than one token or certificate fits and none was chosen (4)."""

    exit_status = ExitStatus.SEVERAL_TOKENS
    default_code = "several_tokens"


class PinWrong(SafetokError):
    """The token refused the PIN: one try is spent (5)."""

    exit_status = ExitStatus.PIN_WRONG
    default_code = "pin_wrong"


class PinRefused(SafetokError):
    """The PIN is locked, or safetok refuses the try so that it does not become so (6)."""

    exit_status = ExitStatus.PIN_LOCKED
    default_code = "pin_locked"


class CaRefused(SafetokError):
    """The CA answered no, under its own signature (7)."""

    exit_status = ExitStatus.CA_REFUSED
    default_code = "ca_refused"


class CaUnreachable(SafetokError):
    """No usable answer of the CA: not connected, timed out, or not the CA's words (8).

    `went_out` is False only where nothing of the question was ever sent: the CA cannot have had it.
    """

    went_out: bool = True
    exit_status = ExitStatus.CA_UNREACHABLE
    default_code = "ca_unreachable"


class NoAnswer(CaUnreachable):
    """What came is not rightly an answer of the CA: unreadable, unprotected, a stranger's, not to our question (8).

    Nothing follows from it: what was asked stays asked, and the same bytes are sent again later.
    """

    default_code = "no_answer"


class CaWait(SafetokError):
    """The CA asks to come back later (9)."""

    exit_status = ExitStatus.CA_WAIT
    default_code = "ca_wait"


class NotTrusted(SafetokError):
    """The CA's answer is not to be believed, or could not be written; the old state is kept (10)."""

    exit_status = ExitStatus.NOT_TRUSTED
    default_code = "not_trusted"


class PersonNeeded(SafetokError):
    """A person must do something first; the message says what (11)."""

    exit_status = ExitStatus.ACT
    default_code = "person_needed"


class CertificateRevoked(SafetokError):
    """The certificate is revoked or suspended (13)."""

    exit_status = ExitStatus.REVOKED
    default_code = "certificate_revoked"


class SomethingDue(SafetokError):
    """Something is due, where `--check` asked (14)."""

    exit_status = ExitStatus.DUE
    default_code = "due"


class RegistrationsOpen(SafetokError):
    """Agencies have not learnt a new certificate yet, where `--check` asked (15)."""

    exit_status = ExitStatus.REGISTRATIONS_OPEN
    default_code = "registrations_open"


class TokenHeld(SafetokError):
    """Another run holds this token (16)."""

    exit_status = ExitStatus.HELD
    default_code = "token_held"


class DriverFailed(SafetokError):
    """A driver crashed, hung, or answered nonsense (17)."""

    exit_status = ExitStatus.DRIVER_FAILED
    default_code = "driver_failed"


class NotChecked(SafetokError):
    """A check could not be made; nothing is concluded from that (18)."""

    exit_status = ExitStatus.NOT_CHECKED
    default_code = "not_checked"


class Interrupted(SafetokError):
    """The user stopped it (130)."""

    exit_status = ExitStatus.INTERRUPTED
    default_code = "interrupted"


SEVERAL_AT_ONCE = (
    ExitStatus.PARTLY,
    ExitStatus.REVOKED,
    ExitStatus.PIN_LOCKED,
    ExitStatus.DRIVER_FAILED,
    ExitStatus.DUE,
    ExitStatus.REGISTRATIONS_OPEN,
    ExitStatus.NOT_CHECKED,
)


def first_that_holds(statuses: set[ExitStatus]) -> ExitStatus:
    """The exit status when several reasons hold at once: the first in the contract's order, else the smallest, else done."""
    for status in SEVERAL_AT_ONCE:
        if status in statuses:
            return status
    return min(statuses, default=ExitStatus.DONE)
