"""A run of a list in its surroundings: PINs of a keyring, what is left, files that are cut, gone or another's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support_batch import codes, planned, refused, token_folder
from support_fleet import PIN, Fleet
from support_inside import Inside
from support_pins import Keyring
from support_simulator import Simulator

from safetok.sandbox import process
from safetok.sandbox.places import write_json
from safetok.store.database import Database
from safetok.tokens.locks import lock_name

TOKENS = 3


@pytest.fixture
def cli(fleet: Fleet) -> Inside:
    """The program in this process."""
    return Inside({k: v for k, v in fleet.environ.items() if k.startswith(("SAFETOK_", "SOFTHSM2_"))})


# --- PINs ----------------------------------------------------------------------------------------------------------------


def test_each_token_has_its_own_pin_in_the_keyring(cli: Inside, fleet: Fleet) -> None:
    """Right: done. Wrong: one try, dropped, not tried again. None: what is missing. Put right, the rest is done."""
    path = planned(cli, fleet, [0, 1, 2], pin="keyring")
    with Keyring.in_use() as keyring:
        keyring.set_password("safetok", fleet.serials[0], PIN)
        keyring.set_password("safetok", fleet.serials[1], "87654321")
        assert codes(cli.json("batch", "run", str(path))) == ["done", "pin_wrong", "pin_needed"]
        assert keyring.pin(fleet.serials[1]) == ""
        keyring.set_password("safetok", fleet.serials[1], "87654321")  # put back by hand, and still wrong
        again = cli.json("batch", "run", str(path))
        assert codes(again) == ["pin_source_failed", "pin_needed"]
        assert "safetok pin store" in again.data["rows"][0]["message"]
        assert "or was cut off" in again.data["rows"][0]["message"]  # nobody knows that it is wrong
        for serial in fleet.serials[1:]:
            keyring.set_password("safetok", serial, PIN)
        assert codes(cli.json("batch", "run", str(path), "--pins-changed")) == ["done", "done"]


def test_a_pin_file_that_was_wrong_is_not_tried_on_a_row_that_is_left(cli: Inside, fleet: Fleet) -> None:
    """One PIN file for several tokens was wrong on the only one that was in. The next run has one row left, with the same file:
    it is tried on no other token.
    """
    path = planned(cli, fleet, [0, 1])
    (fleet.folder / "pin.txt").write_text("00000000\n", encoding="ascii")
    folder = token_folder(fleet, 1)
    folder.rename(fleet.folder / folder.name)
    assert codes(cli.json("batch", "run", str(path))) == ["pin_wrong", "token_not_in"]
    (fleet.folder / folder.name).rename(folder)
    assert codes(cli.json("batch", "resume")) == ["pin_source_stopped"]
    tokens = cli.json("status").data["tokens"]
    spent = {token["serial"]: token["pin_tries_spent"] for token in tokens}
    assert (spent[fleet.serials[0]], spent[fleet.serials[1]]) == (1, 0)


def test_a_variable_that_is_not_set_stops_its_row(cli: Inside, fleet: Fleet) -> None:
    """One row's variable is missing: that row is told, nothing is tried; with it, it is done."""
    path = planned(cli, fleet, [0], pin="env:SAFETOK_PIN_A")
    assert codes(cli.json("batch", "run", str(path))) == ["pin_env_missing"]
    assert codes(cli.json("batch", "run", str(path), env={"SAFETOK_PIN_A": PIN})) == ["done"]


def test_a_pin_that_cannot_be_right_says_where_it_is(cli: Inside, fleet: Fleet) -> None:
    """Too short for this CA, or for the token: nothing is tried, and the next step is one that a list has."""
    path = planned(cli, fleet, [0], pin="env:SAFETOK_PIN_A")
    for pin, code in (("12345", "pin_profile"), ("12", "pin_refused_locally")):
        said = cli.json("batch", "run", str(path), env={"SAFETOK_PIN_A": pin})
        assert codes(said) == [code]
        assert "env:SAFETOK_PIN_A" in said.data["rows"][0]["message"]


# --- what is left --------------------------------------------------------------------------------------------------------


def test_a_run_with_nothing_to_do_says_what_it_leaves(cli: Inside, fleet: Fleet) -> None:
    """Rows of a later day, rows that no run takes: each with its next step, and 0. Rows that an earlier run left failed: 12, for
    the plan is partly failed.
    """
    path = planned(cli, fleet, [0], pin="env:SAFETOK_PIN_A")
    assert "safetok batch run" in cli("batch", "run", str(path)).out
    left = cli("batch", "resume")
    assert (left.status, "Nothing to do" in left.out, "1 rows failed" in left.out) == (12, False, True)
    script = cli.json("batch", "resume")
    assert (script.status, script.codes, script.data["rows"]) == (12, ["pin_env_missing"], [])
    listed = fleet.write_list(fleet.folder / "list.csv", [0, 1])
    said = cli.json("batch", "plan", str(listed), "--per-day", "1")
    path = Path(said.data["plan"])
    first = cli("batch", "run", str(path))
    assert (first.status, "not begun 1, done 1" in first.out, "batch resume" in first.out) == (0, True, False)
    later = cli("batch", "run", str(path))
    assert (later.status, "rows have a later day" in first.out, "rows have a later day" in later.out) == (0, True, True)
    process.stop(fleet.places)
    folder = fleet.folder / "other lists"
    folder.mkdir()
    (folder / "l.csv").write_bytes(listed.read_bytes().replace("có".encode(), b""))  # nobody has signed what is pending
    (folder / "pin.txt").write_bytes((fleet.folder / "pin.txt").read_bytes())
    (folder / "pin.txt").chmod(0o600)
    assert cli("batch", "plan", str(folder / "l.csv")).status == 12
    refused_ = cli("batch", "run", str(folder / "l.plan.json"))
    assert (refused_.status, "Nothing to do" in refused_.out, "no run takes them" in refused_.out) == (0, False, True)
    assert f"safetok batch plan '{folder / 'l.csv'}'" in refused_.out


def test_a_plan_in_which_nothing_is_due_says_so(cli: Inside, fleet: Fleet) -> None:
    """Planned again after all is done, and run by hand: one sentence, not an empty screen."""
    assert codes(cli.json("batch", "run", str(planned(cli, fleet, [0])))) == ["done"]
    said = cli("batch", "run", str(planned(cli, fleet, [0])))
    assert (said.status, "Nothing to do" in said.out) == (0, True)


def test_the_plan_run_last_is_meant_also_where_nothing_was_due(cli: Inside, fleet: Fleet) -> None:
    """`batch report` and `batch resume` without a name are about the plan of the run before, whatever that run found to do."""
    first = planned(cli, fleet, [0])
    assert codes(cli.json("batch", "run", str(first))) == ["done"]
    other = fleet.write_list(fleet.folder / "other.csv", [0])
    second = cli.json("batch", "plan", str(other)).data["plan"]
    assert cli.json("batch", "run", second).data["rows"] == []
    assert cli.json("batch", "report").data["manifest"] == str(other)
    assert cli.json("batch", "resume").data["plan"] == second


def test_a_run_says_where_the_companies_files_are(cli: Inside, fleet: Fleet) -> None:
    """--kits: the folder stands at the end, in the data and in the last event, and holds each company's page."""
    path = planned(cli, fleet, [0, 1])
    said = cli("batch", "run", str(path), "--kits")
    folder = Path(json.loads(said.err.splitlines()[-1])["kits"])
    assert str(folder) in said.out
    assert len(list(folder.glob("*/*.html"))) >= 2
    assert cli.json("batch", "run", str(path), "--kits").data["kits"] is None, "none was made"


def test_a_report_counts_its_rows(cli: Inside, fleet: Fleet) -> None:
    """The table ends with how many rows are in which state."""
    path = planned(cli, fleet, [0, 1])
    assert cli("batch", "report", str(path)).out.rstrip().endswith("to renew 2")


def test_a_row_between_two_tries_is_waiting_when_failures_end_the_run(
    cli: Inside, fleet: Fleet, simulator: Simulator
) -> None:
    """--max-failures ends the run while another row waits for its CA: the run's own numbers are those of the report after it."""
    listed = fleet.write_list(fleet.folder / "list.csv", [0, 1])
    (fleet.folder / "wrong.txt").write_text("00000000", encoding="ascii")
    (fleet.folder / "wrong.txt").chmod(0o600)
    lines = listed.read_text("utf-8-sig").splitlines()
    listed.write_text("\n".join([*lines[:2], lines[2].replace("pin.txt", "wrong.txt")]), encoding="utf-8-sig")
    path = cli.json("batch", "plan", str(listed)).data["plan"]
    write_json(fleet.places.ca / "faults.json", [{"name": "status", "on": "kur", "times": 99}])
    simulator.steer(latency={"C_Login": 700})
    said = cli.json("batch", "run", path, "--max-failures", "1", "--jobs", "2", env=simulator.environment)
    assert (said.status, said.data["states"]) == (12, {"waiting": 1, "failed": 1})
    assert [row["state"] for row in cli.json("batch", "report").data["rows"]] == ["waiting", "failed"]


# --- files ---------------------------------------------------------------------------------------------------------------


def test_a_plan_takes_the_place_of_a_plan_alone(cli: Inside, fleet: Fleet) -> None:
    """Neither the list itself nor any other file is written over; an older plan is."""
    listed = fleet.write_list(fleet.folder / "list.csv", [0])
    before = listed.read_bytes()
    refused(cli.json("batch", "plan", str(listed), "--out", str(listed)), "file_exists")
    for other in (fleet.folder / "pin.txt", fleet.folder / "list.plan.json"):
        other.write_text("[]", encoding="utf-8")
        refused(cli.json("batch", "plan", str(listed), "--out", str(other)), "file_exists")
        assert other.read_text(encoding="utf-8") == "[]"
        other.unlink()
    assert listed.read_bytes() == before
    path = planned(cli, fleet, [0])
    assert planned(cli, fleet, [0]) == path


def test_a_report_takes_the_place_of_a_report_alone(cli: Inside, fleet: Fleet) -> None:
    """Every night's report may have the same name; a list, the plan and a report with a column of somebody's are refused."""
    path = planned(cli, fleet, [0])
    for name in ("r.csv", "r.xlsx", "r.json"):
        for _night in (1, 2):
            assert cli.json("batch", "report", str(path), "--out", str(fleet.folder / name)).status == 0
    noted = fleet.folder / "r.csv"
    lines = noted.read_text(encoding="utf-8-sig").splitlines()
    noted.write_text("\n".join([f"{lines[0]};Ghi chú", f"{lines[1]};đã gọi"]), encoding="utf-8-sig")
    for other in (noted, path, fleet.folder / "list.csv"):
        before = other.read_bytes()
        refused(cli.json("batch", "report", str(path), "--out", str(other)), "file_exists")
        assert other.read_bytes() == before
    assert cli.json("batch", "report", str(path), "--out", str(noted), "--force").status == 0


def test_events_follow_events_alone(cli: Inside, fleet: Fleet) -> None:
    """--events on the plan or the list is refused before anything is begun; every night's events may go to one file."""
    path = planned(cli, fleet, [0])
    for other in (path, fleet.folder / "list.csv"):
        before = other.read_bytes()
        refused(cli.json("batch", "run", str(path), "--events", str(other)), "file_exists")
        assert other.read_bytes() == before
    events = fleet.folder / "events.jsonl"
    events.touch()
    for _night in (1, 2):
        assert cli.json("batch", "run", str(path), "--events", str(events)).status == 0
    told = [json.loads(line)["event"] for line in events.read_text("utf-8").splitlines()]
    assert told == ["begin", "row_begin", "row_end", "end", "begin", "end"]


def test_a_plan_that_cannot_be_written_read_or_meant(cli: Inside, fleet: Fleet) -> None:
    """A folder that is not there, a file that is not there, another format, no run yet: 2 each, in words."""
    refused(cli.json("batch", "report"), "no_plan")
    listed = fleet.write_list(fleet.folder / "list.csv", [0])
    refused(cli.json("batch", "plan", str(listed), "--out", str(fleet.folder / "none" / "p.json")), "plan_file")
    refused(cli.json("batch", "plan", str(listed), "--out", str(fleet.folder / ("p" * 256))), "plan_file")
    for folder in (".", "/", str(fleet.folder)):
        refused(cli.json("batch", "plan", folder), "manifest_file")
        refused(cli.json("batch", "plan", str(listed), "--out", folder), "not_a_file")
    pipe = fleet.folder / "pipe"
    os.mkfifo(pipe)
    refused(cli.json("batch", "plan", str(listed), "--out", str(pipe)), "not_a_file")
    assert pipe.is_fifo()
    refused(cli.json("batch", "run", str(fleet.folder / "none.json")), "plan_file")
    for mode in (0o600, 0o644):
        listed.chmod(mode)
        instead = cli.json("batch", "run", str(listed))
        refused(instead, "plan_file")
        assert instead.envelope["errors"][0]["hint"].endswith("safetok batch plan FILE")
    path = planned(cli, fleet, [0])
    path.write_text(path.read_text("utf-8").replace('"safetok_plan": 1', '"safetok_plan": 99'), encoding="utf-8")
    refused(cli.json("batch", "run", str(path)), "plan_file")


def test_a_ca_whose_files_changed_since_the_plan_is_not_asked(cli: Inside, fleet: Fleet) -> None:
    """A certificate that the settings name was replaced: the plan is to be made again; nothing was begun."""
    path = planned(cli, fleet, [0])
    issuer = next(iter(sorted(fleet.places.ca.glob("safe-ca-2024.pem"))))
    before = issuer.read_bytes()
    issuer.write_bytes(before + b"\n")
    refused(cli.json("batch", "run", str(path)), "plan_settings")
    issuer.write_bytes(before)
    assert codes(cli.json("batch", "run", str(path))) == ["done"]


def test_a_seal_that_cannot_be_made_makes_no_plan(cli: Inside, fleet: Fleet) -> None:
    """The state's own folder is taken by something else: 2 with its name."""
    assert cli.json("batch", "plan", str(fleet.write_list(fleet.folder / "list.csv", [0]))).status == 0
    seal = next(fleet.places.home.rglob("seal"))
    seal.unlink()
    seal.mkdir()
    said = cli.json("batch", "plan", str(fleet.folder / "list.csv"))
    refused(said, "plan_file")
    assert str(seal) in said.envelope["errors"][0]["message"]


def test_results_cut_short_are_known_from_the_journal(cli: Inside, fleet: Fleet) -> None:
    """The file of results ends within a line, or is gone: what is done is not done again, and the report says it."""
    path = planned(cli, fleet, [0, 1])
    assert codes(cli.json("batch", "run", str(path))) == ["done", "done"]
    (kept,) = fleet.places.home.rglob("*.jsonl")
    lines = kept.read_text("utf-8").splitlines()
    within_a_letter = lines[-1].encode()[: lines[-1].encode().index("Ô".encode()) + 1]
    for cut in (lines[-1][:40].encode(), within_a_letter):
        kept.write_bytes("\n".join([*lines[:-1], ""]).encode() + cut + b"\n{}\n")
        report = cli.json("batch", "report", str(path))
        assert (report.status, [row["state"] for row in report.data["rows"]]) == (0, ["done", "done"]), report.out
    said = cli.json("batch", "run", str(path), env={"SAFETOK_MODULE": "/no/such/driver.so"})
    assert (said.status, said.data["rows"]) == (0, [])


def test_results_that_cannot_be_kept_begin_nothing(cli: Inside, fleet: Fleet) -> None:
    """The file of results cannot be opened: 2, and no token was asked for anything."""
    path = planned(cli, fleet, [0])
    identity = json.loads(path.read_text("utf-8"))["id"]
    (next(fleet.places.home.rglob("seal")).parent / f"{identity}.jsonl").mkdir()
    refused(cli.json("batch", "run", str(path)), "plan_file")
    assert cli.json("renew", "--list").data["renewals"] == []


def test_a_home_that_takes_no_lock_is_named(cli: Inside, fleet: Fleet) -> None:
    """A disk that is full or may only be read: 2 with the folder, nothing begun; so where the folder of results cannot be made."""
    path = planned(cli, fleet, [0])
    lock = Path(cli.env["SAFETOK_HOME"], "locks", lock_name("batch"))
    lock.unlink(missing_ok=True)
    lock.mkdir()
    said = cli.json("batch", "run", str(path))
    refused(said, "home_unusable")
    assert str(lock.parent) in said.envelope["errors"][0]["message"]
    lock.rmdir()
    folder = Path(cli.env["SAFETOK_HOME"], "batch")
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()
    folder.write_bytes(b"")
    refused(cli.json("batch", "report"), "plan_file")


def test_a_report_needs_no_room(cli: Inside, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full or may only be read: how the rows stand is still told, for the state is only read."""
    path, opened, init = planned(cli, fleet, [0]), list[bool](), Database.__init__

    def seen(self: Database, place: Path, *, read_only: bool = False) -> None:
        opened.append(read_only)
        init(self, place, read_only=read_only)

    monkeypatch.setattr(Database, "__init__", seen)
    assert cli.json("batch", "report", str(path)).status == 0
    assert opened == [True]


def test_a_plan_that_was_not_run_yet_is_reported_as_planned(cli: Inside, fleet: Fleet) -> None:
    """The report of a plan before its run, and of a day to come: what was planned, when, and nothing done."""
    path = fleet.write_list(fleet.folder / "list.csv", [0, 1])
    said = cli.json("batch", "plan", str(path), "--per-day", "1")
    table = cli("batch", "report", said.data["plan"])
    assert table.status == 0, table.err
    rows = cli.json("batch", "report", said.data["plan"]).data["rows"]
    assert [row["state"] for row in rows] == [None, None]
    assert len({row["day"] for row in rows}) == 2
