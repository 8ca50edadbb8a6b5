"""PINs in the operating system's keyring, by token serial; one that forgets silently is never said to have saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from safetok.errors import PersonNeeded
from safetok.locale import _

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "safetok"

# Back ends of these packages ask for a password on stdin, in the middle of a script, or keep PINs in a plain file.
_NOT_THESE = ("keyrings.alt", "keyrings.cryptfile")


def get(token_serial: str) -> str | None:
    """The PIN kept for this token; None when there is none. Raises PersonNeeded `keyring_unusable`."""
    with _keyring() as keyring:
        return keyring.get_password(SERVICE, token_serial)


def put(token_serial: str, pin: str) -> bool:
    """Keep a PIN; True only when reading it back gives the same. Raises PersonNeeded `keyring_unusable`."""
    with _keyring() as keyring:
        keyring.set_password(SERVICE, token_serial, pin)
        return keyring.get_password(SERVICE, token_serial) == pin


def forget(token_serial: str) -> bool:
    """Remove the PIN of this token; True when there was one. Raises PersonNeeded `keyring_unusable`, also when it stays."""
    with _keyring() as keyring:
        if keyring.get_password(SERVICE, token_serial) is None:
            return False
        keyring.delete_password(SERVICE, token_serial)
        if keyring.get_password(SERVICE, token_serial) is not None:
            raise _unusable("still there")
        return True


@contextmanager
def _keyring() -> Iterator[KeyringBackend]:
    import keyring  # 65 ms: only when asked for
    from keyring.errors import KeyringError

    try:
        yield _usable(keyring.get_keyring())
    except (KeyringError, RuntimeError) as error:
        # The error's own text may hold what was stored: only its kind is told, and the chain is cut.
        raise _unusable(type(error).__name__) from None


def _usable(chosen: KeyringBackend) -> KeyringBackend:
    """The back end itself, or the first of several that asks nothing of its own."""
    for one in getattr(chosen, "backends", None) or [chosen]:
        if not type(one).__module__.startswith(_NOT_THESE):
            return one  # type: ignore[no-any-return]
    raise _unusable(type(chosen).__name__)


def _unusable(kind: str) -> PersonNeeded:
    return PersonNeeded(
        _("The keyring of this computer cannot be used ({kind}).").format(kind=kind),
        code="keyring_unusable",
        hint=_("Unlock it, or give the PIN with --pin-stdin, --pin-env NAME or --pin-file FILE."),
    )
