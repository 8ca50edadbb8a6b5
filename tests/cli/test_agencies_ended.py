"""A new certificate that has come to its own end: nobody is told to register what no agency can take any more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import icalendar
import pytest
from support_agencies import NEW, OLD, followed, listed
from support_clock import Clocked
from support_store import NOW, certificate, reading

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.sandbox.softhsm import module, write_config
from safetok.store.answers import Answers
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home

LATE = {"days": 401}  # NEW ends after 400
TO_DO = {"tvan", "etax", "ivan", "bhxh", "ixhd", "vnaccs", "v5"}


@pytest.fixture
def cli(tmp_path: Path) -> Clocked:
    """A home where one certificate has just followed another, and a driver that has no token."""
    return _without_token(followed(tmp_path), tmp_path)


def _without_token(cli: Clocked, folder: Path) -> Clocked:
    (folder / "tokens").mkdir()
    write_config(folder / "softhsm2.conf", folder / "tokens")
    more = {"SAFETOK_MODULE": str(module()), "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
    return Clocked({**cli.env, **more}, cli.now)


def _revoke(cli: Clocked, sha256: str) -> None:
    with Database(home(cli.env).database) as db:
        Answers(db).put_revocation(sha256, Revocation(answer=RevocationAnswer.REVOKED, checked_at=cli.now, since=NOW))


def _end(cli: Clocked, how: str) -> None:
    if how == "revoked":
        _revoke(cli, NEW.sha256)
    else:
        cli.later(**LATE)


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_nothing_is_left_to_do(cli: Clocked, how: str) -> None:
    """Open, waiting, over and rejected ones are all at their end; what was accepted stays accepted. Scripts get 0."""
    cli.json("agencies", "done", "vnaccs", "etax", "bhxh")
    cli.later(hours=25)
    cli.json("agencies", "done", "v5")
    cli.json("agencies", "accepted", "etax")
    cli.json("agencies", "reject", "bhxh", "--reason", "sai MST")
    cli.json("agencies", "skip", "ivan")
    assert cli.json("agencies", "remind", "--check").status in {14, 15}
    _end(cli, how)
    states = {name: row["state"] for name, row in listed(cli).items()}
    assert states == dict.fromkeys(TO_DO, how) | {"etax": "accepted", "ivan": "unused"}
    assert cli.json("agencies", "remind", "--check").status == 0
    due = cli.json("status").data
    assert not {one["code"] for one in due["due"]} & {"registrations_open", "due_check", "rejected"}
    assert due["timers"] == []


@pytest.mark.parametrize(
    ("how", "said", "today"),
    [
        ("expired", "CTS này đã hết hạn", "Hôm nay chưa ký được bằng CTS nào: CTS mới đã hết hạn"),
        ("revoked", "CTS này đã bị thu hồi", "Hôm nay ký bằng CTS cũ, sau khi kiểm tra"),
    ],
)
def test_a_person_is_told_why(cli: Clocked, how: str, said: str, today: str) -> None:
    """The list and the reminder name the end, and nobody is asked to record an update."""
    _end(cli, how)
    for words in (("agencies", "list"), ("agencies", "remind")):
        shown = cli(*words).out
        assert shown.count(said) == len(TO_DO)
        assert "agencies done" not in shown
    assert today in cli("agencies", "list").out
    assert "cơ quan chưa cập nhật" not in cli("status").out


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_what_is_recorded_late_is_kept_and_remarked(cli: Clocked, how: str) -> None:
    """`done` writes down what happened; it says that no agency takes this certificate any more."""
    _end(cli, how)
    said = cli.json("agencies", "done", "etax", "--at", "23/11/2026 16:05")
    assert said.status == 0
    assert any(NEW.serial in text for text in said.data["warnings"])
    assert said.data["registrations"][0]["updated_at"] is not None
    assert said.data["registrations"][0]["state"] == how


def test_a_filing_after_its_end_is_not_made_with_it(cli: Clocked) -> None:
    """`when` counts back for a filing before the end; for one after it there is nothing to count."""
    answers = {one["answer"] for one in cli.json("agencies", "when", "--need", "30/11/2026 10:00").data["agencies"]}
    assert answers == {"in_time"}
    said = cli.json("agencies", "when", "--need", "30/12/2027 10:00").data["agencies"]
    assert {(one["answer"], one["state"], one["latest"]) for one in said} == {("expired", "open", None)}
    shown = cli("agencies", "when", "--need", "30/12/2027 10:00").out
    assert "CTS mới hết hạn 28/12/2027: đến lúc đó không ký được bằng CTS này." in shown
    _revoke(cli, NEW.sha256)
    said = cli.json("agencies", "when", "--need", "30/11/2026 10:00").data["agencies"]
    assert {one["answer"] for one in said} == {"revoked"}


def test_the_old_one_still_signs_where_it_is_known(cli: Clocked) -> None:
    """A new one that is revoked takes nothing from the old one, which the agencies know."""
    with Database(home(cli.env).database) as db:
        Answers(db).put_revocation(OLD.sha256, Revocation(answer=RevocationAnswer.GOOD, checked_at=cli.now))
    _revoke(cli, NEW.sha256)
    assert {row["sign_with"] for row in listed(cli).values()} == {"old"}


def test_its_reminders_leave_the_calendar(cli: Clocked, tmp_path: Path) -> None:
    """An imported to-do and an imported wait are cancelled, by a later sequence number."""

    def calendar(name: str) -> dict[str, icalendar.Component]:
        path = tmp_path / name
        assert cli.json("agencies", "remind", "--ics", str(path)).status == 0
        return {
            str(part["UID"]): part for part in icalendar.Calendar.from_ical(path.read_bytes()).walk() if "UID" in part
        }

    cli.json("agencies", "done", "vnaccs")
    before = calendar("before.ics")
    cli.later(**LATE)
    after = calendar("after.ics")
    assert before.keys() <= after.keys()
    assert {str(part["STATUS"]) for part in after.values()} == {"CANCELLED"}
    assert all(int(after[uid]["SEQUENCE"]) > int(part["SEQUENCE"]) for uid, part in before.items())


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_what_appeared_and_has_ended_is_not_taken_over(tmp_path: Path, how: str) -> None:
    """A new certificate that nobody took over in its time is no thing to do any more; named, it is refused with the reason."""
    cli = _without_token(Clocked({"SAFETOK_HOME": str(tmp_path / "home")}, NOW), tmp_path)
    newer = certificate(5, not_before=NOW - timedelta(hours=2), not_after=NOW + timedelta(days=400))
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading("T1", OLD), NOW - timedelta(days=20))
        Inventory(db).record(reading("T1", OLD, newer), NOW)
    assert "new_certificate" in {one["code"] for one in cli.json("status").data["due"]}
    if how == "revoked":
        _revoke(cli, newer.sha256)
    else:
        cli.later(**LATE)
    assert "new_certificate" not in {one["code"] for one in cli.json("status").data["due"]}
    assert cli.json("certs", "adopt", "--yes").data["adopted"] == []
    said = cli.json("certs", "adopt", "--yes", "--cert", newer.serial)
    assert (said.status, said.codes) == (
        (13, ["certificate_revoked"]) if how == "revoked" else (11, ["certificate_expired"])
    )
    assert listed(cli) == {}
