from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetok.domain.dossier import (
    PATHS,
    STEPS,
    Dossier,
    Record,
    bad_arrivals,
    sort_key,
    urgency,
    window,
    window_of,
)
from safetok.knowledge import load
from safetok.locale import set_language

CALENDAR = load.working_calendar()
AT = datetime(2027, 1, 4, tzinfo=UTC)
RESTORATION = Dossier(
    id="d1",
    authority="lcs-ca",
    mst="0312345678",
    name="CÔNG TY AN PHÁT",
    certificate="",
    token="",
    situation="revoked",
    path="restoration",
    several=False,
    started_at=AT,
)


def _did(found: Dossier, *steps: tuple[str, date]) -> Dossier:
    records = tuple(Record(step=step, day=day, at=AT, said={}) for step, day in steps)
    return replace(found, records=found.records + records)


def test_over_tet_no_working_day_is_left() -> None:
    """A token that comes on T5 04/02/2027: the three days end on CN 07/02, all of them Tết; the law's reading ends after it."""
    found = window(date(2027, 2, 4), CALENDAR)
    assert (found.literal_end, found.safe) == (date(2027, 2, 7), None)
    assert found.off == (date(2027, 2, 5), date(2027, 2, 6), date(2027, 2, 7))
    assert found.legal_end == date(2027, 2, 9)
    assert found.steer_by == date(2027, 2, 4)


def test_before_tet_the_last_working_day_counts() -> None:
    """A token that comes on 01/02/2027: literally until 04/02, which may be Tết already; safe is 03/02."""
    found = window(date(2027, 2, 1), CALENDAR)
    assert (found.literal_end, found.safe, found.steer_by) == (date(2027, 2, 4), date(2027, 2, 3), date(2027, 2, 3))


def test_a_friday_is_counted_over_the_weekend() -> None:
    """Calendar days: from a Friday until Monday, which is the only working day among them."""
    found = window(date(2026, 11, 20), CALENDAR)
    assert (found.literal_end, found.safe) == (date(2026, 11, 23), date(2026, 11, 23))


@settings(deadline=None)
@given(st.dates(date(2026, 1, 1), date(2030, 6, 1)))
def test_the_three_readings_are_in_order(received: date) -> None:
    """The safe day is in the three days, the literal end is the third, the law's is not before it; steering is by the earliest."""
    found = window(received, CALENDAR)
    assert found.literal_end == received + timedelta(days=3)
    assert found.legal_end >= found.literal_end
    assert found.safe is None or (received < found.safe <= found.literal_end and CALENDAR.works(found.safe))
    assert found.steer_by <= found.literal_end


def test_days_on_which_a_token_must_not_come_are_known_beforehand() -> None:
    """A week before Tết the bad days to receive it are named, and the first day after them that leaves a working day."""
    bad, good = bad_arrivals(date(2027, 1, 29), CALENDAR)
    assert date(2027, 2, 4) in bad
    assert all(window(day, CALENDAR).safe is None for day in bad)
    assert good > bad[-1]
    assert window(good, CALENDAR).safe is not None
    assert good == bad[-1] + timedelta(days=1)
    assert bad_arrivals(date(2026, 11, 9), CALENDAR) == ([], date(2026, 11, 9))
    assert bad_arrivals(bad[0], CALENDAR) == (bad, good)


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 11, 23), "running"),
        (date(2026, 11, 26), "due"),
        (date(2026, 11, 27), "past"),
    ],
)
def test_urgency_day_by_day(today: date, expected: str) -> None:
    """Running until the safe day, due on it, past after the third day."""
    found = _did(RESTORATION, ("token-received", date(2026, 11, 23)))
    assert urgency(found, CALENDAR, today) == expected


def test_a_safe_day_missed_and_no_working_day_left() -> None:
    """Between the safe day and the literal end it is missed; where no working day is left that is said from the first day on."""
    missed = _did(RESTORATION, ("token-received", date(2027, 2, 1)))
    assert urgency(missed, CALENDAR, date(2027, 2, 4)) == "steer_missed"
    none_left = _did(RESTORATION, ("token-received", date(2027, 2, 4)))
    assert urgency(none_left, CALENDAR, date(2027, 2, 4)) == "no_working_day"


def test_only_lcs_received_stops_the_three_days() -> None:
    """Papers ready and sent change nothing; that LCS has received them does."""
    found = _did(RESTORATION, ("token-received", date(2026, 11, 23)))
    for step in ("papers-ready", "sent"):
        found = _did(found, (step, date(2026, 11, 24)))
        assert urgency(found, CALENDAR, date(2026, 11, 27)) == "past"
    found = _did(found, ("lcs-received", date(2026, 11, 25)))
    assert urgency(found, CALENDAR, date(2026, 11, 27)) == "waiting"


def test_a_token_lost_to_the_three_days_ends_the_dossier() -> None:
    """LCS has revoked and locked: nothing is due any more, nothing is to be done, and it is not called activated."""
    lost = _did(RESTORATION, ("token-received", date(2026, 11, 23)), ("lost", date(2026, 11, 30)))
    assert urgency(lost, CALENDAR, date(2026, 12, 1)) == "lost"
    assert lost.finished
    assert lost.current is None
    assert lost.not_activated


def test_the_paths_are_the_notices() -> None:
    """The ordinary path, the plan to go on, and the call that comes first where one person represents several companies."""
    assert PATHS["ordinary"] == ("verified", "papers-ready", "sent", "lcs-received")
    assert len(PATHS["restoration"]) == 10
    assert replace(RESTORATION, several=True).current == "called"
    assert {*PATHS["ordinary"], *PATHS["restoration"], "called", "lost"} == {*load.dossier_steps()} == {*STEPS}


def test_the_upload_is_done_with_its_fourth_item() -> None:
    """Each of the four items may come by itself; without naming any all four are meant."""
    two = replace(
        RESTORATION, records=(Record(step="uploaded", day=AT.date(), at=AT, said={"items": "licence,email"}),)
    )
    assert two.current == "uploaded"
    assert two.uploaded == {"licence", "email"}
    assert _did(two, ("uploaded", AT.date())).current == "video-called"


def test_a_token_is_not_activated_until_lcs_says_so() -> None:
    """From its arrival to its activation it is a state, in which nobody is asked a PIN."""
    assert not RESTORATION.not_activated
    came = _did(RESTORATION, ("token-received", date(2026, 11, 23)))
    assert came.not_activated
    assert not _did(came, ("activated", date(2026, 11, 24))).not_activated


def test_the_notices_dates_are_for_certificates_of_its_time() -> None:
    """Issued before 20/04/2024 they concern it, later they do not, and where that is not known nothing is claimed."""
    assert replace(RESTORATION, certificate_since=date(2024, 4, 19)).of_the_notice is True
    assert replace(RESTORATION, certificate_since=date(2024, 4, 20)).of_the_notice is False
    assert RESTORATION.of_the_notice is None


def test_the_most_urgent_comes_first() -> None:
    """Past, then none left, then by the day to steer by, then what waits, then what is finished."""
    today = date(2027, 2, 4)
    past = _did(RESTORATION, ("token-received", date(2027, 1, 28)))
    none_left = _did(RESTORATION, ("token-received", date(2027, 2, 4)))
    missed = _did(RESTORATION, ("token-received", date(2027, 2, 1)))
    waiting = RESTORATION
    finished = _did(RESTORATION, ("contract-received", today))
    shuffled = [finished, waiting, missed, none_left, past]
    ordered = sorted(shuffled, key=lambda one: sort_key(one, CALENDAR, today))
    assert ordered == [past, none_left, missed, waiting, finished]
    assert window_of(waiting, CALENDAR) is None


@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_step_says_what_to_do_and_whom_to_call(language: str) -> None:
    """In both languages; and nothing that the notice lost is filled in: no address, no list of papers."""
    set_language(language)  # type: ignore[arg-type]
    for step in load.dossier_steps().values():
        assert step.title
        assert step.do
        assert step.call in {"1900 4525", "19004525"}
    assert "hoso@lcs.com.vn" in load.dossier_steps()["payment-requested"].do
