"""`export`: the certificates as files, and the fields that every agency asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.render import Screen, screen
from safetok.cli.run import Outcome, run
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.reports.fields import Fields
    from safetok.workflows.context import Context
    from safetok.workflows.export import Exported

app = Commands()

Mst = Annotated[str | None, typer.Option("--mst", metavar="MST", help=later("The company, by its tax code."))]
Serial = Annotated[
    str | None,
    typer.Option("--serial", metavar="TOKEN", help=later("The token, by its Token ID; it need not be plugged in.")),
]
Cert = Annotated[str | None, typer.Option("--cert", metavar="SERIAL", help=later("The certificate, by its serial."))]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help=later("The folder to write to; ./safetok-export without it.")),
]
Force = Annotated[bool, typer.Option("--force", help=later("Replace files that are there with other content."))]


@app.command("export", help=later("The new and the old certificate as files, with the fields agencies ask for."))
def export(*, out: Out = None, mst: Mst = None, serial: Serial = None, cert: Cert = None, force: Force = False) -> None:
    """Write PEM, DER, chain, PKCS#7 and a page of text."""

    def work(context: Context) -> Outcome[Exported]:
        from safetok.workflows.export import export as write
        from safetok.workflows.known import Selection

        result = write(context, Selection(mst=mst, serial=serial, cert=cert), out=out, force=force)
        if not result.complete:
            context.prompter.say(
                _("The CA's own certificates are not known here: the chain holds what is known of it.")
            )
        return Outcome(result, data=result.data())

    run(["export"], work, show)


def show(exported: Exported) -> None:
    """The fields to copy, then the files."""
    out = screen()
    _fields(out, _("NEW CERTIFICATE"), exported.new)
    if exported.old is not None:
        _fields(out, _("OLD CERTIFICATE (keep it: some systems ask for it to log in)"), exported.old)
    out.title(_("Files in {folder}").format(folder=exported.folder))
    out.items(path.name for path in exported.files)


def _fields(out: Screen, title: str, fields: Fields) -> None:
    out.title(title)
    out.pairs((label, value) for label, value in fields.lines() if value)
