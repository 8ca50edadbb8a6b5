"""Two top-ups in a row, the second before every agency has learned the first: each is told by what it knows."""

from __future__ import annotations

from pathlib import Path

from support_agencies import NEW, NEWEST, OLD, followed, listed, overtaken
from support_clock import Clocked
from support_store import NOW, reading

from safetok.knowledge import load
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home
from safetok.store.registrations import Registrations


def test_an_agency_that_missed_a_certificate_still_knows_the_one_before(tmp_path: Path) -> None:
    """Updated or accepted there, it is the old one now; never updated or rejected, the one before it is. The screen says which."""
    cli = followed(tmp_path)
    cli.json("agencies", "done", "vnaccs", "v5", "bhxh")
    cli.later(hours=25)
    cli.json("agencies", "accepted", "vnaccs")
    cli.json("agencies", "reject", "v5", "--reason", "sai")
    overtaken(cli)
    known = {name: row["old_cert"] for name, row in listed(cli).items()}
    first, second = ["tvan", "etax", "ivan", "ixhd", "v5"], ["bhxh", "vnaccs"]
    assert known == dict.fromkeys(first, OLD.serial) | dict.fromkeys(second, NEW.serial)
    shown = " ".join(cli("agencies", "list").out.split())
    for names, old in ((first, OLD), (second, NEW)):
        assert f"Hôm nay ở {', '.join(names)} ký bằng CTS cũ, sau khi kiểm tra ({old.serial})" in shown


def test_where_the_one_before_is_not_known_none_is_named(tmp_path: Path) -> None:
    """The agency never had the one in between, and safetok never saw what came before: sign with neither, and why."""
    cli = Clocked({"SAFETOK_HOME": str(tmp_path / "home"), "SAFETOK_MODULE": str(tmp_path / "no-driver.so")}, NOW)
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", NEW), NOW)
        Registrations(db).open_for(NEW, load.agencies(), NOW)
    cli.later(hours=1)
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", NEW, NEWEST), cli.now)
        Registrations(db).open_for(NEWEST, load.agencies(), cli.now, replaces=NEW.sha256)
    rows = listed(cli).values()
    assert {(row["old_cert"], row["sign_with"]) for row in rows} == {(None, "neither")}
