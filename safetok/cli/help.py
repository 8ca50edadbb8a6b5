"""Help texts: plain, in the user's language, wrapped to the console; the top one needs no typer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetok.cli.declared import COMMANDS, VERSION_HELP
from safetok.cli.globals import GLOBAL_OPTIONS, HELP
from safetok.cli.text import columns, wrapped
from safetok.locale import _, later

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDEST = 100  # lines of prose longer than this are hard to read
PLACEHOLDERS = (  # the values of options that help names in both languages; others (MST, PEM) are the same in each
    later("FILE"),
    later("DIR"),
    later("SECONDS"),
    later("DATE"),
    later("TIME"),
    later("SERIAL"),
    later("NAME"),
    later("AGENCY"),
    later("TEXT"),
    later("COMMAND"),
    later("OPTIONS"),
    later("PLAN"),
    later("AGE"),
    later("CASE"),
    later("PATH"),
    later("STATE"),
    later("CODE"),
    later("NUMBER"),
    later("ITEM"),
    later("ADDRESS"),
)

Row = tuple[str, str]


def root_help(_context: object = None) -> str:
    """What `safetok --help` prints."""
    return _page(
        _("safetok: tops up certificates on USB tokens and keeps what every agency must learn afterwards."),
        usage=f"safetok [{placeholder('COMMAND')}] [{placeholder('OPTIONS')}]",
        note=_("`safetok` alone says where things stand and what to do next."),
        sections=[
            (_("Commands"), [(name, _(entry.help)) for name, entry in COMMANDS.items()]),
            (_("Options of every command"), [*_common(), ("--version", _(VERSION_HELP))]),
        ],
    )


def group_help(context: Any) -> str:
    """What `--help` prints for a group of commands."""
    group = context.command
    commands = [(name, _first(said(command.help))) for name, command in group.commands.items() if not command.hidden]
    return _page(
        said(group.help),
        usage=f"{context.command_path} {placeholder('COMMAND')} [{placeholder('OPTIONS')}]",
        note=_("`{group}` alone is `{group} {command}`.").format(group=context.command_path, command=group.alone)
        if group.alone
        else "",
        sections=[
            (_("Commands"), commands),
            (_("Options"), _options(group.own)),
        ],
        end=_everywhere(),
    )


def command_help(context: Any) -> str:
    """What `--help` prints for one command."""
    command = context.command
    arguments = [p for p in command.own if p.param_type_name == "argument" and not p.hidden]
    options = [p for p in command.own if p.param_type_name == "option"]
    words = [_argument(parameter) for parameter in arguments]
    return _page(
        said(command.help),
        usage=" ".join([context.command_path, *words, f"[{placeholder('OPTIONS')}]"]),
        sections=[
            (_("Arguments"), [(placeholder(p.metavar or p.name.upper()), said(p.help)) for p in arguments]),
            (_("Options"), _options(options)),
        ],
        end=_everywhere(),
    )


def said(text: str | None) -> str:
    """A help text as it was declared (`later`), in the user's language; nothing for none."""
    return _(text) if text else ""


def placeholder(word: str) -> str:
    """FILE, SERIAL|FILE … in the user's language; what is the same in both as it is."""
    return "|".join(_(part) if part in PLACEHOLDERS else part for part in word.split("|"))


def _argument(parameter: Any) -> str:
    word = placeholder(parameter.metavar or parameter.name.upper())
    word = f"{word}..." if parameter.nargs != 1 else word
    return word if parameter.required else f"[{word}]"


def _options(parameters: Iterable[Any]) -> list[Row]:
    rows = []
    for parameter in parameters:
        if parameter.hidden or parameter.param_type_name != "option":
            continue
        names = ", ".join([*parameter.opts, *parameter.secondary_opts])
        rows.append((f"{names} {_value(parameter)}".rstrip(), said(parameter.help)))
    return rows


def _value(parameter: Any) -> str:
    if parameter.is_flag or parameter.count:
        return ""
    choices = getattr(parameter.type, "choices", ())
    if choices and not parameter.metavar:
        return "|".join(str(getattr(choice, "value", choice)) for choice in choices)
    return placeholder(parameter.metavar or parameter.name.upper())


def _common() -> list[Row]:
    return [
        (f"{', '.join(option.names)} {placeholder(option.value)}".rstrip(), _(option.help))
        for option in (*GLOBAL_OPTIONS, HELP)
    ]


def _first(text: str) -> str:
    return text.split("\n", 1)[0]


def _everywhere() -> str:
    names = ", ".join(option.names[0] for option in (*GLOBAL_OPTIONS, HELP))
    return _("Every command also takes {options}: see safetok --help.").format(options=names)


def _page(text: str, *, usage: str, sections: list[tuple[str, list[Row]]], note: str = "", end: str = "") -> str:
    width = min(columns(), WIDEST)
    lines = wrapped(text, width)
    lines += ["", _("Usage: {usage}").format(usage=usage)]
    if note:
        lines += wrapped(note, width)
    for title, rows in sections:
        if rows:
            lines += ["", f"{title}:", *_rows(rows, width)]
    if end:
        lines += ["", *wrapped(end, width)]
    return "\n".join(lines)


def _rows(rows: list[Row], width: int) -> list[str]:
    left = min(max(len(name) for name, _text in rows), 26)
    lines = []
    for name, text in rows:
        told = wrapped(text, max(width - left - 4, 30))
        if len(name) > left:
            lines.append(f"  {name}")
            name = ""  # noqa: PLW2901  (its text starts on the next line)
        lines.append(f"  {name:<{left}}  {told[0]}".rstrip())
        lines += [" " * (left + 4) + line for line in told[1:]]
    return lines
