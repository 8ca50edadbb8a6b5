"""Two top-ups in a row, the second before every agency has learned the first: each is told by what it knows."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from support_agencies import NEW, NEWEST, OLD, followed, listed, overtaken
from support_clock import Clocked
from support_store import NOW, reading

from safetok.knowledge import load
from safetok.reports.einvoice import xml_file
from safetok.reports.page import page
from safetok.store import settings
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home
from safetok.store.registrations import Registrations
from safetok.workflows.batch.quiet import Quiet
from safetok.workflows.context import Context
from safetok.workflows.export import kit_of


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


@pytest.mark.parametrize("learned", ["vnaccs", "ixhd"])
def test_the_kit_names_to_each_agency_the_one_it_knows(tmp_path: Path, learned: str) -> None:
    """Customs' old serial to log in, and the row of 01/ĐKTĐ-HĐĐT that stops one: the one in between only where it was learned."""
    cli = followed(tmp_path)
    cli.json("agencies", "done", learned)
    overtaken(cli)
    own = settings.load(home(cli.env), cli.env)
    context = Context(settings=own, prompter=Quiet(), clock=lambda: cli.now, random=bytes)
    with closing(context):
        kit = kit_of(context, NEWEST, NEW)
    (customs,) = re.findall(r'id="agency-vnaccs".*?</dl>', page(kit), re.DOTALL)
    for named, agency in ((customs, "vnaccs"), (xml_file(kit.rows[-1]).decode(), "ixhd")):
        assert [one.serial in named for one in (OLD, NEW)] == [agency != learned, agency == learned]


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
