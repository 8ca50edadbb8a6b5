"""What `renew` answers of a renewal that was not begun: nothing is due, it was only looked, or an error came first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from safetok.domain.campaign import CampaignAnswer
from safetok.domain.renewal import Renewal, State
from safetok.errors import CaRefused, NotTrusted, PinRefused, PinWrong, SafetokError
from safetok.locale import _
from safetok.workflows.renew.choose import Chosen
from safetok.workflows.renew.eligibility import Eligible, NothingDue
from safetok.workflows.renew.request import RenewRequest, RenewResult, result_of, shortfall

if TYPE_CHECKING:
    from safetok.workflows.context import Context


def known_so_far(chosen: Chosen, request: RenewRequest) -> RenewResult:
    """What an error before the first journal row can tell: whose token and certificate it is about."""
    return RenewResult(
        token=chosen.token.info.serial,
        state=State.PLANNED.value,
        name=chosen.certificate.subject_name,
        old_serial=chosen.certificate.serial,
        contract_end=request.contract_end,
    )


def nothing_due(due: NothingDue) -> RenewResult:
    """NOTHING_DUE with its reasons: to a script this is success."""
    certificate = due.chosen.certificate
    return RenewResult(
        token=due.chosen.token.info.serial,
        state="NOTHING_DUE",
        name=certificate.subject_name,
        old_serial=certificate.serial,
        not_after=certificate.not_after,
        contract_end=due.contract_end,
        shortfall_days=shortfall(due.contract_end, certificate.not_after),
        reasons=due.reasons,
        remark=due.remark,
    )


def would_carry_on(renewal: Renewal, kept: str) -> RenewResult:
    """WOULD_RENEW where an unfinished renewal is what `renew` would carry on: no other is begun beside it.

    `kept` says what it keeps of its beginning.
    """
    return replace(
        result_of(renewal),
        state="WOULD_RENEW",
        not_before=None,
        reasons=(
            _(
                "Dry run: the unfinished renewal {id} would be carried on here. Nothing was sent, no PIN was used."
            ).format(id=renewal.id),
            *([kept] if kept else []),
        ),
    )


def would_renew(eligible: Eligible) -> RenewResult:
    """WOULD_RENEW, and what is not known or not sure of it."""
    reasons: tuple[str, ...] = (_("Dry run: a renewal would be asked for here. Nothing was sent, no PIN was used."),)
    if eligible.contract_end is None and not eligible.offered:
        reasons += (_("The contract's end is not known here: the renewal asks for it."),)
    if eligible.verdict.answer is not CampaignAnswer.YES:
        reasons += eligible.verdict.reasons
    return RenewResult(
        token=eligible.serial,
        state="WOULD_RENEW",
        name=eligible.name,
        old_serial=eligible.certificate.serial,
        not_before=eligible.certificate.not_before,
        not_after=eligible.certificate.not_after,
        contract_end=eligible.contract_end,
        reasons=reasons,
    )


def who_helps(context: Context, chosen: Chosen, error: SafetokError) -> dict[str, str]:
    """The CA whose support line such an error ends with."""
    from safetok.store.settings import authority_of

    if not isinstance(error, PinWrong | PinRefused | CaRefused | NotTrusted):
        return {}
    authority = authority_of(chosen.certificate, context.settings)
    return {"authority": authority.name} if authority is not None else {}
