"""Many things of one kind to do, told as one: an office with hundreds of tokens reads one sentence, not the same one for each."""

from __future__ import annotations

from collections.abc import Sequence

from safetok.errors import ExitStatus
from safetok.locale import _, later
from safetok.records import dataclass
from safetok.workflows.due import AFTERWARDS
from safetok.workflows.overview import Due

ALONE = 3  # up to so many of one kind are told one by one
NAMED = 6  # names told of a kind that can wait
CONTACTS = "safetok contacts"
PRESSING = frozenset(
    {"renewal_unfinished", "certificate_revoked", "certificate_suspended", "pin_locked", "pin_final_try"}
)

# What is said of several, and the command that is for all of them; empty where each has the same one anyhow.
_TOLD: dict[str, tuple[str, str]] = {
    "renewal_unfinished": (later("Companies whose top-ups are not finished: {companies}."), ""),
    "certificate_revoked": (
        later("{count} certificates were REVOKED: they can never be restored. safetok does not top them up."),
        "",
    ),
    "certificate_suspended": (later("{count} certificates are SUSPENDED. Do not sign with them."), ""),
    "pin_locked": (later("The PINs of {count} USB tokens are locked."), ""),
    "pin_final_try": (
        later("THERE MAY BE ONLY ONE TRY LEFT for the PINs of {count} tokens. One more wrong PIN locks a token."),
        "",
    ),
    "new_certificate": (later("Companies with new certificates: {companies}."), "safetok certs adopt"),
    "waits_for_mail": (later("{count} requests wait for the certificates that the CA sends by mail."), ""),
    "dossier_missing": (
        later("Companies whose top-ups the CA holds back, as their dossiers (on paper) are not complete: {companies}."),
        "safetok dossier list",
    ),
    "offer": (
        later(
            "Companies with a top-up offer: {companies}. The contract end is shown after the PIN and the acceptance."
        ),
        later("safetok batch plan LIST"),
    ),
    "owed": (
        later("Companies owed time, as their contracts go on after their certificates: {companies}."),
        later("safetok batch plan LIST"),
    ),
    "ask_the_ca": (
        later("{count} certificates end soon or have ended; their CA has not been asked yet whether time is owed."),
        "safetok status --refresh",
    ),
    "contract_end_unknown": (
        later(
            "{count} certificates issued before 06/02/2025 end soon or have ended, contract end not known: "
            "read the contracts."
        ),
        later("safetok batch plan LIST"),
    ),
    "contract_over": (
        later(
            "Companies whose contracts have ended: {companies}. No time is left to top up; to go on, the service is renewed."
        ),
        "safetok certs list",
    ),
    "expired": (later("{count} certificates have expired."), "safetok certs list"),
    "expiring": (later("{count} certificates end soon."), "safetok certs list"),
    "due_check": (
        later("At {count} agencies the wait is over. Check there, then record accepted or reject."),
        "safetok agencies remind",
    ),
    "rejected": (later("{count} updates were rejected by their agencies."), "safetok agencies remind"),
    "registrations_open": (
        later("Companies whose agencies do not know the new certificate yet (mandatory): {companies}."),
        "safetok agencies remind",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Things of one kind: one sentence, whom it is about (`names`, and how many `unnamed`), the command for all, and the one
    for a single one of them (`each`).
    """

    code: str
    text: str
    command: str
    exit_status: ExitStatus
    count: int
    names: tuple[str, ...] = ()
    unnamed: int = 0
    each: str = ""


def grouped(found: Sequence[Due]) -> tuple[Group, ...]:
    """In the order given; what is only few of its kind stays by itself. What CAs' support lines are for is kept apart by CA, and
    what is done in the vendor's program from what safetok does.
    """
    kinds: dict[tuple[str, str], list[Due]] = {}
    for one in found:
        apart = one.command.startswith(CONTACTS) or one.command == AFTERWARDS
        kinds.setdefault((one.code, one.command if apart else ""), []).append(one)
    told: list[Group] = []
    for (code, contacts), ones in kinds.items():
        if code in _TOLD and len(ones) > ALONE:
            told.append(_group(code, contacts, ones))
        else:
            told += [
                Group(code=code, text=one.whole, command=one.command, exit_status=one.exit_status, count=1)
                for one in ones
            ]
    return tuple(told)


def _group(code: str, contacts: str, ones: Sequence[Due]) -> Group:
    text, command = _TOLD[code]
    names = list(dict.fromkeys(one.name for one in ones if one.name))
    shown = names if code in PRESSING or len(names) <= NAMED + 1 else names[:NAMED]
    renewing = command == "safetok batch plan LIST" and not contacts
    companies = {one.mst or one.name for one in ones}
    said = _(text).format(count=len(ones), companies=len(companies))
    return Group(
        code=code,
        text=" ".join([said, *dict.fromkeys(one.remark for one in ones if one.remark)]),
        command=contacts or (_(command) if command else ones[0].command),
        exit_status=ones[0].exit_status,
        count=len(ones),
        names=tuple(shown),
        unnamed=len(names) - len(shown),
        each=_("safetok renew --serial TOKEN") if renewing else "",
    )
