"""One run at a time carries a renewal on, also where it needs no token: two that ask a CA may lose each other's answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from safetok.domain.renewal import Renewal
    from safetok.workflows.context import Context
    from safetok.workflows.renew.run import Run


@contextmanager
def alone(run: Run) -> Iterator[None]:
    """The row as it is now, and nobody else's until the end. Raises TokenHeld (16), UsageError (`locks_unusable`).

    The lock is this process's: unlike the worker's on the token itself, it goes with it.
    """
    from safetok.tokens import failures
    from safetok.tokens.locks import Held, TokenLock

    serial = run.renewal.token_serial
    try:
        lock = TokenLock(str(run.context.settings.home.locks), _name(serial), str(os.getpid()))
    except Held as held:
        raise failures.held(str(held), serial) from None
    except OSError as error:
        raise failures.no_lock(error.strerror or "", serial) from error
    try:
        run.renewal = run.journal.get(run.renewal.id)
        yield
    finally:
        lock.release()


def under_way(context: Context, renewal: Renewal) -> bool:
    """Whether another run is at work on it, or on another renewal of its token, at this moment: nobody needs to carry it on."""
    from safetok.tokens.locks import held

    return held(str(context.settings.home.locks), _name(renewal.token_serial))


def _name(serial: str) -> str:
    return f"renewal of {serial}"
