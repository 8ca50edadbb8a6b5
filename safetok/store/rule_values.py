"""How settings.toml states rules of its own: when an agency accepts, which days are off, when offices work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from itertools import pairwise
from typing import TYPE_CHECKING

from safetok.domain.acceptance import COUNTED, LARGEST_AMOUNT, RULES, Acceptance
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.store.setting_table import Table


def agency_rules(table: Table) -> dict[str, Acceptance]:
    """`[agencies.NAME.acceptance]`: the user's own rule for an agency."""
    given = table.table("agencies")
    found = {}
    for name in given.values:
        agency = given.table(name)
        agency.only(("acceptance",))
        found[name] = _acceptance(agency.table("acceptance"))
    return found


def authority_rules(table: Table, base: Mapping[str, Acceptance]) -> dict[str, Acceptance]:
    """`[authorities.CA.acceptance.NAME]`: what one CA says of an agency, for its certificates."""
    given = table.table("acceptance")
    return {**base, **{name: _acceptance(given.table(name)) for name in given.values}}


def days_off(table: Table) -> dict[date, bool | None]:
    """`[holidays]`: `off` are days off, `working` are days that are worked although the list has them off (None)."""
    holidays = table.table("holidays")
    holidays.only(("off", "working"))
    return {
        **dict.fromkeys(_days(holidays, "off"), True),
        **dict.fromkeys(_days(holidays, "working"), None),
    }


def office(table: Table) -> tuple[frozenset[int] | None, tuple[tuple[time, time], ...] | None]:
    """`[office]`: `weekdays` (Monday is 1) and `hours`, pairs of times; None where the file does not say."""
    given = table.table("office")
    given.only(("weekdays", "hours"))
    weekdays, hours = given.values.get("weekdays"), given.values.get("hours")
    if weekdays is not None and not (
        isinstance(weekdays, list) and weekdays and all(type(day) is int and 1 <= day <= 7 for day in weekdays)  # noqa: PLR2004
    ):
        given.refuse("weekdays", _("a list of weekdays is expected, Monday is 1 and Sunday 7"))
    if hours is not None and not _rising(hours):
        given.refuse("hours", _("pairs of times in rising order are expected, for instance [[08:00:00, 12:00:00]]"))
    return (
        frozenset(day - 1 for day in weekdays) if weekdays else None,
        tuple((opens, closes) for opens, closes in hours) if hours else None,
    )


def _acceptance(table: Table) -> Acceptance:
    table.only(("rule", "amount", "source"))
    rule = table.one_of("rule", RULES, "none")
    amount = table.whole("amount", 0, least=0) or 0
    if rule in COUNTED and not 1 <= amount <= LARGEST_AMOUNT:
        table.refuse("amount", _("a whole number from 1 to {most} is expected").format(most=LARGEST_AMOUNT))
    return Acceptance(
        rule=rule,  # type: ignore[arg-type]  # checked against the same words just above
        amount=amount if rule in COUNTED else 0,
        source=table.text("source", "settings.toml"),
    )


def _days(table: Table, name: str) -> list[date]:
    found = table.values.get(name, [])
    if not isinstance(found, list) or not all(isinstance(day, date) and not isinstance(day, datetime) for day in found):
        table.refuse(name, _("a list of days is expected, for instance [2027-02-03]"))
    return list(found)


def _rising(hours: object) -> bool:
    if not isinstance(hours, list) or not hours:
        return False
    flat: list[object] = []
    for pair in hours:
        if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004  (from, to)
            return False
        flat += pair
    times = [one for one in flat if isinstance(one, time)]
    return len(times) == len(flat) and all(a < b for a, b in pairwise(times))
