"""What a CA proposes for one certificate: that an offer exists is public, what it says needs the token's proof."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from safetok.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicOffer:
    """The answer of `GET {base}/v1/renewal-info/{CertID}` (RFC 9773 shape). Unknown and not-owed look alike: `exists` False.

    `refused` is what the token itself was told of it since: `contract_over`, `dossier_missing`, or "" for no refusal.
    """

    exists: bool
    window_start: datetime | None = None
    window_end: datetime | None = None
    retry_after: int | None = None  # seconds
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateOffer:
    """The answer of `POST {base}/v1/offers`, proved by the token."""

    offer_id: str
    contract_number: str
    contract_end: date  # a Vietnamese day
    new_not_after: datetime  # an instant
    same_key: bool
    expires: datetime


DossierState = Literal["complete", "missing", "suspended", "revoked", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DossierAnswer:
    """The answer of `POST {base}/v1/dossiers`."""

    state: DossierState
    since: date | None = None
    missing: tuple[str, ...] = ()
