"""Instants at the very ends of the calendar: a certificate may name them, and a look at it must not stop."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from safetok.domain import times
from safetok.locale import set_language
from safetok.reports.fields import show_moment

WITHOUT_END = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # RFC 5280 section 4.1.2.5: no well-defined end
FIRST = datetime(1, 1, 1, tzinfo=UTC)


def test_no_end_is_the_last_day_there_is() -> None:
    """99991231235959Z would be in the year 10000 in Vietnam: it is shown as it is written."""
    assert times.vietnamese_day(WITHOUT_END) == times.last_usable_day(WITHOUT_END) == date(9999, 12, 31)
    assert times.show_date(WITHOUT_END) == "31/12/9999"
    assert times.show_instant(WITHOUT_END) == "23:59 T6 31/12/9999"
    assert show_moment(WITHOUT_END) == "31/12/9999 23:59:59"
    assert times.rfc3339(WITHOUT_END) == "9999-12-31T23:59:59Z"


def test_the_first_moment_there_is_has_a_day_too() -> None:
    """The year 1 is nonsense in a certificate, and is shown as a day like any other."""
    assert times.last_usable_day(FIRST) == date(1, 1, 1)
    assert times.show_instant(FIRST) == "07:00 T2 01/01/0001"
    assert show_moment(FIRST) == "01/01/0001 07:00:00"
    assert times.rfc3339(FIRST) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize("day", [date.min, date.max])
def test_any_day_has_an_end(day: date) -> None:
    """The first and the last day there are end at 23:59:59 in Vietnam."""
    assert times.vietnamese_day(times.end_of_day(day)) == day


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+07:00", "9999-12-31T23:59:59-07:00", "2027-12-31T23:59:59", "x"])
def test_a_moment_no_calendar_has_is_none(text: str) -> None:
    """Before the year 1 or after 9999 in UTC, without an offset, or no moment at all: one kind of error."""
    with pytest.raises(ValueError, match=r".+"):
        times.parse_rfc3339(text)


def test_the_last_usable_day_is_that_of_the_second_before() -> None:
    """However the instant is written, a notAfter of midnight in Vietnam names the day that ends there."""
    midnight = datetime(2027, 12, 31, 17, tzinfo=UTC)
    assert times.last_usable_day(midnight) == date(2027, 12, 31)
    assert times.last_usable_day(midnight.astimezone(timezone(timedelta(hours=9)))) == date(2027, 12, 31)
    assert times.last_usable_day(midnight + timedelta(seconds=1)) == date(2028, 1, 1)


def test_the_weekday_is_in_the_language_in_force() -> None:
    """An English reader is not told "T2"."""
    monday = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
    try:
        set_language("en")
        assert times.show_instant(monday) == "16:05 Mon 23/11/2026"
        set_language("vi")
        assert times.show_instant(monday) == "16:05 T2 23/11/2026"
    finally:
        set_language(None)
