"""The protection of CMP messages: which key and which algorithm verifies what."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding
from support_ca import opening, secret
from support_cmp_second import decode
from support_trust import key, rsa_key

from safetok.ca.cmp.messages import read_message
from safetok.ca.cmp.protection import verify_message


@pytest.mark.parametrize("key_type", ["RSA", "EC", "Ed25519", "Ed448"])
def test_what_is_signed_verifies_under_its_key_only(key_type: str) -> None:
    """Both sides' protection: the own key verifies it, another of the same kind does not, and nothing raises."""
    message = opening(old_key=secret(key_type)).der
    assert verify_message(message, secret(key_type).public_key())
    makers = {"RSA": lambda: rsa_key("stranger"), "EC": lambda: key("stranger")}
    makers |= {"Ed25519": ed25519.Ed25519PrivateKey.generate, "Ed448": ed448.Ed448PrivateKey.generate}
    stranger = makers[key_type]()
    assert not verify_message(message, stranger.public_key())
    for other in ("RSA", "EC", "Ed25519", "Ed448"):
        assert verify_message(message, secret(other).public_key()) is (other == key_type)


def test_pss_is_signed_and_verified() -> None:
    """RSASSA-PSS with SHA-256 and a 32-byte salt, as the second decoder names it."""
    from safetok.sandbox.structures import PKIMessage, sign_message

    parsed = PKIMessage.load(opening().der)
    signed = sign_message(parsed["header"], parsed["body"], secret("RSA"), pss=True)
    assert verify_message(signed, secret("RSA").public_key())
    message = decode(signed)
    algorithm = message["header"]["protectionAlg"]
    assert str(algorithm["algorithm"]) == "1.2.840.113549.1.1.10"
    secret("RSA").public_key().verify(
        message["protection"].asOctets(),
        read_message(signed).signed,
        padding.PSS(padding.MGF1(hashes.SHA256()), 32),
        hashes.SHA256(),
    )


def test_weak_and_foreign_algorithms_verify_nothing() -> None:
    """SHA-1, a MAC, a PSS whose MGF1 uses another hash, and an algorithm without its parameters are not accepted."""
    from asn1crypto import algos, core

    from safetok.ca.cmp.protection import verifies
    from safetok.sandbox.structures import AlgorithmIdentifier

    secret_key, data = secret("RSA"), b"data"
    sha1 = AlgorithmIdentifier({"algorithm": "1.2.840.113549.1.1.5", "parameters": core.Any(core.Null())})
    weak = secret_key.sign(data, padding.PKCS1v15(), hashes.SHA1())
    assert not verifies(secret_key.public_key(), sha1.dump(), weak, data)
    mac = AlgorithmIdentifier({"algorithm": "1.2.840.113533.7.66.13"})
    assert not verifies(secret_key.public_key(), mac.dump(), weak, data)
    mixed = algos.RSASSAPSSParams(
        {
            "hash_algorithm": {"algorithm": "sha256"},
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": "sha384"}},
            "salt_length": 32,
        }
    )
    signature = secret_key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    named = AlgorithmIdentifier({"algorithm": "1.2.840.113549.1.1.10", "parameters": core.Any(mixed)})
    assert not verifies(secret_key.public_key(), named.dump(), signature, data)
    bare = AlgorithmIdentifier({"algorithm": "1.2.840.113549.1.1.10"})
    assert not verifies(secret_key.public_key(), bare.dump(), signature, data)
    default = AlgorithmIdentifier(
        {"algorithm": "1.2.840.113549.1.1.10", "parameters": core.Any(core.Sequence.load(b"\x30\x00"))}
    )
    assert not verifies(secret_key.public_key(), default.dump(), signature, data)  # the defaults are SHA-1
    good = secret().sign(data, ec.ECDSA(hashes.SHA256()))
    ecdsa = AlgorithmIdentifier({"algorithm": "1.2.840.10045.4.3.2"})
    assert verifies(secret().public_key(), ecdsa.dump(), good, data)
    assert not verifies(secret().public_key(), ecdsa.dump(), good, b"other")
    assert not verifies(secret("Ed25519").public_key(), ecdsa.dump(), good, data)
