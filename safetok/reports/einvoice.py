"""The row that the e-invoice declaration 01/ĐKTĐ-HĐĐT wants for a certificate, as XML and as text.

Names and lengths are those of the tax authority's data format (list `DSCTSSDung` of `NDTKhai`); dates are Vietnamese time
without an offset, as it writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from xml.sax.saxutils import escape

from safetok.domain.times import show_date, vietnamese_time
from safetok.locale import _, later
from safetok.records import dataclass
from safetok.reports.fields import Fields

HThuc = Literal[1, 2, 3]
NAMES: dict[HThuc, str] = {1: "Thêm mới", 2: "Gia hạn", 3: "Ngừng sử dụng"}  # the form's own words, in every language
MEANINGS: dict[HThuc, str] = {
    1: later("a certificate whose serial was not declared before"),
    2: later("a certificate already declared, whose validity is extended"),
    3: later("a certificate that will sign invoices no more; for the old serial, when it is no longer used"),
}
STOP: HThuc = 3
LONGEST_ISSUER, LONGEST_SERIAL = 400, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One certificate as the declaration lists it."""

    hthuc: HThuc
    fields: Fields

    @property
    def name(self) -> str:
        """`1 Thêm mới`."""
        return f"{self.hthuc} {NAMES[self.hthuc]}"

    def columns(self) -> list[tuple[str, str, str]]:
        """Element, heading and value, in the form's order."""
        dates = [vietnamese_time(moment) for moment in (self.fields.valid_from, self.fields.valid_to)]
        return [
            ("STT", _("No."), "1"),
            ("TTChuc", _("Name of the issuing CA"), self.fields.issuer_name[:LONGEST_ISSUER]),
            ("Seri", _("Serial of the certificate"), self.fields.serial[:LONGEST_SERIAL]),
            ("TNgay", _("Valid from"), f"{dates[0]:%Y-%m-%dT%H:%M:%S}"),
            ("DNgay", _("Valid to"), f"{dates[1]:%Y-%m-%dT%H:%M:%S}"),
            ("HThuc", _("Form of registration"), str(self.hthuc)),
        ]

    def xml(self) -> str:
        """The `CTS` element."""
        lines = [f"  <{element}>{escape(value)}</{element}>" for element, _heading, value in self.columns()]
        return "\n".join(["<CTS>", *lines, "</CTS>"])

    def text(self) -> str:
        """What a person types, the row's own number left out: dates as the form shows them."""
        shown = {
            "TNgay": show_date(self.fields.valid_from),
            "DNgay": show_date(self.fields.valid_to),
            "HThuc": self.name,
        }
        return "\n".join(
            f"{heading} ({element}): {shown.get(element, value)}"
            for element, heading, value in self.columns()
            if element != "STT"
        )


def rows_of(new: Fields, old: Fields | None, hthuc: HThuc | None = None) -> tuple[Row, ...]:
    """The rows to choose from: the new certificate's with `hthuc` (1 and 2 where nobody chose), then 3 for the old serial."""
    chosen: tuple[HThuc, ...] = (1, 2) if hthuc is None else (hthuc,)
    rows = [Row(hthuc=one, fields=new) for one in chosen if one != STOP]
    return (*rows, *([Row(hthuc=STOP, fields=old)] if old is not None else []))


def as_hthuc(number: int | None) -> HThuc | None:
    """A number as the form's; ValueError when it has no such one."""
    if number is not None and number not in NAMES:
        raise ValueError(number)
    return number


def explanation() -> list[str]:
    """The three forms, one to a line, and that nobody has settled which one a top-up is."""
    return [
        *(f"{number} {name}: {_(MEANINGS[number])}." for number, name in NAMES.items()),
        unsettled(),
    ]


def unsettled() -> str:
    """What no source says."""
    return _(
        "No source found says whether a top-up (same contract, new serial) is 1 or 2: ask the e-invoice provider "
        "before sending."
    )


def xml_file(row: Row) -> bytes:
    """A whole `DSCTSSDung` of one row, to be put into the declaration's XML."""
    body = "\n".join(f"  {line}" for line in row.xml().splitlines())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<DSCTSSDung>\n{body}\n</DSCTSSDung>\n'.encode()


def text_file(rows: Sequence[Row]) -> str:
    """Every row to choose from as text, under what it is for, and the explanation."""
    parts = [_("ROW OF FORM 01/ĐKTĐ-HĐĐT"), *explanation(), ""]
    for row in rows:
        parts += [f"== {title(row)}", row.text(), ""]
    return "\n".join(parts)


def title(row: Row) -> str:
    """`Old serial – 3 Ngừng sử dụng`."""
    whose = _("Old serial: {form}") if row.hthuc == STOP else _("New serial: {form}")
    return whose.format(form=row.name)
