"""What the envelopes of `sandbox` hold, as types."""

from __future__ import annotations

from datetime import date
from typing import Any

from safetok.cli.documents import Document
from safetok.domain.tokens import Kind


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
