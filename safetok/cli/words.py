"""How tokens and certificates are told to a person: one phrase for each of their properties, with its tone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from safetok.cli.render import Toned
from safetok.domain.campaign import CampaignAnswer
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.times import show_date, show_day, show_instant
from safetok.domain.tokens import KeyPresence, Kind, PinState
from safetok.domain.validity import Validity
from safetok.locale import _, later

if TYPE_CHECKING:
    from safetok.cli.render import Cell, Tone
    from safetok.workflows.certs import CertificateView
    from safetok.workflows.tokens import TokenView

_STANDINGS: dict[Validity, tuple[str, Tone]] = {
    Validity.NOT_YET: (later("not valid yet"), "warn"),
    Validity.VALID: (later("valid"), "good"),
    Validity.EXPIRING: (later("expiring"), "warn"),
    Validity.EXPIRED: (later("expired"), "bad"),
    Validity.SUSPENDED: (later("SUSPENDED"), "bad"),
    Validity.REVOKED: (later("REVOKED"), "bad"),
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def age(then: datetime, now: datetime) -> str:
    """How long ago, in the largest whole unit."""
    seconds = max(0, int((now - then).total_seconds()))
    if seconds < _MINUTE:
        return _("just now")
    if seconds < _HOUR:
        return _("{n} min ago").format(n=seconds // _MINUTE)
    if seconds < _DAY:
        return _("{n} h ago").format(n=seconds // _HOUR)
    return _("{n} days ago").format(n=seconds // _DAY)


def company_line(name: str, mst: str) -> str:
    """The company and its tax code, as a heading."""
    return f"{name} · MST {mst}" if mst else name


def companies_line(view: TokenView) -> str:
    """Whose token it is, as a heading: each company that has a certificate on it; empty without one."""
    return "; ".join(company_line(name, mst) for name, mst in view.companies)


def whose(view: CertificateView, token: TokenView) -> list[tuple[str, Cell]]:
    """A line that says whose certificate follows, where the token carries those of several companies."""
    one = view.certificate
    return [(_("Company"), company_line(one.subject_name, one.mst or ""))] if len(token.companies) > 1 else []


def kind(view: TokenView) -> Toned:
    """V1, V2 or unknown, with the reason."""
    names = {
        Kind.V1: _("V1 (grey)"),
        Kind.V2: _("V2 (white)"),
        Kind.UNKNOWN: _("not determined"),
    }
    return Toned(f"{names[view.kind]} – {view.kind_reason}")


def heading_of(view: TokenView) -> str:
    """The heading of a token of no known company."""
    return _("USB token that could not be read") if view.unread else _("USB token without a certificate")


def nothing(view: TokenView) -> Toned:
    """Why no certificate of a token is shown: there is none, or what there is could not be read."""
    return Toned(_("no certificate")) if view.empty else Toned(_("could not be read"), "warn")


def pin(view: TokenView) -> Toned:
    """What the token says of its PIN, and what safetok itself has counted."""
    words: dict[PinState, tuple[str, Tone]] = {
        PinState.OK: (_("no wrong try reported"), ""),
        PinState.TO_BE_CHANGED: (_("must be changed before use"), "warn"),
        PinState.COUNT_LOW: (_("a wrong PIN was entered before"), "warn"),
        PinState.FINAL_TRY: (_("THERE MAY BE ONLY ONE TRY LEFT"), "bad"),
        PinState.LOCKED: (_("PIN locked"), "bad"),
        PinState.NOT_SET: (_("not set"), "warn"),
    }
    text, tone = words[view.info.pin_state]
    if view.tries:
        counted = _("{state}; safetok counted {n} tries that failed or were cut off")
        return Toned(counted.format(state=text, n=view.tries), tone or "warn")
    return Toned(text, tone)


def validity_word(view: CertificateView) -> Toned:
    """The standing in a word or two."""
    text, tone = _STANDINGS[view.state]
    return Toned(_(text), tone)


def span(view: CertificateView) -> str:
    """`01/06/2024 – 13/12/2026`."""
    return f"{since(view)} – {until(view)}"


def since(view: CertificateView) -> str:
    """Its first day."""
    return show_date(view.certificate.not_before)


def until(view: CertificateView) -> str:
    """Its last day."""
    return show_date(view.certificate.not_after)


def left(view: CertificateView) -> str:
    """How many days are left, or have passed."""
    if view.state is Validity.EXPIRED:
        return _("expired {n} days ago").format(n=-view.days_left) if view.days_left < 0 else _("expired today")
    if view.days_left == 0:
        return _("last day today")
    return _("{n} days left").format(n=view.days_left)


def validity(view: CertificateView) -> Toned:
    """From, to, and what is left of it."""
    word = validity_word(view)
    if view.bad:
        return Toned(f"{span(view)} · {word.text}", word.tone)
    return Toned(f"{span(view)} · {left(view)}", "" if view.state is Validity.VALID else word.tone)


def key(view: CertificateView) -> Toned | None:
    """Whether the private key is there; None for a certificate that is on no token that is in."""
    if view.key is None:
        return None
    words: dict[KeyPresence, tuple[str, Tone]] = {
        KeyPresence.PRESENT: (_("on the token"), ""),
        KeyPresence.ABSENT: (_("NOT on the token: it cannot sign"), "bad"),
        KeyPresence.UNKNOWN: (_("cannot be told without the PIN"), "dim"),
    }
    text, tone = words[view.key]
    if view.key_by_id_only and view.key is KeyPresence.PRESENT:
        return Toned(_("on the token (by its ID only: a hint)"), tone)
    return Toned(text, tone)


def campaign(view: CertificateView) -> Toned:
    """The programme's verdict with each condition."""
    verdict = view.campaign
    if view.in_progress:
        return Toned(_("top-up not finished: safetok renew --resume"), "warn")
    words: dict[CampaignAnswer, tuple[str, Tone]] = {
        CampaignAnswer.YES: (_("owed time: {why}"), "good"),
        CampaignAnswer.NO: (_("not in the programme: {why}"), ""),
        CampaignAnswer.UNKNOWN: (_("cannot be told yet: {why}"), "warn"),
        CampaignAnswer.OVER: (_("over: {why}"), "warn"),
        CampaignAnswer.DONE: (_("done: {why}"), "good"),
    }
    text, tone = words[verdict.answer]
    return Toned(text.format(why="; ".join(verdict.reasons)), tone)


def offer(view: CertificateView, now: datetime) -> Toned | None:
    """What the CA last said of an offer, with the age of that; None where there is nobody to ask and nothing was heard."""
    if view.offer is None or view.offer_checked_at is None:
        if view.authority is None or not view.authority.offers_url:
            return None
        return Toned(_("not asked yet: safetok status --refresh"), "dim")
    ago = age(view.offer_checked_at, now)
    if view.refused == "contract_over":
        return Toned(_("refused (asked {ago}): the contract is over").format(ago=ago), "warn")
    if view.refused:
        return Toned(_("held back (asked {ago}): the dossier (on paper) is not complete").format(ago=ago), "warn")
    if view.offer.exists:
        return Toned(_("there is one (asked {ago}); see it with the PIN: safetok renew").format(ago=ago), "good")
    return Toned(_("none (asked {ago})").format(ago=ago))


def revocation(view: CertificateView, now: datetime) -> Toned:
    """What was last heard of its revocation, with the age of that; never `good` where nothing was heard."""
    known = view.revocation
    if known is None:
        return Toned(_("not checked yet: safetok status --refresh"), "dim")
    ago = age(known.checked_at, now)
    since = show_date(known.since) if known.since else "?"
    if known.answer is RevocationAnswer.GOOD:
        return Toned(_("not revoked (checked {ago})").format(ago=ago))
    if known.answer is RevocationAnswer.UNKNOWN:
        text = _("could not be checked ({why}), {ago}: do not take it as good")
        return Toned(text.format(why=known.reason or "?", ago=ago), "warn")
    if known.answer is RevocationAnswer.SUSPENDED:
        return Toned(_("SUSPENDED since {day} (checked {ago})").format(day=since, ago=ago), "bad")
    return Toned(_("REVOKED on {day} (checked {ago})").format(day=since, ago=ago), "bad")


def mst(code: str | None) -> Toned:
    """The tax code and whether its check digit holds."""
    if not code:
        return Toned(_("none in the certificate"), "warn")
    from safetok.domain.mst import verdict

    words: dict[str, tuple[str, Tone]] = {
        "valid": (_("{mst} (check digit right)"), ""),
        "bad_check_digit": (_("{mst} (check digit WRONG)"), "bad"),
        "bad_length": (_("{mst} (wrong length)"), "bad"),
        "no_check_digit": (_("{mst} (personal number, no check digit)"), ""),
    }
    text, tone = words[verdict(code)]
    return Toned(text.format(mst=code), tone)


def mst_short(code: str | None) -> Toned:
    """The tax code alone, marked where its check digit fails."""
    if not code:
        return Toned("")
    from safetok.domain.mst import verdict

    bad = verdict(code) in {"bad_check_digit", "bad_length"}
    return Toned(_("{mst} (WRONG)").format(mst=code), "bad") if bad else Toned(code)


def key_word(view: CertificateView) -> Toned:
    """Whether the private key is there, in a word."""
    words: dict[KeyPresence | None, Toned] = {
        KeyPresence.PRESENT: Toned(_("present")),
        KeyPresence.ABSENT: Toned(_("ABSENT"), "bad"),
        KeyPresence.UNKNOWN: Toned("?", "dim"),
    }
    return words.get(view.key, Toned(""))


def campaign_word(view: CertificateView) -> Toned:
    """The programme's verdict in a word or two."""
    if view.in_progress:
        return Toned(_("not finished"), "warn")
    words = {
        CampaignAnswer.YES: Toned(_("owed"), "good"),
        CampaignAnswer.NO: Toned(_("not owed")),
        CampaignAnswer.UNKNOWN: Toned(_("not known yet"), "warn"),
        CampaignAnswer.OVER: Toned(_("contract over"), "warn"),
        CampaignAnswer.DONE: Toned(_("done already")),
    }
    return words[view.campaign.answer]


def contract(view: CertificateView) -> str | None:
    """The contract end where it is known."""
    return show_day(view.contract_end) if view.contract_end else None


def instant(moment: datetime | None) -> str:
    """An instant in Vietnamese time; empty for None."""
    return show_instant(moment) if moment else ""
