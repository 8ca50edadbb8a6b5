"""The list of tokens that a firm hands over: what its columns are called, what its cells may say, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Literal, TypeVar

from safetok.domain.cells import SHORTENED, Cell, as_text, failed, plain, rounded, typed, without_marks
from safetok.domain.times import parse_day
from safetok.errors import UsageError
from safetok.locale import _, later
from safetok.records import dataclass

Column = Literal[
    "token",
    "mst",
    "contract_end",
    "signed",
    "agencies",
    "pin_source",
    "new_key",
    "group",
    "confirmed_by",
    "name",
]

# A header is compared without marks, in lower case, words joined by `_`.
_HEADERS: dict[Column, tuple[str, ...]] = {
    "token": (
        *("token", "token_id", "tokenid", "id_token", "serial", "token_serial", "serial_token"),
        *("so_token", "ma_token", "so_serial_token", "usb_token"),
    ),
    "mst": ("mst", "ma_so_thue", "tax_code", "mst_don_vi"),
    "contract_end": (
        *("contract_end", "ngay_ket_thuc_hop_dong", "ngay_ket_thuc_theo_hop_dong", "ket_thuc_hop_dong"),
        *("het_han_hop_dong", "ngay_het_han_hop_dong", "ngay_ket_thuc"),
    ),
    "signed": ("da_ky_het", "pending_signed", "signed", "da_ky_het_ho_so", "da_ky_xong"),
    "agencies": ("agencies", "co_quan", "cac_co_quan", "co_quan_su_dung", "co_quan_cap_nhat"),
    "pin_source": ("pin_source", "nguon_pin", "nguon_ma_pin", "lay_pin_tu", "pin_o_dau", "noi_luu_pin"),
    "new_key": ("new_key", "key", "khoa", "khoa_moi", "loai_khoa"),
    "group": ("group", "nhom"),
    "confirmed_by": ("confirmed_by", "nguoi_xac_nhan", "xac_nhan_boi"),
    "name": ("name", "ten", "ten_don_vi", "don_vi", "ten_cong_ty", "cong_ty", "company"),
}
_COLUMN_OF = {header: column for column, headers in _HEADERS.items() for header in headers}
_SECRETS = re.compile(
    r"(^|_)(token_?)?(ma_?)?(pins?|mk|mat_?khau|pass|passwords?|passwd|passcodes?|pwd|(ma_?)?(so_?)?bi_?mat)"
    r"(_?code)?(_?token)?_?\d*(_|$)"
)
_YES = {"co", "x", "yes", "y", "true", "1", "roi", "da", "da_ky", "da_ky_het", "v", "ok", "dung"}
_NO = {"", "khong", "no", "n", "false", "0", "chua", "sai"}
_NEW = {"moi", "new", "khoa_moi", "new_key", *_YES}
_SAME = {"cu", "same", "khoa_cu", "giu_nguyen", "giu", "cung_khoa", "old", *_NO}
_KEYRING = {"", "keyring", "kho_mat_khau", "kho_khoa", "kho_pin", "kho_ma_pin"}
_ENVIRONMENT = re.compile(r"env:(SAFETOK_PIN_[A-Z0-9_]+)")
_EXCEL_ZERO = date(1899, 12, 30)
_DAYS = (date(2015, 1, 1), date(2100, 12, 31))  # a contract's end outside them is a slip
_MIDNIGHT = re.compile(r" (0?0:00.*|12:00(:00)? ?(SA|AM))", re.IGNORECASE)  # a day in a cell that shows the time, too
_MST_DIGITS = (10, 12, 13)
_CONFIRMED = "ngay_ket_thuc_hop_dong, da_ky_het, khoa"  # the columns in which two rows must not contradict each other
_LONGEST_TOKEN_ID = 16  # characters: CK_TOKEN_INFO holds no more (PKCS#11 v2.40 section 3.2)
DOUBLED = later("Take one of them out, or give it another name: safetok passes over columns that it does not know.")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with one cell. `row` is numbered as a spreadsheet does; `value` is empty where it may be a secret."""

    row: int
    column: str
    value: str
    message: str

    def __str__(self) -> str:
        where = _("Row {row}, column {column}").format(row=self.row, column=self.column)
        return f"{where}: {self.value!r}: {self.message}" if self.value else f"{where}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One row: which token, and what a person has confirmed of it. With `problems` the rest of it is not to be believed."""

    row: int
    token: str | None = None
    mst: str | None = None
    contract_end: date | None = None
    signed: bool = False  # what was pending has been signed with the old certificate
    agencies: tuple[str, ...] | None = None  # None: as known so far
    pin_source: str = "keyring"  # keyring | env:NAME | file:RELATIVE
    new_key: bool = False
    group: str = ""
    confirmed_by: str = ""
    name: str = ""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The rows in their order, and the columns that mean nothing to safetok."""

    rows: tuple[Wanted, ...]
    ignored: tuple[str, ...] = ()


def read(table: Sequence[Sequence[Cell]], *, epoch: date = _EXCEL_ZERO) -> Manifest:
    """What the cells say; the first row that is not empty is the header. `epoch`: day 0 of the sheet's serial dates.

    Problems of a row stay with the row. Raises UsageError for what no row can be read with: `manifest_empty`,
    `manifest_columns`, `manifest_has_pins` (a column of PINs: the whole file is refused).
    """
    lines = [(number, line) for number, line in enumerate(table, 1) if any(as_text(cell) for cell in line)]
    if not lines:
        raise UsageError(_("The list is empty."), code="manifest_empty", hint=_expected())
    header = [as_text(cell) for cell in lines[0][1]]
    columns, ignored = _columns(header, lines[0][0])
    seen: dict[tuple[str | None, str | None], int] = {}
    rows = _agreeing([_row(number, line, columns, header, epoch, seen) for number, line in lines[1:]])
    if not rows:
        raise UsageError(_("The list has a header and no row."), code="manifest_empty", hint=_expected())
    return Manifest(rows=tuple(rows), ignored=ignored)


def column_of(title: str) -> Column | None:
    """The column that a header names; None where it means nothing to safetok."""
    return _COLUMN_OF.get(plain(title))


def holds_pins(title: str) -> bool:
    """Whether a header says that PINs stand below it; where PINs are to be found (nguon_pin) is no such header."""
    if plain(title).startswith(_HEADERS["pin_source"]):
        return False
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", without_marks(title))  # MatKhauToken
    return any(_SECRETS.search(plain(name)) for name in (title, words))


def _columns(header: Sequence[str], number: int) -> tuple[dict[Column, int], tuple[str, ...]]:
    found: dict[Column, int] = {}
    ignored: list[str] = []
    for at, title in enumerate(header):
        column = column_of(title)
        if column is None:
            if holds_pins(title):
                raise UsageError(
                    _(
                        "The list has a column of PINs ({column}): it is refused as a whole, and no PIN was read."
                    ).format(column=title),
                    code="manifest_has_pins",
                    hint=_(
                        "Take the column out and delete the file's copies. PINs belong in the keyring: safetok pin import "
                        "FILE; then write where each PIN is in a column nguon_pin."
                    ),
                )
            ignored += [title] if title else []
        elif column in found:
            raise UsageError(
                _("Two columns say the same: {first} and {second}.").format(first=header[found[column]], second=title),
                code="manifest_columns",
                hint=_(DOUBLED),
            )
        else:
            found[column] = at
    if "token" not in found and "mst" not in found:
        raise UsageError(
            _(
                "The list has neither a column of Token IDs nor one of tax codes: row {row} is taken for its header."
            ).format(row=number),
            code="manifest_columns",
            hint=f"{_('The header must be the first row that is not empty: delete what stands above it.')} {_expected()}",
        )
    return found, tuple(ignored)


def _expected() -> str:
    return _(
        "Columns: token_id or mst, ngay_ket_thuc_hop_dong, da_ky_het; and, where wanted, co_quan, nguon_pin, khoa, "
        "nhom, nguoi_xac_nhan."
    )


@dataclass
class _Reader:
    """One row's cells, and the problems met in them."""

    row: int
    line: Sequence[Cell]
    columns: dict[Column, int]
    header: Sequence[str]
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        message = _("The formula in this cell found nothing. Put it right, or type the value.")
        for column, at in self.columns.items():
            if at < len(self.line) and failed(self.line[at]):
                self.wrong(column, message, value=as_text(self.line[at]))

    def cell(self, column: Column) -> Cell:
        """What stands there; nothing where a formula failed, which is a problem already."""
        at = self.columns.get(column)
        return self.line[at] if at is not None and at < len(self.line) and not failed(self.line[at]) else None

    def text(self, column: Column) -> str:
        return as_text(self.cell(column))

    def wrong(self, column: Column, message: str, *, value: str | None = None) -> None:
        title = self.header[self.columns[column]] if column in self.columns else column
        shown = self.text(column) if value is None else value
        self.problems.append(Problem(row=self.row, column=title, value=shown[:80], message=message))

    def word(self, column: Column, choices: dict[str, T], otherwise: T, message: str) -> T:
        text = self.text(column)
        word = plain(text)
        if word in choices and (word or not text.strip("-–—_./")):  # a tick is a word that nobody can read
            return choices[word]
        self.wrong(column, message)
        return otherwise


def _row(
    number: int,
    line: Sequence[Cell],
    columns: dict[Column, int],
    header: Sequence[str],
    epoch: date,
    seen: dict[tuple[str | None, str | None], int],
) -> Wanted:
    cells = _Reader(number, line, columns, header)
    token, mst = typed(cells.text("token")) or None, _mst(cells)
    if token is not None and (SHORTENED.fullmatch(token) or rounded(cells.cell("token"))):
        cells.wrong("token", _("The spreadsheet has shortened this Token ID. Format the column as text."))
    elif token is not None and sum(letter.isalnum() for letter in token) > _LONGEST_TOKEN_ID:
        cells.wrong("token", _("A Token ID has at most 16 characters. Copy it from: safetok tokens"))
    if token is None and not cells.text("mst") and not cells.problems:
        cells.wrong("token" if "token" in columns else "mst", _("Neither a Token ID nor a tax code."))
    key = (token, mst)
    if key in seen and key != (None, None):
        cells.wrong("token" if token else "mst", _("The same as in row {row}.").format(row=seen[key]))
    seen.setdefault(key, number)
    end = _day(cells, epoch)
    words = _("Write có or không.")
    signed = cells.word("signed", {**dict.fromkeys(_NO, False), **dict.fromkeys(_YES, True)}, False, words)
    new_key = cells.word(
        "new_key",
        {**dict.fromkeys(_SAME, False), **dict.fromkeys(_NEW, True)},
        False,
        _("Write mới (a new key) or cũ (the same one)."),
    )
    agencies = tuple(_parts(cells.text("agencies"))) or None
    return Wanted(
        row=number,
        token=token,
        mst=mst,
        contract_end=end,
        signed=signed,
        agencies=agencies,
        pin_source=_pin_source(cells),
        new_key=new_key,
        group=cells.text("group"),
        confirmed_by=cells.text("confirmed_by"),
        name=cells.text("name"),
        problems=tuple(cells.problems),
    )


def _agreeing(rows: list[Wanted]) -> list[Wanted]:
    """Of rows that are the same but for what is confirmed in them, none is to be believed: nobody knows which was meant. A row
    of a token that leaves the company out may mean any of that token's.
    """
    first: dict[tuple[str | None, str | None], Wanted] = {}
    of_token: dict[str, Wanted] = {}
    of_no_company: dict[str, Wanted] = {}
    against: dict[int, int] = {}
    for row in rows:
        if row.token is None and row.mst is None:
            continue
        others = [first.setdefault((row.token, row.mst), row)]
        if row.token is not None and not row.problems:
            others.append((of_no_company if row.mst else of_token).get(row.token, row))
            of_token.setdefault(row.token, row)
            if row.mst is None:
                of_no_company.setdefault(row.token, row)
        for other in others:
            if (row.contract_end, row.signed, row.new_key) != (other.contract_end, other.signed, other.new_key):
                against.setdefault(other.row, row.row)
                against.setdefault(row.row, other.row)
    message = _("Row {row} says otherwise of the same token: neither is renewed.")
    return [
        replace(row, problems=(*row.problems, Problem(row=row.row, column=_CONFIRMED, value="", message=text)))
        if (text := message.format(row=against[row.row]) if row.row in against else "")
        else row
        for row in rows
    ]


def _mst(cells: _Reader) -> str | None:
    from safetok.domain.companies import plain_mst
    from safetok.domain.mst import verdict

    text = typed(cells.text("mst"))
    if not text:
        return None
    digits = text.replace("-", "").replace(" ", "")
    if SHORTENED.fullmatch(text):
        cells.wrong("mst", _("The spreadsheet has shortened this tax code. Format the column as text."))
        return None
    lost = digits.isdigit() and not digits.startswith("0")  # a spreadsheet takes every zero before a number
    if lost and len(digits) + 1 in _MST_DIGITS and verdict(f"0{digits}") in {"valid", "no_check_digit"}:
        cells.wrong(
            "mst",
            _(
                "A tax code that begins with 0 has lost it to the spreadsheet: is it {mst}? Format the column as text."
            ).format(mst=plain_mst(f"0{digits}")),
        )
        return None
    judged = verdict(text)
    if judged == "bad_length":
        cells.wrong("mst", _("A tax code has 10, 12 or 13 digits."))
    elif judged == "bad_check_digit":
        cells.wrong("mst", _("The check digit of this tax code is wrong: a slip of the pen?"))
    return plain_mst(text)


def _day(cells: _Reader, epoch: date) -> date | None:
    cell = cells.cell("contract_end")
    text = typed(as_text(cell))
    if not text:
        return None
    day: date | None
    if isinstance(cell, datetime):
        day = cell.date()
    elif isinstance(cell, date):
        day = cell
    elif re.fullmatch(r"\d{5}(\.0+)?", text):  # the day's number, as a spreadsheet keeps it
        day = epoch + timedelta(days=int(float(text)))
    else:
        day = parse_day(_MIDNIGHT.sub("", text))
    if day is None or not _DAYS[0] <= day <= _DAYS[1]:
        cells.wrong("contract_end", _("This is no day. Write it as 31/12/2027."))
        return None
    return day


def _pin_source(cells: _Reader) -> str:
    """Where the PIN is; a cell that says anything else is never repeated, because it may be the PIN."""
    text = cells.text("pin_source")
    if plain(text) in _KEYRING:
        return "keyring"
    if _ENVIRONMENT.fullmatch(text):
        return text
    if text.startswith("file:"):
        path = PurePosixPath(text.removeprefix("file:").strip().replace("\\", "/"))
        if path.parts and not path.is_absolute() and ".." not in path.parts and ":" not in path.parts[0]:
            return f"file:{path}"
        cells.wrong("pin_source", _("A PIN file lies in the folder of the list, or below it."))
        return "keyring"
    cells.wrong(
        "pin_source",
        _(
            "Neither keyring, nor env:SAFETOK_PIN_…, nor file:NAME (what it says is not shown: it may be a PIN; a PIN never "
            "belongs in the list)."
        ),
        value="",
    )
    return "keyring"


def _parts(text: str) -> Iterator[str]:
    for part in re.split(r"[,;+/|\n]", text):
        if part.strip():
            yield part.strip()
