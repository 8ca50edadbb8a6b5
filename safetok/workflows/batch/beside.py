"""Rows in processes beside this one: an interpreter runs one thread at a time, however many cores there are.

They are forked, so that they begin with everything loaded: on Linux alone, elsewhere a system's own libraries do not bear it. It
happens while this process has one thread and its store is closed.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from safetok.errors import SafetokError
from safetok.log import note
from safetok.workflows.batch import rows
from safetok.workflows.batch.board import STOP, Board
from safetok.workflows.batch.quiet import Quiet

if TYPE_CHECKING:
    from safetok.domain.plan import PlanRow
    from safetok.domain.tokens import TokenReading
    from safetok.tokens.tokens import Tokens
    from safetok.workflows.batch.course import Course
    from safetok.workflows.batch.pins import PinSources
    from safetok.workflows.context import Context
    from safetok.workflows.renew.request import RenewResult

_SHARE = 3  # rows; fewer are not worth another process
_MOST = 8  # processes, this one included: they have one store, and each has a driver's worker
_LEAVE = 5.0  # seconds for its own end
_PR_SET_PDEATHSIG = 1  # prctl(2)


class Ended(Exception):
    """The process has died, within a row or before it."""


def worth(context: Context, rows: int, jobs: int, sources: PinSources) -> int:
    """How many processes would share so many rows with this one: one for each other core, where they can be forked safely."""
    if sys.platform != "linux" or context.dry_run or not sources.in_files_alone:
        return 0
    if threading.active_count() > 1 or threading.current_thread() is not threading.main_thread():
        return 0
    return max(0, min(jobs, len(os.sched_getaffinity(0)), rows // _SHARE, _MOST) - 1)


class Beside:
    """The processes that share a run's rows with this one, and what they share: its store, its stop, its PIN sources.

    A context manager. At its end none of them is left, but for a Ctrl-C that ends everything at once: they go with this one.
    """

    def __init__(self, course: Course, sources: PinSources) -> None:
        self.processes: list[RowProcess] = []
        self._course, self._sources = course, sources

    def fork(self, count: int, tokens: Tokens) -> None:
        """Start so many, or as many as the system allows; to be called once."""
        if not count:
            return
        context = self._course.context
        context.database.close()  # SQLite's connections do not bear a fork; the next use opens it again
        with suppress(OSError):
            self._course.board = board = Board()
            self._sources.share(board)
            for _process in range(count):
                self.processes.append(RowProcess(context, tokens, self._sources, board, self.processes))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            return
        for process in self.processes:
            process.close()
        if (board := self._course.board) is not None:
            self._course.board = None
            board.close()


class RowProcess:
    """A copy of this process that renews the rows it is sent, one after the other, with its own token worker, its own store and
    connections. It ends when this one closes it or dies. Not for two threads at once.
    """

    def __init__(
        self, context: Context, tokens: Tokens, sources: PinSources, board: Board, others: Sequence[RowProcess]
    ) -> None:
        own, its = socket.socketpair()
        self._pipe = _Pipe(own)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                _end_with(parent)
                for inherited in (self, *others):
                    inherited._pipe.close()
                _serve(context, tokens.apart(), sources, board, _Pipe(its))
                code = 0
            finally:
                os._exit(code)
        its.close()
        self.alive = True
        note(f"rows are also renewed by process {self.pid}", detail=True)

    def run_row(self, token: TokenReading, row: PlanRow, **how: Any) -> RenewResult:
        """As `rows.run_row`, with its errors; one that nobody foresaw is Unexpected here. Raises Ended."""
        try:
            self._pipe.send((token, row, how))
            came: RenewResult | SafetokError = self._pipe.recv()
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            note(f"process {self.pid} has ended within row {row.row}")
            raise Ended from error
        if isinstance(came, SafetokError):
            raise came
        return came

    def close(self) -> None:
        """Have it end, and wait for that. Idempotent."""
        if not self.alive:
            return
        self.alive = False
        self._pipe.close()
        until = time.monotonic() + _LEAVE
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return
            time.sleep(0.001)


class _Pipe:
    """Values by pickle, between a process and its fork: the two are one program."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._reading, self._writing = end, end.makefile("rb"), end.makefile("wb")

    def send(self, value: object) -> None:
        """Raises OSError."""
        pickle.dump(value, self._writing)
        self._writing.flush()

    def recv(self) -> Any:
        """Raises EOFError at the end, pickle.UnpicklingError where it comes within a value, OSError."""
        return pickle.load(self._reading)  # noqa: S301  (from our own fork)

    def close(self) -> None:
        """Idempotent."""
        for part in (self._reading, self._writing, self._end):
            with suppress(OSError):
                part.close()


def _end_with(parent: int) -> None:
    """Whatever ends the parent ends this process at once: nobody else would, and what it leaves undone is resumed."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def _serve(context: Context, tokens: Tokens, sources: PinSources, board: Board, pipe: _Pipe) -> None:
    """Renew row after row until the parent closes its end."""
    from safetok.net import Http

    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(name) is not signal.SIG_IGN:
            signal.signal(name, _left_to_the_parent)
    tokens.one_more()
    own = replace(
        context,
        prompter=Quiet(),
        stopping=lambda: board.raised(STOP),
        _http=Http(timeout=context.timeout or context.settings.timeout),
    )
    sources.context = own
    with tokens:
        tokens.load()
        while (asked := _next(pipe)) is not None:
            token, row, how = asked
            tokens.know(token)
            try:
                came: RenewResult | SafetokError = rows.run_row(own, tokens, token, row, sources, **how)
            except SafetokError as error:
                came = error
            except Exception as error:  # noqa: BLE001  (one row never takes the others with it)
                came = rows.unforeseen(error)
            pipe.send(came)
    own.http.close()
    own.close()


def _next(pipe: _Pipe) -> tuple[TokenReading, PlanRow, dict[str, Any]] | None:
    try:
        asked: tuple[TokenReading, PlanRow, dict[str, Any]] = pipe.recv()
    except EOFError:
        return None
    return asked


def _left_to_the_parent(_number: int, _frame: object) -> None:
    """Every process of a terminal or a service is sent such a signal; the parent decides. Ignored it would stay so in what a
    hook starts.
    """
