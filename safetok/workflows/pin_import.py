"""PINs of many tokens from a table into the keyring: each row by itself, none of them tried on a token."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.domain.cells import SHORTENED, Cell, as_text, failed, plain, rounded, typed
from safetok.domain.manifest import DOUBLED, column_of
from safetok.domain.tokens import nearly
from safetok.errors import PersonNeeded, SafetokError, UsageError
from safetok.locale import _
from safetok.log import secret
from safetok.records import dataclass
from safetok.workflows import pins, sheets
from safetok.workflows.pin_store import keep

if TYPE_CHECKING:
    from safetok.workflows.context import Context

_WHOLE = 8  # digits; a PIN that a spreadsheet holds as a shorter number may have lost zeros before it
_PIN = {
    "pin",
    "ma_pin",
    "pin_code",
    "pincode",
    "mat_khau",
    "mat_khau_token",
    "mk",
    "mk_token",
    "pin_token",
    "ma_pin_token",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: its number as a spreadsheet counts, the token, and why it was left out (empty: it was not)."""

    row: int
    token: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of the table's rows. `strangers`: tokens that a PIN was saved for and that were never seen on this computer;
    `sheets`: the workbook's others, which were not read.
    """

    file: Path
    rows: tuple[Row, ...]
    open_to_others: bool
    strangers: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()

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
            "never_seen": list(self.strangers),
            "ignored_sheets": list(self.sheets),
        }


def import_file(context: Context, file: Path) -> Imported:
    """Move the table's PINs into the keyring. Raises UsageError (`pin_table`, `xlsx_missing`) for a file that is no such
    table, PersonNeeded (`keyring_unusable`, `keyring_forgets`) before the first row that cannot be kept.
    """
    from safetok.store import pin_store
    from safetok.store.inventory import Inventory

    pins.without_core()
    sheet = _sheet(file)
    table = list(_rows(file, sheet.cells))
    try:
        pin_store.get("")
    except PersonNeeded as error:
        error.hint = _("Nothing was saved. Unlock it (or install one: gnome-keyring, KWallet), then run this again.")
        raise
    given = defaultdict[str, set[Cell]](set)
    for _number, serial, pin in table:
        given[serial].add(pin)
    doubled = {serial for serial, several in given.items() if len(several) > 1}
    known = {token.serial for token in Inventory(context.database).tokens()}
    done = []
    for number, serial, pin in table:
        reason = _wrong(serial, pin, doubled, known)
        if not reason:
            keep(context, serial, str(pin))
        done.append(Row(row=number, token=serial, reason=reason))
    saved = dict.fromkeys(row.token for row in done if not row.reason)
    return Imported(
        file=file,
        rows=tuple(done),
        open_to_others=_open_to_others(file),
        strangers=tuple(serial for serial in saved if serial not in known),
        sheets=sheet.unread,
    )


def _wrong(serial: str, pin: Cell, doubled: set[str], known: set[str]) -> str:  # noqa: PLR0911  (one for each fault)
    if not serial:
        return _("the Token ID is missing")
    if failed(serial) or failed(pin):
        return _("the formula in its cell found nothing: put it right, or type the value")
    if SHORTENED.fullmatch(serial):
        return _("the spreadsheet has shortened the Token ID to {serial}: make the column text").format(serial=serial)
    if pin in {None, ""}:
        return _("the PIN is missing")
    if not isinstance(pin, str) and not (type(pin) is int and len(str(pin)) >= _WHOLE):
        return _(
            "the spreadsheet holds the PIN as a number, without zeros before it: make the column text, type it again"
        )
    if str(pin).startswith("'"):
        return _(
            "the PIN begins with the apostrophe that spreadsheets put before text: take it out; a PIN that has one is saved by "
            "safetok pin store"
        )
    if not str(pin).isascii() or not str(pin).isprintable():
        return _(
            "the PIN has a letter with marks, or one that nobody sees: type it again; a PIN that has one is saved by safetok "
            "pin store"
        )
    if serial in doubled:
        return _("this Token ID stands there with two different PINs")
    if serial not in known and (meant := nearly(serial, sorted(known))):
        return _("no token has this Token ID, but {serial} is known: is it that one?").format(serial=meant)
    return ""


def _sheet(file: Path) -> sheets.Sheet:
    try:
        return sheets.read(file)
    except UsageError as error:
        error.code = "xlsx_missing" if error.code == "xlsx_missing" else "pin_table"
        error.hint = f"{_('Nothing was saved.')} {error.hint}".strip()
        raise


def _rows(file: Path, cells: list[list[Cell]]) -> Iterator[tuple[int, str, Cell]]:
    """Row number, token serial and PIN of every row that is not empty; the first of them names the columns. Raises UsageError."""
    lines = [(number, line) for number, line in enumerate(cells, 1) if any(as_text(cell) for cell in line)]
    heads = [as_text(cell) for cell in lines[0][1]] if lines else []
    serials = [at for at, head in enumerate(heads) if column_of(head) == "token"]
    given = [at for at, head in enumerate(heads) if plain(head) in _PIN]
    for same in (serials, given):
        if len(same) > 1:
            raise UsageError(
                _("Two columns say the same: {first} and {second}.").format(
                    first=heads[same[0]], second=heads[same[1]]
                ),
                code="pin_table",
                hint=f"{_('Nothing was saved.')} {_(DOUBLED)}",
            )
    if not (serials and given):
        raise UsageError(
            _('{file} is not a table of PINs: its first row must name the columns "Token ID" and "PIN".').format(
                file=file
            ),
            code="pin_table",
            hint=_("Nothing was saved."),
        )
    (serial_at,), (pin_at,) = serials, given
    for number, line in lines[1:]:
        padded = [*line, *[None] * len(heads)]
        serial, pin = padded[serial_at], padded[pin_at]
        secret(as_text(pin))
        yield (
            number,
            f"{serial:.6E}" if rounded(serial) else typed(as_text(serial)),
            as_text(pin) if isinstance(pin, str) else pin,
        )


def _open_to_others(file: Path) -> bool:
    try:
        return os.name == "posix" and bool(stat.S_IMODE(file.stat().st_mode) & 0o077)
    except OSError:  # gone meanwhile
        return False
