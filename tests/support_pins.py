"""What the tests of PINs share: a real Secret Service, a person who answers, and a computer with one token of a known CA."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import keyring
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError
from support_cli import Cli

PASSWORD = "secret"  # of the keyring
_UNLOCKED = f"printf {PASSWORD} | gnome-keyring-daemon --unlock --components=secrets --daemonize"
_LOCKED = "gnome-keyring-daemon --start --components=secrets --daemonize"
NULL = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
NONE = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent"}


@contextmanager
def secret_service(home: Path, *, locked: bool = False) -> Iterator[dict[str, str]]:
    """GNOME's keyring on a bus of its own, `home` being its home; yields what a program needs to speak to it.

    `locked`: as it is at a login that did not give its password; `home` must have been one that was unlocked before.
    """
    runtime = Path(tempfile.mkdtemp(prefix="safetok-test-", dir="/dev/shm"))
    script = f"{_LOCKED if locked else _UNLOCKED} >/dev/null 2>&1; echo $DBUS_SESSION_BUS_ADDRESS; cat >/dev/null"
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL") if key in os.environ}
    with subprocess.Popen(
        ["dbus-run-session", "--", "sh", "-c", script],
        env={**kept, "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        address = running.stdout.readline().strip()
        assert address, "dbus-run-session and gnome-keyring-daemon are needed: apt install dbus gnome-keyring"
        try:
            yield {"DBUS_SESSION_BUS_ADDRESS": address, "XDG_RUNTIME_DIR": str(runtime), "HOME": str(home)}
        finally:
            running.stdin.close()
            running.wait(20)
            shutil.rmtree(runtime, ignore_errors=True)


@contextmanager
def prompter(bus: dict[str, str], manner: str) -> Iterator[None]:
    """Somebody, or nobody, at the window that asks for a locked keyring's password: `silent`, `no`, or the password."""
    path = {key: os.environ[key] for key in ("PATH",) if key in os.environ}
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("support_prompter.py")), manner],
        env={**path, **bus},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().strip() == "here"
        try:
            yield
        finally:
            running.kill()


@contextmanager
def keyring_of(back_end: KeyringBackend) -> Iterator[None]:
    """This process's keyring is this one, until the end."""
    before = keyring.get_keyring()
    keyring.set_keyring(back_end)
    try:
        yield
    finally:
        keyring.set_keyring(before)


class Keyring(KeyringBackend):
    """A back end that keeps what it is given in memory."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.kept:
            raise PasswordDeleteError(username)
        del self.kept[service, username]

    def pin(self, serial: str) -> str:
        """The PIN kept for a token; empty when there is none."""
        return self.kept.get(("safetok", serial), "")

    @classmethod
    @contextmanager
    def in_use(cls) -> Iterator[Keyring]:
        """A fresh one, in the place of this process's own."""
        memory = cls()
        with keyring_of(memory):
            yield memory


@dataclass
class Person:
    """Stands in for the terminal's prompter: types these PINs in turn, says yes or no to every question, hears everything."""

    pins: list[str] = field(default_factory=list)
    yes: bool = True
    interactive: bool = True
    heard: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.heard.append(text)

    def warn(self, text: str) -> None:
        self.heard.append(text)

    def confirm(self, question: str, *, default: bool = False) -> bool:  # noqa: ARG002  (as the protocol names it)
        self.heard.append(question)
        return self.yes

    def line(self, question: str) -> str:
        self.heard.append(question)
        return ""

    def pin(self, question: str) -> str:
        self.heard.append(question)
        return self.pins.pop(0) if self.pins else ""

    def choose(self, question: str, options: Sequence[str]) -> int:
        self.heard += [question, *options]
        return 0


def settle(home: Path, authority: x509.Certificate) -> None:
    """A home whose settings know the CA that issued the tokens' certificates; its PINs have 6 to 8 characters."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / "ca.pem").write_bytes(authority.public_bytes(Encoding.PEM))
    (home / "settings.toml").write_text(
        '[authorities.test-ca]\ntitle = "TEST-CA"\nissuers = ["ca.pem"]\nanchors = ["ca.pem"]\n'
        "pin_policy = { min_length = 6, max_length = 8 }\n"
        'contacts = { hotline = "1900 0000", unlock = "send the form U1" }\n',
        encoding="utf-8",
    )


def command_line(home: Path, *environments: dict[str, str]) -> Cli:
    """`safetok` with this home and these surroundings."""
    env = {"SAFETOK_HOME": str(home), "SAFETOK_LANG": "en"}
    for one in environments:
        env |= one
    return Cli(env)


@contextmanager
def at_the_keyboard(person: Person) -> Iterator[Person]:
    """Commands run in this process ask this person."""
    with patch("safetok.cli.prompter.TerminalPrompter", lambda **_flags: person):
        yield person
