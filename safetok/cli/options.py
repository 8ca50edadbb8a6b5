"""Options that several commands have: which token, certificate or company is meant, and where the PIN comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safetok.locale import later

Serial = Annotated[str | None, typer.Option("--serial", metavar="TOKEN", help=later("The token, by its Token ID."))]
KnownSerial = Annotated[
    str | None,
    typer.Option("--serial", metavar="TOKEN", help=later("The token, by its Token ID; it need not be plugged in.")),
]
Cert = Annotated[str | None, typer.Option("--cert", metavar="SERIAL", help=later("The certificate, by its serial."))]
Mst = Annotated[str | None, typer.Option("--mst", metavar="MST", help=later("The company, by its tax code."))]

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
