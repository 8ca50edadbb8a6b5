"""How a certificate stands at one moment: its validity, its revocation, and the days that are left of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.times import last_usable_day, vietnamese_day

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate

EXPIRING_DAYS = 30  # Decree 130/2018/NĐ-CP art. 26: a renewal is asked for at least 30 days before the end


class Validity(StrEnum):
    """What `status` says of a certificate."""

    NOT_YET = "not_yet"
    VALID = "valid"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


def days_left(certificate: Certificate, now: datetime) -> int:
    """Vietnamese days from today to the last day it can be used on: 0 on that day, negative after it."""
    return (last_usable_day(certificate.not_after) - vietnamese_day(now)).days


def validity(certificate: Certificate, now: datetime, revocation: Revocation | None) -> Validity:
    """Revoked and suspended before anything else; `valid` says nothing of revocation, which may be unknown."""
    if revocation is not None and revocation.answer is RevocationAnswer.REVOKED:
        return Validity.REVOKED
    if revocation is not None and revocation.answer is RevocationAnswer.SUSPENDED:
        return Validity.SUSPENDED
    if now < certificate.not_before:
        return Validity.NOT_YET
    if now > certificate.not_after:
        return Validity.EXPIRED
    return Validity.EXPIRING if days_left(certificate, now) <= EXPIRING_DAYS else Validity.VALID
