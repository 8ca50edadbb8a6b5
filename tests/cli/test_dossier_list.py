from __future__ import annotations

import csv
import io
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from support_clock import Clocked
from support_dossier import MST, clocked, did, to_the_token, vn


@pytest.fixture
def cli(tmp_path: Path) -> Clocked:
    """A home that has never seen a token."""
    return clocked(tmp_path)


CLIENTS = [
    [
        "Mã số thuế",
        "Tên công ty",
        "Tình trạng",
        "Người đại diện",
        "Điện thoại",
        "Ngày nhận token",
        "LCS nhận",
        "Ghi chú",
    ],
    ["0101000006", "A", "thu hồi", "Nguyễn Văn A", "0903 000 111", date(2027, 1, 14), None, "gọi sáng"],
    ["0101000013", "B", "thiếu hồ sơ", "nguyen van a", "0903000111", None, None, None],
    ["0101000020", "=cmd();", "đầy đủ", None, None, None, None, None],
    ["0101000038", "D", "lạ", None, None, None, None, None],
    ["0101000045", "E", "thu hồi", None, None, date(2027, 1, 15), date(2027, 1, 17), None],
    ["0101000052", "F", "Thu hồi", "Nguyễn Văn A", "0911", date(2027, 1, 18), None, None],
    [None, "G", "thu hồi", None, None, None, None, None],
    ["0101000077", "H", "thu hồi", None, None, "99/99/2027", None, None],
]


def _as_csv(path: Path, rows: list[list[Any]]) -> Path:
    """As Excel in Vietnam saves CSV UTF-8: a byte order mark, semicolons, days as 31/12/2027."""
    out = io.StringIO()
    texts = [[f"{cell:%d/%m/%Y}" if isinstance(cell, date) else cell for cell in row] for row in rows]
    csv.writer(out, delimiter=";").writerows(texts)
    path.write_text(out.getvalue(), encoding="utf-8-sig")
    return path


def _as_workbook(path: Path, rows: list[list[Any]]) -> Path:
    """The same as cells, days as days; text that begins with = stays text."""
    book = openpyxl.Workbook()
    for number, row in enumerate(rows, 1):
        for column, value in enumerate(row, 1):
            cell = book.active.cell(number, column, value)
            if isinstance(value, str):
                cell.data_type = "s"
    book.save(path)
    return path


@pytest.fixture(params=["csv", "xlsx"])
def clients(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A reseller's list as a spreadsheet saves it."""
    path = tmp_path / f"clients.{request.param}"
    return _as_csv(path, CLIENTS) if request.param == "csv" else _as_workbook(path, CLIENTS)


def test_a_resellers_list_is_sorted_by_urgency_without_any_token(cli: Clocked, clients: Path) -> None:
    """Past first, then what runs, then revoked, missing, complete; bad rows are told by their numbers and stop nothing."""
    said = cli.json("dossier", "list", "--from", str(clients))
    assert said.status == 12
    assert [one["mst"] for one in said.data["dossiers"]] == [
        "0101000006",
        "0101000052",
        "0101000045",
        "0101000013",
        "0101000020",
    ]
    assert said.data["failed"] == 3
    assert {row["mst"]: row["companies_of_representative"] for row in said.data["dossiers"]}["0101000006"] == 2
    assert said.data["dossiers"][0]["deadline"]["literal_end"] == "2027-01-17"
    assert said.data["columns_ignored"] == ["Ghi chú"]
    shown = cli("dossier", "list", "--from", str(clients))
    assert "đứng tên 2 công ty" in shown.out
    assert "QUÁ HẠN" in shown.out
    assert "Các cột safetok không dùng: Ghi chú" in shown.out
    assert "=cmd();" in shown.out
    assert "Dòng 5" in shown.err
    assert cli.json("dossier", "list").data["dossiers"] == []


def test_a_list_with_a_title_above_its_heads(cli: Clocked, tmp_path: Path) -> None:
    """Rows above the heads are passed over; rows keep the numbers that the spreadsheet shows."""
    rows = [["DANH SÁCH KHÁCH HÀNG"], [], ["STT", "MST", "Khách hàng"], [1, "0101000006", "A"], [2, None, "B"]]
    said = cli.json("dossier", "list", "--from", str(_as_workbook(tmp_path / "list.xlsx", rows)))
    assert [one["name"] for one in said.data["dossiers"]] == ["A"]
    assert said.envelope["errors"][0]["message"].startswith("Dòng 5")


def test_a_tax_code_that_the_spreadsheet_has_cut_is_caught(cli: Clocked, tmp_path: Path) -> None:
    """A zero lost to a number and a shortened number are told by their rows, and never taken for another company."""
    rows = [["MST"], [100109106], ["1,01E+12"], ["0100109106"]]
    said = cli.json("dossier", "list", "--from", str(_as_workbook(tmp_path / "list.xlsx", rows)))
    assert [one["mst"] for one in said.data["dossiers"]] == ["0100109106"]
    assert "0100109106" in said.envelope["errors"][0]["message"]
    assert said.data["failed"] == 2


def test_a_tax_code_that_cannot_be_one_is_no_client(cli: Clocked, tmp_path: Path) -> None:
    """Too short, or with a wrong check digit: the row is told with its column and what stands there; the others go on."""
    rows = [["STT", "Mã số thuế"], [1, "9999"], [2, "0199900139"], [3, "0100109106"], [4, "0301519977-029"]]
    rows += [[5, "001099012345"]]  # a person's own number has no check digit
    said = cli.json("dossier", "list", "--from", str(_as_csv(tmp_path / "list.csv", rows)))
    assert (said.status, said.codes) == (12, ["bad_row", "bad_row"])
    short, slip = (error["message"] for error in said.envelope["errors"])
    assert short.startswith("Dòng 2, cột Mã số thuế: '9999'")
    assert slip.startswith("Dòng 3, cột Mã số thuế: '0199900139'")
    assert len(said.data["dossiers"]) == 3


def test_several_companies_of_one_representative_call_before_they_upload(cli: Clocked, tmp_path: Path) -> None:
    """In a list, the first step of such companies is the call to LCS; where a step is done it stays the next one."""
    rows = [
        ["MST", "Tình trạng", "Người đại diện", "Ngày nhận token"],
        ["0101000006", "thu hồi", "Trần B", None],
        ["0101000013", "thu hồi", "Trần B", date(2027, 1, 18)],
        ["0101000020", "thu hồi", "Lê C", None],
    ]
    found = cli.json("dossier", "list", "--from", str(_as_csv(tmp_path / "list.csv", rows))).data["dossiers"]
    assert {one["mst"]: one["step"] for one in found} == {
        "0101000006": "called",
        "0101000013": "papers-ready",
        "0101000020": "uploaded",
    }


def test_one_company_twice_is_not_two(cli: Clocked, tmp_path: Path) -> None:
    """A row that somebody copied makes no representative of several companies; a phone that a spreadsheet took for a number, or
    that begins with +84, is still the same one's. What spreadsheets put before text is no part of a tax code and a day.
    """
    heads = ["MST", "Tình trạng", "Người đại diện", "Điện thoại", "Ngày nhận token"]
    one, other = (
        ["0101000006", "thu hồi", "Lê A", "0903000111", None],
        ["0101000013", "thu hồi", "Lê B", "0903000222", None],
    )
    again = ["'0101000006", "thu hồi", "Lê A", "0903000111", "'14/01/2027"]
    b_too = [
        ["0101000020", "thu hồi", "Lê B", 903000222, None],
        ["0101000045", "thu hồi", "Lê B", "+84 903 000 222", None],
    ]
    path = _as_workbook(tmp_path / "c.xlsx", [heads, one, again, other, *b_too])
    said = cli.json("dossier", "list", "--from", str(path))
    assert (said.status, said.codes) == (0, [])
    found = [(row["mst"], row["companies_of_representative"]) for row in said.data["dossiers"]]
    assert sorted(found) == [("0101000006", 1)] * 2 + [(mst, 3) for mst in ("0101000013", "0101000020", "0101000045")]


def test_a_list_knows_the_steps_that_were_recorded_here(cli: Clocked, tmp_path: Path) -> None:
    """A client whose dossier is open here stands at the step recorded here, with the days that the list adds."""
    to_the_token(cli, vn(2027, 1, 18, 15))
    file = _as_csv(tmp_path / "list.csv", [["MST", "Ngày gửi"], [MST, date(2027, 1, 18)]])
    (found,) = cli.json("dossier", "list", "--from", str(file)).data["dossiers"]
    assert (found["step"], found["urgency"], found["token"]) == ("lcs-received", "running", "T9")
    assert did(cli, "papers-ready")["steps"][-1]["step"] == "papers-ready"


def test_a_list_that_names_certificates_knows_the_dossier_of_the_company(cli: Clocked, tmp_path: Path) -> None:
    """Begun by tax code, before any token was at hand: it is about whichever certificate the list names."""
    to_the_token(cli, vn(2027, 1, 18, 15))
    file = _as_csv(tmp_path / "list.csv", [["MST", "Serial", "Tình trạng"], [MST, "54 01 01 08 aa", "thu hồi"]])
    (found,) = cli.json("dossier", "list", "--from", str(file)).data["dossiers"]
    assert (found["step"], found["not_activated"], found["cert"]) == ("papers-ready", True, "54010108AA")


def test_what_was_recorded_here_goes_before_what_a_list_says_of_the_same_step(cli: Clocked, tmp_path: Path) -> None:
    """The day a token came, recorded here, is not moved by another day in the list; what is over here says nothing of it."""
    to_the_token(cli, vn(2027, 1, 18, 15))
    cli.now = vn(2027, 1, 20, 9)
    rows = [["MST", "Tình trạng", "Ngày nhận token"], [MST, "thu hồi", date(2027, 1, 20)]]
    file = _as_csv(tmp_path / "list.csv", rows)
    (found,) = cli.json("dossier", "list", "--from", str(file)).data["dossiers"]
    assert (found["deadline"]["received"], found["token"]) == ("2027-01-18", "T9")
    did(cli, "lost")
    (found,) = cli.json("dossier", "list", "--from", str(file)).data["dossiers"]
    assert (found["deadline"]["received"], found["token"]) == ("2027-01-20", None)


def test_a_list_that_cannot_be_read_is_refused(cli: Clocked, tmp_path: Path) -> None:
    """No such file, no column of tax codes, no text, no workbook: named."""
    path = tmp_path / "x.csv"
    assert cli.json("dossier", "list", "--from", str(path)).codes == ["bad_list"]
    for content in (b"", b"name;state\nA;B\n", b"\xff\xfe\x00mst", b"PK\x03\x04 no workbook", b"\xd0\xcf\x11\xe0 old"):
        path.write_bytes(content)
        assert cli.json("dossier", "list", "--from", str(path)).codes == ["bad_list"]
