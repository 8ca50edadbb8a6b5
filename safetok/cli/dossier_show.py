"""How a dossier is shown: where it stands, one current step with all it needs, whom to call and what records it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.cli.dossier_days import day_of, deadline, forecast
from safetok.cli.render import Screen, screen
from safetok.domain.times import show_date
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.cli.render import Tone
    from safetok.domain.dossier import Said, Situation
    from safetok.workflows.dossier_view import View


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
            mst, cert = view.certificate.mst, view.certificate.serial
            command = f"safetok dossier start {f'--mst {mst}' if mst else f'--cert {cert}'}"
            out.line(_("Something missing, suspended or revoked? Begin: {command}").format(command=command))
        return
    out.line(company_line(found.name, found.mst) if found.name != found.mst else f"MST {found.mst}", "strong")
    out.line(_case(view))
    if view.moved in load.dossier_steps():
        out.notice(_recorded(view), "good")
    _answer(out, view)
    _looked_up(out, view)
    if view.moved not in load.dossier_steps() and not found.finished:
        _consequences(out, view)
    if found.lost:
        _lost(out, view)
        return
    awaited = found.current == "token-received"
    if awaited:
        forecast(out, view)
    deadline(out, view)
    _next(out, view)
    _lookup(out, view)
    if not awaited:
        forecast(out, view)


def _recorded(view: View) -> str:
    """The step just recorded; of the upload how much of it."""
    from safetok.domain.dossier import ITEMS
    from safetok.knowledge import load

    assert view.dossier is not None
    title, uploaded = load.dossier_steps()[view.moved].title, len(view.dossier.uploaded)
    if view.moved == "uploaded" and uploaded < len(ITEMS):
        return _("Recorded: {step} ({n} of {all} items).").format(step=title, n=uploaded, all=len(ITEMS))
    return _("Recorded: {step}.").format(step=title)


def _consequences(out: Screen, view: View) -> None:
    """What the notice says of such a certificate; its dates only for those of its time."""
    from safetok.knowledge import load

    said, found = load.dossier_said(), view.dossier
    assert found is not None
    worse = _worse(view)
    situation = worse or found.situation
    if found.of_the_notice:
        out.line(said["dates"])
    if situation != "papers-missing" or found.of_the_notice:
        out.line(load.notices()["lcs_invoices"].text if situation != "papers-missing" else said["late"], "warn")
    if situation == "revoked":
        out.line(said["revoked"])
    if worse:
        which = f" --mst {found.mst}" if found.mst else ""
        out.notice(
            _("A suspended or revoked certificate takes LCS's plan to go on, not the ordinary path."),
            "warn",
            hint=f"→ safetok dossier start --case {worse} --again{which}",
        )


def _worse(view: View) -> Situation | None:
    """What the look-up page or the CA has said since, where the papers alone help no more."""
    found = view.dossier
    if found is None or found.path != "ordinary":
        return None
    kept = found.record("said")
    heard = view.answer.state if view.answer is not None else kept.said.get("state") if kept is not None else None
    return "revoked" if heard == "revoked" else "suspended" if heard == "suspended" else None


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


def _looked_up(out: Screen, view: View) -> None:
    """What a person last read on the look-up page."""
    kept = view.dossier.record("said") if view.dossier else None
    if kept is None:
        return
    words = {
        "complete": _("Looked up on {day}: the dossier is complete."),
        "missing": _("Looked up on {day}: the dossier is incomplete."),
        "suspended": _("Looked up on {day}: suspended."),
        "revoked": _("Looked up on {day}: revoked."),
    }
    tones: dict[str, Tone] = {"complete": "good", "missing": "warn"}
    state = kept.said.get("state", "")
    if state in words:
        out.notice(words[state].format(day=day_of(kept.day)), tones.get(state, "bad"))
    if kept.said.get("missing"):
        out.line(_("  missing: {what}").format(what=kept.said["missing"]))


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


def _lost(out: Screen, view: View) -> None:
    from safetok.knowledge import load

    said = load.dossier_said()
    command = f"safetok dossier start --mst {view.dossier.mst}" if view.dossier and view.dossier.mst else ""
    out.notice(said["lost"], "bad")
    out.notice(said["lost_do"], hint=f"→ {command or 'safetok dossier start'}")


def _next(out: Screen, view: View) -> None:
    from safetok.knowledge import load

    said, found = load.dossier_said(), view.dossier
    assert found is not None
    steps = load.dossier_steps()
    if found.not_activated and view.urgency != "past":
        out.notice(said["not_activated"], "")
    if found.record("activated") is not None:
        _new_certificate(out, view)
    if view.urgency == "past":
        _past(out, view)
        return
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
    out.line(_("Done? Record it:"))
    for words in _commands(view):
        out.verbatim(f"  safetok dossier {words}{view.choice}")
    if found.situation == "papers-missing" and found.path == "ordinary" and not found.records:
        which = f" --mst {found.mst}" if found.mst else ""  # who begins anew is asked for a company, not for a dossier
        out.line(said["plan"].format(which=which), "dim")


def _commands(view: View) -> list[str]:
    """What records the current step; of the upload also each item by itself."""
    from safetok.domain.dossier import ITEMS
    from safetok.knowledge import load

    found = view.dossier
    assert found is not None
    assert found.current is not None
    if found.current == "uploaded":
        left = [name for name in ITEMS if name not in found.uploaded]
        return [f"uploaded {' '.join(left)}"]
    return [f"{found.current} {load.dossier_steps()[found.current].record}".rstrip()]


def _past(out: Screen, view: View) -> None:
    """After the three days: LCS is called before anything else, and each of its answers has a command."""
    from safetok.knowledge import load

    said = load.dossier_said()
    out.title(_("Now: {title}").format(title=_("Call {number}").format(number=said["call"])))
    out.line(said["past_do"])
    out.line(_("LCS has received the papers, on which day:"))
    out.verbatim(f"  safetok dossier lcs-received --day {_('DATE')}{view.choice}")
    out.line(_("LCS says that the certificate is revoked and the token locked for good:"))
    out.verbatim(f"  safetok dossier lost{view.choice}")


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
        command = f"safetok agencies list --cert {view.new.serial}"
        text = _("New certificate: Serial {serial}, until {day}. {count} agencies to update.")
        out.notice(
            text.format(serial=view.new.serial, day=show_date(view.new.not_after), count=view.opened),
            "good",
            hint=f"→ {command}" if view.opened else "",
        )
    else:
        out.notice(
            _("The new certificate is not seen yet: no agency is open for it. Plug the token in, then:"),
        )
        out.verbatim("  safetok status")  # ends 13 beside a revoked certificate, so the two are no chain
        out.verbatim(f"  safetok dossier activated{view.choice}")


def _lookup(out: Screen, view: View) -> None:
    running = view.dossier is None or not (view.dossier.finished or view.window)
    if running and view.lookup and view.answer is None and view.moved in {"", "start", "verified"}:
        text = _("Look it up: {url}.")  # what it says is recorded in a dossier, where one is open
        if view.dossier is not None:
            text = _(
                "Look it up: {url}. Then record what it says: safetok dossier record complete|missing|suspended|revoked{which}"
            )
        out.line(text.format(url=view.lookup, which=view.choice), "dim")
