"""The worklist: written as a workbook, filled in, handed back, and refused where it is none."""

from __future__ import annotations

import csv
import shlex
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import openpyxl
import pytest
from support_agencies import HOSTILE, NEW, followed, joined, listed, overtaken
from support_clock import Clocked
from support_store import certificate

from safetok.domain.agencies import Registration
from safetok.errors import Unexpected
from safetok.store.registrations import Registrations


@pytest.fixture
def cli(tmp_path: Path) -> Clocked:
    """A home where one certificate has just followed another; no driver is ever needed."""
    return followed(tmp_path)


@pytest.fixture
def two(cli: Clocked) -> Clocked:
    """The same with a second company, whose name would be a formula."""
    return joined(cli, HOSTILE)


def test_the_way_back_is_a_command_that_can_be_typed(two: Clocked, tmp_path: Path) -> None:
    """The remark names the file just written, in quotes where it has a space; as it stands, it reads that file."""
    path = tmp_path / "bang viec.csv"
    told = two("agencies", "list", "--xlsx", str(path)).err
    words = shlex.split(next(line for line in told.splitlines() if "agencies import" in line).partition(": ")[2])
    at = words.index("safetok")
    assert words[at:] == ["safetok", "agencies", "import", str(path)]
    assert two.json(*words[at + 1 :]).status == 0


def _sheet(cli: Clocked, path: Path) -> Any:
    said = cli.json("agencies", "list", "--xlsx", str(path), "--force")
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
    assert listed(two, "--mst", "0106324653")["vnaccs"]["state"] == "open"
    said = two.json("agencies", "import", str(path))
    assert (said.status, said.data["recorded"], said.data["failed"]) == (12, 3, 2)
    assert said.codes == ["bad_time", "bad_result"]
    rows = listed(two, "--mst", "0106324653")
    assert rows["vnaccs"]["until"] == "2026-11-24T07:00:00Z"
    assert rows["etax"]["state"] == "accepted"
    assert listed(two, "--mst", "0312345678")["v5"]["state"] == "unused"
    again = two.json("agencies", "import", str(path))
    assert (again.data["recorded"], again.data["unchanged"]) == (0, 3)
    two.json("agencies", "undo", "vnaccs", "--mst", "0106324653")
    assert listed(two, "--mst", "0106324653")["vnaccs"]["state"] == "open"


def test_of_a_company_s_two_tokens_one_is_chosen_by_its_certificate(cli: Clocked) -> None:
    """The tax code, which both have, is not named as the way to choose: neither under the list, nor where it was tried."""
    other = certificate(5, mst=NEW.mst, not_before=NEW.not_before, not_after=NEW.not_after)
    second = joined(cli, other)
    for shown in (second("agencies", "list").out, second("agencies", "remind").out):
        assert ("done TÊN --cert SỐ_SERIAL" in shown, "--mst" in shown) == (True, False)
    said = second.json("agencies", "done", "etax", "--mst", NEW.mst or "")
    assert (said.status, said.codes) == (4, ["several_companies"])
    hint = said.envelope["errors"][0]["hint"]
    assert ("--mst" in hint, NEW.serial in hint, other.serial in hint) == (False, True, True)
    assert second.json("agencies", "done", "etax", "--cert", NEW.serial).status == 0


def test_a_worklist_handed_back_untouched_changes_nothing(two: Clocked, tmp_path: Path) -> None:
    """Whatever an agency said when it refused, control characters and line breaks too, is no news when it comes back."""
    reason = "sai Serial\n=1+1 \x1b[2J \u202elanh\u202c  xem lại"
    two.json("agencies", "done", "ixhd", "--mst", "0106324653")
    two.json("agencies", "reject", "ixhd", "--reason", reason, "--mst", "0106324653")
    path = tmp_path / "w.xlsx"
    _sheet(two, path)
    said = two.json("agencies", "import", str(path))
    assert (said.status, said.data["recorded"], said.data["unchanged"]) == (0, 0, 1)


def test_a_time_beside_not_used_is_told(two: Clocked, tmp_path: Path) -> None:
    """Staff updated an agency that the list still calls not used: the word stands, and what was not recorded is said."""
    two.json("agencies", "skip", "v5", "--mst", "0106324653")
    path = tmp_path / "w.xlsx"
    book = _sheet(two, path)
    unused = "không sử dụng"
    _fill(book, path, ("0106324653", "v5", "23/11/2026 14:00", unused), ("0106324653", "tvan", "-", unused))
    said = two.json("agencies", "import", str(path))
    assert (said.status, said.data["recorded"], said.data["unchanged"]) == (0, 1, 0)
    (told,) = said.data["warnings"]
    assert "Hải quan (V5): kết quả là không sử dụng nên không ghi lần cập nhật lúc 14:00 T2 23/11/2026" in told


def test_a_list_from_before_a_newer_certificate_is_recorded_as_what_it_is(two: Clocked, tmp_path: Path) -> None:
    """What staff did with the sheet of the certificate before is recorded for that one, and they are told that it is not enough."""
    path = tmp_path / "w.xlsx"
    book = _sheet(two, path)
    overtaken(two)
    _fill(book, path, ("0106324653", "vnaccs", "23/11/2026 15:00", ""))
    said = two.json("agencies", "import", str(path))
    (told,) = said.data["warnings"]
    assert f"đã ghi cho số Serial {NEW.serial}, đã có CTS mới hơn thay thế" in told
    rows = listed(two, "--mst", "0106324653")
    assert (rows["vnaccs"]["state"], rows["vnaccs"]["old_cert"]) == ("open", NEW.serial)


def test_an_update_in_a_sheet_of_what_has_ended_is_remarked(two: Clocked, tmp_path: Path) -> None:
    """It is recorded, as by `agencies done`, and said to be of no use: no agency takes that certificate any more."""
    path = tmp_path / "w.xlsx"
    _fill(_sheet(two, path), path, (NEW.mst or "", "ivan", "23/11/2026 16:05", ""))
    two.later(days=401)
    said = two.json("agencies", "import", str(path))
    assert said.data["recorded"] == 1
    assert [text for text in said.data["warnings"] if NEW.serial in text and "đã hết hạn hoặc bị thu hồi" in text]


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
    assert listed(two, "--mst", "0106324653")["v5"]["until"] == "2026-11-24T07:00:00Z"
    book = _sheet(two, tmp_path / "w.xlsx")
    _fill(book, tmp_path / "w.xlsx", ("0312345678", "vnaccs", 46349.25, ""))  # 06:00 on 23/11/2026
    for cell in next(book.active.iter_cols(min_col=at + 1, max_col=at + 1, min_row=3)):
        cell.number_format = "General"
    book.save(tmp_path / "w.xlsx")
    assert two.json("agencies", "import", str(tmp_path / "w.xlsx")).codes == []
    assert listed(two, "--mst", "0312345678")["vnaccs"]["updated_at"] == "2026-11-22T23:00:00Z"


@pytest.mark.parametrize(("above", "titles"), [(1, True), (0, False), (2, False)])
def test_rows_are_found_whatever_became_of_those_above_them(
    two: Clocked, tmp_path: Path, above: int, titles: bool
) -> None:
    """Staff put the month above the list, or take its row of titles away: the first company's row is recorded, and nothing else is
    taken for one.
    """
    path = tmp_path / "w.xlsx"
    book = _sheet(two, path)
    first = [cell.value for cell in book.active[3]][:3]
    _fill(book, path, (first[0], first[2], "23/11/2026 14:00", ""))
    if not titles:
        book.active.delete_rows(2)
    if above:
        book.active.insert_rows(1, above)
        book.active["A1"] = "THÁNG 11"
    book.save(path)
    said = two.json("agencies", "import", str(path))
    assert (said.status, said.data["recorded"], said.codes) == (0, 1, [])
    assert listed(two, "--mst", first[0])[first[2]]["updated_at"] == "2026-11-23T07:00:00Z"


def test_an_apostrophe_before_what_is_filled_in_is_no_part_of_it(two: Clocked, tmp_path: Path) -> None:
    """Staff who type one to keep a cell as text, in a program that takes it for a letter, are understood."""
    path = tmp_path / "w.xlsx"
    _fill(_sheet(two, path), path, ("0106324653", "vnaccs", "'23/11/2026 14:00", "'được chấp nhận"))
    assert two.json("agencies", "import", str(path)).data["recorded"] == 1
    row = listed(two, "--mst", "0106324653")["vnaccs"]
    assert (row["state"], row["updated_at"]) == ("accepted", "2026-11-23T07:00:00Z")


def test_a_day_alone_starts_no_24_hours(two: Clocked, tmp_path: Path) -> None:
    """A cell of a spreadsheet that holds a day is its midnight: Customs' wait would be over before it is. Elsewhere the day is
    enough, and where the agency has answered.
    """
    path, day = tmp_path / "w.xlsx", datetime(2026, 11, 23)  # noqa: DTZ001  (Excel knows no zones)
    mst = "0106324653"
    accepted = "được chấp nhận"
    _fill(_sheet(two, path), path, (mst, "vnaccs", day, ""), (mst, "bhxh", day, ""), (mst, "v5", day, accepted))
    said = two.json("agencies", "import", str(path))
    assert (said.status, said.data["recorded"], said.codes) == (12, 2, ["bad_time"])
    rows = listed(two, "--mst", mst)
    assert [rows[name]["state"] for name in ("vnaccs", "bhxh", "v5")] == ["open", "updated", "accepted"]
    two.json("agencies", "done", "vnaccs", "--at", "23/11/2026 00:00", "--mst", mst)
    assert two.json("agencies", "import", str(path)).status == 0


def test_a_worklist_that_cannot_be_recorded_to_its_end_records_nothing(two: Clocked, tmp_path: Path) -> None:
    """One commit for all of it: after a full disk nobody has to find out which rows are in."""
    path = tmp_path / "viec.xlsx"
    book = _sheet(two, path)
    _fill(book, path, *((HOSTILE.mst or "", agency, "8:00", "") for agency in ("tvan", "etax")))
    change, calls = Registrations.change, list[str]()

    def full(store: Registrations, row: Registration, *more: Any, **named: Any) -> Registration:
        calls.append(row.agency)
        if len(calls) > 1:
            raise Unexpected("disk full", code="state_disk_full")
        return change(store, row, *more, **named)

    with patch.object(Registrations, "change", full):
        said = two.json("agencies", "import", str(path))
    assert (said.status, said.codes, len(calls)) == (1, ["state_disk_full"], 2)
    assert {row["state"] for row in listed(two, "--mst", HOSTILE.mst or "").values()} == {"open"}


def test_an_empty_result_never_takes_an_acceptance_back(two: Clocked, tmp_path: Path) -> None:
    """A sheet from before with another time is refused for that row, with company, agency and column; so for an earlier time of a
    refused update. With the result filled in the time is put right, and said.
    """
    for agency in ("etax", "ixhd"):
        two.json("agencies", "done", agency, "--at", "14:00", "--mst", "0106324653")
    two.json("agencies", "accepted", "etax", "--mst", "0106324653")
    two.json("agencies", "reject", "ixhd", "--mst", "0106324653")
    path, book = tmp_path / "w.xlsx", _sheet(two, tmp_path / "w.xlsx")
    changed = [("0106324653", "etax", "23/11/2026 14:01", ""), ("0106324653", "ixhd", "23/11/2026 13:00", "")]
    _fill(book, path, *changed)
    said = two.json("agencies", "import", str(path))
    assert (said.status, said.codes) == (12, ["settled_already"] * 2)
    first = said.envelope["errors"][0]
    for words in (f"Dòng 4, {NEW.subject_name}, ", "cột ĐÃ LÀM LÚC", "được chấp nhận"):
        assert words in first["message"]
    assert f"agencies undo etax --cert {NEW.serial}" in first["hint"]
    rows = listed(two, "--mst", "0106324653")
    assert (rows["etax"]["state"], rows["ixhd"]["state"]) == ("accepted", "rejected")
    _fill(book, path, ("0106324653", "etax", "23/11/2026 14:01", "accepted"))
    said = two.json("agencies", "import", str(path))
    assert any("14:01" in warning for warning in said.data["warnings"])
    row = listed(two, "--mst", "0106324653")["etax"]
    assert (row["state"], row["updated_at"]) == ("accepted", "2026-11-23T07:01:00Z")


def test_a_sheet_from_before_ends_no_wait_sooner(two: Clocked, tmp_path: Path) -> None:
    """A list that was handed out before an agency was updated anew comes back: the later update stands, with its 24 hours. Once it
    was taken back, the earlier time is recorded.
    """
    mst = ("--mst", "0106324653")
    two.json("agencies", "done", "vnaccs", "--at", "9:00", *mst)
    path = tmp_path / "w.xlsx"
    _sheet(two, path)
    two.json("agencies", "done", "vnaccs", "--at", "15:00", *mst)
    two.json("agencies", "done", "etax:khai", "--at", "15:00", *mst)
    _fill(openpyxl.load_workbook(path), path, ("0106324653", "etax", "23/11/2026 14:00", ""))
    said = two.json("agencies", "import", str(path))
    assert (said.status, said.codes, said.data["recorded"]) == (12, ["later_update"] * 2, 0)
    assert f"safetok agencies undo vnaccs --cert {NEW.serial}" in said.envelope["errors"][-1]["hint"]
    rows = listed(two, *mst)
    assert (rows["vnaccs"]["until"], rows["etax"]["state"]) == ("2026-11-24T08:00:00Z", "open")
    for agency in ("vnaccs", "etax"):
        two.json("agencies", "undo", agency, *mst)
    assert two.json("agencies", "import", str(path)).status == 0
    assert listed(two, *mst)["vnaccs"]["until"] == "2026-11-24T02:00:00Z"


def test_an_empty_note_takes_no_reason_back(two: Clocked, tmp_path: Path) -> None:
    """A refusal recorded with its reason keeps it when the sheet says refused and no more."""
    two.json("agencies", "done", "ixhd", "--mst", "0106324653")
    path, book = tmp_path / "w.xlsx", _sheet(two, tmp_path / "w.xlsx")
    two.json("agencies", "reject", "ixhd", "--reason", "sai Serial", "--mst", "0106324653")
    _fill(book, path, ("0106324653", "ixhd", None, "bị từ chối"))
    assert two.json("agencies", "import", str(path)).data["unchanged"] == 1
    assert listed(two, "--mst", "0106324653")["ixhd"]["reason"] == "sai Serial"


def test_a_note_that_is_not_kept_is_told(two: Clocked, tmp_path: Path) -> None:
    """A note alone, or beside a time, is kept nowhere: it is told by row and is no "already known"; a refusal's note is kept."""
    path, book = tmp_path / "w.xlsx", _sheet(two, tmp_path / "w.xlsx")
    _fill(book, path, ("0106324653", "v5", "14:00", ""), ("0106324653", "bhxh", "14:00", "bị từ chối"))
    sheet = book.active
    heads = {cell.value: cell.column for cell in sheet[1]}
    for row in range(3, sheet.max_row + 1):
        if sheet.cell(row, heads["mst"]).value == "0106324653":
            sheet.cell(row, heads["note"]).value = "chờ giám đốc"
    book.save(path)
    said = two.json("agencies", "import", str(path))
    assert (said.status, said.data["recorded"], said.data["unchanged"]) == (0, 2, 0)
    told = [warning for warning in said.data["warnings"] if "chờ giám đốc" in warning]
    assert len(told) == 6
    assert all(warning.startswith("Dòng ") and NEW.subject_name in warning for warning in told)
    assert listed(two, "--mst", "0106324653")["bhxh"]["reason"] == "chờ giám đốc"


def test_what_is_wrong_in_a_sheet_is_said_for_a_sheet(two: Clocked, tmp_path: Path) -> None:
    """Row, company, agency and column; the next step is a cell to fill in, no option of a command."""
    path, book = tmp_path / "w.xlsx", _sheet(two, tmp_path / "w.xlsx")
    _fill(book, path, ("0106324653", "v5", "", "accepted"), ("0106324653", "bhxh", "lúc nãy", ""))
    _fill(book, path, ("0106324653", "etax", "23/11/2026 23:00", ""), ("0106324653", "tvan", "8:00", "chắc được"))
    _fill(book, path, ("0106324653", "ivan", "23/11/2025 15:00", ""))
    errors = two.json("agencies", "import", str(path)).envelope["errors"]
    codes = ["bad_result", "bad_time", "before_issue", "future_time", "not_updated"]
    assert sorted(error["code"] for error in errors) == codes
    for error in errors:
        column = "KẾT QUẢ" if error["code"] == "bad_result" else "ĐÃ LÀM LÚC"
        assert error["message"].startswith("Dòng ")
        assert NEW.subject_name in error["message"]
        assert f"cột {column}" in error["message"]
        assert "--at" not in error["hint"]
        assert "agencies done" not in error["hint"]


def test_a_sheet_that_staff_filled_in_is_not_written_over(cli: Clocked, tmp_path: Path) -> None:
    """Another list under the same name is refused and leaves the sheet as it is; --force is for whoever means it."""
    path = tmp_path / "w.xlsx"
    book = _sheet(cli, path)
    _fill(book, path, ("0106324653", "v5", "23/11/2026 14:00", ""))
    before = path.read_bytes()
    said = cli.json("agencies", "list", "--xlsx", str(path))
    assert (said.status, said.codes, path.read_bytes()) == (2, ["file_exists"], before)
    assert "agencies import" in said.envelope["errors"][0]["hint"]
    assert cli.json("agencies", "list", "--xlsx", str(path), "--force").status == 0
    assert path.read_bytes() != before


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
