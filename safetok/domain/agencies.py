"""Agencies, and one certificate's standing at each of them: a registration, with its 24-hour timer where the notice states one."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, cast

from safetok.domain.validity import Validity, validity
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.domain.acceptance import Acceptance
    from safetok.domain.certificates import Certificate
    from safetok.domain.revocation import Revocation


class RegistrationState(StrEnum):
    """What is stored. `waiting` and `due_check` are read from `updated` and the clock: see `standing`."""

    OPEN = "open"
    UPDATED = "updated"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNUSED = "unused"


Standing = Literal["open", "updated", "waiting", "due_check", "accepted", "rejected", "unused", "expired", "revoked"]
Over = Literal["", "expired", "revoked"]  # what ended a certificate for good


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """One place that must learn the new serial: knowledge's seven of the notice, in its order, and those a user added."""

    name: str  # "vnaccs"
    title: str  # "Hải quan (VNACCS)", the notice's words
    wait_hours: int = 0  # 24 where the notice states it, counted from the update on that system
    url: str = ""
    source: str = ""
    order: int = 0
    added: bool = False  # by the user
    acceptance: Acceptance | None = None  # None: `wait_hours` says it
    parts: tuple[tuple[str, str], ...] = ()  # services updated one by one: short name and title

    @property
    def rule(self) -> Acceptance:
        """How long it takes to accept; `none` where nobody states a wait."""
        from safetok.domain.acceptance import NOT_STATED, Acceptance

        if self.acceptance is not None:
            return self.acceptance
        return Acceptance(rule="hours", amount=self.wait_hours, source=self.source) if self.wait_hours else NOT_STATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One certificate at one agency, for one company."""

    agency: str
    mst: str  # "" where the certificate names none
    certificate: str  # serial, as agencies print it
    certificate_sha256: str
    state: RegistrationState
    opened_at: datetime
    updated_at: datetime | None = None  # when a person put the new certificate on that system
    until: datetime | None = None  # when the agency's wait after updated_at is over; None where none is stated
    reason: str = ""  # of a rejection, as the person gave it
    parts: tuple[tuple[str, datetime], ...] = ()  # services of the agency already updated, and when


def over(certificate: Certificate | None, revocation: Revocation | None, at: datetime) -> Over:
    """Whether a certificate has come to its end by then, which no agency need learn of any more; one that is not known has not."""
    if certificate is None:
        return ""
    state = validity(certificate, at, revocation)
    return "expired" if state is Validity.EXPIRED else "revoked" if state is Validity.REVOKED else ""


def standing(registration: Registration, now: datetime, ended: Over = "") -> Standing:
    """Where a registration stands at `now`: the timer's passing makes `due_check`, never `accepted` (a person records that). Of a
    certificate that has `ended` nothing is left to do; what was accepted, or is not used, stays that.
    """
    if ended and registration.state not in {RegistrationState.ACCEPTED, RegistrationState.UNUSED}:
        return ended
    if registration.state is not RegistrationState.UPDATED:
        return cast("Standing", registration.state.value)
    if registration.until is None:
        return "updated"
    return "waiting" if now < registration.until else "due_check"


def is_24h(registration: Registration) -> bool:
    """Whether its wait is the notice's 24h00, and may be called so."""
    row = registration
    return row.until is not None and row.updated_at is not None and row.until - row.updated_at == timedelta(hours=24)
