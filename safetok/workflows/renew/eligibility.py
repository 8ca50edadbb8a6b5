"""May this certificate be renewed, and is anything owed? Nothing is spent here: no PIN, no POST, no write to the token."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from safetok.domain.authorities import Authority
from safetok.domain.campaign import CampaignAnswer, CampaignVerdict
from safetok.domain.certificates import Certificate
from safetok.domain.companies import company_of, other_person
from safetok.domain.times import end_of_day, last_usable_day, show_date, show_day, vietnamese_day
from safetok.errors import PersonNeeded, UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows.renew.believing import checkable
from safetok.workflows.renew.choose import Chosen
from safetok.workflows.renew.request import RenewRequest, shortfall

if TYPE_CHECKING:
    from safetok.workflows.context import Context


@dataclass(frozen=True, kw_only=True)
class Eligible:
    """A certificate that a request may be made for."""

    chosen: Chosen
    authority: Authority
    verdict: CampaignVerdict
    offered: bool  # the CA has an offer whose contents need the token's proof
    contract_end: date | None  # as the user stated it, now or earlier

    @property
    def certificate(self) -> Certificate:
        return self.chosen.certificate

    @property
    def name(self) -> str:
        return self.certificate.subject_name

    @property
    def serial(self) -> str:
        return self.chosen.token.info.serial


@dataclass(frozen=True, kw_only=True)
class NothingDue:
    """A certificate for which no time is owed, and why. `remark`, the first of the reasons: what must be known all the same."""

    chosen: Chosen
    reasons: tuple[str, ...]
    contract_end: date | None = None
    remark: str = ""


def assess(context: Context, chosen: Chosen, request: RenewRequest) -> Eligible | NothingDue:
    """Whether to go on, in the order of the renewal's design: revocation, endpoint, offer or stated contract end, expiry.

    Raises CertificateRevoked (13), PersonNeeded (11), CaUnreachable (8), UsageError (2).
    """
    from safetok.store.settings import authority_of

    if chosen.token.info.readable_only:
        raise UsageError(
            _("This token has no serial of its own (Token ID {serial!r}): it is shown, never logged in to.").format(
                serial=chosen.token.info.serial
            ),
            code="token_without_serial",
            hint=_("Plug in this token alone, or ask its maker."),
        )
    certificate = chosen.certificate
    authority = authority_of(certificate, context.settings)
    if authority is not None:
        from safetok.workflows.check import before_renewal

        before_renewal(context, certificate, authority)
    stated = _stated_end(context, certificate, request)
    verdict = judge(context, certificate, authority, stated, others=_others(chosen))
    if authority is None or not authority.has_endpoint:
        _remember_end(context, certificate, request)
        if authority is None or verdict.answer in {CampaignAnswer.NO, CampaignAnswer.DONE}:
            return _nothing_due(context, chosen, authority, verdict.reasons, stated)
        raise _no_endpoint(authority, verdict)
    if authority.offers_url:
        offered = _public_offer(context, authority, certificate)
        if not offered:
            _remember_end(context, certificate, request)
            return _by_campaign(context, chosen, authority, verdict, stated)
    else:
        offered = False
        if (followed := _followed(context, chosen, authority, stated)) is not None:
            return followed
        _needs_stated_end(certificate, request, stated)
        if stated and (reached := reaching(context, chosen, authority, stated)) is not None:
            if (confirmed := request.confirm_contract_end) is not None and confirmed != stated:
                raise end_differs(chosen, authority, confirmed, stated, ca_says=False)
            if request.contract_end is not None:
                return reached
            remembered = _("That day was stated in an earlier run. To state another: --contract-end DATE.")
            return replace(reached, reasons=(*reached.reasons, remembered))
    _expired_refused(context.now(), certificate, authority, offered=offered)
    checkable(context, authority)
    return Eligible(chosen=chosen, authority=authority, verdict=verdict, offered=offered, contract_end=stated)


def _followed(context: Context, chosen: Chosen, authority: Authority, stated: date | None) -> NothingDue | None:
    """Nothing is to be done for a certificate named by its serial whose company has a newer one beside it that does what is wanted:
    a CA without offers would issue another. Raises PersonNeeded (`superseded`) where only the newer one falls short.
    """
    old, new = chosen.certificate, _in_its_place(context, chosen)
    if new is None:
        return None
    if stated is None or last_usable_day(new.not_after) >= stated:
        reason = _("a later certificate is there: Serial {serial}, until {day}").format(
            serial=new.serial, day=show_date(new.not_after)
        )
        return NothingDue(chosen=chosen, reasons=(reason,), contract_end=stated)
    raise PersonNeeded(
        _("Certificate {serial} of {name} is an old one: {new} has taken its place.").format(
            serial=old.serial, name=old.subject_name, new=new.serial
        ),
        code="superseded",
        hint=_("To top up the new one: safetok renew --cert {new}").format(new=new.serial),
        token=chosen.token.info.serial,
        data={"new_serial": new.serial, "authority": authority.name},
    )


def _in_its_place(context: Context, chosen: Chosen) -> Certificate | None:
    """The company's newer certificate beside one named by its serial, unless it has come to its own end."""
    from safetok.domain.agencies import over
    from safetok.store.answers import Answers

    if chosen.newer is None or chosen.newer.certificate.not_before <= chosen.certificate.not_before:
        return None
    new = chosen.newer.certificate
    if other_person(new, chosen.certificate):
        return None
    return None if over(new, Answers(context.database).revocation(new.sha256), context.now()) else new


def reaching(context: Context, chosen: Chosen, authority: Authority, stated: date) -> NothingDue | None:
    """Nothing is to be done where the certificate reaches the stated contract end. Raises PersonNeeded (`contract_over`) for a
    contract that is over: no certificate can be asked for up to a day that has passed.
    """
    certificate = chosen.certificate
    if last_usable_day(certificate.not_after) >= stated:
        reason = _("This certificate already reaches the contract's end ({day}).").format(day=show_day(stated))
        return _nothing_due(context, chosen, authority, (reason,), stated)
    if stated < vietnamese_day(context.now()):
        raise _contract_over(chosen, authority, stated)
    return None


def _others(chosen: Chosen) -> tuple[Certificate, ...]:
    """The same company's other certificates on the token, of the same key or not; another person's is none of them."""
    own = chosen.certificate
    return tuple(
        s.certificate
        for s in chosen.token.certificates
        if s.certificate.sha256 != own.sha256
        and company_of(s.certificate) == company_of(own)
        and not other_person(s.certificate, own)
    )


def judge(
    context: Context,
    certificate: Certificate,
    authority: Authority | None,
    contract_end: date | None,
    *,
    others: tuple[Certificate, ...] = (),
) -> CampaignVerdict:
    """What the programmes in knowledge say of this certificate."""
    from safetok.domain import campaign
    from safetok.knowledge import load

    name = authority.name if authority else None
    campaigns = load.campaigns()
    own = next((c for c in campaigns if c.authority == name), campaigns[0])
    return campaign.judge(
        certificate,
        own,
        contract_end=contract_end,
        today=vietnamese_day(context.now()),
        authority_name=name,
        others=others,
    )


def _stated_end(context: Context, certificate: Certificate, request: RenewRequest) -> date | None:
    if request.contract_end is not None:
        return request.contract_end
    from safetok.store.inventory import Inventory

    return Inventory(context.database).contract_end(certificate.sha256)


def _remember_end(context: Context, certificate: Certificate, request: RenewRequest) -> None:
    """What was stated of a contract that no CA says anything of: the programme is judged by it, today and later."""
    if request.contract_end is None or context.dry_run:
        return
    from safetok.store.inventory import Inventory

    Inventory(context.database).set_contract_end(certificate.sha256, request.contract_end, context.now())


def _public_offer(context: Context, authority: Authority, certificate: Certificate) -> bool:
    from safetok.ca.offers import nothing_changed, public_offer
    from safetok.errors import CaUnreachable

    try:
        with nothing_changed():
            offer = public_offer(context.http, authority, certificate)
    except CaUnreachable as error:
        raise CaUnreachable(
            _("{ca} cannot be reached. No PIN was asked for, nothing was changed.").format(ca=authority.title),
            hint=_("Check the network and run it again later. ({why})").format(why=error.message),
            data={"authority": authority.name},
        ) from error
    if not context.dry_run:
        from safetok.store.answers import Answers

        Answers(context.database).put_offer(certificate.sha256, offer, context.now())
    return offer.exists


def _nothing_due(
    context: Context, chosen: Chosen, authority: Authority | None, reasons: tuple[str, ...], stated: date | None
) -> NothingDue:
    """No time is owed, which is no good news for a certificate that has expired, or ends before its contract, and that no newer
    one has followed.
    """
    if _in_its_place(context, chosen) is not None:
        return NothingDue(chosen=chosen, reasons=reasons, contract_end=stated)
    certificate, remark = chosen.certificate, ""
    contact = (authority.contacts.hotline or authority.title) if authority else certificate.issuer_name
    missing = shortfall(stated, certificate.not_after)
    if certificate.not_after < context.now():
        remark = _("The certificate expired on {day}: do not sign with it. To go on, ask {contact}.").format(
            day=show_date(certificate.not_after), contact=contact
        )
    elif stated is not None and missing:
        remark = _(
            "The contract runs to {contract}; the certificate ends on {end}, {n} days before. About the rest: ask {contact}."
        ).format(contract=show_day(stated), end=show_date(certificate.not_after), n=missing, contact=contact)
    return NothingDue(
        chosen=chosen, reasons=(remark, *reasons) if remark else reasons, contract_end=stated, remark=remark
    )


def _by_campaign(
    context: Context, chosen: Chosen, authority: Authority, verdict: CampaignVerdict, stated: date | None
) -> NothingDue:
    """No offer: the programme decides. Raises PersonNeeded when it cannot say no."""
    if verdict.answer in {CampaignAnswer.NO, CampaignAnswer.DONE}:
        return _nothing_due(context, chosen, authority, verdict.reasons, stated)
    contact = authority.contacts.hotline or "?"
    ask = _("Ask {ca}: {contact}").format(ca=authority.title, contact=contact)
    if verdict.answer is CampaignAnswer.UNKNOWN:
        code, message = "campaign_unknown", _("It cannot be told yet: {why}.").format(why="; ".join(verdict.reasons))
        ask = _("Read the contract and add --contract-end DATE.")
    elif verdict.answer is CampaignAnswer.OVER and stated is not None:
        raise _contract_over(chosen, authority, stated, *verdict.reasons)
    else:
        code = "no_offer"
        message = _("{ca} shows no top-up offer for this certificate, though the programme's conditions hold.").format(
            ca=authority.title
        )
    raise PersonNeeded(
        message,
        code=code,
        hint=ask,
        token=chosen.token.info.serial,
        data={"reasons": list(verdict.reasons), "authority": authority.name},
    )


def _contract_over(chosen: Chosen, authority: Authority, stated: date, *reasons: str) -> PersonNeeded:
    contact = authority.contacts.hotline or "?"
    return PersonNeeded(
        _("The contract ended on {day}: no time is left to top up.").format(day=show_day(stated)),
        code="contract_over",
        hint=_("To go on using it, the service must be renewed: {contact}").format(contact=contact),
        token=chosen.token.info.serial,
        data={"reasons": [*reasons], "authority": authority.name},
    )


def end_differs(chosen: Chosen, authority: Authority, stated: date, expected: date, *, ca_says: bool) -> PersonNeeded:
    """The day confirmed is another one. `ca_says`: the CA named the day that was to be confirmed; else the user did, now or in an
    earlier run.
    """
    text, hint = (
        (
            _("The day stated, {stated}, differs from the one {ca} gives, {expected}. Nothing was done."),
            _("Compare it with the contract."),
        )
        if ca_says
        else (
            _(
                "The day confirmed, {stated}, differs from the contract end that was stated, {expected}. Nothing was done."
            ),
            _("Compare it with the contract. To state another: --contract-end DATE."),
        )
    )
    return PersonNeeded(
        text.format(stated=show_day(stated), ca=authority.title, expected=show_day(expected)),
        code="contract_end_differs",
        hint=hint,
        token=chosen.token.info.serial,
        data={
            "contract_end": expected.isoformat(),
            "old_serial": chosen.certificate.serial,
            "authority": authority.name,
        },
    )


def _no_endpoint(authority: Authority, verdict: CampaignVerdict) -> PersonNeeded:
    return PersonNeeded(
        _("safetok has no renewal endpoint of {ca} (it is not published).").format(ca=authority.title),
        code="no_endpoint",
        hint=_(
            "Do it in the CA's own Token Manager (SAFE-CA: V1: double-click the S at the bottom right; V2: it opens by "
            "itself), then run `safetok status`: safetok notices the new certificate, opens the agency list and "
            "counts the 24 hours."
        ),
        data={"reasons": list(verdict.reasons), "authority": authority.name},
    )


def _needs_stated_end(certificate: Certificate, request: RenewRequest, stated: date | None) -> None:
    if stated is None and request.confirm_contract_end is not None:
        raise PersonNeeded(
            _("The contract's end is not known: --confirm-contract-end only confirms one that was stated."),
            code="contract_end_unknown",
            hint=_("Read the contract and add --contract-end DATE."),
            data={"old_serial": certificate.serial},
        )


def _expired_refused(now: datetime, certificate: Certificate, authority: Authority, *, offered: bool) -> None:
    if now <= certificate.not_after or offered or authority.renew_expired:
        return
    raise PersonNeeded(
        _("The certificate expired on {day}, and {ca} is not known to renew an expired one.").format(
            day=show_date(certificate.not_after), ca=authority.title
        ),
        code="certificate_expired",
        hint=_("Ask {ca}: {contact}").format(ca=authority.title, contact=authority.contacts.hotline or "?"),
        data={"authority": authority.name},
    )


def requested_end(contract_end: date, issuer_end: datetime | None) -> datetime:
    """What is asked for without an offer: the contract end's last second, not after the issuing CA's own end."""
    wanted = end_of_day(contract_end)
    return min(wanted, issuer_end) if issuer_end else wanted
