"""PINs in the keyring: saved is said only of what can be read back."""

from __future__ import annotations

import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null
from keyring.errors import InitError, PasswordSetError
from support_pins import Keyring, keyring_of

from safetok.errors import PersonNeeded
from safetok.store import pin_store


class _Locked(Keyring):
    def get_password(self, service: str, username: str) -> str | None:
        raise InitError(f"{service} {username} locked")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise PasswordSetError(f"could not keep {password} for {service} {username}")


def test_a_pin_is_kept_read_and_forgotten() -> None:
    """What was put is got back, for its token alone, until it is forgotten."""
    with keyring_of(Keyring()):
        assert pin_store.put("T1", "123456")
        assert (pin_store.get("T1"), pin_store.get("T2")) == ("123456", None)
        assert pin_store.forget("T1")
        assert pin_store.get("T1") is None
        assert not pin_store.forget("T1")


def test_a_back_end_that_forgets_is_not_said_to_have_saved() -> None:
    """The null back end takes everything and keeps nothing."""
    with keyring_of(null.Keyring()):
        assert not pin_store.put("T1", "123456")


@pytest.mark.parametrize("back_end", [fail.Keyring, _Locked])
def test_a_keyring_that_cannot_be_used_is_said_without_the_pin(
    back_end: type[KeyringBackend],
) -> None:
    """No keyring and a locked one end with one sentence for a person; the PIN is in no part of the error."""
    with keyring_of(back_end()):
        for work in (
            lambda: pin_store.put("T1", "987654"),
            lambda: pin_store.get("T1"),
            lambda: pin_store.forget("T1"),
        ):
            with pytest.raises(PersonNeeded) as refused:
                work()
            assert refused.value.code == "keyring_unusable"
            assert refused.value.__cause__ is None
            assert "987654" not in repr((refused.value.message, refused.value.hint, refused.value.data))


def test_a_back_end_that_asks_on_stdin_is_passed_over() -> None:
    """A file back end that would prompt in the middle of a script is never used; another one beside it is."""
    asking = type("EncryptedKeyring", (_Locked,), {"__module__": "keyrings.alt.file"})

    class Chain(_Locked):
        backends: tuple[KeyringBackend, ...] = ()

    with keyring_of(asking()), pytest.raises(PersonNeeded):
        pin_store.get("T1")
    several = Chain()
    several.backends = (asking(), Keyring())
    with keyring_of(several):
        assert pin_store.put("T1", "123456")
