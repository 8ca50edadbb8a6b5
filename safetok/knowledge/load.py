"""Reads the shipped facts: each file once, only when asked for, in the language in force."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.locale import Language, language

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from safetok.domain.agencies import Agency
    from safetok.domain.authorities import Authority
    from safetok.domain.campaign import Campaign
    from safetok.domain.kinds import KindRule
    from safetok.domain.notices import Notice
    from safetok.domain.working_days import WorkingCalendar
    from safetok.knowledge.facts import Bits, KnownDriver, System, UsbToken
    from safetok.knowledge.guides import AgencyGuide, DossierStep, Holiday, Step

FOLDER = Path(__file__).parent


@cache
def _table(name: str) -> Mapping[str, Any]:
    """One file of facts; tomllib is imported here because most commands read one file or none."""
    import tomllib

    with (FOLDER / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def _said(text: str | Mapping[str, str], code: Language) -> str:
    """A text in one language; a plain string is the same in both (names, the notices' own lines)."""
    return text if isinstance(text, str) else text[code]


def agencies() -> tuple[Agency, ...]:
    """The seven agencies of the notice, in its order and wording."""
    return _agencies(language())


@cache
def _agencies(code: Language) -> tuple[Agency, ...]:
    from safetok.domain.acceptance import Acceptance
    from safetok.domain.agencies import Agency

    def rule(row: Mapping[str, Any]) -> Acceptance:
        stated = row.get("acceptance", {})
        return Acceptance(**stated | ({"source": _said(stated["source"], code)} if stated else {}))

    return tuple(
        Agency(
            name=row["name"],
            title=_said(row["title"], code),
            wait_hours=rule(row).amount if rule(row).rule == "hours" else 0,
            acceptance=rule(row),
            parts=tuple((part["name"], _said(part, code)) for part in row.get("parts", ())),
            url=row.get("url", ""),
            source=row["source"],
            order=order,
        )
        for order, row in enumerate(_table("agencies")["agencies"], start=1)
    )


def agency_guide(name: str) -> AgencyGuide | None:
    """Steps, needs and form of one agency of the notice; None for one the user added."""
    return _guides(language()).get(name)


def agency_steps(name: str) -> tuple[Step, ...]:
    """What a person does at one agency, each step with its source; empty for one the user added."""
    guide = agency_guide(name)
    return guide.steps if guide else ()


def steps_recorded() -> date:
    """The day on which the agencies' steps were read from the sources named beside them."""
    day: date = _table("agencies")["recorded"]
    return day


@cache
def _guides(code: Language) -> dict[str, AgencyGuide]:
    from safetok.knowledge.guides import AgencyGuide, FormColumn, Step

    return {
        row["name"]: AgencyGuide(
            name=row["name"],
            steps=tuple(Step(text=_said(step["text"], code), source=step["source"]) for step in row["steps"]),
            parts=tuple(_said(part, code) for part in row.get("parts", ())),
            needs=tuple(_said(need, code) for need in row.get("needs", ())),
            effective=_said(row["effective"], code),
            copy=tuple(row.get("copy", ())),
            form=tuple(
                FormColumn(
                    column=column["column"],
                    meaning=_said(column.get("meaning", ""), code),
                    maximum=column.get("maximum", 0),
                    choices=tuple(column.get("choices", ())),
                )
                for column in row.get("form", ())
            ),
        )
        for row in _table("agencies")["agencies"]
    }


def authorities() -> dict[str, Authority]:
    """The CAs the notices speak of, by name, without an endpoint (none is public). A fresh dict: settings lay theirs over it."""
    return dict(_authorities(language()))


@cache
def _authorities(code: Language) -> dict[str, Authority]:
    from safetok.domain.authorities import Authority, Contacts, PinPolicy

    return {
        name: Authority(
            name=name,
            title=row["title"],
            issuer_names=tuple(row["issuer_names"]),
            pin_policy=PinPolicy(**{key: value for key, value in row.get("pin", {}).items() if key != "source"}),
            contacts=Contacts(
                lines=tuple(row["lines"]),
                hotline=row["hotline"],
                unlock=_said(row["unlock"], code),
                source=_said(row["source"], code),
            ),
            dossier_lookup=row.get("dossier_lookup", ""),
        )
        for name, row in _table("authorities")["authorities"].items()
    }


def campaigns() -> tuple[Campaign, ...]:
    """Programmes that owe time."""
    return _campaigns(language())


@cache
def _campaigns(code: Language) -> tuple[Campaign, ...]:
    from safetok.domain.campaign import Campaign

    return tuple(
        Campaign(name=name, **{**row, "title": _said(row["title"], code)})
        for name, row in _table("campaigns")["campaigns"].items()
    )


def system() -> System:
    """The operating system as knowledge names it; every other Unix counts as Linux."""
    return "windows" if sys.platform == "win32" else "macos" if sys.platform == "darwin" else "linux"


def bits() -> Bits:
    """The bitness of this Python: a driver must have the same."""
    return 64 if sys.maxsize > 2**32 else 32


@cache
def drivers(on: System | None = None, of: Bits | None = None) -> tuple[KnownDriver, ...]:
    """Known drivers of one system and bitness; this Python's own by default."""
    from safetok.knowledge.facts import KnownDriver

    on, of = on or system(), of or bits()
    table = _table("drivers")
    usual = table["folders"][on].get(str(of), ())
    return tuple(
        KnownDriver(
            maker=row["maker"],
            system=on,
            bits=of,
            names=tuple(row["names"]),
            folders=(*row.get("folders", ()), *usual),
            sources=tuple(row["sources"]),
        )
        for row in table["drivers"]
        if row["system"] == on
    )


@cache
def usb_tokens() -> dict[tuple[str, str], UsbToken]:
    """USB devices that are tokens, by vendor and product id."""
    from safetok.knowledge.facts import UsbToken

    return {
        (row["vendor"], product): UsbToken(
            vendor=row["vendor"], product=product, name=row["name"], drivers=tuple(row["drivers"]), ccid=row["ccid"]
        )
        for row in _table("usb")["devices"]
        for product in row["products"]
    }


def usb_vendors() -> dict[str, str]:
    """Makers of tokens by USB vendor id."""
    return dict(_table("usb")["vendors"])


def usb_cd_words() -> tuple[str, ...]:
    """Words in the name of a CD drive that say it is a token waiting to be one."""
    return tuple(_table("usb")["cd"]["words"])


@cache
def kind_rules() -> tuple[KindRule, ...]:
    """Shipped rules that tell V1 from V2: none, because no public source states one."""
    from safetok.domain.kinds import KindRule, kind_of

    return tuple(KindRule(**{**row, "kind": kind_of(row["kind"])}) for row in _table("kinds")["kinds"])


def notices() -> dict[str, Notice]:
    """The notices' sentences by name: before_update, serial_changes, wait_24h, v1, sign_first, manager, lcs_invoices."""
    return _notices(language())


@cache
def _notices(code: Language) -> dict[str, Notice]:
    from safetok.domain.notices import Notice

    return {
        name: Notice(
            name=name,
            text=_said(row["text"], code).format(url=row.get("url", "")),
            url=row.get("url", ""),
            source=row["source"],
        )
        for name, row in _table("notices")["notices"].items()
    }


def holidays() -> dict[date, Holiday]:
    """Every day off from the first to the last year listed, by day."""
    return _holidays(language())


@cache
def _holidays(code: Language) -> dict[date, Holiday]:
    from datetime import date, timedelta

    from safetok.knowledge.guides import Holiday

    table = _table("holidays")
    tet, found = table["tet"], {}
    years = sorted({day.year for day in tet["first_days"]})
    for year in range(years[0], years[-1] + 1):
        for row in table["fixed"]:
            day = date(year, row["month"], row["day"])
            found[day] = Holiday(day=day, name=_said(row["name"], code), certain=row.get("certain", True))
    for row in table["dated"]:
        found |= {day: Holiday(day=day, name=_said(row["name"], code)) for day in row["days"]}
    for first in tet["first_days"]:
        for offset in range(-tet["days_before"], tet["days_after"] + 1):
            day = first + timedelta(days=offset)
            certain = -1 <= offset < tet["days_after"]  # both ways of taking five days have these
            found[day] = Holiday(day=day, name=_said(tet["name"], code), certain=certain)
    return dict(sorted(found.items()))


@cache
def working_calendar() -> WorkingCalendar:
    """Working days and hours: weekends and the holidays listed are off; hours as knowledge assumes them.

    A holiday on a weekend is made up for on the next working day (Labour Code 2019 art. 111(3)): such days may be off.
    """
    from datetime import date, timedelta

    from safetok.domain.working_days import WorkingCalendar

    table, found = _table("holidays"), holidays()
    weekdays = frozenset(day - 1 for day in table["office"]["weekdays"])
    off = {day: holiday.certain for day, holiday in found.items()}
    for day in [day for day, certain in off.items() if certain and day.weekday() not in weekdays]:
        instead = day
        while instead in off or instead.weekday() not in weekdays:
            instead += timedelta(days=1)
        off[instead] = False
    return WorkingCalendar(
        off=off,
        weekdays=weekdays,
        hours=tuple((opens, closes) for opens, closes in table["office"]["hours"]),
        known_until=date(max(found).year, 12, 31),
    )


def dossier_steps() -> dict[str, DossierStep]:
    """What a person does at each step of a dossier, as LCS's notice has it."""
    return _dossier_steps(language())


@cache
def _dossier_steps(code: Language) -> dict[str, DossierStep]:
    from safetok.knowledge.guides import DossierStep

    return {
        name: DossierStep(
            name=name,
            title=_said(row["title"], code),
            do=_said(row["do"], code),
            have=tuple(row["have"][code] if "have" in row else ()),
            call=row["call"],
            record=_said(row["record"], code) if "record" in row else "",
        )
        for name, row in _table("dossier")["steps"].items()
    }


def dossier_said() -> dict[str, str]:
    """The sentences of LCS's notice on dossiers, by name, and `call`, `lookup`, `mail`, `source`."""
    table = _table("dossier")
    return {**table["notice"], **{name: _said(text, language()) for name, text in table["said"].items()}}
