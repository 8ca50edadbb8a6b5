"""`status` as typer declares it, for its help and for every command line that plain.py leaves alone."""

from __future__ import annotations

from typing import Annotated

import typer

from safetok.cli import status as looking
from safetok.cli.commands import Commands
from safetok.locale import later

app = Commands()

Refresh = Annotated[
    bool, typer.Option("--refresh", help=later("Ask the CAs first: offers and revocation (network, no PIN)."))
]
Check = Annotated[
    bool,
    typer.Option(
        "--check", help=later("For schedulers: end with 13, 6, 17, 14, 15 or 18 when something needs a person.")
    ),
]


@app.command(
    "status",
    help=later(
        "What is due, in one look: tokens, certificates, offers, agencies and their 24 hours. No network, no PIN."
    ),
)
def status(*, refresh: Refresh = False, check: Check = False) -> None:
    """Everything, for people or as data."""
    looking.status(refresh=refresh, check=check)
