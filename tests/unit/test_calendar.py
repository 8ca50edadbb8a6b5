from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import vobject
from icalendar import Calendar

from safetok.domain.times import VIETNAM
from safetok.reports.calendar import Entry, write

NOW = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)
WAIT = Entry(
    uid="1@safetok",
    kind="event",
    at=NOW + timedelta(hours=24),
    title="Đủ thời gian chờ, kiểm tra tại Hải quan (VNACCS): CÔNG TY A",
    lines=("CÔNG TY A", "Số Serial mới 5401"),
    changed=NOW,
    sequence=2,
)
TODO = replace(WAIT, uid="2@safetok", kind="todo", title="Cập nhật CTS")


def _second(data: bytes) -> Any:
    """As vobject reads it; it raises for what RFC 5545 does not allow."""
    calendar = vobject.readOne(data.decode(), validate=True)
    calendar.validate(raiseException=True)
    for part in calendar.components():
        part.validate(raiseException=True)
    return calendar


def test_a_second_library_reads_the_same() -> None:
    """vobject validates it and finds the event at the same instant, with its zone, its alarm and the alarm's description."""
    calendar = _second(write([WAIT, TODO], NOW))
    event = calendar.vevent
    assert event.dtstart.value.astimezone(UTC) == WAIT.at
    assert event.dtstart.value.utcoffset() == timedelta(hours=7)
    assert event.summary.value == WAIT.title
    assert event.valarm.description.value == WAIT.title
    assert event.valarm.action.value == "DISPLAY"
    assert calendar.vtodo.due.value.astimezone(UTC) == WAIT.at
    assert calendar.vtimezone.tzid.value == "Asia/Ho_Chi_Minh"


def test_times_stand_in_vietnamese_time_with_a_zone_of_plus_seven() -> None:
    """16:05 in the file, its TZID defined in the same file with +0700, so that a computer anywhere shows the right instant."""
    text = write([WAIT], NOW).decode()
    assert "DTSTART;TZID=Asia/Ho_Chi_Minh:20261124T160500" in text
    assert "TZOFFSETTO:+0700" in text
    (event,) = Calendar.from_ical(text).walk("VEVENT")
    assert event["dtstart"].dt == WAIT.at.astimezone(VIETNAM)


def test_an_update_replaces_by_uid_and_a_higher_sequence() -> None:
    """The same thing has the same UID; what has changed since carries a higher SEQUENCE and a later LAST-MODIFIED."""
    before = _second(write([WAIT], NOW)).vevent
    changed = replace(WAIT, at=WAIT.at + timedelta(hours=1), sequence=3, changed=NOW + timedelta(minutes=5))
    after = _second(write([changed], NOW + timedelta(hours=1))).vevent
    assert after.uid.value == before.uid.value
    assert int(after.sequence.value) > int(before.sequence.value)


@pytest.mark.parametrize(
    ("kind", "standing", "status", "alarms"),
    [
        ("event", "open", "CONFIRMED", 1),
        ("event", "done", "CANCELLED", 0),
        ("event", "cancelled", "CANCELLED", 0),
        ("todo", "open", "NEEDS-ACTION", 1),
        ("todo", "done", "COMPLETED", 0),
        ("todo", "cancelled", "CANCELLED", 0),
    ],
)
def test_what_is_finished_rings_no_more(kind: Any, standing: Any, status: str, alarms: int) -> None:
    """What is done or taken back says so, and has no alarm left."""
    (part,) = Calendar.from_ical(write([replace(WAIT, kind=kind, standing=standing)], NOW)).walk(
        "VEVENT" if kind == "event" else "VTODO"
    )
    assert part["status"] == status
    assert len(part.walk("VALARM")) == alarms


@pytest.mark.parametrize(
    "name", ["A\r\nEND:VEVENT\r\nBEGIN:VEVENT", "x;y,z:w\\n", "\x00\x1b[31m\u202e\u2028", "=HYPERLINK(1)", "<b>&"]
)
def test_hostile_names_stay_text(name: str) -> None:
    """Line breaks, controls and separators in a company's name make no property, no component and no second line."""
    data = write([replace(WAIT, title=name, lines=(name, "second line"))], NOW)
    calendar = Calendar.from_ical(data)
    assert len(calendar.walk("VEVENT")) == 1
    (event,) = calendar.walk("VEVENT")
    assert "\n" not in str(event["summary"])
    assert str(event["description"]).count("\n") == 1
    assert all(byte >= 32 or byte in b"\r\n" for byte in data)
    _second(data)


def test_lines_are_folded_at_75_octets() -> None:
    """No line is longer, whatever its letters take (RFC 5545 section 3.1)."""
    long = replace(WAIT, title="ắ" * 300)
    assert max(len(line) for line in write([long], NOW).split(b"\r\n")) <= 75


@pytest.mark.parametrize(("entry", "related"), [(WAIT, None), (TODO, "END")])
def test_an_alarm_comes_so_long_before(entry: Entry, related: str | None) -> None:
    """Before the moment, never after it; a to-do's counts from when it is due (RFC 5545 section 3.8.6.3)."""
    alarms = Calendar.from_ical(write([replace(entry, alarms=(24 * 60, 0))], NOW)).walk("VALARM")
    assert [alarm["trigger"].dt for alarm in alarms] == [-timedelta(days=1), timedelta()]
    assert [alarm["trigger"].params.get("RELATED") for alarm in alarms] == [related] * 2
