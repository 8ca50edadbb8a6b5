"""Options that several commands have: which token, certificate or company is meant, and where the PIN comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from safetok.errors import UsageError
from safetok.locale import _, later


def _typed(text: str) -> str:
    """A number as keys type it: pasted from a letter or a chat it may hold another dash, or what no eye sees."""
    from safetok.domain.cells import typed

    return text if text.isascii() else typed(text)


def _number(name: str, metavar: str, text: str) -> Any:
    return typer.Option(name, metavar=metavar, parser=_typed, help=text)


Serial = Annotated[str | None, _number("--serial", "TOKEN", later("The token, by its Token ID."))]
KnownSerial = Annotated[
    str | None, _number("--serial", "TOKEN", later("The token, by its Token ID; it need not be plugged in."))
]
Cert = Annotated[str | None, _number("--cert", "SERIAL", later("The certificate, by its serial."))]
Mst = Annotated[str | None, _number("--mst", "MST", later("The company, by its tax code."))]

PinStdin = Annotated[bool, typer.Option("--pin-stdin", help=later("Read the PIN from standard input, one line."))]
PinEnv = Annotated[
    str | None, typer.Option("--pin-env", metavar="NAME", help=later("Read the PIN from this environment variable."))
]
PinFile = Annotated[
    Path | None, typer.Option("--pin-file", metavar="FILE", help=later("Read the PIN from a file only you can read."))
]
PinAsIs = Annotated[
    bool, typer.Option("--pin-as-is", help=later("Send a PIN that does not look like this CA's without asking."))
]
ForceLastTry = Annotated[
    bool, typer.Option("--force-last-try", help=later("Use the last PIN try. A wrong one locks the token."))
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help=later("Say what would be done. No PIN, nothing sent, nothing written."))
]


def together(given: dict[str, bool], hint: str = "") -> None:
    """Raise UsageError `options_together` where more than one of these was given."""
    names = [name for name, set_ in given.items() if set_]
    if len(names) > 1:
        raise UsageError(
            _("{names} cannot be used together.").format(names=", ".join(names)),
            code="options_together",
            hint=hint or _("Use one of them."),
        )


def only_with(other: str, given: dict[str, bool]) -> None:
    """Raise UsageError `options_together` where one of these was given: without `other` it would change nothing."""
    names = [name for name, set_ in given.items() if set_]
    if names:
        raise UsageError(
            _("{names}: only with {other}.").format(names=", ".join(names), other=other), code="options_together"
        )
