"""What a batch came to as a table that a spreadsheet opens: every cell is text, and none of it is a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from safetok.errors import UsageError
from safetok.locale import _
from safetok.reports.fields import plain_line

_FORMULA = ("=", "+", "-", "@")
_NUMBER = re.compile(r"0\d+|\d{10,}|\d+[eE]\d+")  # too long, zeros before it, or a serial that reads as a power of ten


def safe(text: str) -> str:
    """A cell that no spreadsheet calculates and no terminal obeys: an apostrophe before what would begin a formula, line breaks as
    spaces, other controls written out.
    """
    line = _one_line(text)
    return f"'{line}" if line.startswith(_FORMULA) else line


def _one_line(text: str) -> str:
    return plain_line(" ".join(text.split()))


def comma_separated(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """CSV as Excel opens it with a double click: UTF-8 with its mark, semicolons, serials and tax codes kept as text."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    writer.writerow([safe(head) for head in heads])
    for row in rows:
        writer.writerow([_kept_text(safe(cell)) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def _kept_text(cell: str) -> str:
    """Digits that a spreadsheet would round or shorten are marked as text."""
    return f"'{cell}" if _NUMBER.fullmatch(cell) else cell


def workbook(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """XLSX, every cell a string. Raises UsageError (`xlsx_missing`)."""
    try:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Font
    except ImportError as error:
        from safetok.reports.worklist import installing

        raise UsageError(
            _("Writing an Excel file needs an addition that is not installed."),
            code="xlsx_missing",
            hint=_("Install it: {command}; or use --format csv.").format(command=installing()),
        ) from error
    book = Workbook(write_only=True)
    sheet = book.create_sheet("batch")
    sheet.freeze_panes = "A2"

    def cell(text: str, *, bold: bool = False) -> WriteOnlyCell:
        made = WriteOnlyCell(sheet, value=_one_line(text))
        made.data_type = "s"  # a string whatever it begins with
        made.number_format = "@"
        if bold:
            made.font = Font(bold=True)
        return made

    sheet.append([cell(head, bold=True) for head in heads])
    for row in rows:
        sheet.append([cell(text) for text in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
