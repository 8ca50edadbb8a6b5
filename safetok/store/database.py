"""The one place that opens the state's SQLite file: durable commits, forward migrations, and read-only looks that touch nothing."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from safetok.errors import Unexpected, UsageError
from safetok.locale import _
from safetok.log import note
from safetok.store import schema

if TYPE_CHECKING:
    import sqlite3

BUSY_SECONDS = 30.0  # eight processes of a batch write by turns, each for as long as a slow disk needs
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.0002, 0.02  # seconds
_AT_ONCE = 500  # values in one question: every SQLite takes 999
Row = Any  # sqlite3.Row: by name or by place
Asked = ParamSpec("Asked")
Read = TypeVar("Read")
Values = Sequence[object] | Mapping[str, object]


class Database:
    """`with Database(path) as db:`; the file is opened at the first use, so one that is not needed costs nothing.

    WAL with synchronous=FULL: what `transaction()` committed survives a power cut. `read_only` creates and writes nothing:
    where there is no file yet it is an empty store in memory. All its errors are errors.py's, codes `state_*`.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._depth = 0
        self._scratch: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
            if self._scratch is not None:
                self._scratch.cleanup()
                self._scratch = None

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """All of it is committed at the end, or nothing. One inside another joins the outer: steps may share a commit.

        With `durable` False the commit does not wait for the disk: for what can be asked or made again. The next durable
        one takes it along (WAL), and a crash of the machine loses nothing else.
        """
        with self._lock:
            self._depth += 1
            try:
                if self._depth > 1:
                    yield
                    return
                with nullcontext() if durable or self.read_only else self._not_waiting_for_the_disk():
                    self._do("BEGIN IMMEDIATE" if not self.read_only else "BEGIN")
                    try:
                        yield
                    except BaseException:
                        self._roll_back()
                        raise
                    self._commit()
            finally:
                self._depth -= 1

    @contextmanager
    def _not_waiting_for_the_disk(self) -> Iterator[None]:
        self._do("PRAGMA synchronous = NORMAL")
        try:
            yield
        finally:
            self._do("PRAGMA synchronous = FULL")

    def run(self, sql: str, values: Values = ()) -> int:
        """Execute one change; returns the row id of an insert. Outside a transaction it is one of its own."""
        return int(self._do(sql, values).lastrowid or 0)

    def run_each(self, sql: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Execute one change with each of these values, within a transaction."""
        self._do(sql, rows, each=True)

    def change(self, sql: str, values: Values = ()) -> int:
        """Execute one change like `run`; returns how many rows it met."""
        return int(self._do(sql, values).rowcount)

    def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """Every row of a question, by name."""
        found: list[Row] = self._do(sql, values, "fetchall")
        return found

    def among(self, sql: str, keys: Iterable[str]) -> list[Row]:
        """The rows of a question about many keys, which holds `{keys}` where their list goes; some hundred are asked at once."""
        wanted, found = list(dict.fromkeys(keys)), list[Row]()
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            found += self.rows(sql.format(keys=", ".join("?" * len(some))), some)
        return found

    def row(self, sql: str, values: Values = ()) -> Row | None:
        """The first row of a question, None when there is none."""
        found: Row | None = self._do(sql, values, "fetchone")
        return found

    def _do(self, sql: str, values: Any = (), fetch: str = "", *, each: bool = False) -> Any:
        """The cursor, or what its method `fetch` gives: one lock and one translation of errors for a question."""
        import sqlite3

        with self._lock:
            pauses = None
            while True:
                try:
                    connection = self._open()
                    cursor = connection.executemany(sql, values) if each else connection.execute(sql, values)
                    return getattr(cursor, fetch)() if fetch else cursor
                except (sqlite3.Error, OSError, UnicodeEncodeError) as error:
                    from safetok.store import troubles

                    pauses = pauses or _pauses()
                    if not troubles.busy(error) or (pause := next(pauses, None)) is None:
                        raise troubles.told(error, self.path) from error
                    time.sleep(pause)

    def _commit(self) -> None:
        try:
            self._do("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        connection = self._connection
        if connection is not None and connection.in_transaction:
            connection.rollback()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._opened_read_only() if self.read_only else self._opened()
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        from safetok.store.paths import private_folder

        if not self.path.exists():
            private_folder(self.path.parent)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its -wal and -shm the same mode
        else:
            from safetok.store.paths import refuse_network

            refuse_network(self.path.parent)
        connection = self._connect(str(self.path))
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            if sys.platform == "darwin":  # there fsync alone leaves the data in the drive's cache
                connection.execute("PRAGMA fullfsync = ON")
                connection.execute("PRAGMA checkpoint_fullfsync = ON")
            if self._version(connection) < schema.VERSION:
                _keep_a_log(connection)
                _migrate(connection)
            connection.execute("PRAGMA busy_timeout = 0")  # `_do` waits: SQLite's own pauses are longer than a commit
        except BaseException:
            connection.close()
            raise
        return connection

    def _opened_read_only(self) -> sqlite3.Connection:
        """A look that changes no byte beside it, WAL or not.

        Without a log beside it the file is whole (`immutable`); with one, the log's index is mapped read-only, and where a killed
        run left a log without an index, a copy is read.
        """
        if not _is_there(self.path):
            return self._empty()
        log, index = Path(f"{self.path}-wal"), Path(f"{self.path}-shm")
        if not log.exists() or not log.stat().st_size:
            connection = self._connect(f"{self.path.as_uri()}?mode=ro&immutable=1", uri=True)
        elif index.exists() and os.name == "posix":
            connection = self._connect(f"{self.path.as_uri()}?mode=ro&readonly_shm=1", uri=True)
        else:
            connection = self._connect(str(self._copied(log)))
        try:
            if self._version(connection) < schema.VERSION:  # an older one: read a copy brought forward
                source, connection = connection, self._connect(":memory:")
                source.backup(connection)
                source.close()
                _migrate(connection)
            connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _empty(self) -> sqlite3.Connection:
        connection = self._connect(":memory:")
        _migrate(connection)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _copied(self, log: Path) -> Path:
        import shutil
        import tempfile

        self._scratch = tempfile.TemporaryDirectory(prefix="safetok-")
        copy = Path(self._scratch.name) / "state.db"
        shutil.copyfile(self.path, copy)
        shutil.copyfile(log, f"{copy}-wal")
        return copy

    def _connect(self, name: str, *, uri: bool = False) -> sqlite3.Connection:
        import sqlite3

        if self.path.exists() and not self.path.is_file():
            raise UsageError(
                _("{file} cannot be opened or written: {why}.").format(file=self.path, why=_("it is no file")),
                code="state_unusable",
                hint=_("Set SAFETOK_HOME to a folder on this computer's own disk that you can write to."),
            )
        connection = sqlite3.connect(name, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=uri)
        connection.row_factory = sqlite3.Row
        return connection

    def _version(self, connection: sqlite3.Connection) -> int:
        """The schema's version; one newer than this program's is refused, so that nothing it keeps is lost."""
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > schema.VERSION:
            raise UsageError(
                _("The state {file} was written by a newer safetok (version {found}; this one knows {known}).").format(
                    file=self.path, found=version, known=schema.VERSION
                ),
                code="state_newer",
                hint=_("Install the newer safetok again. Nothing was changed."),
            )
        return version


def _pauses() -> Iterator[float]:
    """Seconds between two tries, from a fraction of a short commit on; at an end after BUSY_SECONDS."""
    until, pause = time.monotonic() + BUSY_SECONDS, _SHORTEST_PAUSE
    while time.monotonic() < until:
        yield pause
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _is_there(path: Path) -> bool:
    """Whether there is such a file. A folder that may not be entered, or is none, is no empty store: OSError."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """WAL, for which a new file is locked whole: of several processes that open it at once SQLite tells all but one that it is
    busy, without the wait that it grants elsewhere.
    """
    import sqlite3

    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema forward in one transaction; another process may have done it meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        for step in schema.STEPS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version, schema.VERSION)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise


def reads(read: Callable[Asked, Read]) -> Callable[Asked, Read]:
    """What makes a value of a row: one that holds something else than safetok writes is damage, not a fault of the program."""

    @wraps(read)
    def reading(*asked: Asked.args, **named: Asked.kwargs) -> Read:
        try:
            return read(*asked, **named)
        except (ValueError, TypeError, LookupError) as error:
            note(f"a row that cannot be read: {read.__module__}", detail=True, error=error)
            raise Unexpected(
                _("The state holds a row that this safetok cannot read: it is damaged, or a newer safetok wrote it."),
                code="state_damaged",
                hint=_(
                    "Nothing was changed. Install the newer safetok again; if it stays so, keep the folder and ask support."
                ),
            ) from error

    return reading
