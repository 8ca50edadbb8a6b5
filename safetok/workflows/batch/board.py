"""What the processes of one run share, in memory: places with a flag that stays raised and a lock that a holder's death frees."""

from __future__ import annotations

import os

STOP = 0  # the place whose flag asks everybody for an end


class Board:
    """Made before the processes are forked; on Linux alone. Threads of one process keep locks of their own."""

    def __init__(self) -> None:
        self._file = os.memfd_create("safetok batch")

    def close(self) -> None:
        """Nobody here uses it any more."""
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
