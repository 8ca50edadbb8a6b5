"""How commands are declared: typer, with the global flags on every command, own help texts, and groups loaded when named."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import typer
from typer import _click
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command, get_group

from safetok.cli.declared import COMMANDS, VERSION_HELP, Entry
from safetok.cli.globals import HELP, flags, typer_options
from safetok.cli.help import command_help, group_help, root_help
from safetok.errors import UsageError
from safetok.locale import _

Function = Callable[..., Any]


def _common_options(show: Callable[[_click.Context], str]) -> list[TyperOption]:
    def help_and_exit(context: _click.Context, _parameter: object, value: bool) -> None:
        if value and not context.resilient_parsing:
            typer.echo(show(context))
            raise typer.Exit

    wanted = TyperOption(
        param_decls=list(HELP.names),
        is_flag=True,
        default=False,
        is_eager=True,
        expose_value=False,
        callback=help_and_exit,
        help=HELP.help,
    )
    return [*typer_options(), wanted]


class Command(TyperCommand):
    """One command: its own options, then the global ones."""

    def __init__(self, *args: Any, **named: Any) -> None:
        named["add_help_option"] = False
        super().__init__(*args, **named)
        self.own = tuple(self.params)
        self.params = [*self.params, *_common_options(command_help)]


class Group(TyperGroup):
    """Commands under one name. With `alone`, the group's name by itself (or with that command's options) means that command."""

    show: Callable[[_click.Context], str] = staticmethod(group_help)
    alone: str | None = None

    def __init__(self, *args: Any, **named: Any) -> None:
        named["add_help_option"] = False
        super().__init__(*args, **named)
        self.own = tuple(self.params)
        self.params = [*self.params, *_common_options(self.show)]

    def parse_args(self, ctx: _click.Context, args: list[str]) -> list[str]:
        """Put `alone` in front where no command is named."""
        unnamed = not args or (args[0].startswith("-") and not any(word in self.commands for word in args))
        if self.alone and unnamed and not {*HELP.names} & {*args}:
            args = [self.alone, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: _click.Context, args: list[str]
    ) -> tuple[str | None, _click.Command | None, list[str]]:
        """The command named. Raises UsageError (`no_such_command`), with the nearest names as its hint."""
        found = self.get_command(ctx, args[0])
        if found is None:
            raise no_such_command(ctx.command_path, args[0], self.list_commands(ctx))
        flags().command = [*flags().command, args[0]]
        return args[0], found, args[1:]

    def invoke(self, ctx: _click.Context) -> Any:
        """Run the command named. Raises UsageError (`no_command`) where none is and the group does nothing by itself."""
        if not ctx._protected_args:
            raise UsageError(
                _("{command} needs a command after it: {names}.").format(
                    command=ctx.command_path, names=", ".join(self.list_commands(ctx))
                ),
                code="no_command",
                hint=_("All of it: {command} --help").format(command=ctx.command_path),
            )
        return super().invoke(ctx)


class Commands(typer.Typer):
    """What a command module declares its commands on: `app = Commands(help=later("…"), alone="list")`."""

    def __init__(self, *, help: str = "", alone: str | None = None) -> None:  # noqa: A002  (typer's word)
        kind = type("Group", (Group,), {"alone": alone})
        super().__init__(cls=kind, help=help, rich_markup_mode=None, add_completion=False, suggest_commands=False)

    def command(self, name: str | None = None, **named: Any) -> Callable[[Function], Function]:  # type: ignore[override]
        """Typer's own, with `Command` as the class; give `help=later("…")`."""
        return cast("Callable[[Function], Function]", super().command(name, cls=Command, **named))


class Root(Group):
    """`safetok` itself: its commands are declared in declared.COMMANDS and imported when named."""

    show = staticmethod(root_help)

    def list_commands(self, _context: _click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: _click.Context, cmd_name: str) -> _click.Command | None:
        """The command `cmd_name`, from its module."""
        entry = COMMANDS.get(cmd_name)
        return load(cmd_name, entry) if entry else None

    def invoke(self, ctx: _click.Context) -> Any:
        """Run the command named; `safetok` alone says where things stand."""
        if not ctx._protected_args:
            from safetok.cli.status import bare

            return bare()
        return super().invoke(ctx)


def load(name: str, entry: Entry) -> _click.Command:
    """Import the module of a declared command and build it."""
    declared = import_module(entry.module).app
    command = get_group(declared) if entry.group else get_command(declared)
    command.name = name
    return command


def root() -> Root:
    """The whole command line, nothing of it imported yet."""
    return Root(
        name="safetok",
        params=[
            TyperOption(
                param_decls=["--version"],
                is_flag=True,
                default=False,
                is_eager=True,
                expose_value=False,
                callback=_version,
                help=VERSION_HELP,
            )
        ],
        rich_markup_mode=None,
        suggest_commands=False,
    )


def _version(context: _click.Context, _parameter: object, value: bool) -> None:
    if value and not context.resilient_parsing:
        from safetok import __version__
        from safetok.cli.run import Outcome, finish

        flags().command = ["version"]
        finish(Outcome(__version__, data={"version": __version__}), lambda version: typer.echo(f"safetok {version}"))


def no_such_command(path: str, word: str, names: list[str]) -> UsageError:
    """The error for a command that does not exist."""
    from difflib import get_close_matches

    near = get_close_matches(word, names, n=2)
    return UsageError(
        _("There is no command {word}.").format(word=f"{path} {word}"),
        code="no_such_command",
        hint=_("Perhaps: {names}").format(names=", ".join(f"{path} {name}" for name in near))
        if near
        else _("All of it: {command} --help").format(command=path),
    )
