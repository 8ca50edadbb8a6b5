"""The journal of renewals: every state is committed before the next side effect, and only the ways of domain.renewal are open."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from safetok.domain.agencies import Registration
from safetok.domain.companies import plain_mst
from safetok.domain.renewal import ENDS, FOLLOWS, Hold, Renewal, State
from safetok.errors import Unexpected, UsageError
from safetok.locale import _
from safetok.log import note
from safetok.records import dataclass
from safetok.store import encoding
from safetok.store.database import Database, Row, reads
from safetok.store.registrations import put_registrations

_TEXT = ("id", "token_serial", "authority", "old_serial", "mst")
_INSTANTS = ("created_at", "updated_at")
_BLOBS = ("old_certificate", "request", "answer", "certificate", "confirmation")
_PLAIN = {*_TEXT, *_BLOBS}
_OWN = {*_PLAIN, *_INSTANTS, "state", "hold", "chain"}
_COLUMNS = (*sorted(_OWN), "rest", "running", "unfinished", "certificate_sha256")
_KEPT = tuple(field.name for field in dataclasses.fields(Renewal))
_REST = {  # one JSON column holds what of these is not as a new renewal has it
    field.name: field.default for field in dataclasses.fields(Renewal) if field.name not in _OWN
}
_INSERT = f"INSERT INTO renewals ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{c}' for c in _COLUMNS)})"  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One step of a renewal's way: the state it reached or stayed in, what it waits for, and why."""

    at: datetime
    state: State
    hold: Hold | None
    reason: str


class Journal:
    """Renewals by id. Every change is one durable commit; inside `db.transaction()` several share one."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def create(self, renewal: Renewal) -> Renewal:
        """Keep a new renewal. Raises Unexpected `renewal_running` when its token and certificate already have one under way."""
        with self._db.transaction():
            running = self._db.row(
                "SELECT id FROM renewals WHERE token_serial = ? AND old_serial = ? AND running = 1",
                (renewal.token_serial, renewal.old_serial),
            )
            if running is not None:
                raise Unexpected(
                    _("A renewal of this certificate is already under way ({id}).").format(id=running["id"]),
                    code="renewal_running",
                    hint=_("Continue it with `safetok renew --resume`."),
                    token=renewal.token_serial,
                )
            self._db.run(_INSERT, _encode(renewal))
            self._event(renewal, renewal.created_at)
        return renewal

    def advance(
        self,
        renewal: Renewal,
        state: State | Sequence[State],
        *,
        now: datetime,
        hold: Hold | None = None,
        **changes: Any,
    ) -> Renewal:
        """Move on to `state` (or through several states at once, one commit) with `changes` of the renewal's fields.

        Raises Unexpected: `renewal_way` for a way that FOLLOWS does not open, `renewal_changed` when another run has moved it.
        """
        states = (state,) if isinstance(state, State) else tuple(state)
        for before, step in pairwise((renewal.state, *states)):
            if step not in FOLLOWS[before]:
                raise Unexpected(f"{renewal.id}: {before} -> {step}", code="renewal_way")
        said = {"reason": "", **changes}  # what it waited for is over
        at = dataclasses.replace(renewal, state=states[-1], hold=hold, updated_at=now, **said)
        with self._db.transaction():
            self._move(renewal, at)
            for passed in states[:-1]:
                self._event(at, now, passed)
            self._event(at, now)
        return at

    def update(self, renewal: Renewal, *, now: datetime, **changes: Any) -> Renewal:
        """Keep changed fields in the same state: a hold taken or lifted, a message about to be sent, a note."""
        if "state" in changes:
            raise Unexpected(f"{renewal.id}: {changes['state']}", code="renewal_way")
        after = dataclasses.replace(renewal, updated_at=now, **changes)
        with self._db.transaction():
            self._move(renewal, after)
            if (after.hold, after.reason) != (renewal.hold, renewal.reason) or after.sent_count != renewal.sent_count:
                self._event(after, now)
        return after

    def finish(
        self,
        renewal: Renewal,
        registrations: Iterable[Registration],
        *,
        now: datetime,
        through: Sequence[State] = (State.DONE,),
        **changes: Any,
    ) -> Renewal:
        """DONE, `through` the states before it, and the new certificate's registration rows, in one transaction; those of the old
        certificate step back.
        """
        with self._db.transaction():
            done = self.advance(renewal, through, now=now, **changes)
            put_registrations(self._db, registrations, replaces=hashlib.sha256(renewal.old_certificate).hexdigest())
        return done

    def get(self, renewal_id: str) -> Renewal:
        """The renewal of that id, or the only one whose id begins so. Raises UsageError `no_such_renewal`."""
        found = self._db.rows(
            "SELECT * FROM renewals WHERE id >= ? AND id < ? LIMIT 2", (renewal_id, f"{renewal_id}\U0010ffff")
        )
        exact = [row for row in found if row["id"] == renewal_id] or found
        if len(exact) != 1 or not renewal_id:
            raise UsageError(
                _("There is no renewal {id}.").format(id=renewal_id),
                code="no_such_renewal",
                hint=_("`safetok renew --list` shows them."),
            )
        return _decode(exact[0])

    def unfinished(self, token_serial: str | None = None) -> list[Renewal]:
        """Those with something left to do, the oldest first."""
        where, values = ("AND token_serial = ?", (token_serial,)) if token_serial is not None else ("", ())
        return [
            _decode(row)
            for row in self._db.rows(
                f"SELECT * FROM renewals INDEXED BY renewals_unfinished WHERE unfinished = 1 {where} ORDER BY created_at, id",  # noqa: S608
                values,
            )
        ]

    def all(
        self, *, token_serial: str | None = None, mst: str | None = None, limit: int | None = None
    ) -> list[Renewal]:
        """The history, the newest first; `limit` keeps a look at a long one short. `mst` finds a branch however it is written."""
        wheres, values = [], []
        if token_serial is not None:
            wheres.append("token_serial = ?")
            values.append(token_serial)
        if mst is not None:
            wheres.append("REPLACE(REPLACE(mst, '-', ''), ' ', '') = ?")
            values.append(plain_mst(mst).replace("-", ""))
        where = f"WHERE {' AND '.join(wheres)}" if wheres else ""
        rows = self._db.rows(
            f"SELECT * FROM renewals {where} ORDER BY created_at DESC, id DESC LIMIT ?",  # noqa: S608
            (*values, -1 if limit is None else limit),
        )
        return [_decode(row) for row in rows]

    def events(self, renewal_id: str) -> list[Event]:
        """Its way so far, in order."""
        rows = self._db.rows("SELECT * FROM renewal_events WHERE renewal = ? ORDER BY number", (renewal_id,))
        return [_step(row) for row in rows]

    def done_with(self, token_serial: str, old_serial: str) -> list[Renewal]:
        """Finished renewals of the certificate of this serial number on that token; issuers number on their own."""
        rows = self._db.rows(
            "SELECT * FROM renewals WHERE token_serial = ? AND old_serial = ? AND state = ?",
            (token_serial, old_serial, State.DONE.value),
        )
        return [_decode(row) for row in rows]

    def renewed_from(self, sha256: str) -> Renewal | None:
        """The renewal that brought the certificate of this SHA-256; None when it came by other means."""
        row = self._db.row("SELECT * FROM renewals WHERE certificate_sha256 = ?", (sha256,))
        return _decode(row) if row is not None else None

    def contract_ends(self, hashes: Iterable[str]) -> dict[str, date]:
        """What the renewals that brought these certificates confirmed as contract end, by the certificate's SHA-256."""
        rows = self._db.among("SELECT * FROM renewals WHERE certificate_sha256 IN ({keys})", hashes)
        ends = {row["certificate_sha256"]: _decode(row).contract_end for row in rows}
        return {sha256: end for sha256, end in ends.items() if end is not None}

    def _move(self, before: Renewal, after: Renewal) -> None:
        """Write what differs between the two, into a row that still stands as `before` does."""
        row = _encode(after, [name for name in _KEPT if getattr(after, name) is not getattr(before, name)])
        stood = _standing(before)  # an index is written anew for each column that is set, changed or not
        row = {column: value for column, value in row.items() if column == "state" or stood.get(column, ...) != value}
        standing = {"of": before.id, "was": before.state.value, "since": before.updated_at.isoformat()}
        sets = ", ".join(f"{column} = :{column}" for column in row)
        if not self._db.change(
            f"UPDATE renewals SET {sets} WHERE id = :of AND state = :was AND updated_at = :since",  # noqa: S608
            row | standing,
        ):
            raise Unexpected(
                _("Another run of safetok has moved renewal {id} on.").format(id=before.id),
                code="renewal_changed",
                hint=_("Look at it with `safetok renew --list`, then continue with `safetok renew --resume`."),
                token=before.token_serial,
            )

    def _event(self, renewal: Renewal, at: datetime, passed: State | None = None) -> None:
        """The state it is in and how it stands there, or one that it `passed` on the way to it."""
        state, hold, reason = (passed, None, "") if passed else (renewal.state, renewal.hold, renewal.reason)
        note(f"renewal {renewal.id} of token {renewal.token_serial}: {state}{f', {hold}' if hold else ''}")
        self._db.run(
            "INSERT INTO renewal_events (renewal, at, state, hold, reason) VALUES (?, ?, ?, ?, ?)",
            (renewal.id, at.isoformat(), state.value, hold and hold.value, reason),
        )


def _encode(renewal: Renewal, names: Sequence[str] = _KEPT) -> dict[str, object]:
    """The columns that these fields of a renewal stand in, with its state."""
    row: dict[str, object] = {name: getattr(renewal, name) for name in names if name in _PLAIN}
    row |= {name: getattr(renewal, name).isoformat() for name in names if name in _INSTANTS}
    row |= _standing(renewal)
    if "chain" in names:
        row["chain"] = encoding.dump(renewal.chain)
    if "certificate" in names:
        row["certificate_sha256"] = hashlib.sha256(renewal.certificate).hexdigest() if renewal.certificate else None
    if not _OWN.issuperset(names):
        rest = {name: getattr(renewal, name) for name in _REST}
        row["rest"] = encoding.dump({name: value for name, value in rest.items() if value != _REST[name]})
    return row


def _standing(renewal: Renewal) -> dict[str, object]:
    return {
        "state": renewal.state.value,
        "hold": renewal.hold and renewal.hold.value,
        "running": int(renewal.state not in ENDS),
        "unfinished": int(not renewal.finished),
    }


@reads
def _decode(row: Row) -> Renewal:
    values = {name: row[name] for name in (*_TEXT, *_BLOBS)}
    values |= {name: datetime.fromisoformat(row[name]) for name in _INSTANTS}
    values |= {
        "state": State(row["state"]),
        "hold": Hold(row["hold"]) if row["hold"] else None,
        "chain": encoding.load(row["chain"]),
    }
    rest = encoding.load(row["rest"])
    rest.pop("notes", None)  # older rows have it; it was never filled
    return Renewal(**values, **rest)


@reads
def _step(row: Row) -> Event:
    return Event(
        at=datetime.fromisoformat(row["at"]),
        state=State(row["state"]),
        hold=Hold(row["hold"]) if row["hold"] else None,
        reason=row["reason"],
    )
