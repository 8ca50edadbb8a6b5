"""`contacts`: whom to call or write to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.render import screen
from safetok.cli.run import Outcome, run
from safetok.errors import ExitStatus
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.workflows.context import Context

app = Commands()
Name = Annotated[
    str | None,
    typer.Argument(metavar="CA", help=later("safe-ca, lcs-ca, or a name from settings.toml; all of them without it.")),
]


@app.command(
    "contacts",
    help=later("Whom to call or write to: each line as the notices of SAFE-CA and LCS-CA print it."),
)
def contacts(ca: Name = None) -> None:
    """Print the contacts of one CA or of all."""

    def work(context: Context) -> Outcome[tuple[Authority, ...]]:
        from safetok.workflows.contacts import contacts as known

        found, broken = known(context.settings.authorities, ca), context.settings.broken
        return Outcome(
            found,
            data={"authorities": [{"name": a.name, "title": a.title, "contacts": a.contacts} for a in found]},
            errors=[broken] if broken else [],
            exit_status=ExitStatus.DONE,
        )

    run(["contacts"], work, show, forgiving=True)


def show(authorities: tuple[Authority, ...]) -> None:
    """Each CA's lines as they stand in its notice, then where they were read."""
    out = screen()
    for number, authority in enumerate(authorities):
        if number:
            out.line()
        out.line(authority.title, "strong")
        for line in authority.contacts.lines or (authority.contacts.hotline,):
            out.line(line)
        if authority.contacts.source:
            out.line(_("Source: {source}").format(source=authority.contacts.source), "dim")
