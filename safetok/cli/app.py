"""The command line from its first word: which commands there are, and how a run begins and ends."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safetok.cli.globals import begin
from safetok.locale import later

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Entry:
    """A top-level command: its module (imported when it is named), one line of help, and whether it has commands under it."""

    module: str
    help: str
    group: bool = False


# In the order a person meets them.
COMMANDS: dict[str, Entry] = {
    "status": Entry("safetok.cli.status", later("What is due: tokens, certificates, agencies, timers, in one look.")),
    "tokens": Entry("safetok.cli.tokens", later("The USB tokens that are in: list, kind, notes."), group=True),
    "certs": Entry(
        "safetok.cli.certs", later("The certificates on the tokens: list, show, check, adopt, prune."), group=True
    ),
    "renew": Entry(
        "safetok.cli.renew", later("Top up the validity of a certificate to the contract end, on the token.")
    ),
    "batch": Entry(
        "safetok.cli.batch", later("Many tokens from one list: plan it, run it, carry it on, report it."), group=True
    ),
    "export": Entry(
        "safetok.cli.export", later("The new and the old certificate as files, with the fields agencies ask for.")
    ),
    "agencies": Entry(
        "safetok.cli.agencies", later("The agencies that must learn the new serial, and their 24 hours."), group=True
    ),
    "dossier": Entry(
        "safetok.cli.dossier", later("The papers LCS-CA must hold: what comes next, and until when."), group=True
    ),
    "contacts": Entry("safetok.cli.contacts", later("Whom to call or write to, as the CAs' notices print it.")),
    "watch": Entry("safetok.cli.watch", later("Announce each USB token as it is plugged in, and what is due for it.")),
    "pin": Entry(
        "safetok.cli.pin", later("A token's PIN: keep it in the computer's keyring, or change it."), group=True
    ),
    "history": Entry(
        "safetok.cli.history", later("The renewals so far, and the way each went: states, times, what it waited for.")
    ),
    "doctor": Entry(
        "safetok.cli.doctor", later("What keeps safetok from working here, and the one next step for each thing.")
    ),
    "config": Entry("safetok.cli.config", later("The settings in force, and where safetok keeps what.")),
    "sandbox": Entry(
        "safetok.cli.sandbox", later("A practice CA and practice tokens on this computer, and a demo."), group=True
    ),
}
VERSION_HELP = later("Show the version.")


def main(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name); returns the exit status and prints everything there is to print."""
    from safetok.cli.text import prepare

    prepare(sys.stdout)
    prepare(sys.stderr)
    begin(argv)
    if [word for word in argv if not word.startswith("--lang=")] in (["--help"], ["-h"]):
        from safetok.cli.help import root_help

        print(root_help())  # noqa: T201  (typer is not loaded for this)
        return 0
    from safetok.cli.run import guarded

    return guarded(argv)
