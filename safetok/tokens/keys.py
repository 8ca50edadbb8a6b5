"""Private keys that live on a token: `cryptography`'s key types whose `sign` asks the token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from safetok.errors import NotTrusted
from safetok.locale import _
from safetok.tokens.der import ecdsa_signature

Sign = Callable[[dict[str, Any], bytes], bytes]  # how (as hands.Hands.sign), data -> the token's signature
Hash = utils.Prehashed | hashes.HashAlgorithm


def _never_leaves() -> NoReturn:
    raise NotTrusted(_("A key on a token never leaves it."), code="key_stays")


def _digested(data: bytes, algorithm: Hash) -> tuple[str, bytes]:
    if isinstance(algorithm, utils.Prehashed):
        return algorithm._algorithm.name, data
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return algorithm.name, digest.finalize()


class _OnToken:
    """What no key on a token does, of whichever type: leave it, or become two."""

    def private_numbers(self) -> NoReturn:
        _never_leaves()

    def private_bytes(
        self,
        encoding: serialization.Encoding,  # noqa: ARG002
        format: serialization.PrivateFormat,  # noqa: A002, ARG002
        encryption_algorithm: serialization.KeySerializationEncryption,  # noqa: ARG002
    ) -> NoReturn:
        _never_leaves()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        _never_leaves()


class TokenRsaKey(_OnToken, rsa.RSAPrivateKey):
    """An RSA key on a token. Signs PKCS#1 v1.5 and PSS."""

    def __init__(self, public: rsa.RSAPublicKey, sign: Sign) -> None:
        self._public, self._sign = public, sign

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    def sign(
        self,
        data: bytes | bytearray | memoryview,
        padding: padding.AsymmetricPadding,
        algorithm: Any,
    ) -> bytes:
        """A signature over `data`, hashed on the token where it can. Raises what the session raises."""
        data = bytes(data)
        if type(padding).__name__ == "PSS":
            name, digest = _digested(data, algorithm)
            return self._sign({"scheme": "pss", "hash": name, "salt": self._salt(padding, len(digest))}, digest)
        if type(padding).__name__ != "PKCS1v15":
            raise NotTrusted(_("This kind of signature is not known."), code="unknown_scheme")
        if isinstance(algorithm, utils.Prehashed):
            name, digest = _digested(data, algorithm)
            return self._sign({"scheme": "pkcs1", "hash": name, "digested": True}, digest)
        return self._sign({"scheme": "pkcs1", "hash": algorithm.name, "digested": False}, data)

    def _salt(self, pss: Any, digest: int) -> int:
        salt = pss._salt_length
        if isinstance(salt, int):
            return salt
        longest = (self.key_size - 1 + 7) // 8 - digest - 2  # RFC 8017 section 9.1.1
        return digest if salt is padding.PSS.DIGEST_LENGTH else longest

    def decrypt(self, ciphertext: bytes, padding: padding.AsymmetricPadding) -> bytes:  # noqa: ARG002
        _never_leaves()


class TokenEcKey(_OnToken, ec.EllipticCurvePrivateKey):
    """An EC key on a token. Signs ECDSA."""

    def __init__(self, public: ec.EllipticCurvePublicKey, sign: Sign) -> None:
        self._public, self._sign = public, sign

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.curve.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    def sign(
        self, data: bytes | bytearray | memoryview, signature_algorithm: ec.EllipticCurveSignatureAlgorithm
    ) -> bytes:
        """ECDSA-Sig-Value over `data`, hashed here: few tokens hash for ECDSA. Raises what the session raises."""
        name, digest = _digested(bytes(data), signature_algorithm.algorithm)
        size = (self.key_size + 7) // 8
        raw = self._sign({"scheme": "ecdsa", "hash": name}, digest[:size])
        return ecdsa_signature(raw, size)

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:  # noqa: ARG002
        _never_leaves()


def token_key(spki: bytes, sign: Sign) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """The key object for a public key. NotTrusted (`unknown_key`) where it is neither RSA nor EC."""
    public = serialization.load_der_public_key(spki)
    if isinstance(public, rsa.RSAPublicKey):
        return TokenRsaKey(public, sign)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return TokenEcKey(public, sign)
    raise NotTrusted(_("The token's key is neither RSA nor EC."), code="unknown_key")
