"""How a plan stands: every row with what was planned and what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.domain.plan import Plan, PlanRow, RowResult, RowState, Verdict
from safetok.domain.times import rfc3339, show_date, show_day, show_instant
from safetok.locale import _, later
from safetok.records import dataclass
from safetok.workflows.batch import plan_file, results

if TYPE_CHECKING:
    from safetok.workflows.context import Context

VERDICTS = {
    Verdict.RENEW: later("to renew"),
    Verdict.NOTHING_DUE: later("nothing due"),
    Verdict.NOT_IN: later("not plugged in"),
    Verdict.UNCHECKED: later("could not be checked"),
    Verdict.NOT_READY: later("not ready"),
    Verdict.REFUSED: later("refused"),
}
STATES = {
    RowState.OPEN: later("not begun"),
    RowState.DONE: later("done"),
    RowState.NOTHING_DUE: later("nothing due"),
    RowState.WAITING: later("waiting"),
    RowState.FAILED: later("failed"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A plan and where each of its rows stands."""

    plan: Plan
    results: dict[int, RowResult]

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "plan": self.plan.id,
            "manifest": self.plan.manifest,
            "made_at": rfc3339(self.plan.made_at),
            "rows": [row_data(row, self.results.get(row.row)) for row in self.plan.rows],
        }

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads and cells for a spreadsheet."""
        heads = [
            _("Row"),
            _("Company"),
            "MST",
            "Token ID",
            _("State"),
            _("Reason"),
            _("Old serial"),
            _("New serial"),
            _("New end"),
            _("Contract's end"),
            _("Confirmed by"),
            _("Group"),
            _("Day"),
            _("When"),
        ]
        return heads, [self._line(row) for row in self.plan.rows]

    def _line(self, row: PlanRow) -> list[str]:
        result = self.results.get(row.row)
        return [
            str(row.row),
            whose(row, result),
            row.mst or (result.mst if result else ""),
            row.token or (result.token if result else "") or "",
            standing(row, result),
            why(row, result),
            row.old_serial or (result.old_serial if result else ""),
            result.new_serial if result else "",
            show_date(result.not_after) if result and result.not_after else "",
            show_day(row.contract_end) if row.contract_end else "",
            row.confirmed_by,
            row.group,
            show_day(row.day) if row.day else "",
            show_instant(result.at) if result and result.at else "",
        ]


def report(context: Context, path: Path | None) -> Report:
    """How the plan in `path`, or the one run last, stands. Raises UsageError (`no_plan`, `plan_…`)."""
    plan = plan_file.read(context, path or results.last(context))
    kept = results.Results(context, plan)
    return Report(plan=plan, results={row.row: kept.of(row.row) for row in plan.rows})


def standing(row: PlanRow, result: RowResult | None) -> str:
    """A row's state in words: what came of it, else what was planned."""
    if result is not None and result.state is not RowState.OPEN:
        return _(STATES[result.state])
    return _(VERDICTS[row.verdict])


def why(row: PlanRow, result: RowResult | None) -> str:
    """The reason a row is where it is; empty where it went well."""
    if result is not None and result.state is not RowState.OPEN:
        return result.message
    return row.reason


def whose(row: PlanRow, result: RowResult | None) -> str:
    """The company's name: as it was planned, else as its token says."""
    return row.name or (result.name if result else "")


def row_data(row: PlanRow, result: RowResult | None = None) -> dict[str, Any]:
    """One row as scripts read it; `state` is null until a run has looked at it."""
    begun = result is not None and result.state is not RowState.OPEN
    return {
        "row": row.row,
        "token": row.token or (result.token if result else None),
        "mst": row.mst or (result.mst if result else None) or None,
        "name": whose(row, result),
        "planned": str(row.verdict),
        "state": str(result.state) if begun and result else None,
        "code": (result.code if begun and result else row.code) or None,
        "message": why(row, result),
        "exit_status": result.exit_status if begun and result else None,
        "old_serial": row.old_serial or (result.old_serial if result else None) or None,
        "new_serial": (result.new_serial or None) if result else None,
        "not_after": rfc3339(result.not_after) if result and result.not_after else None,
        "shortfall_days": result.shortfall_days if result else None,
        "contract_end": row.contract_end.isoformat() if row.contract_end else None,
        "new_key": row.new_key,
        "group": row.group,
        "confirmed_by": row.confirmed_by,
        "day": row.day.isoformat() if row.day else None,
        "renewal_id": (result.renewal_id or None) if result else None,
    }
