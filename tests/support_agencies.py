"""What tests of the agencies share: a home where one certificate has just followed another, at a moment of theirs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from support_clock import Clocked
from support_store import NOW, certificate, reading

from safetok.domain.certificates import Certificate
from safetok.knowledge import load
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home
from safetok.store.registrations import Registrations

# NOW is 16:05 on Monday 23/11/2026 in Vietnam.
OLD = certificate(1, not_before=NOW - timedelta(days=500), not_after=NOW + timedelta(days=20))
NEW = certificate(2, not_before=NOW - timedelta(hours=9), not_after=NOW + timedelta(days=400))
NEWEST = certificate(3, not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(days=700))
HOSTILE = certificate(
    4,
    mst="0312345678",
    subject_name='=HYPERLINK("http://x","CÔNG TY")',
    not_before=NOW - timedelta(hours=9),
    not_after=NOW + timedelta(days=400),
)


def followed(folder: Path) -> Clocked:
    """A home where NEW has just followed OLD; no driver is ever needed."""
    cli = Clocked({"SAFETOK_HOME": str(folder / "home"), "SAFETOK_MODULE": str(folder / "no-driver.so")}, NOW)
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", OLD), NOW - timedelta(days=20))
        Inventory(db).record(reading("T1", OLD, NEW), NOW)
        Registrations(db).open_for(NEW, load.agencies(), NOW, replaces=OLD.sha256)
    return cli


def overtaken(cli: Clocked) -> Clocked:
    """NEWEST has followed NEW in its turn, now."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", OLD, NEW, NEWEST), cli.now)
        Registrations(db).open_for(NEWEST, load.agencies(), cli.now, replaces=NEW.sha256)
    return cli


def joined(cli: Clocked, second: Certificate) -> Clocked:
    """The same with a second company's certificate, which every agency must learn too."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T2", second), NOW)
        Registrations(db).open_for(second, load.agencies(), NOW)
    return cli


def listed(cli: Clocked, *words: str) -> dict[str, dict[str, Any]]:
    """The rows of `agencies list`, by agency."""
    return {row["agency"]: row for row in cli.json("agencies", "list", *words).data["registrations"]}
