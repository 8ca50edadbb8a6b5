"""What the envelopes about renewals hold, as types: `renew`, `certs install`, `history`."""

from __future__ import annotations

from datetime import date
from typing import Any

from safetok.cli.documents import Document, Instant, Serial
from safetok.domain.renewal import Hold, State


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
