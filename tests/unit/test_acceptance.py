from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_store import certificate

from safetok.domain import registrations as moves
from safetok.domain.acceptance import Acceptance, accepted_from, latest_update
from safetok.domain.agencies import Agency, Registration, standing
from safetok.domain.times import VIETNAM, show_instant, vietnamese_day
from safetok.domain.working_days import WorkingCalendar
from safetok.knowledge import load

CALENDAR = load.working_calendar()
CUSTOMS = Agency(name="vnaccs", title="Hải quan (VNACCS)", wait_hours=24)

unhurried = settings(deadline=None)  # a busy computer breaks no promise

instants = st.datetimes(datetime(2025, 12, 1), datetime(2030, 2, 1)).map(  # noqa: DTZ001  (made aware just below)
    lambda moment: moment.replace(tzinfo=UTC, microsecond=0)
)
zones = st.sampled_from(
    [UTC, VIETNAM, timezone(timedelta(hours=-11)), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")]
)
rules = st.one_of(
    st.just(Acceptance()),
    st.builds(Acceptance, rule=st.just("hours"), amount=st.integers(1, 100)),
    st.just(Acceptance(rule="next_midnight")),
    st.builds(Acceptance, rule=st.just("working_hours"), amount=st.integers(1, 30)),
    st.builds(Acceptance, rule=st.just("working_days"), amount=st.integers(1, 8)),
)


def _vn(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=VIETNAM).astimezone(UTC)  # type: ignore[arg-type,misc]


def _row() -> Registration:
    (row,) = moves.registrations_for(certificate(1), [CUSTOMS], {}, _vn(2026, 1, 1))
    return row


@unhurried
@given(rules, instants, st.integers(0, 10**6))
def test_updating_later_is_never_accepted_earlier(rule: Acceptance, at: datetime, later: int) -> None:
    """Whatever the rule, acceptance is never before the update, and a later update is never accepted before an earlier one."""
    first = accepted_from(rule, at, CALENDAR)
    assert first >= at
    assert accepted_from(rule, at + timedelta(seconds=later), CALENDAR) >= first


@unhurried
@given(rules, instants)
def test_the_latest_update_is_in_time_and_a_second_later_is_not(rule: Acceptance, need: datetime) -> None:
    """The answer of `when` is exactly the last second: it is accepted by then, the next one is not."""
    latest = latest_update(rule, need, CALENDAR)
    assert accepted_from(rule, latest, CALENDAR) <= need
    assert latest == need or accepted_from(rule, latest + timedelta(seconds=1), CALENDAR) > need


@unhurried
@given(rules, instants, zones)
def test_the_zone_a_moment_is_written_in_changes_nothing(rule: Acceptance, at: datetime, zone: ZoneInfo) -> None:
    """The same instant gives the same acceptance, in whatever zone the computer stands, summer time or not."""
    assert accepted_from(rule, at.astimezone(zone), CALENDAR) == accepted_from(rule, at, CALENDAR)


@unhurried
@given(instants)
def test_24_hours_are_24_hours_across_every_year_end_and_clock_change(at: datetime) -> None:
    """The notice's 24h00 are exactly 86,400 seconds, and the same clock time on the next Vietnamese day."""
    row = moves.done(_row(), CUSTOMS, at=at, now=at).registration
    assert row.until is not None
    assert (row.until - at).total_seconds() == 86_400
    assert vietnamese_day(row.until) == vietnamese_day(at) + timedelta(days=1)


@unhurried
@given(instants, st.lists(st.integers(-200_000, 200_000), min_size=1, max_size=20))
def test_a_machine_that_sleeps_or_whose_clock_jumps_reads_the_same_deadline(at: datetime, jumps: list[int]) -> None:
    """Looking never moves the deadline: at each look, however the clock jumped between, the standing is by that clock alone."""
    row = moves.done(_row(), CUSTOMS, at=at, now=at).registration
    now = at
    for jump in jumps:
        now = now + timedelta(seconds=jump)
        assert standing(row, now) == ("waiting" if now < at + timedelta(hours=24) else "due_check")


@unhurried
@given(instants)
def test_what_is_shown_is_understood_again(at: datetime) -> None:
    """A moment as safetok prints it can be typed back for --at, to the minute."""
    whole = at.replace(second=0)
    assert moves.parse_at(show_instant(whole), whole + timedelta(days=1)) == whole


@pytest.mark.parametrize(
    ("rule", "at", "accepted"),
    [
        (Acceptance(rule="next_midnight"), _vn(2026, 12, 31, 16, 5), _vn(2027, 1, 1)),
        (Acceptance(rule="next_midnight"), _vn(2026, 11, 23), _vn(2026, 11, 24)),
        (Acceptance(rule="working_hours", amount=4), _vn(2026, 11, 23, 10), _vn(2026, 11, 23, 15)),
        (Acceptance(rule="working_hours", amount=4), _vn(2026, 11, 20, 16), _vn(2026, 11, 23, 11)),
        (Acceptance(rule="working_hours", amount=4), _vn(2026, 11, 23, 8), _vn(2026, 11, 23, 12)),
        (Acceptance(rule="working_hours", amount=8), _vn(2026, 11, 23, 8), _vn(2026, 11, 23, 17)),
        (Acceptance(rule="working_hours", amount=4), _vn(2026, 12, 31, 16), _vn(2027, 1, 4, 11)),
        (Acceptance(rule="working_days", amount=1), _vn(2026, 11, 23, 10), _vn(2026, 11, 24, 10)),
        (Acceptance(rule="working_days", amount=1), _vn(2026, 11, 20, 10), _vn(2026, 11, 23, 10)),
        (Acceptance(rule="working_days", amount=1), _vn(2026, 11, 21, 10), _vn(2026, 11, 24)),
        (Acceptance(rule="working_days", amount=1), _vn(2027, 2, 3, 10), _vn(2027, 2, 12, 10)),
    ],
)
def test_each_rule_by_hand(rule: Acceptance, at: datetime, accepted: datetime) -> None:
    """Midnight, working hours over a weekend and New Year, working days over a weekend and over Tết with its days made up for."""
    assert accepted_from(rule, at, CALENDAR) == accepted


def test_the_latest_update_is_a_whole_second() -> None:
    """It is shown and typed back by the second: a fraction would make it late."""
    need = datetime(2026, 11, 24, 9, 5, 0, 900_000, tzinfo=UTC)
    assert latest_update(Acceptance(rule="hours", amount=24), need, CALENDAR) == datetime(
        2026, 11, 23, 9, 5, tzinfo=UTC
    )


def test_24_hours_stand_in_knowledge_with_their_source_for_customs_and_invoices_alone() -> None:
    """Only what the notice states waits, and says that the notice does; of the others nobody states a wait."""
    rules = {agency.name: agency.rule for agency in load.agencies()}
    assert {name for name, rule in rules.items() if rule.waits} == {"ixhd", "vnaccs", "v5"}
    assert {(rule.rule, rule.amount, rule.source) for rule in rules.values() if rule.waits} == {
        ("hours", 24, "thông báo, lưu ý 2")
    }


def test_days_that_may_be_off_count_as_off_but_not_by_law() -> None:
    """Whether 01/09 or 03/09 is off is decided each year: a deadline avoids both, the legal reading counts on neither."""
    calendar = WorkingCalendar(off={date(2026, 9, 3): False, date(2026, 9, 2): True}, hours=((time(8), time(17)),))
    assert not calendar.works(date(2026, 9, 3))
    assert calendar.works(date(2026, 9, 3), certain=True)
    assert calendar.on_or_after(date(2026, 9, 2)) == date(2026, 9, 4)
    assert calendar.on_or_after(date(2026, 9, 2), certain=True) == date(2026, 9, 3)


@pytest.mark.parametrize(
    "rule",
    [
        Acceptance(rule="hours", amount=24),
        Acceptance(rule="next_midnight"),
        Acceptance(rule="working_hours", amount=30),
        Acceptance(rule="working_days", amount=8),
    ],
)
@pytest.mark.parametrize("need", [_vn(9999, 12, 31, 23, 59), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)])
def test_the_last_days_of_the_calendar_have_a_latest_update(rule: Acceptance, need: datetime) -> None:
    """What would be accepted after the year 9999 is not in time; what is said to be in time is."""
    latest = latest_update(rule, need, CALENDAR)
    assert accepted_from(rule, latest, CALENDAR) <= need
    assert need - latest < timedelta(days=30)
