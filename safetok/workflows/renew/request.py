"""What a renewal is asked with, and what it answers."""

from __future__ import annotations

from dataclasses import field
from datetime import date, datetime
from typing import Any

from safetok.domain.renewal import Renewal, State
from safetok.domain.times import last_usable_day, rfc3339
from safetok.errors import ExitStatus
from safetok.records import dataclass
from safetok.workflows.pins import PinSource

# Where a row's certificate has been verified and stands: a lie is not shown as the new one, and may not even be readable.
_BELIEVED = {State.VERIFIED, State.WRITTEN, State.PROVEN, State.ACKNOWLEDGED, State.DONE}


@dataclass(frozen=True, kw_only=True)
class RenewRequest:
    """The command line of `renew`, typed."""

    pin: PinSource = field(default_factory=PinSource)
    serial: str | None = None  # the token's
    cert: str | None = None
    mst: str | None = None
    new_key: bool = False
    yes: bool = False
    contract_end: date | None = None  # stated by the user
    confirm_contract_end: date | None = None  # the second confirmation, by value
    min_not_after: datetime | None = None
    new_request: bool = False
    ca_answered: bool = False  # a moment ago: it need not be asked whether it is there
    kit: bool = True  # write the files for the agencies when it is done; `export` can make them at any time


@dataclass(frozen=True, kw_only=True)
class RenewResult:
    """How a renewal stands at the end of the run. `state` is a State's name, `NOTHING_DUE`, `ADOPTED` or `WOULD_RENEW`."""

    token: str
    state: str
    name: str = ""
    old_serial: str | None = None
    new_serial: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    contract_end: date | None = None
    shortfall_days: int | None = None
    renewal_id: str | None = None
    kit: str | None = None
    agencies_open: int = 0
    reasons: tuple[str, ...] = ()
    remark: str = ""  # the first of the reasons, where it is for a person to act on
    exit_status: ExitStatus = ExitStatus.DONE

    def data(self) -> dict[str, Any]:
        """The envelope's `data`: serials upper-case hex, days ISO, instants RFC 3339."""
        return {
            "token": self.token,
            "old_serial": self.old_serial,
            "new_serial": self.new_serial,
            "not_after": rfc3339(self.not_after) if self.not_after else None,
            "contract_end": self.contract_end.isoformat() if self.contract_end else None,
            "shortfall_days": self.shortfall_days,
            "state": self.state,
            "renewal_id": self.renewal_id,
            "kit": self.kit,
            "reasons": list(self.reasons),
        }


def shortfall(contract_end: date | None, not_after: datetime | None) -> int | None:
    """Days between the certificate's last usable day and the contract's end, 0 when it reaches it; None when unknown."""
    if contract_end is None or not_after is None:
        return None
    return max(0, (contract_end - last_usable_day(not_after)).days)


def result_of(renewal: Renewal, *, agencies_open: int = 0) -> RenewResult:
    """The result that a journal row stands for."""
    from safetok.domain import certificates

    old = certificates.parse(renewal.old_certificate)
    shown = certificates.parse(renewal.certificate) if renewal.state in _BELIEVED else None
    not_after = shown.not_after if shown else renewal.requested_not_after
    return RenewResult(
        token=renewal.token_serial,
        state=renewal.state.value,
        name=old.subject_name,
        old_serial=renewal.old_serial,
        new_serial=shown.serial if shown else None,
        not_before=shown.not_before if shown else None,
        not_after=not_after,
        contract_end=renewal.contract_end,
        shortfall_days=shortfall(renewal.contract_end, not_after),
        renewal_id=renewal.id,
        kit=renewal.kit or None,
        agencies_open=agencies_open,
        reasons=(renewal.reason,) if renewal.reason else (),
    )
