"""How every command runs: a Context from the global flags, one workflow, then an envelope or text, then an exit status.

The pattern of a command module (cli/agencies.py, say):

    app = Commands(help=later("…"))                        # from safetok.cli.commands; alone="list" for `tokens`

    Mst = Annotated[str | None, typer.Option("--mst", metavar="MST", help=later("…"))]

    @app.command("list", help=later("…"))                  # msgids: help is translated where it is shown, never `_()` here
    def list_(*, mst: Mst = None) -> None:
        \"\"\"For developers.\"\"\"

        def work(context: Context) -> Outcome[Listing]:
            from safetok.workflows.agencies import listing  # heavy imports inside: `--help` loads this module

            result = listing(context, mst=mst)
            return Outcome(result, data=as_json(result), errors=result.problems)

        run(["agencies", "list"], work, show)

    def show(result: Listing) -> None:                     # people; only when not --json
        out = screen()                                     # from safetok.cli.render
        out.table([Column(_("Agency")), …], rows)

A single command (`status`, `renew`) is the same module with one `@app.command("status", …)`, and `app = Commands()`.
`data` is anything envelope.plain knows (dataclasses, dates, enums, paths, sets). Raise SafetokError and nothing else: it is
caught once, in app.py. Errors that did not stop the work go into `Outcome.errors`; the exit status follows from them
(errors.first_that_holds) unless `exit_status` says otherwise. An error whose `data` has `authority` (the settings key of
the certificate's CA) ends with that CA's support line. Placeholders (metavar) that help knows in both languages are
listed in cli/help.py. The global flags are read with `globals.flags()`; `Context` already has those it needs.
Remarks on the way go to `context.prompter.say` (stderr); the answer goes to `screen()` (stdout).
"""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from safetok.cli.globals import flags
from safetok.cli.log import begin as begin_log
from safetok.cli.text import is_terminal, speaks_unicode, to_nowhere, unheard
from safetok.errors import ExitStatus, Interrupted, SafetokError, Unexpected, UsageError, first_that_holds
from safetok.locale import _, why
from safetok.log import note
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.workflows.context import Context

R = TypeVar("R")


class Ended(Exception):
    """A command is over, and everything printed; raised so that nothing after it runs."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


_UNWRITTEN = {errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG}  # what a stream that cannot be written to answers
_SAY_IT_THEMSELVES = {"", "status", "history", "doctor"}  # commands that show what is unfinished


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What a command comes to: `shown` for the human renderer, `data` for the envelope, and what went wrong on the way."""

    shown: R
    data: Any
    errors: Sequence[SafetokError] = ()
    exit_status: ExitStatus | None = None  # None: as the errors say

    @property
    def status(self) -> ExitStatus:
        """The exit status."""
        if self.exit_status is not None:
            return self.exit_status
        return first_that_holds({error.exit_status for error in self.errors})


def run(
    command: list[str],
    work: Callable[[Context], Outcome[R]],
    human: Callable[[R], None],
    *,
    dry_run: bool = False,
    forgiving: bool = False,
) -> None:
    """Run `work` and print what it came to. Raises Ended with its exit status, or what `work` raised.

    `forgiving`: where settings.toml cannot be used, `work` is given what is shipped, and says so itself.
    """
    flags().command = command
    flags().dry_run = dry_run
    begin_log()
    note(" ".join(["safetok", *command]))
    with surroundings(dry_run=dry_run, forgiving=forgiving) as context:
        try:
            outcome = work(context)
        except SafetokError as error:
            error.remark = _left_over(context, error.data)
            raise
        except KeyboardInterrupt as stop:
            raise stopped(_left_over(context, {})) from stop
        remark = _left_over(context, outcome.data)
    try:
        finish(outcome, human)
    finally:
        _say(remark)


def stopped(remark: str = "") -> Interrupted:
    """The error of a run that Ctrl-C ended, with what it left unfinished."""
    error = Interrupted(_("Stopped, as asked."))
    error.remark = remark
    return error


def _left_over(context: Context, data: Any) -> str:
    """What is to be said of a renewal that waits, after a command that is about something else."""
    if " ".join(flags().command) in _SAY_IT_THEMSELVES or not context.state_used:
        return ""
    from safetok.workflows.history import unfinished_remark

    about = (data.get("renewals") or data.get("rows")) if isinstance(data, dict) else None
    named = {row.get("renewal_id") for row in about or () if isinstance(row, dict)}
    if isinstance(data, dict):
        named.add(data.get("renewal_id"))
    with suppress(SafetokError):
        return unfinished_remark(context, {str(one) for one in named})
    return ""


def _say(remark: str) -> None:
    if remark and not flags().quiet:
        _tell_line(remark)


@contextmanager
def surroundings(*, dry_run: bool = False, forgiving: bool = False) -> Iterator[Context]:
    """The Context of this run, closed at the end. Raises UsageError for settings that cannot be used, unless `forgiving`."""
    from safetok.cli.prompter import TerminalPrompter
    from safetok.store import paths, settings
    from safetok.workflows.context import Context

    given = flags()
    home = paths.home(os.environ)
    try:
        loaded = settings.load(home, os.environ)
    except UsageError as error:
        if not forgiving or error.code != "bad_settings":
            raise
        loaded = settings.shipped(home, os.environ, error)
    context = Context(
        settings=loaded,
        prompter=TerminalPrompter(non_interactive=given.non_interactive, quiet=given.quiet),
        random=os.urandom,
        dry_run=dry_run,
        module=given.module,
        timeout=given.timeout,
    )
    try:
        yield context
    finally:
        context.close()


def finish(outcome: Outcome[R], human: Callable[[R], None]) -> None:
    """Print an outcome and raise Ended with its status."""
    given = flags()
    with quiet_pipe():
        if given.json:
            status = "success" if outcome.status is ExitStatus.DONE else "partial"
            _print_envelope(outcome.data, outcome.status, status, outcome.errors)
        else:
            human(outcome.shown)
            _tell_each(outcome.errors)
    raise Ended(int(outcome.status))


def _tell_each(errors: Sequence[SafetokError]) -> None:
    """Say once what is the same of many, and of how many; a script reads each in the envelope."""
    times = Counter((error.message, error.hint) for error in errors)
    first = {(error.message, error.hint): error for error in reversed(errors)}
    for said, count in times.items():
        _tell(first[said], times=count)


def failed(error: SafetokError) -> int:
    """Print the error that ended the run; returns its exit status."""
    note(f"{int(error.exit_status)} {error.code}: {error.message}", detail=True)
    with quiet_pipe():
        if error.code == "output_failed":
            to_nowhere(sys.stdout)
            _tell(error)
        elif flags().json:
            try:
                _print_envelope(error.data, error.exit_status, "error", [error])
            except TypeError as wrong:  # data that JSON has no words for
                return failed(unforeseen(wrong))
        else:
            _tell(error)
            if line := support_line(error):
                _tell_line(line)
        _say(error.remark)
        sys.stdout.flush()
    return int(error.exit_status)


def support_line(error: SafetokError) -> str:
    """Whom to call about `error`: the support line of the CA its data names; empty where it names none, or has said it already."""
    name = error.data.get("authority")
    if not name:
        return ""
    from safetok.store import paths, settings

    try:
        authority = settings.load(paths.home(os.environ), os.environ).authorities.get(str(name))
    except SafetokError:
        return ""
    hotline = authority.contacts.hotline if authority is not None else ""
    if authority is None or not hotline or hotline in f"{error.message} {error.hint}":
        return ""
    return _("Support of {name}: {hotline}").format(name=authority.title, hotline=hotline)


@contextmanager
def quiet_pipe() -> Iterator[None]:
    """Writing to a reader that has gone (`| head`) ends quietly."""
    try:
        yield
    except BrokenPipeError:
        to_nowhere(sys.stdout)


def _print_envelope(data: Any, exit_status: ExitStatus, status: str, errors: Sequence[SafetokError]) -> None:
    from safetok.cli.envelope import encoded, envelope

    document = envelope(flags().command, data, exit_status=exit_status, status=status, errors=errors)
    text = encoded(document, ascii_only=not speaks_unicode(sys.stdout), pretty=is_terminal(sys.stdout))
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tell(error: SafetokError, *, times: int = 1) -> None:
    from safetok.cli.render import screen

    sys.stdout.flush()
    said = error.message if times == 1 else _("{message} ({n} times)").format(message=error.message, n=times)
    with unheard():
        screen(sys.stderr).notice(said, "bad", hint=error.hint)


def _tell_line(line: str) -> None:
    from safetok.cli.render import screen

    with unheard():
        screen(sys.stderr).line(line)


def unforeseen(error: Exception) -> Unexpected:
    """The error that ends a run nobody foresaw: logged whole, shown as a sentence. That of a stream has no file's name."""
    if isinstance(error, OSError) and error.errno in _UNWRITTEN and error.filename is None:
        return Unexpected(
            _("The output could not be written: {why}.").format(why=why(error)),
            code="output_failed",
            hint=_("Send it elsewhere, or free some space, then run the command again. What was recorded is kept."),
        )
    begin_log()
    note("unforeseen", detail=True, error=error)
    return Unexpected(
        _("Something safetok did not foresee happened ({kind}). What it had written down is kept.").format(
            kind=type(error).__name__
        ),
        hint=_("Run it again with --log-file FILE and send that file to the developers; it holds no PIN."),
    )
