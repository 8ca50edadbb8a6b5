"""The sandbox's CAs: one root, and under it issuing CAs shaped like SAFE-CA's two generations and LCS-CA's."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from safetok.domain.times import VIETNAM, end_of_day
from safetok.sandbox.places import write_private

ROOT = "root"
SAFE_OLD = "safe-ca-2020"
SAFE_NEW = "safe-ca-2024"
LCS = "lcs-ca-g1"

SubscriberKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

# The dates of SAFE-CA's 2024 certificate are the notice's: 03/12/2024 to 03/12/2029.
SAFE_NEW_TO = date(2029, 12, 3)


@dataclass(frozen=True)
class Issuer:
    """One CA of the sandbox: its key and its certificate."""

    name: str
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @cached_property
    def der(self) -> bytes:
        """The certificate's DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @cached_property
    def name_der(self) -> bytes:
        """The DER of its name."""
        return self.certificate.subject.public_bytes()

    @cached_property
    def key_identifier(self) -> bytes:
        """The SubjectKeyIdentifier: what a subscriber's AuthorityKeyIdentifier names."""
        return self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


@dataclass(frozen=True)
class Pki:
    """The four CAs, and the URL their certificates point at."""

    base: str
    root: Issuer
    issuers: dict[str, Issuer]


def rsa_keys(count: int) -> list[rsa.RSAPrivateKey]:
    """`count` new RSA-2048 keys, made on every core."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda _: rsa.generate_private_key(65537, 2048), range(count)))


def create(base: str, old_end: datetime, keys: Iterable[rsa.RSAPrivateKey]) -> Pki:
    """A new infrastructure: `old_end` is the instant the old SAFE-CA-like issuer ends; `keys` gives four RSA keys."""
    root_key, old_key, new_key, lcs_key = keys
    root = _issue(
        ROOT,
        _name("Sandbox National Root CA", "safetok sandbox"),
        root_key,
        None,
        base,
        _day(2015, 1, 1),
        _day(2040, 1, 1),
    )
    safe = "SAFETY CERTIFY CORPORATION"
    issuers = (
        _issue(SAFE_OLD, _name("SAFE-CA SHA-256 2020 SANDBOX", safe), old_key, root, base, _day(2020, 11, 27), old_end),
        _issue(
            SAFE_NEW,
            _name("SAFE-CA SHA-256 2024 SANDBOX", safe),
            new_key,
            root,
            base,
            _day(2024, 12, 3),
            end_of_day(SAFE_NEW_TO),
        ),
        _issue(
            LCS,
            _name("LCS-CA G1 SANDBOX", "L.C.S CO.LTD", "TP.Hồ Chí Minh"),
            lcs_key,
            root,
            base,
            _day(2020, 3, 1),
            _day(2035, 3, 1),
        ),
    )
    return Pki(base, root, {issuer.name: issuer for issuer in issuers})


def new_serial(prefix: bytes) -> int:
    """A 16-byte serial number; the prefix is what the real CAs' samples begin with."""
    return int.from_bytes(prefix + secrets.token_bytes(16 - len(prefix)), "big")


def access(base: str, issuer: str) -> list[x509.ExtensionType]:
    """AIA and CDP as the real certificates carry them: the root's PKCS#7, the issuer's .cer, OCSP, CRL."""

    def at(method: x509.ObjectIdentifier, path: str) -> x509.AccessDescription:
        return x509.AccessDescription(method, x509.UniformResourceIdentifier(base + path))

    locations = [at(AuthorityInformationAccessOID.CA_ISSUERS, f"/aia/{ROOT}.p7b")]
    if issuer != ROOT:
        locations.append(at(AuthorityInformationAccessOID.CA_ISSUERS, f"/aia/{issuer}.cer"))
        locations.append(at(AuthorityInformationAccessOID.OCSP, "/ocsp"))
    crl = x509.UniformResourceIdentifier(f"{base}/crl/{issuer}.crl")
    return [
        x509.AuthorityInformationAccess(locations),
        x509.CRLDistributionPoints([x509.DistributionPoint([crl], None, None, None)]),
    ]


def save(pki: Pki, folder: Path) -> None:
    """Keep keys (owner only) and certificates as `NAME.key` and `NAME.pem`, and the root's PKCS#7 as the real root serves it."""
    for issuer in (pki.root, *pki.issuers.values()):
        key = issuer.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(folder / f"{issuer.name}.key", key)
        write_private(folder / f"{issuer.name}.pem", issuer.certificate.public_bytes(serialization.Encoding.PEM))
    bundle = pkcs7.serialize_certificates([pki.root.certificate], serialization.Encoding.DER)
    write_private(folder / f"{ROOT}.p7b", bundle)


def load(folder: Path, base: str) -> Pki:
    """What `save` kept. Raises OSError or ValueError when the folder is not as `up` left it."""

    def one(name: str) -> Issuer:
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        return Issuer(name, certificate, cast("rsa.RSAPrivateKey", key))

    return Pki(base, one(ROOT), {name: one(name) for name in (SAFE_OLD, SAFE_NEW, LCS)})


def _day(year: int, month: int, day: int) -> datetime:
    return datetime.combine(date(year, month, day), time(), VIETNAM).astimezone(UTC)


def _name(common: str, organisation: str, state: str = "") -> x509.Name:
    parts = [(NameOID.COUNTRY_NAME, "VN")]
    if state:
        parts.append((NameOID.STATE_OR_PROVINCE_NAME, state))
    parts += [(NameOID.ORGANIZATION_NAME, organisation), (NameOID.COMMON_NAME, common)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _issue(
    name: str,
    subject: x509.Name,
    key: rsa.RSAPrivateKey,
    root: Issuer | None,
    base: str,
    start: datetime,
    end: datetime,
) -> Issuer:
    above = root.certificate.subject if root else subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(new_serial(b"\x54\x01"))
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if root else None), critical=True)
        .add_extension(_ca_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if root:
        identifier = x509.SubjectKeyIdentifier(root.key_identifier)
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        builder = builder.add_extension(authority, critical=False)
        for extension in access(base, ROOT):
            builder = builder.add_extension(extension, critical=False)
    return Issuer(name, builder.sign(root.key if root else key, hashes.SHA256()), key)


def _ca_usage() -> x509.KeyUsage:
    """Signing besides the two of a CA: these keys also sign OCSP answers and CMP messages."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
