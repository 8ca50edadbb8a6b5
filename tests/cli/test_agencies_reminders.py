"""How people are reminded of agencies: a calendar, the desktop, hooks, and units that run by themselves."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from icalendar import Calendar
from support_agencies import HOSTILE, followed, joined, listed, overtaken
from support_clock import Clocked
from support_notifications import desktop
from support_store import NOW, certificate

from safetok.domain.times import VIETNAM
from safetok.workflows import reminders


@pytest.fixture
def cli(tmp_path: Path) -> Clocked:
    """A home where one certificate has just followed another; no driver is ever needed."""
    return followed(tmp_path)


@pytest.fixture
def two(cli: Clocked) -> Clocked:
    """The same with a second company, whose name would be a formula."""
    return joined(cli, HOSTILE)


def _calendar(cli: Clocked, path: Path) -> dict[str, Any]:
    said = cli.json("agencies", "remind", "--ics", str(path))
    assert (said.status, said.data["ics"]) == (0, str(path))
    parts = Calendar.from_ical(path.read_bytes()).walk()
    return {str(part["uid"]): part for part in parts if part.name in {"VEVENT", "VTODO"}}


def test_only_a_calendar_gives_way_to_a_calendar(cli: Clocked, tmp_path: Path) -> None:
    """`--ics` with the name of a list by mistake leaves the list as it is."""
    path = tmp_path / "list.csv"
    path.write_text("token_id\n", encoding="utf-8")
    said = cli.json("agencies", "remind", "--ics", str(path))
    assert (said.status, said.codes, path.read_text(encoding="utf-8")) == (2, ["file_exists"], "token_id\n")


def test_a_calendar_follows_what_is_recorded(cli: Clocked, tmp_path: Path) -> None:
    """Seven to-dos at first; an update completes one and adds the end of its wait; undo cancels that; UIDs stay, SEQUENCE grows."""
    path = tmp_path / "c.ics"
    first = _calendar(cli, path)
    assert [part.name for part in first.values()] == ["VTODO"] * 7
    cli.json("agencies", "done", "vnaccs")
    cli.later(minutes=1)
    second = _calendar(cli, path)
    assert {*first} < {*second}
    (wait,) = (part for part in second.values() if part.name == "VEVENT")
    assert wait["dtstart"].dt == (NOW + timedelta(hours=24)).astimezone(VIETNAM)
    changed = [uid for uid in first if second[uid]["sequence"] != first[uid]["sequence"]]
    assert len(changed) == 1
    assert second[changed[0]]["status"] == "COMPLETED"
    cli.json("agencies", "undo", "vnaccs")
    third = _calendar(cli, path)
    assert third[str(wait["uid"])]["status"] == "CANCELLED"
    assert third[str(wait["uid"])]["sequence"] > wait["sequence"]
    assert third[changed[0]]["status"] == "NEEDS-ACTION"


def test_an_agency_without_a_wait_never_has_an_event(cli: Clocked, tmp_path: Path) -> None:
    """One not used, one updated in part, one taken back: nothing to cancel was ever in a calendar, so nothing struck out comes."""
    cli.json("agencies", "skip", "bhxh")
    cli.json("agencies", "done", "etax:khai", "ivan")
    cli.json("agencies", "undo", "ivan")
    assert {part.name for part in _calendar(cli, tmp_path / "c.ics").values()} == {"VTODO"}


def test_a_certificate_that_was_replaced_leaves_the_calendar(cli: Clocked, tmp_path: Path) -> None:
    """A newer one follows while waits run: what stood in calendars for the one before rings no more. It is CANCELLED, but what was
    accepted, also after the last file; a wait that was taken back after it goes too.
    """
    path = tmp_path / "c.ics"
    cli.json("agencies", "done", "vnaccs", "v5", "bhxh")
    cli.json("agencies", "accepted", "bhxh")
    first = _calendar(cli, path)
    cli.json("agencies", "accepted", "vnaccs")
    cli.json("agencies", "undo", "v5")
    overtaken(cli)
    second = _calendar(cli, path)
    assert {*first} < {*second}
    for uid in first:
        assert second[uid].walk("VALARM") == []
        assert second[uid]["sequence"] > first[uid]["sequence"]
    ended = [(second[uid].name, second[uid]["status"]) for uid in first]
    assert sorted(ended) == [("VEVENT", "CANCELLED")] * 2 + [("VTODO", "CANCELLED")] * 5 + [("VTODO", "COMPLETED")] * 2
    assert [part["status"] for uid, part in second.items() if uid not in first] == ["NEEDS-ACTION"] * 7


def test_what_is_not_used_or_refused_leaves_what_stood_in_the_calendar(cli: Clocked, tmp_path: Path) -> None:
    """An agency that a person says is not used: its to-do is cancelled. One that refused: no more wait, its to-do open again."""
    path = tmp_path / "c.ics"
    cli.json("agencies", "done", "vnaccs")
    first = _calendar(cli, path)
    cli.json("agencies", "skip", "bhxh")
    cli.json("agencies", "reject", "vnaccs")
    second = _calendar(cli, path)
    assert {*second} == {*first}
    changed = {uid: part["status"] for uid, part in second.items() if part["sequence"] != first[uid]["sequence"]}
    assert sorted(changed.values()) == ["CANCELLED", "CANCELLED", "NEEDS-ACTION"]
    assert not [part for part in second.values() if part["status"] == "CANCELLED" and part.walk("VALARM")]


def test_a_to_do_is_due_a_day_after_its_list_was_opened(cli: Clocked, tmp_path: Path) -> None:
    """And where it was updated, then."""
    before = {uid: part["due"].dt for uid, part in _calendar(cli, tmp_path / "c.ics").items()}
    assert {*before.values()} == {(NOW + timedelta(days=1)).astimezone(VIETNAM)}
    cli.later(hours=3)
    cli.json("agencies", "done", "bhxh")
    after = {uid: part["due"].dt for uid, part in _calendar(cli, tmp_path / "c.ics").items()}
    assert [after[uid] for uid in before if after[uid] != before[uid]] == [cli.now.astimezone(VIETNAM)]


def test_a_calendar_of_one_company_says_nothing_of_another(two: Clocked, tmp_path: Path) -> None:
    """Also of certificates that were replaced since."""
    overtaken(two)
    path = tmp_path / "c.ics"
    assert two.json("agencies", "remind", "--mst", "0312345678", "--ics", str(path)).status == 0
    parts = [part for part in Calendar.from_ical(path.read_bytes()).walk() if part.name == "VTODO"]
    assert len(parts) == 7
    assert all("0106324653" not in str(part["description"]) for part in parts)


def test_the_desktop_is_told_of_so_many_lines_and_how_many_more(cli: Clocked, tmp_path: Path) -> None:
    """As many lines as are shown need no word of more; of a part that nobody touched for long only that is told."""
    for number in range(2, reminders.LINES + 1):
        joined(cli, certificate(100 + number, mst=f"03123456{number:02}", subject_name=f"CÔNG TY {number}"))
    with desktop(tmp_path) as (address, shown):
        bus = {"DBUS_SESSION_BUS_ADDRESS": address}
        assert cli.json("agencies", "remind", "--notify", env=bus).status == 0
        body = shown.get(timeout=10)[2].splitlines()
        assert len(body) == reminders.LINES
        assert all("CÔNG TY" in line for line in body)
        joined(cli, HOSTILE)
        cli.json("agencies", "remind", "--notify", env=bus)
        assert len(shown.get(timeout=10)[2].splitlines()) == reminders.LINES + 1
        cli.later(days=3)
        cli.json("agencies", "done", "vnaccs", "--mst", "0106324653")
        cli.json("agencies", "undo", "vnaccs", "--mst", "0106324653")
        cli.json("agencies", "remind", "--notify", "--overdue", "2d", "--mst", "0106324653", env=bus)
        (line,) = shown.get(timeout=10)[2].splitlines()
        assert "BHXH" in line
        assert "VNACCS" not in line


def test_the_desktop_is_told_what_is_to_do(two: Clocked, tmp_path: Path) -> None:
    """One notification with a line a company, names escaped (its body is markup); where nothing is due nothing is shown."""
    with desktop(tmp_path) as (address, shown):
        said = two.json("agencies", "remind", "--notify", env={"DBUS_SESSION_BUS_ADDRESS": address})
        assert (said.status, said.data["notified"]) == (0, True)
        (name, title, body) = shown.get(timeout=10)
        assert name == "safetok"
        assert "2" in title
        assert '=HYPERLINK("http://x"' in body
        for agency in ("tvan", "etax", "ivan", "bhxh", "ixhd", "vnaccs", "v5"):
            for mst in ("0106324653", "0312345678"):
                two.json("agencies", "skip", agency, "--mst", mst)
        said = two.json("agencies", "remind", "--notify", env={"DBUS_SESSION_BUS_ADDRESS": address})
        assert said.data["notified"] is False
        assert shown.empty()


@pytest.mark.parametrize("address", ["", "unix:path=/nonexistent/bus", "nonsense"])
def test_without_a_desktop_it_says_so(cli: Clocked, address: str) -> None:
    """No session bus, or one that does not answer, ends with 2 and what to use instead."""
    said = cli.json("agencies", "remind", "--notify", env={"DBUS_SESSION_BUS_ADDRESS": address})
    assert (said.status, said.codes) == (2, ["no_session_bus"])


def test_hooks_are_told_of_updates_waits_and_acceptances_once(cli: Clocked, tmp_path: Path) -> None:
    """An update, the end of its wait (when `remind --hooks` runs) and the acceptance, each once, with the row as data."""
    folder = Path(cli.env["SAFETOK_HOME"]) / "hooks"
    folder.mkdir(mode=0o700)
    hook = folder / "note"
    hook.write_text(f"#!/bin/sh\ncat >> {tmp_path}/said\n")
    hook.chmod(0o700)
    cli.json("agencies", "done", "vnaccs", "etax")
    cli.later(hours=25)
    cli.json("agencies", "remind")
    for _time in range(2):
        cli.json("agencies", "remind", "--hooks")
    cli.json("agencies", "accepted", "vnaccs")
    told = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    assert [(one["event"], one["data"]["agency"]) for one in told] == [
        ("updated", "vnaccs"),
        ("updated", "etax"),
        ("wait_over", "vnaccs"),
        ("accepted", "vnaccs"),
    ]
    hook.write_text("#!/bin/sh\nexit 1\n")
    said = cli.json("agencies", "accepted", "etax")
    assert said.status == 0
    assert "agencies hooks --retry" in said.err
    assert listed(cli)["etax"]["state"] == "accepted"
    assert cli.json("agencies", "hooks").data["runs"][0]["outcome"] == "failed"
    for words, title in ((("hooks",), "Bị lỗi (1)"), (("hooks", "--retry"), "Đã chạy lại (1)")):
        assert title in cli("agencies", *words).out
    assert cli.json("agencies", "hooks", "--retry").status == 12


def test_units_name_this_installation_and_this_home(cli: Clocked) -> None:
    """A timer, a cron line and a Windows task, for every day, each with the home and language in force; nothing is written."""
    data = cli.json("agencies", "remind", "--unit").data
    assert set(data["systemd"]) == {"safetok-remind.service", "safetok-remind.timer"}
    assert f"SAFETOK_HOME={cli.env['SAFETOK_HOME']}" in data["systemd"]["safetok-remind.service"]
    assert "OnCalendar=*-*-* 08:30:00 Asia/Ho_Chi_Minh" in data["systemd"]["safetok-remind.timer"]
    assert data["cron"].startswith("30 8,13 * * * SAFETOK_HOME=")
    assert data["windows"].startswith('schtasks /Create /TN "safetok remind" /SC DAILY /ST 08:30 ')
    assert rf'/TR "cmd /k set \"SAFETOK_HOME={cli.env["SAFETOK_HOME"]}\"&& ' in data["windows"]
    english = cli.json("agencies", "remind", "--unit", env={"SAFETOK_LANG": "en"}).data
    assert "\nEnvironment=SAFETOK_LANG=en\n" in english["systemd"]["safetok-remind.service"]
    assert " SAFETOK_LANG=en " in english["cron"]
    assert r"set \"SAFETOK_LANG=en\"&& " in english["windows"]
    odd = cli.json("agencies", "remind", "--unit", env={"SAFETOK_HOME": "/tmp/50% of $it"}).data
    assert '"SAFETOK_HOME=/tmp/50%% of $it"' in odd["systemd"]["safetok-remind.service"]
    assert r"'/tmp/50\% of $it'" in odd["cron"]


@pytest.mark.parametrize("words", [("remind", "--ics"), ("list", "--xlsx")])
def test_a_file_that_cannot_be_written_is_named_as_it_was_typed(
    cli: Clocked, tmp_path: Path, words: tuple[str, str]
) -> None:
    """A folder is said to be one, one that does not exist is not made, and no option is named that the command lacks."""
    for path, code in ((tmp_path, "not_a_file"), (tmp_path / "nowhere" / "x", "file_not_written")):
        said = cli.json("agencies", *words, str(path))
        (error,) = said.envelope["errors"]
        assert (said.status, error["code"]) == (2, code)
        assert str(path) in error["message"]
        assert "--" not in error["hint"]
    assert not (tmp_path / "nowhere").exists()
