"""Where a certificate says its issuer can be fetched (RFC 5280 4.2.2.1), and the certificates that come from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from safetok.domain.certificates import Certificate
from safetok.errors import SafetokError
from safetok.trust.bundle import MOST, UNREADABLE, read_certificates, readable

if TYPE_CHECKING:
    from safetok.net import Http

PLACES = 3  # addresses of one kind tried in one certificate
DEEPEST = 4  # CAs above a subscriber
MOST_ASKED = 8  # addresses asked for one certificate, all levels together
LARGEST = 1 << 20  # bytes of one answer: a national root's .p7b is some kilobytes


def urls(certificate: x509.Certificate, method: x509.ObjectIdentifier) -> tuple[str, ...]:
    """The http and https addresses of one kind in the AIA extension, at most three."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    found = [
        str(entry.access_location.value)
        for entry in access
        if entry.access_method == method and isinstance(entry.access_location, x509.UniformResourceIdentifier)
    ]
    return tuple(dict.fromkeys(url for url in found if url.lower().startswith(("http://", "https://"))))[:PLACES]


def fetch_issuers(certificate: Certificate, *, http: Http, private_addresses: bool = False) -> tuple[bytes, ...]:
    """What AIA caIssuers leads to, as DER: the issuer's certificates, then theirs, at most four levels,
    eight addresses and 64 certificates in all.

    DER, PEM and PKCS#7 are read. What was fetched is a proposal: the caller checks signatures and anchors. Never raises:
    a place that does not answer, or answers nonsense, gives nothing.
    """
    found: list[bytes] = []
    asked: set[str] = set()
    level = [certificate.der]
    for _depth in range(DEEPEST):
        new: list[bytes] = []
        for link in readable(level):
            for url in urls(link, AuthorityInformationAccessOID.CA_ISSUERS):
                if url in asked or len(asked) >= MOST_ASKED:
                    continue
                asked.add(url)
                new += [der for der in _fetch(url, http, private_addresses=private_addresses) if der not in found + new]
        found += new
        level = new
        if not new or len(found) >= MOST:
            break
    return tuple(found[:MOST])


def _fetch(url: str, http: Http, *, private_addresses: bool) -> tuple[bytes, ...]:
    try:
        response = http.public("GET", url, private_addresses=private_addresses, limit=LARGEST)
        return read_certificates(response.body) if response.status == 200 else ()  # noqa: PLR2004  (HTTP OK)
    except SafetokError:
        return ()
