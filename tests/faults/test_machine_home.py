"""A home that cannot be used as it is: read-only, somebody else's, on a network, damaged, older or newer. One sentence each."""

from __future__ import annotations

import hashlib
import os
import pwd
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from support_cli import Said
from support_faults import Box
from support_inside import Inside
from support_pins import command_line
from support_simulator import Simulator
from support_store import NOW, renewal, written_by_version
from support_tokens import MadeToken

from safetok.domain.renewal import Hold, State
from safetok.store import paths, schema
from safetok.store.database import Database
from safetok.store.journal import Journal
from safetok.store.pins import PinLog

NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """The folder of SAFETOK_HOME, made removable again at the end."""
    yield tmp_path / "home"
    subprocess.run(["chmod", "-R", "u+rwX", str(tmp_path)], check=True)


@pytest.fixture
def cli(simulator: Simulator, token: MadeToken, home: Path) -> Inside:
    return Inside(command_line(home, simulator.surroundings).env)


def told(said: Said, code: str, status: int = 2) -> None:
    """One clear sentence with its next step, and no traceback."""
    assert (said.status, said.codes) == (status, [code]), said
    (error,) = said.envelope["errors"]
    assert error["message"].strip()
    assert error["hint"].strip()
    assert "Traceback" not in said.err


def everything(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


WRITING = (["pin", "change", "--pin-stdin"], ["renew", "--csr", "request.pem", "--pin-stdin"], ["status"])


def as_one_user(cli: Inside, *words: str, home: Path | None = None, **env: str) -> Said:
    """The program as any user runs it: where the tests are root's, without root's right to pass over permissions."""
    rights = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner,-chown", "--inh-caps", "-all"]
    done = subprocess.run(
        [*(rights if os.geteuid() == 0 else []), sys.executable, "-m", "safetok", *words, "--json"],
        env=cli.environment(env | ({"SAFETOK_HOME": str(home)} if home else {})),
        input="246813\n135790\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("words", WRITING, ids=" ".join)
def test_a_home_that_cannot_be_made_is_told(
    cli: Inside, simulator: Simulator, tmp_path: Path, words: list[str]
) -> None:
    """A file stands where the home should be: told before any login."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    told(cli.json(*words, stdin="246813\n135790\n", env={"SAFETOK_HOME": str(blocked / "home")}), "home_unusable")
    assert simulator.count("C_Login") == simulator.count("C_SetPIN") == 0


def test_a_home_that_may_only_be_read_is_told_and_looked_at(
    cli: Inside, home: Path, simulator: Simulator, token: MadeToken
) -> None:
    """Nothing that would have to be kept is begun, no PIN is tried; what only looks goes on."""
    assert cli.json("status").status == 0
    with Database(home / "state.db") as state:
        state.run("PRAGMA wal_checkpoint(TRUNCATE)")
    for path in [*home.rglob("*"), home]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    before = everything(home)
    told(as_one_user(cli, "renew", "--csr", "/dev/null", "--pin-stdin"), "state_unusable")
    assert "it may only be read" in as_one_user(cli, "status").envelope["errors"][0]["message"]
    told(as_one_user(cli, "tokens", "note", token.serial, "x"), "state_unusable")
    assert simulator.count("C_Login") == 0
    assert as_one_user(cli, "history").status == 0
    assert as_one_user(cli, "renew", "--list").status == 0
    assert everything(home) == before


def test_a_home_of_somebody_else_is_told_and_left_alone(
    cli: Inside, home: Path, tmp_path: Path, simulator: Simulator
) -> None:
    """A home that belongs to another user is not written to, nor are its permissions touched."""
    theirs = Path("/usr/share")
    if os.geteuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir(mode=0o755)
        os.chown(theirs, NOBODY, NOBODY)
    before = theirs.stat()
    said = as_one_user(cli, "pin", "change", "--pin-stdin", home=theirs)
    told(said, said.codes[0])
    assert said.codes[0] in {"home_unusable", "state_unusable"}
    assert (theirs.stat().st_mode, theirs.stat().st_uid) == (before.st_mode, before.st_uid)
    assert simulator.count("C_Login") == simulator.count("C_SetPIN") == 0


LOOKS = (["agencies", "remind", "--check"], ["renew", "--list"], ["history"], ["dossier", "list"])


@pytest.mark.parametrize("words", [*LOOKS, ["status"], ["tokens"]], ids=" ".join)
def test_a_home_that_may_not_be_entered_is_told(cli: Inside, tmp_path: Path, words: list[str]) -> None:
    """A folder left closed (by a run as root, say) is no empty one: whoever only looks is told, in one sentence, and in the
    language that nobody chose, because the settings inside cannot be read.
    """
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "settings.toml").write_text('language = "en"\n')
    if os.geteuid() == 0:
        os.chown(closed, NOBODY, NOBODY)
    else:
        closed.chmod(0)
    said = as_one_user(cli, *words, home=closed, SAFETOK_LANG="")
    told(said, "bad_settings")
    assert "không có quyền truy cập" in said.envelope["errors"][0]["message"]
    findings = {one["code"] for one in as_one_user(cli, "doctor", home=closed, SAFETOK_LANG="").data["findings"]}
    assert {"bad_settings", "home_unusable"} <= findings
    assert "check_failed" not in findings


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_a_file_in_place_of_the_home_is_no_empty_home(cli: Inside, tmp_path: Path, words: list[str]) -> None:
    """What waits cannot be known there: a reminder that says nothing waits would be believed."""
    (tmp_path / "file").write_text("")
    told(cli.json(*words, env={"SAFETOK_HOME": str(tmp_path / "file" / "home")}), "state_unusable")


@pytest.mark.parametrize("named", ["~nobody-has-this-name/x", "/" + "x" * 300], ids=["no such user", "too long"])
@pytest.mark.parametrize("words", [["agencies", "remind"], ["status"], ["config"]], ids=" ".join)
def test_a_home_that_names_no_place_is_told(cli: Inside, named: str, words: list[str]) -> None:
    """The language is looked up before anything else: it must not be what ends the run."""
    said = as_one_user(cli, *words, home=Path(named))
    told(said, said.codes[0])
    assert said.codes[0] in {"home_unusable", "bad_settings"}
    assert cli("--help", env={"SAFETOK_HOME": named, "SAFETOK_LANG": ""}).status == 0


def test_a_home_beside_a_folder_that_is_gone_is_told(cli: Inside, tmp_path: Path) -> None:
    """A relative SAFETOK_HOME in a folder that was removed meanwhile."""
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'cd "$1" && rmdir "$1" && exec "$2" -m safetok history --json'
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(gone), sys.executable],
        env=cli.environment({"SAFETOK_HOME": "home"}),
        capture_output=True,
        text=True,
        check=False,
    )
    told(Said(done.returncode, done.stdout, done.stderr), "home_unusable")


def test_a_user_without_a_home_is_told_to_name_one(cli: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the user may have no name and no HOME: there is no place for the state unless one is named."""
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: (_ for _ in ()).throw(KeyError("no such user")))
    nameless = {"HOME": "", "SAFETOK_HOME": "", "SAFETOK_LANG": "", "XDG_CONFIG_HOME": "", "XDG_STATE_HOME": ""}
    with monkeypatch.context() as without:
        without.setattr(
            cli, "environment", lambda env=None: {k: v for k, v in nameless.items() if k != "HOME"} | (env or {})
        )
        said = cli.json("agencies", "list")
    told(said, "home_unusable")
    assert "SAFETOK_HOME" in said.envelope["errors"][0]["hint"]


def test_settings_nested_without_end_are_told_in_vietnamese(cli: Inside, home: Path) -> None:
    """The language is looked up in that file, too."""
    home.mkdir(exist_ok=True)
    (home / "settings.toml").write_text("timeout = " + "[" * 5000 + "]" * 5000)
    said = cli.json("agencies", "list", env={"SAFETOK_LANG": ""})
    told(said, "bad_settings")
    assert "TOML" in said.envelope["errors"][0]["message"]


def test_a_home_open_to_others_is_closed(cli: Inside, home: Path) -> None:
    """One made by hand with the usual permissions holds a journal from now on: others can no longer read it."""
    home.chmod(0o755)
    assert cli.json("status").status == 0
    assert home.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("words", WRITING, ids=" ".join)
def test_a_home_on_a_network_is_refused(
    cli: Inside, simulator: Simulator, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks and shared memory of another machine are no place for a journal: refused by name, before any login."""
    monkeypatch.setattr(paths, "network_file_system", lambda _folder: "nfs4")
    said = cli.json(*words, stdin="246813\n135790\n")
    told(said, "network_file_system")
    assert "nfs4" in said.envelope["errors"][0]["message"]
    assert simulator.count("C_Login") == 0


@pytest.mark.parametrize("words", [*WRITING, ["history"], ["renew", "--list"]], ids=" ".join)
def test_a_newer_journal_is_refused_untouched(cli: Inside, home: Path, simulator: Simulator, words: list[str]) -> None:
    """What a newer safetok wrote is neither changed nor guessed at."""
    assert cli.json("status").status == 0
    with sqlite3.connect(home / "state.db") as raw:
        raw.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    raw.close()
    before = everything(home)
    told(cli.json(*words, stdin="246813\n135790\n"), "state_newer")
    assert simulator.count("C_Login") == 0
    assert {name: content for name, content in everything(home).items() if name in before} == before


def test_a_damaged_journal_is_told(cli: Inside, home: Path, simulator: Simulator) -> None:
    """A file that is no journal stops everything that would write, by name, and stays as it is."""
    (home / "state.db").write_bytes(b"no database" * 1000)
    before = everything(home)
    said = cli.json("renew", "--csr", "request.pem", "--pin-stdin", stdin="246813\n")
    told(said, "state_damaged", status=1)
    assert everything(home) == before
    assert simulator.count("C_Login") == 0


def test_an_old_journal_is_carried_over(
    cli: Inside, home: Path, token: MadeToken, monkeypatch: pytest.MonkeyPatch, make_certificate: Any, ec_key: Any
) -> None:
    """Under a version with more tables, an unfinished renewal of the old one is seen before and after the first write."""
    with Database(home / "state.db") as state:
        old = make_certificate(ec_key).public_bytes(Encoding.DER)
        Journal(state).create(renewal(1, token_serial=token.serial, hold=Hold.NEED_TOKEN, old_certificate=old))
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, ("CREATE TABLE later (a)",)))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    before = everything(home)
    assert [row["renewal_id"] for row in cli.json("history").data["renewals"]] == ["r1"]
    assert everything(home) == before
    assert [row["renewal_id"] for row in cli.json("status").data["renewals"]] == ["r1"]
    assert cli.json("tokens", "note", token.serial, "tủ A3").status == 0
    with Database(home / "state.db") as state:
        assert state.row("PRAGMA user_version")[0] == schema.VERSION
        assert [one.id for one in Journal(state).unfinished()] == ["r1"]


@pytest.mark.parametrize("version", range(1, schema.VERSION))
def test_a_renewal_begun_under_an_older_version_is_finished(box: Box, version: int) -> None:
    """From every version there was: an interrupted renewal with its PIN tries is carried on and ends with one certificate."""
    box.plan({"name": "cut", "on": "certConf"})
    assert box.renew(new_key=True).status == 8
    with Database(box.places.home / "state.db") as state:
        PinLog(state).begin(box.token.serial, "login", NOW)
    written_by_version(box.places.home / "state.db", version)
    with Database(box.places.home / "state.db", read_only=True) as state:
        assert [one.state for one in Journal(state).unfinished()] == [State.PROVEN]
    assert box.resume().status == 0
    assert [row["state"] for row in box.issued()] == ["confirmed"]
    assert len(box.objects()["Certificate"]) == 2
    with Database(box.places.home / "state.db") as state:
        assert state.row("PRAGMA user_version")[0] == schema.VERSION
        assert len(state.rows("SELECT * FROM registrations")) > 1
        assert PinLog(state).count(box.token.serial) == 1


def test_a_journal_that_was_only_begun_is_a_new_one(cli: Inside, home: Path, token: MadeToken) -> None:
    """A run that died between making the file and its tables leaves an empty one: looked at, then used as new."""
    (home / "state.db").touch(0o600)
    assert cli.json("history").data["renewals"] == []
    assert cli.json("status").status == 0
    assert cli.json("tokens", "note", token.serial, "tủ A3").status == 0


def test_a_clock_that_jumps_loses_nothing(cli: Inside, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock set back by years, then forward: the order of events stays as they came, and `history` shows the newest first."""
    with Database(home / "state.db") as state:
        journal = Journal(state)
        at = journal.create(renewal(1))
        for state_, years in ((State.REQUESTED, -6), (State.PENDING, 12), (State.ISSUED, 0)):
            at = journal.advance(at, state_, now=NOW + timedelta(days=365 * years))
        journal.create(renewal(2, created_at=datetime(1971, 1, 1, tzinfo=UTC)))
    found = cli.json("history").data["renewals"]
    assert [row["renewal_id"] for row in found] == ["r1", "r2"]
    assert [step["state"] for step in found[0]["way"]] == ["CONFIRMED", "REQUESTED", "PENDING", "ISSUED"]
