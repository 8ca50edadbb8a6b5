"""What the envelopes that say where things stand hold, as types: `safetok` alone, `status`, `watch`."""

from __future__ import annotations

from typing import Literal

from safetok.cli.documents import Document, Instant, Serial
from safetok.cli.documents.agencies import NotOpened, Registration, Timer
from safetok.cli.documents.tokens import DriverFailed, Token
from safetok.domain.renewal import Hold, State


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
    not_opened: list[NotOpened]
    renewals: list[Unfinished]


class Next(Document):
    """`safetok` alone."""

    state: str
    message: str
    command: str
    more: int


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
