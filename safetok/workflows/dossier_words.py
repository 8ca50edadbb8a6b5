"""What a person says of a dossier on the command line: a case, a path, a state, items and days, and what of it is understood."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from safetok.domain import dossier as papers
from safetok.domain.dossier import PathName, Situation
from safetok.domain.times import parse_day, show_day, vietnamese_day
from safetok.errors import UsageError
from safetok.locale import _


def known_case(text: str | None) -> Situation | None:
    """A case as it is named on the command line. Raises UsageError `bad_choice`."""
    found = next((one for one in papers.SITUATIONS if one == text), None)
    if text is not None and found is None:
        raise _bad_choice(text, papers.SITUATIONS)
    return found


def known_path(text: str | None) -> PathName | None:
    """A path as it is named on the command line. Raises UsageError `bad_choice`."""
    found = next((one for one in papers.PATHS if one == text), None)
    if text is not None and found is None:
        raise _bad_choice(text, tuple(papers.PATHS))
    return found


def said_state(text: str) -> str:
    """What a look-up page can say. Raises UsageError `bad_choice`."""
    if text not in papers.RECORDED:
        raise _bad_choice(text, papers.RECORDED)
    return text


def upload_items(items: Sequence[str]) -> str:
    """The items uploaded, as they are kept; empty means all. Raises UsageError `bad_choice`."""
    for one in items:
        if one not in papers.ITEMS:
            raise _bad_choice(one, papers.ITEMS)
    return ",".join(dict.fromkeys(items))


def _bad_choice(text: str, choices: Sequence[str]) -> UsageError:
    return UsageError(
        _("{text} is none of these: {choices}.").format(text=text[:40], choices=", ".join(choices)), code="bad_choice"
    )


def day_said(text: str | None, now: datetime) -> date:
    """The day meant; today where none is named. Raises UsageError `bad_day`, `future_day`."""
    today = vietnamese_day(now)
    if text is None:
        return today
    day = parse_day(text) or _spoken_day(text, now)
    if day is None:
        raise UsageError(
            _("{text} is not a day safetok understands.").format(text=text[:40]),
            code="bad_day",
            hint=_("For instance 04/02/2027, 4/2, yesterday."),
        )
    if day > today:
        raise UsageError(
            _("{day} has not come yet: give the day when it happened.").format(day=show_day(day)), code="future_day"
        )
    return day


def _spoken_day(text: str, now: datetime) -> date | None:
    """`4/2`, `hôm qua`, `T5`: as a moment's day."""
    from safetok.domain.moments import parse_at

    try:
        return vietnamese_day(parse_at(f"{text} 00:00", now))
    except UsageError:
        return None
