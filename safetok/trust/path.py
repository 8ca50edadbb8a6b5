"""Whether a certificate chains to an anchor: RFC 5280 path validation for the shapes that Vietnamese CAs issue.

`cryptography`'s client verifier with its web rules off: these certificates carry no SAN, and old CAs lack key identifiers.
What must hold is kept: every issuer is a CA by BasicConstraints, within its path length, allowed to sign certificates, in
force at the moment asked about. Several roots may carry one name and CAs may be cross-signed: every path is tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import verification

from safetok.domain.certificates import Certificate, parse
from safetok.errors import NotTrusted, UsageError
from safetok.locale import _
from safetok.trust import eddsa
from safetok.trust.bundle import MOST, UNREADABLE, readable


def build_path(
    certificate: Certificate, *, intermediates: Sequence[bytes], anchors: Sequence[Certificate], at: datetime
) -> tuple[Certificate, ...]:
    """The chain from `certificate` (first) to one of `anchors` (last), every link in force at `at`.

    `intermediates` is what somebody sent, DER in any order, believed in nothing: what cannot be read, or signed nothing on
    the way up, is passed over, so that a poisoned list neither hides a good path nor costs time. `at` is the caller's: for
    an expired certificate `moment_of`. Raises NotTrusted (`no_path`).
    """
    try:
        leaf = certificate.x509()
        trusted = [anchor.x509() for anchor in anchors]
        helping = _helping(leaf, readable(intermediates))
        if not trusted:
            raise _no_path(certificate)
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(trusted))
            .time(at)
            .extension_policies(ee_policy=verification.ExtensionPolicy.permit_all(), ca_policy=_ca_policy())
            .build_client_verifier()
        )
        try:
            chain: Sequence[x509.Certificate] = verifier.verify(leaf, helping).chain
        except verification.VerificationError:
            other = eddsa.chain_of(leaf, helping, trusted, at=at, signed_by=signed_by)
            if other is None:
                raise
            chain = other
        return (certificate, *(parse(link.public_bytes(serialization.Encoding.DER)) for link in chain[1:]))
    except (verification.VerificationError, UsageError, *UNREADABLE) as error:
        raise _no_path(certificate) from error


def moment_of(certificate: Certificate, now: datetime) -> datetime:
    """When to ask about a path: now, but an expired certificate's path at its notAfter (expiry is told apart from trust)."""
    return min(now, certificate.not_after)


def issuer_of(certificate: x509.Certificate, candidates: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """The candidate whose key signed `certificate`: a CA by BasicConstraints with the issuer's name (RFC 5280 4.1.2.4)."""
    return next((candidate for candidate in candidates if signed_by(certificate, candidate)), None)


@lru_cache(maxsize=256)
def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether `issuer` is a CA that may sign certificates, has the right name, and its key made the signature.

    The few CAs above a run's certificates are met with each of them: what two certificates are to each other never changes.
    """
    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca or not may(
            issuer, "key_cert_sign"
        ):
            return False
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, x509.ExtensionNotFound, *UNREADABLE):
        return False
    return True


def may(certificate: x509.Certificate, usage: str) -> bool:
    """Whether the certificate's KeyUsage allows `usage` (named as in `x509.KeyUsage`); without one everything is allowed."""
    try:
        return bool(getattr(certificate.extensions.get_extension_for_class(x509.KeyUsage).value, usage))
    except x509.ExtensionNotFound:
        return True


def _helping(leaf: x509.Certificate, pool: list[x509.Certificate]) -> list[x509.Certificate]:
    """Those of `pool` that signed the leaf or each other on the way up: the verifier counts signature checks and gives up."""
    helping: list[x509.Certificate] = []
    frontier = [leaf]
    while frontier and len(helping) < MOST:
        below = frontier.pop()
        for candidate in pool:
            if candidate not in helping and signed_by(below, candidate):
                helping.append(candidate)
                frontier.append(candidate)
    return helping


def _ca_policy() -> verification.ExtensionPolicy:
    return (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, _may_sign_certificates)
    )


def _may_sign_certificates(
    _policy: verification.Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("KeyUsage without keyCertSign")


def _no_path(certificate: Certificate) -> NotTrusted:
    return NotTrusted(
        _("The certificate of {issuer} cannot be traced to a root that safetok was told to trust.").format(
            issuer=certificate.issuer_name
        ),
        code="no_path",
    )
