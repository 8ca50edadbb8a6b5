"""What dossiers ask for by their deadlines: in `status`, in a calendar, in notifications and to hooks."""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING

from safetok.domain import dossier as papers
from safetok.domain.times import VIETNAM, show_day
from safetok.locale import _
from safetok.workflows.dossier_choice import named
from safetok.workflows.dossier_view import View, view

if TYPE_CHECKING:
    from safetok.reports.calendar import Entry
    from safetok.workflows.context import Context
    from safetok.workflows.overview import Due

_PRESSING = ("past", "no_working_day", "steer_missed", "due", "running")
_ALARMS = (24 * 60, 3 * 60, 0)  # minutes before: time to send a courier


def views(context: Context) -> list[View]:
    """Every open dossier, the newest of each company, the most urgent first."""
    from safetok.store.dossiers import Dossiers
    from safetok.workflows.agency_rules import working

    found = [view(context, one) for one in papers.newest(Dossiers(context.database).list()) if not one.finished]
    calendar = working(context)
    return sorted(found, key=lambda one: papers.sort_key(one.dossier, calendar, one.today) if one.dossier else ())


def sentence(one: View) -> str:
    """What its three days say today; empty where they do not run."""
    found, window = one.dossier, one.window
    if found is None or window is None or one.urgency not in _PRESSING:
        return ""
    words = {
        "past": _(
            "{name}: the 3 days ended on {end} and LCS is not recorded to have received the papers: call {hotline}."
        ),
        "no_working_day": _("{name}: no working day is left in the 3 days (until {end}): call {hotline} NOW."),
        "steer_missed": _(
            "{name}: the safe day {safe} has passed; LCS must have RECEIVED the papers by {end}: call {hotline}."
        ),
        "due": _("{name}: LCS must RECEIVE the papers TODAY (safe day {safe}, literal end {end})."),
        "running": _("{name}: LCS must RECEIVE the papers by {safe} (safe day; literal end {end})."),
    }
    from safetok.knowledge import load

    return words[one.urgency].format(
        name=found.name,
        end=show_day(window.literal_end),
        safe=show_day(window.steer_by),
        hotline=load.dossier_said()["call"],
    )


def due(context: Context) -> tuple[Due, ...]:
    """What `status` says of dossiers: those whose three days run."""
    from safetok.workflows.overview import Due

    found = views(context)
    dossiers = [one.dossier for one in found if one.dossier is not None]
    return tuple(
        Due(
            code="dossier",
            text=text,
            command=f"safetok dossier show{named(one.dossier, dossiers)}",
            token=one.dossier.token or None,
            cert=one.dossier.certificate or None,
        )
        for one in found
        if one.dossier is not None and (text := sentence(one))
    )


def pressing(context: Context) -> list[str]:
    """One line for each dossier whose three days run."""
    return [text for one in views(context) if (text := sentence(one))]


def calendar_entries(context: Context) -> list[Entry]:
    """An event at the end of the safe day for each token that has come, taken away once LCS has received the papers, all is lost,
    the arrival was undone, or a newer dossier stands in its place: an earlier file may have put it into a calendar.
    """
    import uuid

    from safetok.knowledge import load
    from safetok.reports.calendar import Entry
    from safetok.store.dossiers import Dossiers
    from safetok.workflows.agency_rules import working

    calendar, store, said = working(context), Dossiers(context.database), load.dossier_said()
    closes: time = calendar.hours[-1][1]
    newest = {one.id for one in papers.newest(store.list())}
    entries = []
    for one in store.list():
        came = one.record("token-received")
        noted = came or store.taken_back(one, "token-received")
        if noted is None:
            continue
        window = papers.window(noted.day, calendar)
        replaced = one.id not in newest
        over = came is None or replaced or one.lost or one.record("lcs-received") is not None
        entries.append(
            Entry(
                uid=f"{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:safetok:dossier/{one.id}')}@safetok",
                kind="event",
                at=datetime.combine(window.steer_by, closes, VIETNAM),
                title=_("LCS must have received the papers: {name}").format(name=one.name),
                lines=(
                    _("Token received {received}; literal end {end}; safe day {safe}.").format(
                        received=show_day(window.received),
                        end=show_day(window.literal_end),
                        safe=show_day(window.safe) if window.safe else "–",
                    ),
                    said["not_enough"] if window.safe else said["no_working_day"],
                ),
                changed=one.records[-1].at if one.records else noted.at,
                sequence=store.changes(one) + replaced,
                standing="done" if over else "open",
                alarms=_ALARMS,
            )
        )
    return entries


def tell_deadlines(context: Context) -> None:
    """Hooks learn of each stage of a deadline once: the safe day has come, it has passed, all is past."""
    from safetok.workflows.hooks import tell

    for one in views(context):
        if one.dossier is not None and one.urgency in {"past", "no_working_day", "steer_missed", "due"}:
            received = one.window.received.isoformat() if one.window else ""
            tell(context, "deadline", f"dossier/{one.dossier.id}/{received}/{one.urgency}", one.data())
