from __future__ import annotations

import hashlib
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support_agencies import followed
from support_cli import Cli
from support_inside import Inside
from support_store import certificate, reading

from safetok.domain.certificates import Certificate
from safetok.domain.times import rfc3339
from safetok.knowledge import load
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home
from safetok.store.registrations import Registrations

NOW = datetime.now(UTC).replace(microsecond=0)
SEVEN = ["tvan", "etax", "ivan", "bhxh", "ixhd", "vnaccs", "v5"]


def _certificate(number: int, mst: str = "0106324653", **changes: Any) -> Certificate:
    values = {"not_before": NOW - timedelta(days=10), "not_after": NOW + timedelta(days=400)}
    return certificate(number, mst=mst, **values | changes)


NEW = _certificate(2)
OTHER = _certificate(3, mst="0312345678")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line over a home where one certificate was taken over; its driver setting leads nowhere."""
    env = {"SAFETOK_HOME": str(tmp_path / "home"), "SAFETOK_MODULE": str(tmp_path / "no-driver.so")}
    old = _certificate(1, not_before=NOW - timedelta(days=500), not_after=NOW + timedelta(days=5))
    with Database(home(env).database) as db:
        Inventory(db).record(reading("T1", old), NOW - timedelta(days=20))
        Inventory(db).record(reading("T1", old, NEW), NOW - timedelta(days=9))
        Registrations(db).open_for(NEW, load.agencies(), NOW - timedelta(days=9), replaces=old.sha256)
    return Inside(env)


@pytest.fixture
def two(cli: Cli) -> Cli:
    """The same with a second company."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T2", OTHER), NOW - timedelta(days=9))
        Registrations(db).open_for(OTHER, load.agencies(), NOW - timedelta(days=9))
    return cli


def _states(cli: Cli, *words: str) -> dict[str, str]:
    said = cli.json("agencies", "list", *words)
    assert said.status == 0, said.out
    return {row["agency"]: row["state"] for row in said.data["registrations"]}


def _ago(hours: float) -> str:
    return rfc3339(NOW - timedelta(hours=hours))


def test_no_list_for_what_was_named_is_not_said_of_all(two: Cli) -> None:
    """A token of one company and the tax code of another: others' lists are open, and nobody is told that none is."""
    for words in (["list"], ["remind"], ["when", "--need", "31/12/2098 10:00"]):
        said = two("agencies", *words, "--serial", "T2", "--mst", "0106324653", "--lang", "en").out
        assert "No list of agencies is open for what was named." in " ".join(said.split()), words
    for words in (["list"], ["remind"]):
        assert "No list" not in two("agencies", *words, "--lang", "en").out


def test_the_seven_of_the_notice_in_its_order_and_wording(cli: Cli) -> None:
    """The list is the notice's, word for word, and needs neither token nor driver."""
    said = cli.json("agencies", "list")
    assert [row["agency"] for row in said.data["registrations"]] == SEVEN
    assert [row["title"] for row in said.data["registrations"]] == [
        "Thuế (T-VAN TaxOnline)",
        "Kê khai & Nộp thuế (thuedientu.gdt.gov.vn)",
        "BHXH (I-VAN iBHXH)",
        "BHXH (Cổng thông tin điện tử - BHXH Việt Nam)",
        "iXHD (Đăng ký thay đổi 01/ĐKTĐ-HĐĐT)",
        "Hải quan (VNACCS)",
        "Hải quan (V5)",
    ]
    assert {row["state"] for row in said.data["registrations"]} == {"open"}
    assert {row["cert"] for row in said.data["registrations"]} == {NEW.serial}


def test_agencies_alone_is_the_list(cli: Cli) -> None:
    """`safetok agencies` shows what `agencies list` shows."""
    assert cli("agencies").out == cli("agencies", "list").out
    assert NEW.serial in cli("agencies").out


@pytest.mark.parametrize(
    ("name", "state"),
    [*((name, "updated") for name in SEVEN[:4]), *((name, "waiting") for name in SEVEN[4:])],
)
def test_only_customs_and_invoices_start_24_hours(cli: Cli, name: str, state: str) -> None:
    """`done` on customs or e-invoice waits until exactly 24 hours after the moment given; elsewhere nothing waits."""
    said = cli.json("agencies", "done", name, "--at", _ago(2))
    (row,) = said.data["registrations"]
    assert (row["state"], row["updated_at"]) == (state, _ago(2))
    assert row["until"] == (rfc3339(NOW + timedelta(hours=22)) if state == "waiting" else None)
    timers = cli.json("agencies", "list").data["timers"]
    assert [timer["agency"] for timer in timers] == ([name] if state == "waiting" else [])


def test_24_hours_over_is_due_and_only_a_person_accepts(cli: Cli) -> None:
    """After 24 hours the state is due_check (14 with --check), and stays so until a person records an answer."""
    for name in SEVEN[:6]:
        cli.json("agencies", "skip", name)
    cli.json("agencies", "done", "v5", "--at", _ago(24.1))
    assert _states(cli)["v5"] == "due_check"
    checked = cli.json("agencies", "remind", "--check")
    assert (checked.status, checked.codes) == (14, ["due_check"])
    assert cli.json("agencies", "accepted", "v5").status == 0
    assert _states(cli)["v5"] == "accepted"
    assert cli.json("agencies", "remind", "--check").status == 0


def test_open_registrations_end_with_15_under_check_alone(cli: Cli) -> None:
    """`--check` says by its status that something is open; without it looking is success."""
    assert cli.json("agencies", "list", "--check").status == 15
    assert cli.json("agencies", "remind", "--check").codes == ["registrations_open"]
    assert cli.json("agencies", "remind").status == 0


def test_a_future_update_is_refused_and_nothing_recorded(cli: Cli) -> None:
    """A moment that has not come ends with 2, for all agencies named."""
    said = cli.json("agencies", "done", "etax", "vnaccs", "--at", _ago(-1))
    assert (said.status, said.codes) == (2, ["future_time"])
    assert set(_states(cli).values()) == {"open"}


def test_an_update_before_the_issue_is_taken_with_a_warning(cli: Cli) -> None:
    """By less than a day it is recorded as said, with a warning on stderr and in the data; longer before it is refused."""
    begins = NEW.not_before - timedelta(hours=1)
    said = cli.json("agencies", "done", "vnaccs", "--at", rfc3339(begins))
    assert said.status == 0
    assert len(said.data["warnings"]) == 1
    assert "Hải quan (VNACCS)" in said.err
    said = cli.json("agencies", "done", "v5", "bhxh", "--at", rfc3339(begins - timedelta(days=365)))
    assert (said.status, said.codes) == (2, ["before_issue"])
    assert {_states(cli)[name] for name in ("v5", "bhxh")} == {"open"}


def test_a_rejection_is_kept_with_its_reason_as_text(cli: Cli) -> None:
    """What the agency said is shown as it was typed, markup and all, and the agency is open again for --check."""
    cli.json("agencies", "done", "v5")
    cli.json("agencies", "reject", "v5", "--reason", "sai [bold]MST[/bold] <b>\x1b[31m")
    said = cli.json("agencies", "remind", "--check")
    assert said.status == 15
    assert "rejected" in said.codes
    shown = cli("agencies", "list").out
    assert "[bold]MST[/bold] <b>" in shown
    assert "\x1b" not in shown


def test_accepted_needs_an_update_first(cli: Cli) -> None:
    """Nothing can be accepted where nothing was updated."""
    assert cli.json("agencies", "accepted", "vnaccs").codes == ["not_updated"]


def test_an_update_recorded_after_the_acceptance_says_what_it_takes_back(cli: Cli) -> None:
    """Typed once more by mistake it would begin the 24 hours again: it is told, and the command that is named brings it back."""
    cli.json("agencies", "done", "vnaccs")
    assert cli.json("agencies", "accepted", "vnaccs").data["registrations"][0]["state"] == "accepted"
    (told,) = cli.json("agencies", "done", "vnaccs").data["warnings"]
    assert "trước đó đã ghi được chấp nhận" in told
    command = told.partition("safetok ")[2].split()
    assert cli.json(*command).data["registrations"][0]["state"] == "accepted"


def test_skip_is_remembered_for_the_companys_next_certificate(cli: Cli) -> None:
    """An agency that is not used is not opened again for the same MST, and undo takes that back."""
    cli.json("agencies", "skip", "vnaccs", "v5")
    with Database(home(cli.env).database) as db:
        Registrations(db).open_for(_certificate(9), load.agencies(), NOW, replaces=NEW.sha256)
    states = _states(cli)
    assert [name for name, state in states.items() if state == "unused"] == ["vnaccs", "v5"]
    cli.json("agencies", "done", "v5")
    assert _states(cli)["v5"] == "waiting"
    with Database(home(cli.env).database) as db:
        assert Registrations(db).used("0106324653") == {"vnaccs": False, "v5": True}


def test_undo_takes_back_what_was_recorded_last(cli: Cli) -> None:
    """done, then undo: open as before, with no timer; undo again says there is nothing."""
    cli.json("agencies", "done", "ixhd")
    assert cli.json("agencies", "undo", "ixhd").data["registrations"][0]["state"] == "open"
    assert cli.json("agencies", "list").data["timers"] == []
    assert cli.json("agencies", "undo", "ixhd").codes == ["nothing_to_undo"]
    cli.json("agencies", "skip", "etax")
    cli.json("agencies", "undo", "etax")
    with Database(home(cli.env).database) as db:
        assert Registrations(db).used("0106324653").get("etax", True) is True


def test_another_invoice_provider_waits_24_hours_too(cli: Cli) -> None:
    """`add` with the 24-hour rule opens an entry that waits as the notice's do; without it nothing waits."""
    said = cli.json("agencies", "add", "Hóa đơn MISA", "--24h")
    assert said.data["registrations"][0]["agency"] == "hoa-don-misa"
    cli.json("agencies", "add", "ngan-hang", "--title", "Ngân hàng ABC")
    cli.json("agencies", "add", "an-ninh", "--title", "Cổng thứ ba")
    with Database(home(cli.env).database) as db:
        assert [one.name for one in Registrations(db).agencies_added()] == ["hoa-don-misa", "ngan-hang", "an-ninh"]
    cli.json("agencies", "done", "Hóa đơn MISA", "ngan-hang")
    states = _states(cli)
    assert list(states) == [*SEVEN, "hoa-don-misa", "ngan-hang", "an-ninh"]
    assert (states["hoa-don-misa"], states["ngan-hang"]) == ("waiting", "updated")


def test_adding_again_keeps_the_wait_unless_told_otherwise(cli: Cli) -> None:
    """A second `add` without the option changes no rule, and says which one holds; --no-24h takes it away."""
    cli("agencies", "add", "Hóa đơn MISA", "--24h")
    assert "24h00" in cli("agencies", "add", "Hóa đơn MISA", "--title", "MISA meInvoice").out
    with Database(home(cli.env).database) as db:
        (kept,) = Registrations(db).agencies_added()
    assert (kept.title, kept.wait_hours) == ("MISA meInvoice", 24)
    assert "24h00" not in cli("agencies", "add", "Hóa đơn MISA", "--no-24h").out
    with Database(home(cli.env).database) as db:
        assert Registrations(db).agencies_added()[0].wait_hours == 0


def test_an_added_agency_is_opened_for_the_next_certificate_of_that_company_alone(two: Cli) -> None:
    """What one company added is not another's."""
    two.json("agencies", "add", "misa", "--24h", "--mst", "0106324653")
    with Database(home(two.env).database) as db:
        store = Registrations(db)
        every = (*load.agencies(), *store.agencies_added())
        store.open_for(_certificate(9), every, NOW, replaces=NEW.sha256)
        store.open_for(_certificate(10, mst="0312345678"), every, NOW, replaces=OTHER.sha256)
    assert "misa" in _states(two, "--mst", "0106324653")
    assert "misa" not in _states(two, "--mst", "0312345678")


def test_one_of_the_notices_cannot_be_added(cli: Cli) -> None:
    """Its rule and wording are the notice's."""
    assert cli.json("agencies", "add", "VNACCS").codes == ["agency_exists"]
    assert cli.json("agencies", "add", "???").codes == ["bad_name"]
    said = cli.json("agencies", "add", "Hải quan (VNACCS)", "--lang", "vi")
    assert said.codes == ["agency_exists"]
    assert said.envelope["errors"][0]["hint"].endswith("safetok agencies done vnaccs")


@pytest.mark.parametrize("written", ["Hải quan (VNACCS)", "HẢI QUAN (VNACCS)", "hai quan vnaccs"])
def test_an_agency_is_known_by_the_title_that_lists_show(cli: Cli, written: str) -> None:
    """As it is copied from the screen, also with its marks set apart (NFD), and with its own moment behind it."""
    for word in (written, unicodedata.normalize("NFD", written)):
        (row,) = cli.json("agencies", "done", word, "--at", _ago(2), "--lang", "vi").data["registrations"]
        assert row["agency"] == "vnaccs"


@pytest.mark.parametrize(
    "words",
    [("--mst", "0312345678"), ("--serial", "T2"), ("--cert", OTHER.serial), ("--cert", OTHER.serial_decimal)],
)
def test_a_company_is_chosen_by_mst_token_or_certificate(two: Cli, words: tuple[str, str]) -> None:
    """Each way names one company, with no token in; the other's rows stay as they were."""
    assert two.json("agencies", "done", "vnaccs", *words).status == 0
    assert _states(two, "--mst", "0312345678")["vnaccs"] == "waiting"
    assert _states(two, "--mst", "0106324653")["vnaccs"] == "open"
    assert len(_states(two, *words)) == 7


def test_the_list_of_several_companies_names_the_option_that_chooses(two: Cli) -> None:
    """The command under it would otherwise end with 4 in a script."""
    assert "safetok agencies done TÊN --mst MST" in two("agencies", "list", "--lang", "vi").out


def test_several_companies_and_no_choice_end_with_4(two: Cli) -> None:
    """Nothing is recorded, and the choices are in the data; looking shows all of them."""
    said = two.json("agencies", "done", "vnaccs")
    assert (said.status, said.codes) == (4, ["several_companies"])
    assert {one["mst"] for one in said.data["companies"]} == {"0106324653", "0312345678"}
    assert len(two.json("agencies", "list").data["registrations"]) == 14
    assert {row["state"] for row in two.json("agencies", "list").data["registrations"]} == {"open"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("list", "--mst", "0100000000"), "unknown_company"),
        (("list", "--serial", "nope"), "unknown_token"),
        (("remind", "--cert", "ABCD"), "unknown_certificate"),
        (("done", "nope"), "no_such_agency"),
        (("done", "vnaccs", "--at", "lúc nãy"), "bad_time"),
    ],
)
def test_what_safetok_does_not_know_is_said(cli: Cli, words: tuple[str, ...], code: str) -> None:
    """An unknown name ends with 2 and a sentence."""
    said = cli.json("agencies", *words)
    assert (said.status, said.codes) == (2, [code])


def test_the_old_certificates_list_is_there_by_name(cli: Cli) -> None:
    """Rows of a replaced certificate are out of the way, and shown when it is asked for by serial."""
    newer = _certificate(9)
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", newer), NOW)
        Registrations(db).open_for(newer, load.agencies(), NOW, replaces=NEW.sha256)
    rows = cli.json("agencies", "list").data["registrations"]
    assert {row["cert"] for row in rows} == {newer.serial}
    old = cli.json("agencies", "list", "--cert", NEW.serial).data["registrations"]
    assert {row["cert"] for row in old} == {NEW.serial}


def test_looking_changes_nothing(cli: Cli, tmp_path: Path) -> None:
    """`list` and `remind` leave every byte of the home as it was, and make none on a fresh machine."""
    folder = Path(cli.env["SAFETOK_HOME"])
    cli = Cli(cli.env)
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}
    cli("agencies", "list")
    cli("agencies", "remind", "--check")
    assert before == {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}
    fresh = Cli({"SAFETOK_HOME": str(tmp_path / "fresh")})
    assert fresh("agencies", "remind").status == 0
    assert not (tmp_path / "fresh").exists()


def test_many_companies_are_reminded_of_by_what_is_to_do(cli: Inside) -> None:
    """More than three companies: one table for each thing to do, each company once in it, columns the same in all of them."""
    with Database(home(cli.env).database) as db:
        for number in range(4):
            one = _certificate(10 + number, mst=f"01999000{number}8", subject_name=f"CÔNG TY {number}")
            Inventory(db).record(reading(f"T{number + 10}", one), NOW)
            Registrations(db).open_for(one, load.agencies(), NOW)
    cli("agencies", "done", "vnaccs", "v5", "--at", _ago(2), "--mst", "0199900008")
    said = cli("agencies", "remind").out
    lines = said.splitlines()
    assert "Chưa cập nhật, bắt buộc (33)" in lines
    assert len([line for line in lines if line.startswith("CÔNG TY 1 ")]) == 1
    assert "tvan, etax, ivan, bhxh, ixhd, vnaccs, v5" in next(line for line in lines if line.startswith("CÔNG TY 1 "))
    waits = [line for line in lines if line.startswith("CÔNG TY 0 ") and "vnaccs, v5" in line]
    assert len(waits) == 1
    assert "chờ đủ 24h00" in waits[0]
    assert len({line.index("Trạng thái") for line in lines if "Trạng thái" in line}) == 1
    assert "safetok agencies done TÊN --mst MST" in said
    assert "safetok agencies list --xlsx" in said


def test_the_timer_is_told_in_the_notices_words(tmp_path: Path) -> None:
    """Both moments with their weekday in Vietnamese time, and that safetok only takes note."""
    cli = followed(tmp_path)
    cli.later(days=2)
    said = cli("agencies", "done", "vnaccs", "--at", "2026-11-23T16:05").out
    assert "Hải quan (VNACCS): đã cập nhật 16:05 T2 23/11/2026. Đủ 24h00 lúc 16:05 T3 24/11/2026." in said
    assert "safetok chỉ ghi nhận, việc cập nhật do Quý khách làm trên hệ thống." in said
    assert "Kiểm tra rồi ghi `safetok agencies accepted vnaccs`" in said


def test_english_says_the_same(cli: Cli) -> None:
    """`--lang en` leaves no Vietnamese behind but names."""
    cli("agencies", "done", "vnaccs", "--at", _ago(2))
    said = cli("agencies", "remind", "--lang", "en").out
    assert "Not yet updated, mandatory (6)" in said
    assert "waiting for the 24h00 until" in said
    assert "Chưa" not in said
