"""`batch run` and `batch resume`: a plan carried out, and what is said of it. Loads no typer: see plain.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetok.cli.globals import flags
from safetok.cli.render import screen
from safetok.cli.run import Outcome, run
from safetok.locale import _

if TYPE_CHECKING:
    from pathlib import Path

    from safetok.errors import SafetokError
    from safetok.workflows.batch.course import Options
    from safetok.workflows.batch.run import Ran
    from safetok.workflows.context import Context


def run_plan(file: Path, *, events: Path | None = None, **options: Any) -> None:
    """Rows whose day has come and that are not done; `options` as `workflows.batch.course.Options` names them."""
    from safetok.workflows.batch.course import Options

    chosen = Options(**options)
    run(["batch", "run"], lambda context: _run(context, file, chosen, events), _show_run)


def resume(file: Path | None, *, events: Path | None = None, **options: Any) -> None:
    """What a stopped run left of a plan: of the one run last, unless one is named."""
    from safetok.workflows.batch.course import Options

    chosen = Options(**options, resume=True)

    def work(context: Context) -> Outcome[Ran]:
        from safetok.workflows.batch import results

        return _run(context, file or results.last(context), chosen, events)

    run(["batch", "resume"], work, _show_run)


def _run(context: Context, file: Path, options: Options, events: Path | None) -> Outcome[Ran]:
    from safetok.cli.batch_progress import teller
    from safetok.workflows.batch.report import row_data
    from safetok.workflows.batch.run import run as run_plan

    with teller(events) as tell:
        ran = run_plan(context, file, options, tell)
    data = {
        "plan": str(file),
        "id": ran.plan.id,
        "states": dict(ran.states()),
        "rows": [row_data(row, ran.results[row.row]) for row in ran.plan.rows if row.row in ran.worked_on],
    }
    told = () if not (flags().json or flags().quiet) else _errors(ran)  # else each row was told as it ended
    return Outcome(ran, data=data, errors=told, exit_status=ran.exit_status)


def _errors(ran: Ran) -> list[SafetokError]:
    """One for each row that is not done, with its row number."""
    from safetok.errors import Unexpected

    errors: list[SafetokError] = []
    for row in ran.plan.rows:
        result = ran.results[row.row]
        if row.row in ran.worked_on and not result.state.settled and result.code:
            text = _("Row {row}, {name}: {why}")
            name = row.name or row.token or row.mst or "?"
            message = text.format(row=row.row, name=name, why=result.message)
            errors.append(Unexpected(message, code=result.code, token=result.token))
    return errors


def _show_run(ran: Ran) -> None:
    from safetok.domain.plan import RowState
    from safetok.workflows.batch.report import STATES

    out = screen()
    if not ran.worked_on and not ran.stopped:
        out.notice(_("Nothing to do: no row of this plan is due."), "good")
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
    if counts[RowState.OPEN] or counts[RowState.WAITING]:
        out.line(_("The rest is carried on with: safetok batch resume"))
    if counts[RowState.DONE]:
        out.notice(
            _("STILL TO DO (mandatory): the agencies of each renewed company must be updated."),
            "warn",
            hint="safetok agencies list",
        )
    out.line(_("Every row: safetok batch report"))
