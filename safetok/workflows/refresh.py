"""Asks the CAs anew, for every certificate in use: is there an offer, is it revoked. What fails is told and stops nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from safetok.domain.companies import company_of
from safetok.domain.revocation import RevocationAnswer
from safetok.errors import CaUnreachable, CaWait, SafetokError
from safetok.locale import _
from safetok.workflows.check import ask_now, not_checked
from safetok.workflows.patience import Patience

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.certificates import Certificate
    from safetok.net import Http
    from safetok.workflows.context import Context


def refresh(context: Context, *, token_serial: str | None = None) -> tuple[SafetokError, ...]:
    """Ask for the current certificates of every known token (or one), keep the answers, and return what could not be asked.

    Of an old one with which an agency that has not learned the new one is still signed for, only revocation is asked.

    A server that cannot be reached is tried once in a run, not once for each certificate. An expired certificate is asked
    about, and that nobody answers for it is no failure. Each error has the token's serial, and the certificate's in `data`.
    """
    known = current_certificates(context, token_serial)
    current = {certificate.sha256 for _serial, certificate in known}
    known += [one for one in _still_signing(context, token_serial) if one[1].sha256 not in current]
    patience = Patience(context.http)
    failures: list[SafetokError] = []
    for serial, certificate in known:
        failures += _ask(context, serial, certificate, patience, offer=certificate.sha256 in current)
    return tuple(failures)


def _still_signing(context: Context, token_serial: str | None) -> list[tuple[str, Certificate]]:
    """The old certificates that agencies still know, unless they have expired, each with its token's serial."""
    from safetok.domain.registrations import NOT_LEARNED
    from safetok.store.inventory import Inventory
    from safetok.store.registrations import Registrations
    from safetok.workflows.agency_rules import signing_of

    inventory = Inventory(context.database)
    rows = Registrations(context.database).list(token=token_serial, state=NOT_LEARNED)
    old, _signing = signing_of(context, rows, inventory.known(row.certificate_sha256 for row in rows))
    found = {one.sha256: one for one in old.values() if context.now() < one.not_after}
    tokens = {sha256: [kept.token_serial for kept in inventory.by_serial(sha256)] for sha256 in found}
    return [(next(iter(tokens[sha256]), ""), certificate) for sha256, certificate in found.items()]


def current_certificates(context: Context, token_serial: str | None = None) -> list[tuple[str, Certificate]]:
    """Each token's certificate to sign with, one for each company, with the token's serial."""
    from safetok.domain.certificates import current
    from safetok.store.inventory import Inventory

    inventory = Inventory(context.database)
    found: list[tuple[str, Certificate]] = []
    for token in inventory.tokens():
        if token_serial is not None and token.serial != token_serial:
            continue
        companies: dict[str, list[Certificate]] = {}
        for kept in inventory.certificates(token.serial, gone=False):
            if not kept.certificate.is_ca:
                companies.setdefault(company_of(kept.certificate), []).append(kept.certificate)
        chosen = (current(group) for group in companies.values())
        found += [(token.serial, certificate) for certificate in chosen if certificate is not None]
    return found


def _ask(
    context: Context, serial: str, certificate: Certificate, patience: Patience, *, offer: bool
) -> list[SafetokError]:
    from safetok.store.settings import authority_of

    failures: list[SafetokError] = []
    try:
        authority = authority_of(certificate, context.settings)
        http = cast("Http", patience)
        answer = ask_now(context, certificate, authority, http=http)
        if answer.answer is RevocationAnswer.UNKNOWN and context.now() <= certificate.not_after:
            failures.append(not_checked(answer))
        if offer and authority is not None and authority.offers_url:
            _ask_for_offer(context, certificate, authority, http)
    except SafetokError as error:
        failures.append(error)
    for failure in failures:
        failure.token = failure.token or serial
        if isinstance(failure, CaUnreachable):
            failure.hint = failure.hint or _("Check the network, then run it again: safetok status --refresh")
        elif isinstance(failure, CaWait):
            failure.hint = failure.hint or _("Run it again then: safetok status --refresh")
        failure.data.setdefault("serial", certificate.serial)
    return failures


def _ask_for_offer(context: Context, certificate: Certificate, authority: Authority, http: Http) -> None:
    from safetok.ca.offers import public_offer
    from safetok.store.answers import Answers

    offer = public_offer(http, authority, certificate)
    if not context.dry_run:
        Answers(context.database).put_offer(certificate.sha256, offer, context.now())
