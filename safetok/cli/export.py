"""`export`: the certificates as files, the fields that every agency asks for, the kit for them, and the message to the client."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.options import Cert, KnownSerial, Mst
from safetok.cli.render import Screen, screen
from safetok.cli.run import Outcome, run
from safetok.errors import UsageError
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.reports.fields import Fields
    from safetok.workflows.context import Context
    from safetok.workflows.export import Exported, Message

app = Commands()

Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help=later("The folder to write to; ./safetok-export without it.")),
]
Kit = Annotated[
    Path | None,
    typer.Option(
        "--kit",
        metavar="DIR",
        help=later("The whole kit into this folder: certificates, page of steps, record, message, e-invoice rows."),
    ),
]
Text = Annotated[bool, typer.Option("--text", help=later("Print the message for the client (Zalo, mail); no files."))]
HThucOption = Annotated[
    int | None,
    typer.Option(
        "--hthuc",
        metavar="1|2|3",
        min=1,
        max=3,
        help=later("The kit's row of form 01/ĐKTĐ-HĐĐT: 1 Thêm mới, 2 Gia hạn, 3 only stops the old serial."),
    ),
]
ConfirmedBy = Annotated[
    str, typer.Option("--confirmed-by", metavar="NAME", help=later("Who confirmed, for the kit's record."))
]
Force = Annotated[bool, typer.Option("--force", help=later("Replace files that are there with other content."))]


@app.command(
    "export", help=later("The new and the old certificate as files, the fields agencies ask for, and the kit for them.")
)
def export(
    *,
    out: Out = None,
    kit: Kit = None,
    text: Text = False,
    hthuc: HThucOption = None,
    confirmed_by: ConfirmedBy = "",
    mst: Mst = None,
    serial: KnownSerial = None,
    cert: Cert = None,
    force: Force = False,
) -> None:
    """Write PEM, DER, chain, PKCS#7 and a page of text; with --kit all that the agencies' update needs."""

    def work(context: Context) -> Outcome[Exported | Message]:
        from safetok.reports.einvoice import as_hthuc
        from safetok.workflows import export as workflow
        from safetok.workflows.known import Selection

        _fitting(out=out, kit=kit, text=text, of_kit=hthuc is not None or bool(confirmed_by))
        selection = Selection(mst=mst, serial=serial, cert=cert)
        if text:
            message = workflow.message(context, selection)
            return Outcome(message, data=message.data())
        result = workflow.export(
            context,
            selection,
            out=kit or out,
            kit=kit is not None,
            hthuc=as_hthuc(hthuc),
            confirmed_by=confirmed_by,
            force=force,
        )
        if not result.complete:
            context.prompter.say(
                _("The CA's own certificates are not known here: the chain holds what is known of it.")
            )
        return Outcome(result, data=result.data())

    run(["export"], work, show)


def _fitting(*, out: Path | None, kit: Path | None, text: bool, of_kit: bool) -> None:
    """Raise UsageError `options_together` for options that say different things."""
    if sum((out is not None, kit is not None, text)) > 1:
        raise UsageError(_("Only one of --out, --kit and --text can be asked for."), code="options_together")
    if of_kit and kit is None:
        raise UsageError(_("--hthuc and --confirmed-by belong to --kit DIR."), code="options_together")


def show(exported: Exported | Message) -> None:
    """The message as it is sent; else the fields to copy, then the files."""
    from safetok.workflows.export import Exported

    out = screen()
    if not isinstance(exported, Exported):
        for line in exported.text.splitlines():
            out.verbatim(line)
        return
    _fields(out, _("NEW CERTIFICATE") if exported.latest else _("CERTIFICATE"), exported.new)
    if exported.old is not None:
        _fields(out, _("OLD CERTIFICATE (keep it: some systems ask for it to log in)"), exported.old)
    out.title(_("Files in {folder}").format(folder=exported.folder))
    out.items(path.name for path in exported.files)
    if exported.page is not None:
        out.line()
        out.line(_("For the browser (steps, values to copy, timers of the agencies):"))
        out.verbatim(str(exported.page))


def _fields(out: Screen, title: str, fields: Fields) -> None:
    out.title(title)
    out.pairs((label, value) for label, value in fields.lines() if value)
