"""The fields every agency asks for, ready to be copied: MST, subject, serial, issuer, from, to."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from safetok.domain.certificates import Certificate
from safetok.domain.times import show_day, vietnamese_time
from safetok.locale import _
from safetok.records import dataclass

# Controls, lone surrogates, and what moves, hides or turns text: a name in a certificate is written as text, on one line.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What is copied into an agency's form for one certificate. Dates are Vietnamese time, as the agencies show them."""

    mst: str
    name: str
    subject: str
    serial: str
    serial_decimal: str
    issuer: str
    issuer_name: str
    valid_from: datetime
    valid_to: datetime

    def data(self) -> dict[str, Any]:
        """What scripts read; instants stay instants."""
        return {
            "mst": self.mst or None,
            "name": self.name,
            "subject": self.subject,
            "serial": self.serial,
            "serial_decimal": self.serial_decimal,
            "issuer": self.issuer,
            "issuer_name": self.issuer_name,
            "not_before": self.valid_from,
            "not_after": self.valid_to,
        }

    def lines(self) -> list[tuple[str, str]]:
        """Label and value, one to a line, in the order the forms ask."""
        return [
            (_("MST (tax code)"), self.mst),
            (_("Company"), self.name),
            (_("Subject"), self.subject),
            (_("Serial of the certificate"), self.serial),
            (_("Serial, decimal"), self.serial_decimal),
            (_("Issuer"), self.issuer_name),
            (_("Issuer, in full"), self.issuer),
            (_("Valid from"), show_moment(self.valid_from)),
            (_("Valid to"), show_moment(self.valid_to)),
        ]


def fields_of(certificate: Certificate) -> Fields:
    """The fields of a certificate, everything it says made plain text."""
    return Fields(
        mst=plain_line(certificate.mst or ""),
        name=plain_line(certificate.subject_name),
        subject=plain_line(certificate.subject),
        serial=certificate.serial,
        serial_decimal=certificate.serial_decimal,
        issuer=plain_line(certificate.issuer),
        issuer_name=plain_line(certificate.issuer_name),
        valid_from=certificate.not_before,
        valid_to=certificate.not_after,
    )


def text_of(new: Certificate, old: Certificate | None, *, latest: bool) -> str:
    """A page of text: the new certificate's fields, then the old one's, which some systems ask for to log in. `latest`: it may be
    called the new one.
    """
    parts = [_section(_("NEW CERTIFICATE") if latest else _("CERTIFICATE"), new)]
    if old is not None:
        parts.append(_section(_("OLD CERTIFICATE (keep it: some systems ask for it to log in)"), old))
    return "\n".join(parts)


def plain_line(text: str) -> str:
    """`text` on one line, with control, direction and zero-width characters written out."""
    return _UNSAFE.sub(
        lambda found: f"\\u{ord(found[0]):04x}" if found[0] <= "\uffff" else f"\\U{ord(found[0]):08x}", text
    )


def _section(title: str, certificate: Certificate) -> str:
    return "\n".join([title, *(f"{label}: {value}" for label, value in fields_of(certificate).lines()), ""])


def show_moment(instant: datetime) -> str:
    """`23/11/2026 16:05:00`, Vietnamese time, as the agencies' forms show it."""
    local = vietnamese_time(instant)
    return f"{show_day(local.date())} {local:%H:%M:%S}"
