"""The offer that a CA makes to the token itself; a refusal is remembered, so that `status` promises no offer after it."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from safetok.errors import PersonNeeded
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.offers import PrivateOffer
    from safetok.tokens.tokens import Session
    from safetok.workflows.context import Context
    from safetok.workflows.renew.eligibility import Eligible

REFUSALS = {"contract_over", "dossier_missing"}


def private_offer(context: Context, eligible: Eligible, session: Session) -> PrivateOffer:
    """What the CA offers this certificate. Raises as `offers.private_offer` does."""
    from safetok.ca import offers
    from safetok.store.answers import Answers

    answers, sha256 = Answers(context.database), eligible.certificate.sha256
    try:
        offer = offers.private_offer(
            context.http,
            eligible.authority,
            eligible.certificate,
            session.private_key(eligible.certificate.spki),
            now=context.now(),
            random=context.random,
        )
    except PersonNeeded as error:
        if error.code in REFUSALS:
            answers.set_refused(sha256, error.code)
        if error.code == "contract_over" and error.data.get("contract_end"):
            from safetok.store.inventory import Inventory

            over = date.fromisoformat(error.data["contract_end"])
            Inventory(context.database).set_contract_end(sha256, over, context.now())
        if error.code == "dossier_missing" and eligible.authority.dossier_lookup:
            error.hint = _papers(eligible.authority, eligible.certificate.serial)
            error.data["authority"] = eligible.authority.name  # ends with its support line
        raise
    answers.set_refused(sha256, "")
    return offer


def _papers(authority: Authority, serial: str) -> str:
    """Where the dossier is looked up, what being late comes to, and the first step."""
    from safetok.knowledge import load

    return _("Look it up at {url}. {late} Next: safetok dossier start --case papers-missing --cert {serial}").format(
        url=authority.dossier_lookup, late=load.dossier_said()["late"], serial=serial
    )
