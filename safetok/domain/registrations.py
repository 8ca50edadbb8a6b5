"""How a registration moves: done, accepted, reject, skip are a person's words; the timer alone moves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from safetok.domain.acceptance import Acceptance, accepted_from
from safetok.domain.agencies import Agency, Registration, RegistrationState, is_24h
from safetok.domain.certificates import Certificate
from safetok.domain.moments import parse_age, parse_at, parse_need
from safetok.domain.times import show_instant
from safetok.domain.working_days import WorkingCalendar
from safetok.errors import UsageError
from safetok.locale import _
from safetok.records import dataclass

__all__ = [
    "NOT_LEARNED",
    "TO_DO",
    "Moved",
    "accepted",
    "done",
    "parse_age",
    "parse_at",
    "parse_need",
    "registrations_for",
    "rejected",
    "skipped",
]

EARLIEST = timedelta(
    days=1
)  # before a certificate's notBefore nobody can have updated it anywhere; a day for clocks and zones

NOT_LEARNED = frozenset({RegistrationState.OPEN, RegistrationState.REJECTED})
TO_DO = NOT_LEARNED | {RegistrationState.UPDATED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A registration after a person's word, what that person should be warned of, and what an earlier word has lost by it ("" when
    nothing).
    """

    registration: Registration
    warning: str = ""
    replaced: str = ""


def registrations_for(
    certificate: Certificate, agencies: Iterable[Agency], used: Mapping[str, bool], now: datetime
) -> tuple[Registration, ...]:
    """The rows a new certificate starts with: `open` at every agency the company may be registered with, `unused` where a person
    said so before; an agency that a person added, only where that company uses it.
    """
    return tuple(
        Registration(
            agency=agency.name,
            mst=certificate.mst or "",
            certificate=certificate.serial,
            certificate_sha256=certificate.sha256,
            state=RegistrationState.OPEN if used.get(agency.name, True) else RegistrationState.UNUSED,
            opened_at=now,
        )
        for agency in agencies
        if not agency.added or used.get(agency.name, False)
    )


def done(
    registration: Registration,
    agency: Agency,
    *,
    at: datetime,
    now: datetime,
    issued_at: datetime | None = None,
    part: str | None = None,
    rule: Acceptance | None = None,
    calendar: WorkingCalendar | None = None,
) -> Moved:
    """A person put the new certificate on that system at `at`: its wait, where one is stated, starts then.

    The wait is `rule`'s, else the agency's own.

    With `part`, one service of an agency that has several: the agency is updated with the last of them.
    A future `at` is refused (UsageError `future_time`), and one more than a day before the certificate was issued
    (`before_issue`); one on that day is taken with a warning.
    """
    if at > now:
        raise UsageError(
            _("{at} has not come yet: give the moment when the update was made.").format(at=show_instant(at)),
            code="future_time",
            hint=_('Times are Vietnamese time (+07:00), for instance --at 16:05 or --at "23/11/2026 16:05".'),
        )
    warning = ""
    if issued_at is not None and at < issued_at:
        said = {"at": show_instant(at), "issued": show_instant(issued_at)}
        if at < issued_at - EARLIEST:
            raise UsageError(
                _("{at} is before this certificate was issued ({issued}): it cannot have been updated then.").format(
                    **said
                ),
                code="before_issue",
                hint=_('Times are Vietnamese time (+07:00), for instance --at 16:05 or --at "23/11/2026 16:05".'),
            )
        warning = _("{at} is before this certificate was issued ({issued}): check it.").format(**said)
    # After a rejection every service is updated anew.
    before = dict(registration.parts) if registration.state is not RegistrationState.REJECTED else {}
    parts = before | dict.fromkeys([part] if part else [name for name, _title in agency.parts], at)
    kept = tuple(sorted(parts.items()))
    last = max([at, *parts.values()])
    replaced = _replaced(registration, last)
    if any(name not in parts for name, _title in agency.parts):
        after = replace(registration, state=RegistrationState.OPEN, updated_at=None, until=None, reason="", parts=kept)
        return Moved(registration=after, warning=warning, replaced=replaced)
    wait = agency.rule if rule is None else rule
    until = accepted_from(wait, last, calendar or WorkingCalendar()) if wait.waits else None
    after = replace(registration, state=RegistrationState.UPDATED, updated_at=last, until=until, reason="", parts=kept)
    return Moved(registration=after, warning=warning, replaced=replaced)


def _replaced(before: Registration, last: datetime) -> str:
    """What a person should know whose word takes an earlier one away: the command may only have been run twice."""
    if before.updated_at is None or (before.updated_at == last and before.state is not RegistrationState.ACCEPTED):
        return ""
    texts = {
        RegistrationState.UPDATED: _(
            "an update at {was} was recorded before; now {at} counts. Was that wrong: safetok agencies undo {which}"
        ),
        RegistrationState.ACCEPTED: _(
            "it was recorded as accepted, which no longer counts. Was that wrong: safetok agencies undo {which}"
        ),
    }
    text = texts.get(before.state, "")
    which = f"{before.agency} --cert {before.certificate}"
    return text.format(was=show_instant(before.updated_at), at=show_instant(last), which=which)


def accepted(registration: Registration, *, now: datetime) -> Moved:
    """A person saw that the agency takes the new certificate. UsageError `not_updated` when no update was recorded."""
    _updated_first(registration)
    warning = ""
    if registration.until is not None and now < registration.until:
        warning = (
            _("The 24 hours end at {until}. Recorded as accepted, because you say so.")
            if is_24h(registration)
            else _("The wait ends at {until}. Recorded as accepted, because you say so.")
        ).format(until=show_instant(registration.until))
    return Moved(registration=replace(registration, state=RegistrationState.ACCEPTED, reason=""), warning=warning)


def rejected(registration: Registration, *, reason: str = "") -> Moved:
    """A person saw that the agency refuses it. UsageError `not_updated` when no update was recorded."""
    _updated_first(registration)
    return Moved(registration=replace(registration, state=RegistrationState.REJECTED, reason=reason.strip()))


def skipped(registration: Registration) -> Moved:
    """The company does not use this agency."""
    return Moved(
        registration=replace(
            registration, state=RegistrationState.UNUSED, updated_at=None, until=None, reason="", parts=()
        )
    )


def _updated_first(registration: Registration) -> None:
    if registration.updated_at is None:
        raise UsageError(
            _("{agency}: no update has been recorded yet.").format(agency=registration.agency),
            code="not_updated",
            hint=_("First `safetok agencies done {agency}`, with --at when it was earlier.").format(
                agency=registration.agency
            ),
        )
