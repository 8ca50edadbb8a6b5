"""What processes of one batch share: flags, locks that a death frees; and errors that go from one to another whole."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from pathlib import Path

import pytest

from safetok import errors
from safetok.errors import CaUnreachable, SafetokError
from safetok.workflows.batch.beside import _Pipe
from safetok.workflows.batch.board import STOP, Board

KINDS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, SafetokError)]


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board()
    yield made
    made.close()


def beside(board: Board, work: Callable[[], None]) -> int:
    """A forked process that does this and then waits to be killed; its number, once it has done it."""
    come, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os.write(told, b"x")
            time.sleep(60)
        finally:
            os._exit(0)
    os.close(told)
    assert os.read(come, 1) == b"x"
    os.close(come)
    return pid


def ended(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def free(board: Board, take: Callable[[Board], None]) -> bool:
    """Whether another process can take this at once."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(1)
        take(board)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def test_a_flag_is_seen_in_every_process_and_stays(board: Board) -> None:
    assert not board.raised(STOP)
    ended(beside(board, lambda: board.raise_flag(STOP)))
    assert board.raised(STOP)
    assert not board.raised(1)


def test_a_lock_is_held_by_one_process_and_freed_by_its_death(board: Board) -> None:
    pid = beside(board, lambda: board.lock(3))
    assert not free(board, lambda its: its.lock(3))
    assert free(board, lambda its: its.lock(4))
    ended(pid)
    assert free(board, lambda its: its.lock(3))
    board.lock(3)
    assert not free(board, lambda its: its.lock(3))
    board.unlock(3)
    assert free(board, lambda its: its.lock(3))


def test_a_board_keeps_nothing_open(board: Board) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    Board().close()
    assert sorted(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_goes_from_one_process_to_another_whole(kind: type[SafetokError]) -> None:
    error = kind("Không xong.", code="odd", hint="Làm lại.", token="t1", data={"seconds": 3})
    error.remark = "Xem lại."
    if isinstance(error, CaUnreachable):
        error.went_out = False
    here, there = Pipe()
    there.send(error)
    come = here.recv()
    assert type(come) is kind
    assert (str(come), vars(come)) == (str(error), vars(error))
    assert (come.exit_status, come.code) == (kind.exit_status, "odd")


def test_a_process_that_dies_within_a_value_is_told_from_one_that_said_it_whole() -> None:
    """Values come as they were sent, one after the other; the end is the end, and half a value is none."""
    ours, its = map(_Pipe, socket.socketpair())
    for value in ({"a": b"x" * 200_000}, None, CaUnreachable("down", code="ca_down")):
        with ThreadPoolExecutor(1) as other:
            sent = other.submit(its.send, value)
            came = ours.recv()
            sent.result()
        assert vars(came) == vars(value) if isinstance(value, CaUnreachable) else came == value
    its.close()
    its.close()
    with pytest.raises(EOFError):
        ours.recv()
    ours.close()
    end, other_end = socket.socketpair()
    cut = _Pipe(end)
    other_end.sendall(pickle.dumps(["whole"] * 50)[:-20])
    other_end.close()
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        cut.recv()
    cut.close()
