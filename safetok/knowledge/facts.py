"""The shapes of what knowledge states beyond domain's own: drivers by name, an agency's steps, holidays."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

System = Literal["windows", "linux", "macos"]
Bits = Literal[32, 64]

_VARIABLE = re.compile(r"%(\w+)%")
_USUAL = {"SystemRoot": r"C:\Windows", "ProgramFiles": r"C:\Program Files"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDriver:
    """PKCS#11 drivers of one maker on one system: every name may be in every folder (`%NAME%` stands for a variable)."""

    maker: str
    system: System
    bits: Bits
    names: tuple[str, ...]
    folders: tuple[str, ...]
    sources: tuple[str, ...] = ()

    def paths(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Where the drivers may be, folder by folder, with the system's own separator; nothing is looked at."""
        separator = "\\" if self.system == "windows" else "/"
        lowered = {name.lower(): value for name, value in environ.items()}

        def value(found: re.Match[str]) -> str:
            return lowered.get(found[1].lower()) or _USUAL.get(found[1], found[0])

        return tuple(
            f"{_VARIABLE.sub(value, folder)}{separator}{name}" for folder in self.folders for name in self.names
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step a person takes at an agency, and where it was read."""

    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FormColumn:
    """One column of the row a declaration wants for each certificate; `maximum` counts characters, 0 where none is stated."""

    column: str
    meaning: str = ""
    maximum: int = 0
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyGuide:
    """What a person does at one agency, in the language in force."""

    name: str
    steps: tuple[Step, ...]
    parts: tuple[str, ...] = ()  # services that are updated one by one
    needs: tuple[str, ...] = ()
    effective: str = ""
    form: tuple[FormColumn, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holiday:
    """One day off. Not `certain`: a day that may be off, by a decision made each year."""

    day: date
    name: str
    certain: bool = True
