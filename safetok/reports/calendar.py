"""Deadlines as a calendar file (RFC 5545): the same thing keeps its UID, and what has changed replaces what was imported before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from safetok.domain.times import VIETNAM
from safetok.locale import _
from safetok.records import dataclass
from safetok.reports.fields import plain_line

if TYPE_CHECKING:
    from icalendar import Component, Timezone

ZONE = "Asia/Ho_Chi_Minh"
LENGTH = timedelta(minutes=15)  # of an event: enough to be seen in a day's view

Kind = Literal["event", "todo"]
Standing = Literal["open", "done", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing with its moment. `uid` never changes, `sequence` grows with every change; `alarms` are minutes before."""

    uid: str
    kind: Kind
    at: datetime
    title: str
    lines: tuple[str, ...]
    changed: datetime
    sequence: int = 0
    standing: Standing = "open"
    alarms: tuple[int, ...] = (0,)
    url: str = ""


def write(entries: Iterable[Entry], now: datetime) -> bytes:
    """The calendar file. Times are Vietnamese with their zone, what it says is text, alarms have a description."""
    from icalendar import Calendar

    calendar = Calendar()
    calendar.add("prodid", "-//safetok//safetok//VI")
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", _("Certificates: agencies and deadlines"))
    calendar.add("x-wr-timezone", ZONE)
    calendar.add_component(_zone())
    for entry in entries:
        calendar.add_component(_component(entry, now))
    written: bytes = calendar.to_ical()
    return written


def _component(entry: Entry, now: datetime) -> Component:
    from icalendar import Event, Todo

    part: Component = Event() if entry.kind == "event" else Todo()
    at = entry.at.astimezone(ZoneInfo(ZONE)).replace(microsecond=0)
    part.add("uid", entry.uid)
    part.add("dtstamp", now.replace(microsecond=0))
    part.add("last-modified", entry.changed.replace(microsecond=0))
    part.add("sequence", entry.sequence)
    part.add("summary", plain_line(entry.title))
    part.add("description", "\n".join(plain_line(line) for line in entry.lines))
    if entry.url:
        part.add("url", entry.url)
    if entry.kind == "event":
        part.add("dtstart", at)
        part.add("dtend", at + LENGTH)
        part.add("transp", "TRANSPARENT")
        part.add("status", "CANCELLED" if entry.standing != "open" else "CONFIRMED")
    else:
        part.add("due", at)
        part.add("status", {"open": "NEEDS-ACTION", "done": "COMPLETED", "cancelled": "CANCELLED"}[entry.standing])
        part.add("percent-complete", 100 if entry.standing == "done" else 0)
        if entry.standing == "done":
            part.add("completed", entry.changed.replace(microsecond=0))
    if entry.standing == "open":
        for before in entry.alarms:
            part.add_component(_alarm(entry, before))
    return part


def _alarm(entry: Entry, before: int) -> Component:
    from icalendar import Alarm

    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", plain_line(entry.title))
    # A to-do has no start: its alarm counts from when it is due (RFC 5545 section 3.8.6.3).
    related = {"RELATED": "END"} if entry.kind == "todo" else {}
    alarm.add("trigger", -timedelta(minutes=before), parameters=related)
    return alarm


def _zone() -> Timezone:
    """Vietnam has kept +07:00 since 13/06/1975, without summer time."""
    from icalendar import Timezone, TimezoneStandard

    zone, standard = Timezone(), TimezoneStandard()
    zone.add("tzid", ZONE)
    offset = VIETNAM.utcoffset(None)
    standard.add("tzname", "+07")
    standard.add("dtstart", datetime(1975, 6, 13))  # noqa: DTZ001  (local by definition there)
    standard.add("tzoffsetfrom", offset)
    standard.add("tzoffsetto", offset)
    zone.add_component(standard)
    return zone
