"""What a subscriber's certificate of the sandbox looks like: the profile decoded from real SAFE-CA and LCS-CA samples."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from safetok.sandbox.pki import LCS, Issuer, access, new_serial

Extension = tuple[x509.ExtensionType, bool]

# What the samples' serial numbers begin with.
_SERIAL = {LCS: b"\x54\x01\x01\x0f"}
_SERIAL_SAFE = b"\x54\x01\x01\x08"

_SAFE_POLICY = x509.ObjectIdentifier("1.3.6.1.4.1.30339.1.8")
_SAFE_CPS = "http://www.safecert.com.vn/www/rpa"
_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.12")
_ADOBE = x509.ObjectIdentifier("1.2.840.113583.1.1.5")

# Carried from the old certificate to the new one; the others name the issuer or the key and are made anew.
_KEPT = (x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName, x509.CertificatePolicies)


def subject(authority: str, company: str, uids: tuple[str, ...], email: str, street: str, province: str) -> x509.Name:
    """The subject as this authority writes it: SAFE-CA's in full, LCS-CA's UID and CN alone. The UID may stand twice."""
    identity = [x509.NameAttribute(NameOID.USER_ID, uid) for uid in uids]
    if authority == "lcs-ca":
        return x509.Name([*identity, x509.NameAttribute(NameOID.COMMON_NAME, company)])
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, province),
            x509.NameAttribute(NameOID.LOCALITY_NAME, street),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, company),
            x509.NameAttribute(NameOID.COMMON_NAME, company),
            *identity,
            x509.NameAttribute(NameOID.EMAIL_ADDRESS, email),
        ]
    )


def first_extensions(authority: str, key: CertificatePublicKeyTypes, email: str) -> list[Extension]:
    """Key usage, extended usage, SAN and policy of a subscriber's first certificate."""
    lcs = authority == "lcs-ca"
    encrypts = not isinstance(key, ec.EllipticCurvePublicKey)  # an EC key signs, it enciphers nothing
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=encrypts,
        data_encipherment=encrypts and not lcs,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION]
    if lcs:
        purposes += [_DOCUMENT_SIGNING, ExtendedKeyUsageOID.SMARTCARD_LOGON, _ADOBE]
    extensions: list[Extension] = [
        (usage, True),
        (x509.ExtendedKeyUsage(purposes), False),
        (x509.SubjectAlternativeName([x509.RFC822Name(email)]), False),
    ]
    if not lcs:
        policy = x509.PolicyInformation(_SAFE_POLICY, [_SAFE_CPS])
        extensions.append((x509.CertificatePolicies([policy]), False))
    return extensions


def kept_extensions(old: x509.Certificate) -> list[Extension]:
    """What the new certificate carries over from the old one."""
    return [(e.value, e.critical) for e in old.extensions if isinstance(e.value, _KEPT)]


def issue(
    issuer: Issuer,
    base: str,
    *,
    name: x509.Name,
    key: CertificatePublicKeyTypes,
    extensions: list[Extension],
    not_before: datetime,
    not_after: datetime,
) -> x509.Certificate:
    """A subscriber's certificate with a new 16-byte serial; whole seconds, as X.509 has no others."""
    identifier = x509.SubjectKeyIdentifier(issuer.key_identifier)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject)
        .public_key(key)
        .serial_number(new_serial(_SERIAL.get(issuer.name, _SERIAL_SAFE)))
        .not_valid_before(not_before.astimezone(UTC).replace(microsecond=0))
        .not_valid_after(not_after.astimezone(UTC).replace(microsecond=0))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    for value in access(base, issuer.name):
        builder = builder.add_extension(value, critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def der(certificate: x509.Certificate) -> bytes:
    """The certificate's DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def serial_text(certificate: x509.Certificate) -> str:
    """The serial as agencies print it: upper-case hex, an even number of digits."""
    text = format(certificate.serial_number, "X")
    return text if len(text) % 2 == 0 else f"0{text}"
