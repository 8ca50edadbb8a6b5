"""Which certificates a file or an answer holds, whatever it is wrapped in: DER, PEM, or PKCS#7 in either."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from safetok.domain.certificates import load
from safetok.errors import UsageError
from safetok.locale import _

MOST = 64  # certificates taken from one source: no real chain needs more, and a liar's list costs no time

UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises for bytes that are not what they should be."""


def read_certificates(body: bytes) -> tuple[bytes, ...]:
    """Every certificate in `body` as DER, in the order found, at most 64.

    Takes DER, PEM (text around it allowed, several allowed), PKCS#7 in DER or PEM (.p7b, .p7c). The outer wrapping is read
    here; a certificate inside PKCS#7 that `cryptography` cannot read makes the whole of it unreadable.
    Raises UsageError (`no_certificate`) when there is none.
    """
    found = _pem(body) if b"-----BEGIN " in body else _der(body)
    if not found:
        raise UsageError(_("There is no certificate in this file."), code="no_certificate")
    return found[:MOST]


def readable(certificates: Iterable[bytes]) -> list[x509.Certificate]:
    """Those of at most 64 DER certificates that can be read and whose key is of a known type; the others are passed over."""
    found: list[x509.Certificate] = []
    for der, _place in zip(certificates, range(MOST), strict=False):
        try:
            certificate = load(der)
            certificate.public_key()
        except UNREADABLE:
            continue
        if certificate not in found:
            found.append(certificate)
    return found


def _der(body: bytes) -> tuple[bytes, ...]:
    try:
        x509.load_der_x509_certificate(body)
    except UNREADABLE:
        pass
    else:
        return (body,)
    try:
        return _pkcs7(body)
    except UNREADABLE:
        return ()


def _pem(body: bytes) -> tuple[bytes, ...]:
    try:
        if b"-----BEGIN PKCS7-----" in body:
            return _pkcs7(body, pem=True)
        return _dump(x509.load_pem_x509_certificates(body))
    except UNREADABLE:
        return ()


def _pkcs7(body: bytes, *, pem: bool = False) -> tuple[bytes, ...]:
    # Imported here: it brings all of `email`, and few answers are a bundle.
    from cryptography.hazmat.primitives.serialization import pkcs7

    load = pkcs7.load_pem_pkcs7_certificates if pem else pkcs7.load_der_pkcs7_certificates
    return _dump(load(body))


def _dump(certificates: Iterable[x509.Certificate]) -> tuple[bytes, ...]:
    return tuple(certificate.public_bytes(serialization.Encoding.DER) for certificate in certificates)
