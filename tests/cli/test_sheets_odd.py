"""Spreadsheets as they come back from people: cells of every kind, damaged, too long, or read where nothing reads workbooks."""

from __future__ import annotations

import csv
import sys
import zipfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from support_agencies import followed, joined
from support_clock import Clocked
from support_dossier import clocked
from support_pins import Person, at_the_keyboard
from support_store import NOW, certificate

from safetok.errors import UsageError
from safetok.workflows import sheets
from safetok.workflows.check_entries import listed

OTHER = certificate(3, mst="0312345678", not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(days=400))


@pytest.fixture
def cli(tmp_path: Path) -> Clocked:
    """A home where two companies' agencies wait; no driver is ever needed."""
    return joined(followed(tmp_path), OTHER)


def workbook(path: Path, *rows: list[Any]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def worklist(cli: Clocked, path: Path, **changed: str) -> tuple[Path, dict[str, str]]:
    """The worklist as CSV with the cells of its first row otherwise, and what that row was."""
    assert cli.json("agencies", "list", "--xlsx", str(path.with_suffix(".xlsx")), "--force").status == 0
    sheet = openpyxl.load_workbook(path.with_suffix(".xlsx")).active
    lines = [[str(cell or "") for cell in row] for row in sheet.iter_rows(values_only=True)]
    row = dict(zip(lines[0], lines[2], strict=True))
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerows([lines[0], lines[1], ({**row, **changed}[head] for head in lines[0])])
    return path, row


def test_a_row_whose_key_was_lost_is_found_by_serial_and_agency(cli: Clocked, tmp_path: Path) -> None:
    """Whoever cut the hidden column off, or typed into it: the row is still this certificate's; an unknown serial is told."""
    path, row = worklist(cli, tmp_path / "w.csv", key="", done_at="23/11/2026 14:00", result="", note="")
    assert cli.json("agencies", "import", str(path)).data["recorded"] == 1
    path, row = worklist(cli, tmp_path / "w.csv", key="", serial="5401", done_at="23/11/2026 14:00")
    said = cli.json("agencies", "import", str(path))
    assert (said.status, said.codes) == (12, ["no_such_registration"])
    assert row["agency"] in said.envelope["errors"][0]["message"]


def test_a_result_without_a_time_is_recorded_once(cli: Clocked, tmp_path: Path) -> None:
    """Rejected with its reason, then handed in again as it is: one change."""
    path, row = worklist(cli, tmp_path / "w.csv", done_at="23/11/2026 14:00", result="bị từ chối", note="sai tên")
    assert cli.json("agencies", "import", str(path)).data["recorded"] == 1
    shown = cli.json("agencies", "list", "--mst", row["mst"]).data["registrations"]
    assert [one["state"] for one in shown if one["agency"] == row["agency"]] == ["rejected"]
    path, row = worklist(cli, tmp_path / "w.csv", done_at="", result="bị từ chối", note="sai tên")
    assert cli.json("agencies", "import", str(path)).data["recorded"] == 0
    path, row = worklist(cli, tmp_path / "w.csv", done_at="", result="không sử dụng")
    assert cli.json("agencies", "import", str(path)).data["recorded"] == 1
    assert cli.json("agencies", "import", str(path)).data["recorded"] == 0


def test_without_a_reader_of_workbooks_each_command_says_what_to_install(
    cli: Clocked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 with the command that installs it, and CSV as the way without."""
    path = workbook(tmp_path / "w.xlsx", ["MST"], ["0100109106"])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    for words in (
        ("agencies", "import"),
        ("dossier", "list", "--from"),
        ("batch", "plan"),
        ("certs", "check", "--from"),
    ):
        said = cli.json(*words, str(path))
        assert (said.status, said.codes) == (2, ["xlsx_missing"]), words
        assert f"{sys.executable} -m pip install openpyxl" in said.envelope["errors"][0]["hint"], (
            "not another Python's pip"
        )


def test_a_workbook_that_is_damaged_inside_is_told(tmp_path: Path) -> None:
    """A zip whose sheet is no XML: named, no traceback."""
    path = workbook(tmp_path / "w.xlsx", ["MST"], ["0100109106"])
    broken = tmp_path / "broken.xlsx"
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(broken, "w") as packed:
        for part in whole.namelist():
            packed.writestr(part, b"<x" if part.endswith("workbook.xml") else whole.read(part))
    with pytest.raises(UsageError) as refused:
        sheets.read(broken)
    assert refused.value.code == "manifest_file"


def test_a_list_longer_than_a_list_can_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a workbook and as text, by rows; the limit is told."""
    monkeypatch.setattr(sheets, "MOST_ROWS", 3)
    book = workbook(tmp_path / "w.xlsx", *([n] for n in range(5)))
    text = tmp_path / "w.csv"
    text.write_text("a\n1\n2\n3\n4\n", encoding="utf-8")
    for path in (book, text):
        with pytest.raises(UsageError) as refused:
            sheets.read(path)
        assert refused.value.code == "manifest_bounds"
        assert "3" in refused.value.message


def test_a_list_of_certificates_reads_cells_as_a_person_does(tmp_path: Path) -> None:
    """Numbers without a tail, dates and ticks for nothing."""
    book = workbook(tmp_path / "w.xlsx", ["ngày", "serial"], [datetime(2026, 1, 1), 540110.0], [True, "5401AA"])  # noqa: DTZ001
    assert [entry.value for entry in listed(book, str)] == ["540110", "5401AA"]


def test_a_reseller_s_workbook_reads_its_days_and_numbers(tmp_path: Path) -> None:
    """Days with a time, days as bare numbers, tax codes as numbers, ticks and empty rows."""
    cli = clocked(tmp_path)
    day = datetime(2027, 1, 15, 8, 30)  # noqa: DTZ001  (Excel knows no zones)
    rows = [["mst", "tên công ty", "tình trạng hồ sơ", "ngày nhận token", "điện thoại"]]
    rows += [["0301519977", "A", "bị thu hồi", day, True], [], ["0106324653", "B", "bị thu hồi", 46402, 909090909.0]]  # type: ignore[list-item]
    said = cli.json("dossier", "list", "--from", str(workbook(tmp_path / "w.xlsx", *rows)))
    assert said.data["failed"] == 0, said.out
    ends = {one["mst"]: one["deadline"]["literal_end"] for one in said.data["dossiers"]}
    assert ends == {"0301519977": "2027-01-18", "0106324653": "2027-01-18"}


def test_a_person_chooses_among_companies(cli: Clocked) -> None:
    """Where two companies wait, a command for one asks which; a script is told to name one."""
    assert cli.json("agencies", "done", "vnaccs").codes == ["several_companies"]
    with at_the_keyboard(Person()) as person:
        said = cli.json("agencies", "done", "vnaccs")
    assert said.status == 0, said.out
    assert sum("MST" in line for line in person.heard) == 2


def test_a_person_chooses_among_dossiers(tmp_path: Path) -> None:
    """Two are open: asked which; the company's name is in the choice."""
    cli = clocked(tmp_path)
    for mst in ("0100109106", "0106324653"):
        said = cli.json(
            "dossier", "start", "--case", "papers-missing", "--mst", mst, "--name", f"CÔNG TY {mst}", "--one"
        )
        assert said.status == 0
    with at_the_keyboard(Person()) as person:
        assert cli.json("dossier", "show").status == 0
    assert any("CÔNG TY 0106324653" in line for line in person.heard)


def test_without_a_dossier_and_without_its_ca_there_is_nothing_to_show(cli: Clocked) -> None:
    """Only certificates of another CA are known: no dossier, and how one is begun."""
    said = cli.json("dossier", "show")
    assert (said.status, said.codes) == (2, ["no_dossier"])
    assert "dossier start" in said.envelope["errors"][0]["hint"]


def two_sheets(path: Path, *first: list[Any], second: str = "Tháng 12") -> Path:
    """A workbook whose second sheet holds the same rows as the first."""
    book = openpyxl.load_workbook(workbook(path, *first))
    sheet = book.create_sheet(second)
    for row in first:
        sheet.append(row)
    book.save(path)
    return path


def test_the_sheets_of_a_worklist_that_are_not_read_are_named(cli: Clocked, tmp_path: Path) -> None:
    """`agencies import` takes the first alone: it says which others hold something, also where the first is no worklist."""
    path = tmp_path / "w.xlsx"
    assert cli.json("agencies", "list", "--xlsx", str(path)).status == 0
    assert cli.json("agencies", "import", str(path)).data["ignored_sheets"] == []
    book = openpyxl.load_workbook(path)
    book.create_sheet("Chi nhánh").append(["x"])
    book.save(path)
    assert cli.json("agencies", "import", str(path)).data["ignored_sheets"] == ["Chi nhánh"]
    assert "Chi nhánh" in cli("agencies", "import", str(path)).out
    cover = two_sheets(path, ["Danh sách"])
    assert "(Sheet)" in cli.json("agencies", "import", str(cover)).envelope["errors"][0]["hint"]


def test_the_sheets_of_a_list_of_clients_that_are_not_read_are_named(tmp_path: Path) -> None:
    """`dossier list` too."""
    cli = clocked(tmp_path)
    path = two_sheets(tmp_path / "c.xlsx", ["mst", "ten"], ["0101000006", "A"])
    said = cli.json("dossier", "list", "--from", str(path))
    assert (len(said.data["dossiers"]), said.data["ignored_sheets"]) == (1, ["Tháng 12"])
    assert "Tháng 12" in cli("dossier", "list", "--from", str(path)).out
    cover = two_sheets(path, ["Danh sách"])
    assert "(Sheet)" in cli.json("dossier", "list", "--from", str(cover)).envelope["errors"][0]["hint"]


def test_the_sheets_of_a_list_to_check_that_are_not_read_are_named(tmp_path: Path) -> None:
    """`certs check --from`: what stands there was not checked, and is not to be thought good."""
    said: list[str] = []
    assert len(listed(two_sheets(tmp_path / "l.xlsx", ["serial"], ["540110"]), said.append)) == 1
    assert "l.xlsx" in said[0]
    assert "Tháng 12" in said[0]
