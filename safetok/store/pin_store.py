"""PINs in the operating system's keyring, by token serial; one that forgets silently is never said to have saved."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from safetok.errors import PersonNeeded
from safetok.locale import _

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "safetok"
PATIENCE = 30.0  # seconds: a locked keyring may wait in a window for a person who is not there

# Back ends of these packages ask for a password on stdin, in the middle of a script, or keep PINs in a plain file.
_NOT_THESE = ("keyrings.alt", "keyrings.cryptfile")
R = TypeVar("R")


def get(token_serial: str) -> str | None:
    """The PIN kept for this token; None when there is none. Raises PersonNeeded `keyring_unusable`."""
    return _asked(lambda keyring: keyring.get_password(SERVICE, token_serial))


def put(token_serial: str, pin: str) -> bool:
    """Keep a PIN; True only when reading it back gives the same. Raises PersonNeeded `keyring_unusable`."""

    def kept(keyring: KeyringBackend) -> bool:
        keyring.set_password(SERVICE, token_serial, pin)
        return keyring.get_password(SERVICE, token_serial) == pin

    return _asked(kept)


def forget(token_serial: str) -> bool:
    """Remove the PIN of this token; True when there was one. Raises PersonNeeded `keyring_unusable`, also when it stays."""

    def gone(keyring: KeyringBackend) -> bool:
        if keyring.get_password(SERVICE, token_serial) is None:
            return False
        keyring.delete_password(SERVICE, token_serial)
        if keyring.get_password(SERVICE, token_serial) is not None:
            raise _unusable("still there")
        return True

    return _asked(gone)


def _asked(work: Callable[[KeyringBackend], R]) -> R:
    """What the keyring answers, within PATIENCE: back ends wait without end for a window that nobody sees."""
    found: list[R] = []
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            import keyring  # 65 ms: only when asked for

            found.append(work(_usable(keyring.get_keyring())))
        except BaseException as error:  # noqa: BLE001  (raised again by whoever waits)
            failed.append(error)

    asking = threading.Thread(target=ask, daemon=True, name="keyring")
    asking.start()
    asking.join(PATIENCE)
    if found:
        return found[0]
    if not failed:
        raise _unusable("", state="silent")
    raise _said(failed[0]) from None


def _said(error: BaseException) -> BaseException:
    """A back end's failure in our words. Its own text may hold what was stored: only its kind is told, and the chain is cut."""
    from keyring.errors import KeyringError, KeyringLocked, NoKeyringError

    if isinstance(error, KeyringLocked):
        return _unusable("", state="locked")
    if isinstance(error, NoKeyringError):
        return _unusable("", state="none")
    return _unusable(type(error).__name__) if isinstance(error, KeyringError | RuntimeError) else error


def _usable(chosen: KeyringBackend) -> KeyringBackend:
    """The back end itself, or the first of several that asks nothing of its own."""
    for one in getattr(chosen, "backends", None) or [chosen]:
        if not type(one).__module__.startswith(_NOT_THESE):
            return one  # type: ignore[no-any-return]
    raise _unusable(type(chosen).__name__)


def _unusable(kind: str, *, state: Literal["locked", "silent", "none", "failed"] = "failed") -> PersonNeeded:
    other_ways = _(
        "To keep PINs, install one (gnome-keyring, KWallet). Without it a PIN is typed each time, or given with --pin-stdin, "
        "--pin-env NAME or --pin-file FILE."
    )
    unlock = _("Unlock it, or give the PIN with --pin-stdin, --pin-env NAME or --pin-file FILE.")
    message, hint = {
        "locked": (_("The keyring of this computer is locked, and nobody has unlocked it."), unlock),
        "silent": (
            _("The keyring of this computer does not answer; it may be waiting for its password in another window."),
            unlock,
        ),
        "none": (_("This computer has no keyring that safetok can use."), other_ways),
        "failed": (_("The keyring of this computer cannot be used ({kind}).").format(kind=kind), unlock),
    }[state]
    return PersonNeeded(message, code="keyring_unusable", hint=hint, data={"keyring": state})
