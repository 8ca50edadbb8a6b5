import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from hypothesis import given
from hypothesis import strategies as st
from support_tokens import PrivateKey, spki_of

from safetok.tokens import der


def test_an_rsa_public_key_is_built_as_cryptography_builds_it(rsa_key: rsa.RSAPrivateKey) -> None:
    """CKA_MODULUS and CKA_PUBLIC_EXPONENT give the SubjectPublicKeyInfo that certificates carry, leading zeros or not."""
    numbers = rsa_key.public_key().public_numbers()
    for pad in (b"", b"\0"):
        assert der.rsa_spki(pad + numbers.n.to_bytes(256, "big"), numbers.e.to_bytes(3, "big")) == spki_of(rsa_key)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
@pytest.mark.parametrize("wrapped", [True, False])
def test_an_ec_public_key_is_built_from_both_forms_of_the_point(curve: ec.EllipticCurve, *, wrapped: bool) -> None:
    """CKA_EC_POINT as an OCTET STRING (the standard) and bare (some drivers) give the same SubjectPublicKeyInfo."""
    key = ec.generate_private_key(curve)
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    spki = spki_of(key)
    oid = bytes.fromhex("06072a8648ce3d0201")
    start = spki.index(oid) + len(oid)
    parameters = spki[start : start + 2 + spki[start + 1]]
    assert der.ec_spki(parameters, der.tlv(0x04, point) if wrapped else point) == spki


@given(st.integers(1, (1 << 256) - 1), st.integers(1, (1 << 256) - 1))
def test_an_ecdsa_signature_is_encoded_as_the_standard_says(r: int, s: int) -> None:
    """PKCS#11's r||s becomes the ECDSA-Sig-Value that cryptography decodes to the same numbers."""
    encoded = der.ecdsa_signature(r.to_bytes(32, "big") + s.to_bytes(32, "big"), 32)
    assert utils.decode_dss_signature(encoded) == (r, s)


def test_an_ecdsa_signature_that_is_encoded_already_stays_as_it_is() -> None:
    """A driver that answers DER, against the standard, is understood."""
    encoded = utils.encode_dss_signature(1 << 250, 1 << 251)
    assert der.ecdsa_signature(encoded, 32) == encoded


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512(), hashes.SHA224()])
def test_digest_info_is_what_pkcs1_signatures_hold(rsa_key: rsa.RSAPrivateKey, algorithm: hashes.HashAlgorithm) -> None:
    """The DigestInfo put before a digest is the one that a verifier finds in a PKCS#1 v1.5 signature."""
    signature = rsa_key.sign(b"x", padding.PKCS1v15(), algorithm)
    digest = hashes.Hash(algorithm)
    digest.update(b"x")
    recovered = rsa_key.public_key().recover_data_from_signature(signature, padding.PKCS1v15(), None)
    assert recovered == der.DIGEST_INFO[algorithm.name] + digest.finalize()


def test_keys_of_the_fixtures_are_private_keys(rsa_key: PrivateKey) -> None:
    """The shared key has the size that the notices' certificates have."""
    assert rsa_key.key_size == 2048
