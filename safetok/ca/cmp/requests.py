"""What safetok says to a CA over CMP: the opening request, the question after it, the confirmation.

The form is RFC 9483's: sender and template carry the old certificate's subject, its SKI names the key that protects the
message, its own certificate comes first in extraCerts. The old key protects every message; the key the new certificate
is for proves itself in the request.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from cryptography import x509

from safetok.ca.cmp import der
from safetok.ca.cmp.endpoint import Endpoint
from safetok.ca.cmp.messages import (
    NONCE,
    build_body,
    build_header,
    general_name,
    read_message,
    status_info,
)
from safetok.ca.cmp.names import OLD_CERT_ID, PVNO_2, PVNO_3
from safetok.ca.cmp.protection import (
    SigningKey,
    algorithm_for,
    certificate_hash,
    hash_for_confirmation,
    protect,
    sign,
)
from safetok.domain.authorities import RequestKind
from safetok.domain.certificates import Certificate, extension
from safetok.records import dataclass

Random = Callable[[int], bytes]

_REJECTION = 2  # PKIStatus


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
        body = build_body("p10cr", _pkcs10(old, new_spki, new_key, pss=endpoint.pss))
    else:
        body = build_body(kind, _cert_req_messages(kind, old, new_spki, new_key, not_after, pss=endpoint.pss))
    message = _protected(
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
    return Opening(der=message, transaction_id=transaction_id, sender_nonce=nonce)


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
    message = _protected(
        build_body("pollReq", der.sequence(der.sequence(der.integer(number)))),
        old=old,
        old_key=old_key,
        endpoint=endpoint,
        now=now,
        transaction_id=transaction_id,
        sender_nonce=nonce,
        recip_nonce=recip_nonce,
    )
    return message, nonce


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
    number = first_cert_req_id(endpoint.request) if cert_req_id is None else cert_req_id
    extended = identifier is not None and hash_alg
    status = der.sequence(
        der.octets(certificate_hash(certificate, algorithm)),
        der.integer(number),
        b"" if accept else status_info(_REJECTION, text, fail_info),
        der.explicit(0, identifier) if identifier is not None and extended else b"",
    )
    return _protected(
        build_body("certConf", der.sequence(status)),
        old=old,
        old_key=old_key,
        endpoint=endpoint,
        now=now,
        transaction_id=transaction_id,
        sender_nonce=random(NONCE),
        recip_nonce=recip_nonce,
        pvno=PVNO_3 if extended else PVNO_2,
    )


def sender_nonce_of(message: bytes) -> bytes:
    """The senderNonce of a message of ours, so that a stored one needs nothing beside it. Raises NoAnswer for other bytes."""
    return read_message(message).header.sender_nonce


def _protected(
    body: bytes, *, old: Certificate, old_key: SigningKey, endpoint: Endpoint, now: datetime, **header: Any
) -> bytes:
    chain = [issuer.der for issuer in endpoint.issuers if issuer.subject_der == old.issuer_der]
    built = build_header(
        sender=old.subject_der,
        recipient=endpoint.recipient or old.issuer_der,
        now=now,
        algorithm=algorithm_for(old_key, pss=endpoint.pss),
        sender_kid=_key_id(old.x509()),
        **header,
    )
    return protect(built, body, old_key, extra_certs=[old.der, *chain], pss=endpoint.pss)


def _key_id(certificate: x509.Certificate) -> bytes:
    """The SKI of a certificate, empty when it has none that can be read."""
    found = extension(certificate, x509.SubjectKeyIdentifier)
    return found.digest if found else b""


def _cert_req_messages(
    kind: RequestKind, old: Certificate, spki: bytes, key: SigningKey, not_after: datetime | None, *, pss: bool
) -> bytes:
    """CertReqMessages with one CertReqMsg (RFC 4211 section 3): its CertRequest, and the signature over that as proof."""
    validity = der.sequence(der.explicit(1, der.time(not_after))) if not_after is not None else b""
    template = der.sequence(
        der.implicit(4, validity), der.explicit(5, old.subject_der), der.implicit(6, spki)
    )  # fmt: skip
    controls = b""
    if kind == "kur":
        old_id = der.sequence(general_name(old.issuer_der), der.integer(int(old.serial, 16)))
        controls = der.sequence(der.sequence(der.oid(OLD_CERT_ID), old_id))
    request = der.sequence(der.integer(first_cert_req_id(kind)), template, controls)
    proof = der.sequence(algorithm_for(key, pss=pss), der.bits(sign(key, request, pss=pss)))
    return der.sequence(der.sequence(request, der.implicit(1, proof)))


def _pkcs10(old: Certificate, spki: bytes, key: SigningKey, *, pss: bool) -> bytes:
    """A CertificationRequest without attributes (RFC 2986 section 4)."""
    info = der.sequence(der.integer(0), old.subject_der, spki, der.tlv(0xA0, b""))
    return der.sequence(info, algorithm_for(key, pss=pss), der.bits(sign(key, info, pss=pss)))
