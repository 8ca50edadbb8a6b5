"""Whether a certificate is revoked or suspended: OCSP first, the CA's list where that gives no answer, never good on doubt."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from safetok.domain.certificates import Certificate
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.times import show_instant
from safetok.errors import NotChecked, SafetokError
from safetok.locale import _
from safetok.trust import aia, ocsp
from safetok.trust.bundle import UNREADABLE, readable
from safetok.trust.path import issuer_of

if TYPE_CHECKING:
    from safetok.net import Http


def check(
    certificate: Certificate,
    *,
    issuers: Sequence[Certificate],
    http: Http,
    now: datetime,
    private_addresses: bool = False,
    cache: Path | None = None,
    random: Callable[[int], bytes] = os.urandom,
    post: bool = True,
    fresh: bool = False,
) -> Revocation:
    """Good, suspended, revoked, or unknown with the reason why it could not be checked. Never raises for doubt.

    The issuer is the one of `issuers` whose key signed the certificate, else one fetched from AIA; addresses come from the
    certificate alone. An expired certificate is never good, since CAs drop expired ones from their answers: only a revocation
    still announced is told, anything else is unknown. Unknown with the source "ocsp" is the CA's own word.
    A dry run gives `post=False` (OCSP by GET) and no `cache`. With `fresh` lists are fetched though one is kept that holds still.
    """
    try:
        subject = certificate.x509()
        issuer = _issuer(certificate, subject, issuers, http, private_addresses=private_addresses)
        asking = ocsp.Asking(
            issuer=issuer, http=http, now=now, random=random, private_addresses=private_addresses, post=post
        )
        answer = _ask(subject, asking, cache, fresh=fresh)
    except UNREADABLE:
        answer = _unknown(_("The certificate's own extensions cannot be read."), now)
    except NotChecked as error:
        answer = _unknown(error.message, now, source="ocsp" if error.code == "ocsp_unknown" else "")
    if now > certificate.not_after and answer.answer in {RevocationAnswer.GOOD, RevocationAnswer.UNKNOWN}:
        return _unknown(
            _("The certificate expired at {when}: CAs no longer answer for expired ones.").format(
                when=show_instant(certificate.not_after)
            ),
            now,
        )
    return answer


def _issuer(
    certificate: Certificate,
    subject: x509.Certificate,
    issuers: Sequence[Certificate],
    http: Http,
    *,
    private_addresses: bool,
) -> x509.Certificate:
    known = issuer_of(subject, (issuer.x509() for issuer in issuers if issuer.subject_der == certificate.issuer_der))
    if known is None:
        fetched = readable(aia.fetch_issuers(certificate, http=http, private_addresses=private_addresses))
        known = issuer_of(subject, fetched)
    if known is None:
        raise NotChecked(
            _("The certificate of the CA that issued it ({issuer}) is not at hand.").format(
                issuer=certificate.issuer_name
            ),
            code="no_issuer",
        )
    return known


def _ask(subject: x509.Certificate, asking: ocsp.Asking, cache: Path | None, *, fresh: bool) -> Revocation:
    doubts: list[NotChecked] = []
    for url in aia.urls(subject, AuthorityInformationAccessOID.OCSP):
        try:
            return ocsp.ask(subject, url, asking)
        except SafetokError as error:
            doubts.append(_doubt(error))
    from safetok.trust import crl  # where OCSP has answered, no list is needed

    for url in crl.urls(subject):
        try:
            answer = crl.ask(
                subject,
                asking.issuer,
                url,
                http=asking.http,
                now=asking.now,
                private_addresses=asking.private_addresses,
                cache=cache,
                fresh=fresh,
            )
        except SafetokError as error:
            doubts.append(_doubt(error))
            continue
        # A CA that says "I do not know this certificate" is not contradicted by a list that does not name it.
        if answer.answer is not RevocationAnswer.GOOD or all(doubt.code != "ocsp_unknown" for doubt in doubts):
            return answer
    if doubts:
        raise next((doubt for doubt in doubts if doubt.code == "ocsp_unknown"), doubts[0])
    raise NotChecked(_("The certificate names no place where its revocation can be asked about."), code="no_source")


def _doubt(error: SafetokError) -> NotChecked:
    return error if isinstance(error, NotChecked) else NotChecked(error.message, code=error.code)


def _unknown(reason: str, now: datetime, *, source: str = "") -> Revocation:
    return Revocation(answer=RevocationAnswer.UNKNOWN, checked_at=now, reason=reason, source=source)
