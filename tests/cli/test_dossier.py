from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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


@pytest.fixture
def clients(tmp_path: Path) -> Path:
    """A reseller's list as a spreadsheet saves it."""
    path = tmp_path / "clients.csv"
    path.write_text(
        "\ufeffMã số thuế;Tên công ty;Tình trạng;Người đại diện;Điện thoại;Ngày nhận token;LCS nhận\n"
        "0101;A;thu hồi;Nguyễn Văn A;0903 000 111;14/01/2027;\n"
        "0102;B;chưa đầy đủ;nguyen van a;0903000111;;\n"
        "0103;=cmd();đầy đủ;;;;\n"
        "0104;D;lạ;;;;\n"
        "0105;E;thu hồi;;;15/01/2027;17/01/2027\n"
        "0106;F;Thu hồi;Nguyễn Văn A;0911;18/01/2027;\n"
        ";G;thu hồi;;;;\n"
        "0108;H;thu hồi;;;99/99/2027;\n",
        encoding="utf-8",
    )
    return path


def test_a_resellers_list_is_sorted_by_urgency_without_any_token(cli: Clocked, clients: Path) -> None:
    """Past first, then what runs, then revoked, missing, complete; bad rows are told by their numbers and stop nothing."""
    said = cli.json("dossier", "list", "--from", str(clients))
    assert said.status == 12
    assert [one["mst"] for one in said.data["dossiers"]] == ["0101", "0106", "0105", "0102", "0103"]
    assert said.data["failed"] == 3
    assert {row["mst"]: row["companies_of_representative"] for row in said.data["dossiers"]}["0101"] == 2
    shown = cli("dossier", "list", "--from", str(clients))
    assert "đứng tên 2 công ty" in shown.out
    assert "QUÁ HẠN" in shown.out
    assert "Dòng 5" in shown.err
    assert cli.json("dossier", "list").data["dossiers"] == []


def test_a_list_that_cannot_be_read_is_refused(cli: Clocked, tmp_path: Path) -> None:
    """No such file, no column of tax codes, no text: named."""
    path = tmp_path / "x.csv"
    assert cli.json("dossier", "list", "--from", str(path)).codes == ["bad_list"]
    for content in (b"", b"name;state\nA;B\n", b"\xff\xfe\x00mst"):
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
