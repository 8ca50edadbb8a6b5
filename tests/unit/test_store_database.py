"""The database: durable, private, forward only, and looked at without a trace."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support_store import NOW, certificate, reading, renewal

from safetok.errors import Unexpected, UsageError
from safetok.knowledge import load
from safetok.store import schema
from safetok.store.answers import Answers
from safetok.store.database import Database
from safetok.store.dossiers import Dossiers
from safetok.store.hooks import HookRuns
from safetok.store.inventory import Inventory
from safetok.store.journal import Journal
from safetok.store.registrations import Registrations


def _hashes(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_file_is_durable_and_private(tmp_path: Path) -> None:
    """WAL with synchronous=FULL; folder 0700, every file 0600."""
    with Database(tmp_path / "home" / "state.db") as db:
        Journal(db).create(renewal())
        assert db.row("PRAGMA journal_mode")[0] == "wal"
        assert db.row("PRAGMA synchronous")[0] == 2
        assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
        assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "home").iterdir()} == {0o600}


def test_who_writes_waits_for_whoever_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process has the file: as soon as it lets go the change is made; one that keeps it too long is told of."""
    with Database(tmp_path / "state.db") as db, closing(sqlite3.connect(tmp_path / "state.db")) as other:
        db.run("INSERT INTO contract_ends VALUES ('a', '2027-01-01', NULL)")
        other.execute("BEGIN IMMEDIATE")
        waited: list[float] = []

        def pause(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 5:
                other.execute("COMMIT")

        monkeypatch.setattr("safetok.store.database.time.sleep", pause)
        with db.transaction():
            db.run("INSERT INTO contract_ends VALUES ('b', '2027-01-01', NULL)")
        assert len(waited) == 5
        assert waited == sorted(waited)
        assert waited[0] < 0.001
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("safetok.store.database.BUSY_SECONDS", 0.0)
        with pytest.raises(Unexpected) as busy, db.transaction():
            pass
        assert busy.value.code == "state_busy"
        other.execute("COMMIT")
        assert len(db.rows("SELECT * FROM contract_ends")) == 2


def test_a_ctrl_c_ends_a_wait_for_the_file(tmp_path: Path) -> None:
    """Whoever waits for another process is heard at once, and nothing is begun."""
    with Database(tmp_path / "state.db") as db, closing(sqlite3.connect(tmp_path / "state.db")) as other:
        db.run("INSERT INTO contract_ends VALUES ('a', '2027-01-01', NULL)")
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,)).start()
        with pytest.raises(KeyboardInterrupt), db.transaction():
            pass
        assert time.monotonic() - began < 10
        other.execute("COMMIT")
        db.run("INSERT INTO contract_ends VALUES ('b', '2027-01-01', NULL)")


def test_several_that_open_a_new_one_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """The first use of all, by eight at the same moment, thirty times over: none is told that it is locked."""
    failed: list[Exception] = []
    for number in range(30):
        at_once = threading.Barrier(8)

        def opened(path: Path, at_once: threading.Barrier) -> None:
            at_once.wait(10)
            try:
                with Database(path) as db, db.transaction():
                    pass
            except Unexpected as error:
                failed.append(error)

        path = tmp_path / str(number) / "state.db"
        threads = [threading.Thread(target=opened, args=(path, at_once)) for _one in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []


def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    """Naming the database creates no file, and closing it unused neither."""
    with Database(tmp_path / "home" / "state.db"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_look_at_a_fresh_machine_makes_nothing(tmp_path: Path) -> None:
    """Read-only where there is no state is an empty store."""
    with Database(tmp_path / "home" / "state.db", read_only=True) as db:
        assert Journal(db).unfinished() == []
        with pytest.raises(UsageError):
            Journal(db).create(renewal())
    assert list(tmp_path.iterdir()) == []


def _leave(path: Path, *, closing: bool) -> None:
    """Write a renewal in another process that closes properly, or dies with its log unmerged."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\nfrom support_store import renewal\n"
        "from safetok.store.database import Database\nfrom safetok.store.journal import Journal\n"
        "db = Database(Path(sys.argv[1])); Journal(db).create(renewal())\n"
        f"{'db.close()' if closing else 'os._exit(0)'}\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path), str(Path(__file__).parents[1])], check=True)


@pytest.mark.parametrize("left", ["closed", "killed", "killed_without_index", "open"])
def test_a_look_changes_no_byte(tmp_path: Path, left: str) -> None:
    """Read-only sees what was committed and leaves every file as it was, however the last run ended."""
    path = tmp_path / "home" / "state.db"
    _leave(path, closing=left == "closed")
    if left == "killed_without_index":
        Path(f"{path}-shm").unlink()
    writer = _stay(path) if left == "open" else None
    before = _hashes(tmp_path)
    with Database(path, read_only=True) as db:
        assert len(Journal(db).unfinished()) == (2 if writer else 1)
        assert _hashes(tmp_path) == before
    assert _hashes(tmp_path) == before
    if writer:
        writer.communicate(b"\n", timeout=30)


def _stay(path: Path) -> subprocess.Popen[bytes]:
    """Another process that has written a second renewal and still holds the file open."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\nfrom support_store import renewal\n"
        "from safetok.store.database import Database\nfrom safetok.store.journal import Journal\n"
        "with Database(Path(sys.argv[1])) as db:\n"
        "    Journal(db).create(renewal(2)); print('written', flush=True); sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", code, str(path), str(Path(__file__).parents[1])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    return process


def test_a_look_needs_no_right_to_write(tmp_path: Path) -> None:
    """A folder that cannot be written can still be looked at."""
    path = tmp_path / "home" / "state.db"
    _leave(path, closing=True)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    with Database(path, read_only=True) as db:
        assert len(Journal(db).unfinished()) == 1
    path.parent.chmod(0o700)


def test_a_newer_state_is_refused_untouched(tmp_path: Path) -> None:
    """A file of a later version is not opened for writing or reading, and stays as it is."""
    path = tmp_path / "home" / "state.db"
    _leave(path, closing=True)
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    raw.close()
    before = _hashes(tmp_path)
    for read_only in (False, True):
        with Database(path, read_only=read_only) as db, pytest.raises(UsageError) as refused:
            Journal(db).unfinished()
        assert refused.value.code == "state_newer"
    assert {k: v for k, v in _hashes(tmp_path).items() if k in before} == before


def test_an_older_state_is_brought_forward_and_looked_at_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Migrations run forward on use; a look at an older file sees the new shape and writes nothing."""
    path = tmp_path / "home" / "state.db"
    _leave(path, closing=True)
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, ("ALTER TABLE tokens ADD COLUMN extra TEXT",)))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    before = _hashes(tmp_path)
    with Database(path, read_only=True) as db:
        assert db.rows("SELECT extra FROM tokens") == []
        assert len(Journal(db).unfinished()) == 1
    assert _hashes(tmp_path) == before
    with Database(path) as db:
        assert db.rows("SELECT extra FROM tokens") == []
        assert db.row("PRAGMA user_version")[0] == schema.VERSION


def test_a_broken_migration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails half-way leaves the file at the version it had."""
    path = tmp_path / "home" / "state.db"
    _leave(path, closing=True)
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, ("CREATE TABLE half (a)", "NOT SQL")))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with Database(path) as db, pytest.raises(Unexpected):
        db.rows("SELECT 1 FROM tokens")
    monkeypatch.undo()
    with Database(path) as db:
        assert db.rows("SELECT name FROM sqlite_master WHERE name = 'half'") == []


def test_a_damaged_file_is_said_to_be(tmp_path: Path) -> None:
    """Bytes that are no database end in one sentence with the file's name."""
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database, and long enough to be looked at" * 100)
    with Database(path) as db, pytest.raises(Unexpected) as refused:
        Journal(db).unfinished()
    assert refused.value.code == "state_damaged"
    assert str(path) in refused.value.message


def test_two_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """Processes opening and writing the same new state at the same time all succeed."""
    path = tmp_path / "home" / "state.db"
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\nfrom support_store import renewal\n"
        "from safetok.store.database import Database\nfrom safetok.store.journal import Journal\n"
        "with Database(Path(sys.argv[1])) as db:\n"
        "    for n in range(5): Journal(db).create(renewal(int(sys.argv[3]) * 10 + n))\n"
    )
    command = [sys.executable, "-c", code, str(path), str(Path(__file__).parents[1])]
    running = [subprocess.Popen([*command, str(number)]) for number in range(1, 5)]
    assert [one.wait() for one in running] == [0, 0, 0, 0]
    with Database(path) as db:
        assert len(Journal(db).unfinished()) == 20


def test_a_full_disk_is_said_and_keeps_what_was_there(tmp_path: Path) -> None:
    """When no page can be added, the change is refused by name and the earlier rows are still read."""
    with Database(tmp_path / "home" / "state.db") as db:
        Journal(db).create(renewal())
        db.run(f"PRAGMA max_page_count = {db.row('PRAGMA page_count')[0]}")
        with pytest.raises(Unexpected) as refused:
            Journal(db).create(renewal(2, request=os.urandom(100_000)))
        assert refused.value.code == "state_disk_full"
        assert [one.id for one in Journal(db).unfinished()] == ["r1"]


def test_scratch_copies_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy that a look at a killed run's log may need is gone afterwards."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = tmp_path / "home" / "state.db"
    _leave(path, closing=False)
    Path(f"{path}-shm").unlink()
    with Database(path, read_only=True) as db:
        assert len(Journal(db).unfinished()) == 1
    assert list(scratch.iterdir()) == []
    shutil.rmtree(path.parent)


ODD_ROWS: dict[str, tuple[str, Callable[[Database], object]]] = {
    "a state of a newer safetok": ("UPDATE renewals SET state = 'ARCHIVED'", lambda db: Journal(db).unfinished()),
    "a field of a newer safetok": ("UPDATE renewals SET rest = '{\"colour\":1}'", lambda db: Journal(db).all()),
    "half a row": ("UPDATE renewals SET rest = '{'", lambda db: Journal(db).get("r1")),
    "a step of the way": ("UPDATE renewal_events SET hold = 'TIDE'", lambda db: Journal(db).events("r1")),
    "a token": ("UPDATE tokens SET info = '{}'", lambda db: Inventory(db).tokens()),
    "its kind": ("INSERT INTO token_words VALUES ('x', 'V9', NULL)", lambda db: Inventory(db).words(["x"])),
    "a certificate": ("UPDATE certificates SET not_after = 'soon'", lambda db: Inventory(db).everything()),
    "a registration": ("UPDATE registrations SET state = 'tired'", lambda db: Registrations(db).list()),
    "its moment": ("UPDATE registrations SET until = 'noon'", lambda db: Registrations(db).list()),
    "an offer": ("INSERT INTO offers VALUES ('x', '{}', '')", lambda db: Answers(db).offers(["x"])),
    "a revocation": ("INSERT INTO revocations VALUES ('x', '{}', '')", lambda db: Answers(db).revocations(["x"])),
    "a dossier": (
        "INSERT INTO dossiers VALUES ('x', '', '', '', '', '', '', '', 0, 'then', NULL)",
        lambda db: Dossiers(db).get("x"),
    ),
    "a hook": (
        "INSERT INTO hook_runs VALUES (1, 'e', 'o', 'h', 't', 'then', 'failed', 1, '')",
        lambda db: HookRuns(db).failed(),
    ),
}


@pytest.mark.parametrize("odd", ODD_ROWS)
def test_a_row_that_says_something_unknown_is_told_as_that(tmp_path: Path, odd: str) -> None:
    """SQLite finds nothing wrong with it, safetok cannot read it: one sentence with a next step, and the row stays as it is."""
    change, ask = ODD_ROWS[odd]
    with Database(tmp_path / "home" / "state.db") as db:
        Journal(db).create(renewal())
        Inventory(db).record(reading("5407150511", certificate(1)), NOW)
        Registrations(db).open_for(certificate(1), load.agencies(), NOW)
        db.run(change)
        before = "\n".join(db._open().iterdump())
        with pytest.raises(Unexpected) as refused:
            ask(db)
        assert (refused.value.code, bool(refused.value.hint)) == ("state_damaged", True)
        assert "\n".join(db._open().iterdump()) == before


def test_a_database_of_something_else_is_told_in_the_readers_language(tmp_path: Path) -> None:
    """Other tables under the same name: SQLite's own English is not shown."""
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE tokens (colour)")
    for read_only in (True, False):
        with Database(path, read_only=read_only) as db, pytest.raises(Unexpected) as refused:
            Journal(db).unfinished()
        assert refused.value.code == "state_damaged"
        assert "tokens" not in refused.value.message


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_told_at_once(tmp_path: Path, kind: str) -> None:
    """A folder is an I/O error to SQLite, and a pipe is waited for without end."""
    path = tmp_path / "state.db"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    for read_only in (True, False):
        with Database(path, read_only=read_only) as db, pytest.raises(UsageError) as refused:
            Journal(db).unfinished()
        assert refused.value.code == "state_unusable"
