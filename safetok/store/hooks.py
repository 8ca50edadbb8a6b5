"""What each hook was told and how it ended: none is told twice of one occurrence, and what failed can be tried again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from safetok.records import dataclass
from safetok.store.database import Database, Row, reads

Outcome = Literal["running", "ok", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRun:
    """One hook and one occurrence. `running`: it was begun and its end was never written down."""

    event: str
    occurrence: str
    hook: str
    told: str  # the JSON it was given
    at: datetime
    outcome: Outcome
    attempts: int
    why: str


class HookRuns:
    """Hooks' runs, by event, occurrence and hook."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def begin(self, event: str, occurrence: str, hook: str, told: str, now: datetime) -> bool:
        """Take note before it runs; False when this hook was told of this before."""
        with self._db.transaction():
            known = self._row(event, occurrence, hook)
            if known is not None:
                return False
            self._db.run(
                "INSERT INTO hook_runs (event, occurrence, hook, told, at, outcome, attempts, why) "
                "VALUES (?, ?, ?, ?, ?, 'running', 0, '')",
                (event, occurrence, hook, told, now.isoformat()),
            )
        return True

    def again(self, run: HookRun, now: datetime, *, patience: timedelta) -> bool:
        """Take note before it runs again; False when another process has begun it since `run` was read, or not `patience` ago."""
        if run.outcome == "running" and abs(now - run.at) < patience:
            return False
        with self._db.transaction():
            if self.get(run) != run:
                return False
            self._db.run(
                "UPDATE hook_runs SET outcome = 'running', why = '', at = ? WHERE event = ? AND occurrence = ? AND hook = ?",
                (now.isoformat(), run.event, run.occurrence, run.hook),
            )
        return True

    def finish(self, event: str, occurrence: str, hook: str, *, ok: bool, why: str, now: datetime) -> None:
        """Write down how it ended."""
        self._db.run(
            "UPDATE hook_runs SET outcome = ?, why = ?, at = ?, attempts = attempts + 1 "
            "WHERE event = ? AND occurrence = ? AND hook = ?",
            ("ok" if ok else "failed", why, now.isoformat(), event, occurrence, hook),
        )

    def failed(self) -> list[HookRun]:
        """Those that failed or never ended, the oldest first."""
        return [_decode(row) for row in self._db.rows("SELECT * FROM hook_runs WHERE outcome != 'ok' ORDER BY number")]

    def get(self, run: HookRun) -> HookRun:
        """One as it stands now."""
        row = self._row(run.event, run.occurrence, run.hook)
        return _decode(row) if row is not None else run

    def _row(self, event: str, occurrence: str, hook: str) -> Row | None:
        return self._db.row(
            "SELECT * FROM hook_runs WHERE event = ? AND occurrence = ? AND hook = ?", (event, occurrence, hook)
        )


@reads
def _decode(row: Row) -> HookRun:
    return HookRun(
        event=row["event"],
        occurrence=row["occurrence"],
        hook=row["hook"],
        told=row["told"],
        at=datetime.fromisoformat(row["at"]),
        outcome=row["outcome"],
        attempts=row["attempts"],
        why=row["why"],
    )
