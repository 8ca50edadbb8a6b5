"""A disk that is full at any commit: said in one sentence, nothing lost, and the same command goes on once there is room."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support_inside import Inside
from support_simulator import Simulator
from support_tokens import MadeToken

from safetok.domain.renewal import State
from safetok.store.database import Database
from safetok.store.journal import Journal
from safetok.store.pins import PinLog
from safetok.store.troubles import told as told_of


@contextmanager
def full_at(commit: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The disk is full from the n-th commit on: SQLite itself is kept from growing the file, and its log from being emptied."""
    seen: list[int] = []
    commit_as_ever = Database._commit

    def limited(self: Database) -> None:
        seen.append(len(seen) + 1)
        if len(seen) >= commit:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            self._roll_back()
            raise told_of(error, self.path)
        commit_as_ever(self)

    run_as_ever = Database.run

    def alone(self: Database, sql: str, values: Any = ()) -> int:
        """A change outside a transaction is a commit of its own."""
        if self._depth:
            return run_as_ever(self, sql, values)
        with self.transaction():
            return run_as_ever(self, sql, values)

    with monkeypatch.context() as patch:
        patch.setattr(Database, "_commit", limited)
        patch.setattr(Database, "run", alone)
        yield seen


def test_a_look_that_cannot_be_kept_is_shown(
    cli: Inside, token: MadeToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`status` and `safetok` on a full disk show what they read, and say that it could not be kept and what to do."""
    with full_at(1, monkeypatch):
        said = cli.json("status")
        assert (said.status, said.codes) == (1, ["state_disk_full"])
        assert [one["serial"] for one in said.data["tokens"]] == [token.serial]
        assert "Free some space" in cli("--lang", "en").err


def test_no_room_for_sqlites_own_files_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SQLite calls an I/O error is a full disk where there is no room, and stays what it is where there is."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    assert told_of(error, tmp_path / "state.db").code == "state_failed"
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 0})())
    assert told_of(error, tmp_path / "state.db").code == "state_disk_full"


def test_half_a_report_is_not_left(
    cli: Inside, token: MadeToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`doctor --bundle` on a full disk ends 2 and leaves no file of that name."""

    def full(handle: int, _mode: str) -> Any:
        os.close(handle)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetok.workflows.doctor_bundle.open", full, raising=False)
    said = cli.json("doctor", "--offline", "--bundle", str(tmp_path / "report.zip"))
    assert (said.status, said.codes) == (2, ["file_not_written"])
    assert not (tmp_path / "report.zip").exists()


def test_a_disk_full_at_each_commit_loses_nothing(
    cli: Inside, token: MadeToken, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever commit fails, the run ends with one sentence and 1, no login happens that was not written down before, and
    the same command later ends well.
    """
    words = ["renew", "--csr", str(tmp_path / "request.pem"), "--pin-stdin"]
    commit, ends = 0, 0
    while not ends:
        commit += 1
        simulator.forget()
        with full_at(commit, monkeypatch) as seen:
            said = cli.json(*words, stdin=f"{token.pin}\n")
        if len(seen) < commit:
            ends = said.status == 0
            break
        assert (said.status, said.codes) == (1, ["state_disk_full"]), (commit, said.err)
        error = said.envelope["errors"][0]
        assert "state.db" in error["message"]
        assert error["hint"]
        with Database(tmp_path / "home" / "state.db") as state:
            tries = state.rows("SELECT outcome FROM pin_attempts")
            assert len(tries) >= simulator.count("C_Login")
            for renewal in Journal(state).all():
                assert Journal(state).events(renewal.id)[-1].state is renewal.state
            state.run("DELETE FROM pin_attempts")
    assert ends
    assert commit > 4
    assert (tmp_path / "request.pem").exists()
    with Database(tmp_path / "home" / "state.db") as state:
        (renewal,) = Journal(state).all()
        assert renewal.state is State.REQUESTED
        assert PinLog(state).count(token.serial) == 0


@pytest.fixture(scope="session")
def full_disks() -> list[dict[str, Any]]:
    """What became of a renewal with a new key on a disk that was really full: from the start, then at each commit in turn."""
    script = Path(__file__).with_name("full_disk.py")
    apart = ["unshare", "--mount", "--propagation", "unchanged", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    done = subprocess.run(
        [*apart, sys.executable, str(script), "new"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_renewal_survives_a_disk_really_full_at_each_commit(full_disks: list[dict[str, Any]]) -> None:
    """Whichever commit finds no room: once there is some, `renew --resume` ends with one certificate issued, confirmed and paired
    with its key, its registrations open, no key left over and no PIN try spent, as other programs see it.
    """
    assert len(full_disks) > 9
    for told in full_disks:
        assert told["wrong"] == [], told
        assert told["then"] == [0, 0], told
        assert told["tries"] == 0, told


def test_a_full_disk_is_told_in_one_sentence(full_disks: list[dict[str, Any]]) -> None:
    """1 and `state_disk_full` wherever the journal could not be written; 0 where all was written but the files to hand over, or
    the last answer about the old certificate.
    """
    ends = [(told["status"], told["codes"]) for told in full_disks]
    assert all(end == (1, ["state_disk_full"]) for end in ends[:-2]), ends
    assert ends[-2:] == [(0, [])] * 2, ends
    assert {told["state"] for told in full_disks} >= {"-", "CONFIRMED", "REQUESTED", "PROVEN", "DONE"}
    assert not any("Traceback" in told["said"] for told in full_disks)


def test_a_real_limit_on_the_file_is_told(cli: Inside, token: MadeToken, tmp_path: Path) -> None:
    """The system refuses to let the files grow (RLIMIT_FSIZE): one sentence, no traceback, no signal's death."""
    assert cli("status").status == 0
    script = (
        "import resource, sys\nfrom pathlib import Path\nimport os\n"
        "home = Path(os.environ['SAFETOK_HOME'])\n"
        "import signal\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "from safetok.cli.app import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "tokens", "note", token.serial, "x" * 20_000],
        env=cli.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {1, 2}, done.stderr
    assert "state.db" in done.stderr
    assert "Traceback" not in done.stderr
    assert cli("tokens", "note", token.serial, "short").status == 0


def test_too_little_room_is_told_before_any_pin(
    cli: Inside, token: MadeToken, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With less than a journal needs left on the disk, nothing is begun."""
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1 << 20})())
    said = cli.json("renew", "--csr", str(tmp_path / "request.pem"), "--pin-stdin", stdin=f"{token.pin}\n")
    assert (said.status, said.codes) == (10, ["no_space"])
    assert simulator.count("C_Login") == 0
