"""What a file that is about to be written would take the place of: nobody's list, notes or PINs, only what safetok wrote itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetok.domain.cells import as_text
from safetok.errors import UsageError
from safetok.locale import _
from safetok.workflows import sheets

LARGEST = 64 << 20  # bytes that are looked at


def refuse_to_replace(path: Path, hint: str, *, unless: Callable[[Path], bool]) -> None:
    """Raise UsageError (`file_exists`) where a file is there of which `unless` is not true."""
    try:
        there = path.is_file()
    except OSError:  # a name that cannot be: whoever writes it says so
        return
    if there and not unless(path):
        raise UsageError(
            _("{file} is there already, with other content. Nothing was written.").format(file=path),
            code="file_exists",
            hint=hint,
        )


def is_plan(path: Path) -> bool:
    """Whether it is a plan of safetok, also one of an older form or another computer."""
    return "safetok_plan" in _document(path)


def is_report(path: Path, heads: Sequence[str]) -> bool:
    """Whether it is a batch's report with these heads, or as JSON; not one to which somebody has added columns."""
    if {*_document(path)} == {"plan", "manifest", "made_at", "rows"}:
        return True
    try:
        lines = sheets.read(path).cells
    except UsageError:  # no list at all
        return False
    widest = max((at for line in lines for at, cell in enumerate(line) if as_text(cell)), default=0)
    return bool(lines) and widest < len(heads) and [as_text(cell) for cell in lines[0][: len(heads)]] == [*heads]


def is_events(path: Path) -> bool:
    """Whether a batch's events may follow what is there: events of earlier runs, or nothing yet."""
    start = b'{"event"'
    return _content(path, len(start)) in {start, b""}


def is_calendar(path: Path) -> bool:
    """Whether it is a calendar that safetok wrote."""
    return b"PRODID:-//safetok//" in _content(path)[:1000]


def _document(path: Path) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    try:
        found = json.loads(_content(path))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _content(path: Path, most: int = LARGEST) -> bytes:
    """Empty where it cannot be read: then nobody knows whose it is."""
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError:
        return b""
