"""The shape of a known driver: a maker's PKCS#11 drivers by name and folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from safetok.records import dataclass

System = Literal["windows", "linux", "macos"]
Bits = Literal[32, 64]

_VARIABLE = re.compile(r"%(\w+)%")
_USUAL = {"SystemRoot": r"C:\Windows", "ProgramFiles": r"C:\Program Files"}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbToken:
    """A USB device that is a token; ids are four lower-case hex digits. `ccid`: pcscd serves it, else only its maker's driver."""

    vendor: str
    product: str
    name: str
    drivers: tuple[str, ...]
    ccid: bool


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
