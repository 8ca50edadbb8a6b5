"""Which certificate objects are ones that safetok wrote, or only began to write. Used on both sides of a worker's pipe."""

from __future__ import annotations

TYPE_CHECKING = False  # not typing's: its import costs the worker's start 5 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def begun(shown: Mapping[str, Any], der: bytes, label: str) -> list[int]:
    """Handles of the certificate objects with this label that hold these bytes, or a part of them, or nothing readable. `shown`:
    what the worker's look at the objects gave.
    """
    return [
        handle
        for value, _id, shown_label, handle in shown["certificates"]
        if shown_label == label and (value == der or (label and (value is None or der.startswith(value))))
    ]
