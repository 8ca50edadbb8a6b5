"""`dossier`: the papers LCS must hold, one step at a time, and the three days after a token has come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.dossier_show import show_dossier
from safetok.cli.dossier_table import show_clients
from safetok.cli.options import Cert, KnownSerial, Mst, PinAsIs, PinEnv, PinFile, PinStdin, together
from safetok.cli.run import Outcome, run
from safetok.locale import later

if TYPE_CHECKING:
    from safetok.workflows.context import Context
    from safetok.workflows.dossier_list import Clients
    from safetok.workflows.dossier_view import View
    from safetok.workflows.known import Selection

app = Commands(help=later("The papers LCS-CA must hold: what comes next, and until when."), alone="show")

Day = Annotated[
    str | None,
    typer.Option(
        "--day", metavar="DATE", help=later("The day it happened: 04/02/2027, 4/2, yesterday; today without it.")
    ),
]
Case = Annotated[
    str | None,
    typer.Option("--case", metavar="CASE", help=later("papers-missing, suspended or revoked; asked without it.")),
]
Path_ = Annotated[
    str | None,
    typer.Option(
        "--path", metavar="PATH", help=later("ordinary or restoration (LCS's plan to go on, with a new token).")
    ),
]
Several = Annotated[
    bool | None,
    typer.Option(
        "--several/--one", help=later("The legal representative stands for several companies: LCS is called first.")
    ),
]
Name = Annotated[
    str, typer.Option("--name", metavar="TEXT", help=later("The company's name, where its token was never seen here."))
]
Again = Annotated[bool, typer.Option("--again", help=later("Begin anew although one is open."))]
Items = Annotated[
    list[str] | None,
    typer.Argument(metavar="ITEM", help=later("licence, identity, email, phone: those uploaded; all four without.")),
]
By = Annotated[
    str, typer.Option("--by", metavar="ADDRESS", help=later("How the request came: zalo, or the mail's sender."))
]
Courier = Annotated[str, typer.Option("--courier", metavar="NAME", help=later("The courier."))]
Number = Annotated[str, typer.Option("--number", metavar="CODE", help=later("The parcel's number."))]
Received = Annotated[
    str | None, typer.Argument(metavar="DATE", help=later("The day the token came; today without it."))
]
Token = Annotated[str, typer.Option("--token", metavar="TOKEN", help=later("Its Token ID, if it is printed on it."))]
State = Annotated[
    str,
    typer.Argument(metavar="STATE", help=later("What the look-up page says: complete, missing, suspended or revoked.")),
]
Missing = Annotated[str, typer.Option("--missing", metavar="TEXT", help=later("What is missing, in the page's words."))]
File = Annotated[
    Path | None,
    typer.Option(
        "--from", metavar="FILE", help=later("A CSV or XLSX list of clients with a column mst; no token is needed.")
    ),
]
NoAsk = Annotated[bool, typer.Option("--no-ask", help=later("Do not ask the CA: no PIN, no network."))]


@app.command("start", help=later("Begin: which case it is, then one step after another."))
def start(
    *,
    case: Case = None,
    path: Path_ = None,
    several: Several = None,
    name: Name = "",
    again: Again = False,
    mst: Mst = None,
    serial: KnownSerial = None,
    cert: Cert = None,
) -> None:
    """Begin a dossier."""

    def work(context: Context) -> Outcome[View]:
        from safetok.workflows.dossier import start as begin
        from safetok.workflows.dossier_words import known_case, known_path

        result = begin(
            context,
            _selection(mst, serial, cert),
            case=known_case(case),
            path=known_path(path),
            several=several,
            name=name,
            again=again,
        )
        return _outcome(context, result)

    run(["dossier", "start"], work, show_dossier)


@app.command("show", help=later("The current step, what to have in hand, whom to call, and until when."))
def show(
    *,
    mst: Mst = None,
    serial: KnownSerial = None,
    cert: Cert = None,
    no_ask: NoAsk = False,
    pin_stdin: PinStdin = False,
    pin_env: PinEnv = None,
    pin_file: PinFile = None,
    pin_as_is: PinAsIs = False,
) -> None:
    """Show a dossier."""
    from safetok.workflows.pins import pin_source

    pin = pin_source(from_stdin=pin_stdin, env=pin_env, file=pin_file, as_is=pin_as_is)

    def work(context: Context) -> Outcome[View]:
        from safetok.workflows.dossier import show as look

        return _outcome(context, look(context, _selection(mst, serial, cert), pin, ask=not no_ask))

    run(["dossier", "show"], work, show_dossier)


@app.command("list", help=later("Every dossier, the most urgent first; or your clients from a file."))
def list_(*, file: File = None) -> None:
    """List dossiers."""

    def work(context: Context) -> Outcome[Clients]:
        from safetok.workflows.dossier_list import listed

        result = listed(context, file=file)
        return Outcome(result, data=result.data(), errors=result.errors, exit_status=result.exit_status)

    run(["dossier", "list"], work, show_clients, dry_run=True)


@app.command("record", help=later("Record what the CA's look-up page says."))
def record(
    *,
    state: State,
    missing: Missing = "",
    day: Day = None,
    mst: Mst = None,
    serial: KnownSerial = None,
    cert: Cert = None,
) -> None:
    """Record what was looked up."""
    from safetok.workflows.dossier_words import said_state

    together({"complete": state == "complete", "--missing": bool(missing)})
    _record("said", _selection(mst, serial, cert), day=day, said={"state": said_state(state), "missing": missing})


@app.command("undo", help=later("Take back what was last recorded."))
def undo(*, mst: Mst = None, serial: KnownSerial = None, cert: Cert = None) -> None:
    """Take the last record back."""

    def work(context: Context) -> Outcome[View]:
        from safetok.workflows.dossier import undo as take_back

        return _outcome(context, take_back(context, _selection(mst, serial, cert)))

    run(["dossier", "undo"], work, show_dossier)


@app.command("uploaded", help=later("Step: the licence, the identity card, e-mail and phone were uploaded."))
def uploaded(
    *, items: Items = None, day: Day = None, mst: Mst = None, serial: KnownSerial = None, cert: Cert = None
) -> None:
    """Record the upload."""
    from safetok.workflows.dossier_words import upload_items

    _record("uploaded", _selection(mst, serial, cert), day=day, said={"items": upload_items(items or [])})


@app.command("payment-requested", help=later("Step: LCS's payment request has come."))
def payment_requested(
    *, by: By = "", day: Day = None, mst: Mst = None, serial: KnownSerial = None, cert: Cert = None
) -> None:
    """Record the payment request."""
    _record("payment-requested", _selection(mst, serial, cert), day=day, said={"by": by})


@app.command("token-received", help=later("Step: the token has come, not activated; the 3 days count from that day."))
def token_received(
    *,
    received: Received = None,
    token: Token = "",
    mst: Mst = None,
    serial: KnownSerial = None,
    cert: Cert = None,
) -> None:
    """Record the token's arrival."""
    _record("token-received", _selection(mst, serial, cert), day=received, token=token)


@app.command("sent", help=later("Step: the papers were sent. That alone stops nothing."))
def sent(
    *,
    courier: Courier = "",
    number: Number = "",
    day: Day = None,
    mst: Mst = None,
    serial: KnownSerial = None,
    cert: Cert = None,
) -> None:
    """Record that the papers were sent."""
    _record("sent", _selection(mst, serial, cert), day=day, said={"courier": courier, "number": number})


_PLAIN = {
    "called": later("Step: LCS was called (one representative for several companies)."),
    "verified": later("Step: the information was verified with LCS."),
    "video-called": later("Step: LCS's video call with the legal representative took place."),
    "paid": later("Step: the transfer was made and its photo sent to LCS."),
    "papers-ready": later("Step: the papers are printed, signed and stamped."),
    "lcs-received": later("Step: LCS has RECEIVED the papers; this stops the 3 days."),
    "activated": later("Step: LCS has activated the token; the new certificate's agencies open."),
    "contract-received": later("Step: the copy of the contract has come back."),
    "lost": later("The other end: past the 3 days LCS has revoked the certificate and locked the token for good."),
}


def _plain(step: str) -> Callable[..., None]:
    def command(*, day: Day = None, mst: Mst = None, serial: KnownSerial = None, cert: Cert = None) -> None:
        _record(step, _selection(mst, serial, cert), day=day)

    return command


for _step, _help in _PLAIN.items():
    app.command(_step, help=_help)(_plain(_step))
_IN_ORDER = (  # as they follow each other, in the help
    *(
        "start",
        "show",
        "list",
        "record",
        "undo",
        "called",
        "verified",
        "uploaded",
        "video-called",
        "payment-requested",
        "paid",
    ),
    *("token-received", "papers-ready", "sent", "lcs-received", "activated", "contract-received", "lost"),
)
app.registered_commands.sort(key=lambda one: _IN_ORDER.index(one.name or ""))


def _record(
    step: str, selection: Selection, *, day: str | None = None, said: dict[str, str] | None = None, token: str = ""
) -> None:
    def work(context: Context) -> Outcome[View]:
        from safetok.workflows.dossier import record as keep

        return _outcome(context, keep(context, step, selection, day=day, said=said, token=token))

    run(["dossier", "record" if step == "said" else step], work, show_dossier)


def _outcome(context: Context, result: View) -> Outcome[View]:
    for warning in result.warnings:
        context.prompter.warn(warning)
    return Outcome(result, data=result.data(), errors=result.problems)


def _selection(mst: str | None, serial: str | None, cert: str | None) -> Selection:
    from safetok.workflows.known import Selection

    return Selection(mst=mst, serial=serial, cert=cert)
