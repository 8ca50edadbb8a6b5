"""`batch run` and `batch resume`: a plan carried out, and what is said of it. Loads no typer: see plain.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetok.cli.globals import flags
from safetok.cli.render import screen
from safetok.cli.run import Outcome, run
from safetok.locale import _

if TYPE_CHECKING:
    from pathlib import Path

    from safetok.domain.plan import PlanRow, RowResult
    from safetok.errors import SafetokError
    from safetok.workflows.batch.course import Options
    from safetok.workflows.batch.run import Ran
    from safetok.workflows.context import Context


_OTHERWISE = {"plan_row_changed", "contract_end_differs"}  # of a row that only another plan can do right


def run_plan(file: Path, *, events: Path | None = None, **options: Any) -> None:
    """Rows whose day has come and that are not done; `options` as `workflows.batch.course.Options` names them."""
    from safetok.workflows.batch.course import Options

    chosen = Options(**options)
    run(["batch", "run"], lambda context: _run(context, file, chosen, events), lambda shown: _show_run(*shown))


def resume(file: Path | None, *, events: Path | None = None, **options: Any) -> None:
    """What a stopped run left of a plan: of the one run last, unless one is named."""
    from safetok.workflows.batch.course import Options

    chosen = Options(**options, resume=True)

    def work(context: Context) -> Outcome[tuple[Ran, Path]]:
        from safetok.workflows.batch import results

        return _run(context, file or results.last(context), chosen, events)

    run(["batch", "resume"], work, lambda shown: _show_run(*shown))


def _run(context: Context, file: Path, options: Options, events: Path | None) -> Outcome[tuple[Ran, Path]]:
    from safetok.cli.batch_progress import teller
    from safetok.workflows.batch.report import row_data
    from safetok.workflows.batch.run import run as run_plan

    _refuse_no_numbers(options)
    with teller(events) as tell:
        ran = run_plan(context, file, options, tell)
    data = {
        "plan": str(file),
        "id": ran.plan.id,
        "states": dict(ran.states()),
        "kits": ran.kits,
        "rows": [row_data(row, ran.results[row.row]) for row in ran.plan.rows if row.row in ran.worked_on],
    }
    told = () if not (flags().json or flags().quiet) else _errors(ran)  # else each row was told as it ended
    return Outcome((ran, file), data=data, errors=told, exit_status=ran.exit_status)


def _refuse_no_numbers(options: Options) -> None:
    """Refuse `nan` and `inf`, which no lower bound keeps out. Raises UsageError (`bad_number`)."""
    import math

    from safetok.errors import UsageError

    for name in ("rate", "patience", "jitter"):
        value = getattr(options, name)
        if value is not None and not math.isfinite(value):
            raise UsageError(
                _("{option} takes a number, not {value}.").format(option=f"--{name}", value=value), code="bad_number"
            )


def _errors(ran: Ran) -> list[SafetokError]:
    """One for each row that is not done, and that this run worked on or an earlier one has left failed."""
    from safetok.domain.plan import RowState

    return [
        row_error(row, result)
        for row in ran.plan.rows
        if (result := ran.results[row.row]).code and (row.row in ran.worked_on or result.state is RowState.FAILED)
        if row.runs and not result.state.settled
    ]


def row_error(row: PlanRow, result: RowResult | None = None) -> SafetokError:
    """What keeps a row from being done, with its number; without a result as it was planned."""
    from safetok.errors import Unexpected
    from safetok.workflows.batch.report import whose, why

    token = row.token or (result.token if result else None)
    name = whose(row, result) or token or row.mst or "?"
    message = _("Row {row}, {name}: {why}").format(row=row.row, name=name, why=why(row, result))
    return Unexpected(message, code=result.code if result else row.code, token=token)


def _show_run(ran: Ran, file: Path) -> None:
    from safetok.cli.text import quoted
    from safetok.domain.plan import RowState, Verdict
    from safetok.workflows.batch.report import STATES

    out = screen()
    if not ran.worked_on and not ran.stopped:
        rows = [row.row for row in ran.plan.rows if row.runs]
        idle = rows or all(row.verdict is Verdict.NOTHING_DUE for row in ran.plan.rows)
        if idle and not any(ran.results[row].state is RowState.FAILED for row in rows):
            out.notice(_("Nothing to do: no row of this plan is due."), "good")
        _show_rest(ran, file)
        return
    counts = ran.states()
    out.notice(
        ", ".join(f"{_(STATES[state])} {counts[state]}" for state in RowState if counts[state]),
        "good" if not ran.exit_status else "warn",
    )
    if ran.cut_short:
        out.notice(_("Stopped after so many failures, as --max-failures says."), "warn")
    if ran.stopped:
        out.notice(_("Stopped, as asked."), "warn")
    if ran.left():
        command = f"safetok batch run {quoted(file)} --insert" if ran.insert else "safetok batch resume"
        out.line(_("The rest is carried on with: {command}").format(command=command))
    _show_rest(ran, file)
    if ran.kits is not None:
        out.line(_("The companies' files for the agencies are in {folder}.").format(folder=ran.kits))
    if counts[RowState.DONE]:
        out.notice(
            _("STILL TO DO (mandatory): the agencies of each renewed company must be updated."),
            "warn",
            hint="safetok agencies list",
        )
    out.line(_("Every row: safetok batch report"))


def _show_rest(ran: Ran, file: Path) -> None:
    """Rows that no run carries on by itself, and what brings them on: another day, a hand, another plan."""
    from safetok.cli.text import quoted
    from safetok.domain.plan import RowState, Verdict
    from safetok.domain.times import show_day

    out, rows = screen(), ran.plan.rows
    open_ = [row for row in rows if row.runs and row.row not in ran.due]
    later = [row.day for row in open_ if row.day and ran.results[row.row].state is RowState.OPEN]
    if later:
        out.line(
            _("{n} rows have a later day, the first on {day}: run the plan again then.").format(
                n=len(later), day=show_day(min(later))
            )
        )
    failures = [ran.results[row.row].code for row in rows if row.runs and ran.results[row.row].state is RowState.FAILED]
    if otherwise := sum(code in _OTHERWISE for code in failures):
        out.notice(
            _("{n} rows stand otherwise than planned: no run of this plan takes them. Make the plan again.").format(
                n=otherwise
            ),
            "warn",
            hint=f"safetok batch plan {quoted(ran.plan.manifest)}",
        )
    if failed := len(failures) - otherwise:
        out.notice(
            _(
                "{n} rows failed. Put right what was said of them (safetok batch report), then run the plan again."
            ).format(n=failed),
            "warn",
            hint=f"safetok batch run {quoted(file)}",
        )
    if unfit := sum(row.verdict in {Verdict.NOT_READY, Verdict.REFUSED} for row in rows):
        out.notice(
            _(
                "{n} rows were not ready or were refused when the plan was made: no run takes them. Make the plan again."
            ).format(n=unfit),
            "warn",
            hint=f"safetok batch plan {quoted(ran.plan.manifest)}",
        )
