"""`agencies`: who must learn the new serial, since when, and who has taken it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safetok.cli.agencies_show import show_imported, show_list, show_recorded, show_reminder, standing_text
from safetok.cli.agencies_unattended_show import show_hooks, show_unit
from safetok.cli.agencies_when_show import show_when
from safetok.cli.commands import Commands
from safetok.cli.options import Cert, KnownSerial, Mst, only_with, together
from safetok.cli.run import Outcome, run
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.workflows.agencies import Listing, Move, Recorded
    from safetok.workflows.agencies_sheet import Imported
    from safetok.workflows.agencies_when import Answers
    from safetok.workflows.context import Context
    from safetok.workflows.hooks import Hooks
    from safetok.workflows.known import Selection
    from safetok.workflows.reminders import Unit

app = Commands(help=later("The agencies that must learn the new serial, and their 24 hours."), alone="list")

Check = Annotated[
    bool,
    typer.Option("--check", help=later("Say by the exit status whether something is due (14) or still open (15).")),
]
Overdue = Annotated[
    str | None,
    typer.Option(
        "--overdue", metavar="AGE", help=later("As --check, but only for what nobody has touched for so long: 2d, 36h.")
    ),
]
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="AGENCY",
        help=later("Agencies, by their short names; etax:khai is one service of etax, v5@16:05 has its own time."),
    ),
]
WholeNames = Annotated[
    list[str], typer.Argument(metavar="AGENCY", help=later("Agencies, by their short names, each as a whole."))
]
SomeNames = Annotated[
    list[str] | None, typer.Argument(metavar="AGENCY", help=later("Agencies, by their short names; all without."))
]
Need = Annotated[
    str,
    typer.Option("--need", metavar="TIME", help=later('When the filing is due: 10:00, "24/11 10:00", "Tue 10:00".')),
]
Xlsx = Annotated[
    Path | None,
    typer.Option("--xlsx", metavar="FILE", help=later("Write a worklist for staff to fill in, an Excel file.")),
]
Force = Annotated[
    bool, typer.Option("--force", help=later("With --xlsx: replace a file that is there, with what was filled in."))
]
Ics = Annotated[
    Path | None,
    typer.Option("--ics", metavar="FILE", help=later("Write a calendar file: to-dos, the ends of waits, deadlines.")),
]
Notify = Annotated[bool, typer.Option("--notify", help=later("Show what is to do on the desktop."))]
RunHooks = Annotated[
    bool, typer.Option("--hooks", help=later("Tell your own programs of waits that are over and of deadlines."))
]
UnitOption = Annotated[
    bool,
    typer.Option("--unit", help=later("Print how to have it run by itself: systemd timer, cron line, Windows task.")),
]
Worklist = Annotated[Path, typer.Argument(metavar="FILE", help=later("The worklist that was filled in."))]
DryRun = Annotated[bool, typer.Option("--dry-run", help=later("Show what would be recorded; record nothing."))]
Retry = Annotated[bool, typer.Option("--retry", help=later("Run those again that failed."))]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help=later('When the update was made on that system: 16:05, "23/11 16:05", "yesterday 16:05"; now without it.'),
    ),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help=later("What the agency said."))]
NewName = Annotated[str, typer.Argument(metavar="NAME", help=later("A name to type later, or the full title."))]
Title = Annotated[str, typer.Option("--title", metavar="TEXT", help=later("The title to show."))]
Url = Annotated[str, typer.Option("--url", metavar="URL", help=later("Where the update is made."))]
Waits = Annotated[
    bool | None,
    typer.Option(
        "--24h/--no-24h",
        "--invoice",
        help=later("Another e-invoice provider: 24h00 count from the update there; --no-24h: no longer."),
    ),
]


@app.command("list", help=later("Every agency of each new certificate, where it stands, and what to sign with today."))
def list_(
    *,
    mst: Mst = None,
    serial: KnownSerial = None,
    cert: Cert = None,
    check: Check = False,
    overdue: Overdue = None,
    xlsx: Xlsx = None,
    force: Force = False,
) -> None:
    """List registrations."""
    only_with("--xlsx", {"--force": force and xlsx is None})

    def after(context: Context, listing: Listing) -> dict[str, str]:
        if xlsx is None:
            return {}
        from safetok.cli.text import quoted
        from safetok.workflows.agencies_sheet import write_sheet

        path = write_sheet(context, listing, xlsx, lambda view: standing_text(view).text, force=force)
        context.prompter.say(
            _("Worklist written: {file}. Filled in, it is read by: {command}").format(
                file=path, command=f"safetok agencies import {quoted(path)}"
            )
        )
        return {"xlsx": str(path)}

    _look("list", show_list, _selection(mst, serial, cert), check=check, overdue=overdue, after=after)


@app.command("when", help=later("Until when to update for a filing that is due, or to file with the old one first."))
def when(
    *, names: SomeNames = None, need: Need, mst: Mst = None, serial: KnownSerial = None, cert: Cert = None
) -> None:
    """Count back from a filing."""

    def work(context: Context) -> Outcome[Answers]:
        from safetok.workflows.agencies_when import when as count_back

        result = count_back(context, need, names or [], _selection(mst, serial, cert))
        return Outcome(result, data=result.data())

    run(["agencies", "when"], work, show_when, dry_run=True)


@app.command("import", help=later("Record what staff filled in, in a worklist made by `agencies list --xlsx`."))
def import_(*, file: Worklist, dry_run: DryRun = False) -> None:
    """Read a worklist back."""

    def work(context: Context) -> Outcome[Imported]:
        from safetok.workflows.agencies_sheet import import_sheet

        result = import_sheet(context, file, dry_run=dry_run)
        for warning in result.warnings:
            context.prompter.warn(warning)
        return Outcome(result, data=result.data(), errors=result.errors, exit_status=result.exit_status)

    run(["agencies", "import"], work, show_imported, dry_run=dry_run)


@app.command("hooks", help=later("Your own programs that are told what happens: which there are, and what failed."))
def hooks(*, retry: Retry = False) -> None:
    """List hooks and their failures."""

    def work(context: Context) -> Outcome[Hooks]:
        from safetok.workflows.hooks import look

        result = look(context, again=retry)
        return Outcome(result, data=result.data(), exit_status=result.exit_status)

    run(["agencies", "hooks"], work, show_hooks, dry_run=not retry)


@app.command("remind", help=later("What is still to do: open, waiting, 24 hours over, accepted."))
def remind(
    *,
    mst: Mst = None,
    serial: KnownSerial = None,
    cert: Cert = None,
    check: Check = False,
    overdue: Overdue = None,
    ics: Ics = None,
    notify: Notify = False,
    hooks: RunHooks = False,
    unit: UnitOption = False,
) -> None:
    """Group registrations by what a person has to do about them, and have it reach people elsewhere."""
    if unit:
        others = {"--mst": mst, "--serial": serial, "--cert": cert, "--overdue": overdue, "--ics": ics}
        given = {name: value is not None for name, value in others.items()}
        together(
            {"--unit": True, **given, "--check": check, "--notify": notify, "--hooks": hooks},
            _("--unit only prints the lines that have it run by itself: add the others to those."),
        )
        _unit()

    def after(context: Context, listing: Listing) -> dict[str, Any]:
        from safetok.workflows import reminders

        told: dict[str, Any] = {}
        if hooks:
            reminders.tell_due(context, listing)
        if ics is not None:
            told["ics"] = str(reminders.write_calendar(context, listing, ics))
            context.prompter.say(
                _("Calendar written: {file}. Importing it again replaces what changed.").format(file=ics)
            )
        if notify:
            told["notified"] = reminders.notify(context, listing, os.environ)
        return told

    _look(
        "remind",
        show_reminder,
        _selection(mst, serial, cert),
        check=check,
        overdue=overdue,
        after=after,
        dry_run=not hooks,
    )


def _unit() -> None:
    def work(_context: Context) -> Outcome[Unit]:
        from safetok.workflows.reminders import unit

        result = unit(os.environ)
        return Outcome(result, data=result.data())

    run(["agencies", "remind"], work, show_unit, dry_run=True)


@app.command("done", help=later("Record that the new certificate was put on these systems; the 24 hours start there."))
def done(*, names: Names, at: At = None, mst: Mst = None, serial: KnownSerial = None, cert: Cert = None) -> None:
    """Record an update."""
    _record("done", names, _selection(mst, serial, cert), at=at)


@app.command("accepted", help=later("Record that these agencies take the new certificate."))
def accepted(*, names: WholeNames, mst: Mst = None, serial: KnownSerial = None, cert: Cert = None) -> None:
    """Record an acceptance."""
    _record("accepted", names, _selection(mst, serial, cert))


@app.command("reject", help=later("Record that these agencies refused it; update there again, then `done`."))
def reject(
    *, names: WholeNames, reason: Reason = "", mst: Mst = None, serial: KnownSerial = None, cert: Cert = None
) -> None:
    """Record a rejection."""
    _record("reject", names, _selection(mst, serial, cert), reason=reason)


@app.command("skip", help=later("The company does not use these agencies; remembered for its next certificates."))
def skip(*, names: WholeNames, mst: Mst = None, serial: KnownSerial = None, cert: Cert = None) -> None:
    """Record that an agency is not used."""
    _record("skip", names, _selection(mst, serial, cert))


@app.command("undo", help=later("Take back what was last recorded for these agencies."))
def undo(*, names: WholeNames, mst: Mst = None, serial: KnownSerial = None, cert: Cert = None) -> None:
    """Take the last record back."""
    _record("undo", names, _selection(mst, serial, cert))


@app.command("add", help=later("Add another agency or e-invoice provider that the company uses."))
def add(
    *,
    name: NewName,
    title: Title = "",
    waits: Waits = None,
    url: Url = "",
    mst: Mst = None,
    serial: KnownSerial = None,
    cert: Cert = None,
) -> None:
    """Add an agency."""

    def work(context: Context) -> Outcome[Recorded]:
        from safetok.workflows.agencies import add as add_agency

        result = add_agency(context, name, _selection(mst, serial, cert), title=title, waits=waits, url=url)
        return Outcome(result, data=result.data())

    run(["agencies", "add"], work, show_recorded)


def _look(
    command: str,
    show: Callable[[Listing], None],
    selection: Selection,
    *,
    check: bool,
    overdue: str | None = None,
    after: Callable[[Context, Listing], dict[str, Any]] = lambda _context, _listing: {},
    dry_run: bool = True,
) -> None:
    def work(context: Context) -> Outcome[Listing]:
        from safetok.workflows.agencies import listing

        result = listing(context, selection, overdue=overdue)
        data = result.data() | after(context, result)
        return Outcome(result, data=data, errors=result.checked() if check or overdue is not None else ())

    run(["agencies", command], work, show, dry_run=dry_run)


def _record(
    move: Move,
    names: list[str],
    selection: Selection,
    *,
    at: str | None = None,
    reason: str = "",
) -> None:
    def work(context: Context) -> Outcome[Recorded]:
        from safetok.workflows.agencies import record

        result = record(context, move, names, selection, at=at, reason=reason)
        for warning in result.warnings:
            context.prompter.warn(warning)
        return Outcome(result, data=result.data())

    run(["agencies", move], work, show_recorded)


def _selection(mst: str | None, serial: str | None, cert: str | None) -> Selection:
    from safetok.workflows.known import Selection

    return Selection(mst=mst, serial=serial, cert=cert)
