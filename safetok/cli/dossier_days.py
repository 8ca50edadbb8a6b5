"""The three days of a dossier on a screen: their three readings together, as they run and before a token comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.cli.render import Screen, Toned
from safetok.domain.times import show_day, weekday
from safetok.locale import _

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from safetok.cli.render import Tone
    from safetok.domain.dossier import Urgency, Window
    from safetok.workflows.dossier_view import View


def day_of(day: date) -> str:
    """`T5 04/02/2027`."""
    return f"{weekday(day)} {show_day(day)}"


def forecast(out: Screen, view: View) -> None:
    """Before the token comes: what its three days would be from today on, and on which days it must not come."""
    window = view.forecast
    if window is None:
        return
    out.title(_("The 3 days, if the token came today, {today}").format(today=day_of(window.received)))
    if window.off:
        out.line(_("Days off among them: {days}.").format(days=_off(window)))
    _readings(out, window)
    _beyond_holidays(out, view, window)
    if view.bad_days and view.good_day:
        out.notice(
            _(
                "The token must NOT come on {days}: no working day would be left in the 3 days. Ask LCS for {good} or later."
            ).format(days=_runs(view.bad_days), good=day_of(view.good_day))
        )


def deadline(out: Screen, view: View) -> None:
    """Once the token has come: the three readings together, steering by the earliest."""
    from safetok.knowledge import load

    said, window, found = load.dossier_said(), view.window, view.dossier
    if window is None or found is None:
        return
    got = found.record("lcs-received")
    if got is not None:
        late = got.day > window.literal_end
        text = (
            _("LCS received the papers on {day}, AFTER the 3 days (until {end}): ask 1900 4525 what follows.")
            if late
            else _("LCS received the papers on {day}, within the 3 days (until {end}).")
        )
        out.notice(text.format(day=day_of(got.day), end=day_of(window.literal_end)), "bad" if late else "good")
        return
    out.title(_("The 3 days"))
    off = _(" (days off: {days})").format(days=_off(window)) if window.off else ""
    out.line(
        _("Token received {received}. LCS must RECEIVE the papers within 3 days: until {end}{off}.").format(
            received=day_of(window.received), end=day_of(window.literal_end), off=off
        )
    )
    _readings(out, window)
    _beyond_holidays(out, view, window)
    safe = day_of(window.steer_by)
    words: dict[Urgency, tuple[str, Tone]] = {
        "past": (said["past"], "bad"),
        "no_working_day": (said["no_working_day"], "bad"),
        "steer_missed": (_("The safe day {safe} has passed: call 1900 4525 now.").format(safe=safe), "bad"),
        "due": (_("TODAY is the safe day: LCS must receive the papers today."), "bad"),
        "running": (
            _(
                "Keep to {safe}. By the notice, past the 3 days the certificate is revoked and the token locked for good."
            ).format(safe=safe),
            "warn",
        ),
    }
    text, tone = words.get(view.urgency, ("", ""))
    if text:
        out.notice(text, tone)
    if found.record("sent") is not None and view.moved != "sent":  # said as a warning just now
        out.line(said["not_enough"], "warn")


def _readings(out: Screen, window: Window) -> None:
    """The safe day, the literal end and the law's, the one to keep to first."""
    out.pairs(
        [
            (_("Safe day (last working day)"), Toned(day_of(window.safe), "strong") if window.safe else _none()),
            (_("By the notice, literally"), day_of(window.literal_end)),
            (_("By the Civil Code (LCS may not share it)"), day_of(window.legal_end)),
        ]
    )


def _none() -> Toned:
    return Toned(_("none"), "bad")


def _beyond_holidays(out: Screen, view: View, window: Window) -> None:
    if view.known_until and window.legal_end > view.known_until:
        out.notice(
            _("Holidays are listed until {day} only: check the calendar yourself.").format(
                day=show_day(view.known_until)
            )
        )


def _off(window: Window) -> str:
    """The days off among the three, with the holiday's name where there is one."""
    from safetok.knowledge import load

    holidays = load.holidays()
    named: dict[str, list[date]] = {}
    for day in window.off:
        named.setdefault(holidays[day].name if day in holidays else "", []).append(day)
    return ", ".join(f"{_runs(days)} {name}".rstrip() for name, days in named.items())


def _runs(days: Sequence[date]) -> str:
    """`T4 03/02/2027 – T2 08/02/2027`, days that follow each other taken together."""
    runs: list[list[date]] = []
    for day in days:
        if runs and (day - runs[-1][-1]).days == 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(day_of(run[0]) if len(run) == 1 else f"{day_of(run[0])} – {day_of(run[-1])}" for run in runs)
