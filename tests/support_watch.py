"""A `safetok watch` that runs, one in this process with a clock of the test's own, and what hundreds of insertions leave behind."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support_cli import Cli

from safetok.cli import conformance
from safetok.cli.globals import begin
from safetok.cli.run import surroundings
from safetok.workflows.watch import What, watch

WAIT = 30.0
ROUNDS = 250
EARLY = 101  # events after which nothing may grow any more


class Watching:
    """A `safetok watch` that runs, and the lines it printed."""

    def __init__(self, cli: Cli, *words: str, env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "safetok", "watch", *words],
            env=cli.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._rest = b""

    def line(self) -> str:
        """The next line on stdout."""
        assert self.process.stdout is not None
        end = time.monotonic() + WAIT
        while b"\n" not in self._rest:
            ready, _w, _x = select.select([self.process.stdout], [], [], max(end - time.monotonic(), 0))
            assert ready, f"nothing came: {self._rest!r}"
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, f"it ended: {self.process.stderr.read()!r}"  # type: ignore[union-attr]
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    def event(self) -> dict[str, Any]:
        """The next event, held to its schema."""
        document = json.loads(self.line())
        conformance.check(document)
        assert document["command"] == ["watch"]
        return document

    def until(self, text: str) -> str:
        """Everything up to a line that holds `text`."""
        told = ""
        while text not in told:
            told += self.line() + "\n"
        return told

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; the exit status and what was said on stderr."""
        self.process.send_signal(number)
        _out, err = self.process.communicate(timeout=WAIT)
        return self.process.returncode, err.decode()


class Clock:
    """Time that passes only by being slept through; each step may do something to the tokens."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, tzinfo=UTC)
        self.steps: Iterator[object] = iter(())

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        next(self.steps, None)
        self.now += timedelta(seconds=seconds)


@contextmanager
def ready(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Clock]]:
    """A Context in this process, with a clock of the test's own."""
    for name, value in cli.env.items():
        monkeypatch.setenv(name, value)
    begin(())
    with surroundings() as context:
        clock = context.clock = Clock()
        yield context, clock


def resident(pid: int) -> int:
    """Kilobytes of memory a process has in RAM."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def children() -> list[int]:
    """This process's children, dead ones that nobody waited for among them."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def many_insertions(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, *, pull: Callable[[], object], plug: Callable[[], object]
) -> None:
    """Pull a token out and put it in again, hundreds of times: each is announced, and nothing is left open or kept."""
    events: list[What] = []  # not the events themselves, which would hold what they tell of

    def turns() -> Iterator[None]:
        for _n in range(ROUNDS):
            pull()
            yield
            plug()
            yield

    before = set(children())
    with ready(cli, monkeypatch) as (context, clock):
        clock.steps = turns()
        found = watch(context, poll=1, sleep=clock.sleep)
        events.append(next(found).what)
        (worker,) = set(children()) - before
        measured = {}
        while len(events) < 2 * ROUNDS + 1:
            events.append(next(found).what)
            if len(events) in {EARLY, 2 * ROUNDS + 1}:
                files = [len(os.listdir(f"/proc/{pid}/fd")) for pid in ("self", worker)]  # noqa: PTH208
                measured[len(events)] = (files, set(children()) - before, resident(worker), resident(os.getpid()))
        found.close()
    assert events[1:5] == ["removed", "inserted"] * 2
    assert events.count("inserted") == ROUNDS
    early, late = measured[EARLY], measured[2 * ROUNDS + 1]
    print(f"after {EARLY // 2} and {ROUNDS} insertions: files, children, worker KB, parent KB: {early} {late}")  # noqa: T201
    assert early[:2] == late[:2] == (early[0], {worker})
    assert late[2] - early[2] < 1024
    assert late[3] - early[3] < 1024
