"""How results look to a person: the one renderer of tables, pairs and notices.

On a terminal rich draws them, to its width and never cut: a table that does not fit becomes one card a row. Anywhere else it
is plain text, uncut. Everything given is text: markup means nothing, control characters are written out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TextIO

from safetok.cli.text import columns, fitted, is_terminal, speaks_unicode, visible, wrapped
from safetok.records import dataclass

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Tone = Literal["", "good", "warn", "bad", "dim", "strong"]
_STYLES: dict[Tone, str] = {
    "": "",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "dim": "dim",
    "strong": "bold",
}
_ICONS: dict[Tone, str] = {"good": "✓", "warn": "!", "bad": "✗", "": "•", "dim": "•", "strong": "•"}
_ASCII_HEAD = "    \n    \n -- \n    \n    \n    \n    \n    \n"  # as rich's SIMPLE_HEAD; its own ASCII one has walls
_PROSE_NARROWEST = 22  # a column that may wrap keeps this much, else the table becomes cards


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column; one that may `wrap` gives way when room is short (names, sentences), the others stay whole."""

    title: str
    wrap: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Toned:
    """A cell with a tone."""

    text: str
    tone: Tone = ""


Cell = str | int | Toned | None


@dataclass(frozen=True, slots=True)
class Layout:
    """A table's columns: their widths, none where each row is to be a card."""

    widths: tuple[int, ...]


def screen(stream: TextIO | None = None) -> Screen:
    """The screen over `stream` (stdout unless told)."""
    return Screen(stream or sys.stdout)


class Screen:
    """Draws on one stream, richly on a terminal and plainly elsewhere; `width` and `terminal` are found unless told."""

    def __init__(self, stream: TextIO, *, width: int | None = None, terminal: bool | None = None) -> None:
        self.stream = stream
        self.rich = is_terminal(stream) if terminal is None else terminal
        self.width = width or columns(stream)
        self._console: Console | None = None

    # -- what commands call -------------------------------------------------------------------------------------------

    def line(self, text: str = "", tone: Tone = "") -> None:
        """A paragraph."""
        self._print(visible(text), tone)

    def verbatim(self, text: str) -> None:
        """A line that is to be copied: never broken by us, so that it is pasted as one."""
        self.stream.write(f"{self._fit(visible(text))}\n")

    def title(self, text: str) -> None:
        """A heading with a line before it."""
        self._print("")
        self._print(visible(text), "strong")

    def notice(self, text: str, tone: Tone = "warn", *, hint: str = "", about: str = "", otherwise: str = "") -> None:
        """Something to take note of, with its mark; under it whom it is about, the next step (a command gets an arrow), and
        another way.
        """
        self._print(f"{_ICONS[tone]} {visible(text)}", tone, indent=2)
        if about:
            self._print(f"  {visible(about)}", indent=2)
        if hint:
            self._print(f"  {'→ ' * hint.startswith('safetok ')}{visible(hint)}", indent=2)
        if otherwise:
            self._print(f"  {visible(otherwise)}", "dim", indent=2)

    def items(self, texts: Iterable[str]) -> None:
        """A list with a mark before each entry."""
        for text in texts:
            self._print(f"{_ICONS['']} {visible(text)}", indent=2)

    def pairs(self, rows: Iterable[tuple[str, Cell]]) -> None:
        """Names and values, one pair a line, values under each other; a value of None is left out."""
        self._pairs([(self._fit(visible(name)), _toned(value)) for name, value in rows if value is not None])

    def table(
        self,
        heads: Sequence[Column],
        rows: Iterable[Sequence[Cell]],
        *,
        empty: str = "",
        layout: Layout | None = None,
    ) -> None:
        """A table; `empty` is said where there is no row. None is an empty cell. Tables given one `layout` have the same columns,
        so that several on one screen stand under each other.
        """
        cells = [[_toned(cell) for cell in row] for row in rows]
        if not cells:
            if empty:
                self.line(empty)
            return
        if not self.rich:
            self._plain_table(heads, cells, layout)
            return
        layout = layout or self.layout(heads, cells)
        if layout.widths:
            self._rich_table(heads, cells, layout.widths)
        else:
            self._cards(heads, cells)

    def layout(self, heads: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Layout:
        """Columns that fit all these rows: as wide as they need where there is room or nobody looks; else those that wrap share
        what is left, by what they need; cards where even their least does not fit.
        """
        natural = [
            max([_width(self._fit(head.title)), *(_width(self._shown(_toned(row[at]))) for row in rows)])
            for at, head in enumerate(heads)
        ]
        room = self.width - 2 * (len(heads) - 1)
        if not self.rich or sum(natural) <= room:
            return Layout(tuple(natural))
        least = [
            min(need, max(_PROSE_NARROWEST, _width(self._fit(head.title)))) if head.wrap else need
            for head, need in zip(heads, natural, strict=True)
        ]
        if sum(least) > room:
            return Layout(())
        # first what keeps the longest words whole, then what saves lines
        words = [
            max(least[at], *(_longest_word(self._shown(_toned(row[at]))) for row in rows)) for at in range(len(heads))
        ]
        widths = _shared(least, words, room)
        return Layout(tuple(_shared(widths, natural, room)))

    # -- how it is drawn ----------------------------------------------------------------------------------------------

    def _fit(self, text: str) -> str:
        return fitted(text, self.stream)

    def _print(self, text: str, tone: Tone = "", *, indent: int = 0) -> None:
        if self.rich:
            lead = text[: len(text) - len(text.lstrip(" "))]
            told = "\n".join(wrapped(text, self.width - len(lead), indent=max(indent - len(lead), 0)))
            self.console.print(self._text(lead + told.replace("\n", f"\n{lead}"), tone), soft_wrap=True)
        else:
            self.stream.write(f"{self._fit(text)}\n")

    @property
    def console(self) -> Console:
        """Rich's console over the stream, made when first needed."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(
                file=self.stream,
                width=self.width,
                force_terminal=True,
                markup=False,
                emoji=False,
                highlight=False,
                no_color=bool(os.environ.get("NO_COLOR")) or None,
            )
        return self._console

    def _text(self, text: str, tone: Tone) -> Text:
        from rich.text import Text

        return Text(self._fit(text), style=_STYLES[tone])

    def _pairs(self, rows: list[tuple[str, Toned]]) -> None:
        left = max((_width(name) for name, _value in rows), default=0) + 2
        for name, value in rows:
            label = (f"{name}:" if name else "") + " " * (left - _width(name) - bool(name))
            text = self._fit(visible(value.text))
            if self.rich:
                from rich.text import Text

                told = f"\n{' ' * left}".join(wrapped(text, max(self.width - left, _PROSE_NARROWEST), after=","))
                line = Text.assemble((label, "dim"), (told, _STYLES[value.tone]))
                line.rstrip()
                self.console.print(line, soft_wrap=True)
            else:
                self.stream.write(f"{label}{text}".rstrip() + "\n")

    def _shown(self, cell: Toned) -> str:
        return self._fit(visible(cell.text))

    def _plain_table(self, heads: Sequence[Column], rows: list[list[Toned]], layout: Layout | None) -> None:
        columns = [[self._fit(head.title), *(self._shown(row[at]) for row in rows)] for at, head in enumerate(heads)]
        for at, (head, cells) in enumerate(zip(heads, columns, strict=True)):
            taken = [_width(cell) for cell in cells]
            width = layout.widths[at] if layout else max(taken)
            columns[at] = [
                " " * (width - used) + cell if head.right else cell + " " * (width - used)
                for cell, used in zip(cells, taken, strict=True)
            ]
        self.stream.writelines("  ".join(line).rstrip() + "\n" for line in zip(*columns, strict=True))

    def _rich_table(self, heads: Sequence[Column], rows: list[list[Toned]], widths: Sequence[int]) -> None:
        from rich.box import SIMPLE_HEAD, Box
        from rich.table import Table

        table = Table(
            box=SIMPLE_HEAD if speaks_unicode(self.stream) else Box(_ASCII_HEAD, ascii=True),
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
            header_style="bold",
        )
        for head, width in zip(heads, widths, strict=True):
            table.add_column(
                self._text(head.title, ""),
                no_wrap=not head.wrap,
                overflow="fold",
                justify="right" if head.right else "left",
                width=width,
            )
        for row in rows:
            table.add_row(*(self._text(visible(cell.text), cell.tone) for cell in row))
        self.console.print(table)

    def _cards(self, heads: Sequence[Column], rows: list[list[Toned]]) -> None:
        """Each row under its first cell: the others with their names, as many a line as fit, none broken that fits a line."""
        for row in rows:
            named = f"{heads[0].title} {row[0].text}" if heads[0].right else row[0].text  # a number alone says nothing
            self._print(visible(named), row[0].tone or "strong")
            lines: list[list[tuple[str, Toned]]] = [[]]
            room = self.width
            for head, cell in list(zip(heads, row, strict=True))[1:]:
                taken = _width(self._fit(f"  {head.title}: {visible(cell.text)}"))
                if not cell.text:
                    continue
                if lines[-1] and taken > room:
                    lines.append([])
                    room = self.width
                lines[-1].append((head.title, cell))
                room -= taken
            for line in lines:
                self._card_line(line)

    def _card_line(self, line: list[tuple[str, Toned]]) -> None:
        from rich.text import Text

        told = Text()
        for name, cell in line:
            value = "\n    ".join(wrapped(self._fit(visible(cell.text)), self.width - _width(name) - 4))
            told.append("  ").append(self._fit(f"{name}: "), "dim").append(value, _STYLES[cell.tone])
        self.console.print(told, soft_wrap=True)


def _shared(widths: Sequence[int], wanted: Sequence[int], room: int) -> list[int]:
    """Widths that have grown towards what is wanted, each by its share of what `room` leaves."""
    spare, lacking = room - sum(widths), sum(wanted) - sum(widths)
    if lacking <= spare:
        return list(wanted)
    return [width + spare * (want - width) // lacking for width, want in zip(widths, wanted, strict=True)]


def _longest_word(text: str) -> int:
    return max((_width(word) for word in text.split()), default=0)


def _toned(cell: Cell) -> Toned:
    if isinstance(cell, Toned):
        return cell
    return Toned("" if cell is None else str(cell))


def _width(text: str) -> int:
    """Columns `text` takes: combining marks none, wide letters two."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
