"""USB tokens as the operating system sees them (Linux, /sys): known by their ids, still a CD, or served by no driver; and pcscd."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from safetok.knowledge import load
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows.doctor_findings import Finding

if TYPE_CHECKING:
    from safetok.domain.tokens import Reading

_SMART_CARD, _MASS_STORAGE = "0b", "08"  # bInterfaceClass
_SHORT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class UsbDevice:
    """One device of /sys/bus/usb/devices; ids and interface classes are lower-case hex, `cd` its CD drives (`sr0`)."""

    place: str
    vendor: str
    product: str
    maker: str
    name: str
    classes: frozenset[str]
    cd: tuple[str, ...] = ()
    cd_name: str = ""

    @property
    def title(self) -> str:
        """Maker and name as the device says them, with its ids."""
        known = load.usb_tokens().get((self.vendor, self.product))
        said = known.name if known else " ".join(part for part in (self.maker, self.name, self.cd_name) if part)
        return f"{said} ({self.vendor}:{self.product})".strip()

    @property
    def is_token(self) -> bool:
        """Whether its ids, or its maker with a smart card interface, say that it is one."""
        known = (self.vendor, self.product) in load.usb_tokens()
        return known or (self.vendor in load.usb_vendors() and _SMART_CARD in self.classes)

    @property
    def is_cd(self) -> bool:
        """Whether it shows itself as a disc only, and its maker or its drive's name says that there is a token behind it."""
        if _MASS_STORAGE not in self.classes or self.classes - {_MASS_STORAGE}:
            return False
        named = f"{self.cd_name} {self.name}".upper()
        return self.vendor in load.usb_vendors() or (
            bool(self.cd) and any(word in named for word in load.usb_cd_words())
        )


def devices(sysfs: Path) -> tuple[UsbDevice, ...]:
    """Every USB device that can be read, hubs left out."""
    found = []
    for folder in sorted(_entries(sysfs / "bus" / "usb" / "devices")):
        vendor, product = _read(folder / "idVendor").lower(), _read(folder / "idProduct").lower()
        if not vendor or not product or _read(folder / "bDeviceClass") == "09":
            continue
        interfaces = [one for one in _entries(folder) if one.name.startswith(f"{folder.name}:")]
        drives = _drives(sysfs, folder)
        found.append(
            UsbDevice(
                place=folder.name,
                vendor=vendor,
                product=product,
                maker=_read(folder / "manufacturer"),
                name=_read(folder / "product"),
                classes=frozenset(filter(None, (_read(one / "bInterfaceClass").lower() for one in interfaces))),
                cd=tuple(name for name, _said in drives),
                cd_name=" ".join(said for _name, said in drives),
            )
        )
    return tuple(found)


def _drives(sysfs: Path, device: Path) -> list[tuple[str, str]]:
    """The CD drives (`sr*`) whose way in /sys leads through this device."""
    found = []
    for block in sorted(_entries(sysfs / "block")):
        if block.name.startswith("sr"):
            try:
                through = (block / "device").resolve().parts
            except (OSError, RuntimeError):
                continue
            if device.name in through or device.resolve().name in through:
                said = (_read(block / "device" / "vendor"), _read(block / "device" / "model"))
                found.append((block.name, " ".join(part for part in said if part)))
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _read(file: Path) -> str:
    try:
        return file.read_bytes()[:_SHORT].decode("utf-8", "replace").strip("\0 \n\t")
    except OSError:
        return ""


def findings(found: tuple[UsbDevice, ...], reading: Reading | None, run: Path) -> Iterator[Finding]:
    """A token still in CD mode; one that no driver shows; pcscd, where a token needs it."""
    tokens = [device for device in found if device.is_token and not device.is_cd]
    shown = len(reading.tokens) if reading else 0
    for device in found:
        if device.is_cd:
            eject = f"eject /dev/{device.cd[0]}" if device.cd else "eject"
            yield Finding(
                code="usb_cd_mode",
                grade="bad",
                text=_("The USB device {name} shows itself as a CD only, not as a token.").format(name=device.title),
                step=_("Eject the CD (`{command}`), wait a few seconds, then: safetok tokens --wait 60").format(
                    command=eject
                ),
                about=device.place,
            )
    needs_pcscd = [device for device in tokens if _SMART_CARD in device.classes or _known_ccid(device)]
    running = pcscd_answers(run)
    if needs_pcscd and not running:
        yield Finding(
            code="pcscd_not_running",
            grade="bad",
            text=_("A token is plugged in that needs pcscd, and pcscd does not answer."),
            step="sudo systemctl enable --now pcscd.socket",
            about=str(run / "pcscd" / "pcscd.comm"),
        )
        return
    if len(tokens) > shown:
        for device in tokens:
            known = load.usb_tokens().get((device.vendor, device.product))
            drivers = ", ".join(known.drivers) if known else "opensc-pkcs11.so"
            yield Finding(
                code="usb_without_driver",
                grade="bad",
                text=_("The USB token {name} is plugged in ({n} of them are seen by USB, {shown} by a driver).").format(
                    name=device.title, n=len(tokens), shown=shown
                ),
                step=_("Install its maker's driver ({drivers}), or name it: safetok tokens --module FILE").format(
                    drivers=drivers
                ),
                about=device.place,
            )
    elif tokens:
        yield Finding(
            code="usb_tokens", grade="good", text=_("{n} USB tokens are seen, each by a driver.").format(n=len(tokens))
        )


def _known_ccid(device: UsbDevice) -> bool:
    known = load.usb_tokens().get((device.vendor, device.product))
    return known is not None and known.ccid


def pcscd_answers(run: Path) -> bool:
    """Whether somebody listens on pcscd's socket (systemd's socket unit does too)."""
    if not hasattr(socket, "AF_UNIX"):
        return True
    with socket.socket(socket.AF_UNIX) as tried:
        tried.settimeout(2)
        try:
            tried.connect(str(run / "pcscd" / "pcscd.comm"))
        except OSError:
            return False
    return True
