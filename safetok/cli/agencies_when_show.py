"""How the last moment to update is shown, for a filing that is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.cli.agencies_show import nothing
from safetok.cli.render import screen
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.cli.render import Tone
    from safetok.domain.acceptance import Acceptance
    from safetok.workflows.agencies_when import Answer, Answers


def show_when(found: Answers) -> None:
    """For each agency the last moment to update, or what to do instead."""
    from safetok.domain.times import show_instant

    out = screen()
    if not found.answers:
        out.line(nothing(named=found.named))
        return
    out.line(_("For a filing due at {need}:").format(need=show_instant(found.need)), "strong")
    names = {one.view.registration.certificate_sha256: one.view for one in found.answers}
    told: set[tuple[str, str]] = set()  # an agency's rule is said with the first company
    for sha256, view in names.items():
        from safetok.cli.words import company_line

        out.title(company_line(view.name, view.registration.mst))
        for one in found.answers:
            if one.view.registration.certificate_sha256 == sha256:
                if one.filing.answer in {"expired", "revoked"}:
                    out.notice(f"{one.view.title}: {_ended(one)}", "bad")
                    continue
                text, tone = _when(one)
                text = _by_part(one, text)
                rule = (one.view.registration.agency, _rule(one))
                out.notice(f"{one.view.title}: {text}", tone, hint="" if rule in told else rule[1])
                told.add(rule)


def _ended(one: Answer) -> str:
    from safetok.domain.times import show_date

    if one.filing.answer == "revoked" or one.new is None:
        return _("the new certificate was revoked: nothing can be signed with it.")
    text = _("the new certificate ends on {day}: by then nothing can be signed with it.")
    return text.format(day=show_date(one.new.not_after))


def _when(one: Answer) -> tuple[str, Tone]:
    from safetok.domain.times import show_instant

    filing, row = one.filing, one.view.registration
    accepted = show_instant(filing.accepted) if filing.accepted else ""
    if filing.answer == "ready":
        return _("updated already: sign with the new one."), "good"
    if filing.answer == "waiting":
        return _("updated already: the new one is accepted from {at}, in time.").format(at=accepted), "good"
    if filing.answer == "in_time":
        latest = show_instant(filing.latest) if filing.latest else ""
        if not one.rule.waits:
            return _("update before {latest}; no wait is stated, so leave time.").format(latest=latest), ""
        return _("update by {latest} at the latest.").format(latest=latest), ""
    need = show_instant(filing.need)
    if row.updated_at is not None and one.view.standing == "waiting":
        text = _("updated already: the new one is accepted only from {at}, NOT in time for {need}.")
        return text.format(at=accepted, need=need), "bad"
    text = _("updated now, it is accepted only from {at}, NOT in time for {need}.").format(at=accepted, need=need)
    advice = ""
    if filing.old_first:
        advice = _(
            "If the old certificate is still valid and still registered there: file with the old one first, update afterwards."
        )
    elif one.old is not None:
        advice = _(
            "The old certificate cannot be used: update at once and ask the office that handles the filing about its deadline."
        )
    return f"{text} {advice}".rstrip(), "bad"


def _by_part(one: Answer, text: str) -> str:
    """The answer with the services it is about, and those that are updated already by themselves."""
    if not one.by_part:
        return text
    titles = dict(one.view.parts)
    updated = [
        f"{titles.get(part, part)}: "
        + (_("updated already: sign with the new one.") if signing.answer == "new" else f"{signing.why}.")
        for part, signing in one.by_part.items()
    ]
    left = ", ".join(title for part, title in one.view.parts if part not in one.by_part)
    return " ".join([f"{left}: {text}", *updated])


def _rule(one: Answer) -> str:
    said = rule_text(one.rule)
    if one.effective:
        return _("Elsewhere: {said}.").format(said=one.effective)
    return _("Rule: {rule} ({source}).").format(rule=said, source=one.rule.source) if said else ""


def rule_text(rule: Acceptance) -> str:
    """A rule in words; empty where no wait is stated."""
    words = {
        "hours": _("{n} hours from the update"),
        "next_midnight": _("from the midnight after the update"),
        "working_hours": _("{n} working hours from the update"),
        "working_days": _("{n} working days from the update"),
    }
    return words[rule.rule].format(n=rule.amount) if rule.waits else ""
