"""Which agencies know which certificate: one row each, every change undoable, and what each company uses remembered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from safetok.domain.agencies import Agency, Registration, RegistrationState
from safetok.domain.certificates import Certificate
from safetok.domain.companies import company_key, company_of, plain_mst
from safetok.domain.registrations import registrations_for
from safetok.errors import UsageError
from safetok.locale import _
from safetok.store import encoding
from safetok.store.database import Database, Row, reads

_COLUMNS = (
    "certificate_sha256",
    "certificate",
    "mst",
    "agency",
    "state",
    "opened_at",
    "updated_at",
    "until",
    "reason",
    "parts",
)
_PUT = (
    f"INSERT INTO registrations ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{c}' for c in _COLUMNS)}) "  # noqa: S608
    "ON CONFLICT (certificate_sha256, agency) DO NOTHING"
)
# With the certificate replaced, those that it followed on its token: not each of them was taken over in its turn.
_STEP_BACK = (
    "UPDATE registrations SET superseded = 1 WHERE superseded = 0 AND (certificate_sha256 = :old OR certificate_sha256 IN ("
    "SELECT earlier.sha256 FROM certificates old JOIN presences there ON there.sha256 = old.sha256 "
    "JOIN presences here ON here.token_serial = there.token_serial JOIN certificates earlier ON earlier.sha256 = here.sha256 "
    "WHERE old.sha256 = :old AND earlier.company = old.company AND earlier.not_before < old.not_before))"
)
_FIELDS = tuple(field.name for field in dataclasses.fields(Registration))
_INSTANTS = ("opened_at", "updated_at", "until")


class Registrations:
    """Registrations, the agencies a person added, and who uses what."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def plan_for(self, certificate: Certificate, agencies: Iterable[Agency], now: datetime) -> tuple[Registration, ...]:
        """The rows a new certificate will start with, by what its company uses; nothing is written (Journal.finish does it)."""
        return registrations_for(certificate, agencies, self.used(company_of(certificate)), now)

    def open_for(
        self, certificate: Certificate, agencies: Iterable[Agency], now: datetime, *, replaces: str | None = None
    ) -> list[Registration]:
        """Open a new certificate's rows once; those of the certificate it `replaces` (its SHA-256) step back. Repeating it changes
        nothing. Returns the certificate's rows.
        """
        with self._db.transaction():
            put_registrations(self._db, self.plan_for(certificate, agencies, now), replaces=replaces)
        return self.list(certificate=certificate.sha256)

    def list(
        self,
        *,
        mst: str | None = None,
        certificate: str | None = None,
        token: str | None = None,
        state: RegistrationState | Iterable[RegistrationState] | None = None,
        superseded: bool = False,
    ) -> list[Registration]:
        """Rows by company, certificate (serial as agencies print it, or SHA-256) and token serial (by the inventory), in the order
        they were opened. Those of a certificate that another has replaced are left out, unless it is asked for by name or
        `superseded` is set.
        """
        wheres, values = ["1 = 1"], list[object]()
        if not superseded and certificate is None:
            wheres.append("superseded = 0")
        if mst is not None:
            wheres.append("mst = ?")
            values.append(plain_mst(mst))
        if certificate is not None:
            wheres.append("(certificate = ? OR certificate_sha256 = ?)")
            values += [certificate.upper(), certificate.lower()]
        if token is not None:
            wheres.append("certificate_sha256 IN (SELECT sha256 FROM presences WHERE token_serial = ?)")
            values.append(token)
        if state is not None:
            states = [state] if isinstance(state, RegistrationState) else [*state]
            wheres.append(f"state IN ({', '.join('?' for _one in states)})")
            values += [RegistrationState(one).value for one in states]
        # The planner would rather read every row in order than the few current ones and trust that they are few.
        index = "INDEXED BY registrations_current" if not (superseded or mst or certificate or token) else ""
        rows = self._db.rows(
            f"SELECT * FROM registrations {index} WHERE {' AND '.join(wheres)} ORDER BY number",  # noqa: S608
            values,
        )
        return [_decode(row) for row in rows]

    def count(self, sha256: str, state: RegistrationState) -> int:
        """How many of a certificate's rows are in this state."""
        row = self._db.row(
            "SELECT count(*) AS rows FROM registrations WHERE certificate_sha256 = ? AND state = ?",
            (sha256, state.value),
        )
        assert row is not None
        return int(row["rows"])

    def change(
        self,
        registration: Registration,
        after: Registration | None = None,
        *,
        now: datetime,
        what: str = "",
        **changes: Any,
    ) -> Registration:
        """Keep what a person recorded (`after`, or the fields in `changes`), with an event that `undo` can take back."""
        after = dataclasses.replace(after or registration, **changes)
        with self._db.transaction():
            row = self._row(registration)
            self._db.run(
                "INSERT INTO registration_events (registration, at, what, before) VALUES (?, ?, ?, ?)",
                (
                    row["number"],
                    now.isoformat(),
                    what or after.state.value,
                    encoding.dump(dataclasses.asdict(_decode(row))),
                ),
            )
            self._write(row["number"], after)
        return after

    def undo(self, registration: Registration) -> tuple[Registration, str]:
        """Take the last recorded change back; returns the row as it was before and what was undone ("done").

        Raises UsageError `nothing_to_undo`.
        """
        with self._db.transaction():
            row = self._row(registration)
            event = self._db.row(
                "SELECT * FROM registration_events WHERE registration = ? AND undone = 0 ORDER BY number DESC LIMIT 1",
                (row["number"],),
            )
            if event is None:
                raise UsageError(
                    _("{agency}: there is nothing to undo.").format(agency=registration.agency), code="nothing_to_undo"
                )
            kept = encoding.load(event["before"])
            before = Registration(**{**kept, "state": RegistrationState(kept["state"])})
            self._db.run("UPDATE registration_events SET undone = 1 WHERE number = ?", (event["number"],))
            self._write(row["number"], before)
        return before, str(event["what"])

    def acts(self) -> dict[tuple[str, str], tuple[int, datetime]]:
        """For each row that somebody recorded something at: how many changes it saw (undone ones twice: they changed it twice), and
        the moment of the last record; by certificate (SHA-256) and agency.
        """
        return {
            (row["certificate_sha256"], row["agency"]): (row["changes"], datetime.fromisoformat(row["last"]))
            for row in self._db.rows(
                "SELECT r.certificate_sha256, r.agency, SUM(1 + e.undone) AS changes, MAX(e.at) AS last "
                "FROM registration_events e JOIN registrations r ON r.number = e.registration GROUP BY r.number"
            )
        }

    def used(self, company: str) -> dict[str, bool]:
        """What a person said this company uses or not, by agency; `company` is an MST or `company_of(certificate)`."""
        rows = self._db.rows("SELECT agency, used FROM agencies_used WHERE company = ?", (company_key(company),))
        return {row["agency"]: bool(row["used"]) for row in rows}

    def set_used(self, company: str, agency: str, used: bool | None) -> None:
        """Remember it for the next certificate of that company; None forgets."""
        if used is None:
            self._db.run("DELETE FROM agencies_used WHERE company = ? AND agency = ?", (company_key(company), agency))
            return
        self._db.run(
            "INSERT INTO agencies_used VALUES (?, ?, ?) ON CONFLICT (company, agency) DO UPDATE SET used = excluded.used",
            (company_key(company), agency, int(used)),
        )

    def add_agency(self, agency: Agency) -> None:
        """Keep an agency that a person added; one of the same name is replaced."""
        self._db.run(
            "INSERT OR REPLACE INTO agencies_added VALUES (?, ?, ?, ?, ?, ?)",
            (agency.name, agency.title, agency.wait_hours, agency.url, agency.source, agency.order),
        )

    def agencies_added(self) -> tuple[Agency, ...]:
        """Those a person added, in the order they came."""
        return tuple(
            Agency(
                name=row["name"],
                title=row["title"],
                wait_hours=row["wait_hours"],
                url=row["url"],
                source=row["source"],
                order=row["place"],
                added=True,
            )
            for row in self._db.rows("SELECT * FROM agencies_added ORDER BY place, name")
        )

    def put(self, registrations: Iterable[Registration]) -> None:
        """Add rows beside those there are; a row already there stays as it is."""
        with self._db.transaction():
            put_registrations(self._db, registrations)

    def _row(self, registration: Registration) -> Row:
        row = self._db.row(
            "SELECT * FROM registrations WHERE certificate_sha256 = ? AND agency = ?",
            (registration.certificate_sha256, registration.agency),
        )
        if row is None:
            raise UsageError(
                _("There is no registration of certificate {serial} with {agency}.").format(
                    serial=registration.certificate, agency=registration.agency
                ),
                code="no_such_registration",
                hint=_("`safetok agencies list` shows them."),
            )
        return row

    def _write(self, number: int, registration: Registration) -> None:
        self._db.run(
            "UPDATE registrations SET state = :state, opened_at = :opened_at, updated_at = :updated_at, until = :until, "
            "reason = :reason, parts = :parts WHERE number = :number",
            {**_encode(registration), "number": number},
        )


def put_registrations(db: Database, registrations: Iterable[Registration], *, replaces: str | None = None) -> None:
    """Insert rows that are not there yet, in the caller's transaction; those of the certificate replaced, and of those that it
    followed itself, step back.
    """
    rows = [_encode(registration) for registration in registrations]
    opened = {row["certificate_sha256"] for row in rows}
    db.run_each(_PUT, rows)
    if replaces is not None and opened - {replaces}:
        db.run(_STEP_BACK, {"old": replaces})


def _encode(registration: Registration) -> Mapping[str, object]:
    row = {name: getattr(registration, name) for name in _FIELDS}
    row |= {"state": registration.state.value, "mst": plain_mst(registration.mst)}
    for name in _INSTANTS:
        row[name] = row[name].isoformat() if row[name] is not None else None
    row["parts"] = encoding.dump(dict(registration.parts)) if registration.parts else "{}"
    return row


@reads
def _decode(row: Row) -> Registration:
    instants = {name: datetime.fromisoformat(row[name]) if row[name] else None for name in _INSTANTS}
    opened_at = instants.pop("opened_at")
    assert opened_at is not None
    return Registration(
        agency=row["agency"],
        mst=row["mst"],
        certificate=row["certificate"],
        certificate_sha256=row["certificate_sha256"],
        state=RegistrationState(row["state"]),
        opened_at=opened_at,
        reason=row["reason"],
        parts=tuple(sorted(encoding.load(row["parts"]).items())),
        **instants,
    )
