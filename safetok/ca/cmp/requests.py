"""What safetok says to a CA over CMP: the opening request, the question after it, the confirmation, an error.

The form is RFC 9483's: sender and template carry the old certificate's subject, its SKI names the key that protects the
message, its own certificate comes first in extraCerts. The old key protects every message; the key the new certificate
is for proves itself in the request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from asn1crypto import core, x509

from safetok.ca.cmp.endpoint import Endpoint
from safetok.ca.cmp.messages import NONCE, build_header, read_message, subject_key_id
from safetok.ca.cmp.protection import (
    SigningKey,
    algorithm_for,
    certificate_hash,
    hash_for_confirmation,
    sign,
    sign_message,
)
from safetok.ca.cmp.structures import (
    OLD_CERT_ID,
    PVNO_2,
    PVNO_3,
    CertConfirmContent,
    CertId,
    CertificationRequest,
    CertificationRequestInfo,
    CertReqMessages,
    CertRequest,
    ErrorMsgContent,
    OpaqueSequence,
    PKIBody,
    PollReqContent,
    directory_name,
    opaque,
)
from safetok.ca.cmp.structures import (
    fail_info as fail_info_bits,
)
from safetok.domain.authorities import RequestKind
from safetok.domain.certificates import Certificate

Random = Callable[[int], bytes]

_REJECTION = 2  # PKIStatus
_FIRST_GENERALIZED = 2050  # RFC 5280 section 4.1.2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An opening message, and what its answer must repeat."""

    der: bytes
    transaction_id: bytes
    sender_nonce: bytes


def first_cert_req_id(kind: RequestKind) -> int:
    """The certReqId of a request's only certificate: 0, and -1 for a PKCS#10, which has no place for one (RFC 9483)."""
    return -1 if kind == "p10cr" else 0


def build_request(
    kind: RequestKind,
    *,
    old: Certificate,
    old_key: SigningKey,
    new_spki: bytes,
    new_key: SigningKey,
    not_after: datetime | None,
    endpoint: Endpoint,
    now: datetime,
    random: Random,
) -> Opening:
    """The message that asks for a new certificate (`kur`, `cr` or `p10cr`, RFC 9483 section 4.1).

    `new_spki` is the DER public key to certify and `new_key` its private key; with the same key they are the old ones.
    `not_after` goes into the template's validity; a PKCS#10 has no place for it. Raises what the keys raise.
    """
    transaction_id, nonce = random(NONCE), random(NONCE)
    if kind == "p10cr":
        body = PKIBody(name="p10cr", value=_pkcs10(old, new_spki, new_key))
    else:
        body = PKIBody(name=kind, value=_cert_req_messages(kind, old, new_spki, new_key, not_after))
    der = _protected(
        body,
        old=old,
        old_key=old_key,
        endpoint=endpoint,
        now=now,
        transaction_id=transaction_id,
        sender_nonce=nonce,
        implicit_confirm=endpoint.implicit_confirm,
        profile=endpoint.profile,
    )
    return Opening(der=der, transaction_id=transaction_id, sender_nonce=nonce)


def build_poll(
    *,
    old: Certificate,
    old_key: SigningKey,
    endpoint: Endpoint,
    transaction_id: bytes,
    recip_nonce: bytes,
    now: datetime,
    random: Random,
    cert_req_id: int | None = None,
) -> tuple[bytes, bytes]:
    """A pollReq and its senderNonce (RFC 9483 section 4.4). `recip_nonce` is the senderNonce of the CA's last message,
    `cert_req_id` the one it named; without it the request's own.
    """
    number = first_cert_req_id(endpoint.request) if cert_req_id is None else cert_req_id
    nonce = random(NONCE)
    der = _protected(
        PKIBody(name="pollReq", value=PollReqContent([{"certReqId": number}])),
        old=old,
        old_key=old_key,
        endpoint=endpoint,
        now=now,
        transaction_id=transaction_id,
        sender_nonce=nonce,
        recip_nonce=recip_nonce,
    )
    return der, nonce


def build_confirmation(
    *,
    old: Certificate,
    old_key: SigningKey,
    certificate: bytes,
    accept: bool,
    endpoint: Endpoint,
    transaction_id: bytes,
    recip_nonce: bytes,
    now: datetime,
    random: Random,
    fail_info: str = "",
    text: str = "",
    cert_req_id: int | None = None,
    hash_alg: bool = True,
) -> bytes:
    """A certConf for `certificate` (DER), accepting it, or rejecting it with `fail_info` (a PKIFailureInfo name).

    RFC 9810 section 5.3.18, RFC 9483 section 4.1.1. Where the certificate's signature names no hash (EdDSA), hashAlg is sent
    and pvno is 3; `hash_alg=False` leaves it out for a CA that refused the message because of it. `sender_nonce_of`
    gives the nonce that the answer must repeat.
    """
    algorithm, identifier = hash_for_confirmation(certificate)
    status: dict[str, Any] = {
        "certHash": certificate_hash(certificate, algorithm),
        "certReqId": first_cert_req_id(endpoint.request) if cert_req_id is None else cert_req_id,
    }
    if not accept:
        status["statusInfo"] = _status_info(fail_info, text)
    extended = identifier is not None and hash_alg
    if extended:
        status["hashAlg"] = identifier
    return _protected(
        PKIBody(name="certConf", value=CertConfirmContent([status])),
        old=old,
        old_key=old_key,
        endpoint=endpoint,
        now=now,
        transaction_id=transaction_id,
        sender_nonce=random(NONCE),
        recip_nonce=recip_nonce,
        pvno=PVNO_3 if extended else PVNO_2,
    )


def build_error(
    *,
    old: Certificate,
    old_key: SigningKey,
    endpoint: Endpoint,
    transaction_id: bytes,
    recip_nonce: bytes,
    fail_info: str,
    now: datetime,
    random: Random,
    text: str = "",
) -> bytes:
    """An error message that ends a transaction (RFC 9483 section 3.6.2)."""
    return _protected(
        PKIBody(name="error", value=ErrorMsgContent({"pKIStatusInfo": _status_info(fail_info, text)})),
        old=old,
        old_key=old_key,
        endpoint=endpoint,
        now=now,
        transaction_id=transaction_id,
        sender_nonce=random(NONCE),
        recip_nonce=recip_nonce,
    )


def sender_nonce_of(der: bytes) -> bytes:
    """The senderNonce of a message of ours, so that a stored one needs nothing beside it. Raises NoAnswer for other bytes."""
    return read_message(der).header.sender_nonce


def _protected(
    body: PKIBody, *, old: Certificate, old_key: SigningKey, endpoint: Endpoint, now: datetime, **header: Any
) -> bytes:
    chain = [issuer.der for issuer in endpoint.issuers if issuer.subject_der == old.issuer_der]
    return sign_message(
        build_header(
            sender=old.subject_der,
            recipient=endpoint.recipient or old.issuer_der,
            now=now,
            sender_kid=_key_id(old.der),
            **header,
        ),
        body,
        old_key,
        extra_certs=[old.der, *chain],
    )


@lru_cache(maxsize=64)
def _key_id(der: bytes) -> bytes:
    return subject_key_id(x509.Certificate.load(der))


def _cert_req_messages(
    kind: RequestKind, old: Certificate, spki: bytes, key: SigningKey, not_after: datetime | None
) -> CertReqMessages:
    template: dict[str, Any] = {"subject": opaque(old.subject_der), "publicKey": opaque(spki)}
    if not_after is not None:
        template["validity"] = {"notAfter": _time(not_after)}
    request: dict[str, Any] = {"certReqId": first_cert_req_id(kind), "certTemplate": template}
    if kind == "kur":
        old_id = CertId({"issuer": directory_name(old.issuer_der), "serialNumber": int(old.serial, 16)})
        request["controls"] = [{"type": OLD_CERT_ID, "value": core.Any(old_id)}]
    cert_request = CertRequest(request)
    popo = {
        "algorithmIdentifier": algorithm_for(key),
        "signature": core.OctetBitString(sign(key, cert_request.dump())),
    }
    return CertReqMessages([{"certReq": cert_request, "popo": {"signature": popo}}])


def _pkcs10(old: Certificate, spki: bytes, key: SigningKey) -> OpaqueSequence:
    info = CertificationRequestInfo(
        {"version": 0, "subject": opaque(old.subject_der), "subjectPKInfo": opaque(spki), "attributes": []}
    )
    request = CertificationRequest(
        {
            "certificationRequestInfo": info,
            "signatureAlgorithm": algorithm_for(key),
            "signature": core.OctetBitString(sign(key, info.dump())),
        }
    )
    return opaque(request.dump())


def _status_info(fail_info: str, text: str) -> dict[str, Any]:
    info: dict[str, Any] = {"status": _REJECTION}
    if text:
        info["statusString"] = [text]
    if fail_info:
        info["failInfo"] = fail_info_bits({fail_info})
    return info


def _time(instant: datetime) -> x509.Time:
    instant = instant.astimezone(UTC).replace(microsecond=0)
    if instant.year < _FIRST_GENERALIZED:
        return x509.Time(name="utc_time", value=x509.UTCTime(instant))
    return x509.Time(name="general_time", value=core.GeneralizedTime(instant))
