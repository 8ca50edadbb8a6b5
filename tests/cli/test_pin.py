from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from support_cli import Cli
from support_inside import Inside
from support_pins import NONE, NULL, Keyring, Person, at_the_keyboard, command_line, secret_service, settle
from support_simulator import Simulator
from support_tokens import MadeToken

NEW = "135790"


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One real Secret Service for these tests."""
    with secret_service(tmp_path_factory.mktemp("keyring")) as environment:
        yield environment


@pytest.fixture
def token(
    make_token: Callable[..., MadeToken],
    rsa_key: rsa.RSAPrivateKey,
    make_certificate: Callable[..., x509.Certificate],
    home: Path,
) -> MadeToken:
    """A company's token, whose CA the settings know."""
    certificate = make_certificate(rsa_key)
    settle(home, certificate)
    return make_token("Company", certificates=[certificate], keys=[rsa_key])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def surroundings(simulator: Simulator, token: MadeToken) -> dict[str, str]:
    """The simulator as the driver, locking at three wrong tries."""
    simulator.steer(pin_tries=3)
    return simulator.surroundings


@pytest.fixture
def cli(surroundings: dict[str, str], home: Path, bus: dict[str, str]) -> Cli:
    """The program and a real keyring."""
    return command_line(home, surroundings, bus)


@pytest.fixture
def inside(surroundings: dict[str, str], home: Path) -> Cli:
    """The program in this process."""
    return Inside(command_line(home, surroundings).env)


@pytest.fixture
def keyring() -> Iterator[Keyring]:
    """A keyring in memory, for the program in this process."""
    with Keyring.in_use() as memory:
        yield memory


def kept(bus: dict[str, str], serial: str) -> str:
    """What the keyring itself says it holds, asked without safetok."""
    script = "import keyring, sys; print(keyring.get_password('safetok', sys.argv[1]) or '')"
    done = subprocess.run(
        ["python3", "-c", script, serial], env={"PATH": _path(), **bus}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _path() -> str:
    import os
    import sys

    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def csr(cli: Cli, folder: Path, *more: str, **given: Any) -> Any:
    """A command that logs in and asks no CA."""
    return cli.json("renew", "--csr", str(folder / "request.pem"), *more, **given)


def test_a_pin_is_saved_once_it_has_opened_the_token_and_is_used_from_then_on(
    cli: Cli, bus: dict[str, str], token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """`pin store` logs in once, saves, reads back; a later command asks nobody; `pin forget` ends that."""
    said = cli.json("pin", "store", "--pin-stdin", stdin=token.pin + "\n")
    assert said.status == 0, said.err
    assert said.data == {
        "token": token.serial,
        "name": "CÔNG TY TNHH THỬ NGHIỆM",
        "done": True,
        "in_keyring": True,
        "verified": True,
    }
    assert simulator.count("C_Login") == 1
    assert kept(bus, token.serial) == token.pin
    assert csr(cli, tmp_path).status == 0
    assert cli.json("pin", "forget", "--serial", token.serial).data["done"] is True
    assert kept(bus, token.serial) == ""
    again = cli.json("pin", "forget", "--serial", token.serial)
    assert (again.status, again.data["done"]) == (0, False)


def test_a_wrong_pin_is_not_saved(inside: Cli, keyring: Keyring, token: MadeToken) -> None:
    """What does not open the token never reaches the keyring, and a try is told to be gone."""
    said = inside("pin", "store", "--pin-stdin", stdin="000000\n")
    assert said.status == 5
    assert "one try is spent" in said.err
    assert "does not say how many tries are left" in said.err
    assert keyring.pin(token.serial) == ""


def test_a_wrong_pin_of_the_keyring_is_dropped_at_once(
    inside: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """It costs one try, is gone, and the next run asks for one instead of trying it again."""
    table = tmp_path / "pins.csv"
    table.write_text(f"Token ID;Mã PIN\r\n{token.serial};000000\r\n", encoding="utf-8-sig")
    assert inside.json("pin", "import", str(table)).status == 0
    assert simulator.count("C_Login") == 0
    said = csr(inside, tmp_path)
    assert (said.status, said.codes) == (5, ["pin_wrong"])
    assert "dropped" in said.envelope["errors"][0]["hint"]
    assert keyring.pin(token.serial) == ""
    said = csr(inside, tmp_path)
    assert (said.status, said.codes) == (11, ["pin_needed"])
    assert simulator.memory(token.serial).failed == 1


def test_a_pin_whose_end_is_not_known_is_not_tried_again_by_itself(
    inside: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """A driver that says GENERAL_ERROR to a wrong PIN gets the keyring's once; after `pin store` it is used again."""
    assert inside.json("pin", "store", "--pin-stdin", stdin=token.pin + "\n").status == 0
    simulator.steer(faults=["C_Login 2 return GENERAL_ERROR"])
    said = csr(inside, tmp_path)
    assert (said.status, said.codes) == (17, ["pkcs11"])
    assert "counts a wrong try" in said.envelope["errors"][0]["hint"]
    assert csr(inside, tmp_path).codes == ["pin_needed"]
    assert simulator.count("C_Login") == 2
    assert inside.json("pin", "store", "--pin-stdin", stdin=token.pin + "\n").status == 0
    assert csr(inside, tmp_path).status == 0


def test_one_token_s_pin_is_never_tried_on_another(
    inside: Cli,
    keyring: Keyring,
    token: MadeToken,
    make_token: Callable[..., MadeToken],
    make_certificate: Callable[..., x509.Certificate],
    other_rsa_key: rsa.RSAPrivateKey,
    simulator: Simulator,
    tmp_path: Path,
) -> None:
    """With a PIN saved for one token, another one's renewal asks for its own and is not logged in to."""
    other = make_token("Other", certificates=[make_certificate(other_rsa_key, mst="0106324653")], keys=[other_rsa_key])
    (tmp_path / "home" / "settings.toml").write_text("[authorities.x]\nissuer_names = []\n")
    assert inside.json("pin", "store", "--serial", token.serial, "--pin-stdin", stdin=token.pin + "\n").status == 0
    before = simulator.count("C_Login")
    said = inside.json("pin", "change", "--serial", other.serial, "--new-pin-env", "P", env={"P": NEW})
    assert (said.status, said.codes) == (11, ["pin_needed"])
    assert (simulator.count("C_Login"), simulator.count("C_SetPIN")) == (before, 0)


def test_saved_is_never_said_of_a_keyring_that_forgets(cli: Cli, token: MadeToken) -> None:
    """The null back end takes everything and gives nothing back."""
    said = cli("pin", "store", "--pin-stdin", stdin=token.pin + "\n", env=NULL)
    assert said.status == 11
    assert "NOTHING IS SAVED" in said.err
    assert "is saved" not in said.out


def test_without_a_keyring_nobody_is_asked_for_a_pin(cli: Cli, token: MadeToken, simulator: Simulator) -> None:
    """No Secret Service: 11 at once, before any try."""
    said = cli.json("pin", "store", "--pin-stdin", stdin=token.pin + "\n", env=NONE)
    assert (said.status, said.codes) == (11, ["keyring_unusable"])
    assert simulator.calls() == []
    assert cli.json("pin", "forget", "--serial", token.serial, env=NONE).status == 11


def test_a_locked_keyring_is_told_and_costs_no_try(
    cli: Cli, token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """As after a login by key or by cron: `pin store` ends with 11, and a renewal says that a PIN is needed."""
    folder = tmp_path / "other"
    folder.mkdir()
    with secret_service(folder) as open_bus:
        assert cli.json("pin", "store", "--pin-stdin", stdin=token.pin + "\n", env=open_bus).status == 0
    before = simulator.count("C_Login")
    with secret_service(folder, locked=True) as locked_bus:
        said = cli.json("pin", "store", "--pin-stdin", stdin=token.pin + "\n", env=locked_bus)
        assert (said.status, said.codes) == (11, ["keyring_unusable"])
        assert csr(cli, tmp_path, env=locked_bus).codes == ["pin_needed"]
    assert simulator.count("C_Login") == before


def test_a_pin_is_changed_proven_and_the_keyring_follows(
    cli: Cli, bus: dict[str, str], token: MadeToken, simulator: Simulator
) -> None:
    """The new PIN opens the token before the change is called done; a saved PIN becomes the new one."""
    assert cli.json("pin", "store", "--pin-stdin", stdin=token.pin + "\n").status == 0
    said = cli.json("pin", "change", "--new-pin-env", "P", env={"P": NEW})
    assert said.status == 0, said.err
    assert (said.data["verified"], said.data["in_keyring"]) == (True, True)
    assert kept(bus, token.serial) == NEW
    assert simulator.count("C_Login") == 2
    back = cli.json("pin", "change", "--pin-stdin", stdin=f"{NEW}\n{token.pin}\n")
    assert back.status == 0, back.err
    assert kept(bus, token.serial) == token.pin


def test_a_wrong_old_pin_is_a_try_like_any_other(
    inside: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator
) -> None:
    """Two wrong ones and the third is refused before the token hears of it; a right one in the keyring stays there."""
    assert inside.json("pin", "store", "--pin-stdin", stdin=token.pin + "\n").status == 0
    for _time in (1, 2):
        said = inside.json("pin", "change", "--pin-stdin", stdin=f"000000\n{NEW}\n")
        assert (said.status, said.codes) == (5, ["pin_wrong"])
    assert "ONE TRY" in said.envelope["errors"][0]["hint"]
    third = inside.json("pin", "change", "--pin-stdin", stdin=f"{token.pin}\n{NEW}\n")
    assert (third.status, third.codes) == (6, ["last_try"])
    assert simulator.memory(token.serial).failed == 2
    assert keyring.pin(token.serial) == token.pin


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("246813\n12345\n", "pin_profile"),
        ("246813\n246813\n", "pin_same"),
        ("246813\n\n", "pin_refused_locally"),
        ("246813\n", "pin_refused_locally"),
    ],
)
def test_a_new_pin_that_will_not_do_is_refused_before_the_token(
    inside: Cli, keyring: Keyring, simulator: Simulator, lines: str, code: str
) -> None:
    """Outside the CA's profile, the old one again, empty or missing: nothing is sent, no try is spent, the next step is named."""
    said = inside.json("pin", "change", "--pin-stdin", stdin=lines)
    assert (said.status, said.codes) == (2, [code])
    (error,) = said.envelope["errors"]
    assert error["hint"]
    assert code != "pin_refused_locally" or "The new PIN is missing" in error["message"]
    assert simulator.count("C_SetPIN") == 0


@pytest.mark.parametrize("flags", ["honest", "never"])
def test_a_locked_token_is_told_with_its_id_and_the_ca_s_way(
    inside: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator, flags: str
) -> None:
    """PIN locked: the Token ID and how this CA unlocks it, whether the token's flags say so or only its answer."""
    simulator.steer(flags=flags)
    for _time in (1, 2):
        assert inside("pin", "store", "--pin-stdin", stdin="000000\n").status == 5
    last = inside("pin", "store", "--pin-stdin", "--force-last-try", stdin="000000\n")
    assert last.status == (6 if flags == "honest" else 5)
    said = inside("pin", "store", "--pin-stdin", "--force-last-try", stdin=token.pin + "\n")
    assert said.status == 6
    for words in ("locked", token.serial, "TEST-CA: send the form U1"):
        assert words in said.err


def test_an_imported_table_is_judged_row_by_row(
    inside: Cli, keyring: Keyring, token: MadeToken, tmp_path: Path, simulator: Simulator
) -> None:
    """Good rows are saved and bad ones named by their row; no PIN is tried or shown, and the file is kept until they are right."""
    table = tmp_path / "pins.csv"
    table.write_text(
        "Đơn vị,Số token,PIN\n"
        f'"Công ty, A",{token.serial},{token.pin}\nB,,111222\nC,T3,\nD,5.40715E+15,333444\nE,T5,555666\nF,T5,777888\n',
        encoding="utf-8",
    )
    table.chmod(0o644)
    said = inside("pin", "import", str(table))
    assert said.status == 12
    assert keyring.pin(token.serial) == token.pin
    for words in ("Row 3", "Row 4", "Row 5", "Row 6", "Row 7", "1 PINs are saved", "Others"):
        assert words in said.out + said.err
    assert f"NOT saved: rows 3, 4, 5, 6, 7 of {table}" in " ".join(said.out.split())
    assert f"Do not delete {table} yet" in " ".join(said.out.split())
    assert f"Delete {table}" not in said.out + said.err
    assert not any(pin in said.out + said.err for pin in (token.pin, "111222", "333444", "555666", "777888"))
    assert simulator.calls() == []
    documented = inside.json("pin", "import", str(table))
    assert [row["row"] for row in documented.data["failed"]] == [3, 4, 5, 6, 7]
    assert documented.codes == ["pin_row"] * 5


def test_a_table_is_to_be_deleted_once_all_of_it_is_saved(
    inside: Cli, keyring: Keyring, token: MadeToken, tmp_path: Path
) -> None:
    """Every row saved, for tokens seen here: delete the file now. For one never seen the Token ID is to be compared first."""
    table = tmp_path / "pins.csv"
    table.write_text(f"Token ID;PIN\n{token.serial};{token.pin}\n", encoding="utf-8")
    said = inside.json("pin", "import", str(table))
    assert (said.status, said.data["never_seen"]) == (0, [token.serial])
    assert f"Once they are right, delete {table}" in " ".join(inside("pin", "import", str(table)).out.split())
    assert inside("tokens").status == 0
    assert f"Delete {table} now" in " ".join(inside("pin", "import", str(table)).out.split())


def test_a_token_id_in_other_letters_than_the_token_s_is_asked_about(
    inside: Cli, keyring: Keyring, token: MadeToken, tmp_path: Path
) -> None:
    """Serials are compared exactly: one that differs by case, spaces or zeros from a token seen here is not saved but named."""
    assert inside("tokens").status == 0
    written = f"0{token.serial.upper()[:4]} {token.serial.upper()[4:]}"
    table = tmp_path / "pins.csv"
    table.write_text(f"Token ID;PIN\n{written};{token.pin}\n", encoding="utf-8")
    said = inside.json("pin", "import", str(table))
    assert (said.status, said.codes, keyring.kept) == (12, ["pin_row"], {})
    assert f"{token.serial} is known: is it that one?" in said.envelope["errors"][0]["message"]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('Token ID;PIN;Ghi chú\nT1;111222;"hai\ndòng"\nT2;333444;\nT3;;\n', 4),
        ("sep=;\nID Token;PIN\nT1;111222\nT2;333444\nT3;\n", 4),
        ("\nSố Serial Token;Mã PIN\nT1;111222\nT2;333444\nT3;\n", 5),
    ],
)
def test_a_table_of_pins_is_read_as_a_list_for_batch_plan_is(
    inside: Cli, keyring: Keyring, tmp_path: Path, text: str, row: int
) -> None:
    """Its separator named as Excel does, an empty line above, the same headers; rows are counted as the sheet shows them."""
    table = tmp_path / "pins.csv"
    table.write_text(text, encoding="utf-8-sig")
    said = inside.json("pin", "import", str(table))
    assert said.data["saved"] == ["T1", "T2"]
    assert [one["row"] for one in said.data["failed"]] == [row]


def test_pins_kept_in_a_workbook_are_imported_as_they_are(
    inside: Cli, keyring: Keyring, token: MadeToken, tmp_path: Path
) -> None:
    """XLSX as it is: nobody has to save the PINs a second time. A Token ID that was rounded is left out, and a PIN that may have
    lost zeros before it: it would cost a try.
    """
    book = openpyxl.Workbook()
    lines = [["Token ID", "Mã PIN"], [token.serial, token.pin], [1234567890123456, 12345678]]
    lines += [
        ["a1", 246813],
        ["a2", 24681357],
        ["a3", 2468.5],
        ["a4", True],
        ["a5", date(2026, 11, 22)],
        ["a6", " 012345 "],
        ["a7", "#N/A"],
    ]
    for line in lines:
        book.worksheets[0].append(line)
    table = tmp_path / "pins.xlsx"
    book.save(table)
    said = inside.json("pin", "import", str(table))
    assert said.status == 12
    assert [row["row"] for row in said.data["failed"]] == [3, 4, 6, 7, 8, 10]
    kept = [keyring.pin(serial) for serial in (token.serial, "a1", "a2", "a3", "a6", "a7")]
    assert kept == [token.pin, "", "24681357", "", "012345", ""]


@pytest.mark.parametrize("heads", ["Token ID;PIN;Mật khẩu", "Serial;Token ID;PIN"])
def test_of_two_columns_that_say_the_same_none_is_taken(
    inside: Cli, keyring: Keyring, tmp_path: Path, heads: str
) -> None:
    """An old PIN beside the new one, a certificate's serial beside the token's: nobody guesses which; nothing is saved."""
    table = tmp_path / "pins.csv"
    table.write_text(f"{heads}\na1;246813;246814\n", encoding="utf-8")
    said = inside.json("pin", "import", str(table))
    assert (said.status, said.codes, keyring.kept) == (2, ["pin_table"], {})
    assert "246813" not in said.out + said.err


def test_what_a_spreadsheet_puts_before_text_is_no_part(inside: Cli, keyring: Keyring, tmp_path: Path) -> None:
    """A Token ID is kept as keys type it, without apostrophe and what no eye sees, as a list's is; a PIN behind an apostrophe, or
    with such letters, would cost a try: it is left out. What other programs write so that zeros stay is the PIN in it.
    """
    table = tmp_path / "pins.csv"
    lines = ["'a1;246813", "\u200ba2\u00a0;246814", "a3;'246815", "a4;246816\u200b", "a5;２46817", '="a6";="046818"']
    table.write_text("\n".join(["Token ID;PIN", *lines]), encoding="utf-8")
    said = inside.json("pin", "import", str(table))
    assert (said.status, said.data["saved"]) == (12, ["a1", "a2", "a6"])
    assert [row["row"] for row in said.data["failed"]] == [4, 5, 6]
    assert [keyring.pin(f"a{n}") for n in range(1, 7)] == ["246813", "246814", "", "", "", "046818"]


def test_a_workbook_with_more_sheets_is_not_to_be_deleted(inside: Cli, keyring: Keyring, tmp_path: Path) -> None:
    """Only its first sheet was read: the others are named, and nobody is told to delete the only copy of what stands there."""
    book = openpyxl.Workbook()
    for name in ("Tháng 10", "Tháng 11", "trống"):
        book.create_sheet(name)
    del book["Sheet"]
    for at, serial in enumerate(("a1", "a2")):
        book.worksheets[at].append(["Token ID", "PIN"])
        book.worksheets[at].append([serial, "246813"])
    table = tmp_path / "pins.xlsx"
    book.save(table)
    assert inside.json("pin", "import", str(table)).data["ignored_sheets"] == ["Tháng 11"]
    said = inside("pin", "import", str(table), "--lang", "en")
    assert ("Not read: Tháng 11" in said.out, "Do not delete" in said.out) == (True, True)


def test_a_token_id_that_looks_like_a_power_of_ten_is_a_token_id(inside: Cli, keyring: Keyring, tmp_path: Path) -> None:
    """Sixteen hexadecimal digits, one of them an e between decimal ones: nothing was shortened, and the PIN is saved."""
    table = tmp_path / "pins.csv"
    table.write_text("Token ID;PIN\n3813531e65711500;246813\n", encoding="utf-8")
    assert inside.json("pin", "import", str(table)).status == 0
    assert keyring.pin("3813531e65711500") == "246813"


@pytest.mark.parametrize("content", [b"", b"name;number\n1;2\n", b"token;pin\n\xff\xfe;1\n", b"PK\x03\x04rest"])
def test_a_file_that_is_no_table_saves_nothing(inside: Cli, keyring: Keyring, tmp_path: Path, content: bytes) -> None:
    """No header, other columns, other bytes: one sentence, and nothing is kept."""
    table = tmp_path / "pins.csv"
    table.write_bytes(content)
    said = inside.json("pin", "import", str(table))
    assert (said.status, said.codes) == (2, ["pin_table"])


def test_no_token_and_several_tokens_are_told(
    inside: Cli, keyring: Keyring, make_token: Callable[..., MadeToken], token: MadeToken, simulator: Simulator
) -> None:
    """`pin` chooses as every command does: 3 for one that is not in, 4 for several, 11 for one not activated."""
    assert inside.json("pin", "store", "--serial", "X", "--pin-stdin", stdin="246813\n").codes == ["token_not_in"]
    empty = make_token("Empty")
    said = inside.json("pin", "change", "--serial", empty.serial, "--pin-stdin", stdin=f"246813\n{NEW}\n")
    assert (said.status, said.codes) == (11, ["not_activated"])
    assert simulator.count("C_Login") == 0
    several = inside.json("pin", "forget")
    assert (several.status, several.codes) == (4, ["several_tokens"])


def test_a_new_pin_is_typed_twice(inside: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator) -> None:
    """Two that differ change nothing; two alike do; each question names the company and the token."""
    with at_the_keyboard(Person([token.pin, NEW, "135791"])) as person:
        said = inside("pin", "change")
    assert said.status == 2
    assert "not the same" in said.err
    assert simulator.count("C_SetPIN") == 0
    assert all(token.serial in question for question in person.heard[:2])
    with at_the_keyboard(Person([token.pin, NEW, NEW])):
        assert inside("pin", "change").status == 0
    assert inside("pin", "store", "--pin-stdin", stdin=NEW + "\n").status == 0


def test_a_person_may_try_once_more_and_never_where_it_could_lock(
    inside: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator
) -> None:
    """After a wrong PIN one more is asked for, default no; after the second nobody is asked; a run spends two at most."""
    with at_the_keyboard(Person(["000000", token.pin], yes=False)):
        assert inside("pin", "store").status == 5
    with at_the_keyboard(Person(["000000", token.pin])) as person:
        assert inside("pin", "store").status == 5
    assert "Type it again?" not in person.heard
    assert simulator.memory(token.serial).failed == 2
    with at_the_keyboard(Person([token.pin])) as person:
        assert inside("pin", "store").status == 6
    assert person.pins == [token.pin]
    assert inside("pin", "store", "--pin-stdin", "--force-last-try", stdin=token.pin + "\n").status == 0


def test_a_pin_unlike_the_ca_s_is_asked_about_once(
    inside: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator
) -> None:
    """Too short, too long or with Vietnamese marks: not sent unless the person says so."""
    for typed in ("12345", "123456789", "mật mã"):
        with at_the_keyboard(Person([typed], yes=False)) as person:
            assert inside("pin", "store").status == 2
        assert any("no try is spent" in line for line in person.heard)
    assert simulator.count("C_Login") == 0


def test_a_pin_pad_asks_itself(inside: Cli, keyring: Keyring, token: MadeToken, simulator: Simulator) -> None:
    """A token with its own keypad is never given a PIN by the computer, and none can be kept for it."""
    simulator.steer(pin_pad="yes", pad_pin=token.pin)
    with at_the_keyboard(Person()) as person:
        said = inside.json("pin", "store")
    assert (said.status, said.codes) == (11, ["pin_pad"])
    assert not any("Token ID" in line for line in person.heard)
