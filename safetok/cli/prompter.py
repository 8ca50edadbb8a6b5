"""The person at the keyboard: questions on stderr, answers from the terminal, and nobody there where stdin is none."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from safetok.cli.text import columns, fitted, is_terminal, unheard, visible, wrapped
from safetok.errors import Interrupted, PersonNeeded, SafetokError, UsageError
from safetok.locale import _, language
from safetok.log import secret

_GLANCE = 0.25  # seconds
_YES = {"c", "co", "y", "yes"}
_TERMINAL = "CONOUT$" if sys.platform == "win32" else "/dev/tty"
_NO = {"k", "khong", "n", "no"}


class TerminalPrompter:
    """workflows.context.Prompter over this process's terminal.

    `interactive` is whether somebody can be asked: stdin is a terminal and the run is not `--non-interactive`. Otherwise
    every question raises PersonNeeded with the question as its message, at once, without reading.
    """

    def __init__(self, *, non_interactive: bool = False, quiet: bool = False) -> None:
        self.interactive = not non_interactive and is_terminal(sys.stdin)
        self._quiet = quiet

    def say(self, text: str) -> None:
        """Tell something on stderr; not when quiet."""
        if not self._quiet:
            _write(f"{_laid_out(text)}\n")

    def warn(self, text: str) -> None:
        """Tell something that needs attention, on stderr; also when quiet."""
        _write(f"{_laid_out(f'! {text}')}\n")

    def confirm(self, question: str, *, default: bool = False) -> bool:
        """Yes or no: `c`, `có`, `y`, `yes` or `k`, `không`, `n`, `no`; an empty line is `default`, a closed input is no."""
        self._need(question)
        choices = _choices(default)
        while True:
            answer = self._ask(f"{question} {choices}")
            if answer is None:
                return False
            word = _bare(answer)
            if not word:
                return default
            if word in _YES | _NO:
                return word in _YES
            _take_back(f"{question} {choices}", answer)
            self._show(_("Please answer {choices}.").format(choices=choices), end="\n")

    def line(self, question: str) -> str:
        """One line, stripped; empty is the person's way to stop."""
        return (self._ask(question) or "").strip()

    def pin(self, question: str) -> str:
        """A PIN, not echoed, exactly as typed. Raises PersonNeeded where the terminal cannot be kept from echoing."""
        self._need(question)
        if sys.platform == "win32":
            typed = self._hidden_on_windows(question)
        else:
            with _no_echo(sys.stdin.fileno()):  # the question is shown only once the echo is off
                typed = self._read(question) or ""
            self._show(end="\n")
        secret(typed)
        if any("\ud800" <= letter <= "\udfff" for letter in typed):
            raise UsageError(
                _("What this terminal sent for the PIN is not UTF-8. Nothing was sent to the token, no try is spent."),
                code="pin_unreadable",
            )
        return typed

    def _hidden_on_windows(self, question: str) -> str:
        import getpass

        self._show(question.rstrip(), end=" ")
        return getpass.getpass("")  # msvcrt reads keys without echo: nothing to turn off first

    def choose(self, question: str, options: Sequence[str]) -> int:
        """The index of the option chosen. Raises Interrupted when the person stops (an empty line)."""
        self._need(question)
        for line in (question, *(f"  {number}) {option}" for number, option in enumerate(options, 1))):
            self._show(line, end="\n")
        asked = _("Number (1 to {count}), Enter alone to stop:").format(count=len(options))
        while True:
            answer = (self._ask(asked) or "").strip()
            if not answer:
                raise Interrupted(_("Stopped: nothing was chosen."))
            if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(options):
                return int(answer) - 1
            _take_back(asked, answer)

    def _need(self, question: str) -> None:
        if not self.interactive:
            raise nobody(question)

    def _ask(self, question: str) -> str | None:
        """The line typed, or None when the input ended."""
        self._need(question)
        typed = self._read(question)
        if typed is None:
            self._show(end="\n")
        return typed

    def _read(self, question: str) -> str | None:
        self._show(question.rstrip(), end=" ")
        if sys.platform != "win32":
            import select

            while not select.select([sys.stdin], [], [], _GLANCE)[0]:
                continue  # a Ctrl-C that came just before the wait is seen here
        try:
            raw = sys.stdin.buffer.readline()
        except OSError:  # the terminal was closed
            raw = b""
        return raw.decode("utf-8", "surrogateescape").rstrip("\r\n") if raw else None

    def _show(self, text: str = "", *, end: str = "") -> None:
        """Put a question where it is seen: on stderr, or on the terminal itself when stderr goes elsewhere."""
        told = _laid_out(text) + end
        if not is_terminal(sys.stderr):
            with suppress(OSError), open(_TERMINAL, "w", encoding="utf-8") as terminal:  # noqa: PTH123  (a device)
                terminal.write(told)
                return
        _write(told)


@contextmanager
def _no_echo(terminal: int) -> Iterator[None]:
    """Keep a POSIX terminal from showing what is typed, and forget what was typed before."""
    import termios

    try:
        before = termios.tcgetattr(terminal)
        silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
        termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
    except termios.error as error:
        raise PersonNeeded(
            _("This terminal would show the PIN while it is typed. Nothing was sent to the token."),
            code="pin_would_show",
            hint=_("Use another terminal, or --pin-stdin."),
        ) from error
    try:
        yield
    finally:
        with suppress(termios.error):  # the terminal was closed meanwhile: nothing is left to be put back
            termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def nobody(question: str) -> SafetokError:
    """The error for a question that nobody can be asked."""
    asked = " ".join(question.split()).rstrip(" :")
    return PersonNeeded(
        _("A person must answer this: {question}").format(question=asked),
        code="nobody_to_ask",
        hint=_("Run it in a terminal, or give the answer as an option (see --help)."),
    )


def _choices(default: bool) -> str:
    if language() == "vi":
        return "[C/k]" if default else "[c/K]"
    return "[Y/n]" if default else "[y/N]"


def _bare(answer: str) -> str:
    letters = unicodedata.normalize("NFD", answer.strip().casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _take_back(question: str, answer: str) -> None:
    """Take what was no answer off the terminal again, with the question's last line: it may be a PIN, typed too soon."""
    if not is_terminal(sys.stderr):
        return
    from rich.cells import cell_len
    from rich.console import Console
    from rich.control import Control
    from rich.segment import ControlType

    shown = f"{_laid_out(question.rstrip())} {answer}".rpartition("\n")[2]
    rows = -(-cell_len(shown) // columns(sys.stderr))
    up_and_away = ((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2))
    Console(stderr=True).control(Control(*up_and_away * rows))


def _laid_out(text: str) -> str:
    """One paragraph made safe (a line break in a name is written out) and, for a person, broken between words."""
    told = visible(text)
    if not is_terminal(sys.stderr):
        return told
    lead = told[: len(told) - len(told.lstrip(" "))]
    return "\n".join(lead + line for line in wrapped(told, columns(sys.stderr) - len(lead) - 1))


def _write(text: str) -> None:
    with unheard():
        sys.stderr.write(fitted(text, sys.stderr))
        sys.stderr.flush()
