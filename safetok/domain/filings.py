"""Which certificate to sign with at an agency today, and until when to update for a filing that is due."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from safetok.domain.acceptance import Acceptance, accepted_from, latest_update
from safetok.domain.agencies import Over, Registration, over, standing
from safetok.domain.certificates import Certificate
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.times import show_date, show_instant
from safetok.domain.working_days import WorkingCalendar
from safetok.locale import _
from safetok.records import dataclass

SignWith = Literal["new", "old", "unchecked", "neither", "unused"]
Answer = Literal["ready", "waiting", "in_time", "too_late", "unused", "expired", "revoked"]
_CLOCKS = timedelta(minutes=5)  # those of a CA and of this computer may differ by so much
_BAD = frozenset({RevocationAnswer.REVOKED, RevocationAnswer.SUSPENDED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """What to sign with at one agency now, and why. `unchecked`: the old one, once its revocation has been checked."""

    answer: SignWith
    why: str


def parts_data(by_part: Mapping[str, Signing]) -> list[dict[str, str]]:
    """What to sign with at an agency's services that are updated before the rest of it, as scripts read it."""
    return [{"part": part, "sign_with": one.answer, "sign_why": one.why} for part, one in by_part.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """How one agency stands to a filing due at `need`.

    `latest` is the last moment to update there (None where updating is done or comes too late), `accepted` when the new certificate
    is accepted if updated now, or was, `old_first` that the filing is made with the old certificate before the update.
    """

    need: datetime
    answer: Answer
    latest: datetime | None = None
    accepted: datetime | None = None
    old_first: bool = False


def sign_today(
    registration: Registration,
    *,
    now: datetime,
    new: Certificate | None,
    old: Certificate | None,
    new_revocation: Revocation | None = None,
    old_revocation: Revocation | None = None,
    came: datetime | None = None,
) -> Signing:
    """By the timer, the certificates' dates and what was last heard of their revocation; nobody is asked.

    A CA may revoke the old certificate as it issues the new one: that it was good before the new one `came` says nothing, nor does
    a list, or an answer prepared beforehand, that is older than that.
    """
    where = standing(registration, now)
    if where == "unused":
        return Signing(answer="unused", why="")
    ended = over(new, new_revocation, now)
    if where in {"open", "rejected"}:
        found = _old(now, old, old_revocation, came or registration.opened_at)
        return _new(where, now, new, new_revocation) if ended and found.answer == "neither" else found
    if where == "waiting" and not ended:
        until = show_instant(registration.until) if registration.until else ""
        return Signing(answer="neither", why=_("the new one from {until}").format(until=until))
    return _new(where, now, new, new_revocation)


def _old(now: datetime, old: Certificate | None, revocation: Revocation | None, came: datetime) -> Signing:
    """The agency knows only the old one."""
    if old is None:
        return Signing(answer="neither", why=_("the old one is not known to safetok, the new one not to the agency"))
    if now >= old.not_after:
        return Signing(answer="neither", why=_("the old one expired on {day}").format(day=show_date(old.not_after)))
    if revocation is not None and revocation.answer in _BAD:
        return Signing(answer="neither", why=_bad(revocation))
    if revocation is None:
        why = _("its revocation was never checked: safetok certs check {serial}").format(serial=old.serial)
        return Signing(answer="unchecked", why=why)
    if why := _not_since(came, old, revocation):
        return Signing(answer="unchecked", why=why)
    return Signing(
        answer="old",
        why=_("until {day}; not revoked as of {checked}").format(
            day=show_date(old.not_after), checked=show_instant(revocation.checked_at)
        ),
    )


def _not_since(came: datetime, old: Certificate, heard: Revocation) -> str:
    """Why what was heard of the old one says nothing of the time since the new one came; empty where it does."""
    if heard.answer is RevocationAnswer.UNKNOWN:
        return _("its revocation could not be checked: do not take it as good")
    if heard.checked_at < came:
        return _("its revocation was not checked since the new one came: safetok certs check {serial}").format(
            serial=old.serial
        )
    if heard.produced_at is not None and heard.produced_at + _CLOCKS < came:
        return _(
            "what its CA says of revocations is of {made}, before the new one came; later again: safetok certs check {serial}"
        ).format(made=show_instant(heard.produced_at), serial=old.serial)
    return ""


def _new(where: str, now: datetime, new: Certificate | None, revocation: Revocation | None) -> Signing:
    if new is not None and now < new.not_before:
        return Signing(
            answer="neither", why=_("the new one is valid from {at}").format(at=show_instant(new.not_before))
        )
    if new is not None and now >= new.not_after:
        return Signing(answer="neither", why=_("the new one expired on {day}").format(day=show_date(new.not_after)))
    if revocation is not None and revocation.answer in _BAD:
        return Signing(answer="neither", why=_bad(revocation))
    words = {
        "due_check": _("the wait is over: look there whether it was accepted"),
        "updated": _("no wait is stated"),
        "accepted": _("accepted"),
    }
    return Signing(answer="new", why=words[where])


def _bad(revocation: Revocation) -> str:
    since = show_date(revocation.since) if revocation.since else "?"
    if revocation.answer is RevocationAnswer.SUSPENDED:
        return _("SUSPENDED since {day}").format(day=since)
    return _("REVOKED on {day}").format(day=since)


def filing(
    registration: Registration,
    rule: Acceptance,
    calendar: WorkingCalendar,
    *,
    now: datetime,
    need: datetime,
    signing: Signing,
    ended: Over = "",
) -> Filing:
    """Whether the new certificate is accepted by `need`, and until when to update for it; not where it has `ended` by then."""
    where = standing(registration, now)
    if where == "unused":
        return Filing(need=need, answer="unused")
    if ended:
        return Filing(need=need, answer=ended)
    old = signing.answer in {"old", "unchecked"}
    if where in {"open", "rejected"}:
        latest = latest_update(rule, need, calendar)
        accepted = accepted_from(rule, now, calendar)
        if latest >= now.replace(microsecond=0):
            return Filing(need=need, answer="in_time", latest=latest, accepted=accepted)
        return Filing(need=need, answer="too_late", accepted=accepted, old_first=old)
    if where == "waiting" and registration.until is not None:
        in_time = registration.until <= need
        return Filing(need=need, answer="waiting" if in_time else "too_late", accepted=registration.until)
    return Filing(need=need, answer="ready", accepted=registration.until or registration.updated_at)
