"""The record for the client's file: one A4 page with old and new serial, dates, the agencies, and room for two signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.domain.agencies import RegistrationState
from safetok.domain.times import show_date, show_day, show_instant
from safetok.locale import _
from safetok.reports.page import render

if TYPE_CHECKING:
    from safetok.reports.kit import Card, Kit


def record(kit: Kit) -> str:
    """The page; what safetok does not know is a line to fill in by hand."""
    return render("record.html", kit=kit, facts=_facts(kit), how=_how(kit), stands=_stands)


def _facts(kit: Kit) -> list[tuple[str, str, str]]:
    """What, before, after."""
    new, old = kit.new, kit.old
    return [
        (_("Serial of the certificate"), old.serial if old else "–", new.serial),
        (_("Issuer"), old.issuer_name if old else "–", new.issuer_name),
        (_("Valid from"), show_date(old.valid_from) if old else "–", show_date(new.valid_from)),
        (_("Valid to"), show_date(old.valid_to) if old else "–", show_date(new.valid_to)),
    ]


def _stands(card: Card) -> tuple[str, str]:
    """When it was updated, and the result; blank where nothing was recorded. Of several services each by itself, until the last."""
    row = card.registration
    updated = show_instant(row.updated_at) if row and row.updated_at else ""
    if row and not updated:
        titles = dict(card.agency.parts)
        updated = "; ".join(f"{titles.get(part, part)}: {show_instant(at)}" for part, at in row.parts)
    result = {
        RegistrationState.ACCEPTED: _("accepted"),
        RegistrationState.REJECTED: _("rejected"),
    }.get(card.state, "")
    return updated, result


def _how(kit: Kit) -> list[tuple[str, str]]:
    """How it came about, one fact to a line."""
    told: list[tuple[str, str]] = []
    if kit.contract_end is not None:
        by = {
            "offer": _("{day}, as the CA's offer said"),
            "user": _("{day}, as stated by the company"),
        }.get(kit.renewed.contract_end_by if kit.renewed else "", "{day}")
        told.append((_("End of the contract"), by.format(day=show_day(kit.contract_end))))
    if kit.token_serial:
        told.append(("Token ID", kit.token_serial))
    if kit.renewed is not None:
        if kit.renewed.contract_number:
            told.append((_("Contract number"), kit.renewed.contract_number))
        told.append((_("Request begun"), show_instant(kit.renewed.started_at)))
        if kit.renewed.received_at is not None:
            told.append((_("New certificate received"), show_instant(kit.renewed.received_at)))
        told.append((_("Number in safetok's journal"), kit.renewed.id))
    return told
