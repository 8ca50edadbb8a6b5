"""A dossier step by step: which case it is, what comes next, what was recorded, and what the CA itself says when asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

from safetok.domain import dossier as papers
from safetok.domain.dossier import Dossier, PathName, Record, Situation, Urgency, Window
from safetok.domain.times import parse_day, show_day, vietnamese_day
from safetok.errors import CertificateRevoked, PersonNeeded, SafetokError, SeveralTokens, UsageError
from safetok.locale import _
from safetok.workflows import known
from safetok.workflows.agency_rules import working

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.certificates import Certificate
    from safetok.domain.offers import DossierAnswer
    from safetok.domain.working_days import WorkingCalendar
    from safetok.store.dossiers import Dossiers
    from safetok.workflows.context import Context
    from safetok.workflows.known import Selection
    from safetok.workflows.pins import PinSource

LCS = "lcs-ca"
LONGEST = 200  # characters kept of a name or number


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A dossier as it stands today. `answer` is the CA's own, where it was asked; `bad_days` are days ahead on which a token must
    not come, `good_day` the first good one after them; `opened` counts agencies that activation opened.
    """

    now: datetime
    dossier: Dossier | None
    authority: Authority | None
    window: Window | None = None
    urgency: Urgency = "waiting"
    certificate: Certificate | None = None
    answer: DossierAnswer | None = None
    bad_days: tuple[date, ...] = ()
    good_day: date | None = None
    new: Certificate | None = None
    opened: int = 0
    warnings: tuple[str, ...] = ()
    known_until: date | None = None
    moved: str = ""  # the step just recorded, "start" or "undo"

    @property
    def today(self) -> date:
        return vietnamese_day(self.now)

    @property
    def problems(self) -> tuple[SafetokError, ...]:
        """What the CA answered that a person must act on."""
        if self.answer is None or self.answer.state not in {"suspended", "revoked"}:
            return ()
        words = {
            "suspended": _("The CA says: the certificate is SUSPENDED. Do not sign with it."),
            "revoked": _("The CA says: the certificate is REVOKED. It can never be restored."),
        }
        return (CertificateRevoked(words[self.answer.state], code=f"certificate_{self.answer.state}"),)

    @property
    def lookup(self) -> str:
        """The page where a person looks the dossier up; empty where the CA names none."""
        return self.authority.dossier_lookup if self.authority else ""

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        found, window = self.dossier, self.window
        return {
            "dossier": None if found is None else dossier_data(found, self.urgency, window),
            "authority": self.authority.name if self.authority else None,
            "lookup": self.lookup or None,
            "answer": None
            if self.answer is None
            else {"state": self.answer.state, "since": self.answer.since, "missing": self.answer.missing},
            "bad_days": self.bad_days,
            "new_cert": self.new.serial if self.new else None,
            "agencies_open": self.opened,
            "warnings": self.warnings,
        }


def dossier_data(found: Dossier, urgency: Urgency, window: Window | None) -> dict[str, Any]:
    """One dossier for scripts."""
    return {
        "id": found.id or None,
        "authority": found.authority,
        "mst": found.mst or None,
        "name": found.name,
        "cert": found.certificate or None,
        "token": found.token or None,
        "case": found.situation,
        "path": found.path,
        "several_companies": found.several,
        "step": found.current,
        "not_activated": found.not_activated,
        "urgency": urgency,
        "steps": [{"step": one.step, "day": one.day, "said": one.said, "recorded_at": one.at} for one in found.records],
        "deadline": None
        if window is None
        else {
            "received": window.received,
            "literal_end": window.literal_end,
            "safe": window.safe,
            "legal_end": window.legal_end,
            "steer_by": window.steer_by,
            "days_off": window.off,
        },
    }


def start(
    context: Context,
    selection: Selection,
    *,
    case: Situation | None = None,
    path: PathName | None = None,
    several: bool | None = None,
    name: str = "",
    again: bool = False,
) -> View:
    """Begin a dossier: which case, and whether its representative stands for several companies, is asked where it is not said.

    A company that safetok has never seen is named with its MST (and `name`). Papers missing alone take the ordinary path, a
    suspended or revoked certificate the notice's plan to go on.
    Raises UsageError `no_dossier_procedure`, `dossier_exists`, `bad_path`; PersonNeeded when nobody can be asked.
    """
    certificate, token = _certificate(context, selection)
    authority = _authority(context, certificate)
    if authority is None or not authority.dossier_lookup:
        raise UsageError(
            _("{ca} states no dossier procedure; this one is LCS-CA's.").format(
                ca=authority.title if authority else certificate.issuer_name if certificate else "?"
            ),
            code="no_dossier_procedure",
        )
    mst = (certificate.mst if certificate else selection.mst) or ""
    store, serial = _store(context), certificate.serial if certificate else ""
    there = [one for one in store.list(mst=mst) if one.certificate == serial and not one.finished]
    if there and not again:
        raise UsageError(
            _("A dossier of MST {mst} is open already.").format(mst=mst or "?"),
            code="dossier_exists",
            hint=_("See it: safetok dossier show. Begin it anew with --again."),
        )
    case = case or _ask_case(context)
    path = path or ("ordinary" if case == "papers-missing" else "restoration")
    if path == "ordinary" and case != "papers-missing":
        raise UsageError(
            _("A suspended or revoked certificate takes LCS's plan to go on, not the ordinary path."), code="bad_path"
        )
    if several is None:
        several = context.prompter.interactive and context.prompter.confirm(
            _("Does the legal representative stand for several companies?"), default=False
        )
    found = Dossier(
        id=context.random(4).hex(),
        authority=authority.name,
        mst=mst,
        name=certificate.subject_name if certificate else name.strip()[:LONGEST] or mst,
        certificate=serial,
        token=token if path == "ordinary" else "",
        situation=case,
        path=path,
        several=several,
        started_at=context.now(),
        certificate_since=vietnamese_day(certificate.not_before) if certificate else None,
    )
    return replace(view(context, store.start(found)), moved="start")


def _ask_case(context: Context) -> Situation:
    if not context.prompter.interactive:
        raise PersonNeeded(
            _("Which case is it? Nobody can be asked."),
            code="case_needed",
            hint=_("Say it with --case papers-missing, suspended or revoked."),
        )
    options = [
        _("The PAPER dossier is missing or incomplete"),
        _("The certificate is suspended"),
        _("The certificate is revoked"),
    ]
    return papers.SITUATIONS[context.prompter.choose(_("Which case is it?"), options)]


def record(
    context: Context,
    step: str,
    selection: Selection,
    *,
    day: str | None = None,
    said: Mapping[str, str] | None = None,
    token: str = "",
) -> View:
    """Write down that a step happened on a day (today without one), and what was said of it.

    On activation the new certificate is looked for in the inventory and its agencies are opened.
    Raises UsageError `no_dossier`, `wrong_step`, `bad_day`, `future_day`; SeveralTokens `several_dossiers`.
    """
    found = chosen(context, selection)
    if step != "said" and step not in found.steps:
        raise UsageError(
            _("{step} is no step of this dossier.").format(step=step),
            code="wrong_step",
            hint=_("Its steps: {steps}.").format(steps=", ".join(found.steps)),
        )
    now = context.now()
    when = _day(day, now)
    kept = Record(
        step=step, day=when, at=now, said={k: v.strip()[:LONGEST] for k, v in (said or {}).items() if v.strip()}
    )
    warnings = _warnings(found, kept)
    store = _store(context)
    store.record(found, kept, token=token.strip()[:LONGEST])
    after = store.get(found.id) or found
    shown = replace(view(context, after), warnings=tuple(warnings), moved=step)
    return _activated(context, shown) if step == "activated" else shown


def known_case(text: str | None) -> Situation | None:
    """A case as it is named on the command line. Raises UsageError `bad_choice`."""
    found = next((one for one in papers.SITUATIONS if one == text), None)
    if text is not None and found is None:
        raise _bad_choice(text, papers.SITUATIONS)
    return found


def known_path(text: str | None) -> PathName | None:
    """A path as it is named on the command line. Raises UsageError `bad_choice`."""
    found = next((one for one in papers.PATHS if one == text), None)
    if text is not None and found is None:
        raise _bad_choice(text, tuple(papers.PATHS))
    return found


def said_state(text: str) -> str:
    """What a look-up page can say. Raises UsageError `bad_choice`."""
    choices = tuple(one for one in get_args(papers.Said) if one != "unknown")
    if text not in choices:
        raise _bad_choice(text, choices)
    return text


def upload_items(items: Sequence[str]) -> str:
    """The items uploaded, as they are kept; empty means all. Raises UsageError `bad_choice`."""
    for one in items:
        if one not in papers.ITEMS:
            raise _bad_choice(one, papers.ITEMS)
    return ",".join(dict.fromkeys(items))


def _bad_choice(text: str, choices: Sequence[str]) -> UsageError:
    return UsageError(
        _("{text} is none of these: {choices}.").format(text=text[:40], choices=", ".join(choices)), code="bad_choice"
    )


def undo(context: Context, selection: Selection) -> View:
    """Take the last record of a dossier back. Raises UsageError `nothing_to_undo`."""
    found, store = chosen(context, selection), _store(context)
    if store.undo(found) is None:
        raise UsageError(_("There is nothing to undo."), code="nothing_to_undo")
    return replace(view(context, store.get(found.id) or found), moved="undo")


def show(context: Context, selection: Selection, pin: PinSource, *, ask: bool = True) -> View:
    """The dossier, or what can be said without one. Where the CA has an endpoint it is asked, which needs the PIN.

    For a token that is not activated no PIN is asked for.

    Raises UsageError `no_dossier` where there is nothing to show, and what `ca.dossier.ask` and `pins.log_in` raise.
    """
    found = chosen(context, selection) if fitting(context, selection) else None
    if found is not None:
        shown = view(context, found)
    else:
        certificate, _token = _certificate(context, selection)
        if certificate is None:
            raise _no_dossier()
        shown = View(
            now=context.now(),
            dossier=None,
            authority=_authority(context, certificate),
            certificate=certificate,
        )
    if not ask or shown.authority is None or not shown.authority.offers_url:
        return shown
    if found is not None and (found.not_activated or shown.certificate is None):
        return shown
    assert shown.certificate is not None
    return replace(shown, answer=_asked(context, shown.authority, shown.certificate, pin))


def _asked(context: Context, authority: Authority, certificate: Certificate, pin: PinSource) -> DossierAnswer:
    """The CA's own answer, the question signed by the token."""
    from safetok.ca.dossier import ask
    from safetok.store.inventory import Inventory
    from safetok.workflows.pins import log_in
    from safetok.workflows.renew.choose import choose

    with context.tokens() as tokens:
        reading = tokens.read()
        Inventory(context.database).record(reading, context.now())
        there = choose(context, reading, serial=None, cert=certificate.serial, mst=None)
        with tokens.session(there.token.info.serial, read_write=False) as session:
            log_in(context, session, pin, name=certificate.subject_name, authority=authority)
            return ask(
                context.http,
                authority,
                certificate,
                session.private_key(certificate.spki),
                now=context.now(),
                random=context.random,
            )


def view(context: Context, found: Dossier) -> View:
    """A dossier as it stands today."""
    from safetok.store.inventory import Inventory

    now, calendar = context.now(), working(context)
    today = vietnamese_day(now)
    bad, good = _bad_days(found, today, calendar)
    inventory = Inventory(context.database)
    kept = inventory.by_serial(found.certificate) if found.certificate else ()
    return View(
        now=now,
        dossier=found,
        authority=context.settings.authorities.get(found.authority),
        window=papers.window_of(found, calendar),
        urgency=papers.urgency(found, calendar, today),
        certificate=kept[0].certificate if kept else None,
        bad_days=tuple(bad),
        good_day=good,
        known_until=calendar.known_until,
    )


def _bad_days(found: Dossier, today: date, calendar: WorkingCalendar) -> tuple[list[date], date | None]:
    """While a token is still to come: when it must not."""
    if "token-received" not in found.steps or found.record("token-received") is not None or found.finished:
        return [], None
    bad, good = papers.bad_arrivals(today, calendar)
    return bad, good if bad else None


def _activated(context: Context, shown: View) -> View:
    """Find the certificate that came with the new token, and open its agencies; repeating it is harmless."""
    from safetok.store.inventory import Inventory
    from safetok.workflows.adopt import open_agencies

    found = shown.dossier
    assert found is not None
    inventory = Inventory(context.database)
    company = [kept for kept in inventory.by_mst(found.mst) if kept.present] if found.mst else []
    fresh = [
        kept
        for kept in company
        if kept.certificate.serial != found.certificate
        and vietnamese_day(kept.certificate.not_before) >= vietnamese_day(found.started_at) - timedelta(days=1)
        and (not found.token or kept.token_serial == found.token)
    ]
    if not fresh:
        return shown
    new = fresh[0]
    opened = open_agencies(context, new.certificate, shown.certificate, new.token_serial)
    return replace(shown, new=new.certificate, opened=opened)


def chosen(context: Context, selection: Selection) -> Dossier:
    """The dossier meant: of those that fit the newest of each company, open ones before finished; a person chooses among several.

    Raises UsageError `no_dossier`, SeveralTokens `several_dossiers` when nobody can choose.
    """
    found = fitting(context, selection)
    if not found:
        raise _no_dossier()
    if len(found) == 1:
        return found[0]
    if context.prompter.interactive:
        question = _("{count} dossiers are open. Which one?").format(count=len(found))
        return found[context.prompter.choose(question, [f"{one.name} · MST {one.mst or '–'}" for one in found])]
    raise SeveralTokens(
        _("{count} dossiers are open, and none was chosen.").format(count=len(found)),
        code="several_dossiers",
        hint=_("Name one with --mst, --serial or --cert."),
        data={"dossiers": [{"mst": one.mst, "cert": one.certificate, "name": one.name} for one in found]},
    )


def fitting(context: Context, selection: Selection) -> list[Dossier]:
    """The newest of each company that fits: those open, else those finished."""
    newest = {
        (one.mst, one.certificate): one
        for one in _store(context).list(mst=selection.mst, certificate=selection.cert, token=selection.serial)
    }
    return [one for one in newest.values() if not one.finished] or list(newest.values())


def _no_dossier() -> UsageError:
    return UsageError(
        _("No dossier is open."),
        code="no_dossier",
        hint=_("Begin one: safetok dossier start (with --mst where the token is not at hand)."),
    )


def _certificate(context: Context, selection: Selection) -> tuple[Certificate | None, str]:
    """The company's certificate in use and its token; none for a company known by its tax code alone."""
    from safetok.domain.certificates import current
    from safetok.domain.companies import company_of
    from safetok.store.inventory import Inventory

    if (
        selection.mst
        and not selection.serial
        and not selection.cert
        and not Inventory(context.database).by_mst(selection.mst)
    ):
        return None, ""
    kept = known.kept(context, selection)
    companies: dict[str, list[Certificate]] = {}
    for one in kept:
        companies.setdefault(company_of(one.certificate), []).append(one.certificate)
    choices = [found for group in companies.values() if (found := current(group)) is not None]
    if selection.empty:  # only CAs that have a procedure come into question
        choices = [one for one in choices if (ca := _authority(context, one)) and ca.dossier_lookup]
    if not choices:
        if selection.empty:
            raise _no_dossier()
        return None, ""
    certificate = known.one_only(context, choices, data="companies")
    return certificate, next(one.token_serial for one in kept if one.certificate.sha256 == certificate.sha256)


def _authority(context: Context, certificate: Certificate | None) -> Authority | None:
    """A certificate's CA; the notice's where only a tax code is known."""
    if certificate is None:
        return context.settings.authorities.get(LCS)
    from safetok.store.settings import authority_of

    return authority_of(certificate, context.settings)


def _day(text: str | None, now: datetime) -> date:
    today = vietnamese_day(now)
    if text is None:
        return today
    day = parse_day(text) or _spoken_day(text, now)
    if day is None:
        raise UsageError(
            _("{text} is not a day safetok understands.").format(text=text[:40]),
            code="bad_day",
            hint=_("For instance 04/02/2027, 4/2, hôm qua."),
        )
    if day > today:
        raise UsageError(
            _("{day} has not come yet: give the day when it happened.").format(day=show_day(day)), code="future_day"
        )
    return day


def _spoken_day(text: str, now: datetime) -> date | None:
    """`4/2`, `hôm qua`, `T5`: as a moment's day."""
    from safetok.domain.moments import parse_at

    try:
        return vietnamese_day(parse_at(f"{text} 00:00", now))
    except UsageError:
        return None


def _warnings(found: Dossier, kept: Record) -> list[str]:
    from safetok.knowledge import load

    said, warnings = load.dossier_said(), []
    last = max((one.day for one in found.records if one.step in found.steps), default=kept.day)
    if kept.step in found.steps and kept.day < last:
        warnings.append(
            _("{day} is before a step recorded earlier ({last}). Taken as given; check it.").format(
                day=show_day(kept.day), last=show_day(last)
            )
        )
    by = kept.said.get("by", "")
    if kept.step == "payment-requested" and by and by.lower() not in {"zalo", said["mail"]}:
        warnings.append(
            _("{address} is not LCS's address ({mail}): call {hotline} BEFORE paying.").format(
                address=by, mail=said["mail"], hotline=said["call"]
            )
        )
    if kept.step == "sent":
        warnings.append(said["not_enough"])
    if kept.step == "uploaded" and found.several and found.record("called") is None:
        warnings.append(said["several"])
    return warnings


def _store(context: Context) -> Dossiers:
    from safetok.store.dossiers import Dossiers

    return Dossiers(context.database)
