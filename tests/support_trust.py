"""A small PKI for the trust tests: names as Vietnamese CAs write them, keys made once, every field to be bent by a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from asn1crypto import algos, core
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from safetok.domain.certificates import Certificate, parse
from safetok.errors import NotChecked
from safetok.net import Response

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
OCSP_URL = "http://ocsp.example.vn"
CRL_URL = "http://crl.example.vn/ca.crl"
AIA_URL = "http://crl.example.vn/ca.cer"

Key = CertificateIssuerPrivateKeyTypes
Extension = tuple[x509.ExtensionType, bool]


@cache
def key(who: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key of `who`, made once a session."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key(who: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The RSA key of `who`, made once a session."""
    return rsa.generate_private_key(65537, bits)


def name(common_name: str, uid: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if uid:
        attributes.append(x509.NameAttribute(NameOID.USER_ID, uid))
    return x509.Name(attributes)


def ca_true(path_length: int | None = None) -> Extension:
    return x509.BasicConstraints(ca=True, path_length=path_length), True


def ca_false() -> Extension:
    return x509.BasicConstraints(ca=False, path_length=None), True


def usage(*allowed: str) -> Extension:
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign "
        "encipher_only decipher_only"
    )
    return x509.KeyUsage(**{one: one in allowed for one in every.split()}), True


def places(ocsp: str | None = OCSP_URL, crl: str | None = CRL_URL, issuer: str | None = None) -> tuple[Extension, ...]:
    """AIA and CDP with the addresses given."""
    access = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, ocsp),
            (AuthorityInformationAccessOID.CA_ISSUERS, issuer),
        )
        if url
    ]
    found: list[Extension] = [(x509.AuthorityInformationAccess(access), False)] if access else []
    if crl:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)
        found.append((x509.CRLDistributionPoints([point]), False))
    return tuple(found)


def issue(
    subject: x509.Name | str,
    issuer: x509.Name | str,
    public: Key,
    signer: Key,
    extensions: Iterable[Extension] = (),
    *,
    serial: int | None = None,
    begins: datetime = NOW - 30 * DAY,
    ends: datetime = NOW + 300 * DAY,
    algorithm: hashes.HashAlgorithm | None = None,
) -> Certificate:
    """One certificate, signed by `signer`, for `public`'s public half."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject) if isinstance(subject, str) else subject)
        .issuer_name(name(issuer) if isinstance(issuer, str) else issuer)
        .public_key(public.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    pure = isinstance(signer, ed25519.Ed25519PrivateKey)
    return parse(
        builder.sign(signer, None if pure else algorithm or hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    )


def ca(
    subject: str, issuer: str | None = None, *, who: str | None = None, by: str | None = None, **bent: object
) -> Certificate:
    """A CA certificate: self-signed without `issuer`; `who` and `by` name keys where they differ from the names."""
    return issue(
        subject,
        issuer or subject,
        key(who or subject),
        key(by or issuer or subject),
        bent.pop("extensions", (ca_true(), usage("key_cert_sign", "crl_sign"))),  # type: ignore[arg-type]
        **{"begins": NOW - 2000 * DAY, "ends": NOW + 2000 * DAY, **bent},  # type: ignore[arg-type]
    )


def with_sha1(der: bytes, signed: bytes, signer: rsa.RSAPrivateKey) -> bytes:
    """`der` with its sha256WithRSAEncryption signature over `signed` made one with SHA-1, which no library makes any more."""
    sha256, sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    weak = signed.replace(sha256, sha1)
    old = bytes(der).replace(signed, weak).replace(sha256, sha1)
    start = old.index(weak) + len(weak)
    place = old.index(b"\x03\x82\x01\x01\x00", start) + 5
    return old[:place] + signer.sign(weak, padding.PKCS1v15(), hashes.SHA1()) + old[place + 256 :]


def with_pss(
    answer: bytes,
    signer: rsa.RSAPrivateKey,
    digest: str = "sha256",
    mask: str | None = None,
    salt: int = 32,
    told: dict[str, object] | None = None,
) -> bytes:
    """An OCSP answer signed anew with RSASSA-PSS, which `cryptography`'s builder cannot: MGF1 with `mask` if it is another
    hash; `told` stands in the algorithm in place of the parameters.
    """
    kinds: dict[str, hashes.HashAlgorithm] = {
        "sha1": hashes.SHA1(),
        "sha256": hashes.SHA256(),
        "sha384": hashes.SHA384(),
        "sha512": hashes.SHA512(),
    }
    whole = asn1_ocsp.OCSPResponse.load(answer)
    basic = whole["response_bytes"]["response"].parsed
    signature = signer.sign(
        basic["tbs_response_data"].dump(), padding.PSS(padding.MGF1(kinds[mask or digest]), salt), kinds[digest]
    )
    parameters = algos.RSASSAPSSParams(
        {
            "hash_algorithm": {"algorithm": digest},
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": mask or digest}},
            "salt_length": salt,
        }
    )
    made = asn1_ocsp.BasicOCSPResponse(
        {
            "tbs_response_data": basic["tbs_response_data"],
            "signature_algorithm": {"algorithm": "rsassa_pss"} | ({"parameters": parameters} if told is None else told),
            "signature": signature,
            **({} if isinstance(basic["certs"], core.Void) else {"certs": basic["certs"]}),
        }
    )
    return bytes(
        asn1_ocsp.OCSPResponse(
            {
                "response_status": "successful",
                "response_bytes": {"response_type": "basic_ocsp_response", "response": made},
            }
        ).dump()
    )


@dataclass
class Web:
    """Stands where `safetok.net.Http` does: addresses with what they answer, and what was asked."""

    pages: Mapping[str, object] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def public(self, method: str, url: str, *, body: bytes = b"", **_how: object) -> Response:
        self.asked.append((method, url))
        page = self.pages.get(url)
        if callable(page):
            page = page(body)
        if page is None:
            raise NotChecked("not reached", code="unreachable")
        if isinstance(page, int):
            return Response(status=page, headers={}, body=b"")
        return Response(status=200, headers={}, body=page)  # type: ignore[arg-type]
