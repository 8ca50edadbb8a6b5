"""What a CA's revocation list says of one certificate, and whether the list may be believed (RFC 5280 sections 5 and 6.3)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.errors import NotChecked
from safetok.locale import _
from safetok.trust.aia import PLACES
from safetok.trust.bundle import UNREADABLE
from safetok.trust.path import may

if TYPE_CHECKING:
    from safetok.net import Http

LARGEST = 16 << 20  # bytes: some 400,000 entries
SKEW = timedelta(minutes=5)

_UNDERSTOOD = (x509.IssuingDistributionPoint, x509.AuthorityKeyIdentifier, x509.CRLNumber, x509.DeltaCRLIndicator)


def urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """The http and https addresses of the certificate's CRL distribution points, at most three; indirect ones left out."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    names = [name for point in points if point.crl_issuer is None for name in point.full_name or ()]
    found = [str(name.value) for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    return tuple(dict.fromkeys(url for url in found if url.lower().startswith(("http://", "https://"))))[:PLACES]


def ask(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    url: str,
    *,
    http: Http,
    now: datetime,
    private_addresses: bool = False,
    cache: Path | None = None,
) -> Revocation:
    """What the list at `url` says: good, suspended (certificateHold) or revoked.

    With a `cache` folder the list is kept there until its nextUpdate; what is kept is checked anew like what is fetched.
    Raises NotChecked for everything that is not a complete, current list of this issuer's own.
    """
    kept = cache / f"{hashlib.sha256(url.encode()).hexdigest()}.crl" if cache else None
    if kept is not None:
        with contextlib.suppress(OSError, NotChecked):
            return read(kept.read_bytes(), certificate, issuer, now=now)
    response = http.public("GET", url, private_addresses=private_addresses, limit=LARGEST)
    if response.status != 200:  # noqa: PLR2004  (HTTP OK)
        raise NotChecked(
            _("The place of the CA's revocation list answered HTTP {status}.").format(status=response.status),
            code="crl_unreachable",
        )
    verdict = read(response.body, certificate, issuer, now=now)
    if kept is not None:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            _keep(kept, response.body)
    return verdict


def read(body: bytes, certificate: x509.Certificate, issuer: x509.Certificate, *, now: datetime) -> Revocation:
    """The same from the list's bytes, DER or PEM. Raises NotChecked with the code of the first check that failed."""
    try:
        pem = b"-----BEGIN " in body[:65536]
        found = x509.load_pem_x509_crl(body) if pem else x509.load_der_x509_crl(body)
        if found.issuer != certificate.issuer:
            raise NotChecked(
                _("The revocation list is another CA's; lists made for others are not used."), code="crl_indirect"
            )
        if not may(issuer, "crl_sign") or not _sha2(found) or not found.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
            raise NotChecked(_("The revocation list is not signed by the CA."), code="crl_not_signed")
        _check_age(found, now)
        complete = _check_scope(found, certificate)
        entry = found.get_revoked_certificate_by_serial_number(certificate.serial_number)
        return _verdict(entry, found, now, complete=complete)
    except UNREADABLE as error:
        raise NotChecked(_("The revocation list cannot be read."), code="crl_malformed") from error


def _sha2(found: x509.CertificateRevocationList) -> bool:
    algorithm = found.signature_hash_algorithm
    return algorithm is None or algorithm.name in {"sha256", "sha384", "sha512"}  # None: EdDSA


def _check_age(found: x509.CertificateRevocationList, now: datetime) -> None:
    if found.last_update_utc > now + SKEW:
        raise NotChecked(_("The revocation list is from the future: check this computer's clock."), code="crl_future")
    if found.next_update_utc is None or found.next_update_utc < now:
        raise NotChecked(_("The revocation list is out of date."), code="crl_stale")


def _check_scope(found: x509.CertificateRevocationList, certificate: x509.Certificate) -> bool:
    """Whether a certificate that the list does not name is good by it: not where it is of some reasons only (6.3.3 b, d)."""
    scope: x509.IssuingDistributionPoint | None = None
    for extension in found.extensions:
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            raise NotChecked(_("The revocation list has a part that safetok does not know."), code="crl_not_understood")
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            raise NotChecked(_("The revocation list holds changes only."), code="crl_delta")
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            scope = extension.value
    if scope is None:
        return True
    if scope.indirect_crl:
        raise NotChecked(
            _("The revocation list is another CA's; lists made for others are not used."), code="crl_indirect"
        )
    other_kind = scope.only_contains_user_certs if _is_ca(certificate) else scope.only_contains_ca_certs
    if other_kind or scope.only_contains_attribute_certs or not _same_place(scope, certificate):
        raise NotChecked(_("The revocation list does not cover certificates of this kind."), code="crl_other_scope")
    return scope.only_some_reasons is None


def _same_place(scope: x509.IssuingDistributionPoint, certificate: x509.Certificate) -> bool:
    if scope.relative_name is not None:
        return False
    if scope.full_name is None:
        return True
    points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    return any(name in scope.full_name for point in points for name in point.full_name or ())


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _verdict(
    entry: x509.RevokedCertificate | None, found: x509.CertificateRevocationList, now: datetime, *, complete: bool
) -> Revocation:
    begins = found.last_update_utc
    reason = _reason(entry) if entry is not None else None
    if entry is None or reason is x509.ReasonFlags.remove_from_crl:
        if not complete:
            raise NotChecked(_("The revocation list covers some reasons only."), code="crl_other_scope")
        return Revocation(answer=RevocationAnswer.GOOD, checked_at=now, source="crl", produced_at=begins)
    return Revocation(
        answer=RevocationAnswer.SUSPENDED if reason is x509.ReasonFlags.certificate_hold else RevocationAnswer.REVOKED,
        checked_at=now,
        reason=(reason or x509.ReasonFlags.unspecified).value,
        since=entry.revocation_date_utc,
        source="crl",
        produced_at=begins,
    )


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    reason: x509.ReasonFlags | None = None
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            reason = extension.value.reason
        elif extension.critical:  # certificateIssuer and what nobody knows yet
            raise NotChecked(_("The revocation list has a part that safetok does not know."), code="crl_not_understood")
    return reason


def _keep(place: Path, body: bytes) -> None:
    """Write whole or not at all: another run may be reading."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=place.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        Path(name).replace(place)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
