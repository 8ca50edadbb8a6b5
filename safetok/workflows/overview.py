"""What one look at everything finds: certificates at agencies, what is due, and the whole of it, each as scripts read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from safetok.domain.agencies import Standing
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.validity import Validity
from safetok.errors import (
    CertificateRevoked,
    ExitStatus,
    NotChecked,
    PinRefused,
    RegistrationsOpen,
    SafetokError,
    SomethingDue,
)
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.domain.agencies import Registration
    from safetok.domain.certificates import Certificate
    from safetok.domain.renewal import Renewal
    from safetok.domain.tokens import DriverFailure, Reading
    from safetok.workflows.adopt import Appeared
    from safetok.workflows.tokens import TokenView


_TIMER = ("agency", "mst", "cert", "updated_at", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationView:
    """One certificate at one agency, with the agency's title, the company's name and where it stands now."""

    registration: Registration
    title: str
    name: str
    standing: Standing
    parts: tuple[tuple[str, str], ...] = ()  # the agency's services that are updated one by one: short name and title

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        row = self.registration
        return {
            "agency": row.agency,
            "mst": row.mst,
            "cert": row.certificate,
            "state": self.standing,
            "updated_at": row.updated_at,
            "until": row.until,
            "title": self.title,
            "name": self.name,
            "reason": row.reason,
            "parts": [{"part": part, "updated_at": at} for part, at in row.parts],
        }


def not_opened_data(certificates: Iterable[Certificate]) -> list[dict[str, Any]]:
    """Certificates whose list of agencies was not opened, as scripts read them."""
    return [{"cert": one.serial, "mst": one.mst, "name": one.subject_name} for one in certificates]


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One thing to do: a stable code, one sentence, the command that does it or tells more, and what `--check` ends with.

    `name` is whom it is about and `mst` which company that is, `remark` what is said beside it of every one of its kind.
    """

    code: str
    text: str
    command: str
    exit_status: ExitStatus = ExitStatus.DUE
    token: str | None = None
    cert: str | None = None
    name: str = ""
    mst: str | None = None
    remark: str = ""

    @property
    def whole(self) -> str:
        """The sentence and its remark."""
        return f"{self.text} {self.remark}".rstrip()

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "code": self.code,
            "message": self.whole,
            "command": self.command,
            "token": self.token,
            "cert": self.cert,
        }

    def error(self) -> SafetokError:
        """As `--check` reports it."""
        kinds: dict[ExitStatus, type[SafetokError]] = {
            ExitStatus.REVOKED: CertificateRevoked,
            ExitStatus.PIN_LOCKED: PinRefused,
            ExitStatus.REGISTRATIONS_OPEN: RegistrationsOpen,
        }
        kind = kinds.get(self.exit_status, SomethingDue)
        return kind(self.whole, code=self.code, hint=f"`{self.command}`" if self.command else "", token=self.token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything `status` shows, and what could not be looked at (`problems`). `names` are companies by certificate serial."""

    now: datetime
    reading: Reading
    tokens: tuple[TokenView, ...]
    registrations: tuple[RegistrationView, ...]
    appeared: tuple[Appeared, ...]
    unfinished: tuple[Renewal, ...]
    under_way: frozenset[str] = frozenset()  # the ids of those that another run is at work on
    names: Mapping[str, str]
    problems: tuple[SafetokError, ...]
    due: tuple[Due, ...] = field(default=())
    not_opened: tuple[Certificate, ...] = ()  # a person said not to open their lists of agencies
    token_came: str = ""  # the command for the one token that is in, where it holds no certificate

    @property
    def timers(self) -> tuple[RegistrationView, ...]:
        """The 24 hours that are running."""
        return tuple(view for view in self.registrations if view.standing == "waiting")

    @property
    def failed(self) -> tuple[DriverFailure, ...]:
        return self.reading.failed

    def checked(self) -> list[SafetokError]:
        """What `--check` finds, beside `problems`: everything due, and certificates whose revocation could not be checked."""
        found = [one.error() for one in self.due]
        for token in self.tokens:
            for view in token.certificates:
                known = view.revocation
                if view.state is Validity.EXPIRED or not view.current or known is None:
                    continue  # nobody answers for an expired one; one never asked about says so itself
                if known.answer is RevocationAnswer.UNKNOWN:
                    text = _("The revocation of {serial} could not be checked ({why}); do not take it as good.")
                    found.append(
                        NotChecked(
                            text.format(serial=view.certificate.serial, why=known.reason), token=token.info.serial
                        )
                    )
        return found

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "tokens": [token.data() for token in self.tokens],
            "registrations": [view.data() for view in self.registrations],
            "timers": [{key: value for key, value in view.data().items() if key in _TIMER} for view in self.timers],
            "drivers_failed": [
                {"driver": failure.driver, "code": failure.code, "detail": failure.detail} for failure in self.failed
            ],
            "due": [one.data() for one in self.due],
            "new_certificates": [
                {
                    "cert": one.new.serial,
                    "replaces": one.old.serial,
                    "mst": one.new.mst,
                    "token": one.token_serial,
                    "asked": one.asked,
                    "seen_at": one.seen_at,
                }
                for one in self.appeared
            ],
            "not_opened": not_opened_data(self.not_opened),
            "renewals": [
                {
                    "renewal_id": renewal.id,
                    "token": renewal.token_serial,
                    "old_serial": renewal.old_serial,
                    "mst": renewal.mst,
                    "state": renewal.state,
                    "hold": renewal.hold,
                    "check_after": renewal.check_after,
                    "updated_at": renewal.updated_at,
                }
                for renewal in self.unfinished
            ],
        }
