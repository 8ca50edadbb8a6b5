"""Paths with EdDSA links (RFC 8410), which `cryptography`'s verifier does not walk: the same rules, link by link.

Only a chain in which some link is signed with Ed25519 or Ed448 is found here; every other one is the verifier's alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

EDDSA = {SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ED448}
LONGEST = 8  # links; more is nobody's hierarchy

_KNOWN = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}
_RSA_BITS = 2048
_EC_BITS = 256
_SHA2 = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

SignedBy = Callable[[x509.Certificate, x509.Certificate], bool]


def chain_of(
    leaf: x509.Certificate,
    helping: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    *,
    at: datetime,
    signed_by: SignedBy,
) -> tuple[x509.Certificate, ...] | None:
    """The chain (leaf first, anchor last) that holds at `at` and has an EdDSA link; None when there is none.

    RFC 5280 section 6.1: every signature, CA and keyCertSign by `signed_by`, validity, path length, no critical extension
    that is not understood; links of other algorithms are SHA-2 with RSA of 2048 or EC of 256 bits at least.
    """
    if not _fits(leaf, at):
        return None

    def climb(chain: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...] | None:
        for upper in (*trusted, *helping):
            if upper in chain or not signed_by(chain[-1], upper):
                continue
            if not _fits(upper, at) or not _long_enough(upper, below=len(chain) - 1) or not _strong(chain[-1]):
                continue
            longer = (*chain, upper)
            if upper in trusted:
                if any(link.signature_algorithm_oid in EDDSA for link in chain):
                    return longer
            elif len(longer) < LONGEST and (found := climb(longer)):
                return found
        return None

    return climb((leaf,))


def _fits(certificate: x509.Certificate, at: datetime) -> bool:
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc or not _strong_key(certificate):
        return False
    return all(extension.oid in _KNOWN for extension in certificate.extensions if extension.critical)


def _long_enough(ca: x509.Certificate, *, below: int) -> bool:
    """Whether the CA's path length allows `below` CAs between it and the leaf."""
    allowed = ca.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    return allowed is None or below <= allowed


def _strong(certificate: x509.Certificate) -> bool:
    if certificate.signature_algorithm_oid in EDDSA:
        return True
    return isinstance(certificate.signature_hash_algorithm, _SHA2)


def _strong_key(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= _RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.key_size >= _EC_BITS
    return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)
