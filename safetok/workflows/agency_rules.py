"""What holds for a certificate at an agency: the rule it is accepted by, office days, and what to sign with today."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING

from safetok.domain.filings import Signing, sign_today
from safetok.domain.registrations import NOT_LEARNED
from safetok.locale import _

if TYPE_CHECKING:
    from datetime import datetime

    from safetok.domain.acceptance import Acceptance
    from safetok.domain.agencies import Agency, Registration, RegistrationState
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


def for_no_agency(context: Context) -> dict[str, str]:
    """The rules of settings.toml that are for no agency that safetok knows, so that they change nothing: each key, and the agency
    meant, "" where none is near.
    """
    settings = context.settings
    ruled = {name: f"agencies.{name}.acceptance" for name in settings.agency_rules}
    for authority in settings.authorities.values():
        ruled |= {name: f"authorities.{authority.name}.acceptance.{name}" for name in authority.acceptance}
    if not ruled:
        return {}
    from difflib import get_close_matches

    from safetok.store.registrations import Registrations
    from safetok.workflows.agency_names import all_agencies, letters

    known = [*all_agencies(Registrations(context.database))]
    return {
        key: next(iter(get_close_matches(letters(name), known, 1)), "")
        for name, key in ruled.items()
        if name not in known
    }


def told_of_no_agency(key: str, meant: str) -> str:
    """The sentence for such a rule."""
    text = _("settings.toml: [{key}] is for an agency that is not known, and changes nothing.").format(key=key)
    return f"{text} {_('Meant is {agency}?').format(agency=meant)}" if meant else text


def old_of(context: Context, new: Certificate) -> Certificate | None:
    """The certificate that `new` followed, else the company's newest before it, on whichever token."""
    from safetok.domain.companies import company_of
    from safetok.store.inventory import Inventory
    from safetok.workflows.succession import before, predecessor

    found = predecessor(context, new)
    if found is not None:
        return found
    return before(context, [one.certificate for one in Inventory(context.database).by_company(company_of(new))], new)


def _known_at(
    context: Context, agency: str, before: Certificate, states: dict[str, dict[str, RegistrationState]]
) -> Certificate | None:
    """The certificate this agency knows: `before`, or where that one was never taken there in its turn, the one before it; None
    where that is not known to safetok. `states` keeps what was looked up, by certificate (SHA-256) and agency.
    """
    from safetok.store.registrations import Registrations

    found: Certificate | None = before
    passed = set[str]()
    while found is not None and found.sha256 not in passed:
        passed.add(found.sha256)
        if found.sha256 not in states:
            rows = Registrations(context.database).list(certificate=found.sha256)
            states[found.sha256] = {row.agency: row.state for row in rows}
        if states[found.sha256].get(agency) not in NOT_LEARNED:
            return found
        found = old_of(context, found)
    return None


def signing_of(
    context: Context, rows: Iterable[Registration], certificates: dict[str, Certificate]
) -> tuple[dict[tuple[str, str], Certificate], dict[tuple[str, str], Signing]]:
    """The old certificate that each agency knows, and what to sign with there today; by new certificate (SHA-256) and agency."""
    from safetok.store.answers import Answers

    answers, now, rows = Answers(context.database), context.now(), tuple(rows)
    followed = {sha256: old_of(context, certificate) for sha256, certificate in certificates.items()}
    states: dict[str, dict[str, RegistrationState]] = {}
    old: dict[tuple[str, str], Certificate] = {}
    for row in rows:
        before = followed.get(row.certificate_sha256)
        if before is not None and (found := _known_at(context, row.agency, before, states)) is not None:
            old[row.certificate_sha256, row.agency] = found
    heard = {sha256: answers.revocation(sha256) for sha256 in {*certificates, *(one.sha256 for one in old.values())}}
    came: dict[str, datetime] = {}  # an agency that was added later has a row of a later day
    for row in rows:
        came[row.certificate_sha256] = min(row.opened_at, came.get(row.certificate_sha256, row.opened_at))
    signing = {}
    for row in rows:
        new, before = certificates.get(row.certificate_sha256), old.get((row.certificate_sha256, row.agency))
        signing[row.certificate_sha256, row.agency] = sign_today(
            row,
            now=now,
            new=new,
            old=before,
            new_revocation=heard.get(row.certificate_sha256),
            old_revocation=heard.get(before.sha256) if before else None,
            came=came[row.certificate_sha256],
        )
    return old, signing


def signing_by_part(
    context: Context, rows: Iterable[Registration], certificates: dict[str, Certificate]
) -> dict[tuple[str, str], dict[str, Signing]]:
    """What to sign with at those services of an agency that are updated while others are not; by new certificate (SHA-256) and
    agency, then by service.
    """
    from safetok.domain.acceptance import accepted_from
    from safetok.domain.agencies import RegistrationState
    from safetok.store.answers import Answers
    from safetok.store.registrations import Registrations
    from safetok.workflows.agency_names import all_agencies

    halves = [row for row in rows if row.state is RegistrationState.OPEN and row.parts]
    if not halves:
        return {}
    agencies = all_agencies(Registrations(context.database))
    heard = Answers(context.database).revocations({row.certificate_sha256 for row in halves})
    found: dict[tuple[str, str], dict[str, Signing]] = {}
    for row in halves:
        new = certificates.get(row.certificate_sha256)
        agency = agencies.get(row.agency)
        rule = rule_of(context, agency, new) if agency else None
        for part, at in row.parts:
            until = accepted_from(rule, at, working(context)) if rule is not None and rule.waits else None
            found.setdefault((row.certificate_sha256, row.agency), {})[part] = sign_today(
                dataclasses.replace(row, state=RegistrationState.UPDATED, updated_at=at, until=until),
                now=context.now(),
                new=new,
                old=None,
                new_revocation=heard.get(row.certificate_sha256),
            )
    return found
