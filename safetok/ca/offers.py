"""What a CA proposes for one certificate: the public "there is something" (shape of RFC 9773) and the private offer behind the
token's proof.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
from cryptography import x509

from safetok.ca import problems, proof
from safetok.domain.authorities import Authority
from safetok.domain.certificates import Certificate, extension
from safetok.domain.offers import PrivateOffer, PublicOffer
from safetok.domain.times import rfc3339
from safetok.errors import CaUnreachable, CaWait, NoAnswer, PersonNeeded, UsageError
from safetok.locale import _

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    from safetok.net import Http, Response

Random = Callable[[int], bytes]
T = TypeVar("T")

LIMIT = 1 << 16  # bytes of an answer
_NONCE = 16
_OK = 200

_Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_Short = Annotated[str, msgspec.Meta(max_length=200)]


class _Window(msgspec.Struct):
    start: _Instant
    end: _Instant


class _Public(msgspec.Struct):
    offer: bool
    suggestedWindow: _Window | None = None  # noqa: N815  (the name in RFC 9773)


class _Private(msgspec.Struct):
    offer_id: _Short
    contract_number: _Short
    contract_end: date
    new_not_after: _Instant
    same_key: bool
    expires: _Instant


def cert_id(certificate: Certificate) -> str:
    """The CertID of RFC 9773 section 4.1: base64url of the AKI's key identifier, a full stop, base64url of the serial's DER
    contents, both without padding. Raises UsageError (`no_authority_key_id`) when the certificate has no AKI.
    """
    found = extension(certificate.x509(), x509.AuthorityKeyIdentifier)
    aki = found.key_identifier if found else None
    if not aki:
        raise UsageError(
            _("This certificate does not name its issuer's key; the CA cannot be asked for an offer."),
            code="no_authority_key_id",
        )
    number = int(certificate.serial, 16)
    return f"{_base64url(aki)}.{_base64url(number.to_bytes(number.bit_length() // 8 + 1, 'big'))}"


def public_offer(http: Http, authority: Authority, certificate: Certificate) -> PublicOffer:
    """Whether the CA has an offer for this certificate; needs no token. A certificate it does not know looks like one that is
    owed nothing. Raises CaUnreachable (NoAnswer among it), CaWait, PersonNeeded (`no_endpoint`).
    """
    url = f"{_base(authority)}/v1/renewal-info/{cert_id(certificate)}"
    response = http.ca("GET", url, headers={"Accept": "application/json"}, tls_ca=authority.tls_ca, limit=LIMIT)
    if response.status != _OK:
        raise problems.failure(response, title=authority.title, contact=authority.contacts.hotline)
    answer = decode(response.body, _Public)
    window = answer.suggestedWindow
    return PublicOffer(
        exists=answer.offer,
        window_start=_utc(window.start) if window else None,
        window_end=_utc(window.end) if window else None,
        retry_after=response.retry_after(),
    )


@contextmanager
def nothing_changed() -> Iterator[None]:
    """What a CA does not answer now can be asked again: the next step of an error that names none."""
    try:
        yield
    except (CaUnreachable, CaWait) as error:
        error.hint = error.hint or _("Nothing was asked for or changed. Run it again later.")
        raise


@nothing_changed()
def private_offer(
    http: Http,
    authority: Authority,
    certificate: Certificate,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    now: datetime,
    random: Random,
) -> PrivateOffer:
    """The offer in full, asked with a proof signed by `key`. Raises PersonNeeded (`contract_over`, `dossier_missing`), CaRefused,
    CertificateRevoked, CaUnreachable, CaWait, and what the key raises.
    """
    response = ask_with_proof(
        http, authority, certificate, key, path="/v1/offers", purpose="offer", now=now, random=random
    )
    answer = decode(response.body, _Private)
    return PrivateOffer(
        offer_id=answer.offer_id,
        contract_number=answer.contract_number,
        contract_end=answer.contract_end,
        new_not_after=_utc(answer.new_not_after),
        same_key=answer.same_key,
        expires=_utc(answer.expires),
    )


def ask_with_proof(
    http: Http,
    authority: Authority,
    certificate: Certificate,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    path: str,
    purpose: str,
    now: datetime,
    random: Random,
) -> Response:
    """The successful answer to a question signed by the token. Raises as `private_offer` does."""
    url = f"{_base(authority)}{path}"
    claims = {
        "aud": url,
        "purpose": purpose,
        "certID": cert_id(certificate),
        "nonce": _base64url(random(_NONCE)),
        "time": rfc3339(now),
        "statement": proof.STATEMENT,
    }
    response = http.ca(
        "POST",
        url,
        body=proof.sign(claims, certificate, key),
        headers={"Content-Type": proof.MEDIA_TYPE, "Accept": "application/json, application/problem+json"},
        tls_ca=authority.tls_ca,
        limit=LIMIT,
    )
    if response.status != _OK:
        raise problems.failure(response, title=authority.title, contact=authority.contacts.hotline)
    return response


def decode(body: bytes, kind: type[T]) -> T:
    """A JSON body as `kind`. Raises NoAnswer when it is none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _unreadable() from error


def _utc(instant: datetime) -> datetime:
    """A moment as the CA wrote it, in UTC. Raises NoAnswer for one at the very ends of the calendar."""
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise _unreadable() from error


def _unreadable() -> NoAnswer:
    return NoAnswer(_("What the CA's server sent cannot be read."), code="unreadable")


def _base(authority: Authority) -> str:
    if not authority.offers_url:
        raise PersonNeeded(
            _("The address where {title} answers about offers and dossiers is not known to safetok.").format(
                title=authority.title
            ),
            code="no_endpoint",
        )
    return authority.offers_url.rstrip("/")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
