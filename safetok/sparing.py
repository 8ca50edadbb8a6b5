"""What a command need not wait for: modules and patterns that libraries load or compile as they are imported, and few runs use.

Imported before anything else, and takes no module that is not there already.
"""

from __future__ import annotations

import sys
from _thread import RLock, get_ident
from types import ModuleType

TYPE_CHECKING = False  # not typing's: its import costs a command's start 2 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any

# Their expressions take longer to compile than all the rest of them to load; most are never used, and none but by its methods.
PATTERNS = {"cryptography.x509.name", "urllib3.util.url"}


def spare() -> None:
    """For this process, once: what is loaded already stays so."""
    if "inspect" not in sys.modules:  # `dataclasses` imports it, a tenth of a short command
        sys.modules["inspect"] = Spared("inspect", "signature")
    if (
        "importlib.metadata" not in sys.modules
    ):  # urllib3 imports it, and twenty modules with it, for a kind of HTTP we do not ask
        import importlib

        made = sys.modules["importlib.metadata"] = Spared("importlib.metadata", "version")
        made.__path__ = [f"{place}/metadata" for place in importlib.__path__]
        importlib.metadata = made  # what importing it does to its package
    if _PatternsWhenUsed not in sys.meta_path:
        sys.meta_path.insert(0, _PatternsWhenUsed)


class Spared(ModuleType):
    """A module that is loaded when something of it is asked for, or when one of those `functions` is called that importers name."""

    _loading = RLock()

    def __init__(self, name: str, *functions: str) -> None:
        super().__init__(name)
        for function in functions:
            setattr(self, function, self._standing_in(function))

    def _standing_in(self, function: str) -> Callable[..., Any]:
        def ask(*arguments: Any, **named: Any) -> Any:
            if sys._getframe(1).f_globals.get("__name__") == "dataclasses":
                return ""  # of a record without a docstring: the signature is all of the one it is given
            return self._loaded()[function](*arguments, **named)

        return ask

    def _loaded(self) -> dict[str, Any]:
        """What the real one holds, and this one from here on."""
        from importlib import import_module

        with self._loading:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
                vars(self).update(vars(import_module(self.__name__)))
        return vars(self)

    def __getattr__(self, name: str) -> object:
        try:
            if name != "__path__":  # which an import looks for
                return self._loaded()[name]
        except KeyError:
            pass
        raise AttributeError(name)


class _PatternsWhenUsed:
    """Finds the modules of PATTERNS and has them executed so."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in PATTERNS:
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """Another loader, but what its module compiles on the way is compiled when it is used."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        import re

        compiled, thread = re.compile, get_ident()

        def later(*arguments: Any, **named: Any) -> Any:
            if get_ident() != thread:
                return compiled(*arguments, **named)
            return _Pattern(compiled, arguments, named)

        re.compile = later
        try:
            self._loader.exec_module(module)
        finally:
            re.compile = compiled


class _Pattern:
    """A regular expression that is compiled with the first look at one of its methods."""

    def __init__(self, compiled: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        self._how = compiled, arguments, named

    def __getattr__(self, name: str) -> Any:
        if name == "_how":  # one that was never made (copy, pickle)
            raise AttributeError(name)
        compiled, arguments, named = self._how  # which keeps what it has compiled
        value = vars(self)[name] = getattr(compiled(*arguments, **named), name)
        return value
