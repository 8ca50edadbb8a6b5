"""Which agency a person means: its short name or title, one service of it, with its own moment; and how a new one is called."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from safetok.domain import registrations as moves
from safetok.domain.agencies import Agency
from safetok.errors import UsageError
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.store.registrations import Registrations

LARGEST_NAME = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One agency as a person named it: `vnaccs`, a service of it (`etax:khai`), with its own moment (`v5@16:05`)."""

    agency: Agency
    part: str | None = None
    at: datetime | None = None


def all_agencies(store: Registrations) -> dict[str, Agency]:
    """The notice's seven, then those a person added, by name."""
    from safetok.knowledge import load

    return {agency.name: agency for agency in (*load.agencies(), *store.agencies_added())}


def wanted(name: str, agencies: dict[str, Agency], now: datetime) -> Wanted:
    """`vnaccs`, `etax:khai`, `v5@16:05`; a title that holds such a sign is taken whole."""
    if found := meant(name, agencies):
        return Wanted(agency=found)
    named, _at, moment = name.partition("@")
    short, _colon, part = named.partition(":")
    agency = agency_named(short, agencies)
    if part and letters(part) not in dict(agency.parts):
        raise UsageError(
            _("{agency} has no part {part}.").format(agency=agency.title, part=part),
            code="no_such_part",
            hint=_("Known: {names}.").format(names=", ".join(f"{agency.name}:{one}" for one, _title in agency.parts))
            if agency.parts
            else "",
        )
    return Wanted(agency=agency, part=letters(part) or None, at=moves.parse_at(moment, now) if moment.strip() else None)


def as_a_whole(word: str, one: Wanted, move: str) -> None:
    """Raise UsageError `whole_agency` where one service or a moment is named to a command that records neither."""
    if one.part is None and one.at is None:
        return
    raise UsageError(
        _(
            "{word}: `agencies {move}` is for the whole of {agency}; one service, or a time of its own, goes with `agencies done` "
            "alone. Nothing was recorded."
        ).format(word=word, move=move, agency=one.agency.title),
        code="whole_agency",
        hint=_(
            "Where the company does not use one service: once the others are updated, safetok agencies done {name}"
        ).format(name=one.agency.name)
        if move == "skip" and one.part is not None
        else _("For the whole: safetok agencies {move} {name}").format(move=move, name=one.agency.name),
    )


def agency_named(name: str, agencies: dict[str, Agency]) -> Agency:
    """The agency a person means by its short name or title. Raises UsageError `no_such_agency`."""
    found = meant(name, agencies)
    if found is None:
        raise UsageError(
            _("There is no agency {name}.").format(name=name),
            code="no_such_agency",
            hint=_("Known: {names}. Another one: safetok agencies add NAME").format(names=", ".join(agencies)),
        )
    return found


def meant(name: str, agencies: dict[str, Agency]) -> Agency | None:
    """By its short name, else by its title as lists show it, however its marks and signs are written."""
    spelled = letters(name)
    return (
        agencies.get(name.strip().lower())
        or agencies.get(spelled)
        or next((one for one in agencies.values() if spelled and letters(one.title) == spelled), None)
    )


def short_name(name: str) -> str:
    """The name to type later: lower-case ASCII of what a person wrote ("Hóa đơn MISA" -> "hoa-don-misa")."""
    short = letters(name)
    if not short or len(short) > LARGEST_NAME:
        raise UsageError(
            _("{name} is no name for an agency: letters and digits, at most {most}.").format(
                name=name, most=LARGEST_NAME
            ),
            code="bad_name",
        )
    return short


def letters(name: str) -> str:
    """`Hóa đơn MISA` -> `hoa-don-misa`."""
    import unicodedata

    plain = unicodedata.normalize("NFD", name.strip().lower().replace("đ", "d"))
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in plain if not unicodedata.combining(c)).split()
    return "-".join(words)
