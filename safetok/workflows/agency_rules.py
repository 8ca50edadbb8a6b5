"""What holds for a certificate at an agency: the rule it is accepted by, office days, and what to sign with today."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from safetok.domain.filings import Signing, sign_today

if TYPE_CHECKING:
    from safetok.domain.acceptance import Acceptance
    from safetok.domain.agencies import Agency, Registration
    from safetok.domain.certificates import Certificate
    from safetok.domain.working_days import WorkingCalendar
    from safetok.workflows.context import Context


def working(context: Context) -> WorkingCalendar:
    """Knowledge's days off and office hours with the user's laid over them."""
    from safetok.knowledge import load

    known, settings = load.working_calendar(), context.settings
    off = {day: certain for day, certain in {**known.off, **settings.days_off}.items() if certain is not None}
    return dataclasses.replace(
        known, off=off, weekdays=settings.weekdays or known.weekdays, hours=settings.hours or known.hours
    )


def rule_of(context: Context, agency: Agency, certificate: Certificate | None) -> Acceptance:
    """The user's rule for the agency, else that of the certificate's CA, else knowledge's."""
    settings = context.settings
    if agency.name in settings.agency_rules:
        return settings.agency_rules[agency.name]
    if certificate is not None and any(agency.name in one.acceptance for one in settings.authorities.values()):
        from safetok.store.settings import authority_of

        authority = authority_of(certificate, settings)
        if authority is not None and agency.name in authority.acceptance:
            return authority.acceptance[agency.name]
    return agency.rule


def old_of(context: Context, new: Certificate) -> Certificate | None:
    """The certificate that `new` followed, else the company's newest before it, on whichever token."""
    from safetok.domain.certificates import before
    from safetok.domain.companies import company_of
    from safetok.store.inventory import Inventory
    from safetok.workflows.succession import predecessor

    found = predecessor(context, new)
    if found is not None:
        return found
    return before([one.certificate for one in Inventory(context.database).by_company(company_of(new))], new)


def signing_of(
    context: Context, rows: Iterable[Registration], certificates: dict[str, Certificate]
) -> tuple[dict[str, Certificate], dict[tuple[str, str], Signing]]:
    """The old certificate of each new one (by the new one's SHA-256), and what to sign with today by certificate and agency."""
    from safetok.store.answers import Answers

    answers, now = Answers(context.database), context.now()
    old: dict[str, Certificate] = {}
    for sha256, certificate in certificates.items():
        found = old_of(context, certificate)
        if found is not None:
            old[sha256] = found
    heard = {sha256: answers.revocation(sha256) for sha256 in {*certificates, *(one.sha256 for one in old.values())}}
    signing = {}
    for row in rows:
        new, before = certificates.get(row.certificate_sha256), old.get(row.certificate_sha256)
        signing[row.certificate_sha256, row.agency] = sign_today(
            row,
            now=now,
            new=new,
            old=before,
            new_revocation=heard.get(row.certificate_sha256),
            old_revocation=heard.get(before.sha256) if before else None,
        )
    return old, signing
