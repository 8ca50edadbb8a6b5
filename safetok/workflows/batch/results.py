"""What runs of a plan have come to, row by row: appended as it happens, read back by the next run and by the report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from safetok.domain.companies import plain_mst
from safetok.domain.plan import Plan, PlanRow, RowResult, RowState
from safetok.domain.times import parse_rfc3339, rfc3339
from safetok.errors import ExitStatus, UsageError
from safetok.locale import _, why

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from safetok.domain.renewal import Renewal
    from safetok.store.journal import Journal
    from safetok.workflows.context import Context
    from safetok.workflows.renew.request import RenewResult


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
        """A renewal of a planned certificate that is done, by whatever run or hand, or that waits, is known from its own row."""
        from safetok.store.journal import Journal

        journal = Journal(context.database)
        unfinished = {(one.token_serial, plain_mst(one.mst or "")): one for one in journal.unfinished()}
        for row in self._plan.rows:
            known = self._last.get(row.row)
            if row.token is None or (known is not None and known.state is RowState.DONE):
                continue
            if (done := _renewal_of(journal, row)) is not None:
                self._last[row.row] = _done(row, done)
            elif known is not None and known.state is not RowState.OPEN:
                continue
            elif (renewal := unfinished.get((row.token, plain_mst(row.mst or "")))) is not None:
                self._last[row.row] = _under_way(row, renewal)

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


def _renewal_of(journal: Journal, row: PlanRow) -> Renewal | None:
    """The finished renewal of the certificate that was planned."""
    if row.token is None or not row.certificate:
        return None
    found = journal.done_with(row.token, row.old_serial)
    return next((one for one in found if hashlib.sha256(one.old_certificate).hexdigest() == row.certificate), None)


def _done(row: PlanRow, renewal: Renewal) -> RowResult:
    from safetok.workflows.renew.request import result_of

    return ended(row, result_of(renewal), now=renewal.updated_at)


def _under_way(row: PlanRow, renewal: Renewal) -> RowResult:
    """A renewal that a run was killed or stopped in, or is working on now: no run has said how its row ended."""
    return RowResult(
        row=row.row,
        state=RowState.WAITING,
        token=row.token,
        at=renewal.updated_at,
        code="unfinished",
        message=renewal.reason or carried_on(renewal),
        exit_status=int(ExitStatus.INTERRUPTED),
        renewal_id=renewal.id,
    )


def carried_on(renewal: Renewal) -> str:
    """What is said of a renewal that waits, where nothing else is known of it."""
    from safetok.workflows.history import state_word

    return _("A renewal is unfinished ({id}, {state}): it is carried on.").format(
        id=renewal.id, state=state_word(renewal.state, renewal.route)
    )


def ended(row: PlanRow, result: RenewResult, *, now: datetime) -> RowResult:
    """The row's result where the renewal ended without an error."""
    done, short = result.state == "DONE", result.shortfall_days or 0
    said = [*result.reasons]
    if done and short:
        said.append(_("{n} days short of the contract's end.").format(n=short))
    return RowResult(
        row=row.row,
        state=RowState.DONE if done else RowState.NOTHING_DUE,
        token=result.token,
        at=now,
        code=result.state.lower(),
        message=sentences(said),
        name=result.name,
        old_serial=(result.old_serial or "") if done else "",
        new_serial=(result.new_serial or "") if done else "",
        not_after=result.not_after if done else None,
        shortfall_days=short if done else None,
        renewal_id=result.renewal_id or "",
    )


def sentences(parts: Iterable[str]) -> str:
    """Reasons, some of them half sentences, as sentences one after the other."""
    return " ".join(f"{part[:1].upper()}{part[1:].rstrip('.')}." for part in parts if part)


def folder(context: Context) -> Path:
    """Where plans run on this machine leave their traces. Raises UsageError (`plan_file`)."""
    found = context.settings.home.state / "batch"
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            _("{path} cannot be used: {why}.").format(path=found, why=why(error)), code="plan_file"
        ) from error
    return found


def remember(context: Context, path: Path) -> None:
    """The plan that `batch resume` and `batch report` mean when none is named. Raises UsageError (`plan_file`)."""
    file, meant = folder(context) / "last", os.fsencode(path.absolute())  # a name that is no UTF-8, too
    try:
        if not file.exists() or file.read_bytes() != meant:
            file.write_bytes(meant)
    except OSError as error:
        raise UsageError(
            _("{path} cannot be used: {why}.").format(path=file, why=why(error)), code="plan_file"
        ) from error


def last(context: Context) -> Path:
    """The plan run last. Raises UsageError (`no_plan`)."""
    try:
        return Path(os.fsdecode((folder(context) / "last").read_bytes()))
    except OSError as error:
        raise UsageError(
            _("No plan has been run here yet."), code="no_plan", hint=_("Make one: safetok batch plan FILE")
        ) from error


def _lines(path: Path) -> list[bytes]:
    """Not yet as text: a line may be cut short within a letter, and a letter may be one that ends a line elsewhere."""
    try:
        return path.read_bytes().split(b"\n")
    except OSError:
        return []
