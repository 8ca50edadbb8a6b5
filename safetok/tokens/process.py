"""A worker as its parent sees it: started, asked with a deadline, and given up when it does not answer.

Imports nothing but `os`-level modules, because `prestart` runs before everything else of a reading command. On POSIX it
spawns by `os.posix_spawn` and waits with `poll`; on Windows by `subprocess` and a reading thread.
"""

from __future__ import annotations

import os
import sys
import time

from safetok.tokens import frames

TYPE_CHECKING = False  # not typing's: its import costs the worker's start 5 ms
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import Any


WINDOWS = sys.platform == "win32"
# Isolated mode leaves out a user's own packages (`pip install --user`), where all of this may lie: the worker looks where we do.
_PLACES = [place for place in sys.path if os.path.isabs(place)]  # noqa: PTH117  (pathlib is not loaded here)
_CODE = f"import sys; sys.path[:] = {_PLACES!a}; from safetok.tokens.worker import main; main()"
_ARGUMENTS = ("-I", "-c", _CODE)  # `-m` is the same, 8 ms of runpy later
_FOR_A_SESSION = "session"  # `worker.FOR_A_SESSION`, without importing it
_CHUNK = 1 << 16  # larger ones are mapped and unmapped for each answer
_ROOM = 1 << 20  # bytes; what a look at hundreds of tokens says fits in, while the parent is still loading


class WorkerFailure(Exception):
    """A request that did not end well: `name` is the standard's (`PIN_INCORRECT`), `crashed`, `timed_out`, or a worker's own."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name)
        self.name, self.detail = name, detail


class Worker:
    """One worker process. Not for two threads at once. After `crashed` or `timed_out` it is of no more use (`alive` False)."""

    def __init__(self, *, for_a_session: bool = False) -> None:
        arguments = (*_ARGUMENTS, _FOR_A_SESSION) if for_a_session else _ARGUMENTS
        self._pipe = _WindowsPipe(arguments) if WINDOWS else _PosixPipe(arguments)
        self.alive = True
        self.busy = False  # an answer is owed: after an interrupt it would be taken for the next request's
        self.driver = ""
        self._buffer = bytearray()
        self._asked = 0.0
        self._deadline = 0.0

    @property
    def pid(self) -> int:
        return self._pipe.pid

    def ask(self, name: str, *, deadline: float, **arguments: Any) -> None:
        """Send a request without waiting. `deadline`: seconds of silence after which it has failed."""
        self._asked, self._deadline, self.busy = time.monotonic(), deadline, True
        try:  # noqa: SIM105  (contextlib is not worth its import here)
            self._pipe.write(frames.encode([name, arguments, int(deadline) + 1]))
        except OSError:
            pass  # it has died: `answers` says so, with what it said before

    def answers(self, *, careful: bool = False) -> Generator[Any, None, Any]:
        """Each `item` of the request in hand, then (as StopIteration's value) its answer. Raises WorkerFailure.

        `careful`: when time is up the worker is left to finish by itself, because ending it within a write may harm the token.
        """
        while True:
            frame = self._frame(careful=careful)
            match frame:
                case ["item", value]:
                    self._asked = time.monotonic()
                    yield value
                case ["done", value]:
                    self.busy = False
                    return value
                case ["error", str(name), str(detail)]:
                    self.busy = False
                    raise WorkerFailure(name, detail)
                case _:
                    self.kill()
                    raise WorkerFailure("crashed", "nonsense")

    def call(self, name: str, *, deadline: float, careful: bool = False, **arguments: Any) -> Any:
        """Ask and wait for the answer. Raises WorkerFailure."""
        self.ask(name, deadline=deadline, **arguments)
        answers = self.answers(careful=careful)
        while True:
            try:
                next(answers)
            except StopIteration as end:
                return end.value

    def _frame(self, *, careful: bool) -> Any:
        size = frames.HEADER.size
        while True:
            if len(self._buffer) >= size:
                (length,) = frames.HEADER.unpack_from(self._buffer)
                if length > frames.LIMIT:
                    self.kill()
                    raise WorkerFailure("crashed", "nonsense")
                if len(self._buffer) >= size + length:
                    body = bytes(self._buffer[size : size + length])
                    del self._buffer[: size + length]
                    try:
                        return frames.decode(body)
                    except frames.BadFrame as error:
                        self.kill()
                        raise WorkerFailure("crashed", "nonsense") from error
            left = self._asked + self._deadline - time.monotonic()
            data = self._pipe.read(max(left, 0)) if self.alive else b""
            if data is None:
                self.abandon() if careful else self.kill()
                raise WorkerFailure("timed_out", f"{self._deadline:g} s")
            if not data:
                self.alive = False
                raise WorkerFailure("crashed", self._pipe.ending())
            self._buffer += data

    def abandon(self) -> None:
        """Close the pipes: the worker finishes what it has in hand, logs out, frees its lock and ends by itself."""
        self.hang_up()

    def kill(self) -> None:
        """End it now. Only for one that hangs, and never within a write."""
        self.alive = False
        self._pipe.kill()
        self._pipe.close()

    def hang_up(self) -> None:
        """Tell it to end, without waiting: a worker ends itself, hung driver or not."""
        self.alive = False
        self._pipe.close()
        self._pipe.wait(0)

    def close(self, wait: float = 2.0) -> None:
        """Let it end in order; one that does not within `wait` seconds is ended."""
        if self.alive:
            self.hang_up()
            if not self._pipe.wait(wait):
                self._pipe.kill()


class _PosixPipe:
    """The process and its two pipes, by posix_spawn: a third of the cost of importing `subprocess`."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        import select

        child_in, self._out = os.pipe()
        self._in, child_out = os.pipe()
        _widen(self._in)
        actions = [(os.POSIX_SPAWN_DUP2, child_in, 0), (os.POSIX_SPAWN_DUP2, child_out, 1)]
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *arguments],
                os.environ,
                file_actions=actions,
                setpgroup=0,  # a Ctrl-C on the terminal is the parent's to handle
            )
        finally:
            os.close(child_in)
            os.close(child_out)
        self._status: int | None = None
        self._poll = select.poll()
        self._poll.register(self._in, select.POLLIN)

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._out, data) :]

    def read(self, seconds: float) -> bytes | None:
        """What has come, b"" at the end, None when nothing came in time."""
        if not self._poll.poll(seconds * 1000):
            return None
        return os.read(self._in, _CHUNK)

    def close(self) -> None:
        for name in ("_in", "_out"):
            fd, closed = getattr(self, name), -1
            setattr(self, name, closed)
            if fd >= 0:
                os.close(fd)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, within `seconds`."""
        until, pause = time.monotonic() + seconds, 0.0005
        while self._status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else waited for it
                self._status = 0
                return True
            if pid:
                self._status = status
            elif time.monotonic() > until:
                return False
            else:
                time.sleep(pause)
                pause = min(pause * 2, 0.02)
        return True

    def kill(self) -> None:
        if not self.wait(0):
            import signal

            os.kill(self.pid, signal.SIGKILL)
            self.wait(2)

    def ending(self) -> str:
        """How it ended, for the report: a signal's name or an exit status."""
        if not self.wait(1) or self._status is None:
            return ""
        if os.WIFSIGNALED(self._status):
            import signal

            return signal.Signals(os.WTERMSIG(self._status)).name
        return f"exit {os.waitstatus_to_exitcode(self._status)}"


def _widen(pipe: int) -> None:
    """Let a pipe hold more than the 64 KiB it is made with, where the system allows it (Linux, up to fs.pipe-max-size)."""
    import fcntl

    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:  # noqa: SIM105  (contextlib is not worth its import here)
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _ROOM)
        except OSError:
            pass  # as it is, then


class _WindowsPipe:
    """The same by subprocess, with a thread that reads: Windows cannot wait for a pipe with a deadline."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        import queue
        import subprocess
        import threading

        self._empty: type[Exception] = queue.Empty
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self.pid = self._process.pid
        self._come: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        assert self._process.stdout is not None
        data = b"x"
        while data:
            try:
                data = self._process.stdout.read(_CHUNK) or b""
            except (OSError, ValueError):
                data = b""
            self._come.put(data)

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)

    def read(self, seconds: float) -> bytes | None:
        until = time.monotonic() + seconds
        while True:  # in slices: a wait on a lock is deaf to Ctrl-C there
            left = until - time.monotonic()
            try:
                return self._come.get(timeout=max(min(left, 0.2), 0))
            except self._empty:
                if left <= 0:
                    return None

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def wait(self, seconds: float) -> bool:
        import subprocess

        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        self._process.kill()

    def ending(self) -> str:
        return f"exit {self._process.poll()}"


_waiting: list[Worker] = []


def prestart(*, for_a_session: bool = False) -> None:
    """Start a worker before the caller's own imports, so that both load at once; `take` adopts it."""
    if not _waiting:
        _waiting.append(Worker(for_a_session=for_a_session))


def take() -> Worker:
    """The prestarted worker, or a new one."""
    return _waiting.pop() if _waiting else Worker()


def disown(workers: Iterable[Worker]) -> None:
    """In a forked process: let go of the pipes of the parent's workers, which would not notice its end otherwise."""
    for worker in (*workers, *_waiting):
        worker.alive = False
        worker._pipe.close()
    _waiting.clear()


def discard() -> None:
    """End a prestarted worker that nobody took."""
    while _waiting:
        _waiting.pop().close()
