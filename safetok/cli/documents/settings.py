"""What the envelopes about this computer and the CAs hold, as types: `config`, `doctor`, `contacts`."""

from __future__ import annotations

from typing import Literal

from safetok.cli.documents import Document


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
