"""A disk that is really full at each commit of a renewal in turn; prints a line of JSON for each.

    unshare -m --propagation unchanged [-r] python tests/faults/full_disk.py [ROUTE...]

The home lies on a small disk in memory of its own (tmpfs), mounted where nobody else sees it: hence `unshare` (`-r` for any user
but root). A run is watched at the gate of the kill matrix; as it is about to commit for the k-th time, a file takes all the room
there is, and stays until the run has ended by itself. Then there is room again, and the renewal is carried on and judged.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import support_judge as judge  # noqa: E402
from kill_matrix import ROUTES, Matrix, Points, Story  # noqa: E402
from support_gate import Event  # noqa: E402
from support_stage import Stage  # noqa: E402

ROOM = 20 << 20  # bytes; safetok begins nothing with less than 16 MB
COMMIT = "commit begin"


def alone(folder: Path) -> None:
    """Let nothing that is mounted below `folder` reach the rest of the machine."""
    for spot in ("/", str(next(one for one in (folder, *folder.parents) if one.is_mount()))):
        if subprocess.run(["mount", "--make-rprivate", spot], capture_output=True, check=False).returncode == 0:
            return
    raise SystemExit("no mount can be made private here: run it under unshare -m, as root or with -r")


class Disk:
    """A case's home on a disk of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self._filler = home, home / "filler"
        kept = (home / "settings.toml").read_bytes()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=700", "none", str(home)], check=True)
        (home / "settings.toml").write_bytes(kept)

    def fill(self) -> None:
        """Take all the room there is."""
        handle = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        size, step = 0, ROOM
        while step >= 1024:
            try:
                os.posix_fallocate(handle, size, step)
                size += step
            except OSError:
                step //= 2
        os.close(handle)
        assert os.statvfs(self.home).f_bavail == 0

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def remove(self) -> None:
        subprocess.run(["umount", str(self.home)], check=True)


class FullDisks(Matrix):
    """One route, its disk full at each of its commits."""

    def commits(self) -> list[int]:
        return [place for place, name in enumerate(self.names) if name == COMMIT]

    def from_the_start(self) -> dict[str, object]:
        """No room at all when the run begins."""
        story = self._case()
        disk = Disk(story.case.home)
        disk.fill()
        self.stage.gate.begin(lambda _event: "go")
        return self._end(story, disk, [], -1)

    def at(self, place: int) -> dict[str, object]:
        """Full as this commit is about to be made."""
        story, points = self._case(), Points()
        disk = Disk(story.case.home)
        hit: list[Event] = []

        def decide(event: Event) -> str:
            if points.place(event) == place and not hit:
                hit.append(event)
                disk.fill()
            return "go"

        self.stage.gate.begin(decide)
        return self._end(story, disk, hit, place)

    def _end(self, story: Story, disk: Disk, hit: list[Event], place: int) -> dict[str, object]:
        run = story.case.start(*next(story.commands()))
        status, codes, errors = run.wait(), run.codes(), run.errors()
        self.stage.zygote.settle()
        wrong = [f"at {[event.name for event in hit]}"] if place >= 0 and [e.name for e in hit] != [COMMIT] else []
        state, spent = judge.state_at_death(story.case), story.case.simulator.memory(story.case.company.serial).failed
        disk.free()
        ended = story.recover(again=True)
        wrong += [f"then {then} {one.codes()}: {one.errors()[-300:]}" for then, one in ended if then]
        wrong += story.faults(self.agencies)
        disk.remove()
        story.case.close()
        then = [one for one, _run in ended]
        return {
            "route": self.route.name, "place": place, "status": status, "codes": codes, "said": errors, "state": state,
            "tries": spent, "then": then, "wrong": wrong,
        }  # fmt: skip


def main() -> None:
    """Every commit of the routes named, and no room from the start."""
    folder = Path(tempfile.mkdtemp(prefix="safetok-disk-", dir="/dev/shm"))
    alone(folder)
    stage = Stage(folder)
    try:
        for route in sys.argv[1:] or ["same", "new"]:
            disks = FullDisks(stage, ROUTES[route])
            for told in (disks.from_the_start(), *(disks.at(place) for place in disks.commits())):
                print(json.dumps(told), flush=True)  # noqa: T201
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
