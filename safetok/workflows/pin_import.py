"""PINs of many tokens from a table into the keyring: each row by itself, none of them tried on a token."""

from __future__ import annotations

import csv
import io
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.domain.manifest import SHORTENED, Cell, as_text, rounded
from safetok.errors import PersonNeeded, SafetokError, UsageError
from safetok.locale import _, why
from safetok.log import secret
from safetok.records import dataclass
from safetok.workflows import pins
from safetok.workflows.pin_store import keep

if TYPE_CHECKING:
    from safetok.workflows.context import Context

LIMIT = 4 << 20  # bytes: a hundred thousand rows
_SERIAL = {
    "serial",
    "token",
    "token id",
    "tokenid",
    "token serial",
    "so token",
    "ma token",
    "serial token",
    "usb token",
}
_WHOLE = 8  # digits; a PIN that a spreadsheet holds as a shorter number may have lost zeros before it
_Line = tuple[int, Sequence[Cell]]
_PIN = {"pin", "ma pin", "pin code", "mat khau", "mat khau token"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: its number as a spreadsheet counts, the token, and why it was left out (empty: it was not)."""

    row: int
    token: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of the table's rows."""

    file: Path
    rows: tuple[Row, ...]
    open_to_others: bool

    @property
    def failed(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.reason)

    def errors(self) -> list[SafetokError]:
        """Each row that was left out, and why."""
        text = _("Row {row}, token {serial}: left out, {why}.")
        return [
            UsageError(
                text.format(row=row.row, serial=row.token or "?", why=row.reason),
                code="pin_row",
                token=row.token or None,
            )
            for row in self.failed
        ]

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "file": str(self.file),
            "saved": [row.token for row in self.rows if not row.reason],
            "failed": [{"row": row.row, "token": row.token, "reason": row.reason} for row in self.failed],
        }


def import_file(context: Context, file: Path) -> Imported:
    """Move the table's PINs into the keyring. Raises UsageError (`pin_table`, `xlsx_missing`) for a file that is no such
    table, PersonNeeded (`keyring_unusable`, `keyring_forgets`) before the first row that cannot be kept.
    """
    from safetok.store import pin_store

    pins.without_core()
    lines, open_to_others = _read(file)
    table = list(_rows(lines, file))
    try:
        pin_store.get("")
    except PersonNeeded as error:
        error.hint = _("Nothing was saved. Unlock it (or install one: gnome-keyring, KWallet), then run this again.")
        raise
    doubled = {serial for serial in {one[1] for one in table} if len({p for _r, s, p in table if s == serial}) > 1}
    done = []
    for number, serial, pin in table:
        reason = _wrong(serial, pin, doubled)
        if not reason:
            keep(context, serial, str(pin))
        done.append(Row(row=number, token=serial, reason=reason))
    return Imported(file=file, rows=tuple(done), open_to_others=open_to_others)


def _wrong(serial: str, pin: Cell, doubled: set[str]) -> str:
    if not serial:
        return _("the Token ID is missing")
    if SHORTENED.fullmatch(serial):
        return _("the spreadsheet has shortened the Token ID to {serial}: make the column text").format(serial=serial)
    if pin in {None, ""}:
        return _("the PIN is missing")
    if not isinstance(pin, str) and not (type(pin) is int and len(str(pin)) >= _WHOLE):
        return _(
            "the spreadsheet holds the PIN as a number, without zeros before it: make the column text, type it again"
        )
    if serial in doubled:
        return _("this Token ID stands there with two different PINs")
    return ""


def _read(file: Path) -> tuple[list[_Line], bool]:
    """The rows with their numbers, and whether others may read them too."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            raw = opened.read(LIMIT + 1)
    except OSError as error:
        raise UsageError(
            _("The file {file} cannot be read: {why}.").format(file=file, why=why(error)),
            code="pin_table",
        ) from error
    if len(raw) > LIMIT:
        raise _no_table(file, _("it is larger than 4 MB"))
    cells = _workbook(file) if raw.startswith(b"PK\x03\x04") else _lines(file, raw)
    return cells, os.name == "posix" and bool(stat.S_IMODE(mode) & 0o077)


def _workbook(file: Path) -> list[_Line]:
    """The first sheet of an XLSX file: nobody has to save its PINs a second time to move them."""
    from safetok.workflows import sheets

    try:
        cells = sheets.read(file).cells
    except UsageError as error:
        error.code = "xlsx_missing" if error.code == "xlsx_missing" else "pin_table"
        raise
    return list(enumerate(cells, 1))


def _lines(file: Path, raw: bytes) -> list[_Line]:
    for encoding in ("utf-8-sig", "utf-16") if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else ("utf-8-sig",):
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise _no_table(file, _("it is not text in UTF-8; save it as CSV UTF-8"))
    head, _break, _rest = text.partition("\n")
    separator = max(";,\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return [(reader.line_num, [cell.strip() for cell in line]) for line in reader]
    except csv.Error:
        raise _no_table(file, _("its quotes do not close")) from None


def _rows(lines: list[_Line], file: Path) -> Iterator[tuple[int, str, Cell]]:
    """Row number, token serial and PIN of every row that is not empty."""
    names = [_bare(as_text(cell)) for cell in lines[0][1]] if lines else []
    serial_at = next((at for at, name in enumerate(names) if name in _SERIAL), None)
    pin_at = next((at for at, name in enumerate(names) if name in _PIN), None)
    if serial_at is None or pin_at is None:
        raise _no_table(file, _('its first row must name the columns "Token ID" and "PIN"'))
    for number, cells in lines[1:]:
        if any(as_text(cell) for cell in cells):
            padded = [*cells, *[None] * len(names)]
            serial, pin = padded[serial_at], padded[pin_at]
            secret(as_text(pin))
            yield (
                number,
                f"{serial:.6E}" if rounded(serial) else as_text(serial),
                pin.strip() if isinstance(pin, str) else pin,
            )


def _bare(heading: str) -> str:
    letters = unicodedata.normalize("NFD", heading.casefold().replace("đ", "d"))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(plain.replace("_", " ").replace("-", " ").split())


def _no_table(file: Path, reason: str) -> SafetokError:
    return UsageError(
        _("{file} is not a table of PINs: {why}. Nothing was saved.").format(file=file, why=reason), code="pin_table"
    )
