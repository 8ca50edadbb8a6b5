"""What runs of a plan have come to, row by row: appended as it happens, read back by the next run and by the report."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from safetok.domain.companies import plain_mst
from safetok.domain.plan import Plan, RowResult, RowState
from safetok.domain.renewal import State
from safetok.domain.times import parse_rfc3339, rfc3339
from safetok.errors import UsageError
from safetok.locale import _, why

if TYPE_CHECKING:
    from safetok.workflows.context import Context


class Results:
    """The results of one plan, in a file of the state's own."""

    def __init__(self, context: Context, plan: Plan) -> None:
        self._plan = plan
        self._path = folder(context) / f"{plan.id}.jsonl"
        self._lock = threading.Lock()
        self._last: dict[int, RowResult] = {}
        for line in _lines(self._path):
            try:
                shown = json.loads(line)
                at, not_after = (parse_rfc3339(shown[n]) if shown[n] else None for n in ("at", "not_after"))
                result = RowResult(**{**shown, "state": RowState(shown["state"]), "at": at, "not_after": not_after})
            except (ValueError, KeyError, TypeError):
                continue  # a line cut short by a kill: the journal knows better
            self._last[result.row] = result
        self.from_journal(context)

    def from_journal(self, context: Context) -> None:
        """A renewal that came to its end without the run that began it, or waits, is known from its own row."""
        from safetok.store.journal import Journal

        journal = Journal(context.database)
        unfinished = {(one.token_serial, plain_mst(one.mst or "")): one for one in journal.unfinished()}
        for row in self._plan.rows:
            known = self._last.get(row.row)
            if row.token is None or (known is not None and known.state.settled):
                continue
            if (renewal := unfinished.get((row.token, plain_mst(row.mst or "")))) is not None:
                if known is None or known.state is RowState.OPEN:
                    self._last[row.row] = RowResult(
                        row=row.row,
                        state=RowState.WAITING,
                        token=row.token,
                        at=renewal.updated_at,
                        message=renewal.reason,
                        renewal_id=renewal.id,
                    )
                continue
            if known is None and not self._path.exists():
                continue
            for renewal in journal.all(token_serial=row.token, limit=3):
                if renewal.state is State.DONE and renewal.old_serial == row.old_serial:
                    self._last[row.row] = _done(row.row, renewal.token_serial, renewal)

    def of(self, row: int) -> RowResult:
        """Where a row stands."""
        return self._last.get(row) or RowResult(row=row, state=RowState.OPEN)

    def add(self, result: RowResult) -> None:
        """Keep a row's result. The journal is what promises rest on: this file is for people and for the next run's order."""
        shown = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
        shown |= {
            "state": str(result.state),
            "at": rfc3339(result.at) if result.at else None,
            "not_after": rfc3339(result.not_after) if result.not_after else None,
        }
        with self._lock:
            self._last[result.row] = result
            self._append(json.dumps(shown, ensure_ascii=False))

    def begin(self) -> None:
        """Remember that this plan is the one being run."""
        with self._lock:
            self._append("")

    def _append(self, line: str) -> None:
        try:
            with os.fdopen(
                os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8"
            ) as file:
                file.write(f"{line}\n")
        except OSError as error:
            raise UsageError(
                _("{path} cannot be used: {why}.").format(path=self._path, why=why(error)), code="plan_file"
            ) from error


def _done(row: int, token: str, renewal: object) -> RowResult:
    from safetok.domain.renewal import Renewal
    from safetok.workflows.renew.request import result_of

    assert isinstance(renewal, Renewal)
    shown = result_of(renewal)
    return RowResult(
        row=row,
        state=RowState.DONE,
        token=token,
        at=renewal.updated_at,
        new_serial=shown.new_serial or "",
        not_after=shown.not_after,
        renewal_id=renewal.id,
    )


def folder(context: Context) -> Path:
    """Where plans run on this machine leave their traces."""
    found = context.settings.home.state / "batch"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def remember(context: Context, path: Path) -> None:
    """The plan that `batch resume` and `batch report` mean when none is named."""
    (folder(context) / "last").write_bytes(os.fsencode(path.absolute()))  # a name that is no UTF-8, too


def last(context: Context) -> Path:
    """The plan run last. Raises UsageError (`no_plan`)."""
    try:
        return Path(os.fsdecode((folder(context) / "last").read_bytes()))
    except OSError as error:
        raise UsageError(
            _("No plan has been run here yet."), code="no_plan", hint=_("Make one: safetok batch plan FILE")
        ) from error


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except OSError:
        return []
