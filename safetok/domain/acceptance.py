"""From when an agency takes a certificate that was updated there, by the rule stated for it; and the last moment to update in time.

A rule is written in one direction only; the other is found from it, so that the two cannot disagree.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Literal, get_args

from safetok.domain.times import VIETNAM, vietnamese_day
from safetok.domain.working_days import WorkingCalendar
from safetok.records import dataclass

Rule = Literal["none", "hours", "next_midnight", "working_hours", "working_days"]
RULES: tuple[Rule, ...] = get_args(Rule)
COUNTED: tuple[Rule, ...] = ("hours", "working_hours", "working_days")  # those with an amount
LARGEST_AMOUNT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """How long an agency takes to accept, and who says so. `none`: nobody states a wait."""

    rule: Rule = "none"
    amount: int = 0
    source: str = ""

    @property
    def waits(self) -> bool:
        return self.rule != "none"

    @property
    def to_the_hour(self) -> bool:
        """Whether the time of day of an update says when it is accepted, not its day alone."""
        return self.rule in {"hours", "working_hours"}


NOT_STATED = Acceptance()


def accepted_from(acceptance: Acceptance, at: datetime, calendar: WorkingCalendar) -> datetime:
    """The instant from which a certificate updated at `at` is accepted; never before `at`, and never earlier for a later `at`. In
    UTC: hours are added to the instant, not to what a clock with summer time shows.
    """
    at = at.astimezone(UTC)
    if acceptance.rule == "hours":
        return at + timedelta(hours=acceptance.amount)
    if acceptance.rule == "next_midnight":
        return datetime.combine(vietnamese_day(at) + timedelta(days=1), time(), VIETNAM).astimezone(UTC)
    if acceptance.rule == "working_hours":
        return calendar.add_hours(at, acceptance.amount)
    if acceptance.rule == "working_days":
        return calendar.add_days(at, acceptance.amount)
    return at


def latest_update(acceptance: Acceptance, need: datetime, calendar: WorkingCalendar) -> datetime:
    """The last whole second at which an update is still accepted by `need`."""
    need = need.astimezone(UTC).replace(microsecond=0)

    def in_time(seconds_before: int) -> bool:
        try:
            return accepted_from(acceptance, need - timedelta(seconds=seconds_before), calendar) <= need
        except OverflowError:  # later than any calendar goes
            return False

    if in_time(0):
        return need
    enough = 1
    while not in_time(enough):
        enough *= 2
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if in_time(middle):
            enough = middle
        else:
            too_few = middle
    return need - timedelta(seconds=enough)
