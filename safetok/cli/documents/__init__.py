"""What each command's envelope holds, as types: schemas/*.json are written from them, and tests hold the commands to them.

A field may be added in a later version, none is renamed or taken away; so the schemas allow fields they do not name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

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


class Envelope(Document):
    """What every command prints with --json."""

    safetok: Literal[1]
    command: list[str]
    status: Literal["success", "partial", "error"]
    exit_code: int
    data: dict[str, Any]
    errors: list[Error]
