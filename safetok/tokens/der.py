"""The few bytes of DER that keys and signatures need, without a library: the worker must start fast.

SubjectPublicKeyInfo (RFC 3279 section 2.3, RFC 5480), ECDSA-Sig-Value (RFC 3279 section 2.2.3), DigestInfo (RFC 8017 section 9.2).
"""

from __future__ import annotations

_RSA = bytes.fromhex("300d06092a864886f70d0101010500")  # AlgorithmIdentifier rsaEncryption, NULL
_EC = bytes.fromhex("06072a8648ce3d0201")  # id-ecPublicKey
DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha224": bytes.fromhex("302d300d06096086480165030402040500041c"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
_SHORT = 0x80


def tlv(tag: int, value: bytes) -> bytes:
    """One DER element."""
    length = len(value)
    if length < _SHORT:
        return bytes((tag, length)) + value
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, _SHORT | len(size))) + size + value


def integer(magnitude: bytes) -> bytes:
    """An INTEGER of an unsigned big-endian number."""
    stripped = magnitude.lstrip(b"\0") or b"\0"
    return tlv(0x02, b"\0" + stripped if stripped[0] & _SHORT else stripped)


def rsa_spki(modulus: bytes, exponent: bytes) -> bytes:
    """SubjectPublicKeyInfo of an RSA key."""
    return tlv(0x30, _RSA + tlv(0x03, b"\0" + tlv(0x30, integer(modulus) + integer(exponent))))


def ec_spki(parameters: bytes, point: bytes) -> bytes:
    """SubjectPublicKeyInfo of an EC key. `point` as CKA_EC_POINT: an OCTET STRING, or bare as some drivers give it."""
    return tlv(0x30, tlv(0x30, _EC + parameters) + tlv(0x03, b"\0" + _bare_point(point)))


def _bare_point(point: bytes) -> bytes:
    # 04 is both OCTET STRING and "uncompressed": only the length tells them apart.
    inner, whole = octets(point)
    return inner if whole and inner[:1] in {b"\2", b"\3", b"\4"} else point


def octets(data: bytes) -> tuple[bytes, bool]:
    """The content of the OCTET STRING that `data` is, and whether it is exactly one."""
    if len(data) < 2 or data[0] != 0x04:  # noqa: PLR2004  (tag)
        return b"", False
    length, at = data[1], 2
    if length & _SHORT:
        size = length & 0x7F
        length, at = int.from_bytes(data[at : at + size], "big"), at + size
    return data[at : at + length], at + length == len(data)


def ecdsa_signature(raw: bytes, order_bytes: int) -> bytes:
    """ECDSA-Sig-Value of PKCS#11's r||s. A driver that already answers DER is taken at its word (the caller verifies)."""
    if len(raw) != 2 * order_bytes and raw[:1] == b"\x30":
        return raw
    half = len(raw) // 2
    return tlv(0x30, integer(raw[:half]) + integer(raw[half:]))
