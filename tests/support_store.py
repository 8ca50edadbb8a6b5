"""Certificates, readings and renewals as the store's tests want them: made once a test, at a clock that stands still."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from safetok.domain.certificates import Certificate
from safetok.domain.renewal import Renewal, State
from safetok.domain.tokens import KeyPresence, PinState, Reading, StoredCertificate, TokenInfo, TokenReading
from safetok.store import schema


def written_by_version(path: Path, version: int) -> None:
    """Make a closed state what an older safetok would have left: its tables and columns, and what they can hold of it."""
    older = path.with_name("older.db")
    with closing(sqlite3.connect(older)) as made:
        for step in schema.STEPS[:version]:
            for statement in step:
                made.execute(statement)
        made.execute("ATTACH ? AS newer", (str(path),))
        tables = [row[0] for row in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = ", ".join(row[1] for row in made.execute(f"PRAGMA main.table_info({table})"))
            made.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")  # noqa: S608
        made.execute(f"PRAGMA user_version = {version}")
        made.commit()
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    older.rename(path)


NOW = datetime(2026, 11, 23, 9, 5, tzinfo=UTC)  # 16:05 on a Monday in Vietnam


def certificate(number: int, *, mst: str | None = "0106324653", days: int = 0, **changes: Any) -> Certificate:
    """A certificate that no parser needs to read: `number` tells it apart, `days` shifts its notBefore."""
    der = b"certificate %d %s" % (number, (mst or "").encode())
    subject = f"company {mst}"
    values: dict[str, Any] = {
        "der": der,
        "sha256": hashlib.sha256(der).hexdigest(),
        "serial": f"5401{number:028X}",
        "subject": f"CN=CÔNG TY {mst}",
        "subject_name": f"CÔNG TY {mst}",
        "subject_der": subject.encode(),
        "issuer": "CN=SAFE-CA SHA-256 2020",
        "issuer_name": "SAFE-CA SHA-256 2020",
        "issuer_der": b"safe-ca",
        "uids": (f"MST:{mst}",) if mst else (),
        "not_before": NOW - timedelta(days=400 - days),
        "not_after": NOW + timedelta(days=20 + days),
        "key_type": "RSA",
        "key_bits": 2048,
        "spki": b"spki",
        "is_ca": False,
    }
    return Certificate(**values | changes)


def token_info(serial: str, **changes: Any) -> TokenInfo:
    values: dict[str, Any] = {
        "serial": serial,
        "label": f"token {serial}",
        "manufacturer": "EnterSafe",
        "model": "ePass2003",
        "firmware": "16.50",
        "hardware": "16.50",
        "pin_state": PinState.OK,
        "pin_min": 6,
        "pin_max": 8,
        "pin_pad": False,
        "write_protected": False,
        "free_public": None,
        "free_private": None,
        "drivers": ("/usr/lib/softhsm/libsofthsm2.so",),
    }
    return TokenInfo(**values | changes)


def reading(serial: str, *certificates: Certificate, **changes: Any) -> Reading:
    stored = tuple(
        StoredCertificate(certificate=one, cka_id=b"\x01", label="cert", key=KeyPresence.UNKNOWN)
        for one in certificates
    )
    return Reading(tokens=(TokenReading(info=token_info(serial), certificates=stored, **changes),))


def renewal(number: int = 1, **changes: Any) -> Renewal:
    values: dict[str, Any] = {
        "id": f"r{number}",
        "token_serial": f"5407150511{number:04d}",
        "authority": "safe-ca",
        "state": State.CONFIRMED,
        "created_at": NOW,
        "updated_at": NOW,
        "old_certificate": b"old %d" % number,
        "old_serial": f"5401{number:028X}",
    }
    return Renewal(**values | changes)
