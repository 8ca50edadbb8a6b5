"""PINs in the operating system's keyring, by token serial; one that forgets silently is never said to have saved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from safetok.errors import PersonNeeded
from safetok.locale import _

SERVICE = "safetok"


def get(token_serial: str) -> str | None:
    """The PIN kept for this token; None when there is none. Raises PersonNeeded `keyring_unusable`."""
    with _translated():
        import keyring

        return keyring.get_password(SERVICE, token_serial)


def put(token_serial: str, pin: str) -> bool:
    """Keep a PIN; True only when reading it back gives the same. Raises PersonNeeded `keyring_unusable`."""
    with _translated():
        import keyring

        keyring.set_password(SERVICE, token_serial, pin)
        return keyring.get_password(SERVICE, token_serial) == pin


def forget(token_serial: str) -> bool:
    """Remove the PIN of this token; True when there was one. Raises PersonNeeded `keyring_unusable`."""
    with _translated():
        import keyring
        from keyring.errors import PasswordDeleteError

        if keyring.get_password(SERVICE, token_serial) is None:
            return False
        try:
            keyring.delete_password(SERVICE, token_serial)
        except PasswordDeleteError:
            if keyring.get_password(SERVICE, token_serial) is None:
                return True
            raise
        return True


@contextmanager
def _translated() -> Iterator[None]:
    from keyring.errors import KeyringError

    try:
        yield
    except (KeyringError, RuntimeError) as error:
        # The error's own text may hold what was stored: only its kind is told, and the chain is cut.
        raise PersonNeeded(
            _("The keyring of this computer cannot be used ({kind}).").format(kind=type(error).__name__),
            code="keyring_unusable",
            hint=_("Unlock it, or give the PIN with --pin-stdin, --pin-env NAME or --pin-file FILE."),
        ) from None
