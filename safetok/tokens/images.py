"""What kind of program file a driver is, by its header alone: ELF, PE or Mach-O, bitness and processor; nothing is loaded."""

from __future__ import annotations

import struct
import sys
from typing import Literal

from safetok.locale import _
from safetok.records import dataclass

Format = Literal["elf", "pe", "mach-o"]

_ELF_MACHINES = {3: "x86", 62: "x86_64", 40: "arm", 183: "arm64"}
_PE_MACHINES = {0x14C: "x86", 0x8664: "x86_64", 0x1C4: "arm", 0xAA64: "arm64"}
_MACH_MACHINES = {7: "x86", 0x01000007: "x86_64", 12: "arm", 0x0100000C: "arm64"}
_NAMES = {"amd64": "x86_64", "aarch64": "arm64", "i386": "x86", "i486": "x86", "i586": "x86", "i686": "x86"}
_BITS = {"x86": 32, "arm": 32, "x86_64": 64, "arm64": 64}
_FAT = {b"\xca\xfe\xba\xbe": 20, b"\xca\xfe\xba\xbf": 32}  # size of one entry of the table
_HEAD = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A program file. `machines` are the processors it holds code for, several in a universal Mach-O; `bits` 0 where not known."""

    format: Format
    machines: tuple[str, ...]
    bits: int


def image(path: str) -> Image | None:
    """The header of the file; None where it is no program file or cannot be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (strings all the way)
            head = file.read(_HEAD)
    except OSError:
        return None
    try:
        return _elf(head) or _pe(head) or _mach(head)
    except (struct.error, IndexError):  # cut short
        return None


def _elf(head: bytes) -> Image | None:
    """System V ABI: e_ident[4] is the class, [5] the byte order, e_machine at 18."""
    if head[:4] != b"\x7fELF":
        return None
    (machine,) = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)
    return Image(
        format="elf", machines=(_ELF_MACHINES.get(machine, f"ELF {machine}"),), bits={1: 32, 2: 64}.get(head[4], 0)
    )


def _pe(head: bytes) -> Image | None:
    """The PE header's place stands at 0x3c; its machine follows the signature."""
    if head[:2] != b"MZ":
        return None
    (at,) = struct.unpack_from("<I", head, 0x3C)
    if head[at : at + 4] != b"PE\0\0":
        return None
    (machine,) = struct.unpack_from("<H", head, at + 4)
    name = _PE_MACHINES.get(machine, f"PE {machine}")
    return Image(format="pe", machines=(name,), bits=_BITS.get(name, 0))


def _mach(head: bytes) -> Image | None:
    """mach-o/loader.h and mach-o/fat.h: a cputype after the magic, or a table of them, big-endian."""
    if head[:4] in _FAT:
        (count,) = struct.unpack_from(">I", head, 4)
        if count > 16:  # noqa: PLR2004  (0xcafebabe is also a Java class file, whose version stands here)
            return None
        types = [struct.unpack_from(">I", head, 8 + n * _FAT[head[:4]])[0] for n in range(count)]
    elif head[:4] in {b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"}:
        types = [struct.unpack_from("<I", head, 4)[0]]
    else:
        return None
    names = tuple(_MACH_MACHINES.get(one, f"Mach-O {one}") for one in types)
    return Image(format="mach-o", machines=names, bits=max((_BITS.get(name, 0) for name in names), default=0))


def misfit(path: str) -> tuple[str, str] | None:
    """Why this Python can never load the file: a code (`wrong_system`, `wrong_bitness`, `wrong_processor`, `no_library`) and a
    sentence; None where the header says that it can, or nothing.
    """
    import os
    import platform

    if not os.path.isfile(path):  # noqa: PTH113
        return None
    found = image(path)
    if found is None:
        return "no_library", _("the file is no program library")
    wanted: Format = "pe" if sys.platform == "win32" else "mach-o" if sys.platform == "darwin" else "elf"
    if found.format != wanted:
        names = {"pe": "Windows", "mach-o": "macOS", "elf": "Linux"}
        return "wrong_system", _("it is made for {system}").format(system=names[found.format])
    own_bits = 64 if sys.maxsize > 2**32 else 32
    machine = platform.machine().lower()
    own = _NAMES.get(machine, machine)
    if own_bits == 32 and _BITS.get(own) == 64:  # noqa: PLR2004  (a 32-bit Python on a 64-bit system)
        own = {"x86_64": "x86", "arm64": "arm"}[own]
    if found.bits and found.bits != own_bits and own not in found.machines:
        return "wrong_bitness", _("it is a {theirs}-bit driver, and this safetok is {ours}-bit").format(
            theirs=found.bits, ours=own_bits
        )
    if own in _BITS and own not in found.machines:
        return "wrong_processor", _("it is made for {theirs}, and this computer is {ours}").format(
            theirs=", ".join(found.machines), ours=own
        )
    return None
