"""What a CA's revocation list says of one certificate, and whether the list may be believed (RFC 5280 sections 5 and 6.3)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.errors import NotChecked, SafetokError
from safetok.locale import _
from safetok.records import dataclass
from safetok.trust.aia import PLACES
from safetok.trust.bundle import UNREADABLE
from safetok.trust.path import may

if TYPE_CHECKING:
    from safetok.net import Http

LARGEST = 16 << 20  # bytes: some 400,000 entries
SKEW = timedelta(minutes=5)

_UNDERSTOOD = (
    x509.IssuingDistributionPoint,
    x509.AuthorityKeyIdentifier,
    x509.CRLNumber,
    x509.DeltaCRLIndicator,
    x509.FreshestCRL,
)
E = TypeVar("E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fetching:
    """How lists are fetched: over which network, when, and where they are kept."""

    http: Http
    now: datetime
    private_addresses: bool
    cache: Path | None
    fresh: bool


def urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """The http and https addresses of the certificate's CRL distribution points, at most three; indirect ones left out."""
    try:
        return _addresses(certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()


def _addresses(points: Iterable[x509.DistributionPoint]) -> tuple[str, ...]:
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
    fresh: bool = False,
) -> Revocation:
    """What the list at `url` says, with the changes since (delta CRL) where it names a place for them: good, suspended
    (certificateHold) or revoked.

    With a `cache` folder lists are kept there until their nextUpdate; what is kept is checked anew like what is fetched, and with
    `fresh` not used, only replaced.
    Raises NotChecked for everything that is not a complete, current list of this issuer's own. Changes that cannot be had, or are
    not this list's, leave it as it stands until its own nextUpdate (RFC 5280 6.3.3).
    """
    fetching = _Fetching(http=http, now=now, private_addresses=private_addresses, cache=cache, fresh=fresh)
    whole, verdict = _listed(url, fetching, lambda body: read(body, certificate, issuer, now=now))
    for place in _freshest(whole, certificate):
        with contextlib.suppress(SafetokError):
            _changes, verdict = _listed(
                place, fetching, lambda body: read(whole, certificate, issuer, now=now, changes=body)
            )
            break
    return verdict


def _listed(url: str, fetching: _Fetching, reading: Callable[[bytes], Revocation]) -> tuple[bytes, Revocation]:
    """The list kept of `url` and what it says, if it still says anything; else the one fetched now, which is kept."""
    kept = fetching.cache / f"{hashlib.sha256(url.encode()).hexdigest()}.crl" if fetching.cache else None
    if kept is not None and not fetching.fresh:
        with contextlib.suppress(OSError, NotChecked):
            body = kept.read_bytes()
            return body, reading(body)
    response = fetching.http.public("GET", url, private_addresses=fetching.private_addresses, limit=LARGEST)
    if response.status != 200:  # noqa: PLR2004  (HTTP OK)
        raise NotChecked(
            _("The place of the CA's revocation list answered HTTP {status}.").format(status=response.status),
            code="crl_unreachable",
        )
    verdict = reading(response.body)
    if kept is not None:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            _keep(kept, response.body)
    return response.body, verdict


def read(
    body: bytes, certificate: x509.Certificate, issuer: x509.Certificate, *, now: datetime, changes: bytes | None = None
) -> Revocation:
    """The same from the list's bytes, DER or PEM, and those of the changes to it. Raises NotChecked with the code of the first
    check that failed.
    """
    try:
        found, complete = _believed(body, certificate, issuer, now)
        entry = found.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if changes is not None:
            newer, _complete = _believed(changes, certificate, issuer, now, base=found)
            changed = newer.get_revoked_certificate_by_serial_number(certificate.serial_number)
            found, entry = newer, changed or entry
        return _verdict(entry, found, now, complete=complete)
    except UNREADABLE as error:
        raise NotChecked(_("The revocation list cannot be read."), code="crl_malformed") from error


def _believed(
    body: bytes,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    now: datetime,
    *,
    base: x509.CertificateRevocationList | None = None,
) -> tuple[x509.CertificateRevocationList, bool]:
    """A list that is this issuer's, current, and about such certificates; and whether one that it does not name is good by it.

    With `base` it must be the changes to that list.
    """
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
    _check_kind(found, base)
    return found, complete


def _check_kind(found: x509.CertificateRevocationList, base: x509.CertificateRevocationList | None) -> None:
    """A whole list; or with `base` changes that begin at it or before, are newer, and have its scope (RFC 5280 5.2.4)."""
    since = _value(found, x509.DeltaCRLIndicator)
    if base is None:
        if since is not None:
            raise NotChecked(_("The revocation list holds changes only."), code="crl_delta")
        return
    number, newer = _value(base, x509.CRLNumber), _value(found, x509.CRLNumber)
    fitting = (
        since is not None
        and number is not None
        and newer is not None
        and since.crl_number <= number.crl_number <= newer.crl_number
    )
    if not fitting or _value(found, x509.IssuingDistributionPoint) != _value(base, x509.IssuingDistributionPoint):
        raise NotChecked(_("The changes are not those of this revocation list."), code="crl_delta")


def _value(found: x509.CertificateRevocationList, kind: type[E]) -> E | None:
    try:
        return found.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _freshest(whole: bytes, certificate: x509.Certificate) -> tuple[str, ...]:
    """Where the changes are: as the list says, else as the certificate does (RFC 5280 5.2.6, 4.2.1.15)."""
    pem = b"-----BEGIN " in whole[:65536]
    found = x509.load_pem_x509_crl(whole) if pem else x509.load_der_x509_crl(whole)
    for one in (found, certificate):
        try:
            return _addresses(one.extensions.get_extension_for_class(x509.FreshestCRL).value)
        except (x509.ExtensionNotFound, *UNREADABLE):
            continue
    return ()


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
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            scope = extension.value
    if scope is None:
        return not _by_reasons(certificate)
    if scope.indirect_crl:
        raise NotChecked(
            _("The revocation list is another CA's; lists made for others are not used."), code="crl_indirect"
        )
    other_kind = scope.only_contains_user_certs if _is_ca(certificate) else scope.only_contains_ca_certs
    if other_kind or scope.only_contains_attribute_certs or not _same_place(scope, certificate):
        raise NotChecked(_("The revocation list does not cover certificates of this kind."), code="crl_other_scope")
    return scope.only_some_reasons is None and not _by_reasons(certificate)


def _by_reasons(certificate: x509.Certificate) -> bool:
    """Whether some place of the certificate's lists is for some reasons only: no one list is then the whole answer."""
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return False
    return any(point.reasons is not None for point in points)


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
