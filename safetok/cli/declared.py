"""Which commands there are: the module of each, and its one line of help."""

from __future__ import annotations

from safetok.locale import later
from safetok.records import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A top-level command: its module (imported when it is named), one line of help, and whether it has commands under it."""

    module: str
    help: str
    group: bool = False


# In the order a person meets them.
COMMANDS: dict[str, Entry] = {
    "status": Entry(
        "safetok.cli.status_command", later("What is due: tokens, certificates, agencies, timers, in one look.")
    ),
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
