"""A dossier step by step: begun for one of its cases, each step recorded, and what the CA itself says when asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from safetok.domain import dossier as papers
from safetok.domain.companies import plain_mst
from safetok.domain.dossier import Dossier, PathName, Record, Situation
from safetok.domain.times import show_day, vietnamese_day
from safetok.errors import PersonNeeded, UsageError
from safetok.locale import _
from safetok.workflows.dossier_choice import (
    authority_of_company,
    certificate_of,
    chosen,
    dossiers,
    fitting,
    named,
    no_dossier,
)
from safetok.workflows.dossier_view import View, view
from safetok.workflows.dossier_words import day_said
from safetok.workflows.known import Selection
from safetok.workflows.pulled_out import no_token_once_pulled_out

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.certificates import Certificate
    from safetok.domain.offers import DossierAnswer
    from safetok.store.inventory import Kept
    from safetok.workflows.context import Context
    from safetok.workflows.pins import PinSource

LONGEST = 200  # characters kept of a name or number


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
    Raises UsageError `no_dossier_procedure`, `bad_mst`, `dossier_exists`, `bad_path`; PersonNeeded when nobody can be asked.
    """
    certificate, token = certificate_of(context, selection)
    authority = authority_of_company(context, certificate)
    if authority is None or not authority.dossier_lookup:
        raise UsageError(
            _("{ca} states no dossier procedure; this one is LCS-CA's.").format(
                ca=authority.title if authority else certificate.issuer_name if certificate else "?"
            ),
            code="no_dossier_procedure",
        )
    mst = (certificate.mst if certificate else selection.mst) or ""
    store, serial = dossiers(context), certificate.serial if certificate else ""
    earlier = [one for one in store.list(mst=mst) if papers.is_about(one, plain_mst(mst), serial)]
    if not again and any(not one.finished for one in earlier):
        raise UsageError(
            _("A dossier of MST {mst} is open already.").format(mst=mst or "?"),
            code="dossier_exists",
            hint=_("See it: safetok dossier show. Begin it anew with --again."),
        )
    if certificate is None and not earlier:
        _plausible(mst)
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
        name=certificate.subject_name
        if certificate
        else name.strip()[:LONGEST] or _earlier_name(earlier) or plain_mst(mst),
        certificate=serial,
        token=token if path == "ordinary" else "",
        situation=case,
        path=path,
        several=several,
        started_at=context.now(),
        certificate_since=vietnamese_day(certificate.not_before) if certificate else None,
    )
    return replace(_current(context, store.start(found)), moved="start")


def _plausible(mst: str) -> None:
    """Raise UsageError `bad_mst` for a tax code that nobody has: what is kept under it would never meet the company's token."""
    from safetok.domain.mst import verdict

    judged = verdict(mst) if mst else ""
    if judged == "bad_length":
        raise UsageError(
            _("{mst} is no tax code.").format(mst=mst[:40]),
            code="bad_mst",
            hint=f"{_('A tax code has 10, 12 or 13 digits.')} {_('A spreadsheet takes zeros away from its beginning.')}",
        )
    if judged == "bad_check_digit":
        why = _("The check digit of this tax code is wrong: a slip of the pen?")
        raise UsageError(f"MST {mst}: {why}", code="bad_mst", hint=_("Nothing was begun."))


def _earlier_name(earlier: list[Dossier]) -> str:
    """What the company was called when a dossier of it was begun before."""
    return next((one.name for one in reversed(earlier) if one.mst and one.name != one.mst), "")


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

    From the activation on the new certificate is looked for in the inventory, and its agencies are opened. `lost`, which can only
    follow a token that was never activated, ends the dossier.
    Raises UsageError `no_dossier`, `wrong_step`, `bad_day`, `future_day`; SeveralTokens `several_dossiers`.
    """
    found = chosen(context, selection)
    if step not in {"said", "lost"} and step not in found.steps:
        raise UsageError(
            _("{step} is no step of this dossier.").format(step=step),
            code="wrong_step",
            hint=_("Its steps: {steps}.").format(steps=", ".join(found.steps)),
        )
    if step == "lost" and not found.not_activated:
        raise UsageError(
            _("Only a token that has come and was not activated can be lost to the 3 days."),
            code="wrong_step",
            hint=_("See: safetok dossier show. What the look-up page says is recorded with: safetok dossier record"),
        )
    now = context.now()
    came = found.record(step) if step == "token-received" and day is None else None
    when = came.day if came is not None else day_said(day, now)  # said once more, its coming stays where it was
    kept = Record(
        step=step, day=when, at=now, said={k: v.strip()[:LONGEST] for k, v in (said or {}).items() if v.strip()}
    )
    warnings = _warnings(found, kept)
    store = dossiers(context)
    store.record(found, kept, token=token.strip()[:LONGEST])
    after = store.get(found.id) or found
    shown = replace(_current(context, after), warnings=tuple(warnings), moved=step)
    return _opened(context, shown) if step in {"activated", "contract-received"} else shown


def undo(context: Context, selection: Selection) -> View:
    """Take the last record of a dossier back. Raises UsageError `nothing_to_undo`."""
    found, store = chosen(context, selection), dossiers(context)
    if store.undo(found) is None:
        raise UsageError(_("There is nothing to undo."), code="nothing_to_undo")
    return replace(_current(context, store.get(found.id) or found), moved="undo")


def show(context: Context, selection: Selection, pin: PinSource, *, ask: bool = True) -> View:
    """The dossier, or what can be said without one. Where the CA has an endpoint it is asked, which needs the PIN.

    For a token that is not activated no PIN is asked for.

    Raises UsageError `no_dossier` where there is nothing to show, and what `ca.dossier.ask` and `pins.log_in` raise.
    """
    found = chosen(context, selection) if fitting(context, selection) else None
    if found is not None:
        shown = _current(context, found)
    else:
        certificate, _token = certificate_of(context, selection)
        if certificate is None:
            raise no_dossier()
        shown = View(
            now=context.now(),
            dossier=None,
            authority=authority_of_company(context, certificate),
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
        with no_token_once_pulled_out(), tokens.session(there.token.info.serial, read_write=False) as session:
            log_in(context, session, pin, name=certificate.subject_name, authority=authority)
            return ask(
                context.http,
                authority,
                certificate,
                session.private_key(certificate.spki),
                now=context.now(),
                random=context.random,
            )


def _current(context: Context, found: Dossier) -> View:
    """The dossier as it stands, with the certificate that came with the new token, and how it is named beside others."""
    from safetok.domain.agencies import RegistrationState
    from safetok.store.registrations import Registrations

    shown = view(context, found)
    there = fitting(context, Selection())
    if len(there) > 1:
        shown = replace(shown, choice=named(found, there))
    kept = _arrived(context, found) if found.record("activated") is not None else None
    if kept is None:
        return shown
    rows = Registrations(context.database).list(certificate=kept.certificate.sha256)
    waiting = sum(row.state is RegistrationState.OPEN for row in rows)
    return replace(shown, new=kept.certificate, opened=waiting)


def _arrived(context: Context, found: Dossier) -> Kept | None:
    """The company's certificate that is newer than the dossier: on the token that came, where its Token ID is known, else of the
    same CA.
    """
    from safetok.store.inventory import Inventory
    from safetok.store.settings import authority_of

    if not found.mst:
        return None
    first = min(vietnamese_day(found.started_at), *(one.day for one in found.records)) - timedelta(days=1)
    for kept in Inventory(context.database).by_mst(found.mst):
        certificate = kept.certificate
        if (
            certificate.serial == found.certificate
            or vietnamese_day(certificate.not_before) < first
            or not kept.present
        ):
            continue
        authority = authority_of(certificate, context.settings)
        if kept.token_serial == found.token or (
            not found.token and authority is not None and authority.name == found.authority
        ):
            return kept
    return None


def _opened(context: Context, shown: View) -> View:
    """Open the agencies of the certificate that came with the new token; repeating it is harmless."""
    from safetok.workflows.adopt import open_agencies

    if shown.dossier is None or (kept := _arrived(context, shown.dossier)) is None:
        return shown
    return replace(shown, opened=open_agencies(context, kept.certificate, shown.certificate, kept.token_serial))


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
    came = found.record("token-received")
    if kept.step == "token-received" and came is not None:
        text = (
            _("Its coming was recorded already: {day}. Another day is given as: safetok dossier token-received DATE")
            if kept.day == came.day
            else _(
                "Its coming was recorded as {before}; the 3 days now count from {day}. A mistake? safetok dossier undo"
            )
        )
        warnings.append(text.format(day=show_day(kept.day), before=show_day(came.day)))
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
