"""A list as a spreadsheet saves it, CSV or XLSX, read as cells within bounds; nothing in it is ever calculated or resolved."""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetok.errors import UsageError
from safetok.locale import _, why

if TYPE_CHECKING:
    from safetok.domain.cells import Cell

LARGEST = 8 << 20  # bytes of a file
MOST_ROWS = 20_000
MOST_COLUMNS = 200
UNPACKED = 64 << 20  # bytes of all parts of an XLSX
RATIO = 150  # a part that unpacks to more than this many times its size is a trap
MOST_PARTS = 500
_FORBIDDEN = re.compile(rb"<!\s*DOCTYPE", re.IGNORECASE)
_ENTITY = re.compile(rb"<!\s*ENTITY", re.IGNORECASE)  # in any part: a sheet may bear any name
_MARKUP = re.compile(
    r"\s*<(\?xml|!|html|head|meta|style|body|table)", re.IGNORECASE
)  # what many programs export as .xls
_QUOTED = re.compile(r'"[^"]*"')
_KEPT_AS_TEXT = re.compile(
    r'="([^"]*)"'
)  # how other programs write a number in CSV so that Excel leaves its zeros alone
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")  # the stream's name ([MS-OFFCRYPTO] section 2.3.4.4)
_CHUNK = 1 << 16


class Sheet(NamedTuple):
    """The cells of a sheet, row by row, and the day its serial dates are counted from; the name of the one that was read where
    a workbook has several, and those of the others that are not empty; the numbers of its rows that are hidden, by a filter say.
    """

    cells: list[list[Cell]]
    epoch: date = date(1899, 12, 30)
    first_of_several: str = ""
    unread: tuple[str, ...] = ()
    hidden: frozenset[int] = frozenset()


def read(path: Path) -> Sheet:
    """The cells of a CSV or XLSX file; of a workbook the first sheet that is not hidden. Raises UsageError (`manifest_file`,
    `manifest_bounds`, `manifest_encoding`, `xlsx_missing`).
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(
            _("The list {path} cannot be read: {why}.").format(path=path, why=why(error)),
            code="manifest_file",
            hint=_("Check the file's name and folder, then run it again."),
        ) from error
    if len(data) > LARGEST:
        raise _beyond(path)
    if data.startswith(b"PK\x03\x04"):
        return _workbook(path, data)
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        if _ENCRYPTED in data:
            raise UsageError(
                _("{path} is protected by a password: it cannot be read.").format(path=path.name),
                code="manifest_file",
                hint=_("Save a copy without the password, as .xlsx or as CSV UTF-8."),
            )
        raise UsageError(
            _("{path} is an old Excel workbook (.xls).").format(path=path.name),
            code="manifest_file",
            hint=_("Save it as .xlsx, or as CSV UTF-8."),
        )
    return Sheet(_comma_separated(path, data))


def _comma_separated(path: Path, data: bytes) -> list[list[Cell]]:
    """UTF-8 with and without a byte order mark, and Excel's "Unicode text" (UTF-16 with tabs)."""
    try:
        text = data.decode("utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            _("{path} is not UTF-8.").format(path=path.name),
            code="manifest_encoding",
            hint=_("In Excel: Save as, CSV UTF-8 (Comma delimited)."),
        ) from error
    if "\0" in text or _MARKUP.match(text):
        raise UsageError(
            _("{path} is not a list.").format(path=path.name),
            code="manifest_file",
            hint=_("Save it as .xlsx, or as CSV UTF-8."),
        )
    outside = _QUOTED.sub("x", text)  # a header's cell may hold line breaks, and commas
    first = next((line for line in outside.splitlines() if line.strip(" ;,\t")), "")
    delimiter = max(";,\t", key=first.count)
    if (said := re.match(r"sep=(.)\r?\n", text)) is not None:  # what Excel itself obeys
        delimiter, text = said[1], text[said.end() :]
    rows: list[list[Cell]] = []
    try:
        lines = io.StringIO(text, newline="")
        for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True):
            rows.append([kept[1] if (kept := _KEPT_AS_TEXT.fullmatch(cell.strip())) else cell for cell in row])
            if len(rows) > MOST_ROWS or len(row) > MOST_COLUMNS:
                raise _beyond(path)
    except csv.Error as error:
        raise UsageError(
            _("{path} is no table: from row {row} on its quotation marks do not match.").format(
                path=path.name, row=len(rows) + 1
            ),
            code="manifest_file",
            hint=_("Put them right there, or save the list again from the spreadsheet program."),
        ) from error
    return rows


def _workbook(path: Path, data: bytes) -> Sheet:
    _bounded(path, data)
    try:
        import openpyxl
        from openpyxl.utils.datetime import CALENDAR_MAC_1904
    except ImportError as error:
        from safetok.reports.worklist import installing

        raise UsageError(
            _("Reading {path} needs an addition that is not installed.").format(path=path.name),
            code="xlsx_missing",
            hint=_("Install it: {command}; or save the list as CSV UTF-8.").format(command=installing()),
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        epoch = date(1904, 1, 1) if book.epoch == CALENDAR_MAC_1904 else date(1899, 12, 30)
        shown = next((one for one in book.worksheets if one.sheet_state == "visible"), book.worksheets[0])
        found = shown.iter_rows(max_row=MOST_ROWS + 1, max_col=MOST_COLUMNS, values_only=True)
        cells: list[list[Cell]] = [[*row] for row in found]
        name = shown.title if len(book.worksheets) > 1 else ""
        unread = tuple(_not_empty([one for one in book.worksheets if one is not shown]))
        hidden = frozenset(_hidden(shown))
        book.close()
    except Exception as error:  # openpyxl raises whatever its parsers raise on a damaged workbook
        raise UsageError(
            _("{path} is no workbook that can be read.").format(path=path.name),
            code="manifest_file",
            hint=_("Save it as .xlsx, or as CSV UTF-8."),
        ) from error
    if len(cells) > MOST_ROWS:
        raise _beyond(path)
    return Sheet(cells, epoch, name, unread, hidden)


def not_read(unread: tuple[str, ...]) -> str:
    """What is said of the sheets of a workbook that nobody has looked at."""
    return _("Only the workbook's first sheet was read. Not read: {names}").format(names=", ".join(unread))


def in_first_sheet(sheet: Sheet, hint: str) -> str:
    """What to do about a list that is not where it is looked for; of a workbook with several sheets, that one alone is read."""
    if not sheet.first_of_several:
        return hint
    only = _("Only the workbook's first sheet ({name}) is read: put the list there, or into a file of its own.")
    return f"{only.format(name=sheet.first_of_several)} {hint}".strip()


def _hidden(sheet: Any) -> Iterator[int]:
    """The numbers of the rows that are hidden (ECMA-376 part 1, section 18.3.1.73), which openpyxl tells only of a workbook that it
    holds in memory as a whole.
    """
    from openpyxl.xml.functions import iterparse

    with sheet._get_source() as source:
        if b"hidden" not in source.read():
            return
    number = 0
    with sheet._get_source() as source:
        for _event, element in iterparse(source):
            if element.tag.rpartition("}")[2] == "row":
                number = int(element.get("r", number + 1))
                if element.get("hidden") in {"1", "true"}:
                    yield number
                element.clear()


def _not_empty(others: Sequence[Any]) -> Iterator[str]:
    """The names of sheets that say anything, or may: so many rows of all of them are looked at, and no more."""
    left = MOST_ROWS
    for sheet in others:
        said = False
        if left:
            for line in sheet.iter_rows(max_row=left, max_col=MOST_COLUMNS, values_only=True):
                left -= 1
                if said := any(cell is not None for cell in line):
                    break
        if said or not left:
            yield sheet.title


def _bounded(path: Path, data: bytes) -> None:
    """Refuse what unpacks beyond all measure, and XML that declares entities, before a parser sees any of it."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > UNPACKED:
                raise _beyond(path)
            left = UNPACKED
            for part in parts:
                left -= _part(path, archive, part, left)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise UsageError(
            _("{path} is no workbook that can be read.").format(path=path.name),
            code="manifest_file",
            hint=_("Save it as .xlsx, or as CSV UTF-8."),
        ) from error


def _part(path: Path, archive: zipfile.ZipFile, part: zipfile.ZipInfo, room: int) -> int:
    """How many bytes one part unpacks to; its own word for it is not believed."""
    size, tail = 0, b""
    with archive.open(part) as stream:
        while piece := stream.read(_CHUNK):
            size += len(piece)
            if size > room or (size > _CHUNK and size > RATIO * max(part.compress_size, 1)):
                raise _beyond(path)
            seen = (tail + piece).replace(b"\0", b"")  # UTF-16 hides nothing
            named_so = part.filename.lower().endswith((".xml", ".rels", ".vml"))
            if _ENTITY.search(seen) or (named_so and _FORBIDDEN.search(seen)):
                raise UsageError(
                    _("{path} declares entities, which no spreadsheet program does.").format(path=path.name),
                    code="manifest_bounds",
                )
            tail = piece[-64:]
    return size


def _beyond(path: Path) -> UsageError:
    return UsageError(
        _("{path} is larger than a list can be ({rows} rows, {size} MB).").format(
            path=path.name, rows=MOST_ROWS, size=LARGEST >> 20
        ),
        code="manifest_bounds",
        hint=_("Rows and columns that hold nothing but borders count, too: copy what is filled in into a new file."),
    )
