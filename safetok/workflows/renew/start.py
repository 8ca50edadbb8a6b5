"""`safetok renew`: choose, check, ask, and then carry on to the end."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from safetok.domain import certificates
from safetok.domain.renewal import Hold, Renewal, State
from safetok.domain.times import show_date, show_instant
from safetok.domain.tokens import KeyPresence
from safetok.errors import PersonNeeded, SafetokError
from safetok.locale import _
from safetok.workflows.context import free_space
from safetok.workflows.pins import log_in
from safetok.workflows.pulled_out import no_token_once_pulled_out
from safetok.workflows.renew import consent
from safetok.workflows.renew.begun_with import kept
from safetok.workflows.renew.choose import Chosen, choose, unfinished_of
from safetok.workflows.renew.consent import Declined
from safetok.workflows.renew.eligibility import Eligible, NothingDue, assess, reaching, requested_end
from safetok.workflows.renew.engine import carry_on
from safetok.workflows.renew.ready import fit_to_write, nothing_meanwhile, reachable
from safetok.workflows.renew.request import RenewRequest, RenewResult, result_of
from safetok.workflows.renew.run import Run
from safetok.workflows.renew.unbegun import known_so_far, nothing_due, who_helps, would_carry_on, would_renew

if TYPE_CHECKING:
    from safetok.domain.offers import PrivateOffer
    from safetok.store.journal import Journal
    from safetok.tokens.tokens import Session, Tokens
    from safetok.workflows.context import Context


def renew(context: Context, request: RenewRequest) -> RenewResult:
    """One token's certificate, from the offer to the open registrations. A token with an unfinished renewal continues that one.

    Raises every error of the contract with scripts; see `engine.carry_on` and the steps of `assess` and `consent`.
    """
    with context.tokens() as tokens:
        while True:
            result = _once(context, tokens, request)
            if result is not None and result.state != State.ABANDONED.value:
                return result  # else nothing is left of an earlier one, and the renewal that was asked for is still to come


def _once(context: Context, tokens: Tokens, request: RenewRequest) -> RenewResult | None:
    """One look and what follows from it. None where the offer of a renewal under way is over and a person is there to be asked
    anew.
    """
    from safetok.store.inventory import Inventory
    from safetok.workflows.check import after_renewal

    reading = tokens.read(session_follows=True, meanwhile=load_ahead)
    if not context.dry_run:
        Inventory(context.database).record(reading, context.now())
    chosen = choose(context, reading, serial=request.serial, cert=request.cert, mst=request.mst)
    try:
        with no_token_once_pulled_out():
            result = renew_chosen(context, tokens, chosen, request)
    except SafetokError as error:
        if error.code == "offer_expired" and error.data.get("renewal_id") and context.prompter.interactive:
            context.prompter.warn(error.message)
            return None
        error.token = error.token or chosen.token.info.serial
        error.data = {**known_so_far(chosen, request).data(), **who_helps(context, chosen, error), **error.data}
        raise
    after_renewal(context, result)
    return result


def load_ahead() -> None:
    """Import what every renewal begins with, in time that would else be waited through: a quarter of what one token takes."""
    from safetok.trust import revocation  # noqa: F401


def renew_chosen(context: Context, tokens: Tokens, chosen: Chosen, request: RenewRequest) -> RenewResult:
    """The same with tokens that are open and a certificate that is chosen. Raises as `renew` does."""
    from safetok.store.journal import Journal

    journal = Journal(context.database)
    unfinished = unfinished_of(context, chosen.token.info.serial, chosen.certificate)
    lost = None
    if unfinished is not None and request.new_request:
        lost = _lost(unfinished)
    elif unfinished is not None and context.dry_run:
        return would_carry_on(unfinished, kept(unfinished, request))
    elif unfinished is not None:
        from safetok.workflows.history import state_word

        context.prompter.say(
            _("A renewal of this token is unfinished, carrying on with {id}: {state}.").format(
                id=unfinished.id, state=state_word(unfinished.state, unfinished.route)
            )
        )
        return resume_one(context, unfinished, request, tokens)
    if (adopted := _adoption(context, chosen, request)) is not None:
        _give_up(context, journal, lost)
        return adopted
    eligible = assess(context, chosen, request)
    if isinstance(eligible, NothingDue):
        _give_up(context, journal, lost)
        return nothing_due(eligible)
    return _begin(context, tokens, journal, eligible, request, lost=lost)


def _begin(
    context: Context,
    tokens: Tokens,
    journal: Journal,
    eligible: Eligible,
    request: RenewRequest,
    *,
    lost: Renewal | None = None,
) -> RenewResult:
    if eligible.chosen.stored.key is KeyPresence.ABSENT:
        raise PersonNeeded(
            _("The key of this certificate is not on the token: it cannot be renewed here."),
            code="key_absent",
            hint=_("Plug in the token that holds the key, or ask {ca}.").format(ca=eligible.authority.title),
            token=eligible.serial,
            data={"authority": eligible.authority.name},
        )
    try:
        consent.show_notes(context, eligible, request)
        if not request.ca_answered:
            reachable(context, eligible)
        free_space(context)
        if context.dry_run:
            return would_renew(eligible)
        if not eligible.offered and not context.prompter.interactive:
            consent.confirm_contract_end(context, eligible, request, None)
        with tokens.session(eligible.serial) as session:
            nothing_meanwhile(context, eligible.chosen, lost=lost)
            fit_to_write(session, eligible.authority)
            log_in(context, session, request.pin, name=eligible.name, authority=eligible.authority)
            run = _confirmed(
                context, tokens, journal=journal, eligible=eligible, request=request, session=session, lost=lost
            )
            return nothing_due(run) if isinstance(run, NothingDue) else ended(context, carry_on(run))
    except Declined:
        return RenewResult(
            token=eligible.serial,
            state=State.DECLINED.value,
            name=eligible.name,
            old_serial=eligible.certificate.serial,
            contract_end=eligible.contract_end,
            reasons=(_("Stopped as you asked. Nothing was done."),),
        )


def _confirmed(
    context: Context,
    tokens: Tokens,
    *,
    journal: Journal,
    eligible: Eligible,
    request: RenewRequest,
    session: Session,
    lost: Renewal | None,
) -> Run | NothingDue:
    """Accept, the private offer, details, the second confirmation; then the row, from CONFIRMED on. NothingDue where the end that
    the person typed is reached already.
    """
    from safetok.store.inventory import Inventory

    consent.accept(context, request)
    offer = None
    if eligible.offered:
        from safetok.workflows.renew.offered import private_offer

        offer = private_offer(context, eligible, session)
    run = Run(
        context=context,
        journal=journal,
        tokens=tokens,
        renewal=_planned(context, eligible, request),
        authority=eligible.authority,
        pin=request.pin,
        kit=request.kit,
    )
    run.lend(session)
    run.old = certificates.remember(eligible.certificate)  # what the row keeps of it, read already
    if offer is not None:
        consent.weigh(context, eligible, offer, run.issuers, request)
    consent.show_certificate(context, eligible)
    known = offer.contract_end if offer else eligible.contract_end
    if known is not None:
        _show_ends(run, eligible, known, offer)
    day, by = consent.confirm_contract_end(context, eligible, request, offer.contract_end if offer else None)
    if known is None:  # what was typed is judged as what is stated beforehand
        if (reached := reaching(context, eligible.chosen, eligible.authority, day)) is not None:
            return reached
        _show_ends(run, eligible, day, offer)
    not_after = _new_end(run, day, offer)
    run.renewal = replace(
        run.renewal,
        state=State.CONFIRMED,
        offer_id=offer.offer_id if offer else "",
        contract_number=offer.contract_number if offer else "",
        contract_end=day,
        contract_end_by="offer" if by == "offer" else "user",
        requested_not_after=not_after,
        offer_expires=offer.expires if offer else None,
    )
    _worth_asking(run)
    with context.database.transaction():
        _give_up(context, journal, lost)
        run.renewal = journal.create(run.renewal)
        Inventory(context.database).set_contract_end(eligible.certificate.sha256, day, context.now())
    return run


def _new_end(run: Run, day: date, offer: PrivateOffer | None) -> datetime:
    """What is asked for: the offer's end; without offers the contract's, not beyond the issuing CA's own."""
    if offer is not None:
        return offer.new_not_after
    now = run.context.now()
    return requested_end(day, max((c.not_after for c in run.issuers if c.not_before <= now), default=None))


def _show_ends(run: Run, eligible: Eligible, day: date, offer: PrivateOffer | None) -> None:
    consent.show_ends(run.context, eligible, run.issuers, contract_end=day, not_after=_new_end(run, day, offer))


def _worth_asking(run: Run) -> None:
    """Raise PersonNeeded where the end that is asked for gains nothing (`nothing_gained`), or where it, and nothing else would be
    taken, is too early (`below_floor`).
    """
    from safetok.workflows.renew.sending import validity_of

    renewal, authority = run.renewal, run.authority
    floor, wanted = renewal.min_not_after, renewal.requested_not_after
    assert wanted is not None
    if wanted <= run.old.not_after:
        raise PersonNeeded(
            _("The new certificate would end at {new}, no later than the one there is. Nothing was done.").format(
                new=show_instant(wanted)
            ),
            code="nothing_gained",
            hint=_("Ask {ca}: {contact}").format(ca=authority.title, contact=authority.contacts.hotline or "?"),
            token=renewal.token_serial,
            data={"authority": authority.name},
        )
    if floor is None or wanted >= floor or validity_of(run) != "exact":
        return
    raise PersonNeeded(
        _(
            "The new certificate would end at {new}, before the earliest end asked for ({floor}). Nothing was done."
        ).format(new=show_instant(wanted), floor=show_instant(floor)),
        code="below_floor",
        hint=_("Ask {ca}, or name an earlier day with --min-not-after.").format(ca=authority.title),
        token=renewal.token_serial,
        data={"authority": authority.name},
    )


def _planned(context: Context, eligible: Eligible, request: RenewRequest) -> Renewal:
    now = context.now()
    identity = context.random(4).hex()
    old_key = eligible.chosen.stored.cka_id
    return Renewal(
        id=identity,
        token_serial=eligible.serial,
        authority=eligible.authority.name,
        state=State.PLANNED,
        created_at=now,
        updated_at=now,
        key_plan="new" if request.new_key else "same",
        old_certificate=eligible.certificate.der,
        old_serial=eligible.certificate.serial,
        mst=eligible.certificate.mst,
        min_not_after=request.min_not_after,
        key_id=context.random(20) if request.new_key else old_key,
        key_label=f"safetok {identity}",
    )


def run_of(context: Context, renewal: Renewal, request: RenewRequest, tokens: Tokens | None = None) -> Run:
    """What carries an unfinished renewal on. Raises PersonNeeded when its CA is no longer in the settings."""
    from safetok.store.journal import Journal

    authority = context.settings.authorities.get(renewal.authority)
    if authority is None:
        raise PersonNeeded(
            _("The settings no longer name {ca}, whose renewal {id} is unfinished.").format(
                ca=renewal.authority, id=renewal.id
            ),
            code="authority_missing",
            hint=_("Name it again in {file}, then run: safetok renew --resume").format(
                file=context.settings.home.settings
            ),
            token=renewal.token_serial,
        )
    return Run(
        context=context,
        journal=Journal(context.database),
        tokens=tokens,
        renewal=renewal,
        authority=authority,
        pin=request.pin,
        kit=request.kit,
    )


def resume_one(context: Context, renewal: Renewal, request: RenewRequest, tokens: Tokens | None = None) -> RenewResult:
    """Carry one unfinished renewal on."""
    if told := kept(renewal, request):
        context.prompter.warn(told)
    return ended(context, carry_on(run_of(context, renewal, request, tokens)))


def ended(context: Context, renewal: Renewal) -> RenewResult:
    """The result, with the number of agencies that wait for a person."""
    from safetok.domain.agencies import RegistrationState
    from safetok.store.registrations import Registrations

    new = hashlib.sha256(renewal.certificate).hexdigest()
    return result_of(renewal, agencies_open=Registrations(context.database).count(new, RegistrationState.OPEN))


def _lost(renewal: Renewal) -> Renewal:
    """--new-request: the renewal whose answer is lost for good. Raises PersonNeeded (`not_lost`) for any other."""
    if renewal.hold is not Hold.ANSWER_LOST:
        from safetok.workflows.history import state_word

        raise PersonNeeded(
            _("--new-request is only for a renewal whose answer was lost. This one: {state}.").format(
                state=state_word(renewal.state, renewal.route)
            ),
            code="not_lost",
            hint=_("Carry it on: safetok renew --resume"),
            token=renewal.token_serial,
        )
    return renewal


def _give_up(context: Context, journal: Journal, lost: Renewal | None) -> None:
    """It makes room for another, in the moment when there is another. The doubt stays in its row, and a key made for it on the
    token: the CA may have issued a certificate for that key.
    """
    if lost is None or context.dry_run:
        return
    journal.advance(
        lost,
        State.ABANDONED,
        now=context.now(),
        hold=None,
        cleaned=True,
        reason=_("its answer was lost; a new request was asked for"),
    )


def _adoption(context: Context, chosen: Chosen, request: RenewRequest) -> RenewResult | None:
    """A new certificate that came by other means: its registrations are opened, with the person's yes."""
    from safetok.workflows import adopt

    found = next(iter(adopt.appeared(context, only=chosen.certificate.sha256)), None)
    if found is None:
        return None
    certificate = chosen.certificate
    opened = request.yes and not context.dry_run and found.replaced_token is None  # another token is asked about
    if not opened and not context.dry_run and context.prompter.interactive:
        opened = context.prompter.confirm(
            _(
                "New certificate of {name} seen: serial {old} -> {new}, valid to {day}. Open the list of agencies to update?"
            ).format(
                name=certificate.subject_name,
                old=found.old.serial,
                new=certificate.serial,
                day=show_date(certificate.not_after),
            ),
            default=True,
        )
    count = adopt.adopt(context, found) if opened else 0
    return RenewResult(
        token=chosen.token.info.serial,
        state="ADOPTED" if opened else "NOTHING_DUE",
        name=certificate.subject_name,
        old_serial=found.old.serial,
        new_serial=certificate.serial,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        agencies_open=count,
        reasons=() if opened else (_("It has been topped up already. Take it over with: safetok certs adopt"),),
    )
