"""The command line from its first word: how a run begins, and the ways it can end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from safetok.cli.globals import begin, flags
from safetok.cli.stops import heed
from safetok.cli.text import is_terminal, prepare, unheard
from safetok.errors import ExitStatus, SafetokError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name); returns the exit status and prints everything there is to print."""
    prepare(sys.stdout)
    prepare(sys.stderr)
    begin(argv)
    try:
        return _guarded(argv)
    except OSError as error:  # what was to be said could not be written
        from safetok.cli.run import failed, unforeseen

        return failed(unforeseen(error))


def _helped(argv: Sequence[str]) -> bool:
    """Whether the program's own help was asked for, and shown: typer is not loaded for this."""
    if [word for word in argv if not word.startswith("--lang=")] not in (["--help"], ["-h"]):
        return False
    from safetok.cli.help import root_help

    sys.stdout.write(f"{root_help()}\n")
    sys.stdout.flush()
    return True


def _guarded(argv: Sequence[str]) -> int:
    """Understand and run a command line; every failure becomes an envelope or a sentence and its exit status."""
    from safetok.cli import plain
    from safetok.cli.run import Ended, failed, quiet_pipe, stopped, unforeseen

    try:
        heed()
        if (command := plain.plain(argv)) is not None:
            command()
        elif not _helped(argv):
            _understood(argv)
    except Ended as end:
        return _sent(end.status)
    except SafetokError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            _leave_the_line()
        return failed(error)
    except KeyboardInterrupt:
        _leave_the_line()
        return failed(stopped())
    except BrokenPipeError:
        with quiet_pipe():
            raise
        return int(ExitStatus.DONE)
    except Exception as error:  # noqa: BLE001  (the one place where nothing may escape to a traceback)
        return failed(unforeseen(error))
    return _sent(int(ExitStatus.DONE))


def _leave_the_line() -> None:
    """The ^C stands on the line of a question."""
    if is_terminal(sys.stderr):
        with unheard():
            sys.stderr.write("\n")


def _sent(status: int) -> int:
    """`status`, once all that was printed has truly gone out; a full disk behind a redirection may show itself only here."""
    from safetok.cli.run import quiet_pipe

    with quiet_pipe():
        sys.stdout.flush()
    return status


def _understood(argv: Sequence[str]) -> None:
    """Run a command line by typer; what ends it there becomes what `_guarded` knows."""
    from typer import Exit
    from typer.exceptions import Abort, TyperException

    from safetok.cli.commands import root
    from safetok.cli.run import Ended

    try:
        with root().make_context("safetok", list(argv)) as context:
            context.command.invoke(context)
    except Exit as end:
        raise Ended(end.exit_code) from None
    except Abort:
        raise KeyboardInterrupt from None
    except TyperException as error:
        from safetok.cli.usage import translated

        flags().command = flags().command or _named(error)
        raise translated(error) from error


def _named(error: Any) -> list[str]:
    context = getattr(error, "ctx", None)
    return context.command_path.split()[1:] if context is not None else []
