from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from support_sandbox import NOW, Ca, Client, certificate, entry, issued, pki, start

from safetok.sandbox.pki import LCS, ROOT, SAFE_NEW, SAFE_OLD

STORIES = ("v1-owed", "suspended", "revoked")


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return start(tmp_path, *STORIES)


def asked(
    ca: Ca, cert: x509.Certificate, issuer: str, algorithm: hashes.HashAlgorithm, nonce: bytes = b""
) -> ocsp.OCSPResponse:
    builder = ocsp.OCSPRequestBuilder().add_certificate(cert, pki().issuers[issuer].certificate, algorithm)
    if nonce:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return ocsp.load_der_ocsp_response(ca.status.ocsp(builder.build().public_bytes(Encoding.DER), ca.now))


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()], ids=["sha1", "sha256"])
@pytest.mark.parametrize(
    ("story", "issuer", "status", "reason"),
    [
        ("v1-owed", SAFE_OLD, ocsp.OCSPCertStatus.GOOD, None),
        ("suspended", LCS, ocsp.OCSPCertStatus.REVOKED, x509.ReasonFlags.certificate_hold),
        ("revoked", SAFE_OLD, ocsp.OCSPCertStatus.REVOKED, x509.ReasonFlags.privilege_withdrawn),
        ("v2-owed", SAFE_OLD, ocsp.OCSPCertStatus.UNKNOWN, None),
    ],
)
def test_ocsp_tells_each_standing_signed_by_the_issuer(
    ca: Ca,
    story: str,
    issuer: str,
    status: ocsp.OCSPCertStatus,
    reason: x509.ReasonFlags | None,
    algorithm: hashes.HashAlgorithm,
) -> None:
    """Good, hold, revoked and unknown, by SHA-1 and SHA-256 certIDs, with the nonce that was sent."""
    answer = asked(ca, certificate(story), issuer, algorithm, nonce=b"n" * 16)
    assert answer.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    assert (answer.certificate_status, answer.revocation_reason) == (status, reason)
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 16
    assert answer.hash_algorithm.name == algorithm.name
    assert answer.this_update_utc <= NOW < (answer.next_update_utc or NOW)
    signer = pki().issuers[issuer].certificate.public_key()
    signer.verify(answer.signature, answer.tbs_response_bytes, *_scheme())  # type: ignore[union-attr,call-arg]


def _scheme() -> tuple[object, object]:
    from cryptography.hazmat.primitives.asymmetric import padding

    return padding.PKCS1v15(), hashes.SHA256()


def test_a_certificate_named_under_another_issuer_is_unknown(ca: Ca) -> None:
    """A serial of one CA says nothing about the same serial of another."""
    named = ocsp.OCSPRequestBuilder().add_certificate(
        certificate("not-owed"), pki().issuers[SAFE_NEW].certificate, hashes.SHA256()
    )
    other = ocsp.load_der_ocsp_request(named.build().public_bytes(Encoding.DER))
    mixed = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        other.issuer_name_hash, other.issuer_key_hash, certificate("v1-owed").serial_number, hashes.SHA256()
    )
    answer = ocsp.load_der_ocsp_response(ca.status.ocsp(mixed.build().public_bytes(Encoding.DER), NOW))
    assert answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN


def test_a_foreign_issuer_and_garbage_get_no_status(ca: Ca) -> None:
    """unauthorized for a CA that is not ours, malformedRequest for bytes that are no request."""
    foreign = ocsp.OCSPRequestBuilder().add_certificate_by_hash(bytes(32), bytes(32), 5, hashes.SHA256()).build()
    answer = ocsp.load_der_ocsp_response(ca.status.ocsp(foreign.public_bytes(Encoding.DER), NOW))
    assert answer.response_status is ocsp.OCSPResponseStatus.UNAUTHORIZED
    for raw in (b"", b"\x30\x00", b"x" * 100):
        answer = ocsp.load_der_ocsp_response(ca.status.ocsp(raw, NOW))
        assert answer.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_a_new_certificate_is_good_and_revoked_once_it_is_undone(ca: Ca) -> None:
    """OCSP and the CRL follow the renewal: good as soon as issued, revoked after the confirm time-out."""
    answer = ca.say(Client("v1-owed").kur())
    new = x509.load_der_x509_certificate(issued(answer))
    assert asked(ca, new, SAFE_NEW, hashes.SHA256()).certificate_status is ocsp.OCSPCertStatus.GOOD
    ca.now += timedelta(days=2)
    assert asked(ca, new, SAFE_NEW, hashes.SHA256()).certificate_status is ocsp.OCSPCertStatus.REVOKED
    crl = x509.load_der_x509_crl(ca.status.crl(SAFE_NEW, ca.now) or b"")
    assert crl.get_revoked_certificate_by_serial_number(new.serial_number) is not None


def test_the_crl_lists_holds_and_revocations_with_their_reasons(ca: Ca) -> None:
    """Each CA signs its own list; the root's comes as PEM, as the real one does; a CA that is not there has none."""
    crl = x509.load_der_x509_crl(ca.status.crl(LCS, NOW) or b"")
    assert crl.is_signature_valid(pki().issuers[LCS].certificate.public_key())  # type: ignore[arg-type]
    held = crl.get_revoked_certificate_by_serial_number(int(entry("suspended").serial, 16))
    assert held is not None
    assert held.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.certificate_hold
    old = x509.load_der_x509_crl(ca.status.crl(SAFE_OLD, NOW) or b"")
    assert [row.serial_number for row in old] == [int(entry("revoked").serial, 16)]
    assert (ca.status.crl(ROOT, NOW) or b"").startswith(b"-----BEGIN X509 CRL")
    assert ca.status.crl("nobody", NOW) is None
