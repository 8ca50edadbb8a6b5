"""Which certificates are owed time: the programme's conditions, each named with its verdict."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

from safetok.domain.times import last_usable_day, show_day, vietnamese_day
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate


class CampaignAnswer(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"  # the contract end is not known
    OVER = "over"  # the contract itself has ended
    DONE = "done"  # the certificate already reaches what is owed


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition of the programme; `holds` is None where it cannot be told.

    Names are stable: authority, issued_before, contract_end_after, contract_running, not_reached.
    """

    name: str
    holds: bool | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignVerdict:
    """The answer and one sentence for each condition, in the user's language."""

    answer: CampaignAnswer
    reasons: tuple[str, ...]
    campaign: str = ""  # key in knowledge/campaigns.toml
    conditions: tuple[Condition, ...] = ()  # the same sentences, each with its name and whether it holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A programme as its notice states it. Days are Vietnamese; `issued_before` and `contract_end_after` are strict."""

    name: str
    authority: str  # name in knowledge/authorities.toml
    authority_title: str
    title: str
    issued_before: date
    contract_end_after: date
    ca_from: date  # the validity of the CA certificate the new certificates are issued under
    ca_until: date  # its last day
    source: str = ""


def judge(
    certificate: Certificate,
    campaign: Campaign,
    *,
    contract_end: date | None,
    today: date,
    authority_name: str | None,
    others: Iterable[Certificate] = (),
) -> CampaignVerdict:
    """Whether the programme owes this certificate time.

    `contract_end` and `today` are Vietnamese days. `authority_name` is the CA the certificate belongs to, None when unknown.
    `others` are other certificates of the same company by the same CA: a later one means that this one was topped up already,
    an earlier one of the programme that this one is the top-up.

    Answers: NO where a condition of the notice fails; DONE where the certificate's last usable day reaches the contract end or
    the CA's own end, or a top-up is there; UNKNOWN without a contract end; OVER when the contract ended before `today`; else YES.
    """
    ours = _authority(campaign, authority_name)
    if not ours.holds:
        return _verdict(CampaignAnswer.NO, campaign, [ours])
    issued, last = vietnamese_day(certificate.not_before), last_usable_day(certificate.not_after)
    others = tuple(others)
    in_time = issued < campaign.issued_before
    tops_up = not in_time and any(vietnamese_day(o.not_before) < campaign.issued_before for o in others)
    owed_until = min(contract_end, campaign.ca_until) if contract_end else campaign.ca_until
    later = _later(certificate, others, owed_until if contract_end else None)
    after = _after(campaign, contract_end)

    more: Condition | None = None
    if after.holds is False:
        answer = CampaignAnswer.NO
    elif contract_end is not None and contract_end < today and (in_time or tops_up):
        answer, more = CampaignAnswer.OVER, _over(contract_end)
    elif last >= owed_until or (contract_end is None and tops_up):
        answer, more = CampaignAnswer.DONE, _reached(last, contract_end)
    elif in_time and later is not None:
        answer, more = CampaignAnswer.DONE, _replaced(later)
    elif not in_time:
        answer = CampaignAnswer.NO
    elif contract_end is None:
        answer = CampaignAnswer.UNKNOWN
    else:
        answer, more = CampaignAnswer.YES, _short(last, owed_until)
    conditions = [ours, _issued(campaign, issued), after]
    if more is None:
        return _verdict(answer, campaign, conditions)
    decisive = answer in {CampaignAnswer.DONE, CampaignAnswer.OVER}
    return _verdict(answer, campaign, [more, *conditions] if decisive else [*conditions, more])


def _later(certificate: Certificate, others: tuple[Certificate, ...], owed_until: date | None) -> Certificate | None:
    """The certificate that already took over: it ends later, and where the day owed is known, not before that day."""
    last = max(others, key=lambda o: o.not_after, default=certificate)
    if last.not_after <= certificate.not_after or (owed_until and last_usable_day(last.not_after) < owed_until):
        return None
    return last


def _verdict(answer: CampaignAnswer, campaign: Campaign, conditions: list[Condition]) -> CampaignVerdict:
    """A verdict; where a condition of the notice fails, that sentence comes first, as does what makes it done or over."""
    if answer is CampaignAnswer.NO:
        conditions = sorted(conditions, key=lambda condition: condition.holds is not False)
    return CampaignVerdict(
        answer=answer,
        reasons=tuple(condition.text for condition in conditions),
        campaign=campaign.name,
        conditions=tuple(conditions),
    )


def _authority(campaign: Campaign, name: str | None) -> Condition:
    holds = name == campaign.authority
    text = _("a certificate of {authority}") if holds else _("not of {authority}")
    return Condition(name="authority", holds=holds, text=text.format(authority=campaign.authority_title))


def _issued(campaign: Campaign, issued: date) -> Condition:
    holds = issued < campaign.issued_before
    text = _("issued on {day}, before {limit}") if holds else _("issued on {day}, not before {limit}")
    text = text.format(day=show_day(issued), limit=show_day(campaign.issued_before))
    return Condition(name="issued_before", holds=holds, text=text)


def _after(campaign: Campaign, contract_end: date | None) -> Condition:
    name = "contract_end_after"
    limit = show_day(campaign.contract_end_after)
    if contract_end is None:
        text = _("the contract end is not known (it must be after {limit})").format(limit=limit)
        return Condition(name=name, holds=None, text=text)
    holds = contract_end > campaign.contract_end_after
    text = _("contract until {day}, after {limit}") if holds else _("contract until {day}, not after {limit}")
    return Condition(name=name, holds=holds, text=text.format(day=show_day(contract_end), limit=limit))


def _over(contract_end: date) -> Condition:
    text = _("the contract ended on {day}: no time is left to top up").format(day=show_day(contract_end))
    return Condition(name="contract_running", holds=False, text=text)


def _reached(last: date, contract_end: date | None) -> Condition:
    if contract_end is None:
        text = _("already topped up: valid until {day}").format(day=show_day(last))
    elif last >= contract_end:
        text = _("valid until {day}: it already reaches the contract end").format(day=show_day(last))
    else:
        text = _("valid until {day}: the CA's own certificate ends then").format(day=show_day(last))
    return Condition(name="not_reached", holds=False, text=text)


def _replaced(later: Certificate) -> Condition:
    text = _("a later certificate is there: Serial {serial}, until {day}").format(
        serial=later.serial, day=show_day(last_usable_day(later.not_after))
    )
    return Condition(name="not_reached", holds=False, text=text)


def _short(last: date, owed_until: date) -> Condition:
    text = _("valid until {day}, {count} days short of {end}").format(
        day=show_day(last), count=(owed_until - last).days, end=show_day(owed_until)
    )
    return Condition(name="not_reached", holds=True, text=text)
