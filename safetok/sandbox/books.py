"""What the sandbox CA must remember: whose certificates stand how, which transactions it answered and with which bytes.

Two files: the register that `up` wrote (the subscribers and their contracts), and a log that only grows: one JSON line a
change, holding the changed rows whole, on disk before the answer leaves. Reading both again gives the same state, so the
CA may be killed at any moment. An update that is not confirmed in time is undone by whoever looks next; no clock runs for it.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Literal

import msgspec

from safetok.sandbox.places import write_json, write_private

SHORT = 20  # certificates in a ledger that is copied at each change

Standing = Literal["good", "suspended", "revoked"]
State = Literal["waiting", "issued", "confirmed", "undone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One certificate of a subscriber, and what the CA's papers say of it."""

    serial: str  # upper-case hex
    issuer: str  # name of the issuing CA
    subject: str
    der: bytes
    not_after: datetime
    standing: Standing = "good"
    since: datetime | None = None
    reason: str = ""  # CRLReason, RFC 5280 section 5.3.1
    offer: bool = False
    problem: str = ""  # what the private answer says instead of the offer
    contract_number: str = ""
    contract_end: date | None = None
    dossier: str = "unknown"
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One certificate asked for: the digest of the opening message, and every answer as sent."""

    id: str  # hex of the transactionID
    opening: str  # SHA-256 of the opening message, hex
    old_serial: str
    state: State
    answer: bytes  # to the opening message: the certificate, or "waiting"
    nonces: tuple[str, ...]  # senderNonces of our answers, hex: what the next message may carry as recipNonce
    new_serial: str = ""
    confirm_by: datetime | None = None
    confirmation: str = ""  # SHA-256 of the certConf
    confirmation_answer: bytes = b""
    request: bytes = b""  # the opening message, kept while it waits
    ready_at: datetime | None = None
    poll: str = ""  # SHA-256 of the last pollReq
    poll_answer: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one event made of the books: the rows it touched, as they are afterwards."""

    entries: tuple[Entry, ...] = ()
    transactions: tuple[Transaction, ...] = ()


@dataclass(slots=True)
class Books:
    """The CA's memory. One lock for all of it: an answer and the change behind it belong together."""

    folder: Path
    ledger_path: Path
    lock: threading.RLock = field(default_factory=threading.RLock)
    entries: dict[str, Entry] = field(default_factory=dict)
    transactions: dict[str, Transaction] = field(default_factory=dict)
    _renewing: dict[str, str] = field(default_factory=dict)  # old serial -> the transaction that renews it
    _unconfirmed: set[str] = field(default_factory=set)
    _issued: dict[str, str] = field(default_factory=dict)  # new serial -> the transaction that issued it
    _rows: dict[str, bytes] = field(default_factory=dict)  # the ledger's JSON by transaction, in the order issued
    _copied: bool = False  # the ledger's file shows all that happened

    def __post_init__(self) -> None:
        self._apply(Change(entries=read_register(self.folder)))
        decoder = msgspec.json.Decoder(Change)
        for line in self._log_lines():
            self._apply(decoder.decode(line))
        self.copy_ledger()

    def entry(self, serial: str, now: datetime) -> Entry | None:
        """A certificate by its serial, as it stands at `now`."""
        with self.lock:
            self.settle(now)
            return self.entries.get(serial)

    def offer_stands(self, entry: Entry) -> bool:
        """Whether this certificate may be renewed: owed, in good standing, and neither renewed nor being renewed."""
        return entry.offer and entry.standing == "good" and entry.serial not in self._renewing

    def keep(self, *, entries: tuple[Entry, ...] = (), transactions: tuple[Transaction, ...] = ()) -> None:
        """Keep these rows for good, then let them count. Raises OSError, with the books as they were, when the disk is full."""
        change = Change(entries=entries, transactions=transactions)
        with self.lock:
            _append(self._log, msgspec.json.encode(change) + b"\n")
            self._apply(change)
            self._copied = False
            if len(self._rows) <= SHORT:
                self.copy_ledger()

    def undo(self, transaction: Transaction, now: datetime) -> Transaction:
        """Take an update back: the new certificate is revoked, the old one may be renewed again."""
        undone = replace(transaction, state="undone")
        new = self.entries.get(transaction.new_serial)
        revoked = (replace(new, standing="revoked", since=now, reason="cessationOfOperation"),) if new else ()
        self.keep(entries=revoked, transactions=(undone,))
        return undone

    def settle(self, now: datetime) -> None:
        """Undo what was not confirmed in time."""
        with self.lock:
            for name in tuple(self._unconfirmed):
                transaction = self.transactions[name]
                if transaction.confirm_by is not None and transaction.confirm_by < now:
                    self.undo(transaction, transaction.confirm_by)

    def ledger(self) -> bytes:
        """What this CA has issued, in order: the JSON of `GET /ledger`."""
        with self.lock:
            return b'{"issued": [' + b", ".join(self._rows.values()) + b"]}"

    def _row(self, transaction: Transaction) -> bytes:
        entry = self.entries[transaction.new_serial]
        stands_as_left = transaction.state == "undone" or entry.standing == "good"
        row = {
            "serial": entry.serial,
            "old_serial": transaction.old_serial,
            "subject": entry.subject,
            "state": transaction.state if stands_as_left else entry.standing,
            "transaction": transaction.id,
        }
        return json.dumps(row, ensure_ascii=False).encode()

    def copy_ledger(self) -> None:
        """Write the ledger's file anew where something has happened since. A long one is not written at each change: whoever keeps
        the books calls this now and then.
        """
        with self.lock:
            if not self._copied:
                write_private(self.ledger_path, self.ledger() + b"\n")
                self._copied = True

    @property
    def _log(self) -> Path:
        return self.folder / "log.jsonl"

    def _log_lines(self) -> list[bytes]:
        if not self._log.exists():
            return []
        text = self._log.read_bytes()
        whole = text.rfind(b"\n") + 1
        if whole != len(text):  # killed in the middle of a write: that answer never left
            os.truncate(self._log, whole)
        return text[:whole].splitlines()

    def _apply(self, change: Change) -> None:
        self.entries.update((entry.serial, entry) for entry in change.entries)
        told = [self._issued[entry.serial] for entry in change.entries if entry.serial in self._issued]
        for transaction in change.transactions:
            self.transactions[transaction.id] = transaction
            if transaction.state == "issued":
                self._unconfirmed.add(transaction.id)
            else:
                self._unconfirmed.discard(transaction.id)
            if transaction.state != "undone":
                self._renewing[transaction.old_serial] = transaction.id
            elif self._renewing.get(transaction.old_serial) == transaction.id:
                del self._renewing[transaction.old_serial]
            if transaction.new_serial:
                self._issued[transaction.new_serial] = transaction.id
                told.append(transaction.id)
        for name in told:
            self._rows[name] = self._row(self.transactions[name])


def _append(path: Path, line: bytes) -> None:
    """Add a line whole and synced, or not at all."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        before = os.lseek(descriptor, 0, os.SEEK_END)
        try:
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, before)
            raise
    finally:
        os.close(descriptor)


def read_register(folder: Path) -> tuple[Entry, ...]:
    """The subscribers that `up` entered; none where there is no register."""
    path = folder / "register.json"
    return msgspec.json.decode(path.read_bytes(), type=tuple[Entry, ...]) if path.exists() else ()


def write_register(folder: Path, entries: tuple[Entry, ...]) -> None:
    """Enter the subscribers a CA starts with."""
    write_json(folder / "register.json", msgspec.to_builtins(entries))
