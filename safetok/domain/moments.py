"""Moments as people say them: `16:05`, `23/11 16h05`, `hôm qua 4h chiều`, `T2 16:05`, `Mon 16:05`, ISO 8601; and ages as `2d`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from safetok.domain.times import VIETNAM, vietnamese_day
from safetok.errors import UsageError
from safetok.locale import _

LONGEST = 60  # characters looked at

# In words without marks: people type "hom qua" as often as "hôm qua".
_CLOCK = (
    r"(?:luc )?(?P<hour>\d{1,2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2}))?|[hg](?P<minute2>\d{2})?)"
    r"(?: (?P<half>sang|trua|chieu|toi|dem|am|pm|sa|ch))?"  # SA and CH: what Windows in Vietnamese writes for am and pm
)
_DATE = r"(?:ngay )?(?P<day>\d{1,2})[/.-](?P<month>\d{1,2})(?:[/.-](?P<year>\d{4}))?"
_WEEKDAY = (
    r"(?:t|thu )(?P<weekday>[2-7])|(?P<sunday>cn|chu nhat)"
    r"|(?P<english>mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
)
_ENGLISH = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WORD = r"(?P<word>hom kia|hom qua|yesterday|hom nay|today|ngay mai|mai|tomorrow|ngay kia)"
_FORMS = (  # compiled when first asked: nobody types a time to most commands
    rf"{_CLOCK}(?:,? (?:(?:{_WEEKDAY}),? )?{_DATE})?",
    rf"(?:(?:{_WEEKDAY}),? )?{_DATE},? {_CLOCK}",
    rf"{_WORD},? {_CLOCK}",
    rf"{_CLOCK},? {_WORD}",
    rf"(?:{_WEEKDAY}),? {_CLOCK}",
    rf"{_CLOCK},? (?:{_WEEKDAY})",
)
_OFFSETS = {
    "hom kia": -2,
    "hom qua": -1,
    "yesterday": -1,
    "hom nay": 0,
    "today": 0,
    "ngay mai": 1,
    "mai": 1,
    "tomorrow": 1,
    "ngay kia": 2,
}
_AGE = r"(\d{1,4}) ?(m|p|h|g|d|n|w|phut|gio|ngay|tuan)"
_UNITS = {
    **dict.fromkeys(("m", "p", "phut"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "g", "gio"), timedelta(hours=1)),
    **dict.fromkeys(("d", "n", "ngay"), timedelta(days=1)),
    **dict.fromkeys(("w", "tuan"), timedelta(weeks=1)),
}
_NOON = 12
_LATE = 6


def parse_at(text: str, now: datetime) -> datetime:
    """The instant in UTC when something was done: a day without a year, or a weekday, is the nearest such day, not far ahead.

    `16:05`, `16h05`, `4h chiều`, `23/11 16:05`, `16:05 23/11/2026`, `hôm qua 16:05`, `T2 16:05`, what safetok itself shows
    (`16:05 T2 23/11/2026`), or ISO 8601 (without an offset: Vietnamese time). A weekday that is not that date's is
    refused. Raises UsageError `bad_time`.
    """
    hint = _('Times are Vietnamese time (+07:00), for instance --at 16:05 or --at "23/11/2026 16:05".')
    return _parse(text, now, _past_day, hint)


def parse_need(text: str, now: datetime) -> datetime:
    """The same for a moment to come: a time alone is today's or, when that has passed, tomorrow's; a day without year the next."""
    hint = _('Times are Vietnamese time (+07:00), for instance --need 10:00 or --need "24/11 10:00".')
    found = _parse(text, now, _future_day, hint)
    plain = _plain(text)
    if found <= now and re.fullmatch(_FORMS[0], plain) and "/" not in plain and "." not in plain and "-" not in plain:
        found += timedelta(days=1)
    return found


def parse_age(text: str) -> timedelta:
    """`2d`, `36h`, `2 ngày`. Raises UsageError `bad_age`."""
    found = re.fullmatch(_AGE, _plain(text))
    if found is None or not int(found[1]):
        raise UsageError(
            _("{text} is not a length of time safetok understands.").format(text=text[:LONGEST]),
            code="bad_age",
            hint=_("For instance 2d (days) or 36h (hours)."),
        )
    return int(found[1]) * _UNITS[found[2]]


Guess = Callable[[dict[str, str | None], date], date]


def _parse(text: str, now: datetime, guess: Guess, hint: str) -> datetime:
    today = vietnamese_day(now)
    try:
        plain = _plain(text)
        for form in _FORMS:
            if found := re.fullmatch(form, plain):
                parts = found.groupdict()
                day = _day(parts, today, guess)
                return datetime.combine(day, _clock(parts), VIETNAM).astimezone(UTC)
        if len(plain) > len("2026-11-23"):
            instant = datetime.fromisoformat(text.strip().upper())
            return (instant if instant.tzinfo else instant.replace(tzinfo=VIETNAM)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        _("{text} is not a moment safetok understands.").format(text=text[:LONGEST]),
        code="bad_time",
        hint=hint,
    )


def _plain(text: str) -> str:
    """Lower case, single spaces, without marks: `Hôm  qua` is `hom qua`."""
    if len(text) > LONGEST:
        return ""
    bare = "".join(
        c for c in unicodedata.normalize("NFD", text.lower().replace("đ", "d")) if not unicodedata.combining(c)
    )
    return " ".join(bare.split())


def _clock(parts: dict[str, str | None]) -> time:
    hour = int(parts["hour"] or 0)
    half = parts.get("half")
    if half and hour > _NOON:
        half = None  # "16h chiều": the hour says it already
    if half in {"sang", "am", "sa"} or (half in {"toi", "dem"} and hour == _NOON):
        hour %= _NOON
    elif (
        half in {"chieu", "toi", "pm", "ch"}
        or (half == "trua" and hour < _NOON - 1)
        or (half == "dem" and hour >= _LATE)  # "10h đêm" is 22:00, "2h đêm" is two in the night
    ):
        hour = hour % _NOON + _NOON
    return time(hour, int(parts.get("minute") or parts.get("minute2") or 0), int(parts.get("second") or 0))


def _day(parts: dict[str, str | None], today: date, guess: Guess) -> date:
    named = parts.get("weekday")
    weekday = 6 if parts.get("sunday") else int(named) - 2 if named else None
    if english := parts.get("english"):
        weekday = _ENGLISH.index(english[:3])
    if word := parts.get("word"):
        return today + timedelta(days=_OFFSETS[word])
    if parts.get("month") is None:
        return today if weekday is None else guess({"weekday": str(weekday)}, today)
    year = parts.get("year")
    found = date(int(year), int(parts["month"] or 0), int(parts["day"] or 0)) if year else guess(parts, today)
    if weekday is not None and found.weekday() != weekday:
        raise ValueError(weekday)
    return found


def _past_day(parts: dict[str, str | None], today: date) -> date:
    """Told without its year, the nearest such day is meant: in January people still speak of December."""
    if parts.get("month") is None:
        return today - timedelta(days=(today.weekday() - int(parts["weekday"] or 0)) % 7)
    for year in (today.year, today.year - 1):
        found = _date(year, parts)
        if found is not None and found - today <= timedelta(days=182):
            return found
    raise ValueError(parts["month"])


def _future_day(parts: dict[str, str | None], today: date) -> date:
    if parts.get("month") is None:
        return today + timedelta(days=(int(parts["weekday"] or 0) - today.weekday()) % 7)
    for year in (today.year, today.year + 1):
        found = _date(year, parts)
        if found is not None and found >= today - timedelta(days=182):
            return found
    raise ValueError(parts["month"])


def _date(year: int, parts: dict[str, str | None]) -> date | None:
    try:
        return date(year, int(parts["month"] or 0), int(parts["day"] or 0))
    except ValueError:  # 29/02
        return None
