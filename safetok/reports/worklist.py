"""The worklist as a spreadsheet: one row for each client and agency, values to copy, and columns that staff fill in and hand back.

What comes back is a stranger's: nothing in it is taken but values.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from safetok.domain.cells import typed
from safetok.domain.times import VIETNAM, vietnamese_time
from safetok.errors import UsageError
from safetok.locale import _, later
from safetok.records import dataclass
from safetok.reports.fields import plain_line

LARGEST_CELL = 4000
LARGEST_DAY = 100_000  # of a spreadsheet: in the year 2173

RESULTS = {"accepted": later("accepted"), "rejected": later("rejected"), "unused": later("not used")}
_DATES = "dd/mm/yyyy hh:mm"
_HEX = re.compile(r"[0-9A-Fa-f]+")
_WHOLE_NUMBER = "@"  # text, so that a tax code keeps its zeros

# The columns by their keys, which stand in a hidden first row: titles may be translated, moved or renamed by whoever fills it in.
COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("mst", later("MST"), 16),
    ("company", later("Company"), 34),
    ("agency", later("Short name"), 11),
    ("title", later("Agency"), 42),
    ("serial", later("New serial"), 36),
    ("issuer", later("Issuer"), 26),
    ("valid_from", later("Valid from"), 18),
    ("valid_to", later("Valid to"), 18),
    ("old_serial", later("Old serial"), 36),
    ("url", later("Where"), 32),
    ("state", later("State"), 26),
    ("done_at", later("DONE AT (fill in)"), 20),
    ("result", later("RESULT (fill in)"), 20),
    ("note", later("NOTE (fill in)"), 30),
    ("key", "", 4),
)
_TO_FILL = ("done_at", "result", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row to write; the keys of COLUMNS. Instants are shown in Vietnamese time."""

    values: dict[str, str | datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """One row as it came back: which registration (`key` or `serial`, and `agency`), and what was filled in. `number` is the
    spreadsheet's own.
    """

    number: int
    agency: str
    serial: str
    key: str
    done_at: datetime | str | None
    result: str
    note: str


def write(rows: Iterable[Row]) -> bytes:
    """The workbook. Raises UsageError `xlsx_missing` where openpyxl is not installed."""
    openpyxl = _openpyxl()
    from openpyxl.styles import Alignment, Font, PatternFill
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "safetok"
    fill = PatternFill("solid", start_color="FFF2CC")
    for number, (name, title, width) in enumerate(COLUMNS, 1):
        letter = get_column_letter(number)
        _text(sheet.cell(1, number), name)
        head = sheet.cell(2, number)
        _text(head, _(title) if title else "")
        head.font = Font(bold=True)
        if name in _TO_FILL:
            head.fill = fill
        sheet.column_dimensions[letter].width = width
        sheet.column_dimensions[letter].hidden = name == "key"
    sheet.row_dimensions[1].hidden = True
    sheet.freeze_panes = "C3"
    last = 2
    for last, row in enumerate(rows, 3):
        for number, (name, _title, _width) in enumerate(COLUMNS, 1):
            cell, value = sheet.cell(last, number), row.values.get(name)
            if isinstance(value, datetime):
                cell.value = vietnamese_time(value).replace(tzinfo=None, microsecond=0)
                cell.number_format = _DATES
            elif value:
                _text(cell, value)
            elif name == "done_at":
                cell.number_format = _DATES
            if name in _TO_FILL:
                cell.fill = fill
            cell.alignment = Alignment(vertical="top", wrap_text=name in {"company", "title", "note"})
    if last > 2:  # noqa: PLR2004  (below the two rows of heads)
        choices = DataValidation(
            type="list", formula1='"' + ",".join(_(word) for word in RESULTS.values()) + '"', allow_blank=True
        )
        sheet.add_data_validation(choices)
        letter = get_column_letter(next(n for n, (name, *_rest) in enumerate(COLUMNS, 1) if name == "result"))
        choices.add(f"{letter}3:{letter}{last}")
        sheet.auto_filter.ref = f"A2:{get_column_letter(len(COLUMNS))}{last}"
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr = openpyxl.worksheet.properties.PageSetupProperties(fitToPage=True)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def filled(cells: Sequence[Sequence[Any]], epoch: date) -> Iterator[Filled]:
    """Every row on which something was filled in; `epoch` is the day a spreadsheet's bare numbers are counted from. Raises
    ValueError where no row of keys is near the top: somebody else's table.
    """
    places: dict[str, int] | None = None
    keys = 0
    for number, row in enumerate(cells, 1):
        if places is None:
            places, keys = _places(row), number
            if places is None and number > 5:  # noqa: PLR2004  (somebody put a title above)
                break
            continue
        values = {name: row[at] if at < len(row) else None for name, at in places.items()}
        told = {name: typed(_said(values.get(name))) for name in ("agency", "serial", "key", "result")}
        told["note"] = _said(values.get("note"))
        when = _moment(values.get("done_at"), epoch)
        titles = number == keys + 1 and not any(_HEX.fullmatch(told[name]) for name in ("serial", "key"))
        if not titles and told["agency"] and (when or told["result"] or told["note"]):
            yield Filled(number=number, done_at=when, **told)
    if places is None:
        raise ValueError


def _moment(value: Any, epoch: date) -> datetime | str | None:
    """A moment as the spreadsheet keeps it; a bare number (its format was lost) counts days; else what was typed."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=VIETNAM)
    if isinstance(value, float | int) and not isinstance(value, bool) and 0 < value < LARGEST_DAY:
        days = datetime(epoch.year, epoch.month, epoch.day, tzinfo=VIETNAM) + timedelta(days=value)
        return (days + timedelta(seconds=30)).replace(second=0, microsecond=0)
    return typed(_said(value)) or None


def _places(row: Sequence[Any]) -> dict[str, int] | None:
    """Where each column is, by the hidden row of keys; None when this is not that row."""
    names = {name for name, *_rest in COLUMNS}
    found = {str(value): at for at, value in enumerate(row) if isinstance(value, str) and value in names}
    return found if {"agency", "serial", "done_at"} <= {*found} else None


def _said(value: Any) -> str:
    return "" if value is None else " ".join(str(value)[:LARGEST_CELL].split())


def _text(cell: Any, value: str) -> None:
    """Text that no spreadsheet takes for a formula, whatever it begins with."""
    cell.value = plain_line(value)[:LARGEST_CELL]
    cell.data_type = "s"
    cell.number_format = _WHOLE_NUMBER
    cell.quotePrefix = True


def installing() -> str:
    """The command that puts openpyxl beside this very safetok, however it was installed: the `pip` of another Python would not."""
    python = sys.executable
    if os.name == "nt":
        return f'& "{python}" -m pip install openpyxl' if " " in python else f"{python} -m pip install openpyxl"
    return f"{shlex.quote(python)} -m pip install openpyxl"


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ImportError as error:
        raise UsageError(
            _("Excel files need one more package, which is not installed."),
            code="xlsx_missing",
            hint=_("Install it: {command}").format(command=installing()),
        ) from error
    return openpyxl
