"""Memory of a run: the proportional set sizes of it and of every process it started, added up, at their highest."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path


def peak_memory(command: list[str], environ: dict[str, str]) -> int:
    """Bytes that `command` and all its processes took together at the worst moment that was seen (looked at every 5 ms)."""
    running = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    highest = 0
    while running.poll() is None:
        highest = max(highest, sum(_taken(pid) for pid in _family(running.pid)))
        time.sleep(0.005)
    assert running.returncode == 0
    return highest


def _family(root: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(Path(entry.path, "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family = {root}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _taken(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
