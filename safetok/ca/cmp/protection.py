"""Signatures over CMP messages: made with a key wherever it lives, checked over the bytes received.

Algorithms of RFC 9481: RSA PKCS#1 v1.5, RSASSA-PSS and ECDSA with SHA-2, Ed25519 and Ed448. SHA-1 and password-based
MACs are not accepted: nothing here is ever protected by a shared secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from safetok.ca.cmp import der
from safetok.ca.cmp.elements import OID, Fields, dotted, element
from safetok.ca.cmp.messages import read_message
from safetok.domain.certificates import load
from safetok.errors import NoAnswer

SigningKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

_PSS = "1.2.840.113549.1.1.10"
_ED25519 = "1.3.101.112"
_ED448 = "1.3.101.113"
_RSA: dict[str, hashes.HashAlgorithm] = {
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_ECDSA: dict[str, hashes.HashAlgorithm] = {
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}
_PSS_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def algorithm_for(key: SigningKey, *, pss: bool = False) -> bytes:
    """The AlgorithmIdentifier (DER) for a key: SHA-256, the hash of their own strength for P-384 and P-521; PSS with a 32-byte
    salt.
    """
    if isinstance(key, rsa.RSAPrivateKey):
        if pss:
            return der.sequence(der.oid(_PSS), _pss_parameters())
        return der.sequence(der.oid("1.2.840.113549.1.1.11"), der.NULL)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return der.sequence(der.oid(_ecdsa_oid(key.curve.key_size)))
    return der.sequence(der.oid(_ED25519 if isinstance(key, ed25519.Ed25519PrivateKey) else _ED448))


def sign(key: SigningKey, data: bytes, *, pss: bool = False) -> bytes:
    """The signature over `data` with the algorithm that `algorithm_for` names. Raises what the key raises."""
    if isinstance(key, rsa.RSAPrivateKey):
        if pss:
            return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(_ECDSA[_ecdsa_oid(key.curve.key_size)]))
    return key.sign(data)


def verifies(public_key: PublicKeyTypes, algorithm: bytes, signature: bytes, data: bytes) -> bool:
    """Whether `signature` over `data` is right by an AlgorithmIdentifier (DER, RFC 9481 section 3); False for any algorithm not
    accepted here, and for bytes that are none.
    """
    try:
        return _verifies(public_key, algorithm, signature, data)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError, KeyError, AttributeError):
        return False


def protect(
    header: bytes, body: bytes, key: SigningKey, *, extra_certs: Sequence[bytes] = (), pss: bool = False
) -> bytes:
    """The DER of a PKIMessage protected by `key` (RFC 9810 section 5.1.3), whose header (DER) names `algorithm_for` that key.

    `extra_certs` are DER certificates; the signer's own goes first (RFC 9483 section 3.3).
    """
    protection = der.bits(sign(key, der.sequence(header, body), pss=pss))
    certificates = der.sequence(*extra_certs) if extra_certs else b""
    return der.sequence(header, body, der.explicit(0, protection), der.explicit(1, certificates))


def verify_message(raw: bytes, public_key: PublicKeyTypes) -> bool:
    """Whether a message is protected by this key, checked over the received bytes; never raises."""
    try:
        message = read_message(raw)
    except NoAnswer:
        return False
    return message.protected and verifies(public_key, message.header.algorithm, message.protection, message.signed)


def hash_for_confirmation(certificate_der: bytes) -> tuple[hashes.HashAlgorithm, bytes | None]:
    """The hash of a certificate for certConf, and the hashAlg to send with it.

    It is the hash the certificate is signed with, and then hashAlg (DER) is absent. Where its signature names none (RFC 9481
    section 3.3: SHA-512 for Ed25519, SHAKE256 of 512 bits for Ed448), or one not known here (SHA-256), it is sent.
    The same for bytes that are no certificate: they too must be rejected by their hash.
    """
    try:
        certificate = load(certificate_der)
        oid = certificate.signature_algorithm_oid.dotted_string
        named = None if oid in {_ED25519, _ED448} else certificate.signature_hash_algorithm
    except (ValueError, TypeError, UnsupportedAlgorithm):
        oid, named = "", None
    if oid == _ED25519:
        return hashes.SHA512(), der.sequence(der.oid("2.16.840.1.101.3.4.2.3"))
    if oid == _ED448:
        return hashes.SHAKE256(64), der.sequence(der.oid("2.16.840.1.101.3.4.2.12"))
    if named is None:
        return hashes.SHA256(), der.sequence(der.oid("2.16.840.1.101.3.4.2.1"))
    return named, None


def certificate_hash(certificate_der: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    """The certHash of a certConf: the digest of the certificate's DER."""
    digest = hashes.Hash(algorithm)
    digest.update(certificate_der)
    return digest.finalize()


def _verifies(public_key: PublicKeyTypes, algorithm: bytes, signature: bytes, data: bytes) -> bool:
    fields = Fields(element(algorithm))
    oid, parameters = dotted(fields.take(OID).content), fields.rest()
    if isinstance(public_key, rsa.RSAPublicKey):
        if oid == _PSS:
            from asn1crypto.algos import RSASSAPSSParams

            scheme, digest = _pss_of(RSASSAPSSParams.load(parameters.der if parameters else b"", strict=True))
            public_key.verify(signature, data, scheme, digest)
        else:
            public_key.verify(signature, data, padding.PKCS1v15(), _RSA[oid])
    elif isinstance(public_key, ec.EllipticCurvePublicKey):
        public_key.verify(signature, data, ec.ECDSA(_ECDSA[oid]))
    elif (isinstance(public_key, ed25519.Ed25519PublicKey) and oid == _ED25519) or (
        isinstance(public_key, ed448.Ed448PublicKey) and oid == _ED448
    ):
        public_key.verify(signature, data)
    else:
        return False
    return True


def _pss_of(parameters: Any) -> tuple[padding.PSS, hashes.HashAlgorithm]:
    """PSS parameters; KeyError when the hash is not SHA-2 or MGF1 uses another (RFC 9481 section 3.1)."""
    name = parameters["hash_algorithm"]["algorithm"].native
    if parameters["mask_gen_algorithm"]["algorithm"].native != "mgf1":
        raise KeyError(name)
    if parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native != name:
        raise KeyError(name)
    digest = _PSS_HASHES[name]
    return padding.PSS(padding.MGF1(digest), int(parameters["salt_length"].native)), digest


def _pss_parameters() -> bytes:
    from asn1crypto import algos

    sha256 = algos.DigestAlgorithm({"algorithm": "sha256"})
    parameters = algos.RSASSAPSSParams(
        {
            "hash_algorithm": sha256,
            "mask_gen_algorithm": algos.MaskGenAlgorithm({"algorithm": "mgf1", "parameters": sha256.copy()}),
            "salt_length": 32,
            "trailer_field": 1,
        }
    )
    return bytes(parameters.dump())


def _ecdsa_oid(bits: int) -> str:
    if bits <= 256:  # noqa: PLR2004  (P-256)
        return "1.2.840.10045.4.3.2"
    return "1.2.840.10045.4.3.3" if bits <= 384 else "1.2.840.10045.4.3.4"  # noqa: PLR2004  (P-384, P-521)
