"""`watch`: announces what is plugged in, as it happens, until it is stopped; and how to have it started at log-in."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.globals import flags
from safetok.cli.log import begin as begin_log
from safetok.cli.run import Outcome, run, surroundings
from safetok.cli.text import is_terminal, speaks_unicode, unheard
from safetok.errors import ExitStatus, first_that_holds
from safetok.locale import _, later
from safetok.log import note

if TYPE_CHECKING:
    from safetok.cli.render import Cell, Screen, Tone
    from safetok.workflows.certs import CertificateView
    from safetok.workflows.context import Context
    from safetok.workflows.watch import Happened
    from safetok.workflows.watch_unit import Unit

app = Commands()
IN_FULL = 3  # so many tokens announced at once are shown in full, more by their names and what is due

Refresh = Annotated[
    bool,
    typer.Option("--refresh", help=later("Ask the CA of each token that comes: offers and revocation (network).")),
]
AtLogin = Annotated[
    bool, typer.Option("--unit", help=later("Print how to have it started at log-in on this system, and end."))
]


@app.command(
    "watch",
    help=later(
        "Announce each USB token as it is plugged in: its certificates, offers, what is due. Ctrl-C ends it. No PIN."
    ),
)
def watch(*, refresh: Refresh = False, unit: AtLogin = False) -> None:
    """Announce until stopped. Being stopped is how it ends: Ctrl-C, SIGTERM and a closed terminal are its status 0, not 130."""
    if unit:
        run(["watch"], lambda _context: _unit(refresh=refresh), show_unit)
        return
    flags().command = ["watch"]
    begin_log()
    note("safetok watch")
    with surroundings() as context:
        try:
            _announce(context, refresh=refresh)
        except KeyboardInterrupt:
            note("stopped")
            if is_terminal(sys.stderr):
                with unheard():
                    sys.stderr.write("\n")  # after the ^C
    raise typer.Exit(0)


def _announce(context: Context, *, refresh: bool) -> None:
    from safetok.workflows.watch import watch as happenings

    context.prompter.say(_("Watching for USB tokens; no PIN is ever asked for here. Ctrl-C ends it."))
    for event in happenings(context, refresh=refresh):
        if flags().json:
            print_line(event)
        else:
            show(event, context)
        sys.stdout.flush()


def print_line(event: Happened) -> None:
    """One envelope on one line (JSON Lines); its exit code is what this event alone would end with."""
    from safetok.cli.envelope import encoded, envelope

    status = first_that_holds({problem.exit_status for problem in event.problems})
    document = envelope(
        ["watch"],
        event.data(),
        exit_status=status,
        status="partial" if event.problems else "success",
        errors=event.problems,
    )
    sys.stdout.write(f"{encoded(document, ascii_only=not speaks_unicode(sys.stdout))}\n")


def show(event: Happened, context: Context) -> None:
    """One event for people: what came with its certificates and what is due, or what went."""
    from safetok.cli.render import screen
    from safetok.cli.words import companies_line, heading_of
    from safetok.domain.times import show_instant

    out = screen()
    name = event.company or (heading_of(event.token) if event.token else _("USB token without a certificate"))
    words = {
        "present": _("{time} · IS IN: {name}"),
        "inserted": _("{time} · PLUGGED IN: {name}"),
        "changed": _("{time} · ITS CERTIFICATES HAVE CHANGED: {name}"),
        "removed": _("{time} · pulled out: {name} (Token ID {serial})"),
    }
    if event.what in words:
        tone: Tone = "dim" if event.what == "removed" else "strong"
        told = {"time": show_instant(event.at), "serial": event.serial or "?"}
        whose = companies_line(event.token) if event.token else ""
        line = words[event.what].format(name=whose or _company(name, event.mst), **told)
        if (
            out.rich and len(line) > out.width and event.what != "removed" and ";" not in whose
        ):  # a tax code is not left on a line of its own
            out.line(words[event.what].format(name=name, **told), tone)
            out.line(f"MST {event.mst}", tone)
        else:
            out.line(line, tone)
    if event.token is not None:
        _show_token(out, event, context)
    for problem in event.problems:
        out.notice(problem.message, "bad" if event.what == "driver_failed" else "warn", hint=problem.hint)
    if event.what != "removed":
        out.line()


def _company(name: str, mst: str) -> str:
    from safetok.cli import words

    return words.company_line(name, mst)


def _show_token(out: Screen, event: Happened, context: Context) -> None:
    from safetok.cli import words
    from safetok.cli.status import remarks
    from safetok.domain.tokens import Kind
    from safetok.knowledge import load
    from safetok.workflows.tokens import pin_needs_care

    token = event.token
    assert token is not None
    rows: list[tuple[str, Cell]] = [
        ("Token ID", f"{token.info.serial or '?'} ({token.info.label})" if token.info.label else token.info.serial),
        (_("Kind"), words.kind(token)),
        (_("PIN"), words.pin(token) if pin_needs_care(token.info.pin_state) or token.tries else None),
        (_("Note"), token.note or None),
    ]
    for view in token.certificates:
        rows += [*words.whose(view, token), *_certificate(view, context)]
    if token.unreadable:
        rows.append((_("Unreadable"), _("{n} certificate objects").format(n=token.unreadable)))
    brief = event.among > IN_FULL
    if not brief:
        out.pairs(rows)
    if token.empty:
        text = _(
            "The USB token {serial} holds no certificate. If it has just come from LCS, that is normal: do not type a PIN."
        )
        from safetok.workflows.dossier_choice import token_came

        step = token_came(context, token.info.serial)
        out.notice(text.format(serial=token.info.serial or "?"), "", hint=f"→ {step}")
    for one in event.due:
        grave = one.exit_status in {ExitStatus.REVOKED, ExitStatus.PIN_LOCKED}
        out.notice(one.text, "bad" if grave else "warn", hint=f"→ {one.command}" if one.command else "")
    if brief:
        return
    if not event.due and token.certificates:
        out.notice(_("Nothing is due."), "good")
    if token.kind is Kind.V1:
        out.notice(load.notices()["manager_v1"].text, "dim")
    if token.certificates:  # of one without any all is said
        remarks(out, (token,))


def _certificate(view: CertificateView, context: Context) -> list[tuple[str, Cell]]:
    from safetok.cli import words

    if not view.current:
        return [(_("Old certificate"), view.certificate.serial), ("", words.validity(view))]
    return [
        (_("Certificate"), _("{serial} (current)").format(serial=view.certificate.serial)),
        (_("Valid"), words.validity(view)),
        (_("Revocation"), words.revocation(view, context.now()) if view.revocation else None),
        (_("Top-up offer"), words.offer(view, context.now())),
    ]


def _unit(*, refresh: bool) -> Outcome[Unit]:
    from safetok.knowledge.load import system
    from safetok.workflows.watch_unit import program
    from safetok.workflows.watch_unit import unit as made

    words = ["watch", *(["--refresh"] if refresh else [])]
    found = made(system(), os.environ, command=program(), words=words)
    return Outcome(found, data=found.data())


def show_unit(unit: Unit) -> None:
    """The file with what belongs in it, then the commands; as comments and lines that can be copied."""
    from safetok.cli.render import screen

    out = screen()
    out.line(_("1. Put these lines into the file {file}:").format(file=unit.file), "strong")
    out.line()
    for line in unit.text.splitlines():
        out.verbatim(line)
    out.line()
    out.line(_("2. Start it, now and at every log-in:"), "strong")
    out.line()
    for command in unit.commands:
        out.verbatim(command)
    out.line()
    out.line(unit.remark, "dim")
