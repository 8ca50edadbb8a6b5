"""How far a certificate's issuers lead: to an anchor, at which moment, or else to where and why no further."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from safetok.domain.certificates import Certificate, parse
from safetok.domain.times import show_date
from safetok.errors import NotTrusted, UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.trust.bundle import UNREADABLE, readable
from safetok.trust.eddsa import EDDSA, LONGEST
from safetok.trust.path import build_path, signed_by

MOMENTS = 8  # at most so many moments are tried for a certificate that is not in force
_SHA2 = {"sha256", "sha384", "sha512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The certificate and the CAs above it. `chain` ends at the anchor where `anchored`, else at the last CA at hand.

    `at` is the moment the path is built for: now, or for a certificate that is over (or not begun) one at which it was (will
    be) in force. `code` and `reason` say why there is no path: `no_anchors`, `no_issuer`, `not_its_issuer`, `other_root`,
    `link_not_in_force`, `weak_link`, `rules_broken`.
    """

    chain: tuple[Certificate, ...]
    at: datetime
    anchored: bool
    code: str = ""
    reason: str = ""


def trace(certificate: Certificate, *, pool: Sequence[bytes], anchors: Sequence[Certificate], now: datetime) -> Trace:
    """The path by `build_path`, or what is in its way. `pool` is believed in nothing; never raises."""
    for at in moments(certificate, pool, anchors, now):
        try:
            return Trace(
                chain=build_path(certificate, intermediates=pool, anchors=anchors, at=at), at=at, anchored=True
            )
        except NotTrusted:
            continue
    at = _in_force(certificate, now)
    above = [*anchors, *_parsed(pool)]
    chain = _climbed(certificate, above, at)
    code, reason = _obstacle(chain, above, anchors, at)
    return Trace(chain=chain, at=at, anchored=False, code=code, reason=reason)


def moments(
    certificate: Certificate, pool: Sequence[bytes], anchors: Sequence[Certificate], now: datetime
) -> tuple[datetime, ...]:
    """When to ask about the path: now; for a certificate that is over, its end, then the ends of CAs that ended before it."""
    at = _in_force(certificate, now)
    if at in {now, certificate.not_before}:
        return (at,)
    ends = {ca.not_after for ca in (*anchors, *_parsed(pool)) if certificate.not_before <= ca.not_after < at}
    return (at, *sorted(ends, reverse=True))[:MOMENTS]


def _in_force(certificate: Certificate, now: datetime) -> datetime:
    return max(certificate.not_before, min(now, certificate.not_after))


def _parsed(pool: Iterable[bytes]) -> list[Certificate]:
    found: list[Certificate] = []
    for link in readable(pool):
        try:
            found.append(parse(link.public_bytes(serialization.Encoding.DER)))
        except UsageError:
            continue
    return found


def _climbed(certificate: Certificate, above: Sequence[Certificate], at: datetime) -> tuple[Certificate, ...]:
    """Upwards by signatures alone; of several issuers one that is in force, anchors before others."""
    chain: tuple[Certificate, ...] = (certificate,)
    while len(chain) < LONGEST:
        fitting = [ca for ca in above if ca not in chain and _signed(chain[-1], ca)]
        if not fitting:
            break
        chain = (*chain, min(fitting, key=partial(_over, at=at)))
    return chain


def _over(ca: Certificate, *, at: datetime) -> bool:
    return not ca.not_before <= at <= ca.not_after


def _signed(below: Certificate, ca: Certificate) -> bool:
    return below.issuer_der == ca.subject_der and signed_by(below.x509(), ca.x509())


def _obstacle(
    chain: tuple[Certificate, ...], above: Sequence[Certificate], anchors: Sequence[Certificate], at: datetime
) -> tuple[str, str]:
    top = chain[-1]
    if not anchors:
        return "no_anchors", _("safetok was told of no root to trust for this CA")
    if any(ca in anchors for ca in chain[1:]):
        return _broken_rule(chain, at)
    if len(chain) > 1 and top.subject_der == top.issuer_der:
        if any(anchor.subject_der == top.subject_der for anchor in anchors):
            text = _("the root that it ends at bears the name {root}, but is not the certificate that safetok trusts")
        else:
            text = _("it ends at {root}, which is none of the roots that safetok was told to trust")
        return "other_root", text.format(root=top.subject_name)
    if any(ca.subject_der == top.issuer_der for ca in above):
        if not _strong(top.x509()):  # SHA-1 is not even verified
            return _outdated(top)
        text = _("the certificate at hand that bears the name {issuer} did not sign {subject}, or may not sign")
        return "not_its_issuer", text.format(issuer=top.issuer_name, subject=top.subject_name)
    text = _("the certificate of {issuer}, which issued {subject}, is not at hand")
    return "no_issuer", text.format(issuer=top.issuer_name, subject=top.subject_name)


def _broken_rule(chain: tuple[Certificate, ...], at: datetime) -> tuple[str, str]:
    """Every link is there, and yet it is no path: which link is at fault."""
    for link in chain[1:]:
        if _over(link, at=at):
            return "link_not_in_force", _("the certificate of {ca} is valid from {begin} to {end} only").format(
                ca=link.subject_name, begin=show_date(link.not_before), end=show_date(link.not_after)
            )
    for link in chain[:-1]:
        if not _strong(link.x509()):
            return _outdated(link)
    return "rules_broken", _("a rule that holds for such paths is broken (path length, key size, or unknown parts)")


def _outdated(link: Certificate) -> tuple[str, str]:
    text = _("the certificate of {name} is signed with an outdated algorithm")
    return "weak_link", text.format(name=link.subject_name)


def _strong(link: x509.Certificate) -> bool:
    try:
        if link.signature_algorithm_oid in EDDSA:
            return True
        algorithm = link.signature_hash_algorithm
    except UNREADABLE:
        return False
    return algorithm is not None and algorithm.name in _SHA2
