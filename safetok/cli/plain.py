"""The command lines met most often, understood without typer, which is a quarter of their time: `safetok` and `safetok status`
with plain switches, and `safetok batch run PLAN` as a scheduler calls it.

Whatever is not exactly one of these goes the usual way, where everything is understood, and complained of, as ever.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from safetok.cli.globals import flags

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_GLOBAL = {"--json": "json", "--quiet": "quiet", "-q": "quiet", "--non-interactive": "non_interactive"}
_OWN = {"--check": "check", "--refresh": "refresh"}
_JOBS = {str(number) for number in range(1, 65)}


def plain(argv: Sequence[str]) -> Callable[[], None] | None:
    """What runs this command line, with its flags noted; None when it is for typer."""
    if any(word == "--jobs" and after in _GLOBAL for word, after in pairwise(argv)):
        return None  # a switch where a number should be
    noted = {_GLOBAL[word] for word in argv if word in _GLOBAL}
    rest = [word for word in argv if word not in _GLOBAL]
    command = _batch_run(rest[2:]) if rest[:2] == ["batch", "run"] else _status(rest)
    if command is not None:
        for name in noted:
            setattr(flags(), name, True)
    return command


def _status(words: list[str]) -> Callable[[], None] | None:
    if words[:1] not in ([], ["status"]) or not {*words[1:]} <= {*_OWN}:
        return None
    from safetok.cli import status

    own = {_OWN[word]: True for word in words[1:]}
    return (lambda: status.status(**own)) if words else status.bare


def _batch_run(words: list[str]) -> Callable[[], None] | None:
    """PLAN, and at most how many at once: `--jobs N`."""
    jobs: dict[str, Any] = {}
    if "--jobs" in words[:-1]:
        at = words.index("--jobs")
        if words[at + 1] not in _JOBS:
            return None
        jobs = {"jobs": int(words[at + 1])}
        words = words[:at] + words[at + 2 :]
    if len(words) != 1 or words[0].startswith("-"):
        return None
    from pathlib import Path

    from safetok.cli import batch_run

    return lambda: batch_run.run_plan(Path(words[0]), **jobs)
