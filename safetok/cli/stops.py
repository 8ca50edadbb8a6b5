"""Being stopped: Ctrl-C, SIGTERM and a terminal that is closed end a run in order, also while the program is still being loaded."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_held: list[int] = []
_early: list[int] = []


def hold_back() -> None:
    """Keep every one of them for `heed`: where modules are half imported nobody can answer. What is ignored (nohup) stays so."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _keep)
            _held.append(number)


def heed() -> None:
    """From now on each is a KeyboardInterrupt; one that has come already is one at once."""
    while _held:
        signal.signal(_held.pop(), signal.default_int_handler)
    sys.unraisablehook = _not_lost
    if _early:
        _early.clear()
        raise KeyboardInterrupt


def _keep(number: int, _frame: FrameType | None) -> None:
    _early.append(number)


def _not_lost(what: UnraisableHookArgs) -> None:
    """One that came where Python drops what is raised, within a callback of its imports say, comes again and is not printed."""
    if what.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(what)
        return
    import _thread  # `threading` may be what was being imported

    _thread.start_new_thread(_again, ())


def _again() -> None:
    import _thread
    import time

    time.sleep(0.01)  # by then the callback has ended
    _thread.interrupt_main()
