"""Which certificates are owed time: the programme's conditions, each named with its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CampaignAnswer(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"  # the contract end is not known
    OVER = "over"  # the contract itself has ended
    DONE = "done"  # the certificate already reaches what is owed


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignVerdict:
    """The answer and one sentence for each condition, in the user's language."""

    answer: CampaignAnswer
    reasons: tuple[str, ...]
    campaign: str = ""  # key in knowledge/campaigns.toml
