"""What the envelopes about tokens and their PINs hold, as types: `tokens` and `pin`."""

from __future__ import annotations

from safetok.cli.documents import Document
from safetok.cli.documents.certificates import Certificate
from safetok.domain.tokens import Kind, PinState


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
    unread: bool
    certificates: list[Certificate]


class DriverFailed(Document):
    driver: str
    code: str
    detail: str


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
    """`safetok pin import`; `saved` are tokens, `never_seen` those of them that were never plugged in on this computer."""

    file: str
    saved: list[str]
    failed: list[RowLeftOut]
    never_seen: list[str]
    ignored_sheets: list[str]
