"""Which certificates a person means to check: those on the tokens, files, serials, and lists of both, each entry by itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from safetok.domain.cells import typed
from safetok.errors import NoToken, SafetokError, UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows import certs, tokens

if TYPE_CHECKING:
    from safetok.domain.cells import Cell
    from safetok.domain.certificates import Certificate
    from safetok.domain.tokens import Reading
    from safetok.workflows.certs import CertificateView
    from safetok.workflows.context import Context

_SERIALS = {"serial", "so_serial", "serial_cts", "so_serial_cts", "so_serial_chung_thu_so", "cert", "certificate"} | {
    *("cts", "chung_thu_so", "certificate_serial", "new_serial", "so_serial_moi", "token_id", "token")
}
_FILES = {"file", "path", "tep", "ten_tep", "duong_dan", "file_name", "tep_chung_thu_so"}
_SHORTENED = re.compile(r"\d([.,]\d+)?[eE]\+\d+")  # what a spreadsheet makes of a long number
_SERIAL = re.compile(r"(0[xX])?[0-9A-Fa-f][0-9A-Fa-f: ]{7,}")
_LOOKED_AT = 10  # rows above the header: a title, a day
_LONGEST = 300  # letters of an entry repeated in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing named: a file or a serial. `list` and `line` say where, for one that stands in a list."""

    value: str
    list: Path | None = None
    line: int | None = None

    @property
    def path(self) -> Path:
        """As a file: a list's own folder is where its relative paths begin."""
        return self.list.parent / self.value if self.list else Path(self.value)

    @property
    def names_a_file(self) -> bool:
        return certs.is_file(self.path) or certs.names_a_file(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """A certificate to check, the token it is on ("" for none), and the CA certificates that its file holds too."""

    certificate: Certificate
    token: str = ""
    along: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What an entry came to: certificates, or the error that says why none."""

    entry: Entry
    meant: tuple[Meant, ...] = ()
    error: SafetokError | None = None


def listed(path: Path, warn: Callable[[str], None]) -> tuple[Entry, ...]:
    """The entries of a list: CSV, text or XLSX, one path or serial a line, a header and what stands above it ignored, empty
    lines and `#` too.

    A column whose header names serials or files is taken, else each line's first cell that is not empty; a line that says
    something, and nothing there, is an entry without a value. `warn` is told of a workbook's other sheets. Raises
    UsageError: what `sheets.read` raises, and `empty_list`.
    """
    from safetok.workflows import sheets

    sheet = sheets.read(path)
    if sheet.unread:
        warn(f"{path.name}: {sheets.not_read(sheet.unread)}")
    rows = list(enumerate(sheet.cells, 1))
    said = [(number, row) for number, row in rows if any(_text(cell) for cell in row)]
    columns: list[int] = []
    for number, row in said[:_LOOKED_AT]:
        if columns := _columns(row):
            rows = rows[number:]
            break
        if any(_names_one(path, _text(cell)) for cell in row):
            break
    if said and not columns and not _is_entry(path, next(text for cell in said[0][1] if (text := _text(cell)))):
        rows = rows[said[0][0] :]
    entries = tuple(
        Entry(value=value, list=path, line=number)
        for number, row in rows
        if (value := _chosen(row, columns)) is not None
    )
    if not any(entry.value for entry in entries):
        raise UsageError(_("The list {path} names no certificate.").format(path=path.name), code="empty_list")
    return entries


def _columns(row: Sequence[Cell]) -> list[int]:
    """The columns to look at, files first, where a row is the header that names them."""
    heads = [_plain(_text(cell)) for cell in row]
    return [at for names in (_FILES, _SERIALS) for at, head in enumerate(heads) if head in names]


def _names_one(path: Path, text: str) -> bool:
    """Whether a cell above the header may be a file or a serial that somebody means, and is no title to pass over."""
    day = re.search(r"\d/\d+/\d", text) is not None  # 20/11/2026 names no folder
    return _SERIAL.fullmatch(text) is not None or (text != "" and not day and Entry(value=text, list=path).names_a_file)


def _is_entry(path: Path, text: str) -> bool:
    """Whether a first line is meant already, and no heading: headings have no digit and name no file."""
    return any(letter.isdigit() for letter in text) or Entry(value=text, list=path).names_a_file or text[:1] == "#"


def _chosen(row: Sequence[Cell], columns: Sequence[int]) -> str | None:
    """What a line names, "" where that cell is empty and others are not; None for an empty line and a remark."""
    said = next((text for cell in row if (text := _text(cell))), "")
    cells = [row[at] for at in columns if at < len(row)] if columns else row
    text = next((text for cell in cells if (text := _text(cell))), "")
    return None if not said or (text or said).startswith("#") else text


def _text(cell: Cell) -> str:
    """A cell as a person reads it; the marks that keep a spreadsheet from calculating are not part of it."""
    if cell is None or isinstance(cell, bool | date):
        return ""
    if isinstance(cell, float):
        return f"{cell:.15g}"
    return str(cell).strip().lstrip("'").strip()


def _plain(head: str) -> str:
    marks_off = unicodedata.normalize("NFD", head.lower().replace("đ", "d"))
    letters = "".join(letter for letter in marks_off if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "_", letters).strip("_")


class Resolver:
    """Looks entries up; the drivers are opened only for what is neither a file nor a certificate seen before, and once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._unread: SafetokError | None = None
        self.looked = False

    @cached_property
    def reading(self) -> Reading:
        """The tokens that are in."""
        self.looked = True
        return tokens.look(self._context)

    @cached_property
    def _here(self) -> tuple[CertificateView, ...]:
        """What is on the tokens that are in; where they cannot be read, that is a failure of its own and not the entry's."""
        try:
            return certs.listing(self._context, self.reading)
        except SafetokError as error:
            self._unread = error
            return ()

    def on_tokens(self) -> tuple[Meant, ...]:
        """Every current certificate of the tokens that are in. Raises NoToken, and PersonNeeded where they hold none."""
        if not self.reading.tokens:
            raise tokens.problems(self.reading)[-1]
        here = certs.listing(self._context, self.reading)
        found = tuple(Meant(certificate=v.certificate, token=v.token) for v in here if v.current)
        if not found:
            certs.the_one((), self.reading)  # says that there is none
        return found

    def failures(self) -> list[SafetokError]:
        """What kept the tokens from being read, where they were looked at: a DriverFailed for each driver that failed."""
        if self._unread:
            return [self._unread]
        return tokens.failures(self.reading) if self.looked else []

    def resolve(self, entries: Sequence[Entry]) -> Iterator[Resolved]:
        """Each entry's certificates; one that cannot be used stops no other."""
        for entry in entries:
            try:
                yield Resolved(entry=entry, meant=self._meant(entry))
            except SafetokError as error:
                yield Resolved(entry=entry, error=_placed(entry, error))

    def _meant(self, entry: Entry) -> tuple[Meant, ...]:
        if entry.list and not entry.value:
            raise UsageError(
                _("this line says neither which certificate, nor which token or file; it was not checked."),
                code="nothing_named",
                hint=_("Fill in its Token ID or its serial, or take the line out."),
            )
        if entry.names_a_file:
            return _in_file(entry.path)
        if _SHORTENED.fullmatch(entry.value):
            raise UsageError(
                _("A spreadsheet has shortened this serial, and nobody can tell it any more."),
                code="shortened_serial",
                hint=_("Make that column text, copy the serials again, and save the list."),
            )
        return self._by_serial(typed(entry.value))

    def _by_serial(self, serial: str) -> tuple[Meant, ...]:
        from safetok.domain.certificates import same_serial
        from safetok.store.inventory import Inventory
        from safetok.workflows.refresh import current_certificates

        inventory = Inventory(self._context.database)
        if kept := inventory.by_serial(serial):
            return _once(Meant(certificate=one.certificate, token=one.token_serial) for one in kept)
        here = [v for v in self._here if same_serial(serial, v.certificate)] or [
            v for v in self._here if v.token == serial.strip() and v.current
        ]
        if here:
            return _once(Meant(certificate=v.certificate, token=v.token) for v in here)
        known = current_certificates(self._context, serial.strip())
        if known:
            return _once(Meant(certificate=certificate, token=token) for token, certificate in known)
        raise NoToken(
            _("safetok has never read a certificate {serial}, nor a token of that ID.").format(
                serial=serial[:_LONGEST]
            ),
            code="no_such_certificate",
            hint=_("Plug its token in, or give the certificate's file."),
        )


def _in_file(path: Path) -> tuple[Meant, ...]:
    """The subscribers' certificates in a file; a file of CA certificates alone means those."""
    from safetok.store.pem import load_pem

    found = load_pem(path)
    along = tuple(one.der for one in found if one.is_ca)
    own = [one for one in found if not one.is_ca] or found
    return _once(Meant(certificate=one, along=along) for one in own)


def _once(found: Iterable[Meant]) -> tuple[Meant, ...]:
    return tuple({one.certificate.sha256: one for one in found}.values())


def _placed(entry: Entry, error: SafetokError) -> SafetokError:
    """The error of a list's entry says in which line it stands, and what stands there."""
    if entry.list is None:
        return error
    text = _("{list}, line {line}, {value}: {message}") if entry.value else _("{list}, line {line}: {message}")
    text = text.format(list=entry.list.name, line=entry.line, value=entry.value[:_LONGEST], message=error.message)
    return type(error)(text, code=error.code, hint=error.hint, token=error.token, data=error.data)
