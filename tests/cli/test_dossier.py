from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from icalendar import Calendar
from support_clock import Clocked
from support_store import certificate, reading

from safetok.domain.certificates import Certificate
from safetok.domain.times import VIETNAM
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home

MST = "0312345678"


def _vn(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=VIETNAM).astimezone(UTC)  # type: ignore[arg-type,misc]


START = _vn(2027, 1, 18, 9)  # a Monday, less than three weeks before Tết


def _lcs(number: int, since: datetime, **changes: Any) -> Certificate:
    return certificate(
        number,
        mst=MST,
        issuer="CN=LCS-CA G1",
        issuer_name="LCS-CA G1",
        issuer_der=b"lcs",
        not_before=since,
        not_after=since + timedelta(days=1000),
        **changes,
    )


OLD = _lcs(1, _vn(2024, 3, 1))


@pytest.fixture
def cli(tmp_path: Path) -> Clocked:
    """A home that has never seen a token; its driver leads nowhere, so a command that opened one would fail."""
    return Clocked({"SAFETOK_HOME": str(tmp_path / "home"), "SAFETOK_MODULE": str(tmp_path / "no-driver.so")}, START)


@pytest.fixture
def seen(cli: Clocked) -> Clocked:
    """The same after a look at a token with an LCS certificate of March 2024."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", OLD), START - timedelta(days=2))
    return cli


def _did(cli: Clocked, *words: str) -> dict[str, Any]:
    said = cli.json("dossier", *words)
    assert said.status == 0, said.out
    found: dict[str, Any] = said.data["dossier"]
    return found


def _to_the_token(cli: Clocked, day: datetime) -> None:
    """Revoked, by the plan to go on, until the token comes on `day`."""
    _did(cli, "start", "--case", "revoked", "--mst", MST, "--name", "CÔNG TY AN PHÁT", "--one")
    for step in ("uploaded", "video-called", "payment-requested", "paid"):
        _did(cli, step)
    cli.now = day
    assert _did(cli, "token-received", "--token", "T9")["not_activated"] is True


def test_the_restoration_path_to_its_good_end(cli: Clocked) -> None:
    """Step after step in time; on activation the new certificate is found and its agencies open, the old list is not needed."""
    _to_the_token(cli, _vn(2027, 1, 18, 15))
    cli.later(days=1)
    _did(cli, "papers-ready")
    _did(cli, "sent", "--courier", "Viettel Post", "--number", "VT123")
    cli.later(days=1)
    found = _did(cli, "lcs-received")
    assert (found["urgency"], found["step"]) == ("waiting", "activated")
    assert "trong hạn 3 ngày" in cli("dossier", "show").out
    not_yet = cli.json("dossier", "activated").data
    assert (not_yet["new_cert"], not_yet["agencies_open"]) == (None, 0)
    new = _lcs(2, cli.now - timedelta(hours=1))
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T9", new), cli.now)
    done = cli.json("dossier", "activated").data
    assert (done["new_cert"], done["agencies_open"]) == (new.serial, 7)
    assert len(cli.json("agencies", "list", "--mst", MST).data["registrations"]) == 7
    assert _did(cli, "contract-received")["urgency"] == "finished"


def test_over_tet_to_its_bad_end(cli: Clocked) -> None:
    """A token that comes on T5 04/02/2027 leaves no working day: said at once; past the end in the notice's words."""
    _to_the_token(cli, _vn(2027, 2, 4, 10))
    said = cli("dossier", "show").out
    assert "Nhận token T5 04/02/2027. LCS phải NHẬN hồ sơ trong vòng 3 ngày: hết CN 07/02/2027" in said
    assert "Tết Nguyên đán" in said
    assert "Không còn ngày làm việc trong 3 ngày: gọi 1900 4525 NGAY, xin xác nhận bằng văn bản." in said
    assert "Theo Bộ luật Dân sự (LCS có thể không theo): T3 09/02/2027" in said
    assert "Không nhập mã PIN" in said
    data = cli.json("dossier", "show").data["dossier"]["deadline"]
    assert (data["literal_end"], data["safe"], data["steer_by"]) == ("2027-02-07", None, "2027-02-04")
    _did(cli, "papers-ready")
    _did(cli, "sent")
    cli.now = _vn(2027, 2, 8, 0)
    assert cli.json("dossier", "show").data["dossier"]["urgency"] == "past"
    assert "CTS có thể đã bị thu hồi và USB Token bị khóa vĩnh viễn. Gọi 1900 4525." in cli("dossier", "show").out
    late = cli("dossier", "lcs-received").out
    assert "SAU hạn 3 ngày" in late


def test_before_the_token_is_shipped_the_bad_days_are_named(cli: Clocked) -> None:
    """While a token is still to come, the days it must not come on are said, and from which day on it may."""
    _did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    assert cli.json("dossier", "show").data["bad_days"] == []
    cli.now = _vn(2027, 1, 29, 9)
    shown = cli.json("dossier", "show").data["bad_days"]
    assert "2027-02-04" in shown
    assert "KHÔNG nhận token vào" in cli("dossier", "show").out


def test_the_ordinary_path_and_its_words(seen: Clocked) -> None:
    """Papers missing on a certificate of 2024: four steps, the notice's dates, and that sending is not receiving."""
    said = seen("dossier", "start", "--case", "papers-missing", "--one").out
    assert "Hồ sơ (BẢN GIẤY) chưa đầy đủ" in said
    assert "trước ngày 20/04/2024" in said
    assert "https://tracuu.lcs-ca.vn" in said
    assert "LCS không chịu trách nhiệm" in said
    for step in ("verified", "papers-ready", "sent"):
        _did(seen, step)
    assert "Gửi đi chưa đủ" in seen("dossier", "show").out
    assert _did(seen, "lcs-received")["urgency"] == "finished"


def test_the_notices_dates_are_not_claimed_for_later_certificates(cli: Clocked) -> None:
    """A certificate issued after 20/04/2024, or one whose first day is not known, hears nothing of 2024's dates."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", _lcs(3, _vn(2025, 6, 1))), START)
    assert "20/04/2024" not in cli("dossier", "start", "--case", "papers-missing", "--one").out
    assert "20/04/2024" not in cli("dossier", "start", "--case", "papers-missing", "--mst", "0109999999", "--one").out


def test_one_representative_of_several_companies_calls_first(cli: Clocked) -> None:
    """The call is the first step, and an upload before it is warned of."""
    found = _did(cli, "start", "--case", "revoked", "--mst", MST, "--several")
    assert found["step"] == "called"
    assert "19004525" in cli("dossier", "show").out
    assert "gọi trực tiếp 19004525 trước" in cli.json("dossier", "uploaded").err


def test_a_payment_request_from_elsewhere_is_warned_of(cli: Clocked) -> None:
    """Zalo and hoso@lcs.com.vn are LCS's; any other address is to be called about before paying."""
    _did(cli, "start", "--case", "suspended", "--mst", MST, "--one")
    assert cli.json("dossier", "payment-requested", "--by", "hoso@lcs.com.vn").data["warnings"] == []
    assert cli.json("dossier", "payment-requested", "--by", "zalo").data["warnings"] == []
    said = cli.json("dossier", "payment-requested", "--by", "hoso@lcs-com.vn")
    assert "TRƯỚC khi chuyển khoản" in said.data["warnings"][0]


def test_four_items_are_uploaded_one_by_one(cli: Clocked) -> None:
    """The step is done with the fourth; a word that is none of them is refused."""
    _did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    assert _did(cli, "uploaded", "licence", "identity")["step"] == "uploaded"
    assert "(đã tải lên)" in cli("dossier", "show").out
    assert cli.json("dossier", "uploaded", "passport").codes == ["bad_choice"]
    assert _did(cli, "uploaded", "email", "phone")["step"] == "video-called"


def test_days_are_said_and_undone(cli: Clocked) -> None:
    """A day in several forms, none in the future, out of order with a warning; undo takes the last one back."""
    _did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    assert _did(cli, "paid", "--day", "hôm qua")["steps"][-1]["day"] == "2027-01-17"
    assert _did(cli, "token-received", "17/1")["deadline"]["received"] == "2027-01-17"
    assert cli.json("dossier", "papers-ready", "--day", "20/01/2027").codes == ["future_day"]
    assert cli.json("dossier", "papers-ready", "--day", "lúc nãy").codes == ["bad_day"]
    early = cli.json("dossier", "papers-ready", "--day", "16/01/2027")
    assert len(early.data["warnings"]) == 1
    assert _did(cli, "undo")["step"] == "papers-ready"
    assert _did(cli, "undo")["deadline"] is None
    _did(cli, "undo")
    assert cli.json("dossier", "undo").codes == ["nothing_to_undo"]


def test_what_cannot_be_is_refused(cli: Clocked, seen: Clocked) -> None:
    """No dossier, a case not said, a wrong step, a second one, a path that is not for that case: each with its code."""
    assert cli.json("dossier", "verified").codes == ["no_dossier"]
    assert cli.json("dossier", "start").codes == ["case_needed"]
    assert cli.json("dossier", "start", "--case", "lost").codes == ["bad_choice"]
    assert cli.json("dossier", "start", "--case", "revoked", "--path", "ordinary").codes == ["bad_path"]
    _did(cli, "start", "--case", "papers-missing", "--one")
    assert cli.json("dossier", "start", "--case", "revoked").codes == ["dossier_exists"]
    assert cli.json("dossier", "token-received").codes == ["wrong_step"]
    _did(cli, "start", "--case", "revoked", "--again", "--one")
    _did(cli, "start", "--case", "revoked", "--mst", "0109999999", "--one")
    assert cli.json("dossier", "show").codes == ["several_dossiers"]
    assert cli.json("dossier", "show", "--mst", "0109999999").status == 0


def test_only_lcs_has_this_procedure(cli: Clocked) -> None:
    """For a SAFE-CA certificate none is begun."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", certificate(1)), START)
    assert cli.json("dossier", "start", "--mst", "0106324653", "--case", "revoked").codes == ["no_dossier_procedure"]


def test_what_the_lookup_page_says_is_recorded(seen: Clocked) -> None:
    """In the page's four answers; without a dossier the page's address is shown, and no PIN is asked for."""
    said = seen("dossier", "show")
    assert said.status == 0
    assert "https://tracuu.lcs-ca.vn" in said.out
    _did(seen, "start", "--case", "papers-missing", "--one")
    _did(seen, "record", "missing", "--missing", "Hợp đồng")
    assert seen.json("dossier", "list").data["dossiers"][0]["state"] == "missing"
    assert seen.json("dossier", "record", "lost").codes == ["bad_choice"]


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
    ["0101", "A", "thu hồi", "Nguyễn Văn A", "0903 000 111", date(2027, 1, 14), None, "gọi sáng"],
    ["0102", "B", "chưa đầy đủ", "nguyen van a", "0903000111", None, None, None],
    ["0103", "=cmd();", "đầy đủ", None, None, None, None, None],
    ["0104", "D", "lạ", None, None, None, None, None],
    ["0105", "E", "thu hồi", None, None, date(2027, 1, 15), date(2027, 1, 17), None],
    ["0106", "F", "Thu hồi", "Nguyễn Văn A", "0911", date(2027, 1, 18), None, None],
    [None, "G", "thu hồi", None, None, None, None, None],
    ["0108", "H", "thu hồi", None, None, "99/99/2027", None, None],
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
    assert [one["mst"] for one in said.data["dossiers"]] == ["0101", "0106", "0105", "0102", "0103"]
    assert said.data["failed"] == 3
    assert {row["mst"]: row["companies_of_representative"] for row in said.data["dossiers"]}["0101"] == 2
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
    rows = [["DANH SÁCH KHÁCH HÀNG"], [], ["STT", "MST", "Khách hàng"], [1, "0101", "A"], [2, None, "B"]]
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


def test_several_companies_of_one_representative_call_before_they_upload(cli: Clocked, tmp_path: Path) -> None:
    """In a list, the first step of such companies is the call to LCS; where a step is done it stays the next one."""
    rows = [
        ["MST", "Tình trạng", "Người đại diện", "Ngày nhận token"],
        ["0101", "thu hồi", "Trần B", None],
        ["0102", "thu hồi", "Trần B", date(2027, 1, 18)],
        ["0103", "thu hồi", "Lê C", None],
    ]
    found = cli.json("dossier", "list", "--from", str(_as_csv(tmp_path / "list.csv", rows))).data["dossiers"]
    assert {one["mst"]: one["step"] for one in found} == {"0101": "called", "0102": "papers-ready", "0103": "uploaded"}


def test_a_list_knows_the_steps_that_were_recorded_here(cli: Clocked, tmp_path: Path) -> None:
    """A client whose dossier is open here stands at the step recorded here, with the days that the list adds."""
    _to_the_token(cli, _vn(2027, 1, 18, 15))
    file = _as_csv(tmp_path / "list.csv", [["MST", "Ngày gửi"], [MST, date(2027, 1, 18)]])
    (found,) = cli.json("dossier", "list", "--from", str(file)).data["dossiers"]
    assert (found["step"], found["urgency"], found["token"]) == ("lcs-received", "running", "T9")
    assert _did(cli, "papers-ready")["steps"][-1]["step"] == "papers-ready"


def test_a_list_that_cannot_be_read_is_refused(cli: Clocked, tmp_path: Path) -> None:
    """No such file, no column of tax codes, no text, no workbook: named."""
    path = tmp_path / "x.csv"
    assert cli.json("dossier", "list", "--from", str(path)).codes == ["bad_list"]
    for content in (b"", b"name;state\nA;B\n", b"\xff\xfe\x00mst", b"PK\x03\x04 no workbook", b"\xd0\xcf\x11\xe0 old"):
        path.write_bytes(content)
        assert cli.json("dossier", "list", "--from", str(path)).codes == ["bad_list"]


def test_the_deadline_reaches_status_calendar_and_hooks(cli: Clocked, tmp_path: Path) -> None:
    """While the three days run: due in `status`, an event on the safe day, a hook told once a stage; over once received."""
    folder = Path(cli.env["SAFETOK_HOME"]) / "hooks"
    _to_the_token(cli, _vn(2027, 1, 18, 15))
    folder.mkdir(mode=0o700)
    (folder / "note").write_text(f"#!/bin/sh\ncat >> {tmp_path}/said\n")
    (folder / "note").chmod(0o700)

    def event() -> Any:
        cli.json("agencies", "remind", "--ics", str(tmp_path / "c.ics"), "--hooks")
        (found,) = Calendar.from_ical((tmp_path / "c.ics").read_bytes()).walk("VEVENT")
        return found

    first = event()
    assert first["dtstart"].dt == datetime(2027, 1, 21, 17, tzinfo=VIETNAM)
    assert len(first.walk("VALARM")) == 3
    cli.now = _vn(2027, 1, 21, 8)
    due = cli.json("status", "--check", env={"SAFETOK_MODULE": "/usr/lib/softhsm/libsofthsm2.so"})
    assert "dossier" in due.codes
    assert due.data["due"][0]["code"] == "dossier"
    event()
    event()
    told = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    assert [(one["event"], one["data"]["dossier"]["urgency"]) for one in told] == [("deadline", "due")]
    _did(cli, "lcs-received")
    last = event()
    assert (last["uid"], last["status"]) == (first["uid"], "CANCELLED")
    assert last["sequence"] > first["sequence"]


@pytest.fixture(scope="module")
def box() -> Iterator[Any]:
    """One sandbox for what only asks."""
    import shutil
    import tempfile

    from support_stories import start_sandbox

    folder = Path(tempfile.mkdtemp(prefix="safetok-test-", dir="/dev/shm"))
    started = start_sandbox(folder)
    yield started
    started.cli("sandbox", "down")
    shutil.rmtree(folder, ignore_errors=True)


def test_a_configured_endpoint_is_asked_with_the_tokens_proof(box: Any) -> None:
    """`dossier show` takes the PIN, asks, and says what is missing; with --no-ask it takes none."""
    token = box.token("dossier-missing")
    mst = next(
        one["mst"]
        for row in box.cli.json("status").data["tokens"]
        if row["serial"] == token["serial"]
        for one in row["certificates"]
    )
    said = box.cli.json("dossier", "show", "--mst", mst, "--pin-stdin", stdin=f"{token['pin']}\n")
    assert said.status == 0, said.out
    assert said.data["answer"]["state"] == "missing"
    assert said.data["answer"]["missing"]
    assert box.cli.json("dossier", "show", "--mst", mst, "--no-ask").data["answer"] is None
    assert box.cli.json("dossier", "show", "--mst", mst).codes == ["pin_needed"]
