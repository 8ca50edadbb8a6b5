"""Agencies, and one certificate's standing at each of them: a registration, with its 24-hour timer where the notice states one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, cast


class RegistrationState(StrEnum):
    """What is stored. `waiting` and `due_check` are read from `updated` and the clock: see `standing`."""

    OPEN = "open"
    UPDATED = "updated"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNUSED = "unused"


Standing = Literal["open", "updated", "waiting", "due_check", "accepted", "rejected", "unused"]


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
    until: datetime | None = None  # updated_at + the agency's wait; None where none is stated
    reason: str = ""  # of a rejection, as the person gave it


def standing(registration: Registration, now: datetime) -> Standing:
    """Where a registration stands at `now`: the timer's passing makes `due_check`, never `accepted` (a person records that)."""
    if registration.state is not RegistrationState.UPDATED:
        return cast("Standing", registration.state.value)
    if registration.until is None:
        return "updated"
    return "waiting" if now < registration.until else "due_check"
