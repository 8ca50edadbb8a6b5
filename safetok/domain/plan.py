"""What a batch has been planned to do: one row for each token, what was checked, and what a person confirmed."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from safetok.errors import ExitStatus
from safetok.records import dataclass


class Verdict(StrEnum):
    """What planning says of a row."""

    RENEW = "renew"
    NOTHING_DUE = "nothing_due"
    NOT_IN = "not_plugged_in"
    UNCHECKED = "not_checked"  # its CA did not answer: a run checks every row again
    NOT_READY = "not_ready"
    REFUSED = "refused"


class RowState(StrEnum):
    """Where a row stands once a run has looked at it."""

    OPEN = "open"  # not begun
    DONE = "done"
    NOTHING_DUE = "nothing_due"
    WAITING = "waiting"  # for the CA, or for its token; carried on by the next run
    FAILED = "failed"

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do for it."""
        return self in {RowState.DONE, RowState.NOTHING_DUE}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """One row of a plan. `row` is its number in the list it came from; `certificate` the SHA-256 of the one to renew."""

    row: int
    verdict: Verdict
    reason: str = ""
    code: str = ""
    token: str | None = None
    mst: str | None = None
    name: str = ""
    certificate: str = ""
    old_serial: str = ""
    authority: str = ""
    contract_end: date | None = None
    new_key: bool = False
    pin_source: str = "keyring"
    agencies: tuple[str, ...] | None = None
    group: str = ""
    confirmed_by: str = ""
    day: date | None = None  # not before this day

    @property
    def runs(self) -> bool:
        """Whether a run may begin it: what is not plugged in may be by then, and a CA that did not answer may be back."""
        return self.verdict in {Verdict.RENEW, Verdict.NOT_IN, Verdict.UNCHECKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`folder` is where the list lies: its PIN files are looked for there. `settings`: what the plan was checked under, hashed."""

    id: str
    made_at: datetime
    manifest: str
    folder: str
    settings: str
    rows: tuple[PlanRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """What a run came to with one row; `name`, `mst` and `old_serial` as its token says, where the plan did not know them."""

    row: int
    state: RowState
    token: str | None = None
    at: datetime | None = None
    code: str = ""
    message: str = ""
    exit_status: int = int(ExitStatus.DONE)
    name: str = ""
    mst: str = ""
    old_serial: str = ""
    new_serial: str = ""
    not_after: datetime | None = None
    shortfall_days: int | None = None  # that the new certificate ends before the contract does
    renewal_id: str = ""
