"""Runs `safetok` on a pseudo-terminal and answers its questions as a person would."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Sequence

from support_cli import Cli, Said

WAIT = 30


def on_a_terminal(cli: Cli, *words: str, answers: Sequence[tuple[str, str]] = (), columns: int = 100) -> Said:
    """One run; each answer is typed once its question is shown, and every question must come. Both streams are `out`."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "safetok", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=cli.environment({"TERM": "xterm", "COLUMNS": str(columns), "NO_COLOR": "1"}),
        start_new_session=True,
    )
    os.close(theirs)
    shown, seen, waiting = "", 0, list(answers)
    while select.select([ours], [], [], WAIT)[0]:
        try:
            said = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        shown += said.decode("utf-8", "replace")
        if waiting and (at := shown.find(waiting[0][0], seen)) >= 0:
            seen = at + len(waiting[0][0])
            os.write(ours, f"{waiting.pop(0)[1]}\n".encode())
    os.close(ours)
    assert not waiting, shown
    return Said(running.wait(WAIT), shown.replace("\r\n", "\n"), "")
