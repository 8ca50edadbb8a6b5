"""How a registration moves: done, accepted, reject, skip are a person's words; the timer alone moves nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from safetok.domain.agencies import Agency, Registration, RegistrationState
from safetok.domain.certificates import Certificate
from safetok.domain.times import VIETNAM, show_instant, vietnamese_day
from safetok.errors import UsageError
from safetok.locale import _

TO_DO = frozenset({RegistrationState.OPEN, RegistrationState.UPDATED, RegistrationState.REJECTED})

_CLOCK = r"(?P<hour>\d{1,2})[:hg](?P<minute>\d{2})?"
_DAY = r"(?P<day>\d{1,2})[/.-](?P<month>\d{1,2})(?:[/.-](?P<year>\d{4}))?"
_CLOCK_FIRST = re.compile(rf"{_CLOCK}(?:\s+(?:ngày\s+)?{_DAY})?")
_DAY_FIRST = re.compile(rf"{_DAY}\s+{_CLOCK}")
_WORD = re.compile(rf"(?P<word>hôm qua|hom qua|yesterday|hôm nay|hom nay|today)\s+{_CLOCK}")
_CLOCK_WORD = re.compile(rf"{_CLOCK}\s+(?P<word>hôm qua|hom qua|yesterday|hôm nay|hom nay|today)")
_WEEKDAY = re.compile(r"\b(?:t[2-7]|cn)\b[ ,]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A registration after a person's word, and what that person should be warned of ("" when nothing)."""

    registration: Registration
    warning: str = ""


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
    registration: Registration, agency: Agency, *, at: datetime, now: datetime, issued_at: datetime | None = None
) -> Moved:
    """A person put the new certificate on that system at `at`: the notice's wait, where there is one, starts then.

    A future `at` is refused (UsageError `future_time`); one before the certificate was issued is taken with a warning.
    """
    if at > now:
        raise UsageError(
            _("{at} has not come yet: give the moment when the update was made.").format(at=show_instant(at)),
            code="future_time",
            hint=_('Times are Vietnamese time (+07:00), for instance --at 16:05 or --at "23/11/2026 16:05".'),
        )
    warning = ""
    if issued_at is not None and at < issued_at:
        warning = _("{at} is before this certificate was issued ({issued}). Taken as given; check it.").format(
            at=show_instant(at), issued=show_instant(issued_at)
        )
    until = at + timedelta(hours=agency.wait_hours) if agency.wait_hours else None
    after = replace(registration, state=RegistrationState.UPDATED, updated_at=at, until=until, reason="")
    return Moved(registration=after, warning=warning)


def accepted(registration: Registration, *, now: datetime) -> Moved:
    """A person saw that the agency takes the new certificate. UsageError `not_updated` when no update was recorded."""
    _updated_first(registration)
    warning = ""
    if registration.until is not None and now < registration.until:
        warning = _("The 24 hours end at {until}. Recorded as accepted, because you say so.").format(
            until=show_instant(registration.until)
        )
    return Moved(registration=replace(registration, state=RegistrationState.ACCEPTED, reason=""), warning=warning)


def rejected(registration: Registration, *, reason: str = "") -> Moved:
    """A person saw that the agency refuses it. UsageError `not_updated` when no update was recorded."""
    _updated_first(registration)
    return Moved(registration=replace(registration, state=RegistrationState.REJECTED, reason=reason.strip()))


def skipped(registration: Registration) -> Moved:
    """The company does not use this agency."""
    return Moved(
        registration=replace(registration, state=RegistrationState.UNUSED, updated_at=None, until=None, reason="")
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


def parse_at(text: str, now: datetime) -> datetime:
    """The instant a person means, in UTC: `16:05`, `16h05`, `23/11 16:05`, `16:05 23/11/2026`, `hôm qua 16:05`, what safetok shows
    (`16:05 T2 23/11/2026`), or ISO 8601 (without an offset: Vietnamese time). A day without a year is the nearest
    such day. Raises UsageError `bad_time`.
    """
    plain = _WEEKDAY.sub("", " ".join(text.strip().lower().split()))
    today = vietnamese_day(now)
    try:
        for form in (_CLOCK_FIRST, _DAY_FIRST, _WORD, _CLOCK_WORD):
            if found := form.fullmatch(plain):
                parts = found.groupdict()
                clock = time(int(parts["hour"]), int(parts["minute"] or 0))
                return datetime.combine(_day(parts, today), clock, VIETNAM).astimezone(UTC)
        instant = datetime.fromisoformat(text.strip().replace("z", "Z"))
        if len(text.strip()) > len("2026-11-23"):
            return (instant if instant.tzinfo else instant.replace(tzinfo=VIETNAM)).astimezone(UTC)
    except ValueError:
        pass
    raise UsageError(
        _("{text} is not a moment safetok understands.").format(text=text),
        code="bad_time",
        hint=_('Times are Vietnamese time (+07:00), for instance --at 16:05 or --at "23/11/2026 16:05".'),
    )


def _day(parts: dict[str, str | None], today: date) -> date:
    if word := parts.get("word"):
        return today - timedelta(days=1) if word in {"hôm qua", "hom qua", "yesterday"} else today
    day, month, year = parts.get("day"), parts.get("month"), parts.get("year")
    if day is None or month is None:
        return today
    if year is not None:
        return date(int(year), int(month), int(day))
    # Told without its year, the nearest such day is meant: in January people still speak of December.
    for guess in (today.year, today.year - 1):
        try:
            found = date(guess, int(month), int(day))
        except ValueError:  # 29/02
            continue
        if found - today <= timedelta(days=182):
            return found
    raise ValueError(month)
