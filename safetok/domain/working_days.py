"""Which days and hours offices work, and counting by them: Vietnamese time, weekends and holidays left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import UTC, date, datetime, time, timedelta

from safetok.domain.times import VIETNAM, vietnamese_day
from safetok.records import dataclass

_DAY = timedelta(days=1)
LONGEST = 366  # days looked at before giving up: nobody closes for a year


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingCalendar:
    """Days off by day (True: certain; False: may be off, by a decision made each year), working weekdays (Monday is 0) and hours.

    A day that may be off counts as off: a deadline kept a day too early costs nothing. Beyond `known_until` no holidays are known.
    """

    off: Mapping[date, bool] = field(default_factory=dict)
    weekdays: frozenset[int] = frozenset({0, 1, 2, 3, 4})
    hours: tuple[tuple[time, time], ...] = ((time(8), time(12)), (time(13), time(17)))
    known_until: date | None = None

    def works(self, day: date, *, certain: bool = False) -> bool:
        """Whether offices work on `day`; with `certain`, a day that only may be off counts as worked."""
        if day.weekday() not in self.weekdays:
            return False
        return day not in self.off or (certain and not self.off[day])

    def after(self, day: date, count: int = 1) -> date:
        """The `count`-th working day after `day`."""
        for _number in range(count):
            day = next(one for one in _days(day + _DAY, _DAY) if self.works(one))
        return day

    def on_or_after(self, day: date, *, certain: bool = False) -> date:
        """`day`, or the first working day after it."""
        return next(one for one in _days(day, _DAY) if self.works(one, certain=certain))

    def add_hours(self, at: datetime, hours: int) -> datetime:
        """The instant when `hours` of working time have passed since `at`."""
        left = timedelta(hours=hours)
        for day in _days(vietnamese_day(at), _DAY):
            if not self.works(day):
                continue
            for opens, closes in self.hours:
                begin = max(at, _instant(day, opens))
                end = _instant(day, closes)
                if begin >= end:
                    continue
                if left <= end - begin:
                    return begin + left
                left -= end - begin
        raise OverflowError(hours)

    def add_days(self, at: datetime, count: int) -> datetime:
        """The same time of day, `count` working days later; a day off counts from the beginning of the next working day."""
        day = vietnamese_day(at)
        if self.works(day):
            clock = at.astimezone(VIETNAM).time()
        else:
            day, clock = self.on_or_after(day), time()
        return _instant(self.after(day, count), clock)


def _days(first: date, step: timedelta) -> Iterator[date]:
    for number in range(LONGEST * 10):
        yield first + step * number
    raise OverflowError(first)


def _instant(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, VIETNAM).astimezone(UTC)
