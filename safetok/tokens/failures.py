"""What a worker's failures are in safetok's errors: the one place where CKR_ names meet sentences."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from safetok.domain.times import show_instant
from safetok.errors import (
    DriverFailed,
    NoToken,
    NotTrusted,
    PersonNeeded,
    PinRefused,
    PinWrong,
    SafetokError,
    TokenHeld,
    UsageError,
)
from safetok.locale import _
from safetok.log import note
from safetok.tokens.process import WorkerFailure

Operation = Literal["look", "open", "login", "change", "sign", "generate", "write"]
REMOVED = frozenset(
    {"DEVICE_REMOVED", "TOKEN_NOT_PRESENT", "TOKEN_NOT_RECOGNIZED", "SESSION_HANDLE_INVALID", "no_token"}
)  # SESSION_HANDLE_INVALID: pulled out and in again, for nobody else ends a session of ours
_NO_SPACE = frozenset({"DEVICE_MEMORY"})
_READ_ONLY = frozenset({"TOKEN_WRITE_PROTECTED", "SESSION_READ_ONLY"})
_NOT_A_PIN = frozenset(
    {"PIN_INVALID", "PIN_LEN_RANGE"}
)  # in answer to C_SetPIN they are about the new one (PKCS#11 section 5.1.6)


def translate(failure: WorkerFailure, *, operation: Operation, driver: str, token: str) -> SafetokError:
    """The error to raise for what a worker answered."""
    name = failure.name
    note(f"driver {driver}, token {token}, {operation}: {name}")
    special = {
        "crashed": lambda: _lost(failure, operation, driver, token),
        "timed_out": lambda: _lost(failure, operation, driver, token),
        "held": lambda: held(failure.detail, token),
        "doubled": lambda: doubled(token),
        "locks": lambda: no_lock(failure.detail, token),
        **dict.fromkeys(REMOVED, lambda: _gone(name, operation, token)),
    }
    if name in special:
        return special[name]()
    if operation == "change" and name in _NOT_A_PIN:
        return UsageError(
            _("The token does not accept the new PIN; the old one stays as it is."),
            code="new_pin_refused",
            hint=_("Choose another new PIN (other length, digits, not too simple), then: safetok pin change"),
            token=token,
        )
    if operation in {"login", "change"} and (pin := _pin(name, token)) is not None:
        return pin
    if operation in {"write", "generate"} or name in _READ_ONLY:
        return _not_written(name, token)
    return DriverFailed(
        _("The driver {driver} answered {answer}. Nothing is known to have changed.").format(
            driver=driver, answer=failure.detail or name
        ),
        code="pkcs11",
        token=token,
        data={"ckr": name},
    )


def no_lock(reason: str, token: str) -> SafetokError:
    """What is said where a lock file cannot be made: the operating system's reason, and whose lock."""
    return UsageError(
        _("The lock of token {serial} could not be made: {reason}.").format(serial=token, reason=_(reason)),
        code="locks_unusable",
        token=token,
    )


def doubled(token: str) -> SafetokError:
    """The refusal to log in where a serial does not name one token."""
    return PersonNeeded(
        _("More than one token says its Token ID is {serial}, or it is blank: safetok only reads such tokens.").format(
            serial=token
        ),
        code="doubled_serial",
        hint=_("Leave only one of them in, or name its driver with --module."),
        token=token,
    )


def _lost(failure: WorkerFailure, operation: Operation, driver: str, token: str) -> SafetokError:
    if failure.name == "timed_out" and operation in {"write", "generate"}:
        message = _(
            "The driver {driver} did not end its writing in time: whether it was written is not known yet. Nothing was removed."
        )
    elif failure.name == "timed_out":
        message = _("The driver {driver} did not answer in time.")
    else:
        message = _("The driver {driver} ended unexpectedly ({detail}).")
    return DriverFailed(
        message.format(driver=driver, detail=failure.detail),
        code=failure.name,
        hint=_("Run it again; if it stays so: safetok doctor"),
        token=token,
    )


def _gone(name: str, operation: Operation, token: str) -> SafetokError:
    if name == "no_token":
        return NoToken(
            _("Token {serial} is not in.").format(serial=token),
            hint=_("Plug in the right token, then run it again; see which are in: safetok tokens"),
            token=token,
        )
    during = {
        "look": _("The USB token was pulled out while it was read. The old certificate is untouched."),
        "open": _("The USB token was pulled out while it was read. The old certificate is untouched."),
        "login": _("The USB token was pulled out during the login. The old certificate is untouched."),
        "change": _("The USB token was pulled out while its PIN was being changed. The old certificate is untouched."),
        "sign": _("The USB token was pulled out while it was signing. The old certificate is untouched."),
        "generate": _("The USB token was pulled out while it was making a key. The old certificate is untouched."),
        "write": _("The USB token was pulled out while it was being written. The old certificate is untouched."),
    }
    return DriverFailed(
        during[operation],
        code="token_removed",
        hint=_("Plug the RIGHT token {serial} in again, then run it again.").format(serial=token),
        token=token,
    )


def wrong_pin(token: str) -> PinWrong:
    """What is said of a PIN that the token refused."""
    return PinWrong(
        _("Wrong PIN: one try is spent; safetok does not try again by itself."),
        hint=_("If you are not sure, stop and ask the person who holds the PIN."),
        token=token,
    )


def _pin(name: str, token: str) -> SafetokError | None:
    if name == "PIN_INCORRECT" or name in _NOT_A_PIN:
        return wrong_pin(token)
    if name == "PIN_LOCKED":
        return PinRefused(_("The PIN of the USB token is locked. Token ID {serial}.").format(serial=token), token=token)
    if name == "PIN_EXPIRED":
        return PinRefused(
            _("The token wants its PIN changed before it is used. Token ID {serial}.").format(serial=token),
            code="pin_expired",
            hint=_("No try is spent. Change it: safetok pin change --serial {serial}").format(serial=token),
            token=token,
        )
    if name == "USER_PIN_NOT_INITIALIZED":
        return PinRefused(
            _("No PIN is set on this token yet. Token ID {serial}.").format(serial=token),
            code="pin_not_set",
            hint=_("No try is spent. Only its CA can set one. See: safetok contacts"),
            token=token,
        )
    if name in {"FUNCTION_CANCELED", "CANCEL"}:
        return PersonNeeded(
            _("The PIN entry was cancelled at the token."),
            code="pin_cancelled",
            hint=_("No try is spent. Run it again when the PIN can be typed at the token."),
            token=token,
        )
    return None


def _not_written(name: str, token: str) -> SafetokError:
    if name in _NO_SPACE:
        return NotTrusted(
            _("There is no room on the token for another certificate. Nothing was removed."),
            code="no_space",
            hint=_("Old certificates can be removed: safetok certs prune"),
            token=token,
        )
    if name in _READ_ONLY:
        return NotTrusted(
            _("The token is write-protected. Nothing was changed."),
            code="write_protected",
            hint=_("A certificate cannot be written to it: ask its CA. See: safetok contacts"),
            token=token,
        )
    if name == "weak_protection":
        return NotTrusted(
            _("The token made a key that it does not keep from being copied out: it was destroyed again."),
            code="weak_protection",
            token=token,
        )
    return NotTrusted(
        _("The token refused to write ({answer}).").format(answer=name),
        code="write_failed",
        token=token,
        data={"ckr": name},
    )


def held(note: str, token: str) -> SafetokError:
    """What is said where another process holds a token's lock; `note` is what it wrote there."""
    holder, _space, since = note.partition(" ")
    if holder.isdecimal() and since.isdecimal():
        message = _("Another run of safetok holds token {serial}: process {pid}, since {time}.").format(
            serial=token, pid=holder, time=show_instant(datetime.fromtimestamp(int(since), UTC))
        )
    else:
        message = _("Another run of safetok holds token {serial}.").format(serial=token)
    return TokenHeld(
        message,
        hint=_("Wait until it has ended, then run this again."),
        token=token,
        data={"pid": int(holder)} if holder.isdecimal() else None,
    )
