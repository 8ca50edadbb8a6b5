"""A certificate as safetok speaks of it: serial as the agencies print it, who it is for, and its three dates apart."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeVar

from safetok.domain.mst import find_mst, find_personal_id
from safetok.errors import UsageError
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from cryptography import x509

KeyType = Literal["RSA", "EC", "other"]
E = TypeVar("E", bound="x509.ExtensionType")

LONGEST_SERIAL = 64  # bytes; RFC 5280 4.1.2.2 has 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is read once from a certificate's DER. Built by `parse`, kept by the store so that a known one is not parsed again."""

    der: bytes
    sha256: str  # lower-case hex of the DER: its identity
    serial: str  # upper-case hex, no separators, as the agencies print it
    subject: str  # RFC 4514, for people
    subject_name: str  # the CN, else the O, else the whole subject
    subject_der: bytes
    issuer: str
    issuer_name: str
    issuer_der: bytes
    uids: tuple[str, ...]  # 0.9.2342.19200300.100.1.1, may occur twice
    not_before: datetime
    not_after: datetime
    key_type: KeyType
    key_bits: int
    spki: bytes  # SubjectPublicKeyInfo, DER: what a key is paired by
    is_ca: bool

    @property
    def mst(self) -> str | None:
        """The tax code in the UID, without `MST:`, as written."""
        return find_mst(self.uids)

    @property
    def personal_id(self) -> str | None:
        """CMND/CCCD/passport number in the UID with its prefix."""
        return find_personal_id(self.uids)

    @property
    def serial_decimal(self) -> str:
        return str(int(self.serial, 16))

    def x509(self) -> x509.Certificate:
        """The certificate as `cryptography` sees it."""
        return load(self.der)


@lru_cache(maxsize=256)
def load(der: bytes) -> x509.Certificate:
    """A DER certificate as `cryptography` sees it; raises what `cryptography` does, ValueError for one of an unknown version too.

    It keeps its names and extensions once they were asked for, and a CA's are asked for with each certificate below it.
    """
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(der)
    except x509.InvalidVersion as error:  # no ValueError of its own
        raise ValueError(str(error)) from error


_KEPT = 512
_read: dict[bytes, Certificate] = {}  # a renewal looks at the same few again and again


def parse(der: bytes) -> Certificate:
    """Read a DER certificate (RFC 5280), once. Raises UsageError (`bad_certificate`) when it is none."""
    return _read.get(der) or remember(_parsed(der))


def remember(certificate: Certificate) -> Certificate:
    """Spare `parse` one that was read before, and kept elsewhere meanwhile. Returns it."""
    if len(_read) >= _KEPT:
        for oldest in list(_read)[:1]:  # several threads may be here
            _read.pop(oldest, None)
    _read[certificate.der] = certificate
    return certificate


def _parsed(der: bytes) -> Certificate:
    import hashlib
    import warnings

    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import NameOID

    try:
        cert = load(der)
        key_type, key_bits = _key(cert, rsa.RSAPublicKey, ec.EllipticCurvePublicKey)
        spki = cert.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        with warnings.catch_warnings():
            # X.520 says 64 bytes for a name; Vietnamese companies' are often longer, and CAs issue them.
            warnings.simplefilter("ignore", UserWarning)
            subject, issuer = cert.subject, cert.issuer
        names = {NameOID.EMAIL_ADDRESS: "emailAddress"}  # RFC 4514 has no short name for it, and people know this one
        subject_text, issuer_text = subject.rfc4514_string(names), issuer.rfc4514_string(names)
        not_before, not_after = cert.not_valid_before_utc, cert.not_valid_after_utc
        serial = _hex(cert.serial_number)
        uids = tuple(str(a.value) for a in subject.get_attributes_for_oid(NameOID.USER_ID))
    except (
        Exception
    ) as error:  # `cryptography` raises many kinds for one thing: these bytes are no certificate it can use
        raise UsageError(_("This is not a certificate safetok can read."), code="bad_certificate") from error
    return Certificate(
        der=der,
        sha256=hashlib.sha256(der).hexdigest(),
        serial=serial,
        subject=subject_text,
        subject_name=_short_name(subject) or subject_text,
        subject_der=subject.public_bytes(),
        issuer=issuer_text,
        issuer_name=_short_name(issuer) or issuer_text,
        issuer_der=issuer.public_bytes(),
        uids=uids,
        not_before=not_before.astimezone(UTC),
        not_after=not_after.astimezone(UTC),
        key_type=key_type,
        key_bits=key_bits,
        spki=spki,
        is_ca=_is_ca(cert),
    )


def current(certificates: Iterable[Certificate]) -> Certificate | None:
    """The one to sign with: not a CA's, the latest notBefore, then the latest notAfter."""
    return max(
        (c for c in certificates if not c.is_ca), key=lambda c: (c.not_before, c.not_after, c.serial), default=None
    )


def before(certificates: Iterable[Certificate], new: Certificate) -> Certificate | None:
    """The one among a company's certificates that `new` follows: the newest with an earlier notBefore and another serial."""
    earlier = [one for one in certificates if one.not_before < new.not_before and one.serial != new.serial]
    return max(earlier, key=lambda one: (one.not_before, one.not_after), default=None)


def _short_name(name: x509.Name) -> str:
    from cryptography.x509.oid import NameOID

    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            return str(attribute.value)
    return ""


def _hex(number: int) -> str:
    """A serial as it is printed: its bytes, also where a CA's mistake made it negative. ValueError for what no CA gives."""
    size = max(1, ((number if number >= 0 else number + 1).bit_length() + (8 if number < 0 else 7)) // 8)
    if size > LONGEST_SERIAL:
        raise ValueError(size)
    return (number % (1 << 8 * size)).to_bytes(size, "big").hex().upper()


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """One extension of a certificate; None where there is none, and where `cryptography` cannot read them."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except Exception:  # noqa: BLE001  (it raises many kinds: one that occurs twice, a name of a form it does not know)
        return None


def _is_ca(cert: x509.Certificate) -> bool:
    from cryptography import x509

    constraints = extension(cert, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _key(cert: x509.Certificate, rsa_type: type, ec_type: type) -> tuple[KeyType, int]:
    key = cert.public_key()
    if isinstance(key, rsa_type):
        return "RSA", key.key_size  # type: ignore[union-attr]
    if isinstance(key, ec_type):
        return "EC", key.curve.key_size  # type: ignore[union-attr]
    return "other", 0


def same_serial(typed: str, certificate: Certificate) -> bool:
    """Whether a person's way of writing a serial (separators, small letters, decimal) means this certificate."""
    text = "".join(letter for letter in typed if letter.isalnum()).upper()
    return text.lstrip("0") in {certificate.serial.lstrip("0"), certificate.serial_decimal}
