from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safetok.domain.moments import parse_age, parse_at, parse_need
from safetok.domain.times import VIETNAM
from safetok.errors import UsageError

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)  # 10:00 on a Wednesday in Vietnam


def _vn(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=VIETNAM).astimezone(UTC)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("16:05", _vn(2026, 11, 25, 16, 5)),
        ("16h05", _vn(2026, 11, 25, 16, 5)),
        ("lúc 9g", _vn(2026, 11, 25, 9)),
        ("4h chiều", _vn(2026, 11, 25, 16)),
        ("16h chiều", _vn(2026, 11, 25, 16)),
        ("8:30 sáng", _vn(2026, 11, 25, 8, 30)),
        ("12h trưa", _vn(2026, 11, 25, 12)),
        ("12h đêm", _vn(2026, 11, 25, 0)),
        ("2h đêm", _vn(2026, 11, 25, 2)),
        ("5h đêm", _vn(2026, 11, 25, 5)),
        ("6h đêm", _vn(2026, 11, 25, 18)),
        ("10h đêm", _vn(2026, 11, 25, 22)),
        ("11h30 đêm 23/11", _vn(2026, 11, 23, 23, 30)),
        ("10h đêm hôm qua", _vn(2026, 11, 24, 22)),
        ("22h đêm hôm qua", _vn(2026, 11, 24, 22)),
        ("7h tối hôm qua", _vn(2026, 11, 24, 19)),
        ("12h tối", _vn(2026, 11, 25, 0)),
        ("12h chiều", _vn(2026, 11, 25, 12)),
        ("12h sáng", _vn(2026, 11, 25, 0)),
        ("1h trưa", _vn(2026, 11, 25, 13)),
        ("11h trưa", _vn(2026, 11, 25, 11)),
        ("23/11 16:05", _vn(2026, 11, 23, 16, 5)),
        ("16:05 ngày 23/11/2026", _vn(2026, 11, 23, 16, 5)),
        ("16:05 T2 23/11/2026", _vn(2026, 11, 23, 16, 5)),
        ("T2 16:05", _vn(2026, 11, 23, 16, 5)),
        ("16:05 Mon 23/11/2026", _vn(2026, 11, 23, 16, 5)),
        ("Thursday 8:00", _vn(2026, 11, 19, 8)),
        ("thu 2:00", _vn(2026, 11, 19, 2)),
        ("thứ 2 10:00", _vn(2026, 11, 23, 10)),
        ("chủ nhật 8h", _vn(2026, 11, 22, 8)),
        ("HÔM QUA 16:05", _vn(2026, 11, 24, 16, 5)),
        ("hom kia 16:05", _vn(2026, 11, 23, 16, 5)),
        ("2026-11-23T16:05", _vn(2026, 11, 23, 16, 5)),
        ("2026-11-23T09:05:00Z", _vn(2026, 11, 23, 16, 5)),
        ("2026-11-23 16:05:00+07:00", _vn(2026, 11, 23, 16, 5)),
        ("23.11.2026 16:05", _vn(2026, 11, 23, 16, 5)),
        ("23/11/2026 4:05:00 CH", _vn(2026, 11, 23, 16, 5)),
        ("23/11/2026 12:05 SA", _vn(2026, 11, 23, 0, 5)),
    ],
)
def test_forms_people_type(text: str, meant: datetime) -> None:
    """Vietnamese and ISO forms, with and without marks, give the moment meant."""
    assert parse_at(text, NOW) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lúc nãy",
        "25:00",
        "16:05 T3 23/11/2026",
        "16:05 Tue 23/11/2026",
        "2026-11-23",
        "31/02 8:00",
        "29/02 8:00",
        "9" * 100,
        "16:5",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    """A weekday that is not that date's, a day without its time and nonsense are refused, never guessed at."""
    with pytest.raises(UsageError) as refused:
        parse_at(text, NOW)
    assert refused.value.code == "bad_time"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("11:00", _vn(2026, 11, 25, 11)),
        ("9:00", _vn(2026, 11, 26, 9)),
        ("mai 9:00", _vn(2026, 11, 26, 9)),
        ("T2 8:00", _vn(2026, 11, 30, 8)),
        ("Thu 8:00", _vn(2026, 11, 26, 8)),
        ("24/11 10:00", _vn(2026, 11, 24, 10)),
        ("05/01 10:00", _vn(2027, 1, 5, 10)),
        ("29/02/2028 10:00", _vn(2028, 2, 29, 10)),
    ],
)
def test_a_need_looks_ahead(text: str, meant: datetime) -> None:
    """A time that has passed is tomorrow's, a weekday the next, a day in January is next year's; one just gone is left as said."""
    assert parse_need(text, NOW) == meant


@settings(deadline=None)
@given(st.text(max_size=80))
def test_no_text_brings_it_down(text: str) -> None:
    """Whatever is typed, it is a moment or a refusal."""
    for parse in (parse_at, parse_need):
        with contextlib.suppress(UsageError):
            assert parse(text, NOW).utcoffset() == timedelta()


def test_ages() -> None:
    """Days, hours and weeks, in either language."""
    assert [parse_age(text) for text in ("2d", "36h", "2 ngày", "1 tuần", "90 phút")] == [
        timedelta(days=2),
        timedelta(hours=36),
        timedelta(days=2),
        timedelta(weeks=1),
        timedelta(minutes=90),
    ]
    for text in ("", "2", "0d", "-1d", "2y", "99999d"):
        with pytest.raises(UsageError):
            parse_age(text)


def test_a_time_of_day_that_is_now_is_needed_tomorrow() -> None:
    """What is needed at this very minute cannot be updated for any more."""
    assert parse_need("10:00", NOW) == _vn(2026, 11, 26, 10)
    assert parse_need("10:01", NOW) == _vn(2026, 11, 25, 10, 1)
