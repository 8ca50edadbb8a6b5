"""The door: the shortest way to an answer, before anything is imported that the command does not need."""

from __future__ import annotations

import gc
import sys
import warnings
from contextlib import suppress

from safetok.sparing import spare

GARBAGE = 200_000  # objects between two collections: at 700, as Python has it, they cost a tenth of every command
_WITH_VALUE = {"--log-file", "--timeout", "--lang", "--module", "--wait", "--serial", "--cert", "--mst"}
_NO_READING = {"--help", "-h", "--version"}
# Commands that look at every token and never log in: their worker starts while the rest is still being imported.
_READING = {(), ("status",), ("tokens",), ("tokens", "list"), ("certs",), ("certs", "list"), ("certs", "show")}
# The same for a batch, unless its PINs are in variables: they are taken out of the environment before any child starts.
_RUNNING = {("batch", "run"), ("batch", "resume")}


def main() -> None:
    """Run the command line of this process and exit with its status."""
    try:
        code = _main(sys.argv[1:])
    except KeyboardInterrupt:  # before anything could answer it
        code = 130
    _leave(code)


def _leave(code: int) -> None:
    """End with this status. Whoever asked to be called at the end is; what the system takes back anyway is not taken apart piece
    by piece first, which costs a tenth of a command.
    """
    import atexit
    import os

    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        code = code or 1  # it has been told: whoever prints sends it off
    os._exit(code)


def _main(argv: list[str]) -> int:
    _open_what_is_closed()
    spare()
    gc.set_threshold(GARBAGE)
    if not sys.warnoptions:
        warnings.simplefilter(
            "ignore"
        )  # a library's remark on a certificate is for developers: python -W default -m safetok
    if argv == ["--version"]:
        from safetok import __version__

        try:
            print(f"safetok {__version__}", flush=True)  # noqa: T201  (nothing else is loaded for this)
        except BrokenPipeError:  # a reader that has gone (`| true`) is no failure, as for every command
            import os

            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            sys.stderr.write(f"safetok: {error.strerror}\n")
            return 1
        return 0
    from safetok.cli.stops import hold_back

    hold_back()
    if _words(argv) in _RUNNING:
        _work_as_a_batch()
    if reads_tokens(argv):
        from safetok.tokens.process import prestart

        with suppress(OSError):  # whoever needs a worker starts one, and says why it cannot
            prestart()
    from safetok.cli.app import main as run

    return run(argv)


def _open_what_is_closed() -> None:
    """A caller may have closed a standard stream: nothing opened later may take its place and be written to by mistake."""
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        import os

        sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115  (open for the whole run, and pathlib is not loaded)
        sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115


def _work_as_a_batch() -> None:
    """Tell Linux that this process and its workers calculate at length (sched(7), SCHED_BATCH): they answer each other all the
    time, and each finishes what it has in hand before another takes its core. What somebody chose (`chrt`) stays.
    """
    if sys.platform == "linux":
        import os

        with suppress(OSError):
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def reads_tokens(argv: list[str]) -> bool:
    """Whether this command line is one of those; a wrong guess costs a process that ends by itself."""
    if _NO_READING & {*argv}:
        return False
    words = _words(argv)
    if words in _RUNNING:
        import os

        return not any(name.startswith("SAFETOK_PIN_") for name in os.environ)
    return words in _READING


def _words(argv: list[str]) -> tuple[str, ...]:
    """The command that a command line names: its first two words that are no options."""
    words: list[str] = []
    value = False
    for word in argv:
        if value:
            value = False
        elif word.startswith("-"):
            value = word in _WITH_VALUE
        else:
            words.append(word)
    return tuple(words[:2])


if __name__ == "__main__":
    main()
