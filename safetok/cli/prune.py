"""`certs prune`: what superseded certificates there are, what each still waits for, and the removal of one that is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.options import DryRun, ForceLastTry, PinAsIs, PinEnv, PinFile, PinStdin, Serial, only_with
from safetok.cli.run import Outcome, run
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.cli.commands import Commands
    from safetok.cli.render import Screen
    from safetok.workflows.context import Context
    from safetok.workflows.prune import Pruned

Which = Annotated[
    str | None,
    typer.Argument(
        metavar="SERIAL", help=later("The serial of the old certificate to remove; without it, only a list is shown.")
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help=later("Where its files go before it is removed; safetok's own otherwise.")
    ),
]


def register(app: Commands) -> None:
    """Add it to the group `certs`."""
    app.command(
        "prune",
        help=later("Remove an old certificate from its token once every agency has accepted the new one. Keys stay."),
    )(prune)


def prune(
    *,
    which: Which = None,
    serial: Serial = None,
    out: Out = None,
    pin_stdin: PinStdin = False,
    pin_env: PinEnv = None,
    pin_file: PinFile = None,
    pin_as_is: PinAsIs = False,
    force_last_try: ForceLastTry = False,
    dry_run: DryRun = False,
) -> None:
    """Nothing is removed that was not named by its serial."""
    from safetok.workflows.pins import pin_source

    if which is None:
        pins = {"--pin-stdin": pin_stdin, "--pin-env": pin_env is not None, "--pin-file": pin_file is not None}
        only_with("SERIAL", {"--out": out is not None, **pins})
    pin = pin_source(from_stdin=pin_stdin, env=pin_env, file=pin_file, as_is=pin_as_is, force_last_try=force_last_try)

    def work(context: Context) -> Outcome[tuple[Pruned, ...]]:
        from safetok.workflows import prune as workflow

        if which is None:
            found = workflow.listing(context, serial)
        else:
            found = (workflow.prune(context, which, pin=pin, serial=serial, out=out),)
        return Outcome(found, data={"certificates": [one.data() for one in found]})

    run(["certs", "prune"], work, show, dry_run=dry_run)


def _files(out: Screen, one: Pruned) -> None:
    """The folder once, so that it can be copied, and what lies in it."""
    for folder in dict.fromkeys(path.parent for path in one.files):
        out.verbatim(f"  {folder}")
        out.items(path.name for path in one.files if path.parent == folder)


def show(found: tuple[Pruned, ...]) -> None:
    """Each with its state, and for a kept one what is missing."""
    from safetok.cli import words
    from safetok.cli.render import screen
    from safetok.domain.times import show_date

    out = screen()
    if not found:
        out.line(_("No token that is in holds a superseded certificate."))
    for number, one in enumerate(found):
        if number:
            out.line()
        out.line(words.company_line(one.old.subject_name, one.old.mst or ""), "strong")
        out.pairs(
            [
                ("Token ID", one.token),
                (
                    _("Old certificate"),
                    f"{one.old.serial} · {show_date(one.old.not_before)} – {show_date(one.old.not_after)}",
                ),
                (
                    _("Replaced by"),
                    f"{one.new.serial} · {show_date(one.new.not_before)} – {show_date(one.new.not_after)}",
                ),
            ]
        )
        if one.state == "removed":
            out.notice(_("Removed from the token; its keys are untouched. Its files are kept:"), "good")
            _files(out, one)
        elif one.state == "would_remove":
            out.notice(_("Dry run: it would be exported and removed. Nothing was done, no PIN was used."), "good")
            out.line(_("It would be exported to:"))
            _files(out, one)
        elif one.state == "removable":
            command = f"safetok certs prune {one.old.serial}"
            out.notice(_("Nothing stands against removing it."), "good", hint=f"→ {command}")
        for reason in one.missing:
            out.notice(reason.text, "warn", hint=f"→ {reason.command}" if reason.command else "")
