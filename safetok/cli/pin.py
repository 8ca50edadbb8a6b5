"""`pin`: a token's PIN in the computer's keyring, and a token's PIN changed. No PIN is ever an argument."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.options import ForceLastTry, PinAsIs, PinEnv, PinFile, PinStdin, Serial
from safetok.cli.run import Outcome, run
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.workflows.context import Context
    from safetok.workflows.pin_import import Imported
    from safetok.workflows.pin_store import PinResult

_FEW = 5  # Token IDs named in one sentence

app = Commands(help=later("A token's PIN: keep it in the computer's keyring, or change it."))

BothStdin = Annotated[
    bool, typer.Option("--pin-stdin", help=later("Read the old PIN and the new one from standard input, a line each."))
]
NewEnv = Annotated[
    str | None,
    typer.Option("--new-pin-env", metavar="NAME", help=later("Read the new PIN from this environment variable.")),
]
NewFile = Annotated[
    Path | None,
    typer.Option("--new-pin-file", metavar="FILE", help=later("Read the new PIN from a file only you can read.")),
]
Table = Annotated[
    Path, typer.Argument(metavar="FILE", help=later("A table (CSV or XLSX) with the columns Token ID and PIN."))
]


@app.command("store", help=later("Keep a token's PIN in the keyring, after one login has shown that it is right."))
def store(
    *,
    serial: Serial = None,
    pin_stdin: PinStdin = False,
    pin_env: PinEnv = None,
    pin_file: PinFile = None,
    pin_as_is: PinAsIs = False,
    force_last_try: ForceLastTry = False,
) -> None:
    """Save what has been proven."""
    from safetok.workflows.pins import pin_source

    source = pin_source(
        from_stdin=pin_stdin, env=pin_env, file=pin_file, as_is=pin_as_is, force_last_try=force_last_try
    )

    def work(context: Context) -> Outcome[PinResult]:
        from safetok.workflows import pin_store

        result = pin_store.store(context, source, serial=serial)
        return Outcome(result, data=result.data())

    run(["pin", "store"], work, _show_stored)


@app.command("forget", help=later("Remove a token's PIN from the keyring. The token itself is not touched."))
def forget(*, serial: Serial = None) -> None:
    """Forget one."""

    def work(context: Context) -> Outcome[PinResult]:
        from safetok.workflows import pin_store

        result = pin_store.forget(context, serial=serial)
        return Outcome(result, data=result.data())

    run(["pin", "forget"], work, _show_forgotten)


@app.command("change", help=later("Change a token's PIN. A wrong old PIN costs a try, like any other."))
def change(
    *,
    serial: Serial = None,
    pin_stdin: BothStdin = False,
    pin_env: PinEnv = None,
    pin_file: PinFile = None,
    new_pin_env: NewEnv = None,
    new_pin_file: NewFile = None,
    pin_as_is: PinAsIs = False,
    force_last_try: ForceLastTry = False,
) -> None:
    """The old one, the new one twice, and the new one proven."""
    from safetok.workflows.pins import pin_source

    old = pin_source(from_stdin=pin_stdin, env=pin_env, file=pin_file, as_is=pin_as_is, force_last_try=force_last_try)
    given = new_pin_env is not None or new_pin_file is not None
    new = pin_source(from_stdin=pin_stdin and not given, env=new_pin_env, file=new_pin_file, as_is=pin_as_is)

    def work(context: Context) -> Outcome[PinResult]:
        from safetok.workflows import pin_store

        result = pin_store.change(context, old, new, serial=serial)
        return Outcome(result, data=result.data())

    run(["pin", "change"], work, _show_changed)


@app.command("import", help=later("Move the PINs of a table into the keyring. None of them is tried on a token."))
def import_(*, file: Table) -> None:
    """Many at once."""

    def work(context: Context) -> Outcome[Imported]:
        from safetok.errors import ExitStatus
        from safetok.workflows.pin_import import import_file

        result = import_file(context, file)
        status = ExitStatus.PARTLY if result.failed else ExitStatus.DONE
        return Outcome(result, data=result.data(), errors=result.errors(), exit_status=status)

    run(["pin", "import"], work, _show_imported)


def _show_stored(result: PinResult) -> None:
    from safetok.cli.render import screen

    screen().notice(
        _("The PIN of {name}, Token ID {serial}, is saved in the keyring and reads back.").format(
            name=result.name, serial=result.token
        ),
        "good",
        hint=_("It has opened the token once. To remove it: safetok pin forget --serial {serial}").format(
            serial=result.token
        ),
    )


def _show_forgotten(result: PinResult) -> None:
    from safetok.cli.render import screen

    if result.done:
        screen().notice(_("The keyring no longer holds a PIN of token {serial}.").format(serial=result.token), "good")
    else:
        screen().notice(_("The keyring holds no PIN of token {serial}.").format(serial=result.token), "")


def _show_changed(result: PinResult) -> None:
    from safetok.cli.render import screen

    out = screen()
    out.notice(
        _("The PIN of {name}, Token ID {serial}, is changed. The new one has opened the token.").format(
            name=result.name, serial=result.token
        ),
        "good",
    )
    if result.in_keyring:
        out.line(_("The keyring holds the new one."))


def _show_imported(result: Imported) -> None:
    from safetok.cli.render import screen

    out = screen()
    saved = len(result.rows) - len(result.failed)
    if result.failed:
        rows = ", ".join(str(row.row) for row in result.failed)
        out.notice(_("NOT saved: rows {rows} of {file}.").format(rows=rows, file=result.file), "bad")
    out.notice(
        _("{n} PINs are saved in the keyring. None of them was tried on a token.").format(n=saved),
        "good" if saved else "warn",
    )
    if result.strangers:
        few = ", ".join(result.strangers[:_FEW]) + (", …" if len(result.strangers) > _FEW else "")
        out.notice(
            _(
                "Never seen on this computer: {n} Token IDs ({serials}). Case counts: compare them with the tokens."
            ).format(n=len(result.strangers), serials=few),
            hint="safetok tokens",
        )
    if result.sheets:
        from safetok.workflows.sheets import not_read

        out.notice(not_read(result.sheets), "warn")
    if result.open_to_others:
        out.notice(_("Others on this computer can read {file}.").format(file=result.file), "warn")
    if result.failed:
        last = _(
            "Do not delete {file} yet: it may be the only copy of these. Put the rows right and run this again; then delete it, "
            "from the recycle bin and from mail too."
        )
    elif result.sheets:
        last = _(
            "Do not delete {file} yet: PINs may stand in what was not read. Save those sheets as files of their own and import "
            "them too; then delete it, from the recycle bin and from mail too."
        )
    elif result.strangers:
        last = _("Once they are right, delete {file}, from the recycle bin and from mail too.")
    else:
        last = _("Delete {file} now, from the recycle bin and from mail too: the PINs stand in it for all to read.")
    if result.rows:
        out.notice(last.format(file=result.file))
