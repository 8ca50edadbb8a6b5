"""Certificates shaped like SAFE-CA's, for tokens that these tests make themselves."""

from __future__ import annotations

import datetime as dt
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def issued(
    key: PrivateKey,
    *,
    name: str = "CÔNG TY TNHH THỬ NGHIỆM",
    mst: str = "0106324653",
    issuer: str = "SAFE-CA SHA-256 2020",
    serial: int = 0x54010108096D8A02E2F22CE98BD7168E,
    start: dt.datetime = dt.datetime(2024, 6, 1, tzinfo=dt.UTC),
    days_left: int = 20,
    end: dt.datetime | None = None,
    uids: tuple[str, ...] = (),
) -> x509.Certificate:
    """A certificate that ends `days_left` days from now, or at `end`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # X.520 says 64 bytes for a CN; Vietnamese company names are often longer
        common_name = x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False)
    subject = [x509.NameAttribute(NameOID.USER_ID, uid) for uid in (uids or (f"MST:{mst}",))]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*subject, common_name]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end or NOW + dt.timedelta(days=days_left))
        .sign(key, hashes.SHA256())
    )
