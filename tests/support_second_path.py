"""A second opinion on paths and revocation: pyhanko-certvalidator, which shares no code with what safetok uses for either."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta

from asn1crypto import x509
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError, RevokedError
from pyhanko_certvalidator.policy_decl import CertRevTrustPolicy, RevocationCheckingPolicy, RevocationCheckingRule

from safetok.domain.certificates import Certificate


def path(
    leaf: Certificate, intermediates: Sequence[bytes], anchors: Sequence[Certificate], at: datetime
) -> list[bytes] | None:
    """The chain it finds, leaf first, as DER; None when it trusts none."""
    context = ValidationContext(
        trust_roots=[x509.Certificate.load(a.der) for a in anchors],
        moment=at,
        weak_hash_algos=set(),
        revocation_mode="soft-fail",
        time_tolerance=timedelta(0),
    )
    return _validated(leaf.der, intermediates, context)


def revocation(
    leaf: Certificate,
    issuer: Certificate,
    root: Certificate,
    at: datetime,
    *,
    ocsps: Sequence[bytes] = (),
    crls: Sequence[bytes] = (),
) -> str:
    """`good`, `unknown`, or the reason in RFC 5280's words. Only these answers count, and one is needed."""
    from asn1crypto.crl import CertificateList
    from asn1crypto.ocsp import OCSPResponse

    context = ValidationContext(
        trust_roots=[x509.Certificate.load(root.der)],
        moment=at,
        crls=[CertificateList.load(der) for der in crls],
        ocsps=[OCSPResponse.load(der) for der in ocsps],
        revinfo_policy=CertRevTrustPolicy(
            RevocationCheckingPolicy(RevocationCheckingRule.CRL_OR_OCSP_REQUIRED, RevocationCheckingRule.NO_CHECK)
        ),
        time_tolerance=timedelta(minutes=5),
    )
    try:
        asyncio.run(_validator(leaf.der, [issuer.der], context).async_validate_path())
    except RevokedError as error:
        return str(error.reason.native)
    except (PathBuildingError, PathValidationError):
        return "unknown"
    return "good"


def _validated(leaf: bytes, intermediates: Sequence[bytes], context: ValidationContext) -> list[bytes] | None:
    try:
        found = asyncio.run(_validator(leaf, intermediates, context).async_validate_path())
    except (PathBuildingError, PathValidationError):
        return None
    return [certificate.dump() for certificate in reversed(list(found.iter_certs(include_root=True)))]


def _validator(leaf: bytes, intermediates: Sequence[bytes], context: ValidationContext) -> CertificateValidator:
    usable = []
    for der in intermediates:
        try:
            certificate = x509.Certificate.load(der, strict=True)
            certificate.native  # noqa: B018  (read whole: what cannot be is left out, as safetok does)
        except (ValueError, TypeError, KeyError):
            continue
        usable.append(certificate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CertificateValidator(x509.Certificate.load(leaf), usable, validation_context=context)
