"""How dossiers are shown: one current step with all it needs, the three readings of the three days, and the table of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.cli.render import Cell, Column, Screen, Toned, screen
from safetok.domain.times import show_date, show_day
from safetok.locale import _

if TYPE_CHECKING:
    from datetime import date

    from safetok.cli.render import Tone
    from safetok.domain.dossier import Said, Urgency, Window
    from safetok.workflows.dossier_list import Client, Clients
    from safetok.workflows.dossier_view import View

_WEEKDAYS = ("T2", "T3", "T4", "T5", "T6", "T7", "CN")


def day_of(day: date) -> str:
    """`T5 04/02/2027`."""
    return f"{_WEEKDAYS[day.weekday()]} {show_day(day)}"


def show_dossier(view: View) -> None:
    """Where it stands, what comes next, until when."""
    from safetok.cli.words import company_line
    from safetok.knowledge import load

    out, found = screen(), view.dossier
    if found is None:
        assert view.certificate is not None
        out.line(company_line(view.certificate.subject_name, view.certificate.mst or ""), "strong")
        _answer(out, view)
        _lookup(out, view)
        if view.lookup:
            out.line(_("Something missing, suspended or revoked? Begin: safetok dossier start"))
        return
    out.line(company_line(found.name, found.mst) if found.name != found.mst else f"MST {found.mst}", "strong")
    out.line(_case(view))
    if view.moved in load.dossier_steps():
        out.notice(_("Recorded: {step}.").format(step=load.dossier_steps()[view.moved].title), "good")
    _answer(out, view)
    if view.moved not in load.dossier_steps():
        _consequences(out, view)
    _deadline(out, view)
    _next(out, view)
    _lookup(out, view)


def _consequences(out: Screen, view: View) -> None:
    """What the notice says of such a certificate; its dates only for those of its time."""
    from safetok.knowledge import load

    said, found = load.dossier_said(), view.dossier
    assert found is not None
    if found.of_the_notice:
        out.line(said["dates"])
    if found.situation != "papers-missing" or found.of_the_notice:
        out.line(load.notices()["lcs_invoices"].text if found.situation != "papers-missing" else said["late"], "warn")
    if found.situation == "revoked":
        out.line(said["revoked"])


def _case(view: View) -> str:
    assert view.dossier is not None
    cases = {
        "papers-missing": _("PAPER dossier incomplete"),
        "suspended": _("certificate SUSPENDED"),
        "revoked": _("certificate REVOKED: it can never be restored"),
    }
    done = len(view.dossier.done & {*view.dossier.steps})
    return _("{case} · step {done} of {all} done").format(
        case=cases[view.dossier.situation], done=done, all=len(view.dossier.steps)
    )


def _answer(out: Screen, view: View) -> None:
    if view.answer is None:
        return
    words: dict[Said, tuple[str, Tone]] = {
        "complete": (_("The CA says: the dossier is complete."), "good"),
        "missing": (_("The CA says: the dossier is incomplete."), "warn"),
        "suspended": (_("The CA says: suspended."), "bad"),
        "revoked": (_("The CA says: revoked."), "bad"),
        "unknown": (_("The CA says nothing safetok understands of this dossier."), "warn"),
    }
    text, tone = words[view.answer.state]
    out.notice(text, tone)
    if view.answer.since:
        out.line(_("  since {day}").format(day=day_of(view.answer.since)))
    out.items(view.answer.missing)


def _deadline(out: Screen, view: View) -> None:
    """The three readings together, steering by the earliest; or, before the token comes, on which days it must not."""
    from safetok.knowledge import load

    said, window, found = load.dossier_said(), view.window, view.dossier
    assert found is not None
    if view.known_until and window is not None and window.legal_end > view.known_until:
        out.notice(
            _("Holidays are listed until {day} only: check the calendar yourself.").format(
                day=show_day(view.known_until)
            )
        )
    if window is None:
        if view.bad_days and view.good_day:
            out.notice(
                _(
                    "The token must NOT come on {days}: no working day would be left in the 3 days. Ask LCS for {good} or later."
                ).format(days=", ".join(day_of(day) for day in view.bad_days), good=day_of(view.good_day))
            )
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
    out.line(
        _("Token received {received}. LCS must RECEIVE the papers within 3 days: until {end}{off}.").format(
            received=day_of(window.received), end=day_of(window.literal_end), off=_off(window)
        )
    )
    out.pairs(
        [
            (_("Safe day (last working day)"), day_of(window.safe) if window.safe else Toned(_("none"), "bad")),
            (_("By the notice, literally"), day_of(window.literal_end)),
            (_("By the Civil Code (LCS may not share it)"), day_of(window.legal_end)),
        ]
    )
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
    if found.record("sent") is not None:
        out.line(said["not_enough"], "warn")


def _off(window: Window) -> str:
    """The days off among the three, with the holiday's name where there is one."""
    from safetok.knowledge import load

    if not window.off:
        return ""
    holidays = load.holidays()
    names = [f"{day_of(day)} {holidays[day].name}" if day in holidays else day_of(day) for day in window.off]
    return _(" (days off: {days})").format(days=", ".join(names))


def _next(out: Screen, view: View) -> None:
    from safetok.knowledge import load

    said, found = load.dossier_said(), view.dossier
    assert found is not None
    steps = load.dossier_steps()
    if found.not_activated:
        out.notice(said["not_activated"], "")
    if view.moved == "activated" or found.record("activated") is not None:
        _new_certificate(out, view)
    if found.current is None:
        out.notice(_("All steps are done."), "good")
        return
    if found.skipped:
        out.line(_("Not recorded: {steps}.").format(steps=", ".join(steps[one].title for one in found.skipped)), "dim")
    step = steps[found.current]
    out.title(_("Now: {title}").format(title=step.title))
    out.line(step.do)
    if step.have:
        out.line(_("To have in hand:"))
        out.items(_items(view, list(step.have)))
    out.line(_("Call: {number}").format(number=step.call))
    out.line(_("Done? Record it: safetok dossier {step}").format(step=found.current), "dim")
    if found.situation == "papers-missing" and found.path == "ordinary" and not found.records:
        out.line(said["plan"], "dim")


def _items(view: View, have: list[str]) -> list[str]:
    """The four items of the upload, those uploaded marked."""
    from safetok.domain.dossier import ITEMS

    assert view.dossier is not None
    if view.dossier.current != "uploaded" or len(have) != len(ITEMS):
        return have
    return [
        _("{item} (uploaded)").format(item=text) if name in view.dossier.uploaded else f"{text} [{name}]"
        for name, text in zip(ITEMS, have, strict=True)
    ]


def _new_certificate(out: Screen, view: View) -> None:
    if view.new is not None:
        out.notice(
            _(
                "New certificate: Serial {serial}, until {day}. {count} agencies to update: safetok agencies list"
            ).format(serial=view.new.serial, day=show_date(view.new.not_after), count=view.opened),
            "good",
        )
    elif view.moved == "activated":
        out.notice(
            _("The new certificate is not seen yet. Plug the token in, run `safetok status`, then this again."),
        )


def _lookup(out: Screen, view: View) -> None:
    if view.lookup and view.answer is None and view.moved in {"", "start", "verified"}:
        out.line(
            _(
                "Look it up: {url}. Then record what it says: safetok dossier record complete|missing|suspended|revoked"
            ).format(url=view.lookup),
            "dim",
        )


def show_clients(found: Clients) -> None:
    """One row a dossier, the most urgent first."""
    out = screen()
    heads = [
        Column("MST"),
        Column(_("Company"), wrap=True),
        Column(_("Papers")),
        Column(_("Step"), wrap=True),
        Column(_("Deadline"), wrap=True),
    ]
    empty = _("The list names no company.") if found.file else _("No dossier is open.")
    out.table(heads, [_row(client) for client in found.clients], empty=empty)
    shared = {client.representative: client.companies for client in found.clients if client.companies > 1}
    for name, count in shared.items():
        out.notice(
            _("{name} represents {count} companies here: call 19004525 first, do not upload yet.").format(
                name=name, count=count
            )
        )
    if found.ignored:
        out.line(_("Columns that say nothing to safetok: {columns}").format(columns=", ".join(found.ignored)), "warn")


def _row(client: Client) -> list[Cell]:
    from safetok.knowledge import load

    view, found = client.view, client.view.dossier
    assert found is not None
    words: dict[Said, tuple[str, Tone]] = {
        "complete": (_("papers complete"), "good"),
        "missing": (_("incomplete"), "warn"),
        "suspended": (_("suspended"), "bad"),
        "revoked": (_("revoked"), "bad"),
        "unknown": (_("not known"), "dim"),
    }
    step = load.dossier_steps()[found.current].title if found.current else _("All steps are done.")
    return [found.mst, found.name, Toned(*words[client.state]), step, _until(view)]


def _until(view: View) -> Toned:
    window = view.window
    if window is None or view.urgency in {"finished", "waiting"}:
        return Toned("")
    words: dict[Urgency, tuple[str, Tone]] = {
        "past": (_("PAST (until {end}): call 1900 4525"), "bad"),
        "no_working_day": (_("no working day left (until {end}): call 1900 4525 NOW"), "bad"),
        "steer_missed": (_("safe day {safe} missed, until {end}"), "bad"),
        "due": (_("TODAY (until {end})"), "bad"),
        "running": (_("{safe} (literally {end})"), "warn"),
    }
    text, tone = words[view.urgency]
    return Toned(text.format(safe=day_of(window.steer_by), end=day_of(window.literal_end)), tone)
