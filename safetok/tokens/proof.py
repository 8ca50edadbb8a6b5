"""Whether a key on a token belongs to a public key, by a signature that says of itself what it is (renewal: PROVEN)."""

from __future__ import annotations

import os
from collections.abc import Callable

PREFIX = b"safetok test signature, no legal effect\x00"
_RANDOM = 32  # bytes after it


def signs_for(key: object, public: object, *, random: Callable[[int], bytes] = os.urandom) -> bool:
    """Whether what `key` signs verifies under `public` (RSA PKCS#1 v1.5 or ECDSA, SHA-256). Two of different kinds, or of kinds
    that are not known here, prove nothing. Raises what the session raises.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    message = PREFIX + random(_RANDOM)
    try:
        if isinstance(key, rsa.RSAPrivateKey) and isinstance(public, rsa.RSAPublicKey):
            scheme = padding.PKCS1v15()
            public.verify(key.sign(message, scheme, hashes.SHA256()), message, scheme, hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(public, ec.EllipticCurvePublicKey):
            algorithm = ec.ECDSA(hashes.SHA256())
            public.verify(key.sign(message, algorithm), message, algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True
