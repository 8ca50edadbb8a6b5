from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from support_trust import DAY, NOW, OCSP_URL, Web, issue, key, places
from test_trust_answer import NEW_CA, renewed, verify
from test_trust_crl import HOLD, crl, entry, scope, verdict
from test_trust_ocsp import ISSUER, LEAF, responder

from safetok.domain.certificates import parse
from safetok.domain.revocation import RevocationAnswer
from safetok.errors import NotChecked, NotTrusted, UsageError
from safetok.trust.ocsp import read
from safetok.trust.revocation import check

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
NONCE = b"\x07" * 32
EXPECTED = (NotChecked, NotTrusted, UsageError)


def element(tag: int, content: bytes) -> bytes:
    """One DER element."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def signed(content: bytes, who: str) -> bytes:
    """SEQUENCE { content, ecdsa-with-SHA256, signature }: how certificates, lists and OCSP answers are all built."""
    signature = key(who).sign(content, ec.ECDSA(hashes.SHA256()))
    return element(0x30, content + ECDSA_SHA256 + element(0x03, b"\0" + signature))


def ocsp_answer(content: bytes) -> bytes:
    basic = element(0x04, signed(content, "SAFE-CA"))
    return element(
        0x30, b"\x0a\x01\x00" + element(0xA0, element(0x30, bytes.fromhex("06092b0601050507300101") + basic))
    )


def nonsense(content: bytes, count: int) -> Iterator[bytes]:
    """`count` copies with one or two bytes changed, the same ones at every run."""
    chance = random.Random(20240320)
    for _copy in range(count):
        bent = bytearray(content)
        for _change in range(chance.choice((1, 1, 2))):
            bent[chance.randrange(len(bent))] = chance.choice((0, 1, 5, 0x30, 0x80, 0xFF, chance.randrange(256)))
        yield bytes(bent)


def only_our_errors(work: Callable[[], object]) -> object:
    try:
        return work()
    except EXPECTED as error:
        return error.code


def test_well_signed_nonsense_of_a_responder_is_never_good() -> None:
    """Whatever an OCSP answer of "revoked" turns into under the CA's own signature: refused, or still revoked."""
    question = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(LEAF.x509(), ISSUER.x509(), hashes.SHA256())
        .add_extension(x509.OCSPNonce(NONCE), critical=False)
        .build()
    )
    revoked = responder(status=ocsp.OCSPCertStatus.REVOKED, since=NOW - DAY)(question.public_bytes(Encoding.DER))
    content = ocsp.load_der_ocsp_response(revoked).tbs_response_bytes

    def look(body: bytes) -> object:
        return read(body, LEAF.x509(), ISSUER.x509(), now=NOW, nonce=NONCE).answer

    assert look(ocsp_answer(content)) is RevocationAnswer.REVOKED
    for bent in nonsense(content, 400):
        assert only_our_errors(lambda bent=bent: look(ocsp_answer(bent))) is not RevocationAnswer.GOOD


def test_well_signed_nonsense_of_a_list_raises_nothing_foreign() -> None:
    """A bent revocation list is refused by our own errors, or is a list that says something else."""
    listed = crl(entry(HOLD), entry(serial=3), extensions=(scope(only_contains_user_certs=True),))
    content = x509.load_der_x509_crl(listed).tbs_certlist_bytes
    assert verdict(signed(content, "SAFE-CA")).answer is RevocationAnswer.SUSPENDED
    for bent in nonsense(content, 400):
        only_our_errors(lambda bent=bent: verdict(signed(bent, "SAFE-CA")))


def test_a_lying_ca_s_well_signed_nonsense_is_refused_or_is_what_was_asked_for() -> None:
    """A bent certificate under the right signature raises only our errors; accepted, it still has our key and subject."""
    good = renewed()
    for bent in nonsense(good.x509().tbs_certificate_bytes, 400):
        der = signed(bent, "SAFE-CA 2024")
        if isinstance(only_our_errors(lambda der=der: verify(parse(der))), tuple):
            accepted = parse(der)
            assert (accepted.spki, accepted.subject_der, accepted.is_ca) == (good.spki, good.subject_der, False)


@pytest.mark.parametrize("post", [True, False])
def test_a_bent_certificate_can_always_be_asked_about(post: bool) -> None:
    """The revocation of whatever still reads as a certificate is known or unknown, never an exception."""
    leaf = issue("X", "SAFE-CA 2024", key("leaf"), key("SAFE-CA 2024"), places())
    for bent in nonsense(leaf.x509().tbs_certificate_bytes, 200):
        try:
            certificate = parse(signed(bent, "SAFE-CA 2024"))
        except UsageError:
            continue
        web = Web({OCSP_URL: b"nonsense"})
        answer = check(certificate, issuers=[NEW_CA], http=web, now=NOW, post=post)  # type: ignore[arg-type]
        assert answer.answer is RevocationAnswer.UNKNOWN
