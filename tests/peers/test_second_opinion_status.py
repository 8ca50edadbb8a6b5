"""What the sandbox CA says of its certificates, read by safetok and by pyhanko-certvalidator; the two must agree."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import support_second_path as second
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from support_sandbox import NOW, Ca, entry, pki, start

from safetok.domain.certificates import Certificate, parse
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.errors import NotChecked
from safetok.trust import crl
from safetok.trust import ocsp as ocsp_module

STORIES = {"v1-owed": "good", "suspended": "certificate_hold", "revoked": "privilege_withdrawn"}
LATER = NOW + timedelta(minutes=1)  # for pyhanko a revocation counts from the second after it
NONCE = b"\x21" * 32


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return start(tmp_path, *STORIES)


def certificates(story: str) -> tuple[Certificate, Certificate, Certificate]:
    """The subscriber's, its issuer's and the root's."""
    row = entry(story)
    root = pki().root.certificate.public_bytes(serialization.Encoding.DER)
    return parse(row.der), parse(pki().issuers[row.issuer].der), parse(root)


def in_their_words(found: Revocation) -> str:
    if found.answer is RevocationAnswer.GOOD:
        return "good"
    assert (found.answer is RevocationAnswer.SUSPENDED) == (found.reason == "certificateHold")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in found.reason or "")


@pytest.mark.parametrize("story", STORIES)
def test_ocsp_read_by_two(ca: Ca, story: str) -> None:
    """Good, held and revoked, from the responder's own bytes."""
    leaf, issuer, root = certificates(story)
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf.x509(), issuer.x509(), hashes.SHA256())
    asked = builder.add_extension(x509.OCSPNonce(NONCE), critical=False).build()
    answer = ca.status.ocsp(asked.public_bytes(serialization.Encoding.DER), NOW)
    ours = ocsp_module.read(answer, leaf.x509(), issuer.x509(), now=LATER, nonce=NONCE)
    assert in_their_words(ours) == second.revocation(leaf, issuer, root, LATER, ocsps=[answer]) == STORIES[story]


@pytest.mark.parametrize("story", STORIES)
def test_a_list_read_by_two(ca: Ca, story: str) -> None:
    """The same from the CA's list."""
    leaf, issuer, root = certificates(story)
    listed = ca.status.crl(entry(story).issuer, NOW)
    assert listed is not None
    ours = crl.read(listed, leaf.x509(), issuer.x509(), now=LATER)
    assert in_their_words(ours) == second.revocation(leaf, issuer, root, LATER, crls=[listed]) == STORIES[story]


def test_another_ca_s_list_says_nothing_to_either(ca: Ca) -> None:
    """The list of the same company's newer CA is no answer about a certificate of the older one."""
    leaf, issuer, root = certificates("v1-owed")
    listed = ca.status.crl("safe-ca-2024", NOW)
    assert listed is not None
    with pytest.raises(NotChecked):
        crl.read(listed, leaf.x509(), issuer.x509(), now=LATER)
    assert second.revocation(leaf, issuer, root, LATER, crls=[listed]) == "unknown"
