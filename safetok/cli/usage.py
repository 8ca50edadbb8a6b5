"""What typer says of a wrong command line, said in the user's language instead."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from safetok.errors import UsageError
from safetok.locale import _


def translated(error: Any) -> UsageError:
    """A typer exception as a UsageError: one clear sentence, and where to look."""
    context = getattr(error, "ctx", None)
    return UsageError(
        _sentence(error),
        hint=_("All of it: {command} --help").format(command=context.command_path) if context is not None else "",
    )


def _sentence(error: Any) -> str:  # noqa: PLR0911  (one line for each kind of error)
    from typer._click import exceptions

    match error:
        case exceptions.NoSuchOption():
            near = _near(error.option_name, error.possibilities or ())
            if near:
                return _("There is no option {option}; perhaps {names}.").format(
                    option=error.option_name, names=", ".join(sorted(near))
                )
            return _("There is no option {option}.").format(option=error.option_name)
        case exceptions.BadOptionUsage():
            if "does not take" in error.message:
                return _("{option} takes no value.").format(option=error.option_name)
            return _("{option} needs a value after it.").format(option=error.option_name)
        case exceptions.MissingParameter():
            return _("{name} is missing.").format(name=_name(error.param))
        case exceptions.BadParameter():
            return _bad_value(error)
    if extra := re.fullmatch(r"Got unexpected extra argument\(?s?\)? \((.*)\)", error.message):
        return _("{words}: one word too many.").format(words=extra[1])
    return _("This command line cannot be used as it stands.")


def _near(option: str, possible: Sequence[str]) -> list[str]:
    """Options that are spelled alike: the dashes, which all have, count for nothing."""
    from difflib import get_close_matches

    names = {name.lstrip("-"): name for name in possible}
    return [names[name] for name in get_close_matches(option.lstrip("-"), names)]


def _bad_value(error: Any) -> str:
    name, kind = _name(error.param), getattr(error.param, "type", None)
    if choices := getattr(kind, "choices", ()):
        names = ", ".join(str(getattr(choice, "value", choice)) for choice in choices)
        return _("{name} is one of: {choices}.").format(name=name, choices=names)
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    if least is not None and most is not None:
        return _("{name} takes a number from {least} to {most}.").format(name=name, least=least, most=most)
    if least is not None:
        return _("{name} takes a number, {least} or more.").format(name=name, least=least)
    if getattr(kind, "name", "") in {"int", "integer", "integer range", "float", "float range"}:
        return _("{name} takes a number.").format(name=name)
    if hasattr(kind, "file_okay"):
        return _("The file or folder given for {name} cannot be used: is it there, and may it be read?").format(
            name=name
        )
    return _("What was given for {name} cannot be used.").format(name=name)


def _name(parameter: Any) -> str:
    if parameter is None:
        return ""
    if parameter.param_type_name == "option":
        return str(parameter.opts[0])
    from safetok.cli.help import placeholder

    return placeholder(parameter.metavar or parameter.name.upper())
