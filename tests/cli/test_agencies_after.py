from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support_agencies import OLD, followed, listed
from support_clock import Clocked
from support_store import NOW

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.times import rfc3339
from safetok.store.answers import Answers
from safetok.store.database import Database
from safetok.store.paths import home
from safetok.workflows import agencies


@pytest.fixture
def cli(tmp_path: Path) -> Clocked:
    """A home where one certificate has just followed another; no driver is ever needed."""
    return followed(tmp_path)


def _heard(cli: Clocked, sha256: str, answer: RevocationAnswer) -> None:
    with Database(home(cli.env).database) as db:
        Answers(db).put_revocation(sha256, Revocation(answer=answer, checked_at=cli.now))


def _settings(cli: Clocked, text: str) -> None:
    (Path(cli.env["SAFETOK_HOME"]) / "settings.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("back", [{"days": 400}, {"minutes": 30}])
def test_a_clock_set_back_starts_no_wrong_24_hours(cli: Clocked, back: dict[str, int]) -> None:
    """Without --at the computer's clock must not stand before the certificate or before what was recorded; nothing is recorded."""
    cli.later(**{part: -amount for part, amount in back.items()})
    said = cli.json("agencies", "done", "vnaccs")
    assert (said.status, said.codes) == (11, ["clock_wrong"])
    assert "timedatectl" in said.envelope["errors"][0]["hint"]
    cli.later(**back)
    assert listed(cli)["vnaccs"]["state"] == "open"
    cli.later(minutes=-30)
    assert cli.json("agencies", "done", "vnaccs", "--at", rfc3339(cli.now - timedelta(minutes=5))).status == 0


# -- what to sign with --------------------------------------------------------------------------------------------------


def test_from_adoption_to_all_accepted(cli: Clocked) -> None:
    """The story: the old one signs until an agency is updated, neither while it waits, the new one afterwards."""
    assert {row["sign_with"] for row in listed(cli).values()} == {"unchecked"}
    _heard(cli, OLD.sha256, RevocationAnswer.GOOD)
    assert {row["sign_with"] for row in listed(cli).values()} == {"old"}
    cli.json("agencies", "done", "vnaccs", "v5", "ixhd")
    rows = listed(cli)
    assert [name for name, row in rows.items() if row["sign_with"] == "neither"] == ["ixhd", "vnaccs", "v5"]
    assert rows["tvan"]["sign_with"] == "old"
    cli.later(hours=24)
    assert {row["state"] for name, row in listed(cli).items() if name in {"ixhd", "vnaccs", "v5"}} == {"due_check"}
    assert listed(cli)["vnaccs"]["sign_with"] == "new"
    cli.json("agencies", "accepted", "ixhd", "vnaccs", "v5")
    cli.json("agencies", "done", "tvan", "etax", "ivan", "bhxh", "--at", "hôm nay 8:00")
    cli.json("agencies", "accepted", "tvan", "etax", "ivan", "bhxh")
    assert {row["sign_with"] for row in listed(cli).values()} == {"new"}
    assert cli.json("agencies", "remind", "--check").status == 0


def test_a_check_from_before_the_new_one_came_says_nothing_of_the_old_one(cli: Clocked) -> None:
    """A CA may revoke the old one as it issues the new one; also where an agency is added later, the moment it came counts."""
    cli.later(hours=-1)
    _heard(cli, OLD.sha256, RevocationAnswer.GOOD)
    cli.later(hours=1)
    assert {row["sign_with"] for row in listed(cli).values()} == {"unchecked"}
    assert f"chưa kiểm tra thu hồi từ khi có CTS mới: safetok certs check {OLD.serial}" in cli("agencies", "list").out
    cli.later(minutes=5)
    _heard(cli, OLD.sha256, RevocationAnswer.GOOD)
    cli.later(minutes=5)
    cli.json("agencies", "add", "misa")
    assert {row["sign_with"] for row in listed(cli).values()} == {"old"}
    asked = cli.json("agencies", "when", "misa", "--need", "25/11 10:00").data["agencies"]
    assert [row["sign_with"] for row in asked] == ["old"]


def test_an_old_one_that_expires_or_is_revoked_no_longer_signs(cli: Clocked) -> None:
    """The column says neither, and why."""
    _heard(cli, OLD.sha256, RevocationAnswer.REVOKED)
    assert listed(cli)["tvan"]["sign_with"] == "neither"
    shown = cli("agencies", "list").out
    assert "THU HỒI" in shown
    assert "Hôm nay chưa ký được bằng CTS nào: " in shown
    _heard(cli, OLD.sha256, RevocationAnswer.GOOD)
    cli.later(days=21)
    assert listed(cli)["tvan"]["sign_with"] == "neither"


def test_etax_has_two_halves(cli: Clocked) -> None:
    """One half leaves it open and names the other; the second completes it, at the later moment; undo takes one back."""
    said = cli("agencies", "done", "etax:khai", "--at", "15:00").out
    assert "còn: Nộp thuế điện tử" in said
    assert listed(cli)["etax"]["state"] == "open"
    assert [part["part"] for part in listed(cli)["etax"]["parts"]] == ["khai"]
    cli.json("agencies", "done", "etax:nop", "--at", "16:00")
    row = listed(cli)["etax"]
    assert (row["state"], row["updated_at"]) == ("updated", rfc3339(NOW - timedelta(minutes=5)))
    cli.json("agencies", "undo", "etax")
    assert listed(cli)["etax"]["state"] == "open"
    assert cli.json("agencies", "done", "etax:x").codes == ["no_such_part"]
    assert cli.json("agencies", "done", "vnaccs:khai").codes == ["no_such_part"]


def test_of_two_halves_the_one_updated_is_signed_for_with_the_new_one(cli: Clocked) -> None:
    """Declarations know the new certificate already, payments not yet: each half says its own, also where a rule makes it wait."""
    _heard(cli, OLD.sha256, RevocationAnswer.GOOD)
    cli.json("agencies", "done", "etax:khai")
    row = listed(cli)["etax"]
    assert (row["sign_with"], [(one["part"], one["sign_with"]) for one in row["sign_parts"]]) == (
        "old",
        [("khai", "new")],
    )
    shown = " ".join(cli("agencies", "list").out.split())
    assert "Khai thuế điện tử: CTS mới; Nộp thuế điện tử: CTS cũ" in shown
    _settings(cli, '[agencies.etax.acceptance]\nrule = "working_hours"\namount = 4\nsource = "Viettel"\n')
    assert [one["sign_with"] for one in listed(cli)["etax"]["sign_parts"]] == ["neither"]
    cli.json("agencies", "done", "etax:nop")
    assert listed(cli)["etax"]["sign_parts"] == []


def test_two_who_record_two_services_at_once_lose_neither(cli: Clocked) -> None:
    """The second run has looked before the first one wrote: what it adds is added to what stands there by then."""
    looked = agencies._chosen

    def overtaken(*given: Any) -> Any:
        rows = looked(*given)
        with patch.object(agencies, "_chosen", looked):
            assert cli("agencies", "done", "etax:khai").status == 0
        return rows

    with patch.object(agencies, "_chosen", overtaken):
        assert cli("agencies", "done", "etax:nop").status == 0
    assert listed(cli)["etax"]["state"] == "updated"


def test_several_at_once_each_with_its_own_time(cli: Clocked) -> None:
    """`vnaccs@14:00 v5` with --at: each has its own moment, in one command; one that cannot be read leaves all as they were."""
    cli.json("agencies", "done", "vnaccs@14:00", "v5@hôm qua 9h", "ixhd", "--at", "15:30")
    until = {name: listed(cli)[name]["until"] for name in ("vnaccs", "v5", "ixhd")}
    assert until == {
        "vnaccs": "2026-11-24T07:00:00Z",
        "v5": "2026-11-23T02:00:00Z",
        "ixhd": "2026-11-24T08:30:00Z",
    }
    assert cli.json("agencies", "done", "tvan", "ivan@nghỉ").codes == ["bad_time"]
    assert listed(cli)["tvan"]["state"] == "open"


def test_one_service_is_never_taken_for_its_whole_agency(cli: Clocked) -> None:
    """Only `done` takes a service or a time: `skip etax:nop` had struck the whole of etax off, tax declarations too."""
    before = cli.json("agencies", "list").data
    for words in (
        ["skip", "etax:nop"],
        ["accepted", "v5@08:05"],
        ["reject", "etax:khai"],
        ["undo", "tvan", "v5@08:05"],
    ):
        said = cli.json("agencies", *words)
        assert (said.status, said.codes) == (2, ["whole_agency"]), words
    assert cli.json("agencies", "list").data == before


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


def test_a_service_that_is_updated_before_the_rest_is_answered_by_itself(cli: Clocked) -> None:
    """Tax declarations are updated, payments are not: the last moment is said of these, and what those are signed with."""
    cli.json("agencies", "done", "etax:khai", "--at", "15:00")
    row = _answers(cli, "T4 10:00", "etax")["etax"]
    assert (row["answer"], row["latest"]) == ("in_time", "2026-11-25T03:00:00Z")
    assert [(one["part"], one["sign_with"]) for one in row["sign_parts"]] == [("khai", "new")]
    said = cli("agencies", "when", "etax", "--need", "T4 10:00").out
    assert "Nộp thuế điện tử: cập nhật trước 10:00 T4 25/11/2026" in said
    assert "Khai thuế điện tử: đã cập nhật: ký bằng CTS mới." in said
    assert [*_answers(cli, "T4 10:00", "etax:nop")] == ["etax"]
    assert cli.json("agencies", "when", "etax:x", "--need", "T4 10:00").codes == ["no_such_part"]
    cli.json("agencies", "done", "etax:nop")
    row = _answers(cli, "T4 10:00", "etax")["etax"]
    assert (row["answer"], row["sign_parts"]) == ("ready", [])


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


def test_a_filing_at_no_moment_names_the_option_that_was_typed(cli: Clocked) -> None:
    """The examples are of --need, not of another command's option."""
    (error,) = cli.json("agencies", "when", "--need", "x").envelope["errors"]
    assert (error["code"], "--need" in error["hint"], "--at" in error["hint"]) == ("bad_time", True, False)


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


def test_a_rule_for_an_agency_that_was_added_is_none_for_nobody(cli: Clocked) -> None:
    """`[agencies.NAME.acceptance]` may be for an agency of the user's own: told until it is added, and no longer."""
    _settings(cli, '[agencies.misa.acceptance]\nrule = "hours"\namount = 48\n')
    assert "agencies.misa.acceptance" in cli.json("agencies", "list").err
    assert cli.json("agencies", "add", "misa").status == 0
    assert cli.json("agencies", "list").err == ""
