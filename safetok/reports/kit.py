"""What a client is handed after a renewal: one page of what to do at each agency, the record, a message for Zalo, files."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from safetok.domain.acceptance import Acceptance
from safetok.domain.agencies import Agency, Registration, RegistrationState, is_24h
from safetok.domain.times import show_date, show_instant
from safetok.locale import _
from safetok.records import dataclass
from safetok.reports.einvoice import HThuc, Row, rows_of
from safetok.reports.fields import Fields, plain_line

if TYPE_CHECKING:
    from safetok.knowledge.guides import AgencyGuide

PAGE = "_co-quan.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One agency on the page: what it asks, and where the certificate stands there."""

    agency: Agency
    rule: Acceptance
    guide: AgencyGuide | None = None
    registration: Registration | None = None  # None: nothing was recorded there
    old: Fields | None = None  # the certificate that it knows: not the last one where it missed that

    @property
    def state(self) -> RegistrationState:
        return self.registration.state if self.registration else RegistrationState.OPEN

    @property
    def title(self) -> str:
        return plain_line(self.agency.title)

    @property
    def url(self) -> str:
        """Where to go, when it is a web address; anything else a person typed is no link."""
        url = plain_line(self.agency.url.strip())
        return url if url.startswith(("https://", "http://")) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """How the new certificate came, as safetok recorded it; without it, it came by other means."""

    id: str
    started_at: datetime
    received_at: datetime | None
    contract_end_by: str  # "offer", "user", ""
    contract_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """One company's kit. Cards stand in the agencies' order; those a company does not use are among them."""

    new: Fields
    new_sha256: str
    old: Fields | None
    cards: tuple[Card, ...]
    contract_end: date | None = None
    renewed: Renewed | None = None
    token_serial: str = ""
    hthuc: HThuc | None = None
    confirmed_by: str = ""  # who confirmed, as the user says
    steps_recorded: date | None = None  # when the agencies' steps were read

    @property
    def used(self) -> tuple[Card, ...]:
        return tuple(card for card in self.cards if card.state is not RegistrationState.UNUSED)

    @property
    def unused(self) -> tuple[Card, ...]:
        return tuple(card for card in self.cards if card.state is RegistrationState.UNUSED)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The e-invoice rows to choose from."""
        stopped = next((card.old for card in self.cards if card.guide and card.guide.form), self.old)
        return rows_of(self.new, stopped, self.hthuc)


def message(kit: Kit) -> str:
    """What is sent to the client, by Zalo or mail: plain lines, no marks of any kind."""
    new = kit.new
    came = (
        _("The company's digital certificate was topped up; its serial has changed.")
        if kit.renewed
        else _("The company has a new digital certificate; its serial is another one.")
    )
    lines = [_("To {name} (MST {mst}),").format(name=new.name, mst=new.mst or "–"), came]
    if kit.old is not None:
        lines.append(_("- Old serial: {serial}").format(serial=kit.old.serial))
    lines += [
        _("- New serial: {serial}").format(serial=new.serial),
        _("- Issued by: {issuer}").format(issuer=new.issuer_name),
        _("- Valid: {start} to {end}").format(start=show_date(new.valid_from), end=show_date(new.valid_to)),
    ]
    left = [card for card in kit.used if card.state in {RegistrationState.OPEN, RegistrationState.REJECTED}]
    updated = [card for card in kit.used if card.state is RegistrationState.UPDATED]
    if left:
        lines.append(_("The new certificate must be updated (mandatory) at:"))
        lines += [f"{number}. {card.title}" for number, card in enumerate(left, start=1)]
        waiting = [card.title for card in left if (card.rule.rule, card.rule.amount) == ("hours", 24)]
        if waiting:
            lines.append(
                _(
                    "{agencies}: the new certificate is accepted only after 24h00 from the moment it is updated there."
                ).format(agencies=", ".join(waiting))
            )
    if updated:
        lines.append(_("Updated already, not to be done again; acceptance is awaited:"))
        lines += [f"- {card.title}{_since(card)}" for card in updated]
    if kit.used and not left and not updated:
        lines.append(_("Every agency has accepted the new certificate."))
    if kit.old is not None and any(card.guide and "old_serial" in card.guide.copy for card in (*left, *updated)):
        lines.append(
            _("Keep the old certificate on the token until everything is updated: Customs asks for it to log in.")
        )
    lines.append(_("Never send the PIN of the token to anybody, also not by Zalo."))
    return "\n".join(lines) + "\n"


def _since(card: Card) -> str:
    """When it was updated, and until when its wait lasts where one is stated."""
    row = card.registration
    if row is None or row.updated_at is None:
        return ""
    at = show_instant(row.updated_at)
    if row.until is None:
        return _(": updated at {at}").format(at=at)
    until = show_instant(row.until)
    if is_24h(row):
        return _(": updated at {at}; 24h00 are over at {until}").format(at=at, until=until)
    return _(": updated at {at}; the wait is over at {until}").format(at=at, until=until)
