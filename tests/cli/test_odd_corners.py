"""Small things that each command says or does not say: a clock the CA does not tell, a hook that is no program, a table of PINs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support_clock import Clocked
from support_inside import Inside
from support_issued import issued
from support_pins import Keyring, Person, at_the_keyboard
from support_simulator import Simulator
from support_store import NOW, certificate, reading, renewal
from support_tokens import MadeToken, SoftHsm

from safetok.knowledge import load
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.journal import Journal
from safetok.store.paths import home
from safetok.store.registrations import Registrations
from safetok.tokens.locks import lock_name
from safetok.workflows import doctor_state, sheets

Make = Callable[..., MadeToken]


@pytest.fixture
def cli(softhsm: SoftHsm, tmp_path: Path) -> Inside:
    """The command line in this process, with SoftHSM as its only driver, a home of its own and no keyring."""
    return Inside(
        {
            "SAFETOK_HOME": str(tmp_path / "home"),
            **softhsm.surroundings,
            "SHELL": "/bin/sh",
            "SAFETOK_LANG": "en",
        }
    )


def findings(cli: Inside, *words: str) -> dict[str, dict[str, Any]]:
    return {one["code"]: one for one in cli.json("doctor", *words).data["findings"]}


# --- doctor --------------------------------------------------------------------------------------------------------------


def test_a_check_that_breaks_is_a_finding_of_its_own(cli: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception nobody foresaw: named by its kind, its text kept to itself, and every other check is made."""
    monkeypatch.setattr(doctor_state, "past", lambda _context: iter([1 // 0]))
    with Keyring.in_use():
        found = findings(cli, "--offline")
    assert "ZeroDivisionError" in found["check_failed"]["message"]
    assert "--log-file" in found["check_failed"]["step"]
    assert found["keyring"]["grade"] == "good"


def test_settings_that_name_a_broken_file_stop_no_look_at_the_token(
    cli: Inside, make_token: Make, ec_key: Any, tmp_path: Path
) -> None:
    """A CA's certificate in the settings is no certificate: the token and its certificate are found all the same."""
    make_token("Kho A", certificates=[issued(ec_key)], keys=[ec_key])
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    (folder / "ca.pem").write_text("no certificate")
    (folder / "settings.toml").write_text('[authorities.safe-ca]\nissuers = ["ca.pem"]\nanchors = ["ca.pem"]\n')
    found = findings(cli, "--offline")
    assert "driver" in found
    assert "keys_need_pin" in found


def test_a_token_that_has_just_come_is_not_logged_in_to(cli: Inside, make_token: Make, simulator: Simulator) -> None:
    """`doctor --serial` on a token without a certificate: its keys are not looked at, no PIN is typed into it."""
    made = make_token("Mới")
    env = {**cli.env, **simulator.environment}
    said = Inside(env).json("doctor", "--offline", "--serial", made.serial, "--pin-stdin", stdin=f"{made.pin}\n")
    assert not {"keys", "orphan_key"} & {one["code"] for one in said.data["findings"]}
    assert simulator.count("C_Login") == 0


# --- PINs in a table -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "limit", "says"),
    [
        (None, 1 << 20, "cannot be read"),
        (b"token;pin\n" + b"1;2\n" * 10, 40, "larger"),
        (b'token;pin\n"1;2\n' + b"x" * 140_000, 1 << 20, "no table"),
    ],
)
def test_a_table_of_pins_that_cannot_be_read_saves_nothing(
    cli: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, limit: int, says: str
) -> None:
    """Missing, too large, quotes that do not close: 2 with the reason."""
    monkeypatch.setattr(sheets, "LARGEST", limit)
    path = tmp_path / "pins.csv"
    if content is not None:
        path.write_bytes(content)
    with Keyring.in_use() as keyring:
        said = cli.json("pin", "import", str(path))
    assert (said.status, said.codes, keyring.kept) == (2, ["pin_table"], {})
    assert says in said.envelope["errors"][0]["message"]


def test_a_table_of_pins_saved_as_unicode_text_is_read(cli: Inside, tmp_path: Path) -> None:
    """As Excel saves "Unicode text"."""
    path = tmp_path / "pins.csv"
    path.write_bytes("token;pin\nT1;123456\n".encode("utf-16"))
    with Keyring.in_use() as keyring:
        assert cli.json("pin", "import", str(path)).status == 0
        assert keyring.pin("T1") == "123456"


# --- one state, one next command -----------------------------------------------------------------------------------------


@pytest.fixture
def clocked(tmp_path: Path) -> Clocked:
    """A home where agencies wait for a new certificate; no driver is needed."""
    env = {"SAFETOK_HOME": str(tmp_path / "home"), "SAFETOK_MODULE": str(tmp_path / "none.so"), "SAFETOK_LANG": "en"}
    made = Clocked(env, NOW)
    old = certificate(1, not_after=NOW + timedelta(days=20))
    new = certificate(2, not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(days=400))
    with Database(home(made.env).database) as db:
        Inventory(db).record(reading("T1", old, new), NOW)
        Registrations(db).open_for(new, load.agencies(), NOW, replaces=old.sha256)
    return made


def test_the_way_of_a_renewal_whose_certificate_cannot_be_read(clocked: Clocked) -> None:
    """Bytes that are no certificate: `history` shows the renewal without a name, and does not fail."""
    with Database(home(clocked.env).database) as db:
        Journal(db).create(renewal(token_serial="T1", old_certificate=b"nothing", certificate=b"nothing either"))
    said = clocked.json("history")
    assert said.status == 0
    assert len(said.data["renewals"]) == 1


def test_a_hook_that_is_no_program_is_told_and_stops_nothing(clocked: Clocked, tmp_path: Path) -> None:
    """An executable file that the system cannot run: why, once; what happened is recorded all the same."""
    hooks = tmp_path / "home" / "hooks"
    hooks.mkdir(mode=0o700)
    (hooks / "10-nothing").write_bytes(b"\x7fELF nothing")
    (hooks / "10-nothing").chmod(0o700)
    said = clocked.json("agencies", "done", "vnaccs")
    assert said.status == 0, said.out
    assert "10-nothing" in said.err + said.out
    assert [one["state"] for one in said.data["registrations"] if one["agency"] == "vnaccs"]


def test_among_many_a_person_chooses_the_company_of_a_renewal(cli: Inside, make_token: Make, ec_key: Any) -> None:
    """Two tokens in: the companies are offered with MST, Token ID and last day; the one chosen is meant."""
    make_token("Kho A", certificates=[issued(ec_key)], keys=[ec_key])
    make_token("Kho B", certificates=[issued(ec_key, mst="0106323762", name="CÔNG TY KHÁC")], keys=[ec_key])
    with at_the_keyboard(Person()) as person:
        said = cli.json("renew", "--dry-run")
    assert said.codes == ["no_endpoint"]
    assert sum("Token ID" in line and "MST" in line for line in person.heard) == 2
    assert cli.json("renew", "--dry-run", "--mst", "0199999999").codes == ["certificate_not_in"]


def test_a_driver_file_of_p11_kit_that_cannot_be_read_is_passed_over(
    cli: Inside, make_token: Make, tmp_path: Path, softhsm: SoftHsm
) -> None:
    """A module file that is a folder, one whose library is not there: the others are used."""
    made = make_token("Kho A")
    folder = tmp_path / "config" / "pkcs11" / "modules"
    (folder / "a.module").mkdir(parents=True)
    (folder / "b.module").write_text("module: nowhere.so\n")
    (folder / "c.module").write_text(f"module: {softhsm.module}\n")
    said = cli.json("tokens", env={"SAFETOK_MODULE": "", "XDG_CONFIG_HOME": str(tmp_path / "config")})
    assert made.serial in [token["serial"] for token in said.data["tokens"]]


def test_a_lock_without_a_note_is_told_without_a_process(cli: Inside, make_token: Make, ec_key: Any) -> None:
    """Somebody holds the token's lock and left no name there: 16 all the same."""
    made = make_token("Kho A", certificates=[issued(ec_key)], keys=[ec_key])
    assert cli("status").status in {0, 11, 14}
    locks = home(cli.env).locks
    locks.mkdir(mode=0o700, parents=True, exist_ok=True)
    script = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(); sys.stdin.read()"
    words = [sys.executable, "-u", "-c", script, str(locks / lock_name(made.serial))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        said = cli.json("pin", "change", "--pin-stdin", stdin=f"{made.pin}\n135790\n")
    assert (said.status, said.codes) == (16, ["token_held"])
