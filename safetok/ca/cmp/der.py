"""The DER that CMP messages are written in, part by part (ITU-T X.690), as bytes that are put together once.

A tree of objects for each message was half of a renewal's work in a batch; a test compares what is written with what such a tree
encodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

NULL = b"\x05\x00"
_SEQUENCE, _EXPLICIT, _IMPLICIT = (
    0x30,
    0xA0,
    0xA0,
)  # constructed, context-specific; primitive implicit tags do not occur
_SHORT = 0x80  # lengths from here on take more than one byte
_FIRST_GENERALIZED = 2050  # RFC 5280 section 4.1.2.5
_HIGH_TAG = 31


def tlv(tag: int, content: bytes) -> bytes:
    """One element with a one-byte identifier."""
    length = len(content)
    if length < _SHORT:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _SHORT | len(size))) + size + content


def content_of(element: bytes) -> bytes:
    """What follows identifier and length of an element with a one-byte identifier."""
    first = element[1]
    return element[2 if first < _SHORT else 2 + (first & ~_SHORT) :]


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE, or SEQUENCE OF; absent parts are empty."""
    return tlv(_SEQUENCE, b"".join(parts))


def explicit(number: int, element: bytes) -> bytes:
    """An element behind an explicit tag below 31; nothing when there is no element."""
    if number >= _HIGH_TAG:
        raise ValueError(number)
    return tlv(_EXPLICIT | number, element) if element else b""


def implicit(number: int, element: bytes) -> bytes:
    """A constructed element whose tag is replaced; nothing when there is no element."""
    return tlv(_IMPLICIT | number, content_of(element)) if element else b""


def integer(value: int) -> bytes:
    """INTEGER, negative ones too."""
    return tlv(0x02, value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True))


def octets(value: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(0x04, value)


def utf8(text: str) -> bytes:
    """UTF8String."""
    return tlv(0x0C, text.encode())


def bits(value: bytes) -> bytes:
    """BIT STRING of whole bytes."""
    return tlv(0x03, b"\0" + value)


def named_bits(numbers: Iterable[int]) -> bytes:
    """BIT STRING with these bits set, bit 0 first, without zeros at its end (X.690 section 11.2.2)."""
    chosen = sorted(numbers)
    if not chosen:
        return tlv(0x03, b"\0")
    size = chosen[-1] // 8 + 1
    value = sum(1 << (size * 8 - 1 - number) for number in chosen)
    return tlv(0x03, bytes((7 - chosen[-1] % 8,)) + value.to_bytes(size, "big"))


@lru_cache(maxsize=64)
def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    content = bytearray()
    for arc in (first * 40 + second, *rest):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        content += bytes(reversed(septets))
    return tlv(0x06, bytes(content))


def generalized_time(instant: datetime) -> bytes:
    """GeneralizedTime in whole seconds, UTC."""
    return tlv(0x18, f"{instant.astimezone(UTC):%Y%m%d%H%M%SZ}".rjust(15, "0").encode())


def time(instant: datetime) -> bytes:
    """Time (RFC 5280 section 4.1.2.5): UTCTime to 2049."""
    instant = instant.astimezone(UTC)
    if instant.year < _FIRST_GENERALIZED:
        return tlv(0x17, f"{instant:%y%m%d%H%M%SZ}".encode())
    return generalized_time(instant)
