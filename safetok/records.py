"""Frozen dataclasses that cost little to define: a command defines some hundred of them and uses a few.

The standard library writes and compiles six methods for each as it is imported, 0.5 to 2 ms a class, which was a third of a short
command's time. Here the fields are its own, `__init__` is compiled when the class is first used, and the rest is shared.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, **how: bool) -> Any:
        """`dataclasses.dataclass`, with the same result, for `frozen`, `slots` and `kw_only`."""
        if cls is None:
            return lambda decorated: _record(decorated, **how)
        return _record(cls, **how)


__all__ = ["dataclass"]

# How `__init__` fills a field.
_SLOT, _FROZEN, _PLAIN = "_set_{name}(self, {value})", "_set(self, '{name}', {value})", "self.{name} = {value}"


def _record(cls: type, *, frozen: bool = False, slots: bool = False, kw_only: bool = False) -> type:
    cls.__doc__ = cls.__doc__ or cls.__name__  # else the standard library works out a signature for it
    made: type = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)
    fields = dataclasses.fields(made)
    names = tuple(field.name for field in fields)
    compared = tuple(field.name for field in fields if field.compare)
    key = attrgetter(*compared) if compared else _nothing
    own = cls.__dict__
    given: dict[str, Any] = {
        "__init__": _first_init(made, _SLOT if slots else _FROZEN if frozen else _PLAIN),
        "__repr__": _repr,
        "__eq__": _equals(key),
        "__hash__": None,
    }
    if frozen:
        given |= {
            "__hash__": lambda self: hash(key(self)),
            "__setattr__": _refuse_to_set,
            "__delattr__": _refuse_to_delete,
        }
        if slots:
            given |= {
                "__getstate__": lambda self: [getattr(self, name) for name in names],
                "__setstate__": _restore,
            }
    for name, function in given.items():
        if name not in own or (name == "__hash__" and own[name] is None):
            setattr(made, name, function)
    return made


def _nothing(_self: object) -> tuple[()]:
    return ()


def _first_init(cls: type, setting: str) -> Callable[..., None]:
    def __init__(self: Any, *args: Any, **given: Any) -> None:  # noqa: N807  (it is one, until the first use)
        real = _init(cls, setting)
        cls.__init__ = real  # type: ignore[misc]
        real(self, *args, **given)

    return __init__


def _init(cls: type, setting: str) -> Callable[..., None]:
    """`__init__` as the standard library would write it, with the slots' own setters where there are slots."""
    names: dict[str, Any] = {"_unset": object(), "_set": object.__setattr__}
    positional: list[str] = []
    keywords: list[str] = []
    body: list[str] = []
    for field in dataclasses.fields(cls):
        name, value = field.name, field.name
        if setting is _SLOT:
            names[f"_set_{name}"] = getattr(cls, name).__set__
        argument = name
        if field.default_factory is not dataclasses.MISSING:
            names[f"_new_{name}"] = field.default_factory
            argument, value = f"{name}=_unset", f"_new_{name}() if {name} is _unset else {name}"
            if not field.init:
                value = f"_new_{name}()"
        elif field.default is not dataclasses.MISSING:
            names[f"_default_{name}"] = field.default
            argument = f"{name}=_default_{name}"
            if not field.init:
                value = f"_default_{name}"
        elif not field.init:
            continue
        if field.init:
            (keywords if field.kw_only else positional).append(argument)
        body.append(setting.format(name=name, value=value))
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    arguments = ", ".join(["self", *positional, *(["*", *keywords] if keywords else [])])
    exec(f"def __init__({arguments}):\n " + "\n ".join(body or ["pass"]), names)  # noqa: S102  (names of fields alone)
    made = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made  # type: ignore[no-any-return]


def _repr(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({shown})"


def _equals(key: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def __eq__(self: Any, other: Any) -> Any:  # noqa: N807  (it is one)
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _refuse_to_set(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _restore(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
