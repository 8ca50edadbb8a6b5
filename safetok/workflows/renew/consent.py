"""What a person is told and asked before anything is spent: notes, PIN, accept, details, and the contract end by value."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from safetok.domain.certificates import Certificate
from safetok.domain.offers import PrivateOffer
from safetok.domain.times import last_usable_day, parse_day, show_date, show_day, show_instant
from safetok.domain.tokens import Kind
from safetok.errors import PersonNeeded, UsageError
from safetok.locale import _
from safetok.workflows.renew.eligibility import Eligible, end_differs
from safetok.workflows.renew.request import RenewRequest, shortfall

if TYPE_CHECKING:
    from safetok.workflows.context import Context


class Declined(Exception):
    """The person said no: the renewal ends DECLINED, which is 0."""


def show_notes(context: Context, eligible: Eligible, request: RenewRequest) -> None:
    """The notice's three notes and what to sign first, on stderr also with --yes; then whether the person is ready."""
    from safetok.domain.notices import before_renewal
    from safetok.knowledge import load

    say = context.prompter.say
    if eligible.offered:
        say(
            _("There is a top-up offer for {name}. The contract's end is shown after the PIN and Accept.").format(
                name=eligible.name
            )
        )
    say("")
    expired = eligible.certificate.not_after < context.now()
    for line in before_renewal(
        load.notices(),
        v1=token_kind(context, eligible) is Kind.V1,
        safe_ca=eligible.authority.name == "safe-ca",
        expired=expired,
    ):
        say(line)
    say("")
    if expired:
        say(
            _(
                "The certificate expired on {day}. A top-up request can still be sent; {ca} decides. "
                "Until it is done, do not sign with this certificate."
            ).format(day=show_date(eligible.certificate.not_after), ca=eligible.authority.title)
        )
    if request.yes or context.dry_run:
        return
    if not context.prompter.interactive:
        raise PersonNeeded(
            _("Nobody can be asked whether to go on."),
            code="confirmation_required",
            hint=_("Add --yes and --confirm-contract-end DATE."),
            token=eligible.serial,
        )
    if not context.prompter.confirm(_("Ready?"), default=False):
        raise Declined


def token_kind(context: Context, eligible: Eligible) -> Kind:
    """V1, V2 or UNKNOWN by the rules and by what the person said of this token."""
    from safetok.domain.kinds import decide
    from safetok.knowledge import load
    from safetok.store.inventory import Inventory

    info = eligible.chosen.token.info
    rules = (*context.settings.kind_rules, *load.kind_rules())
    return decide(info, rules, Inventory(context.database).kind_of(info.serial))[0]


def accept(context: Context, request: RenewRequest) -> None:
    """The notice's `Chấp nhận`, after the PIN."""
    if request.yes:
        return
    if not context.prompter.confirm(_("Accept the top-up?"), default=False):
        raise Declined


def weigh(
    context: Context, eligible: Eligible, offer: PrivateOffer, issuers: Sequence[Certificate], request: RenewRequest
) -> None:
    """An offer whose end is not the contract's (or an issuing certificate's that ends before it), or for another key, is not what
    the second confirmation confirms. A person is told and may go on; nobody's run stops. One that is over as it comes could never
    be used. Raises PersonNeeded (`offer_differs`, `new_key_needed`, `offer_expired`).
    """
    if offer.expires <= context.now():
        raise PersonNeeded(
            _("By this computer's clock the offer of {ca} was over before it came ({when}). Nothing was done.").format(
                ca=eligible.authority.title, when=show_instant(offer.expires)
            ),
            code="offer_expired",
            hint=_("Check the date, time and time zone of this computer, then try again."),
            token=eligible.serial,
        )
    if not offer.same_key and not request.new_key:
        raise PersonNeeded(
            _("{ca} offers a certificate for a new key only.").format(ca=eligible.authority.title),
            code="new_key_needed",
            hint=_("Nothing was done. Make a new key on the token: safetok renew --new-key"),
            token=eligible.serial,
            data={"authority": eligible.authority.name},
        )
    last = last_usable_day(offer.new_not_after)
    if last == offer.contract_end:
        return
    if last < offer.contract_end:
        wanted = request.min_not_after is not None and offer.new_not_after >= request.min_not_after
        if _with_its_issuer(offer.new_not_after, issuers) or wanted or context.prompter.interactive:
            return  # the days that are missing are shown with the details
    raise PersonNeeded(
        _("{ca} offers a certificate to {new}, but the contract runs to {contract}. Nothing was done.").format(
            ca=eligible.authority.title, new=show_day(last), contract=show_day(offer.contract_end)
        ),
        code="offer_differs",
        hint=_("Ask {ca}: {contact}").format(
            ca=eligible.authority.title, contact=eligible.authority.contacts.hotline or "?"
        ),
        token=eligible.serial,
        data={
            "contract_end": offer.contract_end.isoformat(),
            "old_serial": eligible.certificate.serial,
            "authority": eligible.authority.name,
        },
    )


def _with_its_issuer(not_after: datetime, issuers: Sequence[Certificate]) -> bool:
    return last_usable_day(not_after) in {last_usable_day(issuer.not_after) for issuer in issuers}


def show_certificate(context: Context, eligible: Eligible) -> None:
    """Whose certificate on which token is about to be topped up, a line each."""
    say, old = context.prompter.say, eligible.certificate
    say("")
    say(_("Company: {name}").format(name=old.subject_name))
    say(f"MST: {old.mst or '?'}")
    say(f"Token ID: {eligible.serial}")
    say(
        _("Old serial: {serial}, valid {start} to {end}").format(
            serial=old.serial, start=show_date(old.not_before), end=show_date(old.not_after)
        )
    )


def show_ends(
    context: Context, eligible: Eligible, issuers: Sequence[Certificate], *, contract_end: date, not_after: datetime
) -> None:
    """What the person confirms with the contract's end: the new end, the days gained, those that are missing."""
    say, old = context.prompter.say, eligible.certificate
    say(_("Contract's end: {day}").format(day=show_day(contract_end)))
    new_day = last_usable_day(not_after)
    line = _("New end: {day}") if eligible.offered else _("New end (requested; the CA decides): {day}")
    say(line.format(day=show_day(new_day)))
    say(_("Days gained: {n}").format(n=(new_day - last_usable_day(old.not_after)).days))
    if missing := shortfall(contract_end, not_after):
        text = (
            _(
                "The contract runs to {contract}; the new certificate only to {new}, {n} days short, because the "
                "certificate of {ca} ends that day. About the rest: ask {contact}."
            )
            if _with_its_issuer(not_after, issuers)
            else _(
                "The contract runs to {contract}; {ca} offers a certificate only to {new}, {n} days short. About the rest: ask "
                "{contact}."
            )
        )
        context.prompter.warn(
            text.format(
                contract=show_day(contract_end),
                new=show_day(new_day),
                n=missing,
                ca=eligible.authority.title,
                contact=eligible.authority.contacts.hotline or eligible.authority.title,
            )
        )


def confirm_contract_end(
    context: Context, eligible: Eligible, request: RenewRequest, offered: date | None
) -> tuple[date, str]:
    """The second confirmation, by value: what the offer says, else what was stated, must be repeated.

    Returns the day and whose it is (`offer` or `user`). Raises PersonNeeded (11): `contract_end_differs`,
    `confirmation_required` (its data carries the contract end), `contract_end_unknown`; Declined on an empty line.
    """
    if offered is not None and request.contract_end is not None and offered != request.contract_end:
        raise end_differs(eligible.chosen, eligible.authority, request.contract_end, offered, ca_says=True)
    expected = offered or eligible.contract_end
    if expected is None:
        if request.confirm_contract_end is not None or not context.prompter.interactive:
            raise _unknown(eligible)  # a confirmation never supplies what is to be confirmed
        return _typed(context, eligible, None, ca_says=False), "user"
    if request.confirm_contract_end is not None:
        if request.confirm_contract_end != expected:
            raise end_differs(
                eligible.chosen, eligible.authority, request.confirm_contract_end, expected, ca_says=offered is not None
            )
        return expected, "offer" if offered else "user"
    if not context.prompter.interactive:
        raise PersonNeeded(
            _("The contract's end must be confirmed: {day}. Nothing was done.").format(day=show_day(expected)),
            code="confirmation_required",
            hint=_("Compare it with the contract, then add --confirm-contract-end {day}").format(
                day=expected.isoformat()
            ),
            token=eligible.serial,
            data={"contract_end": expected.isoformat(), "old_serial": eligible.certificate.serial},
        )
    return _typed(context, eligible, expected, ca_says=offered is not None), "offer" if offered else "user"


def _typed(context: Context, eligible: Eligible, expected: date | None, *, ca_says: bool) -> date:
    question = _(
        "[ ] We confirm. Type the contract's end (dd/mm/yyyy) to Confirm the certificate's information, empty Enter to stop: "
    )
    for _attempt in range(3):
        text = context.prompter.line(question)
        if not text:
            raise Declined
        day = parse_day(text)
        if day is None:
            context.prompter.warn(_("{text} is not a day. Write it as 31/12/2027.").format(text=text))
            continue
        if expected is not None and day != expected:
            raise end_differs(eligible.chosen, eligible.authority, day, expected, ca_says=ca_says)
        return day
    raise UsageError(
        _("No day was given. Nothing was done."),
        code="bad_day",
        hint=_("Read the contract, then run it again."),
        token=eligible.serial,
    )


def _unknown(eligible: Eligible) -> PersonNeeded:
    return PersonNeeded(
        _("The contract's end is not known: --confirm-contract-end only confirms one that was stated."),
        code="contract_end_unknown",
        hint=_("Read the contract and add --contract-end DATE."),
        token=eligible.serial,
        data={"old_serial": eligible.certificate.serial, "contract_end": None},
    )
