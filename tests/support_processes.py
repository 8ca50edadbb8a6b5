"""What becomes of processes, as Linux shows it."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    for _turn in range(500):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def descendants(pid: int) -> set[int]:
    """The processes that it has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = stat.read_text().rsplit(")", 1)[1].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: set[int] = set()
    left = [pid]
    while left:
        started = parents.get(left.pop(), [])
        found.update(started)
        left += started
    return found
