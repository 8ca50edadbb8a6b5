from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from support_trust import ca

from safetok.errors import UsageError
from safetok.trust.bundle import MOST, read_certificates, readable


def test_every_wrapping_gives_the_same_certificates() -> None:
    """DER, PEM with text around it, and PKCS#7 in DER and PEM are read alike."""
    one, two = ca("Mot"), ca("Hai")
    pem = b"".join(b"subject=...\n" + c.x509().public_bytes(Encoding.PEM) for c in (one, two))
    pair = [one.x509(), two.x509()]
    assert read_certificates(one.der) == (one.der,)
    assert read_certificates(pem) == (one.der, two.der)
    for encoding in (Encoding.DER, Encoding.PEM):
        assert set(read_certificates(pkcs7.serialize_certificates(pair, encoding))) == {one.der, two.der}


@pytest.mark.parametrize(
    "body", [b"", b"<html>404</html>", b"0\x82", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_holds_no_certificate_says_so(body: bytes) -> None:
    """Nothing, a web page, and broken DER or PEM are refused with one code."""
    with pytest.raises(UsageError) as refused:
        read_certificates(body)
    assert refused.value.code == "no_certificate"


def test_unreadable_ones_are_passed_over_and_lists_are_bounded() -> None:
    """Nonsense among certificates hides nothing, and an endless list is cut."""
    one = ca("Mot")
    assert [c.serial_number for c in readable([b"nonsense", one.der, one.der])] == [one.x509().serial_number]
    assert readable([*[b"nonsense"] * MOST, one.der]) == []
