"""`tokens`: the USB tokens that are in, and what a person says of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from safetok.cli.commands import Commands
from safetok.cli.run import Outcome, run
from safetok.errors import UsageError
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.cli.render import Cell
    from safetok.domain.tokens import TokenInfo
    from safetok.workflows.context import Context
    from safetok.workflows.tokens import TokenView

app = Commands(help=later("The USB tokens that are in: list, kind, notes."), alone="list")
IN_FULL = 3
DAY = 86_400  # seconds

Wait = Annotated[
    float | None,
    typer.Option("--wait", metavar="SECONDS", min=0, max=DAY, help=later("Wait so long for a token to be plugged in.")),
]
Serials = Annotated[bool, typer.Option("--serials", help=later("Only the Token IDs, one a line, for scripts."))]
Serial = Annotated[str, typer.Argument(metavar="SERIAL", help=later("The Token ID, as `safetok tokens` shows it."))]
Kind = Annotated[str, typer.Argument(metavar="v1|v2", help=later("What you see: v1 is grey, v2 is white."))]
Text = Annotated[str, typer.Argument(metavar="TEXT", help=later("Anything that helps to find it; empty forgets."))]


@app.command("list", help=later("The tokens that are in: company, Token ID, kind, PIN state, driver. No PIN."))
def list_(*, wait: Wait = None, serials: Serials = False) -> None:
    """Tokens, for people or as data."""

    def work(context: Context) -> Outcome[tuple[TokenView, ...]]:
        from safetok.workflows import tokens

        if wait is not None and not wait >= 0:  # nan
            raise UsageError(
                _("{name} takes a number from {least} to {most}.").format(name="--wait", least=0, most=DAY)
            )
        reading = tokens.look(context) if wait is None else tokens.wait(context, wait)
        views = tokens.views(context, reading)
        data = {
            "tokens": [view.data() for view in views],
            "drivers": reading.drivers,
            "drivers_failed": [{"driver": f.driver, "code": f.code, "detail": f.detail} for f in reading.failed],
        }
        for note in tokens.notes(reading):
            context.prompter.warn(note)
        return Outcome(views, data=data, errors=tokens.problems(reading))

    run(["tokens", "list"], work, show_serials if serials else show)


@app.command("set-kind", help=later("Record that a token is a V1 (grey) or a V2 (white), as you see it."))
def set_kind(*, serial: Serial, kind: Kind) -> None:
    """Remember what a person sees."""

    def work(context: Context) -> Outcome[str]:
        from safetok.domain.kinds import kind_of
        from safetok.workflows import tokens

        seen = kind_of(kind)
        info: TokenInfo = tokens.set_kind(context, serial, seen)
        text = _("Token {serial} is recorded as {kind}.").format(serial=info.serial, kind=seen.value)
        return Outcome(text, data={"serial": info.serial, "kind": seen})

    run(["tokens", "set-kind"], work, _say)


@app.command("note", help=later("Keep a note with a token, such as where it lies."))
def note(*, serial: Serial, text: Text) -> None:
    """Remember a note."""

    def work(context: Context) -> Outcome[str]:
        from safetok.workflows import tokens

        info: TokenInfo = tokens.set_note(context, serial, text)
        told = _("Noted for token {serial}: {text}") if text.strip() else _("The note of token {serial} is forgotten.")
        return Outcome(
            told.format(serial=info.serial, text=text.strip()), data={"serial": info.serial, "note": text.strip()}
        )

    run(["tokens", "note"], work, _say)


def _say(text: str) -> None:
    from safetok.cli.render import screen

    screen().line(text)


def show_serials(tokens: tuple[TokenView, ...]) -> None:
    """One Token ID a line; a token without one has none to print."""
    from safetok.cli.render import screen

    out = screen()
    for token in tokens:
        if token.info.serial:
            out.line(token.info.serial)


def show(tokens: tuple[TokenView, ...]) -> None:
    """Each token, or a table of many; then what is to be said of some of them."""
    from safetok.cli.render import Column, screen
    from safetok.cli.status import remarks

    out = screen()
    if len(tokens) <= IN_FULL and out.rich:
        for number, token in enumerate(tokens):
            if number:
                out.line()
            _show_one(token)
    else:
        heads = [
            Column(_("Company"), wrap=True),
            Column("MST"),
            Column("Token ID"),
            Column(_("Label")),
            Column(_("Kind")),
            Column(_("Manufacturer")),
            Column(_("Model")),
            Column(_("Firmware")),
            Column(_("PIN"), wrap=True),
            Column(_("Note"), wrap=True),
        ]
        out.table(heads, [_row(token) for token in tokens])
    remarks(out, tokens)


def _row(token: TokenView) -> list[Cell]:
    from safetok.cli import words

    info = token.info
    kind = token.kind.value if token.kind.value in {"V1", "V2"} else "?"
    return [
        "; ".join(name for name, _mst in token.companies) or words.nothing(token),
        "; ".join(mst for _name, mst in token.companies if mst),
        info.serial,
        info.label,
        kind,
        info.manufacturer,
        info.model,
        info.firmware,
        words.pin(token),
        token.note,
    ]


def _show_one(token: TokenView) -> None:
    from safetok.cli import words
    from safetok.cli.render import screen

    out, info = screen(), token.info
    out.line(words.companies_line(token) or words.heading_of(token), "strong")
    out.pairs(
        [
            ("Token ID", info.serial or "?"),
            (_("Label"), info.label),
            (_("Kind"), words.kind(token)),
            (_("Manufacturer"), info.manufacturer),
            (_("Model"), _("{model}, firmware {firmware}").format(model=info.model, firmware=info.firmware)),
            (_("PIN"), words.pin(token)),
            (_("Driver"), ", ".join(info.drivers)),
            (_("Certificates"), str(len(token.certificates))),
            (_("Note"), token.note or None),
        ]
    )
