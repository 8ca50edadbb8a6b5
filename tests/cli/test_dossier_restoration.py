from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar
from support_clock import Clocked
from support_dossier import MST, clocked, did, lcs, plugged_in, to_the_token, vn

from safetok.domain.times import VIETNAM


@pytest.fixture
def cli(tmp_path: Path) -> Clocked:
    """A home that has never seen a token."""
    return clocked(tmp_path)


def test_the_restoration_path_to_its_good_end(cli: Clocked) -> None:
    """Every step of the path through the command line, each named as the current one before it is done; on activation the new
    certificate is found, its agencies open, and no driver was ever opened.
    """
    started = did(cli, "start", "--case", "revoked", "--mst", MST, "--name", "CÔNG TY AN PHÁT", "--one")
    assert started["step"] == "uploaded"
    for day, step, *more in (
        (18, "uploaded"),
        (19, "video-called"),
        (20, "payment-requested", "--by", "hoso@lcs.com.vn"),
        (20, "paid"),
        (25, "token-received", "--token", "T9"),
        (26, "papers-ready"),
        (26, "sent", "--courier", "Viettel Post", "--number", "VT123"),
        (27, "lcs-received"),
    ):
        cli.now = vn(2027, 1, day, 15)
        before = cli.json("dossier", "show").data["dossier"]
        assert before["step"] == step
        assert f"safetok dossier {step}" in cli("dossier", "show").out
        did(cli, step, *more)
    found = cli.json("dossier", "show").data["dossier"]
    assert (found["urgency"], found["step"], found["not_activated"]) == ("waiting", "activated", True)
    assert "trong hạn 3 ngày" in cli("dossier", "show").out
    said = cli("dossier", "activated").out
    assert "Chưa thấy CTS mới" in said
    assert "\n  safetok status\n  safetok dossier activated\n" in said
    new = lcs(2, cli.now - timedelta(hours=1))
    plugged_in(cli, "T9", new)
    done = cli.json("dossier", "activated").data
    assert (done["new_cert"], done["agencies_open"]) == (new.serial, 7)
    assert len(cli.json("agencies", "list", "--mst", MST).data["registrations"]) == 7
    assert did(cli, "contract-received")["urgency"] == "finished"
    assert f"CTS mới: Serial {new.serial}" in cli("dossier", "show").out
    assert [one["step"] for one in did(cli, "show")["steps"]][-2:] == ["activated", "contract-received"]


def test_over_tet_to_its_good_end(cli: Clocked) -> None:
    """A token that comes two days before Tết: the safe day is the last working day before it, and kept; activated after Tết."""
    to_the_token(cli, vn(2027, 2, 2, 9))
    found = did(cli, "show")
    assert (found["deadline"]["safe"], found["deadline"]["literal_end"]) == ("2027-02-03", "2027-02-05")
    assert found["deadline"]["steer_by"] == "2027-02-03"
    for step in ("papers-ready", "sent"):
        did(cli, step)
    cli.now = vn(2027, 2, 3, 16)
    assert did(cli, "show")["urgency"] == "due"
    assert did(cli, "lcs-received")["urgency"] == "waiting"
    cli.now = vn(2027, 2, 17, 9)
    assert did(cli, "show")["urgency"] == "waiting"
    plugged_in(cli, "T9", lcs(2, vn(2027, 2, 16)))
    done = cli.json("dossier", "activated").data
    assert (done["new_cert"], done["agencies_open"]) == (lcs(2, vn(2027, 2, 16)).serial, 7)
    assert did(cli, "contract-received")["urgency"] == "finished"


def test_over_tet_to_its_bad_end(cli: Clocked) -> None:
    """A token that comes on T5 04/02/2027 leaves no working day: said at once; past the end in the notice's words, until LCS says
    that all is lost; then the company begins anew under its name.
    """
    to_the_token(cli, vn(2027, 2, 4, 10))
    said = cli("dossier", "show").out
    assert "Nhận token T5 04/02/2027. LCS phải NHẬN hồ sơ trong vòng 3 ngày: hết CN 07/02/2027" in said
    assert "T6 05/02/2027 – CN 07/02/2027 Tết Nguyên đán" in said
    assert "Không còn ngày làm việc trong 3 ngày: gọi 1900 4525 NGAY, xin xác nhận bằng văn bản." in said
    assert "Theo Bộ luật Dân sự (LCS có thể không theo): T3 09/02/2027" in said
    assert "Không nhập mã PIN" in said
    data = cli.json("dossier", "show").data["dossier"]["deadline"]
    assert (data["literal_end"], data["safe"], data["steer_by"]) == ("2027-02-07", None, "2027-02-04")
    did(cli, "papers-ready")
    did(cli, "sent")
    cli.now = vn(2027, 2, 7, 23)
    assert did(cli, "show")["urgency"] == "no_working_day"
    cli.now = vn(2027, 2, 8, 0)
    assert did(cli, "show")["urgency"] == "past"
    said = cli("dossier", "show").out
    assert "“CTS sẽ bị thu hồi và USB Token sẽ bị khóa vĩnh viễn”" in said
    assert "CTS có thể đã bị thu hồi và USB Token bị khóa vĩnh viễn. Gọi 1900 4525." in said
    assert "Bây giờ: gọi 1900 4525" in said
    assert "là bình thường" not in said
    lost = cli("dossier", "lost").out
    assert "“Chứng thư số được thu hồi sẽ vĩnh viễn không thể khôi phục lại”" in lost
    assert f"safetok dossier start --mst {MST}" in lost
    assert did(cli, "show")["urgency"] == "lost"
    again = did(cli, "start", "--mst", MST, "--case", "revoked", "--one")
    assert (again["name"], again["step"], again["deadline"]) == ("CÔNG TY AN PHÁT", "uploaded", None)


def test_papers_that_came_late_are_called_late(cli: Clocked) -> None:
    """What LCS received after the three days stops the clock, and is said to be late as long as it is shown."""
    to_the_token(cli, vn(2027, 1, 18, 10))
    cli.now = vn(2027, 1, 22, 9)
    assert "SAU hạn 3 ngày (hết T5 21/01/2027)" in cli("dossier", "lcs-received").out
    assert did(cli, "show")["urgency"] == "waiting"


def test_a_token_comes_once(cli: Clocked) -> None:
    """Recorded again without a day, the three days do not begin anew; another day is taken, and said."""
    to_the_token(cli, vn(2027, 1, 18, 10))
    cli.later(days=2)
    again = cli.json("dossier", "token-received", "--token", "T7").data
    assert (again["dossier"]["deadline"]["received"], again["dossier"]["token"]) == ("2027-01-18", "T7")
    assert "Đã ghi ngày nhận token từ trước: 18/01/2027." in again["warnings"][0]
    moved = cli.json("dossier", "token-received", "19/1").data
    assert moved["dossier"]["deadline"]["received"] == "2027-01-19"
    assert "Trước đây ghi nhận token 18/01/2027; nay 3 ngày tính từ 19/01/2027" in moved["warnings"][0]
    assert did(cli, "undo")["deadline"]["received"] == "2027-01-18"


def test_only_a_token_that_waits_can_be_lost(cli: Clocked) -> None:
    """Before it came, and once it was activated, `lost` is refused; taken back it was never said."""
    did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    assert cli.json("dossier", "lost").codes == ["wrong_step"]
    did(cli, "token-received")
    assert did(cli, "lost")["urgency"] == "lost"
    assert did(cli, "undo")["urgency"] == "running"
    did(cli, "lcs-received")
    did(cli, "activated")
    assert cli.json("dossier", "lost").codes == ["wrong_step"]


def test_the_certificate_of_another_ca_or_token_is_not_the_new_one(cli: Clocked) -> None:
    """With the Token ID known only that token's certificate counts; without it, only one of the same CA."""
    other = lcs(
        3, vn(2027, 1, 20), issuer="CN=SAFE-CA SHA-256 2020", issuer_name="SAFE-CA SHA-256 2020", issuer_der=b"safe"
    )
    did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    cli.now = vn(2027, 1, 25, 9)
    did(cli, "token-received")
    plugged_in(cli, "T5", other)
    did(cli, "lcs-received")
    assert cli.json("dossier", "activated").data["new_cert"] is None
    plugged_in(cli, "T9", lcs(2, vn(2027, 1, 24)))
    assert cli.json("dossier", "activated").data["new_cert"] == lcs(2, vn(2027, 1, 24)).serial


def test_the_three_readings_are_shown_before_the_token_is_shipped(cli: Clocked) -> None:
    """From the first step on: what the three days would be if the token came today, and from a week before the days it must not."""
    did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    assert cli.json("dossier", "show").data["bad_days"] == []
    cli.now = vn(2027, 1, 28, 9)
    data = cli.json("dossier", "show").data
    forecast = data["if_received_today"]
    assert (forecast["safe"], forecast["literal_end"], forecast["legal_end"]) == (
        "2027-01-29",
        "2027-01-31",
        "2027-02-01",
    )
    assert forecast["steer_by"] == "2027-01-29"
    assert "2027-02-04" in data["bad_days"]
    said = cli("dossier", "show").out
    assert "Hạn 3 ngày, nếu nhận token hôm nay T5 28/01/2027" in said
    assert "KHÔNG nhận token vào T4 03/02/2027 – T2 08/02/2027" in said
    assert "Xin LCS giao từ T3 09/02/2027 trở đi" in said
    did(cli, "token-received")
    assert cli.json("dossier", "show").data["if_received_today"] is None


def test_the_deadline_reaches_status_calendar_and_hooks(cli: Clocked, tmp_path: Path) -> None:
    """While the three days run: due in `status`, an event on the safe day, a hook told once a stage; over once received."""
    folder = Path(cli.env["SAFETOK_HOME"]) / "hooks"
    to_the_token(cli, vn(2027, 1, 18, 15))
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
    cli.now = vn(2027, 1, 21, 8)
    due = cli.json("status", "--check", env={"SAFETOK_MODULE": "/usr/lib/softhsm/libsofthsm2.so"})
    assert "dossier" in due.codes
    assert due.data["due"][0]["code"] == "dossier"
    event()
    event()
    told = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    assert [(one["event"], one["data"]["dossier"]["urgency"]) for one in told] == [("deadline", "due")]
    did(cli, "lcs-received")
    last = event()
    assert (last["uid"], last["status"]) == (first["uid"], "CANCELLED")
    assert last["sequence"] > first["sequence"]


@pytest.mark.parametrize("over", ["undo", "lost", "start"])
def test_a_deadline_that_runs_no_more_leaves_the_calendar(cli: Clocked, tmp_path: Path, over: str) -> None:
    """The arrival undone, all lost, or the dossier begun anew: the same event comes CANCELLED, without alarms."""
    to_the_token(cli, vn(2027, 1, 18, 15))

    def event() -> Any:
        cli.json("agencies", "remind", "--ics", str(tmp_path / "c.ics"))
        (found,) = Calendar.from_ical((tmp_path / "c.ics").read_bytes()).walk("VEVENT")
        return found

    first = event()
    if over == "start":
        assert cli.json("dossier", "start", "--case", "revoked", "--mst", MST, "--one", "--again").status == 0
    else:
        assert cli.json("dossier", over).status == 0
    last = event()
    assert (last["uid"], last["status"], last.walk("VALARM")) == (first["uid"], "CANCELLED", [])
    assert last["sequence"] > first["sequence"]
    if over == "undo":
        cli.now = vn(2027, 1, 19, 15)
        did(cli, "token-received")
        again = event()
        assert (again["uid"], again["status"]) == (first["uid"], "CONFIRMED")
        assert again["dtstart"].dt == datetime(2027, 1, 22, 17, tzinfo=VIETNAM)
        assert again["sequence"] > last["sequence"]


def test_an_old_certificate_of_the_company_is_not_the_new_one(cli: Clocked) -> None:
    """Without a Token ID: neither what was there before the dossier, nor the very one it is about, nor one that is in no token any
    more is what came with the new token.
    """
    about = lcs(7, cli.now - timedelta(hours=2))
    plugged_in(cli, "T1", lcs(6, cli.now - timedelta(days=300)), about)
    assert did(cli, "start", "--case", "suspended", "--mst", MST, "--one", "--cert", about.serial)["token"] is None
    did(cli, "token-received")
    did(cli, "lcs-received")
    assert cli.json("dossier", "activated").data["new_cert"] is None
    gone = lcs(8, cli.now - timedelta(hours=1))
    plugged_in(cli, "T2", gone)
    assert cli.json("dossier", "activated").data["new_cert"] == gone.serial
    plugged_in(cli, "T2")
    assert cli.json("dossier", "activated").data["new_cert"] is None


def test_a_representative_of_several_who_has_called_is_not_told_to_call(cli: Clocked) -> None:
    """The upload before the call is warned of; after it, it is not."""
    warned = []
    for again in ((), ("--again",)):
        did(cli, "start", "--case", "revoked", "--mst", MST, "--several", *again)
        if again:
            did(cli, "called")
        warned.append(cli.json("dossier", "uploaded").data["warnings"])
    assert "19004525" in warned[0][0]
    assert warned[1] == []


def test_while_a_token_waits_to_be_activated_nobody_is_asked_for_its_pin(cli: Clocked) -> None:
    """With an endpoint the CA is asked, which takes a token and its PIN; not from the token's coming on to its activation."""
    settings = Path(cli.env["SAFETOK_HOME"]) / "settings.toml"
    plugged_in(cli, "T1", lcs(7, cli.now - timedelta(days=300)))
    settings.write_text('[authorities.lcs-ca]\noffers_url = "https://127.0.0.1:9"\n')
    did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    assert cli.json("dossier", "show").status != 0
    did(cli, "token-received")
    shown = cli.json("dossier", "show")
    assert (shown.status, shown.data["answer"], shown.data["dossier"]["not_activated"]) == (0, None, True)
    did(cli, "activated")
    assert cli.json("dossier", "show").status != 0


def test_an_open_dossier_goes_before_one_that_is_over(cli: Clocked) -> None:
    """With one company's lost and another's begun the latter is meant; the former still when it is named."""
    did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    did(cli, "token-received")
    did(cli, "lost")
    did(cli, "start", "--case", "revoked", "--mst", "0106324653", "--one")
    assert did(cli, "show")["mst"] == "0106324653"
    assert did(cli, "show", "--mst", MST)["urgency"] == "lost"


def test_a_dossier_that_is_over_forecasts_no_arrival(cli: Clocked) -> None:
    """Its last step recorded, the token's coming never: nothing is said any more of days on which it must not come."""
    cli.now = vn(2027, 1, 28, 9)
    did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    assert cli.json("dossier", "show").data["if_received_today"] is not None
    assert did(cli, "contract-received")["urgency"] == "finished"
    data = cli.json("dossier", "show").data
    assert (data["if_received_today"], data["bad_days"]) == (None, [])
