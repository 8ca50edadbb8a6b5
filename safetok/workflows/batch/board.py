"""What the processes of one run share, in memory: places with a flag that stays raised and a lock that a holder's death frees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

STOP = 0  # the place whose flag asks everybody for an end


class Board:
    """Made before the processes are forked, which each call `joined` then. Linux alone has all it takes.

    Threads of one process keep locks of their own.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("safetok batch")
        self.joined()

    def joined(self) -> None:
        """Open it anew: `turn` is held by an opening, and a fork shares its parent's."""
        self._own = os.open(f"/proc/self/fd/{self._file}", os.O_RDWR)

    def close(self) -> None:
        """Nobody here uses it any more."""
        os.close(self._own)
        os.close(self._file)

    def raise_flag(self, place: int) -> None:
        os.pwrite(self._file, b"\1", place)

    def raised(self, place: int) -> bool:
        return os.pread(self._file, 1, place) == b"\1"

    def lock(self, place: int) -> None:
        """Wait for this place. Whoever holds one waits for no other: the system would refuse that as a deadlock."""
        import fcntl

        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, place)

    def unlock(self, place: int) -> None:
        import fcntl

        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One process at a time; apart from the places, which may be held meanwhile."""
        import fcntl

        fcntl.flock(self._own, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._own, fcntl.LOCK_UN)
