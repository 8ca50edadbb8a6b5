"""`agencies`: who must learn the new serial, since when, and who has taken it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.render import Column, Screen, Toned, screen
from safetok.cli.run import Outcome, run
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.cli.render import Tone
    from safetok.domain.agencies import Standing
    from safetok.workflows.agencies import Listing, Move, Recorded
    from safetok.workflows.context import Context
    from safetok.workflows.known import Selection
    from safetok.workflows.status import RegistrationView

app = Commands(help=later("The agencies that must learn the new serial, and their 24 hours."), alone="list")

Mst = Annotated[str | None, typer.Option("--mst", metavar="MST", help=later("The company, by its tax code."))]
Serial = Annotated[
    str | None,
    typer.Option("--serial", metavar="TOKEN", help=later("The token, by its Token ID; it need not be plugged in.")),
]
Cert = Annotated[str | None, typer.Option("--cert", metavar="SERIAL", help=later("The certificate, by its serial."))]
Check = Annotated[
    bool,
    typer.Option("--check", help=later("Say by the exit status whether something is due (14) or still open (15).")),
]
Names = Annotated[list[str], typer.Argument(metavar="NAME", help=later("Agencies, by their short names."))]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help=later('When the update was made on that system: 16:05, "23/11 16:05", "hôm qua 16:05"; now without it.'),
    ),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help=later("What the agency said."))]
NewName = Annotated[str, typer.Argument(metavar="NAME", help=later("A name to type later, or the full title."))]
Title = Annotated[str, typer.Option("--title", metavar="TEXT", help=later("The title to show."))]
Url = Annotated[str, typer.Option("--url", metavar="URL", help=later("Where the update is made."))]
Waits = Annotated[
    bool,
    typer.Option("--24h", "--invoice", help=later("Another e-invoice provider: 24h00 count from the update there.")),
]


@app.command("list", help=later("Every agency of each new certificate, and where it stands."))
def list_(*, mst: Mst = None, serial: Serial = None, cert: Cert = None, check: Check = False) -> None:
    """List registrations."""
    _look("list", show_list, _selection(mst, serial, cert), check=check)


@app.command("remind", help=later("What is still to do: open, waiting, 24 hours over, accepted."))
def remind(*, mst: Mst = None, serial: Serial = None, cert: Cert = None, check: Check = False) -> None:
    """Group registrations by what a person has to do about them."""
    _look("remind", show_reminder, _selection(mst, serial, cert), check=check)


@app.command("done", help=later("Record that the new certificate was put on these systems; the 24 hours start there."))
def done(*, names: Names, at: At = None, mst: Mst = None, serial: Serial = None, cert: Cert = None) -> None:
    """Record an update."""
    _record("done", names, _selection(mst, serial, cert), at=at)


@app.command("accepted", help=later("Record that these agencies take the new certificate."))
def accepted(*, names: Names, mst: Mst = None, serial: Serial = None, cert: Cert = None) -> None:
    """Record an acceptance."""
    _record("accepted", names, _selection(mst, serial, cert))


@app.command("reject", help=later("Record that these agencies refused it; update there again, then `done`."))
def reject(*, names: Names, reason: Reason = "", mst: Mst = None, serial: Serial = None, cert: Cert = None) -> None:
    """Record a rejection."""
    _record("reject", names, _selection(mst, serial, cert), reason=reason)


@app.command("skip", help=later("The company does not use these agencies; remembered for its next certificates."))
def skip(*, names: Names, mst: Mst = None, serial: Serial = None, cert: Cert = None) -> None:
    """Record that an agency is not used."""
    _record("skip", names, _selection(mst, serial, cert))


@app.command("undo", help=later("Take back what was last recorded for these agencies."))
def undo(*, names: Names, mst: Mst = None, serial: Serial = None, cert: Cert = None) -> None:
    """Take the last record back."""
    _record("undo", names, _selection(mst, serial, cert))


@app.command("add", help=later("Add another agency or e-invoice provider that the company uses."))
def add(
    *,
    name: NewName,
    title: Title = "",
    waits: Waits = False,
    url: Url = "",
    mst: Mst = None,
    serial: Serial = None,
    cert: Cert = None,
) -> None:
    """Add an agency."""

    def work(context: Context) -> Outcome[Recorded]:
        from safetok.workflows.agencies import add as add_agency

        result = add_agency(context, name, _selection(mst, serial, cert), title=title, waits=waits, url=url)
        return Outcome(result, data=result.data())

    run(["agencies", "add"], work, show_recorded)


def _look(command: str, show: Callable[[Listing], None], selection: Selection, *, check: bool) -> None:
    def work(context: Context) -> Outcome[Listing]:
        from safetok.workflows.agencies import listing

        result = listing(context, selection)
        return Outcome(result, data=result.data(), errors=result.checked() if check else ())

    run(["agencies", command], work, show, dry_run=True)


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


def show_list(listing: Listing) -> None:
    """Each certificate's agencies in the notice's order."""
    out = screen()
    groups = _by_certificate(listing.views)
    if not groups:
        out.line(_nothing())
    for number, views in enumerate(groups):
        if number:
            out.line()
        _heading(out, listing, views)
        _table(out, views)
    if any(view.standing == "open" for view in listing.views):
        out.line()
        out.line(_("Updated on one of them? Record it: safetok agencies done NAME"), "dim")


def show_reminder(listing: Listing) -> None:
    """What is to do first, then what waits, then what is finished."""
    out = screen()
    groups = _by_certificate(listing.views)
    if not groups:
        out.line(_nothing())
    for number, views in enumerate(groups):
        if number:
            out.line()
        _heading(out, listing, views)
        for standings, title in _REMINDER:
            found = [view for view in views if view.standing in standings]
            if found:
                out.title(_(title).format(count=len(found)))
                _table(out, found)
    _advice(out, listing.views)


def show_recorded(recorded: Recorded) -> None:
    """What was recorded and what follows from it."""
    out = screen()
    for view in recorded.views:
        out.notice(_recorded(recorded.move, view, waits=recorded.waits), "good")
        if view.standing == "due_check":
            out.line(
                _("The 24h00 are over. Check, then record `agencies accepted {agency}` or `reject`.").format(
                    agency=view.registration.agency
                )
            )
    if recorded.move == "done":
        out.line(_("safetok only takes note: the update itself is made by you on that system."), "dim")


def _recorded(move: str, view: RegistrationView, *, waits: bool) -> str:
    from safetok.domain.times import show_instant

    row = view.registration
    sentence = {
        "done": _("{agency}: updated at {at}. 24h00 are over at {until}.")
        if row.until
        else _("{agency}: updated at {at}."),
        "undo": _("{agency}: taken back. Now: {state}."),
        "skip": _("{agency}: not used; remembered for this company's next certificates."),
        "add": _("{agency}: added as {name}. 24h00 count from the update there.")
        if waits
        else _("{agency}: added as {name}, without a waiting time."),
    }.get(move, "{agency}: {state}.")
    return sentence.format(
        agency=view.title,
        name=row.agency,
        state=standing_text(view).text,
        at=show_instant(row.updated_at) if row.updated_at else "",
        until=show_instant(row.until) if row.until else "",
    )


_TONES: dict[Standing, Tone] = {
    "open": "warn",
    "updated": "",
    "waiting": "",
    "due_check": "warn",
    "accepted": "good",
    "rejected": "bad",
    "unused": "dim",
}

_REMINDER: tuple[tuple[tuple[str, ...], str], ...] = (
    (("due_check",), later("24h00 are over, check now ({count})")),
    (("rejected",), later("Rejected, update again ({count})")),
    (("open",), later("Not yet updated, mandatory ({count})")),
    (("waiting",), later("Waiting for the 24h00 ({count})")),
    (("updated",), later("Updated, record accepted when you have seen it ({count})")),
    (("accepted",), later("Accepted ({count})")),
)


def standing_text(view: RegistrationView) -> Toned:
    """Where a registration stands, in the notice's words."""
    from safetok.domain.times import show_instant

    row = view.registration
    at = show_instant(row.updated_at) if row.updated_at else ""
    until = show_instant(row.until) if row.until else ""
    words: dict[Standing, str] = {
        "open": _("not yet updated"),
        "updated": _("updated at {at}").format(at=at),
        "waiting": _("waiting for the 24h00 until {until}").format(until=until),
        "due_check": _("24h00 over at {until}, to be checked").format(until=until),
        "accepted": _("accepted"),
        "rejected": _("rejected: {reason}").format(reason=row.reason) if row.reason else _("rejected"),
        "unused": _("not used"),
    }
    return Toned(words[view.standing], _TONES[view.standing])


def _by_certificate(views: Iterable[RegistrationView]) -> list[list[RegistrationView]]:
    groups: dict[str, list[RegistrationView]] = {}
    for view in views:
        groups.setdefault(view.registration.certificate_sha256, []).append(view)
    return list(groups.values())


def _heading(out: Screen, listing: Listing, views: list[RegistrationView]) -> None:
    from safetok.cli.words import company_line
    from safetok.domain.times import show_date

    row = views[0].registration
    certificate = listing.certificates.get(row.certificate_sha256)
    out.line(company_line(views[0].name, row.mst), "strong")
    if certificate is None:
        out.line(_("Serial {serial}").format(serial=row.certificate))
    else:
        out.line(
            _("Serial {serial}, valid {start}–{end}").format(
                serial=row.certificate, start=show_date(certificate.not_before), end=show_date(certificate.not_after)
            )
        )


def _table(out: Screen, views: Iterable[RegistrationView]) -> None:
    out.table(
        [Column(_("Agency"), wrap=True), Column(_("Name")), Column(_("State"), wrap=True)],
        [[view.title, view.registration.agency, standing_text(view)] for view in views],
    )


def _advice(out: Screen, views: Sequence[RegistrationView]) -> None:
    """The next command, once, whatever number of companies it is for."""
    over = dict.fromkeys(view.registration.agency for view in views if view.standing == "due_check")
    to_update = any(view.standing in {"open", "rejected"} for view in views)
    if over or to_update:
        out.line()
    for agency in over:
        out.line(
            _("The 24h00 are over. Check, then record `agencies accepted {agency}` or `reject`.").format(agency=agency)
        )
    if to_update:
        out.line(_("Updated on one of them? Record it: safetok agencies done NAME"), "dim")


def _nothing() -> str:
    return _(
        "No list of agencies is open. A renewal opens it; for a certificate renewed elsewhere: safetok certs adopt"
    )
