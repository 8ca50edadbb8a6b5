"""What the envelopes of `agencies` hold, as types."""

from __future__ import annotations

from typing import Literal

import msgspec

from safetok.cli.documents import Document, Instant, Serial
from safetok.domain.acceptance import Rule
from safetok.domain.agencies import Standing
from safetok.domain.filings import Answer, SignWith


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


class SignedPart(Document):
    """A service that is updated while others of its agency are not."""

    part: str
    sign_with: SignWith
    sign_why: str


class Listed(Registration):
    sign_with: SignWith
    sign_why: str
    sign_parts: list[SignedPart]
    old_cert: Serial | None
    overdue: bool


class NotOpened(Document):
    """A new certificate whose list of agencies a person said not to open."""

    cert: Serial
    mst: str | None
    name: str


class Agencies(Document):
    """`safetok agencies list`, `safetok agencies remind`."""

    registrations: list[Listed]
    timers: list[Timer]
    not_opened: list[NotOpened]
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
    sign_parts: list[SignedPart]
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
    ignored_sheets: list[str]
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
