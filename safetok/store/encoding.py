"""How values that SQLite has no type for are written in JSON columns: instants, days, bytes and tuples come back as they went."""

from __future__ import annotations

import base64
import json
from datetime import date, datetime
from typing import Any

_INSTANT, _DAY, _BYTES = "$instant", "$day", "$bytes"


def dump(value: Any) -> str:
    """JSON text; StrEnum members become their text, tuples lists."""
    return _ENCODER.encode(value)


def load(text: str) -> Any:
    """What `dump` was given, with tuples for lists and plain text for enum members."""
    return _tuples(json.loads(text, object_hook=_untagged))


def _tagged(value: object) -> dict[str, str]:
    if isinstance(value, datetime):
        return {_INSTANT: value.isoformat()}
    if isinstance(value, date):
        return {_DAY: value.isoformat()}
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    raise TypeError(type(value))


def _untagged(found: dict[str, Any]) -> Any:
    if len(found) == 1:
        ((tag, text),) = found.items()
        if tag == _INSTANT:
            return datetime.fromisoformat(text)
        if tag == _DAY:
            return date.fromisoformat(text)
        if tag == _BYTES:
            return base64.b64decode(text)
    return found


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


_ENCODER = json.JSONEncoder(default=_tagged, ensure_ascii=False, separators=(",", ":"))
