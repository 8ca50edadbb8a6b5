"""One run of the renewal state machine: its states, which may follow which, and what the journal keeps of it.

This table is the single source: the engine, the tests and the documents read it.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from safetok.errors import ExitStatus
from safetok.records import dataclass


class State(StrEnum):
    PLANNED = "PLANNED"
    ACCEPTED = "ACCEPTED"
    CONFIRMED = "CONFIRMED"  # durable from here on
    KEY_MADE = "KEY_MADE"  # only with a new key
    REQUESTED = "REQUESTED"
    PENDING = "PENDING"
    ISSUED = "ISSUED"
    VERIFIED = "VERIFIED"
    WRITTEN = "WRITTEN"
    PROVEN = "PROVEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    DONE = "DONE"
    DECLINED = "DECLINED"
    REJECTED = "REJECTED"
    UNTRUSTED = "UNTRUSTED"
    LAPSED = "LAPSED"
    ABANDONED = "ABANDONED"


class Hold(StrEnum):
    """Why an unfinished renewal waits; the state it is in stays what it was."""

    NEED_TOKEN = "NEED_TOKEN"
    NEED_PIN = "NEED_PIN"
    NEED_SPACE = "NEED_SPACE"
    NEED_WRITE = "NEED_WRITE"
    CA_UNREACHABLE = "CA_UNREACHABLE"
    ANSWER_LOST = "ANSWER_LOST"
    PENDING = "PENDING"


HOLD_EXITS: dict[Hold, ExitStatus] = {
    Hold.NEED_TOKEN: ExitStatus.NO_TOKEN,
    Hold.NEED_PIN: ExitStatus.ACT,
    Hold.NEED_SPACE: ExitStatus.NOT_TRUSTED,
    Hold.NEED_WRITE: ExitStatus.NOT_TRUSTED,
    Hold.CA_UNREACHABLE: ExitStatus.CA_UNREACHABLE,
    Hold.ANSWER_LOST: ExitStatus.ACT,
    Hold.PENDING: ExitStatus.CA_WAIT,
}

ENDS: dict[State, ExitStatus] = {
    State.DONE: ExitStatus.DONE,
    State.DECLINED: ExitStatus.DONE,
    State.REJECTED: ExitStatus.CA_REFUSED,
    State.UNTRUSTED: ExitStatus.NOT_TRUSTED,
    State.LAPSED: ExitStatus.ACT,
    State.ABANDONED: ExitStatus.DONE,
}

FRUITLESS = frozenset({State.UNTRUSTED, State.LAPSED, State.ABANDONED})
"""Ends of renewals that brought a certificate which was never in use."""

_S = State
FOLLOWS: dict[State, frozenset[State]] = {
    _S.PLANNED: frozenset({_S.ACCEPTED, _S.DECLINED}),
    _S.ACCEPTED: frozenset({_S.CONFIRMED, _S.DECLINED}),
    _S.CONFIRMED: frozenset({_S.KEY_MADE, _S.REQUESTED, _S.PLANNED, _S.ABANDONED}),
    _S.KEY_MADE: frozenset({_S.REQUESTED, _S.ABANDONED}),
    _S.REQUESTED: frozenset({_S.PENDING, _S.ISSUED, _S.REJECTED, _S.ABANDONED}),
    _S.PENDING: frozenset({_S.ISSUED, _S.REJECTED, _S.ABANDONED}),
    _S.ISSUED: frozenset({_S.VERIFIED, _S.UNTRUSTED, _S.LAPSED, _S.ABANDONED}),
    _S.VERIFIED: frozenset({_S.WRITTEN, _S.LAPSED, _S.ABANDONED}),
    _S.WRITTEN: frozenset({_S.PROVEN, _S.LAPSED, _S.ABANDONED}),
    _S.PROVEN: frozenset({_S.ACKNOWLEDGED, _S.LAPSED, _S.ABANDONED}),
    _S.ACKNOWLEDGED: frozenset({_S.DONE}),
    _S.DONE: frozenset(),
    _S.DECLINED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.UNTRUSTED: frozenset(),
    _S.LAPSED: frozenset(),
    _S.ABANDONED: frozenset(),
}

Route = Literal["cmp", "csr"]
KeyPlan = Literal["same", "new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """One row of the journal. Bytes are kept as sent or received: what one step needs of the last is never recomputed."""

    id: str
    token_serial: str
    authority: str
    state: State
    hold: Hold | None = None
    created_at: datetime
    updated_at: datetime
    route: Route = "cmp"
    key_plan: KeyPlan = "same"

    old_certificate: bytes  # DER
    old_serial: str
    mst: str | None = None

    offer_id: str = ""
    contract_number: str = ""
    contract_end: date | None = None  # confirmed by value
    contract_end_by: Literal["offer", "user", ""] = ""
    requested_not_after: datetime | None = None
    offer_expires: datetime | None = None
    min_not_after: datetime | None = None

    key_id: bytes = b""  # CKA_ID of the key the new certificate is for
    key_label: str = ""
    spki: bytes = b""

    transaction_id: bytes = b""
    sender_nonce: bytes = b""
    request: bytes = b""  # DER of the opening message (CMP) or of the CSR
    sent_count: int = 0
    first_sent_at: datetime | None = None

    check_after: datetime | None = None
    poll: bytes = b""  # DER of our last pollReq until it is answered: the same bytes go out again
    poll_nonce: bytes = b""  # senderNonce of our last pollReq
    server_nonce: bytes = b""  # senderNonce of the CA's last message

    answer: bytes = b""  # DER of the CA's final message
    received_at: datetime | None = None
    confirm_by: datetime | None = None
    cert_req_id: int | None = None  # as the answer numbers it: certConf repeats it

    certificate: bytes = b""  # DER of the new certificate
    chain: tuple[bytes, ...] = ()
    confirmation: bytes = b""  # the signed certConf, accepting or rejecting
    confirmation_sent_at: datetime | None = None
    receipt: Literal["", "seen", "unseen", "implicit", "mail"] = ""

    cleaned: bool = False
    reason: str = ""  # why it ended or waits, in words
    kit: str = ""  # folder of the export

    def waits_until(self, now: datetime) -> datetime | None:
        """When the CA wants to be asked again, where that is still to come. A clock that has been set back since the CA said so
        makes nobody wait: how much of the time has passed is not known any more.
        """
        due = self.check_after
        return due if due is not None and self.updated_at <= now < due else None

    @property
    def by_mail(self) -> bool:
        """Whether it waits for a file that the CA sends to a person: nothing else carries it on."""
        return self.route == "csr" and self.state is State.REQUESTED

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do for it (an end whose clean-up is outstanding is not finished)."""
        return self.state in ENDS and (self.cleaned or self.state in {State.DONE, State.DECLINED})
