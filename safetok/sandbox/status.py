"""What the sandbox CA says of its certificates to anybody: OCSP (RFC 6960, nonces of RFC 9654) and CRLs (RFC 5280)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from asn1crypto import keys as asn1_keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from safetok.sandbox.books import Books, Entry
from safetok.sandbox.pki import Issuer, Pki

FRESH = timedelta(hours=1)  # how long an answer may be kept

_REASONS = {
    "certificateHold": x509.ReasonFlags.certificate_hold,
    "privilegeWithdrawn": x509.ReasonFlags.privilege_withdrawn,
    "cessationOfOperation": x509.ReasonFlags.cessation_of_operation,
}
_HASHES: dict[str, hashes.HashAlgorithm] = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256()}  # noqa: S303  (names, not signatures: RFC 6960 certIDs)


@dataclass(frozen=True, slots=True)
class StatusService:
    """The responder: each issuing CA answers for its own certificates with its own key."""

    pki: Pki
    books: Books

    def ocsp(self, request_der: bytes, now: datetime) -> bytes:
        """The OCSPResponse for an OCSPRequest with one certID (SHA-1 or SHA-256); malformedRequest where it cannot be read."""
        try:
            request = ocsp.load_der_ocsp_request(request_der)
            algorithm = _HASHES.get(request.hash_algorithm.name)
            serial = request.serial_number
            named = request.issuer_name_hash, request.issuer_key_hash
        except (ValueError, TypeError, NotImplementedError):
            return _failure(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        issuer = self._named(named, algorithm)
        if issuer is None or algorithm is None:
            return _failure(ocsp.OCSPResponseStatus.UNAUTHORIZED)
        entry = self.books.entry(_hex(serial), now)
        if entry is not None and entry.issuer != issuer.name:
            entry = None
        builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
            issuer_name_hash=named[0],
            issuer_key_hash=named[1],
            serial_number=serial,
            algorithm=algorithm,
            this_update=now,
            next_update=now + FRESH,
            **_standing(entry),
        )
        for extension in request.extensions:
            if isinstance(extension.value, x509.OCSPNonce):
                builder = builder.add_extension(extension.value, critical=False)
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
        builder = builder.certificates([issuer.certificate])
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def crl(self, name: str, now: datetime) -> bytes | None:
        """The CRL of one CA; None when there is no such CA. The root's is PEM, as the real one is served."""
        issuer = self.pki.root if name == self.pki.root.name else self.pki.issuers.get(name)
        if issuer is None:
            return None
        self.books.settle(now)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(now)
            .next_update(now + FRESH)
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                    x509.SubjectKeyIdentifier(issuer.key_identifier)
                ),
                critical=False,
            )
        )
        for entry in tuple(self.books.entries.values()):
            if entry.issuer == name and entry.standing != "good":
                builder = builder.add_revoked_certificate(_revoked(entry))
        form = serialization.Encoding.PEM if issuer is self.pki.root else serialization.Encoding.DER
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(form)

    def _named(self, named: tuple[bytes, bytes], algorithm: hashes.HashAlgorithm | None) -> Issuer | None:
        if algorithm is None:
            return None
        return next((i for i in self.pki.issuers.values() if _cert_id(i.certificate, algorithm.name) == named), None)


@cache
def _cert_id(issuer: x509.Certificate, algorithm: str) -> tuple[bytes, bytes]:
    """IssuerNameHash and issuerKeyHash, RFC 6960 section 4.1.1: the hash of the name's DER, and of the key's bits."""
    spki = issuer.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    bits = bytes(asn1_keys.PublicKeyInfo.load(spki)["public_key"])
    name = issuer.subject.public_bytes()
    return hashlib.new(algorithm, name).digest(), hashlib.new(algorithm, bits).digest()


def _standing(entry: Entry | None) -> dict[str, Any]:
    if entry is None:
        status, since, reason = ocsp.OCSPCertStatus.UNKNOWN, None, None
    elif entry.standing == "good":
        status, since, reason = ocsp.OCSPCertStatus.GOOD, None, None
    else:
        status, since, reason = ocsp.OCSPCertStatus.REVOKED, entry.since, _REASONS.get(entry.reason)
    return {"cert_status": status, "revocation_time": since, "revocation_reason": reason}


def _revoked(entry: Entry) -> x509.RevokedCertificate:
    if entry.since is None:
        raise ValueError(entry.serial)
    builder = x509.RevokedCertificateBuilder().serial_number(int(entry.serial, 16)).revocation_date(entry.since)
    if reason := _REASONS.get(entry.reason):
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()


def _failure(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(serialization.Encoding.DER)


def _hex(serial: int) -> str:
    text = format(serial, "X")
    return text if len(text) % 2 == 0 else f"0{text}"
