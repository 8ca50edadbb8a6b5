"""`batch`: many tokens from one list: planned, run, carried on, reported."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safetok.cli import batch_run as running
from safetok.cli.commands import Commands
from safetok.cli.globals import flags
from safetok.cli.options import only_with, together
from safetok.cli.render import Column, Tone, Toned, screen
from safetok.cli.run import Outcome, run
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.domain.plan import PlanRow, RowResult
    from safetok.workflows.batch.planning import Planned
    from safetok.workflows.batch.report import Report
    from safetok.workflows.context import Context

_FEW = 20  # rows named in one sentence

app = Commands(help=later("Many tokens from one list: plan it, run it, carry it on, report it."))


class Format(StrEnum):
    """What a report is written as."""

    TABLE = "table"
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"


List = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help=later("The list: CSV (UTF-8) or XLSX, with Token ID or MST, contract end, da_ky_het, nguon_pin."),
    ),
]
PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help=later("The plan that `batch plan` wrote."))]
SomePlan = Annotated[
    Path | None, typer.Argument(metavar="PLAN", help=later("The plan; without it the one that was run last."))
]
PlanOut = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help=later("Where to write it; beside the list without."))
]
PerDay = Annotated[
    int | None,
    typer.Option("--per-day", metavar="N", help=later("At most N a working day: the agencies must follow each.")),
]
Jobs = Annotated[int, typer.Option("--jobs", metavar="N", help=later("How many tokens at once."), min=1, max=64)]
MaxFailures = Annotated[
    int | None,
    typer.Option("--max-failures", metavar="N", help=later("Begin nothing more after N rows failed."), min=1),
]
Rate = Annotated[
    float | None,
    typer.Option("--rate", metavar="N", help=later("Begin at most N rows a minute at each CA."), min=0.1),
]
Patience = Annotated[
    float,
    typer.Option(
        "--patience", metavar="SECONDS", help=later("How long a row goes on asking a CA that cannot answer now."), min=0
    ),
]
Jitter = Annotated[
    float,
    typer.Option(
        "--jitter",
        metavar="SECONDS",
        help=later("Wait up to so long first, so that not everyone asks at once."),
        min=0,
        max=86_400,
    ),
]
Insert = Annotated[
    bool, typer.Option("--insert", help=later("Take tokens as they are plugged in; say which is next, which is done."))
]
PinsChanged = Annotated[
    bool,
    typer.Option(
        "--pins-changed", help=later("Try PIN sources again that failed before: somebody has put them right.")
    ),
]
Kits = Annotated[
    bool,
    typer.Option(
        "--kits", help=later("Write each company's files for the agencies too; `export` makes them later as well.")
    ),
]
Events = Annotated[
    Path | None, typer.Option("--events", metavar="FILE", help=later("Also write each event to FILE, as a JSON line."))
]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help=later("Write the report to FILE."))]
Force = Annotated[
    bool, typer.Option("--force", help=later("With --out: replace a file that is there and is no report."))
]
As = Annotated[Format, typer.Option("--format", metavar="table|csv|xlsx|json", help=later("What to write it as."))]


@app.command("plan", help=later("Check each row of a list, without a PIN, and write what a run would do."))
def plan(*, file: List, out: PlanOut = None, per_day: PerDay = None) -> None:
    """Every row is judged; only what is written into the plan is ever run."""

    def work(context: Context) -> Outcome[Planned]:
        from safetok.domain.plan import Verdict
        from safetok.errors import ExitStatus
        from safetok.workflows.batch.planning import plan as planned
        from safetok.workflows.batch.report import row_data

        result = planned(context, file, out=_place(file, out), per_day=per_day)
        verdicts = {row.verdict for row in result.plan.rows}
        status = ExitStatus.NOT_CHECKED if Verdict.UNCHECKED in verdicts else ExitStatus.DONE
        if verdicts & {Verdict.REFUSED, Verdict.NOT_READY}:
            status = ExitStatus.PARTLY
        rows = [row_data(row) for row in result.plan.rows]
        data: dict[str, Any] = {"plan": str(result.file), "id": result.plan.id, "rows": rows}
        data |= {"ignored_columns": result.ignored, "ignored_sheets": result.sheets, "hidden_rows": result.hidden}
        bad = {Verdict.REFUSED, Verdict.NOT_READY, Verdict.UNCHECKED}
        told = [running.row_error(row) for row in result.plan.rows if row.verdict in bad]
        errors = told if flags().json else []  # people read the reasons in the table
        return Outcome(result, data=data, errors=errors, exit_status=status)

    run(["batch", "plan"], work, _show_plan)


@app.command(
    "run", help=later("Renew what a plan says, several tokens at once. Safe to run again: done rows are left.")
)
def run_(
    *,
    file: PlanFile,
    jobs: Jobs = 4,
    insert: Insert = False,
    max_failures: MaxFailures = None,
    rate: Rate = None,
    patience: Patience = 300.0,
    jitter: Jitter = 0.0,
    pins_changed: PinsChanged = False,
    kits: Kits = False,
    events: Events = None,
) -> None:
    """Rows whose day has come and that are not done."""
    running.run_plan(
        file,
        events=events,
        jobs=jobs,
        insert=insert,
        max_failures=max_failures,
        rate=rate,
        patience=patience,
        jitter=jitter,
        pins_changed=pins_changed,
        kits=kits,
    )


@app.command("resume", help=later("Carry on what a stopped run left; rows that failed are left as they are."))
def resume(
    *,
    file: SomePlan = None,
    jobs: Jobs = 4,
    insert: Insert = False,
    max_failures: MaxFailures = None,
    rate: Rate = None,
    patience: Patience = 300.0,
    kits: Kits = False,
    events: Events = None,
) -> None:
    """The plan run last, unless one is named."""
    running.resume(
        file,
        events=events,
        jobs=jobs,
        insert=insert,
        max_failures=max_failures,
        rate=rate,
        patience=patience,
        kits=kits,
    )


@app.command("report", help=later("How every row of a plan stands: on screen, or as CSV, XLSX or JSON."))
def report(*, file: SomePlan = None, form: As = Format.TABLE, out: Out = None, force: Force = False) -> None:
    """Asks nobody and opens no driver."""
    only_with("--out", {"--force": force and out is None})
    if out is not None and form is not Format.TABLE and _by_name(out) not in {None, form}:
        together(
            {f"--out {out.name}": True, f"--format {form.value}": True}, _("Leave --format out: the name says it.")
        )

    def work(context: Context) -> Outcome[tuple[Report, Path | None]]:
        from safetok.workflows.batch.report import report as found

        result = found(context, file)
        written = _write(result, form, out, force=force)
        return Outcome((result, written), data={**result.data(), "file": str(written) if written else None})

    run(["batch", "report"], work, lambda shown: _show_report(shown[0], shown[1], form), dry_run=True)


def _place(file: Path, out: Path | None) -> Path:
    """Where the plan goes: an older plan may be there, and nothing else. Raises UsageError (`file_exists`, `not_a_file`)."""
    from contextlib import suppress

    from safetok.reports.files import plain_file
    from safetok.workflows.replacing import is_plan, refuse_to_replace

    place = out or file.parent / f"{file.stem}.plan.json"
    with suppress(OSError):  # a name that cannot be: whoever writes it says so
        plain_file(place)
    refuse_to_replace(place, _("Name another file with --out."), unless=is_plan)
    return place


def _show_plan(planned: Planned) -> None:
    from safetok.cli.text import quoted
    from safetok.domain.plan import Verdict
    from safetok.domain.times import show_day

    tones: dict[Verdict, Tone] = {
        Verdict.RENEW: "good",
        Verdict.NOTHING_DUE: "dim",
        Verdict.NOT_IN: "warn",
        Verdict.UNCHECKED: "warn",
        Verdict.NOT_READY: "warn",
        Verdict.REFUSED: "bad",
    }
    out = screen()
    rows = planned.plan.rows
    dated = any(row.day for row in rows)
    heads = [Column(_("Row"), right=True), Column(_("Company"), wrap=True), Column("Token ID"), Column(_("Plan"))]
    heads += [Column(_("Contract's end"))] + ([Column(_("Day"))] if dated else []) + [Column(_("Reason"), wrap=True)]
    out.table(heads, [_plan_line(row, tones[row.verdict], dated=dated) for row in rows])
    counts = Counter(row.verdict for row in rows)
    out.title(", ".join(f"{_verdict(verdict)} {counts[verdict]}" for verdict in Verdict if counts[verdict]))
    if dated:
        last = max(row.day for row in rows if row.day)
        out.line(_("The last of them on {day}.").format(day=show_day(last)))
    if planned.ignored:
        out.line(_("Columns not read: {names}").format(names=", ".join(planned.ignored)))
    if planned.sheets:
        from safetok.workflows.sheets import not_read

        out.notice(not_read(planned.sheets), "warn")
    if planned.hidden:
        few = ", ".join(map(str, planned.hidden[:_FEW])) + (", …" if len(planned.hidden) > _FEW else "")
        text = _(
            "{n} rows of the list are hidden in the workbook, by a filter say, and are planned all the same: rows {rows}."
        )
        out.notice(
            text.format(n=len(planned.hidden), rows=few),
            "warn",
            hint=_("Not meant? Delete them, or save what is shown to a file of its own; then make the plan again."),
        )
    if unchecked := counts[Verdict.UNCHECKED]:
        out.notice(
            _("{n} rows could not be checked now: a run checks each of them again before it does anything.").format(
                n=unchecked
            )
        )
    if unfit := counts[Verdict.NOT_READY] + counts[Verdict.REFUSED]:
        out.notice(
            _("{n} rows are not ready or refused: put right what is said of them, then make the plan again.").format(
                n=unfit
            ),
            hint=f"safetok batch plan {quoted(planned.plan.manifest)}",
        )
    if any(row.runs for row in rows):
        out.notice(
            _("The plan is in {file}. Nothing has been renewed yet.").format(file=planned.file),
            "good",
            hint=f"safetok batch run {quoted(planned.file)}",
        )


def _plan_line(row: PlanRow, tone: Tone, *, dated: bool) -> list[Any]:
    from safetok.domain.times import show_day

    line: list[Any] = [row.row, row.name, row.token or row.mst or "?", Toned(_verdict(row.verdict), tone)]
    line.append(show_day(row.contract_end) if row.contract_end else "")
    if dated:
        line.append(show_day(row.day) if row.day else "")
    return [*line, row.reason]


def _verdict(verdict: Any) -> str:
    from safetok.workflows.batch.report import VERDICTS

    return _(VERDICTS[verdict])


def _write(report: Report, form: Format, out: Path | None, *, force: bool) -> Path | None:
    """Write the report where it was asked for, in place of an older one. Raises UsageError (`file_exists`, `not_a_file`,
    `file_not_written`, `xlsx_missing`).
    """
    if out is None:
        return None
    from safetok.cli.envelope import encoded, plain
    from safetok.reports import batch
    from safetok.reports.files import write_file
    from safetok.workflows.replacing import is_report, refuse_to_replace

    if form is Format.TABLE:
        form = _by_name(out) or form
    heads, rows = report.table()
    if not force:
        hint = _("Name another file with --out, or replace it with --force.")
        refuse_to_replace(out, hint, unless=lambda path: is_report(path, heads))
    if form is Format.XLSX:
        content = batch.workbook(heads, rows)
    elif form is Format.JSON:
        content = f"{encoded(plain(report.data()), pretty=True)}\n".encode()
    else:
        content = batch.comma_separated(heads, rows)
    return write_file(out, content).absolute()


def _by_name(out: Path) -> Format | None:
    """The form that a file's name stands for."""
    suffix = out.suffix.lower().removeprefix(".")
    return Format(suffix) if suffix in {"csv", "xlsx", "json"} else None


def _show_report(report: Report, written: Path | None, form: Format) -> None:
    import sys

    from safetok.cli.envelope import encoded, plain
    from safetok.reports import batch

    out = screen()
    if written is not None:
        out.notice(_("The report is in {file}.").format(file=written), "good")
    elif form is Format.CSV:
        heads, rows = report.table()
        sys.stdout.write(batch.comma_separated(heads, rows).decode("utf-8-sig"))
    elif form is Format.JSON:
        sys.stdout.write(f"{encoded(plain(report.data()), pretty=True)}\n")
    elif form is Format.XLSX:
        from safetok.errors import UsageError

        raise UsageError(_("An Excel file needs a name: --out FILE"), code="report_file")
    else:
        _show_table(report)


def _show_table(report: Report) -> None:
    from safetok.domain.times import show_date
    from safetok.workflows.batch.report import standing, whose, why

    heads = [
        Column(_("Row"), right=True),
        Column(_("Company"), wrap=True),
        Column("Token ID"),
        Column(_("State")),
        Column(_("New serial")),
        Column(_("New end")),
        Column(_("Reason"), wrap=True),
    ]
    lines: list[list[Any]] = []
    for row in report.plan.rows:
        result = report.results[row.row]
        end = show_date(result.not_after) if result.not_after else ""
        cell = Toned(standing(row, result), _tone(row, result))
        token = row.token or result.token or row.mst or "?"
        lines.append([row.row, whose(row, result), token, cell, result.new_serial, end, why(row, result)])
    out = screen()
    out.table(heads, lines)
    counts = Counter(standing(row, report.results[row.row]) for row in report.plan.rows)
    out.title(", ".join(f"{name} {count}" for name, count in counts.items()))


def _tone(row: PlanRow, result: RowResult) -> Tone:
    from safetok.domain.plan import RowState

    tones: dict[RowState, Tone] = {RowState.DONE: "good", RowState.WAITING: "warn", RowState.FAILED: "bad"}
    if result.state is RowState.OPEN:
        return "" if row.runs else "dim"
    return tones.get(result.state, "dim")
