"""The command lines met most often, `safetok` and `safetok status` with plain switches, understood without typer: a quarter of
their time.

Whatever is not exactly one of these goes the usual way, where everything is understood, and complained of, as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.cli.globals import flags

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_GLOBAL = {"--json": "json", "--quiet": "quiet", "-q": "quiet", "--non-interactive": "non_interactive"}
_OWN = {"--check": "check", "--refresh": "refresh"}


def plain(argv: Sequence[str]) -> Callable[[], None] | None:
    """What runs this command line, with its flags noted; None when it is for typer."""
    named = False
    noted: set[str] = set()
    own: dict[str, bool] = {}
    for word in argv:
        if word in _GLOBAL:
            noted.add(_GLOBAL[word])
        elif word in _OWN and named:
            own[_OWN[word]] = True
        elif word == "status" and not named:
            named = True
        else:
            return None
    for name in noted:
        setattr(flags(), name, True)
    from safetok.cli import status

    return (lambda: status.status(**own)) if named else status.bare
