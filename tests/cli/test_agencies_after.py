from __future__ import annotations

import csv
import json
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from icalendar import Calendar
from support_clock import Clocked
from support_notifications import desktop
from support_store import NOW, certificate, reading

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.times import VIETNAM, rfc3339
from safetok.knowledge import load
from safetok.store.answers import Answers
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home
from safetok.store.registrations import Registrations

# NOW is 16:05 on Monday 23/11/2026 in Vietnam.
OLD = certificate(1, not_before=NOW - timedelta(days=500), not_after=NOW + timedelta(days=20))
NEW = certificate(2, not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(days=400))
HOSTILE = certificate(
    4,
    mst="0312345678",
    subject_name='=HYPERLINK("http://x","CÔNG TY")',
    not_before=NOW - timedelta(hours=1),
    not_after=NOW + timedelta(days=400),
)


@pytest.fixture
def cli(tmp_path: Path) -> Clocked:
    """A home where one certificate has just followed another; no driver is ever needed."""
    cli = Clocked({"SAFETOK_HOME": str(tmp_path / "home"), "SAFETOK_MODULE": str(tmp_path / "no-driver.so")}, NOW)
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", OLD), NOW - timedelta(days=20))
        Inventory(db).record(reading("T1", OLD, NEW), NOW)
        Registrations(db).open_for(NEW, load.agencies(), NOW, replaces=OLD.sha256)
    return cli


@pytest.fixture
def two(cli: Clocked) -> Clocked:
    """The same with a second company, whose name would be a formula."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T2", HOSTILE), NOW)
        Registrations(db).open_for(HOSTILE, load.agencies(), NOW)
    return cli


def _heard(cli: Clocked, sha256: str, answer: RevocationAnswer) -> None:
    with Database(home(cli.env).database) as db:
        Answers(db).put_revocation(sha256, Revocation(answer=answer, checked_at=cli.now))


def _rows(cli: Clocked, *words: str) -> dict[str, dict[str, Any]]:
    return {row["agency"]: row for row in cli.json("agencies", "list", *words).data["registrations"]}


def _settings(cli: Clocked, text: str) -> None:
    (Path(cli.env["SAFETOK_HOME"]) / "settings.toml").write_text(text, encoding="utf-8")


# -- what to sign with --------------------------------------------------------------------------------------------------


def test_from_adoption_to_all_accepted(cli: Clocked) -> None:
    """The story: the old one signs until an agency is updated, neither while it waits, the new one afterwards."""
    assert {row["sign_with"] for row in _rows(cli).values()} == {"unchecked"}
    _heard(cli, OLD.sha256, RevocationAnswer.GOOD)
    assert {row["sign_with"] for row in _rows(cli).values()} == {"old"}
    cli.json("agencies", "done", "vnaccs", "v5", "ixhd")
    rows = _rows(cli)
    assert [name for name, row in rows.items() if row["sign_with"] == "neither"] == ["ixhd", "vnaccs", "v5"]
    assert rows["tvan"]["sign_with"] == "old"
    cli.later(hours=24)
    assert {row["state"] for name, row in _rows(cli).items() if name in {"ixhd", "vnaccs", "v5"}} == {"due_check"}
    assert _rows(cli)["vnaccs"]["sign_with"] == "new"
    cli.json("agencies", "accepted", "ixhd", "vnaccs", "v5")
    cli.json("agencies", "done", "tvan", "etax", "ivan", "bhxh", "--at", "hôm nay 8:00")
    cli.json("agencies", "accepted", "tvan", "etax", "ivan", "bhxh")
    assert {row["sign_with"] for row in _rows(cli).values()} == {"new"}
    assert cli.json("agencies", "remind", "--check").status == 0


def test_an_old_one_that_expires_or_is_revoked_no_longer_signs(cli: Clocked) -> None:
    """The column says neither, and why."""
    _heard(cli, OLD.sha256, RevocationAnswer.REVOKED)
    assert _rows(cli)["tvan"]["sign_with"] == "neither"
    assert "THU HỒI" in cli("agencies", "list").out
    _heard(cli, OLD.sha256, RevocationAnswer.GOOD)
    cli.later(days=21)
    assert _rows(cli)["tvan"]["sign_with"] == "neither"


def test_etax_has_two_halves(cli: Clocked) -> None:
    """One half leaves it open and names the other; the second completes it, at the later moment; undo takes one back."""
    said = cli("agencies", "done", "etax:khai", "--at", "15:00").out
    assert "còn: Nộp thuế điện tử" in said
    assert _rows(cli)["etax"]["state"] == "open"
    assert [part["part"] for part in _rows(cli)["etax"]["parts"]] == ["khai"]
    cli.json("agencies", "done", "etax:nop", "--at", "16:00")
    row = _rows(cli)["etax"]
    assert (row["state"], row["updated_at"]) == ("updated", rfc3339(NOW - timedelta(minutes=5)))
    cli.json("agencies", "undo", "etax")
    assert _rows(cli)["etax"]["state"] == "open"
    assert cli.json("agencies", "done", "etax:x").codes == ["no_such_part"]
    assert cli.json("agencies", "done", "vnaccs:khai").codes == ["no_such_part"]


def test_several_at_once_each_with_its_own_time(cli: Clocked) -> None:
    """`vnaccs@14:00 v5` with --at: each has its own moment, in one command; one that cannot be read leaves all as they were."""
    cli.json("agencies", "done", "vnaccs@14:00", "v5@hôm qua 9h", "ixhd", "--at", "15:30")
    until = {name: _rows(cli)[name]["until"] for name in ("vnaccs", "v5", "ixhd")}
    assert until == {
        "vnaccs": "2026-11-24T07:00:00Z",
        "v5": "2026-11-23T02:00:00Z",
        "ixhd": "2026-11-24T08:30:00Z",
    }
    assert cli.json("agencies", "done", "tvan", "ivan@nghỉ").codes == ["bad_time"]
    assert _rows(cli)["tvan"]["state"] == "open"


# -- filings ------------------------------------------------------------------------------------------------------------


def _answers(cli: Clocked, need: str, *words: str) -> dict[str, dict[str, Any]]:
    return {row["agency"]: row for row in cli.json("agencies", "when", "--need", need, *words).data["agencies"]}


def test_when_to_update_for_a_filing(cli: Clocked) -> None:
    """For Wednesday 10:00 customs must be updated by Tuesday 10:00; where no wait is stated, before the filing itself."""
    answers = _answers(cli, "T4 10:00")
    assert answers["vnaccs"]["latest"] == "2026-11-24T03:00:00Z"
    assert (answers["vnaccs"]["rule"], answers["vnaccs"]["amount"]) == ("hours", 24)
    assert answers["tvan"]["latest"] == "2026-11-25T03:00:00Z"
    assert "cập nhật chậm nhất 10:00 T3 24/11/2026" in cli("agencies", "when", "vnaccs", "--need", "25/11 10:00").out


def test_too_late_for_a_filing_says_to_file_with_the_old_one_first(cli: Clocked) -> None:
    """In the notice's words; and once the old one has expired, to update at once and ask."""
    _heard(cli, OLD.sha256, RevocationAnswer.GOOD)
    said = cli("agencies", "when", "vnaccs", "--need", "24/11 10:00").out
    assert "Hải quan (VNACCS): cập nhật bây giờ thì đến 16:05 T3 24/11/2026 mới được chấp nhận" in said
    assert "KHÔNG kịp hạn 10:00 T3 24/11/2026" in said
    assert "nộp bằng CTS cũ trước, cập nhật sau" in said
    assert _answers(cli, "24/11 10:00")["vnaccs"]["old_first"] is True
    cli.later(days=30)
    late = _answers(cli, "mai 10:00")["vnaccs"]
    assert (late["answer"], late["old_first"]) == ("too_late", False)
    assert "Không dùng được CTS cũ" in cli("agencies", "when", "vnaccs", "--need", "mai 10:00").out


def test_a_filing_that_has_passed_is_refused(cli: Clocked) -> None:
    """With 2 and an example."""
    assert cli.json("agencies", "when", "--need", "23/11 10:00").codes == ["past_time"]
    assert cli.json("agencies", "when", "--need", "bao giờ").codes == ["bad_time"]


def test_rules_of_the_users_and_of_a_ca_replace_the_notices(cli: Clocked) -> None:
    """The user's rule for an agency goes before its CA's, and both before knowledge; each with its source."""
    _settings(
        cli,
        """
[agencies.vnaccs.acceptance]
rule = "working_days"
amount = 1
source = "Chi cục"

[authorities.safe-ca.acceptance.vnaccs]
rule = "next_midnight"

[authorities.safe-ca.acceptance.tvan]
rule = "working_hours"
amount = 4
source = "CA"

[holidays]
off = [2026-11-24]
""",
    )
    answers = _answers(cli, "27/11 16:00")
    assert answers["vnaccs"]["rule"] == "working_days"
    assert answers["vnaccs"]["source"] == "Chi cục"
    assert answers["tvan"]["latest"] == "2026-11-27T04:00:00Z"
    assert answers["v5"]["rule"] == "hours"
    said = cli("agencies", "done", "vnaccs").out
    assert "Hết thời gian chờ lúc 16:05 T4 25/11/2026" in said


@pytest.mark.parametrize(
    "text",
    [
        '[agencies.v5.acceptance]\nrule = "soon"',
        '[agencies.v5.acceptance]\nrule = "hours"',
        '[agencies.v5.acceptance]\nrule = "hours"\namount = 100000',
        "[agencies.v5]\nwait = 3",
        "[holidays]\noff = [1]",
        "[office]\nweekdays = [0]",
        "[office]\nhours = [[12:00:00, 08:00:00]]",
    ],
)
def test_a_rule_that_cannot_be_is_refused(cli: Clocked, text: str) -> None:
    """The file, the key and what is expected are named."""
    _settings(cli, text)
    assert cli.json("agencies", "list").codes == ["bad_settings"]


def test_overdue_is_red_only_when_nobody_acted(cli: Clocked) -> None:
    """Two days after opening what nobody touched is reported; a half done yesterday is not, and without --overdue all is."""
    cli.later(hours=47)
    assert cli.json("agencies", "list", "--overdue", "2d").status == 0
    cli.json("agencies", "done", "etax:khai", "vnaccs")
    cli.later(hours=2)
    said = cli.json("agencies", "remind", "--overdue", "2d")
    assert said.status == 15
    assert [row["agency"] for row in said.data["registrations"] if row["overdue"]] == [
        *("tvan", "ivan", "bhxh", "ixhd", "v5")
    ]
    cli.later(hours=24 + 46)
    over = cli.json("agencies", "list", "--overdue", "2d")
    assert {row["agency"]: row["overdue"] for row in over.data["registrations"]}["vnaccs"] is False
    cli.later(hours=4)
    assert cli.json("agencies", "list", "--overdue", "2d").status == 14
    assert cli.json("agencies", "list", "--overdue", "soon").codes == ["bad_age"]


# -- the worklist -------------------------------------------------------------------------------------------------------


def _sheet(cli: Clocked, path: Path) -> Any:
    said = cli.json("agencies", "list", "--xlsx", str(path))
    assert said.status == 0
    assert said.data["xlsx"] == str(path)
    return openpyxl.load_workbook(path)


def _fill(book: Any, path: Path, *filled: tuple[str, str, Any, str]) -> None:
    """Company's MST, agency, done-at, result."""
    sheet = book.active
    heads = {cell.value: cell.column for cell in sheet[1]}
    for mst, agency, done_at, result in filled:
        for row in range(3, sheet.max_row + 1):
            if sheet.cell(row, heads["mst"]).value == mst and sheet.cell(row, heads["agency"]).value == agency:
                sheet.cell(row, heads["done_at"]).value = done_at
                sheet.cell(row, heads["result"]).value = result
    book.save(path)


def test_a_worklist_goes_out_and_comes_back(two: Clocked, tmp_path: Path) -> None:
    """Staff fill in times as Excel's or as text and results in words; importing records them, and again changes nothing."""
    path = tmp_path / "viec.xlsx"
    book = _sheet(two, path)
    assert book.active.max_row == 2 + 14
    _fill(
        book,
        path,
        ("0106324653", "vnaccs", datetime(2026, 11, 23, 14, 0), ""),  # noqa: DTZ001  (Excel knows no zones)
        ("0106324653", "etax", "hôm qua 15:00", "Được chấp nhận"),
        ("0312345678", "v5", None, "không sử dụng"),
        ("0312345678", "tvan", "lúc nãy", ""),
        ("0312345678", "bhxh", "8:00", "chắc được"),
    )
    dry = two.json("agencies", "import", str(path), "--dry-run")
    assert (dry.data["recorded"], dry.data["failed"]) == (3, 2)
    assert _rows(two, "--mst", "0106324653")["vnaccs"]["state"] == "open"
    said = two.json("agencies", "import", str(path))
    assert (said.status, said.data["recorded"], said.data["failed"]) == (12, 3, 2)
    assert said.codes == ["bad_time", "bad_result"]
    rows = _rows(two, "--mst", "0106324653")
    assert rows["vnaccs"]["until"] == "2026-11-24T07:00:00Z"
    assert rows["etax"]["state"] == "accepted"
    assert _rows(two, "--mst", "0312345678")["v5"]["state"] == "unused"
    again = two.json("agencies", "import", str(path))
    assert (again.data["recorded"], again.data["unchanged"]) == (0, 3)
    two.json("agencies", "undo", "vnaccs", "--mst", "0106324653")
    assert _rows(two, "--mst", "0106324653")["vnaccs"]["state"] == "open"


def test_a_worklist_handed_back_untouched_changes_nothing(two: Clocked, tmp_path: Path) -> None:
    """Whatever an agency said when it refused, control characters and line breaks too, is no news when it comes back."""
    reason = "sai Serial\n=1+1 \x1b[2J \u202elanh\u202c  xem lại"
    two.json("agencies", "done", "ixhd", "--mst", "0106324653")
    two.json("agencies", "reject", "ixhd", "--reason", reason, "--mst", "0106324653")
    path = tmp_path / "w.xlsx"
    _sheet(two, path)
    said = two.json("agencies", "import", str(path))
    assert (said.status, said.data["recorded"], said.data["unchanged"]) == (0, 0, 1)


def test_a_worklist_saved_as_csv_or_without_its_formats_is_read(two: Clocked, tmp_path: Path) -> None:
    """Staff who save it as CSV, or whose program turned the time into a bare number, are understood all the same."""
    book = _sheet(two, tmp_path / "w.xlsx")
    lines = [[str(cell or "") for cell in row] for row in book.active.iter_rows(values_only=True)]
    at = lines[0].index("done_at")
    next(line for line in lines if line[:3] == ["0106324653", NEW.subject_name, "v5"])[at] = "23/11/2026 14:00"
    path = tmp_path / "w.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows(lines)
    assert two.json("agencies", "import", str(path)).data["recorded"] == 1
    assert _rows(two, "--mst", "0106324653")["v5"]["until"] == "2026-11-24T07:00:00Z"
    book = _sheet(two, tmp_path / "w.xlsx")
    _fill(book, tmp_path / "w.xlsx", ("0312345678", "vnaccs", 46349.25, ""))  # 06:00 on 23/11/2026
    for cell in next(book.active.iter_cols(min_col=at + 1, max_col=at + 1, min_row=3)):
        cell.number_format = "General"
    book.save(tmp_path / "w.xlsx")
    assert two.json("agencies", "import", str(tmp_path / "w.xlsx")).codes == []
    assert _rows(two, "--mst", "0312345678")["vnaccs"]["updated_at"] == "2026-11-22T23:00:00Z"


def test_formulas_in_names_stay_text(two: Clocked, tmp_path: Path) -> None:
    """A company called like a formula is written as text, and no cell of the file computes anything."""
    book = _sheet(two, tmp_path / "w.xlsx")
    cells = [cell for row in book.active.iter_rows(min_row=3) for cell in row]
    assert any(cell.value == HOSTILE.subject_name for cell in cells)
    assert "f" not in {cell.data_type for cell in cells}
    with zipfile.ZipFile(tmp_path / "w.xlsx") as packed:
        assert b"<f>" not in packed.read("xl/worksheets/sheet1.xml")


def test_what_is_no_worklist_is_refused(cli: Clocked, tmp_path: Path) -> None:
    """Not a workbook, another workbook, a bomb, a document type, a missing file: named, and nothing is recorded."""
    path = tmp_path / "w.xlsx"
    path.write_bytes(b"PK not really")
    assert cli.json("agencies", "import", str(path)).codes == ["bad_worklist"]
    openpyxl.Workbook().save(path)
    assert cli.json("agencies", "import", str(path)).codes == ["bad_worklist"]
    _sheet(cli, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("bomb.bin", b"\0" * (101 << 20))
    assert cli.json("agencies", "import", str(path)).codes == ["bad_worklist"]
    _sheet(cli, path)
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("xl/x.xml", b'<!DOCTYPE x [<!ENTITY a "b">]><x/>')
    assert cli.json("agencies", "import", str(path)).codes == ["bad_worklist"]
    assert cli.json("agencies", "import", str(tmp_path / "none.xlsx")).codes == ["bad_worklist"]
    path.write_bytes(b"\0" * ((10 << 20) + 1))
    assert cli.json("agencies", "import", str(path)).codes == ["bad_worklist"]


# -- reminders ----------------------------------------------------------------------------------------------------------


def _calendar(cli: Clocked, path: Path) -> dict[str, Any]:
    said = cli.json("agencies", "remind", "--ics", str(path))
    assert (said.status, said.data["ics"]) == (0, str(path))
    parts = Calendar.from_ical(path.read_bytes()).walk()
    return {str(part["uid"]): part for part in parts if part.name in {"VEVENT", "VTODO"}}


def test_a_calendar_follows_what_is_recorded(cli: Clocked, tmp_path: Path) -> None:
    """Seven to-dos at first; an update completes one and adds the end of its wait; undo cancels that; UIDs stay, SEQUENCE grows."""
    path = tmp_path / "c.ics"
    first = _calendar(cli, path)
    assert [part.name for part in first.values()] == ["VTODO"] * 7
    cli.json("agencies", "done", "vnaccs")
    cli.later(minutes=1)
    second = _calendar(cli, path)
    assert {*first} < {*second}
    (wait,) = (part for part in second.values() if part.name == "VEVENT")
    assert wait["dtstart"].dt == (NOW + timedelta(hours=24)).astimezone(VIETNAM)
    changed = [uid for uid in first if second[uid]["sequence"] != first[uid]["sequence"]]
    assert len(changed) == 1
    assert second[changed[0]]["status"] == "COMPLETED"
    cli.json("agencies", "undo", "vnaccs")
    third = _calendar(cli, path)
    assert third[str(wait["uid"])]["status"] == "CANCELLED"
    assert third[str(wait["uid"])]["sequence"] > wait["sequence"]
    assert third[changed[0]]["status"] == "NEEDS-ACTION"


def test_the_desktop_is_told_what_is_to_do(two: Clocked, tmp_path: Path) -> None:
    """One notification with a line a company, names escaped (its body is markup); where nothing is due nothing is shown."""
    with desktop(tmp_path) as (address, shown):
        said = two.json("agencies", "remind", "--notify", env={"DBUS_SESSION_BUS_ADDRESS": address})
        assert (said.status, said.data["notified"]) == (0, True)
        (name, title, body) = shown.get(timeout=10)
        assert name == "safetok"
        assert "2" in title
        assert '=HYPERLINK("http://x"' in body
        for agency in ("tvan", "etax", "ivan", "bhxh", "ixhd", "vnaccs", "v5"):
            for mst in ("0106324653", "0312345678"):
                two.json("agencies", "skip", agency, "--mst", mst)
        said = two.json("agencies", "remind", "--notify", env={"DBUS_SESSION_BUS_ADDRESS": address})
        assert said.data["notified"] is False
        assert shown.empty()


@pytest.mark.parametrize("address", ["", "unix:path=/nonexistent/bus", "nonsense"])
def test_without_a_desktop_it_says_so(cli: Clocked, address: str) -> None:
    """No session bus, or one that does not answer, ends with 2 and what to use instead."""
    said = cli.json("agencies", "remind", "--notify", env={"DBUS_SESSION_BUS_ADDRESS": address})
    assert (said.status, said.codes) == (2, ["no_session_bus"])


def test_hooks_are_told_of_updates_waits_and_acceptances_once(cli: Clocked, tmp_path: Path) -> None:
    """An update, the end of its wait (when `remind --hooks` runs) and the acceptance, each once, with the row as data."""
    folder = Path(cli.env["SAFETOK_HOME"]) / "hooks"
    folder.mkdir(mode=0o700)
    hook = folder / "note"
    hook.write_text(f"#!/bin/sh\ncat >> {tmp_path}/said\n")
    hook.chmod(0o700)
    cli.json("agencies", "done", "vnaccs", "etax")
    cli.later(hours=25)
    cli.json("agencies", "remind")
    for _time in range(2):
        cli.json("agencies", "remind", "--hooks")
    cli.json("agencies", "accepted", "vnaccs")
    told = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    assert [(one["event"], one["data"]["agency"]) for one in told] == [
        ("updated", "vnaccs"),
        ("updated", "etax"),
        ("wait_over", "vnaccs"),
        ("accepted", "vnaccs"),
    ]
    hook.write_text("#!/bin/sh\nexit 1\n")
    said = cli.json("agencies", "accepted", "etax")
    assert said.status == 0
    assert "agencies hooks --retry" in said.err
    assert _rows(cli)["etax"]["state"] == "accepted"
    assert cli.json("agencies", "hooks").data["runs"][0]["outcome"] == "failed"
    assert cli.json("agencies", "hooks", "--retry").status == 12


def test_units_name_this_installation_and_this_home(cli: Clocked) -> None:
    """A timer, a cron line and a Windows task, each with the home in force, and nothing is written anywhere."""
    data = cli.json("agencies", "remind", "--unit").data
    assert set(data["systemd"]) == {"safetok-remind.service", "safetok-remind.timer"}
    assert f"SAFETOK_HOME={cli.env['SAFETOK_HOME']}" in data["systemd"]["safetok-remind.service"]
    assert "Asia/Ho_Chi_Minh" in data["systemd"]["safetok-remind.timer"]
    assert data["cron"].startswith("30 8,13 * * 1-5 SAFETOK_HOME=")
    assert data["windows"].startswith("schtasks /Create ")
    odd = cli.json("agencies", "remind", "--unit", env={"SAFETOK_HOME": "/tmp/50% of $it"}).data
    assert '"SAFETOK_HOME=/tmp/50%% of $it"' in odd["systemd"]["safetok-remind.service"]
    assert r"'/tmp/50\% of $it'" in odd["cron"]
