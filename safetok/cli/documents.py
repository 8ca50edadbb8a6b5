"""What each command's envelope holds, as types: schemas/*.json are written from them, and tests hold the commands to them.

A field may be added in a later version, none is renamed or taken away; so the schemas allow fields they do not name.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec

from safetok.domain.acceptance import Rule
from safetok.domain.agencies import Standing
from safetok.domain.campaign import CampaignAnswer
from safetok.domain.filings import Answer, SignWith
from safetok.domain.mst import MstVerdict
from safetok.domain.plan import RowState, Verdict
from safetok.domain.renewal import Hold, State
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.tokens import KeyPresence, Kind, PinState
from safetok.domain.validity import Validity

Instant = Annotated[datetime, msgspec.Meta(tz=True, description="RFC 3339, UTC")]
Serial = Annotated[
    str, msgspec.Meta(pattern="^([0-9A-F]{2})+$", description="upper-case hex, as the agencies print it")
]


class Document(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Every field is there; what is not known is null."""


class Error(Document):
    """One reason; `code` never changes once published, `message` and `hint` are in the user's language."""

    code: str
    message: str
    hint: str
    token: str | None


class Version(Document):
    version: str


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


class Token(Document):
    serial: str
    label: str
    company: str
    mst: str | None
    kind: Kind
    kind_reason: str
    note: str
    manufacturer: str
    model: str
    firmware: str
    hardware: str
    drivers: list[str]
    pin_state: PinState
    pin_tries_spent: int
    pin_pad: bool
    write_protected: bool
    readable_only: bool
    unreadable: int
    certificates: list[Certificate]


class DriverFailed(Document):
    driver: str
    code: str
    detail: str


class Timer(Document):
    agency: str
    mst: str | None
    cert: Serial
    updated_at: Instant | None
    until: Instant | None


class Part(Document):
    part: str
    updated_at: Instant


class Registration(Timer):
    state: Standing
    title: str
    name: str
    reason: str
    parts: list[Part]


class Due(Document):
    code: str
    message: str
    command: str
    token: str | None
    cert: Serial | None


class NewCertificate(Document):
    cert: Serial
    replaces: Serial
    mst: str | None
    token: str
    asked: bool
    seen_at: Instant


class Unfinished(Document):
    renewal_id: str
    token: str
    old_serial: Serial
    mst: str | None
    state: State
    hold: Hold | None
    check_after: Instant | None
    updated_at: Instant


class Status(Document):
    """`safetok status`."""

    tokens: list[Token]
    registrations: list[Registration]
    timers: list[Timer]
    drivers_failed: list[DriverFailed]
    due: list[Due]
    new_certificates: list[NewCertificate]
    renewals: list[Unfinished]


class Next(Document):
    """`safetok` alone."""

    state: str
    message: str
    command: str
    more: int


class Tokens(Document):
    """`safetok tokens list`."""

    tokens: list[Token]
    drivers: list[str]
    drivers_failed: list[DriverFailed]


class KindSet(Document):
    serial: str
    kind: Kind


class NoteKept(Document):
    serial: str
    note: str


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


class Renewal(Document):
    """How one renewal stands; `state` is a state of the renewal, or NOTHING_DUE, ADOPTED, WOULD_RENEW."""

    token: str
    old_serial: Serial | None
    new_serial: Serial | None
    not_after: Instant | None
    contract_end: date | None
    shortfall_days: int | None
    state: str
    renewal_id: str | None
    kit: str | None
    reasons: list[str]


class Renewals(Document):
    """`safetok renew --list`, and `--resume` with none or several."""

    renewals: list[dict[str, Any]]


class Resumed(Renewal):
    """`safetok renew --resume` with one."""

    renewals: list[dict[str, Any]]


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


class Listed(Registration):
    sign_with: SignWith
    sign_why: str
    old_cert: Serial | None
    overdue: bool


class Agencies(Document):
    """`safetok agencies list`, `safetok agencies remind`."""

    registrations: list[Listed]
    timers: list[Timer]
    xlsx: str | msgspec.UnsetType | None = msgspec.UNSET
    ics: str | msgspec.UnsetType | None = msgspec.UNSET
    notified: bool | msgspec.UnsetType = msgspec.UNSET


class Unit(Document):
    """`safetok agencies remind --unit`."""

    command: str
    systemd: dict[str, str]
    cron: str
    windows: str


class Filing(Document):
    agency: str
    title: str
    mst: str | None
    cert: Serial
    state: Standing
    answer: Answer
    latest: Instant | None
    accepted: Instant | None
    old_first: bool
    sign_with: SignWith
    rule: Rule
    amount: int
    source: str


class Filings(Document):
    """`safetok agencies when`."""

    need: Instant
    agencies: list[Filing]


class Imported(Document):
    """`safetok agencies import`."""

    file: str
    recorded: int
    unchanged: int
    failed: int
    registrations: list[Registration]
    warnings: list[str]
    dry_run: bool


class Hook(Document):
    name: str
    refused: str | None


class HookRun(Document):
    event: str
    occurrence: str
    hook: str
    outcome: Literal["running", "ok", "failed"]
    attempts: int
    why: str
    at: Instant


class Hooks(Document):
    """`safetok agencies hooks`."""

    folder: str
    hooks: list[Hook]
    runs: list[HookRun]


class Recorded(Document):
    """What a person recorded at an agency."""

    registrations: list[Registration]
    warnings: list[str]


class ContactLines(Document):
    lines: list[str]
    hotline: str
    unlock: str
    source: str


class Contact(Document):
    name: str
    title: str
    contacts: ContactLines


class Contacts(Document):
    """`safetok contacts`."""

    authorities: list[Contact]


class ConfiguredAuthority(Document):
    """A CA as the settings know it; an address that is not known is null."""

    name: str
    title: str
    url: str | None
    offers_url: str | None
    request: Literal["kur", "p10cr", "cr"]
    issuers: list[str]
    anchors: list[str]


class Config(Document):
    """`safetok config`; paths as this system writes them, `timeout` in seconds."""

    settings_file: str
    settings_file_exists: bool
    state: str
    locks: str
    cache: str
    language: Literal["vi", "en"]
    timeout: float
    modules: list[str]
    authorities: list[ConfiguredAuthority]


class Pin(Document):
    """`safetok pin store`, `forget` and `change`; `done` is false where there was nothing to forget."""

    token: str
    name: str
    done: bool
    in_keyring: bool
    verified: bool


class RowLeftOut(Document):
    row: int
    token: str
    reason: str


class PinsImported(Document):
    """`safetok pin import`; `saved` are tokens."""

    file: str
    saved: list[str]
    failed: list[RowLeftOut]


class StepOfWay(Document):
    at: Instant
    state: State
    hold: Hold | None
    reason: str


class Past(Document):
    """One renewal as the journal keeps it."""

    renewal_id: str
    token: str
    name: str
    mst: str | None
    authority: str
    old_serial: Serial
    new_serial: Serial | None
    contract_end: date | None
    state: State
    hold: Hold | None
    reason: str
    finished: bool
    created_at: Instant
    updated_at: Instant
    way: list[StepOfWay]


class History(Document):
    """`safetok history`, the newest first; `whole` is false where older ones were left out."""

    renewals: list[Past]
    whole: bool


class Finding(Document):
    """`code` never changes once published; `step` is the next thing to do, empty where nothing needs doing."""

    code: str
    grade: Literal["bad", "warn", "info", "good"]
    message: str
    step: str
    about: str | None


class DriverFound(Document):
    path: str
    source: Literal["flag", "environment", "settings", "p11-kit", "known"]


class Doctor(Document):
    """`safetok doctor`, the gravest first; `bundle` is the file written with --bundle."""

    findings: list[Finding]
    drivers: list[DriverFound]
    bundle: str | None


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


class Happened(Document):
    """`safetok watch`: one envelope a line for each event (JSON Lines); its exit code and errors are that event's alone.

    `token` is null for one that has gone and for a driver that failed; `due` is what is due for this token.
    """

    event: Literal["present", "inserted", "changed", "removed", "driver_failed"]
    at: Instant
    serial: str | None
    company: str
    mst: str | None
    token: Token | None
    due: list[Due]


class AtLogin(Document):
    """`safetok watch --unit`: `text` goes into `file`, `commands` start it."""

    system: Literal["linux", "macos", "windows"]
    file: str | None
    text: str
    commands: list[str]


class BatchRow(Document):
    """One row of a list; `state` is null until a run has looked at it."""

    row: int
    token: str | None
    mst: str | None
    name: str
    planned: Verdict
    state: RowState | None
    code: str | None
    message: str
    exit_status: int | None
    old_serial: Serial | None
    new_serial: Serial | None
    not_after: Instant | None
    contract_end: date | None
    new_key: bool
    group: str
    confirmed_by: str
    day: date | None
    renewal_id: str | None


class BatchPlan(Document):
    """`safetok batch plan`; `plan` is the file that was written."""

    plan: str
    id: str
    ignored_columns: list[str]
    rows: list[BatchRow]


class BatchRun(Document):
    """`safetok batch run` and `resume`; `rows` are those this run worked on, `states` counts all that a run may begin."""

    plan: str
    id: str
    states: dict[str, int]
    rows: list[BatchRow]


class BatchReport(Document):
    """`safetok batch report`; `file` is where it was written, if anywhere."""

    plan: str
    manifest: str
    made_at: Instant
    rows: list[BatchRow]
    file: str | None


class SandboxToken(Document):
    serial: str
    label: str
    kind: Kind
    pin: str
    contract_end: date | None
    story: str


class Sandbox(Document):
    """`safetok sandbox up`."""

    home: str
    module: str
    ca_url: str
    anchor: str
    tokens: list[SandboxToken]


class Removed(Document):
    """`safetok sandbox down`."""

    removed: str | None


class Step(Document):
    command: str
    exit_status: int


class Demo(Document):
    """`safetok sandbox demo`."""

    steps: list[Step]
    issued: list[dict[str, Any]]
    folder: str | None
    environment: dict[str, str] | None


class Envelope(Document):
    """What every command prints with --json."""

    safetok: Literal[1]
    command: list[str]
    status: Literal["success", "partial", "error"]
    exit_code: int
    data: dict[str, Any]
    errors: list[Error]
