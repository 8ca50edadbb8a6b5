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
    refused: Literal["contract_over", "dossier_missing"] | None


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


class PathCa(Document):
    """A CA above the certificate; `answer` is null for an anchor, and where it names no place to ask."""

    name: str
    subject: str
    serial: Serial
    sha256: str
    not_after: Instant
    answer: RevocationAnswer | None
    reason: str


class PathToAnchor(Document):
    """The CAs up to the `anchor`; without one, those at hand, and why no further. `at` is the moment it was built for."""

    anchored: bool
    code: Literal[
        "",
        "no_anchors",
        "no_issuer",
        "not_its_issuer",
        "other_root",
        "link_not_in_force",
        "weak_link",
        "rules_broken",
    ]
    reason: str
    at: Instant
    in_force: bool
    anchor: str | None
    cas: list[PathCa]


class CheckedCertificate(Document):
    """`answer` is the conclusion: good only with a path; `said` is what its issuer said, whatever the path."""

    serial: Serial
    name: str
    mst: str | None
    issuer: str
    sha256: str
    token: str | None
    authority: str | None
    answer: RevocationAnswer
    reason: str
    since: Instant | None
    checked_at: Instant
    source: str
    said: RevocationAnswer
    path: PathToAnchor


class CheckedEntry(Document):
    """What was named (in a list, on its `line`): the serials it came to, or the code of the error."""

    value: str
    certificates: list[Serial]
    list_file: str | None
    line: int | None
    error: str | None


class Checked(Document):
    """`safetok certs check`; `entries` is empty where nothing was named."""

    certificates: list[CheckedCertificate]
    entries: list[CheckedEntry]


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
