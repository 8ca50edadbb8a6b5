"""A reseller's own list of clients, CSV or XLSX: what its columns are called, and what each row says of one company's papers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from safetok.domain.cells import SHORTENED, typed
from safetok.domain.companies import plain_mst
from safetok.domain.dossier import Said
from safetok.domain.manifest import Problem
from safetok.domain.times import parse_day, show_day
from safetok.errors import UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows import sheets
from safetok.workflows.agency_names import letters

if TYPE_CHECKING:
    from safetok.domain.cells import Cell

LARGEST_CELL = 400
DAYS = ("token-received", "sent", "lcs-received", "activated")  # the steps that a column can give the day of
_LOOKED_AT = 10  # rows above the heads: a title, a day, an empty line

# Heads as people write them, without marks, by what they mean.
_HEADS = {
    "mst": ("mst", "ma so thue", "ma so thue mst", "tax code"),
    "name": (
        "name",
        "ten",
        "ten cong ty",
        "cong ty",
        "don vi",
        "ten don vi",
        "ten khach hang",
        "khach hang",
        "company",
    ),
    "certificate": ("cert", "serial", "so serial", "so serial cts", "serial cts", "cts", "certificate"),
    "issued": ("issued", "ngay cap", "ngay cap cts", "hieu luc tu", "not before"),
    "representative": (
        "representative",
        "nguoi dai dien",
        "nguoi dai dien phap luat",
        "dai dien",
        "dai dien phap luat",
    ),
    "phone": ("phone", "dien thoai", "so dien thoai", "sdt", "dt"),
    "state": ("state", "tinh trang", "trang thai", "ho so", "tinh trang ho so", "trang thai ho so"),
    "token-received": (
        *("token received", "nhan token", "ngay nhan token", "nhan usb token", "ngay nhan usb token"),
        *("da nhan token", "ngay nhan"),
    ),
    "sent": ("sent", "gui ho so", "ngay gui", "ngay gui ho so", "da gui"),
    "lcs-received": (
        "lcs received",
        "lcs nhan",
        "lcs nhan ho so",
        "lcs da nhan",
        "ngay lcs nhan",
        "ngay lcs nhan ho so",
    ),
    "activated": ("activated", "kich hoat", "ngay kich hoat", "da kich hoat"),
}
_MEANING = {head: meaning for meaning, heads in _HEADS.items() for head in heads}
_STATES: dict[str, Said] = {
    **{word: word for word in get_args(Said)},
    **dict.fromkeys(("day du", "du", "du ho so", "ho so day du", "ho so du"), "complete"),
    **dict.fromkeys(("chua day du", "thieu", "thieu ho so", "ho so thieu", "ho so chua day du", "chua du"), "missing"),
    "tam dung": "suspended",
    "bi tam dung": "suspended",
    "thu hoi": "revoked",
    "da thu hoi": "revoked",
    "bi thu hoi": "revoked",
    "thu hoi vinh vien": "revoked",
    "khong ro": "unknown",
    "": "unknown",
}
_MST_DIGITS = (10, 12, 13)
_SHOWN = 40  # characters of a cell that is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as text, by what its columns mean; a day as 31/12/2026. `number` as a spreadsheet counts, `heads` as it calls the
    columns.
    """

    number: int
    values: dict[str, str]
    heads: dict[str, str]

    def text(self, meaning: str) -> str:
        return self.values.get(meaning, "")

    @property
    def mst(self) -> str:
        """The tax code. Raises UsageError `bad_row` where there is none, the spreadsheet has cut it, or it cannot be one."""
        from safetok.domain.mst import verdict

        text = "".join(typed(self.text("mst")).split())
        if not text:
            raise self._wrong("mst", _("it names no tax code"))
        if SHORTENED.fullmatch(text):
            raise self._wrong("mst", _("The spreadsheet has shortened this tax code. Format the column as text."))
        whole = f"0{text}"
        if text.isdigit() and len(whole) in _MST_DIGITS and verdict(whole) == "valid":
            raise self._wrong(
                "mst",
                _(
                    "A tax code that begins with 0 has lost it to the spreadsheet: is it {mst}? Format the column as text."
                ).format(mst=plain_mst(whole)),
            )
        judged = verdict(text)
        if judged == "bad_length":
            raise self._wrong("mst", _("A tax code has 10, 12 or 13 digits."))
        if judged == "bad_check_digit":
            raise self._wrong("mst", _("The check digit of this tax code is wrong: a slip of the pen?"))
        return plain_mst(text)

    @property
    def state(self) -> Said:
        """What it says of the papers. Raises UsageError `bad_row`."""
        word = _plain(self.text("state"))
        if word not in _STATES:
            raise self._wrong(
                "state",
                _("{text} is no state of a dossier: đầy đủ, chưa đầy đủ, tạm dừng or thu hồi.").format(
                    text=repr(self.text("state")[:40])
                ),
                value="",
            )
        return _STATES[word]

    def day(self, meaning: str, *, latest: date | None) -> date | None:
        """A day, none after `latest`; None where the cell is empty. Raises UsageError `bad_row`."""
        text = typed(self.text(meaning))
        if not text:
            return None
        day = parse_day(text)
        if day is None or (latest is not None and day > latest):
            raise self._wrong(
                meaning, _("{text} is no day that has come (31/12/2026).").format(text=text[:40]), value=""
            )
        return day

    def _wrong(self, meaning: str, message: str, *, value: str | None = None) -> UsageError:
        """What is wrong with a cell: its row, its column, and its value unless the message has it."""
        shown = self.text(meaning)[:_SHOWN] if value is None else value
        problem = Problem(row=self.number, column=self.heads.get(meaning, meaning), value=shown, message=message)
        return UsageError(str(problem), code="bad_row")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientList:
    """Its rows, the columns that mean nothing to safetok, and the workbook's other sheets."""

    rows: tuple[Row, ...]
    ignored: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()


def read(file: Path) -> ClientList:
    """The rows below the heads, empty ones left out. Raises UsageError `bad_list` (no such list), `xlsx_missing`."""
    try:
        sheet = sheets.read(file)
    except UsageError as error:
        if error.code != "xlsx_missing":
            error.code = "bad_list"
        raise
    at = next((at for at, line in enumerate(sheet.cells[:_LOOKED_AT]) if "mst" in _meanings(line)), None)
    if at is None:
        raise UsageError(
            _("The list {file} is not used: no column is called mst.").format(file=file),
            code="bad_list",
            hint=sheets.in_first_sheet(
                sheet,
                _(
                    "Columns: mst, and where known tên công ty, tình trạng hồ sơ, người đại diện, điện thoại, ngày nhận token, "
                    "ngày gửi, lcs nhận."
                ),
            ),
        )
    meanings = _meanings(sheet.cells[at])
    places = {meaning: place for place, meaning in reversed([*enumerate(meanings)]) if meaning}
    heads = [_text(cell, sheet.epoch) for cell in sheet.cells[at]]
    ignored = tuple(head for place, head in enumerate(heads) if head and place not in places.values())
    called = {meaning: heads[place] for meaning, place in places.items()}
    rows = []
    for number, line in enumerate(sheet.cells[at + 1 :], at + 2):
        values = {
            meaning: _text(line[place], sheet.epoch, day=meaning in (*DAYS, "issued")) if place < len(line) else ""
            for meaning, place in places.items()
        }
        if any(values.values()):
            rows.append(Row(number=number, values=values, heads=called))
    return ClientList(rows=tuple(rows), ignored=ignored, sheets=sheet.unread)


def _meanings(line: Sequence[Cell]) -> list[str]:
    return [_MEANING.get(_plain(cell), "") if isinstance(cell, str) else "" for cell in line]


def _plain(text: str) -> str:
    return letters(text).replace("-", " ")


def _text(cell: Cell, epoch: date, *, day: bool = False) -> str:
    """A cell on one line; a day as 31/12/2026, also where a spreadsheet kept only its number."""
    if cell is None or isinstance(cell, bool):
        return ""
    if isinstance(cell, datetime):
        return show_day(cell.date())
    if isinstance(cell, date):
        return show_day(cell)
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = " ".join(str(cell).split())[:LARGEST_CELL]
    if day and re.fullmatch(r"\d{5}", text):
        return show_day(epoch + timedelta(days=int(text)))
    return text
