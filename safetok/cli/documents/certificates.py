"""What the envelopes about certificates hold, as types: `certs` and `export`."""

from __future__ import annotations

from datetime import date
from typing import Literal

from safetok.cli.documents import Document, Instant, Serial
from safetok.domain.campaign import CampaignAnswer
from safetok.domain.mst import MstVerdict
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.tokens import KeyPresence
from safetok.domain.validity import Validity


class Revocation(Document):
    answer: RevocationAnswer
    reason: str
    checked_at: Instant | None
    since: Instant | None


class Condition(Document):
    name: str
    holds: bool | None
    text: str


class Campaign(Document):
    answer: CampaignAnswer
    reasons: list[str]
    conditions: list[Condition]


class Offer(Document):
    exists: bool
    checked_at: Instant | None


class Certificate(Document):
    serial: Serial
    serial_decimal: str
    subject: str
    name: str
    mst: str | None
    personal_id: str | None
    issuer: str
    authority: str | None
    not_before: Instant
    not_after: Instant
    days_left: int
    state: Validity
    current: bool
    key: KeyPresence | None
    key_by_id_only: bool
    key_type: str
    sha256: str
    contract_end: date | None
    revocation: Revocation
    campaign: Campaign
    offer: Offer | None


class CertificateOnToken(Certificate):
    token: str | None
    mst_check: MstVerdict | None


class Certificates(Document):
    """`safetok certs list`, `safetok certs show`."""

    certificates: list[CertificateOnToken]


class CheckedCertificate(Document):
    serial: Serial
    name: str
    mst: str | None
    answer: RevocationAnswer
    reason: str
    since: Instant | None
    checked_at: Instant
    source: str


class Checked(Document):
    """`safetok certs check`."""

    certificates: list[CheckedCertificate]


class Adoption(Document):
    token: str
    mst: str | None
    old_serial: Serial | None
    new_serial: Serial
    not_after: Instant
    adopted: bool
    agencies_open: int


class Adopted(Document):
    """`safetok certs adopt`."""

    adopted: list[Adoption]


class MissingForPrune(Document):
    code: str
    message: str
    command: str


class Superseded(Document):
    """A certificate that a newer one on its token has followed; `files` are what it was exported as."""

    token: str
    cert: Serial
    successor: Serial
    name: str
    mst: str | None
    state: Literal["kept", "removable", "would_remove", "removed"]
    missing: list[MissingForPrune]
    files: list[str]


class Prune(Document):
    """`safetok certs prune`."""

    certificates: list[Superseded]


class Fields(Document):
    """What every agency asks for, ready to copy."""

    mst: str | None
    name: str
    subject: str
    serial: Serial
    serial_decimal: str
    issuer: str
    issuer_name: str
    not_before: Instant
    not_after: Instant


class Exported(Document):
    """`safetok export`."""

    folder: str
    files: list[str]
    new: Fields
    old: Fields | None
    chain_complete: bool
    page: str | None


class Message(Document):
    """`safetok export --text`."""

    text: str
    new: Fields
    old: Fields | None
