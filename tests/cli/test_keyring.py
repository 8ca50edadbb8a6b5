"""A real Secret Service that is locked, whose window is answered, refused or never seen, and none at all."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import secretstorage
from keyring.backends import SecretService
from support_cli import Cli, Said
from support_inside import Inside
from support_pins import NONE, PASSWORD, command_line, keyring_of, prompter, secret_service
from support_simulator import Simulator
from support_tokens import MadeToken

from safetok.store import pin_store

NEW = "135790"

# The keyring library leaves its connection to a locked service to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@contextmanager
def service(home: Path) -> Iterator[dict[str, str]]:
    """A real Secret Service, used by this process."""
    with secret_service(home) as environment, keyring_of(SecretService.Keyring()):
        yield environment
    for thread in threading.enumerate():
        if thread.name == "keyring":  # it waited for the window; now there is no bus any more
            thread.join(10)
    gc.collect()


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One for these tests."""
    with service(tmp_path_factory.mktemp("keyring")) as environment:
        yield environment


@pytest.fixture
def person(simulator: Simulator, token: MadeToken, tmp_path: Path) -> Callable[[dict[str, str]], Cli]:
    """`person(bus)`: the program, and the token's PIN in the keyring there."""

    def made(bus: dict[str, str]) -> Cli:
        simulator.steer(pin_tries=3)
        cli = Inside(command_line(tmp_path / "home", simulator.surroundings, bus).env)
        with prompter(bus, PASSWORD):  # where the test before left it locked
            assert cli.json("pin", "store", "--pin-stdin", stdin=f"{token.pin}\n").status == 0
        simulator.forget()
        return cli

    return made


@pytest.fixture
def cli(person: Callable[[dict[str, str]], Cli], bus: dict[str, str]) -> Cli:
    return person(bus)


def lock(bus: dict[str, str]) -> None:
    """Lock the keyring, as a desktop does that nobody is at."""
    with patch.dict(os.environ, bus), closing(secretstorage.dbus_init()) as connection:
        collection = secretstorage.get_default_collection(connection)
        collection.lock()
        assert collection.is_locked()


def csr(cli: Cli, folder: Path, *more: str, **given: Any) -> Said:
    """A renewal's first half, with the PIN of the keyring."""
    file = folder / f"request-{len([*folder.glob('*.pem')])}.pem"
    return cli.json("renew", "--csr", str(file), *more, **given)


def told(said: Said, words: str) -> None:
    """11, what is the matter with the keyring, and a next step."""
    assert (said.status, said.codes) == (11, ["keyring_unusable"]), said
    (error,) = said.envelope["errors"]
    assert words in error["message"]
    assert "--pin-stdin" in error["hint"]


def refused_everywhere(cli: Cli, token: MadeToken, folder: Path, words: str) -> None:
    told(cli.json("pin", "store", "--pin-stdin", stdin=f"{token.pin}\n"), words)
    told(cli.json("pin", "forget", "--serial", token.serial), words)
    said = csr(cli, folder)
    assert (said.status, said.codes) == (11, ["pin_needed"])
    assert words in said.envelope["errors"][0]["hint"]
    assert "--pin-stdin" in said.envelope["errors"][0]["hint"]


@pytest.mark.parametrize("window", [False, True], ids=["no window", "refused at the window"])
def test_a_locked_keyring_is_told_and_costs_no_try(
    cli: Cli, bus: dict[str, str], token: MadeToken, simulator: Simulator, tmp_path: Path, *, window: bool
) -> None:
    """`pin store` and `pin forget` end with 11 and say so; a renewal needs the PIN and says why the keyring's was not there."""
    lock(bus)
    with prompter(bus, "no") if window else nullcontext():
        refused_everywhere(cli, token, tmp_path, "is locked")
    assert simulator.count("C_Login") == 0


def test_a_window_that_nobody_sees_holds_nobody_up(
    person: Callable[[dict[str, str]], Cli],
    token: MadeToken,
    simulator: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A keyring that asks for its password where nobody is, as under cron, is given up after a while, and that is said."""
    folder = tmp_path / "keyring"
    folder.mkdir()
    with service(folder) as bus:
        cli = person(bus)
        lock(bus)
        monkeypatch.setattr(pin_store, "PATIENCE", 0.7)
        with prompter(bus, "silent"):
            refused_everywhere(cli, token, tmp_path, "does not answer")
    assert simulator.count("C_Login") == 0


def test_a_keyring_unlocked_at_its_window_gives_the_pin(
    cli: Cli, bus: dict[str, str], token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """The password typed at the window is all that is needed: the renewal takes the PIN it holds."""
    lock(bus)
    with prompter(bus, PASSWORD):
        assert csr(cli, tmp_path).status == 0
    assert simulator.count("C_Login") == 1
    assert simulator.memory(token.serial).failed == 0


def test_a_pin_changed_while_the_keyring_is_locked_leaves_no_old_one_to_be_tried(
    cli: Cli, bus: dict[str, str], token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """The change is made and the person told; the old PIN that the keyring still holds never costs a try; `pin store` ends that."""
    lock(bus)
    with prompter(bus, "no"):
        said = cli("pin", "change", "--pin-stdin", stdin=f"{token.pin}\n{NEW}\n")
    assert said.status == 0, said.err
    assert "is locked" in said.err
    assert "safetok pin store" in said.err
    with prompter(bus, PASSWORD):
        assert csr(cli, tmp_path).codes == ["pin_needed"]
        logins = simulator.count("C_Login")
        assert csr(cli, tmp_path, "--pin-stdin", stdin=f"{NEW}\n").status == 0
        identity = cli.json("renew", "--list").data["renewals"][0]["renewal_id"]
        assert cli.json("renew", "--abandon", identity, "--force").status == 0
        assert csr(cli, tmp_path).codes == ["pin_needed"]
        assert simulator.count("C_Login") == logins + 1
        assert cli.json("pin", "store", "--pin-stdin", stdin=f"{NEW}\n").status == 0
        assert csr(cli, tmp_path).status == 0
    assert simulator.memory(token.serial).failed == 0
    assert not [row for row in cli.json("status").data["tokens"] if row["pin_tries_spent"]]


def test_where_there_is_no_keyring_a_renewal_only_needs_the_pin(
    cli: Cli, token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """No Secret Service: `pin store` and `forget` say that there is none; a renewal says nothing of one."""
    alone = command_line(tmp_path / "home", dict(cli.env), NONE)
    told(alone.json("pin", "store", "--pin-stdin", stdin=f"{token.pin}\n"), "has no keyring")
    said = csr(alone, tmp_path)
    assert (said.status, said.codes) == (11, ["pin_needed"])
    assert "keyring" not in said.out
    assert csr(alone, tmp_path, "--pin-stdin", stdin=f"{token.pin}\n").status == 0
    assert simulator.count("C_Login") == 1
