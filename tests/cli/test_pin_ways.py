"""Where a PIN may come from and where not, by hand and by script; a PIN pad; a keyring that fails in the middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from keyring.errors import KeyringError
from support_cli import Cli, Said
from support_inside import Inside
from support_pins import Keyring, Person, at_the_keyboard, command_line
from support_simulator import Simulator
from support_terminal import on_a_terminal
from support_tokens import MadeToken

from safetok.store import pin_store
from safetok.store.database import Database
from safetok.store.paths import home
from safetok.store.pins import KEYRING, PinLog
from safetok.workflows import pin_store as workflow

NEW, WRONG = "135790", "000000"
PIN_INCORRECT = 0xA0


@pytest.fixture
def cli(simulator: Simulator, token: MadeToken, tmp_path: Path) -> Cli:
    """The program in this process; the simulator as the driver, locking at three wrong tries."""
    simulator.steer(pin_tries=3)
    return Inside(command_line(tmp_path / "home", simulator.surroundings).env)


@pytest.fixture
def keyring() -> Iterator[Keyring]:
    """A keyring in memory."""
    with Keyring.in_use() as memory:
        yield memory


def csr(cli: Cli, folder: Path, *more: str, **given: Any) -> Said:
    """A command that logs in and asks no CA."""
    return cli.json("renew", "--csr", str(folder / "request.pem"), *more, **given)


# --- sources -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--pin-stdin", "--pin-env", "P"), "pin_sources"),
        (("--pin-env", "NOT_SET"), "pin_env_missing"),
        (("--pin-file", "{folder}/none.txt"), "pin_file"),
        (("--pin-file", "{folder}/bytes.txt"), "pin_file"),
        (("--pin-file", "{folder}/blank.txt"), "pin_file"),
        (("--pin-env", "BLANK"), "pin_env_missing"),
    ],
)
def test_a_source_that_cannot_be_used_is_named(
    cli: Cli, keyring: Keyring, simulator: Simulator, tmp_path: Path, words: tuple[str, ...], code: str
) -> None:
    """Two sources, a variable that is not set or empty, a file that is not there, no text or empty: 2 before any driver is opened,
    and the error names the variable or the file.
    """
    file = tmp_path / "bytes.txt"
    file.write_bytes(b"\xff1\x00")
    file.chmod(0o600)
    blank = tmp_path / "blank.txt"
    blank.write_bytes(b"\xef\xbb\xbf\r\n")
    blank.chmod(0o600)
    named = [word.format(folder=tmp_path) for word in words]
    said = csr(cli, tmp_path, *named, stdin="1\n", env={"P": "1", "BLANK": ""})
    assert (said.status, said.codes) == (2, [code])
    (error,) = said.envelope["errors"]
    assert code == "pin_sources" or named[-1] in error["message"]
    assert error["hint"] or code not in {"pin_env_missing", "pin_file"}
    assert simulator.count("C_Login") == 0


def test_an_empty_pin_names_the_next_step(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """An empty PIN never reaches the token, and the reader is told what to do."""
    said = csr(cli, tmp_path, "--pin-stdin", stdin="\n")
    assert (said.status, said.codes) == (2, ["pin_refused_locally"])
    assert said.envelope["errors"][0]["hint"]
    assert simulator.count("C_Login") == 0


def test_bytes_on_standard_input_are_no_pin(cli: Cli, keyring: Keyring, tmp_path: Path, simulator: Simulator) -> None:
    """What is no UTF-8 is refused by name, not tried."""
    said = csr(cli, tmp_path, "--pin-stdin", stdin="\udcff\n".encode("utf-8", "surrogateescape").decode("latin-1"))
    assert said.status in {2, 5}
    assert simulator.count("C_Login") == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_pin_file_of_notepad_holds_the_pin_alone(
    cli: Cli, keyring: Keyring, token: MadeToken, tmp_path: Path, encoding: str
) -> None:
    """The byte order mark that Windows editors write is no part of the PIN, and what they call Unicode is read."""
    file = tmp_path / "pin.txt"
    file.write_bytes(f"{token.pin}\r\n".encode(encoding))
    file.chmod(0o600)
    said = csr(cli, tmp_path, "--pin-file", str(file))
    assert said.status == 0, said.err


def test_a_pin_that_will_not_do_is_called_by_where_it_came_from(
    cli: Cli, keyring: Keyring, token: MadeToken, tmp_path: Path
) -> None:
    """Nobody typed what came from a file, a variable, standard input or the keyring: the sentence says which it was."""
    file = tmp_path / "pin.txt"
    file.write_text("mật mã")
    file.chmod(0o600)
    keyring.set_password("safetok", token.serial, "mật mã")
    ways: list[tuple[tuple[str, ...], str]] = [
        (("--pin-file", str(file)), f"The PIN in {file} has"),
        (("--pin-env", "MY_PIN"), "The PIN in MY_PIN has"),
        (("--pin-stdin",), "The PIN given has"),
        ((), "The PIN kept in the keyring has"),
    ]
    for words, begins in ways:
        said = csr(cli, tmp_path, *words, stdin="mật mã\n", env={"MY_PIN": "mật mã"})
        assert said.codes == ["pin_profile"]
        assert said.envelope["errors"][0]["message"].startswith(begins)


@pytest.mark.parametrize("slip", ["{} ", " {}", "{}\t", "{}\x1b[D", "{}\x00"])
def test_a_slip_of_the_keys_is_asked_about(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path, slip: str
) -> None:
    """A space from a paste, an arrow key, a NUL: no try is spent on them unless somebody says that they belong to the PIN."""
    pin = slip.format(token.pin)
    said = csr(cli, tmp_path, "--pin-stdin", stdin=f"{pin}\n")
    assert (said.status, said.codes) == (2, ["pin_profile"])
    with at_the_keyboard(Person([pin], yes=False)) as person:
        assert csr(cli, tmp_path).status == 2
    assert any("no try is spent" in line for line in person.heard)
    assert simulator.count("C_Login") == 0
    assert csr(cli, tmp_path, "--pin-stdin", "--pin-as-is", stdin=f"{pin}\n").status in {2, 5}


@pytest.mark.parametrize(("columns", "rows"), [(100, 1), (24, 2)])
def test_a_pin_typed_where_yes_or_no_was_asked_does_not_stay_on_the_screen(
    cli: Cli, keyring: Keyring, token: MadeToken, tmp_path: Path, columns: int, rows: int
) -> None:
    """After "wrong PIN" people type it again at once: that line is erased, and the question asked again."""
    said = on_a_terminal(
        cli,
        *("--lang", "en", "renew", "--csr", str(tmp_path / "request.pem")),
        answers=[("PIN of", "00000000"), ("[y/N]", f"{token.pin}0000000000"), ("[y/N]", "n")],
        columns=columns,
    )
    assert said.status == 5
    _before, typed, after = said.out.partition(f"{token.pin}0000000000\n")
    assert typed
    assert after.startswith("\x1b[1A\x1b[2K" * rows + "Please answer")


def test_a_pin_with_marks_is_sent_when_the_person_says_so(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """Unlike the CA's PINs: asked about once; after the yes it is tried, and counts as any other."""
    with at_the_keyboard(Person(["mật mã", token.pin])) as person:
        said = csr(cli, tmp_path)
    assert said.status == 0
    assert any("no try is spent" in line for line in person.heard)
    assert [call.answer for call in simulator.calls() if call.function == "C_Login"] == [PIN_INCORRECT, 0]


@pytest.mark.parametrize(("typed", "asked"), [("12", 0), ("", 0), ("9" * 300, 0), ("12345", 1)])
def test_what_the_token_cannot_take_is_not_asked_about(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path, typed: str, asked: int
) -> None:
    """A yes could not send it: only a PIN that merely looks unlike the CA's is a question; each refusal names the next step."""
    with at_the_keyboard(Person([typed], yes=False)) as person:
        said = csr(cli, tmp_path)
    assert said.status == 2
    assert said.envelope["errors"][0]["hint"]
    assert sum("all the same" in line for line in person.heard) == asked
    assert simulator.count("C_Login") == 0


def test_a_keyring_that_is_locked_is_told_before_the_pin_is_asked_for(
    cli: Cli, token: MadeToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person at the terminal hears why the keyring's PIN is not used, and types it."""
    monkeypatch.setattr(pin_store, "PATIENCE", 0.01)
    monkeypatch.setattr(Keyring, "get_password", lambda *_a: __import__("time").sleep(0.2))
    with Keyring.in_use(), at_the_keyboard(Person([token.pin])) as person:
        assert csr(cli, tmp_path).status == 0
    said = next(n for n, line in enumerate(person.heard) if "keyring" in line)
    assert said < next(n for n, line in enumerate(person.heard) if token.serial in line and "PIN" in line)


# --- a keyring that fails in the middle ----------------------------------------------------------------------------------


def fails(*_given: Any) -> Any:
    raise KeyringError("246813")


def test_a_wrong_pin_that_the_keyring_does_not_let_go_is_not_tried_again(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be dropped: said, with the command; the log of tries keeps it from being used again."""
    keyring.set_password("safetok", token.serial, WRONG)
    monkeypatch.setattr(Keyring, "delete_password", fails)
    said = cli("renew", "--csr", str(tmp_path / "request.pem"))
    assert said.status == 5
    assert "safetok pin forget" in said.err
    assert WRONG not in said.err
    assert csr(cli, tmp_path).codes == ["pin_needed"]
    assert simulator.memory(token.serial).failed == 1


def test_a_changed_pin_that_the_keyring_does_not_take_is_told(
    cli: Cli, keyring: Keyring, token: MadeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change stands and is said; so is that the keyring has no PIN of this token any more."""
    keyring.set_password("safetok", token.serial, token.pin)
    monkeypatch.setattr(Keyring, "set_password", fails)
    said = cli.json("pin", "change", "--pin-stdin", stdin=f"{token.pin}\n{NEW}\n")
    assert (said.status, said.data["verified"], said.data["in_keyring"]) == (0, True, False)
    assert "safetok pin store" in said.err
    assert keyring.pin(token.serial) == ""


def test_a_wrong_pin_of_the_keyring_is_dropped_when_changing_too(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator
) -> None:
    """The old PIN comes from the keyring and is wrong: a try is spent, it is dropped, and that is said."""
    keyring.set_password("safetok", token.serial, WRONG)
    said = cli("pin", "change", "--new-pin-env", "P", env={"P": NEW})
    assert said.status == 5
    assert "dropped" in said.err
    assert (keyring.pin(token.serial), simulator.memory(token.serial).failed) == ("", 1)


@pytest.mark.parametrize("answer", ["PIN_INVALID", "PIN_LEN_RANGE"])
@pytest.mark.parametrize("source", ["keyring", "typed"])
def test_a_new_pin_that_the_token_does_not_accept_is_no_wrong_one(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, answer: str, source: str
) -> None:
    """2 as often as it is tried, no try counted; the keyring keeps the PIN that opens the token, and it goes on doing so."""
    keyring.set_password("safetok", token.serial, token.pin)
    simulator.steer(faults=[f"C_SetPIN 0 return {answer}"])
    for _time in range(3):
        if source == "keyring":
            said = cli.json("pin", "change", "--new-pin-env", "P", env={"P": NEW})
        else:
            said = cli.json("pin", "change", "--pin-stdin", stdin=f"{token.pin}\n{NEW}\n")
        assert (said.status, said.codes) == (2, ["new_pin_refused"])
        assert "dropped" not in said.err
        assert keyring.pin(token.serial) == token.pin
    simulator.steer(faults=None)
    assert cli.json("status").data["tokens"][0]["pin_tries_spent"] == 0
    assert cli.json("pin", "change", "--new-pin-env", "P", env={"P": NEW}).status == 0
    assert keyring.pin(token.serial) == NEW


def test_a_change_whose_end_is_not_known_leaves_no_pin_in_the_keyring(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator
) -> None:
    """The driver dies while changing: 17, and the keyring keeps none, so that no wrong one is tried by itself."""
    keyring.set_password("safetok", token.serial, token.pin)
    simulator.steer(faults=["C_SetPIN 1 crash"])
    said = cli("pin", "change", "--pin-stdin", stdin=f"{token.pin}\n{NEW}\n")
    assert said.status == 17
    assert "safetok pin store" in said.err
    assert keyring.pin(token.serial) == ""


@pytest.mark.parametrize("action", ["remove", "remove_after", "crash"])
def test_a_change_that_nobody_answered_warns_of_the_old_pin(
    cli: Cli, token: MadeToken, simulator: Simulator, action: str
) -> None:
    """Nobody is told simply to run it again: the old PIN may be wrong by then."""
    simulator.steer(faults=[f"C_SetPIN 1 {action}"])
    said = cli.json("pin", "change", "--pin-stdin", stdin=f"{token.pin}\n{NEW}\n")
    assert said.status == 17
    assert "do not type the old one again" in said.envelope["errors"][0]["hint"]


def test_a_token_pulled_out_while_its_pins_are_typed_keeps_the_old_one(
    cli: Cli, token: MadeToken, simulator: Simulator
) -> None:
    """Pulled out before the change is sent: the token is not in (3), its PIN is the old one, and no try is spent."""

    def typed(*_more: object, **_named: object) -> str:
        simulator.pull()
        return NEW

    with patch.object(workflow, "_new_pin", typed):
        said = cli.json("pin", "change", "--pin-stdin", stdin=f"{token.pin}\n")
    assert (said.status, said.codes) == (3, ["token_removed"])
    assert "The PIN is the old one" in said.envelope["errors"][0]["hint"]
    simulator.plug()
    assert cli.json("status").data["tokens"][0]["pin_tries_spent"] == 0
    assert cli.json("pin", "change", "--pin-stdin", stdin=f"{token.pin}\n{NEW}\n").status == 0


@pytest.mark.parametrize("command", ["change", "store"])
def test_a_token_pulled_out_of_a_pin_command_is_not_in(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, command: str
) -> None:
    """Pulled out before the login: 3 as of any other command, with its name in the next step."""
    simulator.steer(faults=["C_OpenSession 2 remove"])
    said = cli.json("pin", command, "--pin-stdin", stdin=f"{token.pin}\n{NEW}\n")
    assert (said.status, said.codes) == (3, ["token_removed"])
    assert token.serial in said.envelope["errors"][0]["hint"]
    assert simulator.count("C_Login") == 0


def test_a_change_whose_trial_fails_says_which_pin_there_is(cli: Cli, token: MadeToken, simulator: Simulator) -> None:
    """Pulled out between the change and the login with the new PIN: that one is the token's, and the token is not in."""
    simulator.steer(faults=["C_Login 1 remove"])
    said = cli.json("pin", "change", "--pin-stdin", stdin=f"{token.pin}\n{NEW}\n")
    assert (said.status, said.codes) == (3, ["token_removed"])
    assert "use the new one" in said.envelope["errors"][0]["hint"]
    simulator.steer(faults=None)
    simulator.plug()
    assert cli.json("pin", "change", "--pin-stdin", stdin=f"{NEW}\n{token.pin}\n").status == 0


def test_a_change_that_the_token_only_says_it_made_is_no_success(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator
) -> None:
    """CKR_OK to the change, but the new PIN does not open it: 10, try no further, and how this CA unlocks."""
    simulator.steer(faults=["C_Login 1 return PIN_INCORRECT"])
    said = cli.json("pin", "change", "--pin-stdin", stdin=f"{token.pin}\n{NEW}\n")
    assert (said.status, said.codes) == (10, ["pin_not_changed"])
    assert "send the form U1" in said.envelope["errors"][0]["hint"]
    assert simulator.count("C_Login") == 1


def test_a_keyring_s_pin_whose_login_was_killed_names_the_way_back(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """It is not tried again by itself, and that is said with the next step: typed once, it is used again."""
    keyring.set_password("safetok", token.serial, token.pin)
    with Database(home(cli.env).database) as database:
        PinLog(database).begin(token.serial, KEYRING, datetime.now(UTC))  # as a SIGKILL within the login leaves it
    said = csr(cli, tmp_path)
    assert (said.status, said.codes, simulator.count("C_Login")) == (11, ["pin_needed"], 0)
    for words in ("not tried again", f"safetok pin store --serial {token.serial}", "--pin-stdin"):
        assert words in said.envelope["errors"][0]["hint"]
    with at_the_keyboard(Person()) as person:
        assert csr(cli, tmp_path).codes == ["pin_refused_locally"]
    assert any("not tried again" in line for line in person.heard)
    assert cli.json("pin", "store", "--pin-stdin", stdin=f"{token.pin}\n").status == 0
    assert csr(cli, tmp_path).status == 0


# --- a PIN pad -----------------------------------------------------------------------------------------------------------


def test_a_pin_pad_logs_in_and_changes_by_itself(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """A renewal's request and a change of PIN on a token with a keypad: the person is told to type there, nobody else is asked."""
    simulator.steer(pin_pad="yes", pad_pin=token.pin)
    with at_the_keyboard(Person()) as person:
        assert csr(cli, tmp_path).status == 0
        changed = cli.json("pin", "change")
    assert (changed.status, changed.data["verified"], changed.data["in_keyring"]) == (0, True, False)
    assert sum("keypad" in line for line in person.heard) == 3
    assert not any("nothing is shown" in line for line in person.heard)


@pytest.mark.parametrize("words", [("renew", "--csr", "{}/r.pem"), ("pin", "change")])
def test_an_entry_cancelled_at_the_keypad_costs_no_try(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Cancelled again and again it ends with 11 and says that nothing is spent; it was refused as the last try at the third."""
    simulator.steer(pin_pad="yes", pad_pin=token.pin, pad_cancelled="yes")
    with at_the_keyboard(Person()):
        for _entry in range(3):
            said = cli.json(*(word.format(tmp_path) for word in words))
            assert (said.status, said.codes) == (11, ["pin_cancelled"])
            assert "No try is spent" in said.envelope["errors"][0]["hint"]
    (shown,) = cli.json("status").data["tokens"]
    assert shown["pin_tries_spent"] == 0


@pytest.mark.parametrize("words", [("renew", "--csr", "{}/r.pem"), ("pin", "change"), ("doctor",)])
def test_a_pin_pad_is_not_waited_for_where_nobody_is(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A script at night: 11 at once, also with a PIN given; the keypad is not asked, so no unanswered try is counted."""
    simulator.steer(pin_pad="yes", pad_pin=token.pin)
    named = [word.format(tmp_path) for word in words]
    for more in ((), ("--pin-stdin",)):
        said = cli.json(*named, "--serial", token.serial, *more, stdin=f"{token.pin}\n{NEW}\n")
        if words != ("doctor",) or more:
            assert (said.status, said.codes) == (11, ["pin_pad"])
            assert said.envelope["errors"][0]["hint"]
    assert simulator.count("C_Login") == simulator.count("C_SetPIN") == 0


# --- which token, which new PIN ------------------------------------------------------------------------------------------


def test_forgetting_needs_no_number_where_one_token_is_in(cli: Cli, keyring: Keyring, token: MadeToken) -> None:
    """`pin forget` alone means the token that is in, and calls it by its company."""
    keyring.set_password("safetok", token.serial, token.pin)
    said = cli.json("pin", "forget")
    assert (said.status, said.data["done"], said.data["name"]) == (0, True, "CÔNG TY TNHH THỬ NGHIỆM")
    assert keyring.pin(token.serial) == ""


def test_a_token_without_a_certificate_is_called_by_its_label(
    cli: Cli, keyring: Keyring, make_token: Callable[..., MadeToken], token: MadeToken
) -> None:
    """Among several a person chooses: each is offered by its company, or by its label where it has none."""
    empty = make_token("Kho B")
    with at_the_keyboard(Person()) as person:
        said = cli.json("pin", "forget")
    assert said.status == 0
    assert any("CÔNG TY TNHH THỬ NGHIỆM" in line for line in person.heard)
    assert any(f"Kho B · Token ID {empty.serial}" in line for line in person.heard)


def test_a_new_pin_that_nobody_gives_is_asked_of_nobody(
    cli: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator
) -> None:
    """A script that gives the old PIN alone: 11, with the ways to give the new one; nothing is sent."""
    said = cli.json("pin", "change", "--pin-env", "P", env={"P": token.pin})
    assert (said.status, said.codes) == (11, ["pin_needed"])
    assert "--new-pin-file" in said.envelope["errors"][0]["hint"]
    assert simulator.count("C_SetPIN") == 0
