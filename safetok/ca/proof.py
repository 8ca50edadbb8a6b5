"""A question signed by the token: CMS SignedData over JSON claims (RFC 5652), and how the other side reads one.

The claims say what the signature is for and nothing else, so that it cannot be used for anything else: the exact address
asked, the purpose, the certificate, a nonce, the time, and that it is a request for information.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from asn1crypto import cms, core
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from safetok.ca.cmp import der as writing
from safetok.ca.cmp.protection import verifies
from safetok.domain.certificates import Certificate, parse
from safetok.errors import UsageError
from safetok.locale import _

STATEMENT = "request for information, no other legal effect"
MEDIA_TYPE = "application/cms"  # RFC 7193
LONGEST = 1 << 16  # bytes of a proof that are read

_ECDSA_BY_DIGEST = {
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
_RSA_BY_DIGEST = {
    "sha256": "1.2.840.113549.1.1.11",
    "sha384": "1.2.840.113549.1.1.12",
    "sha512": "1.2.840.113549.1.1.13",
}
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_RSA_ENCRYPTION = "1.2.840.113549.1.1.1"  # CMS may name the key instead of the signature


def sign(
    claims: dict[str, Any], certificate: Certificate, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> bytes:
    """The DER of a SignedData with the claims inside, signed by the certificate's key. Raises what the key raises."""
    content = json.dumps(claims, ensure_ascii=False, sort_keys=True).encode()
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content).add_signer(certificate.x509(), key, hashes.SHA256())
    return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities])


def verify(der: bytes) -> tuple[dict[str, Any], Certificate]:
    """The claims and the certificate whose key signed them; what they say, and whose it is, is the caller's to judge.

    Raises UsageError (`bad_proof`) unless there is one signer, its certificate is inside, and the signature over the signed
    attributes (content type and digest) holds.
    """
    if len(der) > LONGEST:
        raise _bad()
    try:
        claims, certificate = _read(der)
    except Exception as error:  # asn1crypto answers hostile bytes with many kinds of error; here they are one
        raise _bad() from error
    return claims, certificate


def _read(der: bytes) -> tuple[dict[str, Any], Certificate]:
    signed = cms.ContentInfo.load(der, strict=True)
    if signed["content_type"].native != "signed_data":
        raise ValueError("no SignedData")
    data = signed["content"]
    (signer,) = data["signer_infos"]
    content = bytes(data["encap_content_info"]["content"].native)
    certificate = _signer_certificate(data["certificates"], signer["sid"])
    if not _holds(signer, content, certificate):
        raise ValueError("the signature does not hold")
    return msgspec.json.decode(content, type=dict[str, Any]), certificate


def _signer_certificate(certificates: Any, sid: Any) -> Certificate:
    # `Asn1Value.dump`: the bytes as they came (asn1crypto encodes anew what it takes for an indefinite length)
    for choice in certificates:
        found: asn1_x509.Certificate = choice.chosen
        if sid.name == "issuer_and_serial_number":
            if found.issuer.dump() == sid.chosen["issuer"].dump() and found.serial_number == (
                sid.chosen["serial_number"].native
            ):
                return parse(core.Asn1Value.dump(found))
        elif found.key_identifier == sid.chosen.native:
            return parse(core.Asn1Value.dump(found))
    raise ValueError("the signer's certificate is not inside")


def _holds(signer: Any, content: bytes, certificate: Certificate) -> bool:
    digest_name = signer["digest_algorithm"]["algorithm"].native
    digest = hashes.Hash(_DIGESTS[digest_name])
    digest.update(content)
    attributes = signer["signed_attrs"]
    values: dict[str, list[Any]] = {}
    for attribute in attributes:
        values.setdefault(attribute["type"].native, []).extend(attribute["values"].native)
    if values.get("content_type") != ["data"] or values.get("message_digest") != [digest.finalize()]:
        return False
    covered = attributes.untag().dump()  # signed as a SET OF, without the tag it travels with (RFC 5652 section 5.4)
    return verifies(
        certificate.x509().public_key(),
        _algorithm(signer["signature_algorithm"], digest_name),
        bytes(signer["signature"].native),
        covered,
    )


def _algorithm(named: Any, digest_name: str) -> bytes:
    """The AlgorithmIdentifier (DER) as CMP names it. KeyError when signature and digest disagree."""
    oid = named["algorithm"].dotted
    if oid == _RSA_ENCRYPTION:
        return writing.sequence(writing.oid(_RSA_BY_DIGEST[digest_name]), writing.NULL)
    if oid not in {_RSA_BY_DIGEST[digest_name], _ECDSA_BY_DIGEST[digest_name]}:
        raise KeyError(oid)
    return bytes(named.dump())


def _bad() -> UsageError:
    return UsageError(_("The token's proof cannot be verified."), code="bad_proof")
