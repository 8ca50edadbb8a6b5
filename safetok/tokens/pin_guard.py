"""The one way to a login: it counts every try before it is made, and refuses the one that could lock the token."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from safetok.domain.times import Clock
from safetok.domain.tokens import PinState, TokenInfo
from safetok.errors import DriverFailed, NoToken, PersonNeeded, PinRefused, PinWrong, SafetokError, UsageError
from safetok.locale import _
from safetok.tokens.failures import wrong_pin

if TYPE_CHECKING:
    from safetok.store.pins import Outcome, PinLog

_Result = TypeVar("_Result")
NO_ANSWER = {"token_removed", "crashed", "timed_out"}  # codes of a login that nobody answered
_NO_TRY = {"pin_expired", "pin_not_set", "pin_cancelled", "new_pin_refused"}  # codes of what finds no PIN wrong
_OF_THE_DEVICE = {
    "DEVICE_ERROR",
    "DEVICE_MEMORY",
    "HOST_MEMORY",
    "SESSION_CLOSED",
    "SLOT_ID_INVALID",
}


class _Door(Protocol):
    """What of a session a guard needs; `tokens.sessions.Session` in the program."""

    serial: str
    reauthenticate: Callable[[Callable[[], bytes]], bytes]

    @property
    def info(self) -> TokenInfo: ...
    def login(self, pin: str | None) -> None: ...
    def change_pin(self, old: str | None, new: str | None) -> None: ...


class PinGuard:
    """Counts by token, whatever driver shows it. `tries_assumed`: how many wrong tries lock a token, where nothing is known;
    `unlock`: what to do about a locked PIN, told with the refusal.
    """

    def __init__(
        self,
        pin_log: PinLog,
        clock: Clock,
        *,
        tries_assumed: int = 3,
        force_last_try: bool = False,
        unlock: str = "",
    ) -> None:
        self._log, self._clock, self._tries, self._force = pin_log, clock, tries_assumed, force_last_try
        self._unlock = unlock

    def check(self, info: TokenInfo) -> None:
        """Raise PinRefused when the PIN is locked, or when the next wrong one could lock it (`last_try`; not with
        `force_last_try`). COUNT_LOW refuses nothing: it says only that something went wrong before.
        """
        if info.pin_state is PinState.LOCKED:
            raise self._locked(info.serial)
        if self._force:
            return
        if info.pin_state is PinState.FINAL_TRY or self._log.count(info.serial) >= self._tries - 1:
            raise PinRefused(
                _("THERE MAY BE ONLY ONE TRY LEFT. One more wrong PIN locks the USB token. safetok stops here."),
                code="last_try",
                hint=_("Ask the person who holds the PIN. Whoever is certain of it adds --force-last-try."),
                token=info.serial,
            )

    def _locked(self, serial: str) -> PinRefused:
        return PinRefused(
            _("The PIN of the USB token is locked. Token ID {serial}.").format(serial=serial),
            hint=self._unlock,
            token=serial,
        )

    def login(self, session: _Door, pin: str | None, *, purpose: str = "login") -> None:
        """Check, commit the attempt, log in, commit the outcome. `pin` None: the token's own PIN pad asks.

        Raises PinRefused, PinWrong, UsageError (`pin_refused_locally`: nothing was sent), PersonNeeded (`pin_cancelled`),
        DriverFailed.
        """
        info = session.info
        refuse_locally(info, pin)
        self.check(info)

        def sign(signature: Callable[[], bytes]) -> bytes:
            return self._counted(session, "sign", signature, before=None)

        self._told(session, lambda: self._counted(session, purpose, lambda: session.login(pin), before=info))
        session.reauthenticate = sign

    def change(self, session: _Door, old: str | None, new: str | None) -> None:
        """Change the PIN; a wrong old one counts as any other try, a new one that the token does not accept as none. Raises as
        `login`, and UsageError (`new_pin_refused`).
        """
        info = session.info
        refuse_locally(info, old)
        refuse_locally(info, new)
        self.check(info)

        self._told(session, lambda: self._counted(session, "change", lambda: session.change_pin(old, new), before=info))

    def _told(self, session: _Door, attempt: Callable[[], None]) -> None:
        """Make an attempt. After a wrong one the token is looked at again, for its flags were a snapshot: the error says what
        is left, as far as the token or our own count tells; no number is made up.
        """
        try:
            attempt()
        except PinWrong as error:
            state = self._state_now(session)
            if state is PinState.LOCKED:
                raise self._locked(session.serial) from error
            if state is PinState.FINAL_TRY:
                error.hint = _("The token says that ONE TRY IS LEFT. Stop, and ask the person who holds the PIN.")
            elif self._log.count(session.serial) >= self._tries - 1:
                error.hint = _("THERE MAY BE ONLY ONE TRY LEFT. Stop, and ask the person who holds the PIN.")
            else:
                error.hint = _(
                    "The token does not say how many tries are left. Not sure: stop, and ask the person who holds the PIN."
                )
            raise
        except PinRefused as error:
            if error.code == "pin_locked":
                error.hint = error.hint or self._unlock
            raise
        except DriverFailed as error:
            if error.code == "pkcs11":  # some drivers say no more than this to a wrong PIN
                error.hint = _("It may have been the PIN: safetok counts a wrong try. Stop if you are not sure of it.")
            raise

    def _spent(self, session: _Door, before: TokenInfo | None) -> bool:
        """Whether the token has counted a try, by its flags. None before: it was logged in, so that they said nothing."""
        now = self._state_now(session)
        changed = before is None or now is not before.pin_state
        return changed and now in {PinState.COUNT_LOW, PinState.FINAL_TRY, PinState.LOCKED}

    @staticmethod
    def _state_now(session: _Door) -> PinState | None:
        try:
            return session.info.pin_state
        except SafetokError:  # pulled out meanwhile: then nothing is known
            return None

    def _counted(
        self, session: _Door, purpose: str, attempt: Callable[[], _Result], *, before: TokenInfo | None
    ) -> _Result:
        number = self._log.begin(session.serial, purpose, self._clock())
        try:
            result = attempt()
        except PinWrong:
            self._log.finish(number, "wrong")
            raise
        except (PinRefused, PersonNeeded, UsageError) as error:
            if error.code in _NO_TRY and self._spent(session, before):
                self._log.finish(number, "wrong")  # a new PIN refused: it was the old one; cancelled: after a wrong one
                raise wrong_pin(session.serial) from error
            outcome: Outcome = "untried" if error.code in _NO_TRY else "unknown"
            self._log.finish(number, "locked" if error.code == "pin_locked" else outcome)
            raise
        except (DriverFailed, NoToken) as error:
            if not _unanswered(error):
                self._log.finish(number, "doubtful")
            raise
        except BaseException:
            self._log.finish(number, "unknown")
            raise
        self._log.finish(number, "ok")
        return result


def _unanswered(error: DriverFailed | NoToken) -> bool:
    """Whether a login ended without a word on the PIN. GENERAL_ERROR is one: some drivers say no more to a wrong PIN."""
    return isinstance(error, NoToken) or error.code in NO_ANSWER or error.data.get("ckr") in _OF_THE_DEVICE


def pin_again() -> str:
    """What to do about a PIN that was not sent."""
    return _("Run it again and type the PIN, or look at where it was to come from.")


def refuse_locally(info: TokenInfo, pin: str | None) -> None:
    """Raise UsageError (`pin_refused_locally`) for a PIN the token cannot take: empty, no text, outside its limits (bytes)."""
    if pin is None:
        if info.pin_pad:
            return
        raise UsageError(
            _("This token has no PIN pad: the PIN must be given."), code="pin_refused_locally", token=info.serial
        )
    try:
        length = len(pin.encode())
    except UnicodeEncodeError:
        raise UsageError(
            _("The PIN given is not text (UTF-8). Nothing was sent to the token; no try is spent."),
            code="pin_refused_locally",
            hint=pin_again(),
            token=info.serial,
        ) from None  # it holds the PIN
    if length == 0:
        reason = _("The PIN is empty. Nothing was sent to the token; no try is spent.")
    elif length < (info.pin_min or 0) or (info.pin_max is not None and length > info.pin_max):
        reason = _(
            "This token's PIN has {least} to {most} characters. Nothing was sent to the token; no try is spent."
        ).format(least=info.pin_min or 1, most=info.pin_max or "∞")
    else:
        return
    raise UsageError(reason, code="pin_refused_locally", hint=pin_again(), token=info.serial)
