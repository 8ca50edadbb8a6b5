"""`sandbox`: a practice CA and practice tokens on this computer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.globals import flags
from safetok.cli.render import Column, screen
from safetok.cli.run import Outcome, run
from safetok.locale import _, later

if TYPE_CHECKING:
    from pathlib import Path

    from safetok.sandbox.demo import Played
    from safetok.sandbox.lifecycle import Sandbox
    from safetok.workflows.context import Context

app = Commands(help=later("A practice CA and practice tokens on this computer, and a demo."))
Env = Annotated[
    bool, typer.Option("--env", help=later('Print only the exports for a shell: eval "$(safetok sandbox up --env)"'))
]

Keep = Annotated[
    bool, typer.Option("--keep", help=later("Do not clean up: leave the practice tokens and the CA there."))
]


@app.command("up", help=later("Make the practice tokens and start the practice CA; the same ones when they are there."))
def up(*, env: Env = False) -> None:
    """Make a sandbox, or find the one there is."""

    def work(context: Context) -> Outcome[Sandbox]:
        from safetok.sandbox.lifecycle import up as make

        made = make(context.now(), context.prompter.say)
        return Outcome(made, data=made)

    run(["sandbox", "up"], work, show_exports if env else show)


@app.command("down", help=later("Stop the practice CA and remove everything `sandbox up` made."))
def down() -> None:
    """Take the sandbox away."""

    def work(_context: Context) -> Outcome[Path | None]:
        from safetok.sandbox.lifecycle import down as remove

        folder = remove()
        return Outcome(folder, data={"removed": folder})

    run(["sandbox", "down"], work, show_removed)


@app.command("demo", help=later("Play the whole way of two tokens, from the offer to the agencies, and clean up."))
def demo(*, keep: Keep = False) -> None:
    """Play it; in JSON the steps are told on stderr."""

    def work(_context: Context) -> Outcome[Played]:
        from safetok.sandbox.demo import play

        stream = sys.stderr if flags().json else sys.stdout
        out = screen(stream)
        played = play(out.title, out.line, stream, keep=keep)
        return Outcome(played, data=played)

    run(["sandbox", "demo"], work, show_played)


def show(sandbox: Sandbox) -> None:
    """The tokens with their PINs, and how to work with them."""
    out = screen()
    out.table(
        [
            Column(_("Story")),
            Column("Token ID"),
            Column(_("Kind")),
            Column("PIN"),
            Column(_("Contract until")),
        ],
        [[t.story, t.serial, t.kind, t.pin, _day(t.contract_end)] for t in sandbox.tokens],
    )
    out.line()
    out.line(_("The practice CA answers at {url}. To work with these tokens in this shell:").format(url=sandbox.ca_url))
    show_exports(sandbox)
    out.line(_("Then, for one: safetok status. To remove it all: safetok sandbox down"))


def _day(text: str | None) -> str:
    from datetime import date

    from safetok.domain.times import show_day

    return show_day(date.fromisoformat(text)) if text else ""


def show_exports(sandbox: Sandbox) -> None:
    """Nothing but lines for `eval`, whole on a terminal too."""
    for line in export_lines(sandbox.exports()):
        typer.echo(line)


def export_lines(exports: dict[str, str]) -> list[str]:
    """`export NAME='value'`, quoted for a POSIX shell."""
    quote = "'\\''"
    return [f"export {name}='{value.replace(chr(39), quote)}'" for name, value in exports.items()]


def show_removed(folder: Path | None) -> None:
    """What became of the sandbox."""
    if folder is None:
        screen().line(_("There is no sandbox here: nothing to remove."))
    else:
        screen().line(_("The sandbox in {folder} is removed.").format(folder=folder))


def show_played(played: Played) -> None:
    """The end of the demo; its steps were shown as they were played."""
    out = screen()
    out.line()
    out.notice(_("The demo is over: {n} steps, all as expected.").format(n=len(played.steps)), "good")
    if played.environment:
        out.line(_("It is still there:"))
        for line in export_lines(played.environment):
            typer.echo(line)
