"""Instants and days: stored in UTC, shown at +07:00, and the two never mixed.

An instant is an aware `datetime` in UTC; a day is a `date` in Vietnamese time (contract ends are days, notAfter is an instant).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache

from safetok.locale import _

VIETNAM = timezone(timedelta(hours=7))
Clock = Callable[[], datetime]

_DAY_VI = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})")
_DAY_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


def system_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def parse_day(text: str) -> date | None:
    """The day in `2027-12-31` or `31/12/2027`; None when it is neither or no such day exists."""
    text = text.strip()
    try:
        if found := _DAY_ISO.fullmatch(text):
            return date(int(found[1]), int(found[2]), int(found[3]))
        if found := _DAY_VI.fullmatch(text):
            return date(int(found[3]), int(found[2]), int(found[1]))
    except ValueError:
        return None
    return None


@lru_cache(maxsize=1024)
def vietnamese_time(instant: datetime) -> datetime:
    """What clocks in Vietnam show at `instant`. 99991231235959Z, a certificate's "no end" (RFC 5280 section 4.1.2.5), would be in
    the year 10000 there, which no calendar has: it is shown as it is written.
    """
    try:
        return instant.astimezone(VIETNAM)
    except OverflowError:
        return instant.replace(tzinfo=VIETNAM)


def vietnamese_day(instant: datetime) -> date:
    """The day it is in Vietnam at `instant`."""
    return vietnamese_time(instant).date()


def end_of_day(day: date) -> datetime:
    """The last second of `day` in Vietnam, as an instant."""
    return datetime.combine(day, time(23, 59, 59), VIETNAM).astimezone(UTC)


def last_usable_day(not_after: datetime) -> date:
    """The last day a certificate can be used on: the Vietnamese day of notAfter minus one second."""
    return (vietnamese_time(not_after) - timedelta(seconds=1)).date()


def rfc3339(instant: datetime) -> str:
    """`2026-11-23T09:05:00Z`, whole seconds."""
    return instant.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """The instant that `rfc3339` (or any RFC 3339 writer) wrote; ValueError when it is none or has no offset."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(text)
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:  # before the year 1 or after 9999
        raise ValueError(text) from error


def show_day(day: date) -> str:
    """`23/11/2026`."""
    return f"{day.day:02}/{day.month:02}/{day.year:04}"


def show_date(instant: datetime) -> str:
    """The Vietnamese day of an instant: `23/11/2026`."""
    return show_day(vietnamese_day(instant))


def weekday(day: date) -> str:
    """`T2`, in English `Mon`."""
    return _("Mon Tue Wed Thu Fri Sat Sun").split()[day.weekday()]


def show_instant(instant: datetime) -> str:
    """`16:05 T2 23/11/2026`, Vietnamese time."""
    local = vietnamese_time(instant)
    return f"{local:%H:%M} {weekday(local)} {show_day(local.date())}"
