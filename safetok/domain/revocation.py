"""What is known of a certificate's revocation; "could not check" is never "good"."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from safetok.records import dataclass


class RevocationAnswer(StrEnum):
    GOOD = "good"
    SUSPENDED = "suspended"  # revoked with certificateHold: lifted by removeFromCRL
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One answer, when it was asked and who gave it."""

    answer: RevocationAnswer
    checked_at: datetime
    reason: str = ""  # RFC 5280 CRLReason name, or why it could not be checked (in the user's language)
    since: datetime | None = None  # revocationTime
    source: str = ""  # "ocsp" | "crl" | ""
    produced_at: datetime | None = None  # thisUpdate of the answer
