"""python-pkcs11 without what no session uses: its helpers for key formats bring asn1crypto along, half of the whole import.

A batch starts a worker for each token it has in hand, and each would load them. They are loaded when one of them is used.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader

TYPE_CHECKING = False  # not typing's: its import costs the worker's start 5 ms
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

_HELPERS = "pkcs11.util."


class _Lazily:
    """Finds the modules under `pkcs11.util` and leaves each unexecuted until the first look into it (importlib.util.LazyLoader)."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(_HELPERS):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def spare_helpers() -> None:
    """From here on an import of pkcs11 leaves its helpers unloaded."""
    if _Lazily not in sys.meta_path:
        sys.meta_path.insert(0, _Lazily)
