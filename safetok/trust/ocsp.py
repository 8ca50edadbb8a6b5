"""What an OCSP responder says of one certificate, and whether it may be believed (RFC 6960, nonces of RFC 9654)."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.errors import NotChecked
from safetok.locale import _
from safetok.records import dataclass
from safetok.trust.bundle import UNREADABLE
from safetok.trust.path import may, signed_by

if TYPE_CHECKING:
    from safetok.net import Http

LARGEST = 64 << 10  # bytes of a response: one with a delegate's certificate has about 2,000
SKEW = timedelta(minutes=5)  # clocks of responder and user may differ by this much
AGE_WITHOUT_END = timedelta(hours=1)  # the oldest thisUpdate believed where neither nextUpdate nor our nonce bounds it
NONCE = 32  # bytes (RFC 9654 2.1)

_SHA2 = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_HELD = (x509.ReasonFlags.certificate_hold,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One question's surroundings: who issued, how to reach the responder, when, and chance for the nonce.

    `post` False asks by GET (RFC 6960 A.1), for a dry run.
    """

    issuer: x509.Certificate
    http: Http
    now: datetime
    random: Callable[[int], bytes]
    private_addresses: bool = False
    post: bool = True


def ask(certificate: x509.Certificate, url: str, asking: Asking) -> Revocation:
    """The responder's answer: good, suspended (certificateHold) or revoked.

    The certificate is named by SHA-256; a responder that does not know it by that name is asked again by SHA-1. Raises
    NotChecked for everything else: not reached, refused, not rightly signed, of another certificate, stale, from the
    future, not our nonce; code `ocsp_unknown` when a rightly signed answer says that the CA does not know the certificate.
    """
    try:
        return _ask(certificate, url, asking, hashes.SHA256())
    except NotChecked as error:
        if error.code not in {"ocsp_refused", "ocsp_unknown", "ocsp_other_certificate"}:
            raise
        first = error
    try:
        return _ask(certificate, url, asking, hashes.SHA1())  # noqa: S303  (names a certificate, protects nothing)
    except NotChecked:
        if first.code == "ocsp_unknown":  # a word of the CA; what went wrong afterwards does not unsay it
            raise first from None
        raise


def _ask(certificate: x509.Certificate, url: str, asking: Asking, named_by: hashes.HashAlgorithm) -> Revocation:
    nonce = asking.random(NONCE)
    question = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(certificate, asking.issuer, named_by)
        .add_extension(x509.OCSPNonce(nonce), critical=False)
        .build()
        .public_bytes(serialization.Encoding.DER)
    )
    headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    method, body = "POST", question
    if not asking.post:
        method, body = "GET", b""
        url = f"{url.rstrip('/')}/{urllib.parse.quote(base64.b64encode(question), safe='')}"
    answer = asking.http.public(
        method, url, body=body, headers=headers, private_addresses=asking.private_addresses, limit=LARGEST
    )
    if answer.status != 200:  # noqa: PLR2004  (HTTP OK)
        raise NotChecked(
            _("The OCSP responder answered HTTP {status}.").format(status=answer.status), code="ocsp_unreachable"
        )
    return read(answer.body, certificate, asking.issuer, now=asking.now, nonce=nonce)


def read(
    body: bytes, certificate: x509.Certificate, issuer: x509.Certificate, *, now: datetime, nonce: bytes | None
) -> Revocation:
    """The same from the response's bytes. Raises NotChecked with the code of the first check that failed."""
    try:
        response = ocsp.load_der_ocsp_response(body)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise NotChecked(
                _("The OCSP responder refuses to answer ({status}).").format(
                    status=response.response_status.name.lower()
                ),
                code="ocsp_refused",
            )
        _check_signer(response, issuer, now)
        _check_understood(response)
        fresh = _check_nonce(response, nonce)
        return _verdict(_of(certificate, issuer, response), now, fresh=fresh)
    except UNREADABLE as error:
        raise NotChecked(_("The OCSP answer cannot be read."), code="ocsp_malformed") from error


def _check_signer(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    """RFC 6960 4.2.2.2: the issuer itself, or whom the issuer's key itself made a responder."""
    for signer in (issuer, *response.certificates):
        if _is_named(signer, response) and (signer == issuer or _is_delegate(signer, issuer, now)):
            try:
                _verify(signer, response)
            except InvalidSignature:
                continue
            return
    raise NotChecked(_("The OCSP answer is not signed by the CA or by whom it appointed."), code="ocsp_not_signed")


def _is_named(signer: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    if response.responder_name is not None:
        return response.responder_name == signer.subject
    return response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(signer.public_key()).digest


def _is_delegate(signer: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    if now + SKEW < signer.not_valid_before_utc or now > signer.not_valid_after_utc:
        return False
    try:
        usages = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usages and may(signer, "digital_signature") and signed_by(signer, issuer)


def _verify(signer: x509.Certificate, response: ocsp.OCSPResponse) -> None:
    """Raises InvalidSignature; also for hashes older than SHA-2 and for key types no CA signs with."""
    key, signature, signed = signer.public_key(), response.signature, response.tbs_response_bytes
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(signature, signed)
        return
    if isinstance(key, rsa.RSAPublicKey) and response.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS:
        from safetok.trust.pss import scheme_of

        key.verify(signature, signed, *scheme_of(response.public_bytes(serialization.Encoding.DER)))
        return
    algorithm = response.signature_hash_algorithm
    if not isinstance(algorithm, _SHA2):
        raise InvalidSignature
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(algorithm))
    else:
        raise InvalidSignature


def _check_understood(response: ocsp.OCSPResponse) -> None:
    """RFC 6960 4.4: what is marked critical must be known. Extensions of one answer among several are not to be had."""
    found = [*response.extensions, *(response.single_extensions if len(list(response.responses)) == 1 else ())]
    if any(extension.critical and not isinstance(extension.value, x509.OCSPNonce) for extension in found):
        raise NotChecked(_("The OCSP answer has a part that safetok does not know."), code="ocsp_not_understood")


def _check_nonce(response: ocsp.OCSPResponse, nonce: bytes | None) -> bool:
    """Whether our nonce came back. Many responders prepare answers and send none: then the dates alone bound the age."""
    try:
        found = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return False
    if nonce is not None and found != nonce:
        raise NotChecked(_("The OCSP answer is to another question (nonce)."), code="ocsp_nonce")
    return nonce is not None


def _of(
    certificate: x509.Certificate, issuer: x509.Certificate, response: ocsp.OCSPResponse
) -> ocsp.OCSPSingleResponse:
    """The newest single response whose certID is this certificate's, whatever hash names it."""
    ours = [single for single in response.responses if _names(single, certificate, issuer)]
    if not ours:
        raise NotChecked(_("The OCSP answer is about another certificate."), code="ocsp_other_certificate")
    return max(ours, key=lambda single: single.this_update_utc)


def _names(single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if single.serial_number != certificate.serial_number:
        return False
    expected = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, single.hash_algorithm).build()
    return (single.issuer_name_hash, single.issuer_key_hash) == (expected.issuer_name_hash, expected.issuer_key_hash)


def _verdict(single: ocsp.OCSPSingleResponse, now: datetime, *, fresh: bool) -> Revocation:
    begins, ends = single.this_update_utc, single.next_update_utc
    if begins > now + SKEW:
        raise NotChecked(_("The OCSP answer is from the future: check this computer's clock."), code="ocsp_future")
    too_old = ends < now - SKEW if ends is not None else not fresh and begins < now - AGE_WITHOUT_END
    if too_old:
        raise NotChecked(_("The OCSP answer is out of date."), code="ocsp_stale")
    if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise NotChecked(_("The CA's OCSP responder does not know this certificate."), code="ocsp_unknown")
    if single.certificate_status is ocsp.OCSPCertStatus.GOOD:
        return Revocation(answer=RevocationAnswer.GOOD, checked_at=now, source="ocsp", produced_at=begins)
    reason = single.revocation_reason
    if reason is x509.ReasonFlags.remove_from_crl:
        raise NotChecked(_("The OCSP answer contradicts itself."), code="ocsp_malformed")
    return Revocation(
        answer=RevocationAnswer.SUSPENDED if reason in _HELD else RevocationAnswer.REVOKED,
        checked_at=now,
        reason=(reason or x509.ReasonFlags.unspecified).value,
        since=single.revocation_time_utc,
        source="ocsp",
        produced_at=begins,
    )
