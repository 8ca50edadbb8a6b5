"""What a run did, line by line: to `--log-file`, and to stderr with `-v`; never a PIN, never a traceback's values."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from safetok.cli.globals import flags
from safetok.errors import UsageError
from safetok.locale import _, why

if TYPE_CHECKING:
    import logging
    from pathlib import Path

_secrets: set[str] = set()
_QUIETEST = 2  # shorter than this cannot be a PIN worth hiding


def secret(text: str) -> None:
    """Keep `text` out of every line that is logged from now on."""
    if len(text) >= _QUIETEST:
        _secrets.add(text)


def begin() -> None:
    """Start logging where the flags ask for it. A dry run writes no file. Raises UsageError (`log_file`)."""
    given = flags()
    _end()
    if not given.verbose and (given.log_file is None or given.dry_run):
        return
    import logging

    logger = logging.getLogger("safetok")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    if given.verbose:
        loud = logging.StreamHandler(sys.stderr)
        loud.setLevel(logging.DEBUG if given.verbose > 1 else logging.INFO)
        _add(logger, loud, "%(message)s")
    if given.log_file is not None and not given.dry_run:
        _add(logger, _private_file(given.log_file), "%(asctime)s %(levelname)s %(name)s: %(message)s")


def note(text: str, *, detail: bool = False, error: BaseException | None = None) -> None:
    """One line, a `detail` only for -vv and the file; with `error`, its traceback for the developers (source lines, no values)."""
    if "logging" in sys.modules:  # nobody asked for a log otherwise
        import logging

        logging.getLogger("safetok").log(logging.DEBUG if detail else logging.INFO, text, exc_info=error)


def _end() -> None:
    """Let go of an earlier run's file, in a process that runs several."""
    if "logging" in sys.modules:
        import logging

        logger = logging.getLogger("safetok")
        for old in list(logger.handlers):
            logger.removeHandler(old)
            old.close()


def _add(logger: logging.Logger, handler: logging.Handler, form: str) -> None:
    import logging
    import time

    class Discreet(logging.Formatter):
        converter = staticmethod(time.gmtime)

        def format(self, record: logging.LogRecord) -> str:
            line = super().format(record)
            for text in _secrets:
                line = line.replace(text, "***")
            return line

    handler.setFormatter(Discreet(form))
    logger.addHandler(handler)


def _private_file(path: Path) -> logging.Handler:
    import logging
    import os

    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        return logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(
            _("The log file {path} cannot be written: {why}.").format(path=path, why=why(error)), code="log_file"
        ) from error
