from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import openpyxl
import pytest
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from safetok.domain import manifest
from safetok.domain.mst import verdict
from safetok.errors import UsageError
from safetok.locale import set_language
from safetok.workflows import sheets

HEADS = [
    "Token ID",
    "Mã số thuế",
    "Ngày kết thúc hợp đồng",
    "Đã ký hết",
    "Nguồn PIN",
    "Khóa",
    "Cơ quan",
    "Người xác nhận",
]
GOOD = ["abc0123456789def", "0100109106", "31/12/2027", "có", "file:pin.txt", "cũ", "vnaccs, ebhxh", "Lan"]


@pytest.fixture(autouse=True)
def english() -> Any:
    set_language("en")
    yield
    set_language(None)


def row(**cells: Any) -> manifest.Wanted:
    """The one row of a list that is good but for these cells (by header)."""
    line = [cells.get(head, value) for head, value in zip(HEADS, GOOD, strict=True)]
    return manifest.read([HEADS, line]).rows[0]


def test_a_good_row_is_read_whole() -> None:
    """Vietnamese headers, a day written dd/mm/yyyy, a list of agencies: everything arrives."""
    wanted = row()
    assert wanted.problems == ()
    assert (wanted.row, wanted.token, wanted.mst) == (2, GOOD[0], "0100109106")
    assert wanted.contract_end == date(2027, 12, 31)
    assert wanted.signed
    assert not wanted.new_key
    assert wanted.pin_source == "file:pin.txt"
    assert wanted.agencies == ("vnaccs", "ebhxh")


@pytest.mark.parametrize(
    "heads",
    [["TOKEN_ID"], ["token"], ["Số token"], ["mst"], ["MST"], ["  Mã Số Thuế "], ["MA SO THUE"]],
)
def test_headers_are_known_however_they_are_written(heads: list[str]) -> None:
    """Marks, case, spaces and underscores in a header do not matter."""
    assert len(manifest.read([heads, ["0100109106"]]).rows) == 1


SECRET_HEADS = [
    "PIN",
    "Mã PIN",
    "ma_pin",
    "Mật khẩu",
    "PIN token",
    "password",
    "PINCODE",
    "Pin1",
    "PIN 2",
    "MK",
    "mk token",
]
SECRET_HEADS += [
    "MatKhauToken",
    "matkhautoken",
    "MẬT KHẨU (8 số)",
    "Mã số bí mật",
    "mã bí mật",
    "Passcode",
    "maPIN",
    "TokenPIN",
]


@pytest.mark.parametrize("head", SECRET_HEADS)
def test_a_column_of_pins_refuses_the_whole_list(head: str) -> None:
    """A list with PINs in it is refused, and the error names the column and repeats no PIN."""
    with pytest.raises(UsageError) as refused:
        manifest.read([["Token ID", head], ["abc", "48151623"]])
    assert refused.value.code == "manifest_has_pins"
    assert head in refused.value.message
    assert "48151623" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize(
    "head", ["Nguồn PIN", "Nguồn PIN (keyring, env)", "Nơi lưu PIN 2", "pin_source", "Shipping", "Ghi chú", "Mã kho"]
)
def test_where_pins_are_is_no_column_of_pins(head: str) -> None:
    """A column that says where PINs are found, or whose name only looks alike, refuses nothing."""
    assert len(manifest.read([["Token ID", head], ["abc", ""]]).rows) == 1


def test_a_pin_where_its_source_belongs_is_refused_and_never_repeated() -> None:
    """A PIN typed into nguon_pin makes the row a problem whose text does not hold it."""
    wanted = row(**{"Nguồn PIN": "48151623"})
    assert len(wanted.problems) == 1
    assert "48151623" not in str(wanted.problems[0])
    assert wanted.pin_source == "keyring"


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("31/12/2027", date(2027, 12, 31)),
        ("1/2/2027", date(2027, 2, 1)),
        ("2027-12-31", date(2027, 12, 31)),
        ("46752", date(2027, 12, 31)),
        (46752, date(2027, 12, 31)),
        (46752.0, date(2027, 12, 31)),
        (datetime(2027, 12, 31), date(2027, 12, 31)),  # noqa: DTZ001  (as a workbook gives it)
        ("31/12/2027 0:00", date(2027, 12, 31)),
        ("31/12/2027 00:00:00", date(2027, 12, 31)),
        ("31/12/2027 12:00:00 SA", date(2027, 12, 31)),
        ("31/12/2027 12:00 AM", date(2027, 12, 31)),
        ("３１／１２／２０２７\u00a0", date(2027, 12, 31)),
        ("", None),
    ],
)
def test_days_are_read_as_spreadsheets_keep_them(said: Any, day: date | None) -> None:
    """dd/mm/yyyy, ISO, a serial number or a cell with a date are the same day; an empty cell is none."""
    wanted = row(**{"Ngày kết thúc hợp đồng": said})
    assert wanted.problems == ()
    assert wanted.contract_end == day


def test_serial_days_of_a_1904_workbook_are_counted_from_its_own_zero() -> None:
    """An old Mac workbook counts days from 1904."""
    read = manifest.read([HEADS, [*GOOD[:2], 45290, *GOOD[3:]]], epoch=date(1904, 1, 1))
    assert read.rows[0].contract_end == date(2027, 12, 31)


@pytest.mark.parametrize(
    ("head", "value", "says"),
    [
        ("Mã số thuế", "100109106", "0100109106"),
        ("Mã số thuế", 100109106, "0100109106"),
        ("Mã số thuế", "301519977029", "0301519977-029"),
        ("Mã số thuế", "1,00109E+08", "shortened"),
        ("Mã số thuế", "0100109107", "check digit"),
        ("Mã số thuế", "12", "10, 12 or 13"),
        ("Token ID", "1.25E+15", "shortened"),
        ("Ngày kết thúc hợp đồng", "31/02/2027", "no day"),
        ("Ngày kết thúc hợp đồng", "12/31/2027", "no day"),
        ("Ngày kết thúc hợp đồng", "31/12/27", "no day"),
        ("Token ID", "#N/A", "formula"),
        ("Token ID", "Token 3813531e65711500", "16 characters"),
        ("Người xác nhận", "#REF!", "formula"),
        ("Đã ký hết", "chắc rồi", "có or không"),
        ("Đã ký hết", "✓", "có or không"),
        ("Khóa", "☑", "mới"),
        ("Khóa", "vàng", "mới"),
        ("Nguồn PIN", "env:PATH", "env:SAFETOK_PIN_"),
        ("Nguồn PIN", "file:../pin.txt", "folder of the list"),
        ("Nguồn PIN", "file:/etc/pin", "folder of the list"),
    ],
)
def test_a_wrong_cell_is_named_by_row_column_and_value(head: str, value: Any, says: str) -> None:
    """Each problem says where it is, what stands there, and what to do."""
    problems = row(**{head: value}).problems
    assert len(problems) == 1
    told = str(problems[0])
    assert f"Row 2, column {head}" in told
    assert says in told
    assert str(value) in told or head == "Nguồn PIN"


@pytest.mark.parametrize(
    ("head", "said", "meant"),
    [
        ("Token ID", "\u200babc0123456789def", "abc0123456789def"),
        ("Token ID", "１234567890", "1234567890"),
        ("Mã số thuế", "０１００１０９１０６", "0100109106"),
        ("Mã số thuế", "'0100109106", "0100109106"),
        ("Mã số thuế", "0301519977\u2011029", "0301519977-029"),
        ("Mã số thuế", "０３０１５１９９７７ – ０２９", "0301519977-029"),
    ],
)
def test_numbers_are_read_whatever_letters_spell_them(head: str, said: str, meant: str) -> None:
    """Full-width digits, other dashes and what no eye sees, as they come from web pages and messages: the same number."""
    wanted = row(**{head: said})
    assert (wanted.problems, wanted.token if head == "Token ID" else wanted.mst) == ((), meant)


def test_a_personal_number_has_lost_no_zero() -> None:
    """Twelve digits that begin with 0 are whole, also where one more 0 would make them a branch's tax code."""
    branch = "0026106000014"  # its check digit holds
    assert verdict(branch) == "valid"
    assert (row(**{"Mã số thuế": branch[1:]}).problems, row(**{"Mã số thuế": branch[1:]}).mst) == ((), branch[1:])


def test_a_title_above_the_header_is_named() -> None:
    """The row that was taken for the header is told, for the columns may stand below it."""
    with pytest.raises(UsageError) as refused:
        manifest.read([[], ["DANH SÁCH KHÁCH HÀNG"], HEADS, GOOD])
    assert "row 2" in refused.value.message
    assert "above" in refused.value.hint


def test_a_hexadecimal_token_id_with_an_e_is_no_shortened_number() -> None:
    """12546e1894947959 is a serial, not 12546 followed by zeros."""
    assert row(**{"Token ID": "12546e1894947959"}).problems == ()


def test_the_same_token_twice_is_said_with_the_other_row() -> None:
    """Two rows for one token: the second names the first."""
    rows = manifest.read([HEADS, GOOD, GOOD]).rows
    assert rows[0].problems == ()
    assert "row 2" in str(rows[1].problems[0])


def test_rows_that_contradict_each_other_are_both_left_alone() -> None:
    """Two rows for one token with different days: neither is to be believed, and the first one says so, too."""
    other = [*GOOD[:2], "31/12/2028", *GOOD[3:]]
    rows = manifest.read([HEADS, GOOD, other, [*GOOD[:1], "", *GOOD[2:]]]).rows
    assert "Row 3 says otherwise" in str(rows[0].problems[0])
    assert rows[1].problems
    assert rows[2].problems == ()
    at = HEADS.index("Đã ký hết")
    unsigned = [*GOOD[:at], "chưa", *GOOD[at + 1 :]]
    nameless = [unsigned[0], "", *unsigned[2:]]
    for pair in ([GOOD, unsigned], [unsigned, GOOD], [GOOD, nameless], [nameless, GOOD]):
        assert all(row.problems for row in manifest.read([HEADS, *pair]).rows), "signed, and not signed"
    other = [unsigned[0], "0100109107", *unsigned[2:]]
    assert "says otherwise" not in str(manifest.read([HEADS, GOOD, other]).rows[0].problems), (
        "two companies on one token"
    )


def test_the_keyring_is_known_by_the_name_the_messages_give_it() -> None:
    """`kho mật khẩu` in nguon_pin is the computer's keyring."""
    wanted = row(**{"Nguồn PIN": "Kho mật khẩu"})
    assert (wanted.pin_source, wanted.problems) == ("keyring", ())


def csv_file(folder: Path, content: bytes) -> Path:
    path = folder / "list.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "Token ID;MST\r\nabc;0100109106\r\n".encode("utf-8-sig"),
        b"Token ID;MST\r\nabc;0100109106\r\n",
        b"Token ID,MST\nabc,0100109106\n",
        b'"Token ID","MST"\n"abc","0100109106"\n',
        "sep=;\r\nToken ID;MST\r\nabc;0100109106\r\n".encode("utf-8-sig"),
        "Token ID\tMST\r\nabc\t0100109106\r\n".encode("utf-16"),
        b'"Token\nID",MST\nabc,0100109106\n',
        b"Token ID;MST\rabc;0100109106\r",
        b'Token ID;MST\r\n="abc"; ="0100109106"\r\n',
        b'Token ID, MST\nabc, "0100109106"\n',
        b'Token ID,MST\r\n"=""abc""","=""0100109106"""\r\n',
    ],
)
def test_a_list_is_read_as_excel_saves_it(tmp_path: Path, content: bytes) -> None:
    """With and without a byte order mark, with semicolons, commas or tabs, and Windows line ends; and as other programs write
    numbers whose zeros Excel is to leave alone.
    """
    read = manifest.read(sheets.read(csv_file(tmp_path, content)).cells)
    assert [(r.token, r.mst) for r in read.rows] == [("abc", "0100109106")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("Tên\r\nCÔNG TY\r\n".encode("cp1258", "replace") + b"\xff\xfe", "manifest_encoding"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "manifest_file"),
        (b"PK\x03\x04 no archive", "manifest_file"),
        (b"Token\0ID", "manifest_file"),
        (b"<html><body><table><tr><td>MST</td></tr></table></body></html>", "manifest_file"),
        (b'\xef\xbb\xbf\r\n<?xml version="1.0"?><Workbook/>', "manifest_file"),
        (b"a\n" * 20_002, "manifest_bounds"),
        (b"x" * (sheets.LARGEST + 1), "manifest_bounds"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    """Another encoding, an old workbook, a damaged one, a web page that is called one, too many rows or bytes: refused by name."""
    with pytest.raises(UsageError) as refused:
        sheets.read(csv_file(tmp_path, content))
    assert refused.value.code == code
    assert refused.value.hint


def test_a_workbook_with_a_password_is_no_old_one(tmp_path: Path) -> None:
    """Excel keeps a protected .xlsx in the same container as an .xls: it is told by what it is."""
    content = b"\xd0\xcf\x11\xe0" + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(600)
    with pytest.raises(UsageError) as refused:
        sheets.read(csv_file(tmp_path, content))
    assert "password" in refused.value.message


def test_a_quotation_mark_too_many_is_found(tmp_path: Path) -> None:
    """The row from which on nothing fits is named, in the user's language."""
    with pytest.raises(UsageError) as refused:
        sheets.read(csv_file(tmp_path, b'Token ID;MST\na;b\n"CTY "ABC" LTD;c\nd;e\n'))
    assert "row 3" in refused.value.message
    assert refused.value.hint


def workbook(folder: Path, rows: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for line in rows:
        book.active.append(line)
    path = folder / "list.xlsx"
    book.save(path)
    return path


def test_a_workbook_is_read_with_its_numbers_and_days(tmp_path: Path) -> None:
    """A tax code kept as a number has lost its zero, and is caught; a cell with a date is that day."""
    path = workbook(tmp_path, [HEADS, ["abc", 100109106, datetime(2027, 12, 31), "x", "", "", ""]])  # noqa: DTZ001
    wanted = manifest.read(sheets.read(path).cells).rows[0]
    assert wanted.contract_end == date(2027, 12, 31)
    assert wanted.signed
    assert "0100109106" in str(wanted.problems[0])


def test_a_token_id_that_a_workbook_keeps_as_a_number_is_rounded(tmp_path: Path) -> None:
    """Of a number a spreadsheet keeps fifteen digits: a Token ID of sixteen is not believed, one of fifteen is."""
    path = workbook(tmp_path, [["Token ID"], [1234567890123456], [123456789012345], ["1234567890123457"]])
    first, *others = manifest.read(sheets.read(path).cells).rows
    assert "shortened this Token ID" in str(first.problems[0])
    assert [(one.token, one.problems) for one in others] == [("123456789012345", ()), ("1234567890123457", ())]


def test_a_workbook_tells_which_of_its_sheets_was_read(tmp_path: Path) -> None:
    """With a cover before the list, the cover is what is read: its name is there to be said; a lone sheet's is not."""
    path = workbook(tmp_path, [["Danh sách token"]])
    assert sheets.read(path).first_of_several == ""
    book = openpyxl.load_workbook(path)
    book.active.title = "Bìa"
    book.create_sheet("Token").append(["Token ID"])
    book.create_sheet("Sheet3")
    book.save(path)
    assert sheets.read(path).first_of_several == "Bìa"
    assert sheets.read(path).unread == ("Token",), "an empty one is no list that somebody waits for"


def test_a_hidden_sheet_is_not_the_first(tmp_path: Path) -> None:
    """What a person sees first is read, not last year's list that somebody hid before it; that one is named as not read."""
    book = openpyxl.Workbook()
    book.active.title = "cũ"
    book.active.append(["Token ID"])
    book.create_sheet("DS").append(["MST"])
    book["cũ"].sheet_state = "hidden"
    book.save(tmp_path / "ds.xlsx")
    found = sheets.read(tmp_path / "ds.xlsx")
    assert (found.cells[0][0], found.first_of_several, found.unread) == ("MST", "DS", ("cũ",))


def test_a_workbook_tells_which_of_its_rows_are_hidden(tmp_path: Path) -> None:
    """By a filter or by hand, by the numbers a spreadsheet shows, also after rows that are not there; columns are no matter."""
    path = workbook(tmp_path, [["Token ID"], ["a"], ["b"], ["c"]])
    assert sheets.read(path).hidden == frozenset()
    book = openpyxl.load_workbook(path)
    book.active.column_dimensions["A"].hidden = True
    book.active["A9"] = "d"
    for number in (3, 9):
        book.active.row_dimensions[number].hidden = True
    book.create_sheet("x").row_dimensions[2].hidden = True
    book.save(path)
    assert sheets.read(path).hidden == {3, 9}


def test_many_sheets_cost_no_more_than_one(tmp_path: Path) -> None:
    """Sheets whose one cell stands in the last row there is: so many rows of all are looked at, then the rest are named unseen."""
    path = workbook(tmp_path, [["Token ID"]])
    book = openpyxl.load_workbook(path)
    for number in range(300):
        book.create_sheet(f"s{number}")["A1048576"] = "x"
    book.save(path)
    looked_at, read = [0], ReadOnlyWorksheet.iter_rows

    def counted(*given: Any, **more: Any) -> Iterator[Any]:
        for line in read(*given, **more):
            looked_at[0] += 1
            yield line

    with patch.object(ReadOnlyWorksheet, "iter_rows", counted):
        assert len(sheets.read(path).unread) == 300
    assert looked_at[0] <= sheets.MOST_ROWS + 1, "each by itself would be so many"


def test_a_formula_in_a_workbook_is_never_calculated(tmp_path: Path) -> None:
    """Only the value that was saved counts; a formula without one is an empty cell."""
    path = workbook(tmp_path, [["Token ID", "Mã số thuế"], ['=HYPERLINK("http://x")', "0100109106"]])
    assert manifest.read(sheets.read(path).cells).rows[0].token is None


def archive(folder: Path, parts: dict[str, bytes]) -> Path:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    path = folder / "trap.xlsx"
    path.write_bytes(out.getvalue())
    return path


@pytest.mark.parametrize(
    "parts",
    [
        {"xl/worksheets/sheet1.xml": bytes(30 << 20)},
        {f"xl/{n}.xml": b"" for n in range(sheets.MOST_PARTS + 1)},
        {"xl/workbook.xml": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'},
        {
            "xl/workbook.xml": '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE x [<!ENTITY a "b">]><x/>'.encode(
                "utf-16"
            )
        },
        {"xl/worksheets/sheet1.bin": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'},
    ],
)
def test_a_workbook_that_is_a_trap_is_refused_before_it_is_parsed(tmp_path: Path, parts: dict[str, bytes]) -> None:
    """A part that unpacks beyond measure, hundreds of parts, entities in any encoding and under any name: refused."""
    with pytest.raises(UsageError) as refused:
        sheets.read(archive(tmp_path, parts))
    assert refused.value.code == "manifest_bounds"
