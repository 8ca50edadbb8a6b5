"""How an OCSP answer says that it is signed with RSASSA-PSS (RFC 4055), which `cryptography` does not read there."""

from __future__ import annotations

from asn1crypto import ocsp as asn1_ocsp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

_SHA2: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
LONGEST_SALT = 2048  # bytes: more than the largest key has room for
_TRAILER = "trailer_field_bc"


def scheme_of(response: bytes) -> tuple[padding.PSS, hashes.HashAlgorithm]:
    """Padding and hash of a successful OCSPResponse (DER) whose signature algorithm is id-RSASSA-PSS.

    Any salt length; SHA-2, and MGF1 with the same hash. Raises InvalidSignature for other parameters, the defaults (SHA-1) among
    them, and for what cannot be read.
    """
    try:
        basic = asn1_ocsp.OCSPResponse.load(response)["response_bytes"]["response"].parsed
        given = basic["signature_algorithm"]["parameters"]
        name, mask = given["hash_algorithm"]["algorithm"].native, given["mask_gen_algorithm"]
        same = mask["algorithm"].native == "mgf1" and mask["parameters"]["algorithm"].native == name
        salt = int(given["salt_length"].native)
        if not same or given["trailer_field"].native != _TRAILER or not 0 <= salt <= LONGEST_SALT:
            raise InvalidSignature
        digest = _SHA2[name]
        return padding.PSS(padding.MGF1(digest), salt), digest
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InvalidSignature from error
