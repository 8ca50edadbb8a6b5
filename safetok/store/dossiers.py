"""Dossiers and what people recorded about them, step by step; a record can be taken back."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from safetok.domain.companies import plain_mst
from safetok.store import encoding
from safetok.store.database import Database, Row, reads

if TYPE_CHECKING:
    from safetok.domain.dossier import Dossier, Record


class Dossiers:
    """Every dossier, the oldest first."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def start(self, dossier: Dossier) -> Dossier:
        """Keep a new one."""
        self._db.run(
            "INSERT INTO dossiers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                dossier.id,
                dossier.authority,
                plain_mst(dossier.mst),
                dossier.name,
                dossier.certificate,
                dossier.token,
                dossier.situation,
                dossier.path,
                int(dossier.several),
                dossier.started_at.isoformat(),
                dossier.certificate_since.isoformat() if dossier.certificate_since else None,
            ),
        )
        return dossier

    def list(
        self, *, mst: str | None = None, certificate: str | None = None, token: str | None = None
    ) -> list[Dossier]:
        """Those of a company, certificate (serial) or token."""
        rows = self._db.rows(
            "SELECT * FROM dossiers WHERE (:mst IS NULL OR mst = :mst) AND (:cert IS NULL OR certificate = :cert) "
            "AND (:token IS NULL OR token = :token) ORDER BY started_at, id",
            {
                "mst": plain_mst(mst) if mst is not None else None,
                "cert": certificate.upper() if certificate is not None else None,
                "token": token,
            },
        )
        return [self._decode(row) for row in rows]

    def get(self, identity: str) -> Dossier | None:
        """One by its id."""
        row = self._db.row("SELECT * FROM dossiers WHERE id = ?", (identity,))
        return self._decode(row) if row is not None else None

    def record(self, dossier: Dossier, record: Record, *, token: str = "", certificate: str = "") -> None:
        """Keep a step, and the token or certificate that has become known with it."""
        with self._db.transaction():
            self._db.run(
                "INSERT INTO dossier_events (dossier, at, step, day, said) VALUES (?, ?, ?, ?, ?)",
                (dossier.id, record.at.isoformat(), record.step, record.day.isoformat(), encoding.dump(record.said)),
            )
            if token:
                self._db.run("UPDATE dossiers SET token = ? WHERE id = ?", (token, dossier.id))
            if certificate:
                self._db.run("UPDATE dossiers SET certificate = ? WHERE id = ?", (certificate, dossier.id))

    def undo(self, dossier: Dossier) -> Record | None:
        """Take the last record back; None when there is none."""
        with self._db.transaction():
            row = self._db.row(
                "SELECT * FROM dossier_events WHERE dossier = ? AND undone = 0 ORDER BY number DESC LIMIT 1",
                (dossier.id,),
            )
            if row is None:
                return None
            self._db.run("UPDATE dossier_events SET undone = 1 WHERE number = ?", (row["number"],))
        return _record(row)

    def changes(self, dossier: Dossier) -> int:
        """How often it was changed; what was undone changed it twice."""
        row = self._db.row("SELECT SUM(1 + undone) AS n FROM dossier_events WHERE dossier = ?", (dossier.id,))
        return int(row["n"] or 0) if row is not None else 0

    def taken_back(self, dossier: Dossier, step: str) -> Record | None:
        """The last record of this step that was undone."""
        row = self._db.row(
            "SELECT * FROM dossier_events WHERE dossier = ? AND step = ? AND undone = 1 ORDER BY number DESC LIMIT 1",
            (dossier.id, step),
        )
        return _record(row) if row is not None else None

    @reads
    def _decode(self, row: Row) -> Dossier:
        from safetok.domain.dossier import Dossier

        records = self._db.rows(
            "SELECT * FROM dossier_events WHERE dossier = ? AND undone = 0 ORDER BY number", (row["id"],)
        )
        return Dossier(
            id=row["id"],
            authority=row["authority"],
            mst=row["mst"],
            name=row["name"],
            certificate=row["certificate"],
            token=row["token"],
            situation=row["situation"],
            path=row["path"],
            several=bool(row["several"]),
            started_at=datetime.fromisoformat(row["started_at"]),
            certificate_since=date.fromisoformat(row["certificate_since"]) if row["certificate_since"] else None,
            records=tuple(_record(one) for one in records),
        )


@reads
def _record(row: Row) -> Record:
    from safetok.domain.dossier import Record

    return Record(
        step=row["step"],
        day=date.fromisoformat(row["day"]),
        at=datetime.fromisoformat(row["at"]),
        said=dict(encoding.load(row["said"])),
    )
