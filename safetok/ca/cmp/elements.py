"""The DER of received CMP messages taken apart (ITU-T X.690), element by element and only where somebody looks.

Nothing is believed: a length beyond its end, an element left over or one of another kind is a ValueError, and nothing here calls
itself, so that no message is too deep. Lengths may be longer than DER's shortest form, never indefinite.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

INTEGER, BIT_STRING, OCTETS, NULL, OID = 0x02, 0x03, 0x04, 0x05, 0x06
UTF8, UTC_TIME, GENERALIZED_TIME, SEQUENCE = 0x0C, 0x17, 0x18, 0x30
_CONTEXT, _HIGH_TAG, _LONG, _LONGEST_LENGTH = 0xA0, 0x1F, 0x80, 4
_LAST_CENTURY = "50"  # the years of a UTCTime from here on (RFC 5280 section 4.1.2.5.1)
_LONGEST_OID = 64  # bytes
_BYTE = 8  # bits


class Element(NamedTuple):
    """One element: its identifier, what it holds, and all of it as it came."""

    tag: int
    content: bytes
    der: bytes


def element(data: bytes, tag: int | None = None) -> Element:
    """The one element that `data` is, of this kind when one is named."""
    found, end = _at(data, 0)
    if end != len(data) or (tag is not None and found.tag != tag):
        raise ValueError("not the one element that was to be there")
    return found


def elements(content: bytes, most: int | None = None) -> list[Element]:
    """The elements of a SEQUENCE OF, one after the other, or the first ones of them."""
    found, at = list[Element](), 0
    while at < len(content) and (most is None or len(found) < most):
        one, at = _at(content, at)
        found.append(one)
    return found


class Fields:
    """The fields of a SEQUENCE in their order. Whoever has taken all that may be there ends with `end`."""

    def __init__(self, found: Element) -> None:
        if found.tag != SEQUENCE:
            raise ValueError("no SEQUENCE")
        self._content = found.content
        self._at = 0
        self._next = self._read()

    def any(self) -> Element:
        """The next field, whatever it is."""
        found = self._next
        if found is None:
            raise ValueError("a field is missing")
        self._next = self._read()
        return found

    def take(self, tag: int) -> Element:
        """The next field, which must be of this kind."""
        found = self.any()
        if found.tag != tag:
            raise ValueError("a field of another kind")
        return found

    def maybe(self, tag: int) -> Element | None:
        """The next field when it is of this kind."""
        return self.any() if self._next is not None and self._next.tag == tag else None

    def rest(self) -> Element | None:
        """The last field, where there is one."""
        found = None if self._next is None else self.any()
        self.end()
        return found

    def explicit(self, number: int, tag: int) -> Element | None:
        """What stands behind this explicit tag, when it is next."""
        found = self.maybe(_CONTEXT | number)
        return None if found is None else element(found.content, tag)

    def end(self) -> None:
        """Nothing may be left."""
        if self._next is not None:
            raise ValueError("a field too many")

    def _read(self) -> Element | None:
        if self._at == len(self._content):
            return None
        found, self._at = _at(self._content, self._at)
        return found


def integer(found: Element) -> int:
    """The number of an INTEGER."""
    if not found.content:
        raise ValueError("an INTEGER without a byte")
    return int.from_bytes(found.content, "big", signed=True)


def whole_bytes(found: Element) -> bytes:
    """The bytes of a BIT STRING in which no bit is unused."""
    if found.content[:1] != b"\0":
        raise ValueError("a BIT STRING of no whole bytes")
    return found.content[1:]


def bits(found: Element, most: int) -> set[int]:
    """The numbers of the bits that are set in a BIT STRING, the first one 0, as far as the first `most`."""
    unused, data = found.content[:1], found.content[1:]
    if len(unused) != 1 or unused[0] >= _BYTE or (unused[0] and not data):
        raise ValueError("a BIT STRING that does not say how many bits it has")
    size = min(len(data) * _BYTE - unused[0], most)
    return {number for number in range(size) if data[number // _BYTE] << number % _BYTE & _LONG}


def text(found: Element) -> str:
    """The text of a UTF8String."""
    if found.tag != UTF8:
        raise ValueError("no UTF8String")
    return found.content.decode()


@lru_cache(maxsize=64)
def dotted(content: bytes) -> str:
    """The dotted form of what an OBJECT IDENTIFIER holds."""
    if not 0 < len(content) <= _LONGEST_OID or content[-1] & _LONG:
        raise ValueError("no OBJECT IDENTIFIER")
    arcs, value = list[int](), 0
    for byte in content:
        value = value << 7 | byte & ~_LONG
        if not byte & _LONG:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - first * 40, *arcs[1:])))


def instant(found: Element) -> datetime:
    """The moment of a GeneralizedTime or a UTCTime in the forms of DER, in UTC; what is less than a second is left out."""
    said = found.content.decode("ascii")
    if found.tag == UTC_TIME:
        said = ("19" if said[:2] >= _LAST_CENTURY else "20") + said
    digits, rest = said[:14], said[14:]
    if rest[:1] == ".":
        rest = rest[1:].lstrip("0123456789")
    if rest != "Z" or len(digits) != 14 or not digits.isdigit():  # noqa: PLR2004  (YYYYMMDDhhmmss)
        raise ValueError("no moment")
    day = int(digits[:4]), int(digits[4:6]), int(digits[6:8])
    return datetime(*day, int(digits[8:10]), int(digits[10:12]), int(digits[12:]), tzinfo=UTC)


def _at(data: bytes, start: int) -> tuple[Element, int]:
    """The element that begins there, and where it ends."""
    head = data[start : start + 2]
    if len(head) != 2 or head[0] & _HIGH_TAG == _HIGH_TAG:  # noqa: PLR2004  (identifier and length)
        raise ValueError("no element")
    tag, length = head
    body = start + 2
    if length & _LONG:
        size = length & ~_LONG
        body += size
        if not 1 <= size <= _LONGEST_LENGTH or body > len(data):
            raise ValueError("a length that is none")
        length = int.from_bytes(data[body - size : body], "big")
    end = body + length
    if end > len(data):
        raise ValueError("a length beyond the end")
    return Element(tag, data[body:end], data[start:end]), end
