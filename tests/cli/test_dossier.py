from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support_clock import Clocked
from support_dossier import MST, START, clocked, did, lcs, plugged_in, vn
from support_mail import surroundings
from support_store import certificate, reading
from support_terminal import on_a_terminal

from safetok.domain.offers import PublicOffer
from safetok.store.answers import Answers
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home
from safetok.workflows.certs import Views
from safetok.workflows.dossier_deadlines import due

OLD = lcs(1, vn(2024, 3, 1))


@pytest.fixture
def cli(tmp_path: Path) -> Clocked:
    """A home that has never seen a token."""
    return clocked(tmp_path)


@pytest.fixture
def seen(cli: Clocked) -> Clocked:
    """The same after a look at a token with an LCS certificate of March 2024."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", OLD), START - timedelta(days=2))
    return cli


@pytest.mark.parametrize("mst", ["0106324654", "010632465", "nope"])
def test_a_dossier_is_not_begun_for_a_tax_code_that_nobody_has(cli: Clocked, mst: str) -> None:
    """A slip of the pen had begun a dossier that no token ever met, and that nothing took away again."""
    said = cli.json("dossier", "start", "--case", "revoked", "--mst", mst, "--one")
    assert (said.status, said.codes) == (2, ["bad_mst"])
    assert cli.json("dossier", "list").data["dossiers"] == []


def test_the_ordinary_path_and_its_words(seen: Clocked) -> None:
    """Papers missing on a certificate of 2024: four steps, the notice's dates, and that sending is not receiving."""
    said = seen("dossier", "start", "--case", "papers-missing", "--one").out
    assert "Hồ sơ (BẢN GIẤY) chưa đầy đủ" in said
    assert "trước ngày 20/04/2024" in said
    assert "https://tracuu.lcs-ca.vn" in said
    assert "LCS không chịu trách nhiệm" in said
    for step in ("verified", "papers-ready", "sent"):
        did(seen, step)
    assert "Gửi đi chưa đủ" in seen("dossier", "show").out
    assert did(seen, "lcs-received")["urgency"] == "finished"


def test_the_notices_dates_are_not_claimed_for_later_certificates(cli: Clocked) -> None:
    """A certificate issued after 20/04/2024, or one whose first day is not known, hears nothing of 2024's dates."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", lcs(3, vn(2025, 6, 1))), START)
    assert "20/04/2024" not in cli("dossier", "start", "--case", "papers-missing", "--one").out
    assert "20/04/2024" not in cli("dossier", "start", "--case", "papers-missing", "--mst", "0106324653", "--one").out


def test_start_asks_which_case_and_whom_it_is_for(cli: Clocked) -> None:
    """On a terminal: the three cases by number, then whether the representative stands for several companies; the step follows."""
    said = on_a_terminal(
        cli,
        *("dossier", "start", "--mst", MST, "--name", "CÔNG TY AN PHÁT"),
        answers=[("Gõ số (1 đến 3)", "3"), ("đứng tên nhiều công ty không? [c/K]", "c")],
    )
    assert said.status == 0, said.out
    for text in ("1) Hồ sơ (BẢN GIẤY)", "2) CTS đang tạm dừng", "3) CTS đã bị thu hồi", "Bây giờ: Gọi LCS", "19004525"):
        assert text in said.out
    found = did(cli, "show")
    assert (found["case"], found["path"], found["several_companies"]) == ("revoked", "restoration", True)


def test_commands_name_the_company_where_several_are_open(cli: Clocked) -> None:
    """With one dossier open its command stands alone; with two each names its tax code, so that it can be copied."""
    did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    assert "safetok dossier uploaded licence identity email phone\n" in cli("dossier", "show").out
    said = cli("dossier", "start", "--case", "papers-missing", "--mst", "0106324653", "--one").out
    assert "safetok dossier verified --mst 0106324653\n" in said
    assert "safetok dossier record complete|missing|suspended|revoked --mst 0106324653" in " ".join(said.split())
    assert "safetok dossier start --path restoration --again --mst 0106324653" in " ".join(said.split())
    assert did(cli, "verified", "--mst", "0106324653")["step"] == "papers-ready"


def test_a_dossier_begun_by_tax_code_is_the_companys_once_its_token_is_seen(cli: Clocked) -> None:
    """No second one is opened beside it, which nothing could tell apart; begun anew, one stands in the place of the other."""
    did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    did(cli, "token-received")
    plugged_in(cli, "T1", lcs(3, vn(2025, 6, 1)))
    begin = ("dossier", "start", "--case", "revoked", "--mst", MST, "--one")
    assert cli.json(*begin).codes == ["dossier_exists"]
    assert did(cli, "papers-ready", "--mst", MST)["step"] == "sent"
    cli.later(minutes=1)
    assert cli.json(*begin, "--again").status == 0
    assert [one["cert"] for one in cli.json("dossier", "list").data["dossiers"]] == [lcs(3, vn(2025, 6, 1)).serial]
    assert did(cli, "show", "--mst", MST)["deadline"] is None


def test_a_dossier_begun_by_tax_code_answers_for_the_certificate(cli: Clocked, tmp_path: Path) -> None:
    """Named by the certificate's serial it is found; papers that LCS has received by its records are missing no more."""
    one = lcs(3, vn(2025, 6, 1))
    did(cli, "start", "--case", "papers-missing", "--mst", MST, "--one")
    plugged_in(cli, "T1", one)
    with Database(home(cli.env).database) as db:
        Answers(db).put_offer(one.sha256, PublicOffer(exists=True, refused="dossier_missing"), cli.now)

    def refused() -> tuple[str, bool]:
        context = surroundings(tmp_path, None, now=lambda: cli.now)
        (view,) = Views(context).of_none([one], {one.sha256})
        context.close()
        return view.refused, view.dossier_open

    assert refused() == ("dossier_missing", True)
    assert did(cli, "lcs-received", "--cert", one.serial)["step"] is None
    assert refused() == ("", False)


def test_two_certificates_of_one_company_are_named_by_serial(cli: Clocked, tmp_path: Path) -> None:
    """Where one tax code has two open dossiers, every command that is named leads to the one it is about."""
    certificates = [lcs(3, vn(2025, 6, 1)), lcs(4, vn(2025, 6, 2))]
    for token, one in zip(("T1", "T2"), certificates, strict=True):
        plugged_in(cli, token, one)
        did(cli, "start", "--case", "revoked", "--cert", one.serial, "--one")
        did(cli, "token-received", "--cert", one.serial)
    for one in certificates:
        shown = cli("dossier", "show", "--cert", one.serial).out
        assert f"safetok dossier papers-ready --cert {one.serial}\n" in shown
    context = surroundings(tmp_path, None, now=lambda: cli.now)
    commands = [one.command for one in due(context)]
    context.close()
    assert sorted(commands) == [f"safetok dossier show --cert {one.serial}" for one in certificates]


def test_beginning_anew_keeps_the_companys_name(cli: Clocked) -> None:
    """A company known by its tax code alone keeps the name it was given, and the plan's command can be followed."""
    said = cli("dossier", "start", "--case", "papers-missing", "--mst", MST, "--name", "CÔNG TY AN PHÁT", "--one").out
    assert "safetok dossier start --path restoration --again" in said
    words = ("--mst", MST, "--case", "papers-missing", "--path", "restoration", "--again", "--one")
    assert did(cli, "start", *words)["name"] == "CÔNG TY AN PHÁT"


def test_one_representative_of_several_companies_calls_first(cli: Clocked) -> None:
    """The call is the first step, and an upload before it is warned of."""
    found = did(cli, "start", "--case", "revoked", "--mst", MST, "--several")
    assert found["step"] == "called"
    assert "19004525" in cli("dossier", "show").out
    assert "gọi trực tiếp 19004525 trước" in cli.json("dossier", "uploaded").err


def test_a_payment_request_from_elsewhere_is_warned_of(cli: Clocked) -> None:
    """Zalo and hoso@lcs.com.vn are LCS's; any other address is to be called about before paying."""
    did(cli, "start", "--case", "suspended", "--mst", MST, "--one")
    assert cli.json("dossier", "payment-requested", "--by", "hoso@lcs.com.vn").data["warnings"] == []
    assert cli.json("dossier", "payment-requested", "--by", "zalo").data["warnings"] == []
    said = cli.json("dossier", "payment-requested", "--by", "hoso@lcs-com.vn")
    assert "TRƯỚC khi chuyển khoản" in said.data["warnings"][0]


def test_four_items_are_uploaded_one_by_one(cli: Clocked) -> None:
    """The step is done with the fourth; a word that is none of them is refused."""
    did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    assert did(cli, "uploaded", "licence", "identity")["step"] == "uploaded"
    said = cli("dossier", "show").out
    assert "(đã tải lên)" in said
    assert "safetok dossier uploaded email phone\n" in said
    assert cli.json("dossier", "uploaded", "passport").codes == ["bad_choice"]
    assert did(cli, "uploaded", "email", "phone")["step"] == "video-called"


def test_days_are_said_and_undone(cli: Clocked) -> None:
    """A day in several forms, none in the future, out of order with a warning; undo takes the last one back."""
    did(cli, "start", "--case", "revoked", "--mst", MST, "--one")
    assert did(cli, "paid", "--day", "hôm qua")["steps"][-1]["day"] == "2027-01-17"
    assert did(cli, "token-received", "17/1")["deadline"]["received"] == "2027-01-17"
    assert cli.json("dossier", "papers-ready", "--day", "20/01/2027").codes == ["future_day"]
    assert cli.json("dossier", "papers-ready", "--day", "lúc nãy").codes == ["bad_day"]
    early = cli.json("dossier", "papers-ready", "--day", "16/01/2027")
    assert len(early.data["warnings"]) == 1
    assert did(cli, "undo")["step"] == "papers-ready"
    assert did(cli, "undo")["deadline"] is None
    did(cli, "undo")
    assert cli.json("dossier", "undo").codes == ["nothing_to_undo"]


def test_what_cannot_be_is_refused(cli: Clocked, seen: Clocked) -> None:
    """No dossier, a case not said, a wrong step, a second one, a path that is not for that case: each with its code."""
    assert cli.json("dossier", "verified").codes == ["no_dossier"]
    assert cli.json("dossier", "start").codes == ["case_needed"]
    assert cli.json("dossier", "start", "--case", "lost").codes == ["bad_choice"]
    assert cli.json("dossier", "start", "--case", "revoked", "--path", "ordinary").codes == ["bad_path"]
    did(cli, "start", "--case", "papers-missing", "--one")
    assert cli.json("dossier", "start", "--case", "revoked").codes == ["dossier_exists"]
    assert cli.json("dossier", "token-received").codes == ["wrong_step"]
    did(cli, "start", "--case", "revoked", "--again", "--one")
    did(cli, "start", "--case", "revoked", "--mst", "0106324653", "--one")
    assert cli.json("dossier", "show").codes == ["several_dossiers"]
    assert cli.json("dossier", "show", "--mst", "0106324653").status == 0


def test_only_lcs_has_this_procedure(cli: Clocked) -> None:
    """For a SAFE-CA certificate none is begun."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", certificate(1)), START)
    assert cli.json("dossier", "start", "--mst", "0106324653", "--case", "revoked").codes == ["no_dossier_procedure"]


@pytest.mark.parametrize("state", ["suspended", "revoked"])
def test_what_is_worse_than_missing_papers_leads_to_the_plan(cli: Clocked, state: str) -> None:
    """The look-up page says suspended or revoked meanwhile: the notice's consequence, and the command that goes on."""
    did(cli, "start", "--case", "papers-missing", "--mst", MST, "--one")
    said = " ".join(cli("dossier", "record", state).out.split())
    assert "vĩnh viễn không thể phát hành hóa đơn điện tử" in said
    assert ("vĩnh viễn không thể khôi phục" in said) is (state == "revoked")
    command = said.partition("→ safetok ")[2].split()
    assert command[:6] == ["dossier", "start", "--case", state, "--again", "--mst"]
    cli.later(minutes=1)
    assert did(cli, *command[1:7], "--one")["path"] == "restoration"
    assert "→" not in cli("dossier", "show").out


def test_what_the_lookup_page_says_is_recorded(seen: Clocked) -> None:
    """In the page's four answers; without a dossier the page's address is shown, and no PIN is asked for."""
    said = seen("dossier", "show")
    assert said.status == 0
    assert "https://tracuu.lcs-ca.vn" in said.out
    assert "dossier record" not in said.out  # there is none to record it in
    begin = said.out.partition("safetok dossier start ")[2].split()
    assert begin[0] == "--mst"
    assert seen.json("dossier", "start", *begin[:2], "--case", "papers-missing", "--one").status == 0
    did(seen, "record", "missing", "--missing", "Hợp đồng")
    assert seen.json("dossier", "list").data["dossiers"][0]["state"] == "missing"
    said = seen("dossier", "show").out
    assert "Tra cứu ngày T2 18/01/2027: hồ sơ chưa đầy đủ." in said
    assert "còn thiếu: Hợp đồng" in said
    assert seen.json("dossier", "record", "lost").codes == ["bad_choice"]


@pytest.fixture(scope="module")
def box() -> Iterator[Any]:
    """One sandbox for what only asks."""
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


def test_what_is_no_tax_code_begins_nothing(cli: Clocked) -> None:
    """A script's list has lost the zero before it, or a digit is wrong: 2, and no dossier."""
    said = cli.json("dossier", "start", "--case", "revoked", "--mst", MST.removeprefix("0"), "--one")
    assert (said.status, said.codes) == (2, ["bad_mst"])
    slip = cli.json("dossier", "start", "--case", "revoked", "--mst", "0301519978", "--one")
    assert (slip.status, slip.codes) == (2, ["bad_mst"])
    assert cli.json("dossier", "list").data["dossiers"] == []
