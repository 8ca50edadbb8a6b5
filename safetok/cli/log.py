"""Where the lines of safetok.log go: to `--log-file`, and to stderr with `-v`."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from safetok.cli.globals import flags
from safetok.cli.text import unheard, visible
from safetok.errors import UsageError
from safetok.locale import _, why
from safetok.log import discreet

if TYPE_CHECKING:
    import logging
    from pathlib import Path


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
            return visible(discreet(super().format(record)), lines=True)

    def given_up(record: logging.LogRecord) -> None:  # noqa: ARG001
        """A log that cannot be written (a full disk) is said once and given up; the command itself goes on."""
        error = sys.exc_info()[1]
        logger.removeHandler(handler)
        with suppress(OSError):  # closing tries once more what could not be written
            handler.close()
        path = flags().log_file
        if isinstance(error, OSError) and isinstance(handler, logging.FileHandler) and path is not None:
            from safetok.cli.render import screen

            text = _("The log file {path} cannot be written: {why}. The command goes on without it.")
            with unheard():
                screen(sys.stderr).notice(text.format(path=path, why=why(error)), "warn")

    handler.setFormatter(Discreet(form))
    handler.handleError = given_up  # type: ignore[method-assign]
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
