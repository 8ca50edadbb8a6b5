"""Which row comes next: one at a time on a token, none while its CA asks for patience, none after a stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import field
from itertools import islice

from safetok.domain.plan import PlanRow
from safetok.records import dataclass

LONGEST_PAUSE = 60.0  # seconds between two tries at a CA that does not say when to come back


@dataclass(kw_only=True)
class Task:
    """A row on its way, with the token it is on."""

    row: PlanRow
    token: str
    first_try: float | None = None
    not_before: float = 0.0


@dataclass
class _Gate:
    """One CA: when it may be asked again, how often it failed in a row, and when the next new row may go to it. After a failure
    one row alone tries whether it is back.
    """

    opens: float = 0.0
    busy: int = 0
    failures: int = 0
    next_slot: float = 0.0
    silent_since: float | None = None


@dataclass(kw_only=True)
class Queue:
    """Shared by the hands of a run. `patience`: seconds a row goes on asking, and all rows together a CA that does not say when
    to come back: when they are over, the others are not kept waiting behind it. `rate`: rows a minute for each CA, None without.
    """

    patience: float
    rate: float | None = None
    clock: Callable[[], float] = time.monotonic
    _waiting: list[Task] = field(default_factory=list)
    _busy: set[str] = field(default_factory=set)
    _gates: dict[str, _Gate] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False
    _more: bool = False

    def put(self, *tasks: Task) -> None:
        """Add rows."""
        with self._changed:
            self._waiting += tasks
            self._changed.notify_all()

    def more_may_come(self, more: bool) -> None:
        """Whether somebody still adds rows: without that, an empty queue ends the run."""
        with self._changed:
            self._more = more
            self._changed.notify_all()

    def close(self) -> None:
        """Give out no more rows."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    def idle(self, most: int) -> int:
        """How many rows wait that somebody could begin now, counted up to `most`."""
        with self._changed:
            now = self.clock()
            return sum(1 for _ready in islice((task for task in self._waiting if self._ready_at(task) <= now), most))

    def take(self) -> Task | None:
        """The next row, as soon as there is one; None when there will be none."""
        with self._changed:
            while True:
                if self._closed or not (self._waiting or self._busy or self._more):
                    self._changed.notify_all()
                    return None
                now, soonest = self.clock(), float("inf")
                for at, task in enumerate(self._waiting):
                    ready = self._ready_at(task)
                    if ready <= now:
                        del self._waiting[at]
                        return self._begun(task, now)
                    soonest = min(soonest, ready)
                self._changed.wait(None if soonest == float("inf") else max(soonest - now, 0.01))

    def _begun(self, task: Task, now: float) -> Task:
        self._busy.add(task.token)
        gate = self._gate(task)
        gate.busy += 1
        if self.rate:
            gate.next_slot = max(gate.next_slot, now) + 60.0 / self.rate
        return task

    def done(self, task: Task, *, answered: bool) -> None:
        """A row is over; `answered`: its CA was heard, so it is there."""
        with self._changed:
            self._busy.discard(task.token)
            self._gate(task).busy -= 1
            if answered:
                self._gate(task).failures, self._gate(task).silent_since = 0, None
            self._changed.notify_all()

    def again(self, task: Task, after: float) -> float | None:
        """Put a row back whose CA asked for patience: `after` seconds, or longer each time where it does not say. The seconds
        it waits; None when its patience is over.
        """
        with self._changed:
            now, gate = self.clock(), self._gate(task)
            task.first_try = task.first_try if task.first_try is not None else now
            if not after:
                gate.silent_since = now if gate.silent_since is None else gate.silent_since
                if now - gate.silent_since > self.patience:
                    return None
                gate.failures += now >= gate.opens  # rows that were under way together fail as one
                after = min(LONGEST_PAUSE, 0.5 * 2 ** min(max(gate.failures - 1, 0), 10))
                gate.opens = max(gate.opens, now + after)
            task.not_before = now + after
            if self._closed or task.not_before - task.first_try > self.patience:
                return None
            self._busy.discard(task.token)
            gate.busy -= 1
            self._waiting.append(task)
            self._changed.notify_all()
            return after

    def hold(self, task: Task, seconds: float) -> None:
        """Its CA is busy: nobody asks it for so long."""
        with self._changed:
            gate = self._gate(task)
            gate.opens = max(gate.opens, self.clock() + seconds)

    def holds(self, row: int) -> bool:
        """Whether this row waits here."""
        with self._changed:
            return any(task.row.row == row for task in self._waiting)

    def needs(self, token: str) -> bool:
        """Whether another row waits here that is on this token."""
        with self._changed:
            return not self._closed and any(task.token == token for task in self._waiting)

    def _gate(self, task: Task) -> _Gate:
        return self._gates.setdefault(task.row.authority, _Gate())

    def _ready_at(self, task: Task) -> float:
        if task.token in self._busy:
            return float("inf")
        gate = self._gate(task)
        if gate.failures and gate.busy > 0:
            return float("inf")
        return max(task.not_before, gate.opens, gate.next_slot if self.rate else 0.0)
