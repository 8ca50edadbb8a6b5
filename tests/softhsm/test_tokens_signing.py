"""Signatures by a key on a token: what a verifier accepts, whatever the token can do, and the key never leaves it."""

import os
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7
from support_tokens import MadeToken, SoftHsm, run, spki_of

from safetok.errors import NotTrusted
from safetok.tokens.tokens import Session, Tokens

Make = Callable[..., MadeToken]
Certify = Callable[..., x509.Certificate]


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512(), hashes.SHA224()])
def test_an_rsa_key_signs_what_a_verifier_accepts(
    session: Session, rsa_key: rsa.RSAPrivateKey, algorithm: hashes.HashAlgorithm
) -> None:
    """PKCS#1 v1.5 and PSS (each salt length), plain and over a digest made before."""
    key, public = session.private_key(spki_of(rsa_key)), rsa_key.public_key()
    assert isinstance(key, rsa.RSAPrivateKey)
    digest = hashes.Hash(algorithm)
    digest.update(b"data")
    before = digest.finalize()
    salts = (padding.PSS.DIGEST_LENGTH, padding.PSS.MAX_LENGTH, 20)
    schemes = [padding.PKCS1v15(), *(padding.PSS(padding.MGF1(algorithm), salt) for salt in salts)]
    for scheme in schemes:
        public.verify(key.sign(b"data", scheme, algorithm), b"data", scheme, algorithm)
        public.verify(key.sign(before, scheme, utils.Prehashed(algorithm)), b"data", scheme, algorithm)


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_an_ec_key_signs_what_a_verifier_accepts(
    session: Session, ec_key: ec.EllipticCurvePrivateKey, algorithm: hashes.HashAlgorithm
) -> None:
    """ECDSA as DER, also where the digest is longer than the curve's order."""
    key, public = session.private_key(spki_of(ec_key)), ec_key.public_key()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    public.verify(key.sign(b"data", ec.ECDSA(algorithm)), b"data", ec.ECDSA(algorithm))


def test_a_long_message_is_signed_whole(session: Session, rsa_key: rsa.RSAPrivateKey) -> None:
    """A message beyond every buffer's size goes through the pipe and the token unharmed."""
    data = os.urandom(1 << 20)
    key = session.private_key(spki_of(rsa_key))
    assert isinstance(key, rsa.RSAPrivateKey)
    rsa_key.public_key().verify(
        key.sign(data, padding.PKCS1v15(), hashes.SHA256()), data, padding.PKCS1v15(), hashes.SHA256()
    )


def test_cryptographys_own_builders_work_with_a_token_key(
    session: Session, rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey, make_certificate: Certify
) -> None:
    """A CSR, a certificate and a CMS SignedData are built by `cryptography` with keys that stay on the token."""
    for plain in (rsa_key, ec_key):
        key = session.private_key(spki_of(plain))
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        assert request.is_signature_valid
        certificate = make_certificate(key)
        certificate.verify_directly_issued_by(certificate)
        signed = pkcs7.PKCS7SignatureBuilder().set_data(b"{}").add_signer(certificate, key, hashes.SHA256())
        assert signed.sign(Encoding.DER, [])


def test_a_token_key_never_leaves(
    session: Session, rsa_key: rsa.RSAPrivateKey, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """Whatever asks for the private numbers, in whatever form, is refused; a copy is the same key."""
    import copy
    import pickle

    for plain in (rsa_key, ec_key):
        key = session.private_key(spki_of(plain))
        assert copy.copy(key) is key
        assert copy.deepcopy(key) is key
        for attempt in (
            key.private_numbers,
            lambda key=key: key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
            lambda key=key: pickle.dumps(key),
        ):
            with pytest.raises(NotTrusted) as raised:
                attempt()
            assert raised.value.code == "key_stays"


def test_a_token_without_the_hashing_mechanism_signs_the_digest_info(
    softhsm: SoftHsm, tokens: Tokens, made: MadeToken, rsa_key: rsa.RSAPrivateKey
) -> None:
    """Where CKM_SHA256_RSA_PKCS is missing, CKM_RSA_PKCS over the DigestInfo gives the same signature."""
    softhsm.configuration.write_text(
        softhsm.configuration.read_text() + "slots.mechanisms = CKM_RSA_PKCS,CKM_RSA_PKCS_KEY_PAIR_GEN\n"
    )
    with tokens.session(made.serial) as session:
        session.login(made.pin)
        key = session.private_key(spki_of(rsa_key))
        assert isinstance(key, rsa.RSAPrivateKey)
        signature = key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
    assert signature == rsa_key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())


def test_a_key_that_is_not_there_is_missing(session: Session, other_rsa_key: rsa.RSAPrivateKey) -> None:
    """Asking for the key of a stranger's certificate is `key_missing`."""
    with pytest.raises(NotTrusted) as raised:
        session.private_key(spki_of(other_rsa_key))
    assert raised.value.code == "key_missing"


def test_a_key_that_wants_the_pin_each_time_signs(tokens: Tokens, softhsm: SoftHsm, make_token: Make) -> None:
    """CKA_ALWAYS_AUTHENTICATE: each signature logs in anew, and the guard hears of each."""
    made = make_token("Always")
    tool = ("pkcs11-tool", "--module", softhsm.module, "--token-label", "Always", "--login", "--pin", made.pin)
    run(*tool, "--keypairgen", "--key-type", "rsa:2048", "--id", "07", "--label", "asks", "--always-auth")
    with tokens.session(made.serial) as session:
        session.login(made.pin)
        counted: list[int] = []

        def counting(sign: Callable[[], bytes]) -> bytes:
            counted.append(1)
            return sign()

        session.reauthenticate = counting
        (key,) = session.keys()
        assert key.spki is not None
        private = session.private_key(key.spki)
        assert isinstance(private, rsa.RSAPrivateKey)
        for scheme in (padding.PKCS1v15(), padding.PSS(padding.MGF1(hashes.SHA256()), 32)):
            private.public_key().verify(private.sign(b"x", scheme, hashes.SHA256()), b"x", scheme, hashes.SHA256())
        assert counted == [1, 1]
