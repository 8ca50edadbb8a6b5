"""What a program reads: the one envelope and the one JSON encoder."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from safetok.domain.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safetok.errors import ExitStatus, SafetokError

FORMAT = 1
_STEERING = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")  # legal in JSON, not on a terminal


def plain(value: Any) -> Any:  # noqa: PLR0911  (one line for each type there is)
    """`value` in what JSON has: instants RFC 3339, days ISO, bytes lower-case hex, sets sorted, dataclasses and mappings objects.

    Raises TypeError for anything else: a float that is no number, an object nobody thought of.
    """
    if value is None or isinstance(value, bool | str | int | float):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    raise TypeError(type(value).__name__)


def envelope(
    command: Sequence[str], data: Any, *, exit_status: ExitStatus, status: str, errors: Iterable[SafetokError] = ()
) -> dict[str, Any]:
    """The envelope of one run; `status` is success, partial or error."""
    return {
        "safetok": FORMAT,
        "command": list(command),
        "status": status,
        "exit_code": int(exit_status),
        "data": plain(data),
        "errors": [
            {"code": error.code, "message": error.message, "hint": error.hint, "token": error.token} for error in errors
        ],
    }


def encoded(document: Any, *, ascii_only: bool = False, pretty: bool = False) -> str:
    """`document` as JSON text that any parser reads and no terminal obeys; Vietnamese stays readable unless `ascii_only`."""
    text = json.dumps(document, ensure_ascii=ascii_only, allow_nan=False, indent=2 if pretty else None)
    text = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate (an undecodable file name) is no JSON
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
