"""Fills a home with what safetok would remember after years: clients whose tokens are elsewhere, and renewals long done."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path


def _rows(environ: dict[str, str]) -> sqlite3.Connection:
    return sqlite3.connect(Path(environ["SAFETOK_HOME"]) / "state.db")


def remember_clients(environ: dict[str, str], count: int) -> None:
    """`count` certificates of as many companies, each gone with its token."""
    from safetok.domain.certificates import parse
    from safetok.sandbox.books import read_register
    from safetok.sandbox.places import Places
    from safetok.store.database import Database
    from safetok.store.inventory import Inventory

    home = Path(environ["SAFETOK_HOME"])
    entry = read_register(Places(home.parent).ca)[0]
    with Database(home / "state.db") as db:
        inventory, now = Inventory(db), datetime.now(UTC)
        inventory.put_certificate(parse(entry.der), now)
        row = db.row("SELECT * FROM certificates")
        assert row is not None
        names = row.keys()
        with db.transaction():
            for number in range(count):
                values = {**dict(zip(names, row, strict=True)), "sha256": f"{number:064x}", "mst": f"019{number:07d}"}
                values |= {"serial": f"{number:032X}", "company": f"mst:019{number:07d}"}
                db.run(
                    f"INSERT INTO certificates VALUES ({', '.join(f':{n}' for n in names)})",  # noqa: S608  (the table's own columns)
                    values,
                )
                db.run(
                    "INSERT INTO presences VALUES (?, ?, ?, '', 'present', 0, ?, ?)",
                    (f"gone{number:012x}", values["sha256"], b"\1", now.isoformat(), now.isoformat()),
                )


def remember_renewals(environ: dict[str, str], count: int) -> None:
    """`count` renewals that were done, one an hour."""
    begun = datetime(2015, 1, 1, tzinfo=UTC)
    with _rows(environ) as db:
        db.executemany(
            "INSERT INTO renewals (id, token_serial, authority, state, created_at, updated_at, old_serial, mst, rest, running, "
            "unfinished, certificate_sha256, old_certificate) VALUES (?, ?, 'safe-ca', 'DONE', ?, ?, ?, '0100109106', '{}', 0, "
            "0, ?, x'30')",
            (
                (
                    f"{number:08x}",
                    f"token{number % 1000}",
                    (at := (begun + timedelta(hours=number)).isoformat()),
                    at,
                    f"{number:X}",
                    f"{number:064x}",
                )
                for number in range(count)
            ),
        )
