"""What a run says of itself to `-v` and `--log-file`: lines that anything may write and that cost nothing when nobody listens."""

from __future__ import annotations

import sys
from functools import cache

TYPE_CHECKING = False  # not typing's: its import costs a command's start 2 ms
if TYPE_CHECKING:
    from logging import Logger

_secrets: set[str] = set()
_SHORTEST = 2  # a shorter text cannot be a PIN worth hiding, and would blot out whole lines


def secret(text: str) -> None:
    """Keep `text` (a PIN) out of every line that is logged from now on."""
    if len(text) >= _SHORTEST:
        _secrets.add(text)


def discreet(line: str) -> str:
    """`line` with every secret replaced."""
    for text in sorted(_secrets, key=len, reverse=True):
        line = line.replace(text, "***")
    return line


def note(text: str, *, detail: bool = False, error: BaseException | None = None) -> None:
    """One line, in English; a `detail` is for -vv and the file. With `error`, its traceback (source lines, no values).

    Say what is done and with what: `POST https://… -> 200 in 84 ms`, `renewal 7f3a: CONFIRMED -> REQUESTED`. Never a PIN, a
    key, or a message of the CA in full.
    """
    if "logging" in sys.modules:  # nobody asked for a log otherwise
        import logging

        logger, level = _logger(), logging.DEBUG if detail else logging.INFO
        if logger.isEnabledFor(level):
            logger.log(level, "%s", text.replace("\n", "\\n"), exc_info=error)


@cache
def _logger() -> Logger:
    import logging

    return logging.getLogger("safetok")
