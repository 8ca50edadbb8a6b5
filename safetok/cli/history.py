"""`history`: the renewals that were, and the way each of them went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.options import Mst, Serial, together
from safetok.cli.run import Outcome, run
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.cli.render import Screen
    from safetok.workflows.context import Context
    from safetok.workflows.history import History, Told

app = Commands()

Identity = Annotated[
    str | None, typer.Argument(metavar="ID", help=later("One renewal, by its id or the beginning of it."))
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="NUMBER", min=1, max=1_000_000, help=later("How many, the newest first; 20 otherwise.")
    ),
]
All = Annotated[bool, typer.Option("--all", help=later("All of them, however many."))]


@app.command("history", help=later("The renewals so far, and the way each went: states, times, what it waited for."))
def history(
    *, renewal: Identity = None, serial: Serial = None, mst: Mst = None, limit: Limit = None, all_: All = False
) -> None:
    """What was done, for people or as data."""
    together({"--limit": limit is not None, "--all": all_})

    def work(context: Context) -> Outcome[History]:
        from safetok.workflows import history as told

        found = told.history(
            context, identity=renewal, serial=serial, mst=mst, limit=None if all_ else limit or told.SHOWN
        )
        return Outcome(found, data=found.data())

    run(["history"], work, show, dry_run=True)


def show(found: History) -> None:
    """One renewal in full, several as a table."""
    from safetok.cli.render import Column, screen

    out = screen()
    if found.one or (len(found.renewals) == 1 and found.whole):
        _show_way(out, found.renewals[0])
        return
    out.table(
        [
            Column(_("Begun")),
            Column(_("Company"), wrap=True),
            Column("Token ID"),
            Column(_("State"), wrap=True),
            Column(_("Old serial")),
            Column(_("New serial")),
            Column("ID"),
        ],
        [_row(told) for told in found.renewals],
        empty=_("Nothing has been renewed here yet.")
        if found.of_all
        else _("No renewal fits what was named. All of them: safetok history"),
    )
    if found.renewals and out.rich:
        out.line(_("The way of one of them: safetok history ID"), "dim")
    if not found.whole:
        out.line(_("There are older ones: --limit NUMBER or --all."), "dim")


def _row(told: Told) -> list[str]:
    from safetok.domain.times import show_instant
    from safetok.workflows.history import state_word

    renewal = told.renewal
    return [
        show_instant(renewal.created_at),
        told.name,
        renewal.token_serial,
        state_word(renewal.state, renewal.route),
        renewal.old_serial,
        told.new_serial,
        renewal.id,
    ]


def _show_way(out: Screen, told: Told) -> None:
    from safetok.cli.render import Column
    from safetok.domain.times import show_day, show_instant
    from safetok.workflows.history import state_word

    renewal = told.renewal
    out.line(told.name, "strong")
    out.pairs(
        [
            ("MST", renewal.mst),
            ("Token ID", renewal.token_serial),
            (_("Old serial"), renewal.old_serial),
            (_("New serial"), told.new_serial or None),
            (_("Contract's end"), show_day(renewal.contract_end) if renewal.contract_end else None),
            (_("Requests sent"), str(renewal.sent_count) if renewal.sent_count and renewal.route == "cmp" else None),
            ("ID", renewal.id),
        ]
    )
    out.line()
    waited = [event.reason or (event.hold.value if event.hold else "") for event in told.way]
    out.table(
        [
            Column(_("Time")),
            Column(_("State"), wrap=True),
            *([Column(_("Waits for"), wrap=True)] if any(waited) else []),
        ],
        [
            [show_instant(event.at), state_word(event.state, renewal.route), *([why] if any(waited) else [])]
            for event, why in zip(told.way, waited, strict=True)
        ],
    )
    if not renewal.finished:
        command = _("safetok certs install FILE") if renewal.by_mail else "safetok renew --resume"
        out.notice(_("It is not finished."), "warn", hint=command)
