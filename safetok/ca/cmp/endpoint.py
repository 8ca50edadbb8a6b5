"""Where a CA answers CMP, as whom it is addressed, and whose signature on an answer is its own."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from safetok.domain.authorities import Authority, RequestKind
from safetok.domain.certificates import Certificate, load
from safetok.errors import PersonNeeded, UsageError
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

CMC_CA = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.27")  # RFC 6402 section 2.10
CMC_RA = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One authority's CMP address. `recipient` is a DER Name; empty means the issuer of the old certificate."""

    url: str
    recipient: bytes = b""
    signer: Certificate | None = None
    issuers: tuple[Certificate, ...] = ()
    profile: str = ""
    implicit_confirm: bool = False
    tls_ca: Path | None = None
    request: RequestKind = "kur"
    pss: bool = False  # RSA keys sign with RSASSA-PSS

    def admits(self, extra: Sequence[bytes], old: Certificate, at: datetime) -> Sequence[PublicKeyTypes]:
        """The keys whose signature counts at `at`: of the pinned signer, of the issuing CAs, and of those among `extra` that
        an issuing CA has issued directly with cmcCA or cmcRA. Never the subscriber's own, which a mirror could show.
        """
        own = [c.x509() for c in (self.signer, *self.issuers) if c is not None]
        usable = [c for c in own if _valid(c, at)]
        cas = [c.x509() for c in self.issuers if c.not_before <= at <= c.not_after]
        return [c.public_key() for c in usable] + [
            c.public_key() for c in _readable(extra) if _spki(c) != old.spki and _delegated(c, cas, at)
        ]


def endpoint_of(authority: Authority, issuers: tuple[Certificate, ...], signer: Certificate | None) -> Endpoint:
    """The endpoint of a configured authority. Raises PersonNeeded (`no_endpoint`) when it has no address, UsageError
    (`bad_recipient`) when `recipient` is no RFC 4514 name.
    """
    if not authority.url:
        raise PersonNeeded(
            _("The address of {title}'s renewal server is not known to safetok.").format(title=authority.title),
            code="no_endpoint",
        )
    try:
        recipient = x509.Name.from_rfc4514_string(authority.recipient).public_bytes() if authority.recipient else b""
    except ValueError as error:
        raise UsageError(
            _("`recipient` of {name} is not a name like CN=…,O=…,C=VN.").format(name=authority.name),
            code="bad_recipient",
        ) from error
    return Endpoint(
        url=authority.url,
        recipient=recipient,
        signer=signer,
        issuers=issuers,
        profile=authority.profile,
        implicit_confirm=authority.implicit_confirm,
        tls_ca=authority.tls_ca,
        request=authority.request,
        pss=authority.pss,
    )


def _readable(extra: Sequence[bytes]) -> list[x509.Certificate]:
    """Those of extraCerts that can be read, with a key that can be used; the others are nobody's business here."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # what `cryptography` finds odd in a stranger's certificate is nothing for a user
        for der in extra:
            try:
                certificate = load(der)
                certificate.public_key()
                certificate.extensions  # noqa: B018  (parsed here once, so that nothing below can fail on it)
            except Exception:  # noqa: BLE001, S112  (hostile bytes bring many kinds of error, all mean "not readable")
                continue
            found.append(certificate)
    return found


def _delegated(certificate: x509.Certificate, cas: Sequence[x509.Certificate], at: datetime) -> bool:
    if not _valid(certificate, at):
        return False
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    if CMC_CA not in purposes and CMC_RA not in purposes:
        return False
    try:
        if not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            return False
    except x509.ExtensionNotFound:
        pass  # no restriction
    return any(_issued_by(certificate, ca) for ca in cas)


def _issued_by(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _valid(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _spki(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
