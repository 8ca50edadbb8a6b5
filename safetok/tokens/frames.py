"""How a worker and its parent talk: length-prefixed frames of plain values, decoded without running anything.

A value is None, a bool, an int of 64 bits (signed, or as large as a CK_ULONG), bytes, text, or a list or dict (text keys) of
values. Neither pickle nor marshal: a driver that scribbles over its process must not be able to do worse to the parent than send
it nonsense.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # not typing's: its import costs the worker's start 5 ms
if TYPE_CHECKING:
    from typing import Any

    Value = Any  # None | bool | int | bytes | str | list | dict, nested

LIMIT = 32 << 20  # bytes in one frame: a token with thousands of objects stays far below
HEADER = struct.Struct(">I")
_INT = struct.Struct(">q")
_LARGE = struct.Struct(">Q")  # a CK_ULONG may have its highest bit set: handles, flags, room
_DEPTH = 16
_BYTES, _TEXT, _LIST, _NUMBER, _UNSIGNED = b"bsliu"
_SIZED = b"bsld"  # kinds with a length behind them
_WORDS = {ord("n"): None, ord("t"): True, ord("f"): False}
_LENGTH = HEADER.unpack_from


class BadFrame(ValueError):
    """These bytes are no frame."""


def encode(value: Value) -> bytes:
    """One frame, header included. TypeError for a value of another kind, OverflowError for an int beyond 64 bits."""
    out: list[bytes] = []
    _put(value, out.append)
    body = b"".join(out)
    return HEADER.pack(len(body)) + body


def _put(value: Value, put: Any) -> None:
    kind = type(value)
    if kind is bytes:
        put(b"b" + HEADER.pack(len(value)))
        put(value)
    elif kind is str:
        data = value.encode("utf-8", "surrogatepass")
        put(b"s" + HEADER.pack(len(data)))
        put(data)
    elif value is None:
        put(b"n")
    elif kind is bool:
        put(b"t" if value else b"f")
    elif kind is int:
        try:
            put(b"i" + _INT.pack(value) if value < 1 << 63 else b"u" + _LARGE.pack(value))
        except struct.error as error:
            raise OverflowError(value) from error
    elif kind is list or kind is tuple:
        put(b"l" + HEADER.pack(len(value)))
        for item in value:
            _put(item, put)
    elif kind is dict:
        put(b"d" + HEADER.pack(len(value)))
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(key)
            _put(key, put)
            _put(item, put)
    else:
        raise TypeError(kind)


def decode(body: bytes) -> Value:
    """The value in a frame's body (without its header). Raises BadFrame."""
    try:
        value, end = _take(body, 0, _DEPTH)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise BadFrame("a frame is cut or garbled") from error
    if end != len(body):
        raise BadFrame("bytes after a frame's value")
    return value


def _take(body: bytes, at: int, depth: int) -> tuple[Value, int]:
    kind = body[at]
    at += 1
    if kind in _SIZED:
        start = at + 4
        (length,) = _LENGTH(body, at)
        end = start + length
        if kind in b"bs":
            if end > len(body):
                raise BadFrame("a length beyond the frame")
            data = body[start:end]
            return (data if kind == _BYTES else data.decode("utf-8", "surrogatepass")), end
        if depth == 0:
            raise BadFrame("too deep")
        at = start
        if kind == _LIST:
            items = []
            for _ in range(length):
                item, at = _take(body, at, depth - 1)
                items.append(item)
            return items, at
        mapping: dict[str, Value] = {}
        for _ in range(length):
            if body[at] != _TEXT:
                raise BadFrame("a key that is no text")
            start = at + 5
            at = start + _LENGTH(body, at + 1)[0]
            key = body[start:at].decode("utf-8", "surrogatepass")
            mapping[key], at = _take(body, at, depth - 1)  # an IndexError where the key goes beyond the frame
        return mapping, at
    if kind == _NUMBER:
        return _INT.unpack_from(body, at)[0], at + 8
    if kind == _UNSIGNED:
        return _LARGE.unpack_from(body, at)[0], at + 8
    try:
        return _WORDS[kind], at
    except KeyError:
        raise BadFrame("an unknown kind of value") from None
