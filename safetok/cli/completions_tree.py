"""The command tree as completion needs it: every command, what may follow it, and what each option takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from safetok.cli import help as help_texts
from safetok.cli.commands import Group, root
from safetok.records import dataclass

FILES = ("FILE", "DIR")


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its names, what it does, and what may follow it (`value` is None for a switch)."""

    names: tuple[str, ...]
    help: str
    value: str | None = None
    choices: tuple[str, ...] = ()
    many: bool = False  # an argument that may be repeated

    @property
    def wants_file(self) -> bool:
        return self.value is not None and any(part in FILES for part in self.value.split("|"))


@dataclass(frozen=True, slots=True)
class Node:
    """One command: its words after `safetok`, what may follow."""

    path: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    arguments: tuple[Option, ...]  # `names` is empty

    @property
    def key(self) -> str:
        return " ".join(self.path)


def tree() -> list[Node]:
    """Every command, the top one first, in the language in force."""
    top = root()
    context = top.make_context("safetok", [], resilient_parsing=True)
    return _nodes(top, context, ())


def _nodes(command: Any, context: Any, path: tuple[str, ...]) -> list[Node]:
    if not isinstance(command, Group):
        return [Node(path, (), _options(command), _arguments(command))]
    children = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    shown = [(name, child) for name, child in children if child is not None and not child.hidden]
    alone = dict(shown).get(command.alone or "")
    own = Node(
        path,
        tuple((name, _line(help_texts.said(child.help))) for name, child in shown),
        _options(alone or command),
        (),
    )
    return [own, *(node for name, child in shown for node in _nodes(child, context, (*path, name)))]


def _options(command: Any) -> tuple[Option, ...]:
    return tuple(
        _option((*parameter.opts, *parameter.secondary_opts), parameter)
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.hidden
    )


def _arguments(command: Any) -> tuple[Option, ...]:
    return tuple(_option((), parameter) for parameter in command.params if parameter.param_type_name == "argument")


def _option(names: tuple[str, ...], parameter: Any) -> Option:
    text = _line(help_texts.said(parameter.help))
    if names and (parameter.is_flag or parameter.count):
        return Option(names, text)
    value = str(parameter.metavar or parameter.name.upper())
    return Option(names, text, value, _choices(parameter, value), many=not names and parameter.nargs != 1)


def _choices(parameter: Any, value: str) -> tuple[str, ...]:
    if typed := getattr(parameter.type, "choices", ()):
        return tuple(str(getattr(choice, "value", choice)) for choice in typed)
    if "|" in value and value == value.lower():
        return tuple(value.split("|"))
    from safetok.domain import dossier
    from safetok.knowledge import load

    known: dict[str, Iterable[str]] = {
        "CA": load.authorities(),
        "AGENCY": (agency.name for agency in load.agencies()),
        "CASE": dossier.SITUATIONS,
        "PATH": dossier.PATHS,
        "STATE": dossier.RECORDED,
        "ITEM": dossier.ITEMS,
    }
    return tuple(known.get(value, ()))


def everywhere(nodes: Sequence[Node]) -> tuple[Option, ...]:
    """The options that every command takes."""
    return tuple(option for option in nodes[0].options if all(option in node.options for node in nodes))


def valued(nodes: Sequence[Node]) -> dict[str, Option]:
    """`path,--option` (`*,--option` where it means the same wherever it stands) of everything that takes a value."""
    found: dict[str, Option] = {}
    for name in sorted({name for node in nodes for option in node.options for name in option.names}):
        having = [(node, option) for node in nodes for option in node.options if name in option.names]
        kinds = {(option.value, option.choices) for _node, option in having}
        if len(kinds) == 1 and having[0][1].value is not None:
            found[f"*,{name}"] = having[0][1]
        elif len(kinds) > 1:
            found |= {f"{node.key},{name}": option for node, option in having if option.value is not None}
    return found


def _line(text: str) -> str:
    return " ".join(text.split("\n", 1)[0].split())
