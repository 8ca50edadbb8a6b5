"""One lock file per token, taken before a login and freed by the operating system when its process ends.

Record locks (fcntl, POSIX) and not flock: a daemon that a driver forks must not keep them. They belong to the process, so
one process must not open the same lock twice; a worker has one session.
"""

from __future__ import annotations

import os
import sys
import time

_OURS: set[str] = set()  # that this process holds
_FAR = 1 << 30  # Windows locks bytes against reading too: lock one that nobody reads


class Held(Exception):
    """Another process holds the lock; its note says who."""


def lock_name(serial: str) -> str:
    """The file name for a token: its serial in hex, because serials may hold anything."""
    return f"token-{serial.encode().hex()}.lock"


def held(folder: str, serial: str) -> bool:
    """Whether another process holds the lock now. A note in its file is its holder's, or that of one that was killed: only then is
    the lock tried.
    """
    if lock_name(serial) in _OURS:  # to open it once more and close it would free it
        return False
    try:
        if not os.path.getsize(os.path.join(folder, lock_name(serial))):  # noqa: PTH118, PTH202
            return False
        TokenLock(folder, serial, "").release()
    except Held:
        return True
    except OSError:
        pass
    return False


class TokenLock:
    """The lock on one token. Raises Held, or OSError when the folder cannot be written."""

    def __init__(self, folder: str, serial: str, note: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103  (pathlib costs the worker 5 ms)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        self._fd = os.open(os.path.join(folder, lock_name(serial)), flags, 0o600)  # noqa: PTH118
        try:
            _lock(self._fd)
        except OSError as error:
            os.lseek(self._fd, 0, os.SEEK_SET)
            holder = os.read(self._fd, 200).decode("utf-8", "replace")
            os.close(self._fd)
            raise Held(holder.strip()) from error
        self._name = lock_name(serial)
        _OURS.add(self._name)
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{note} {int(time.time())}\n".encode())

    def release(self) -> None:
        """Free it. The file stays: removing it would let two processes lock two files of one name."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1
            _OURS.discard(self._name)


if sys.platform == "win32":

    def _lock(fd: int) -> None:
        import msvcrt

        os.lseek(fd, _FAR, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        os.lseek(fd, 0, os.SEEK_SET)

else:

    def _lock(fd: int) -> None:
        import fcntl

        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
