from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support_cli import Cli, Said
from support_fleet import PIN, Fleet, as_made, kept_fleet

from safetok.sandbox import process
from safetok.sandbox.places import write_json, write_private

GOOD = 5  # tokens of a fleet that nothing is wrong with


@pytest.fixture(scope="module")
def fresh() -> Iterator[Fleet]:
    """Tokens that are owed a renewal and their CA, made once."""
    with kept_fleet(8) as made:
        yield made


@pytest.fixture
def fleet(fresh: Fleet) -> Iterator[Fleet]:
    """The fleet before anything was done with it, its CA running."""
    with as_made(fresh) as fleet:
        yield fleet


def cli(fleet: Fleet) -> Cli:
    return Cli({name: value for name, value in fleet.environ.items() if name.startswith(("SAFETOK_", "SOFTHSM2_"))})


def ledger(fleet: Fleet) -> Counter[str]:
    """How many certificates the CA has confirmed for each old one."""
    with urllib.request.urlopen(f"{fleet.ca_url}/ledger", timeout=10) as answer:
        issued = json.loads(answer.read())["issued"]
    return Counter(one["old_serial"] for one in issued if one["state"] == "confirmed")


def plan(fleet: Fleet, rows: list[int] | None = None, **more: Any) -> Path:
    path = fleet.write_list(fleet.folder / "list.csv", rows, **more)
    said = cli(fleet).json("batch", "plan", str(path))
    assert said.status == 0, said.out + said.err
    return Path(said.data["plan"])


def start(fleet: Fleet, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "safetok", "batch", *words],
        env=fleet.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def until(process_: subprocess.Popen[bytes], event: str, count: int = 1) -> list[dict[str, Any]]:
    """The events up to the `count`-th of this name."""
    events: list[dict[str, Any]] = []
    assert process_.stderr is not None
    while sum(one["event"] == event for one in events) < count:
        line = process_.stderr.readline()
        assert line, events
        events.append(json.loads(line))
    return events


def test_good_rows_are_renewed_once_and_bad_ones_named(fleet: Fleet) -> None:
    """Ten rows broken in ten ways: every good row is done exactly once by the CA's ledger, every bad one says what is wrong,
    and running again changes neither and spends no PIN.
    """
    path = fleet.write_list(fleet.folder / "list.csv", list(range(GOOD)))
    write_private(fleet.folder / "wrong.txt", b"00000000\n")
    a, b, c = fleet.serials[GOOD:]
    broken = {
        "bad_cell": [
            f"{c};0190000006;30/06/2028;có;file:pin.txt",  # a check digit
            f"{c};190000005;30/06/2028;có;file:pin.txt",  # a lost zero
            f"{c};;31/02/2028;có;file:pin.txt",  # no such day
            f"{c};;30/06/2028;có;12345678",  # a PIN where its place belongs
            ";;30/06/2028;có;file:pin.txt",  # nobody
        ],
        "contract_end_unknown": [f";{fleet.msts[7]};;có;file:pin.txt"],
        "not_signed": [f"{fleet.serials[7]};{fleet.msts[7]};30/06/2028;chưa;file:pin.txt"],
        "token_not_in": ["00ff00ff00ff00ff;;30/06/2028;có;file:pin.txt"],
        "contract_end_differs": [f"{a};;01/07/2028;có;file:pin.txt"],
        "pin_wrong": [f"{b};;30/06/2028;có;file:wrong.txt"],
    }
    lines = path.read_text("utf-8-sig").splitlines() + [line for lines in broken.values() for line in lines]
    path.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    planned = cli(fleet).json("batch", "plan", str(path))
    assert planned.status == 12, planned.out
    assert "12345678" not in planned.out + planned.err
    said = cli(fleet).json("batch", "run", planned.data["plan"])
    assert said.status == 12
    assert set(ledger(fleet).values()) == {1}
    assert ledger(fleet).total() == GOOD
    rows = cli(fleet).json("batch", "report").data["rows"]
    assert Counter(row["code"] for row in rows if row["state"] != "done") == Counter(
        {code: len(lines) for code, lines in broken.items()}
    )
    assert all(row["message"] for row in rows if row["state"] != "done")
    spent = tries(fleet)
    again = cli(fleet).json("batch", "run", planned.data["plan"])
    assert again.status == 12
    assert ledger(fleet).total() == GOOD
    assert tries(fleet) == spent
    assert [row["code"] for row in again.data["rows"] if row["token"] == b] == ["pin_source_failed"]
    assert PIN not in said.out + said.err + again.err


def tries(fleet: Fleet) -> dict[str, int]:
    tokens = cli(fleet).json("status").data["tokens"]
    return {token["serial"]: token["pin_tries_spent"] for token in tokens}


def test_a_plan_with_nothing_left_to_do_opens_no_driver(fleet: Fleet) -> None:
    """The nightly run after the work is done ends 0 without loading a driver."""
    path = plan(fleet, [0, 1])
    assert cli(fleet).json("batch", "run", str(path)).status == 0
    said = cli(fleet).json("batch", "run", str(path), "--jitter", "600", env={"SAFETOK_MODULE": "/no/such/driver.so"})
    assert said.status == 0, said.out
    assert said.data["rows"] == []


def test_a_killed_run_is_carried_on_and_issues_nothing_twice(fleet: Fleet) -> None:
    """SIGKILL while rows are under way: the next run finishes every row, each exactly once by the ledger."""
    path = plan(fleet)
    running = start(fleet, "run", str(path), "--jobs", "2")
    until(running, "row_end", 2)
    running.kill()
    running.communicate()
    said = _run_until_free(fleet, "run", str(path))
    assert said.status == 0, said.out
    assert sorted(ledger(fleet).values()) == [1] * len(fleet.serials)
    rows = cli(fleet).json("batch", "report", str(path)).data["rows"]
    assert {row["state"] for row in rows} == {"done"}


def _run_until_free(fleet: Fleet, *words: str) -> Said:
    """A worker of the killed run may hold its token a moment longer: that ends 12, and running again is the answer."""
    for _attempt in range(20):
        said = cli(fleet).json("batch", *words)
        if said.status != 12 or "token_held" not in said.codes:
            break
    return said


def test_ctrl_c_finishes_what_the_ca_has_answered_and_resume_does_the_rest(fleet: Fleet) -> None:
    """A stopped run ends 130 with no renewal between the CA's answer and its confirmation; `batch resume` completes it."""
    path = plan(fleet)
    running = start(fleet, "run", str(path), "--jobs", "2")
    until(running, "row_end")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    with urllib.request.urlopen(f"{fleet.ca_url}/ledger", timeout=10) as answer:
        assert {one["state"] for one in json.loads(answer.read())["issued"]} <= {"confirmed"}
    said = cli(fleet).json("batch", "resume")
    assert said.status == 0, said.out
    assert sorted(ledger(fleet).values()) == [1] * len(fleet.serials)


def test_a_row_that_waits_for_the_ca_when_the_run_is_stopped_is_counted_as_waiting(fleet: Fleet) -> None:
    """Ctrl-C between two tries: the row is under way, and no other way on is offered beside the run's own, which does it."""
    path = plan(fleet, [0])
    write_json(fleet.places.ca / "faults.json", [{"name": "status", "on": "kur", "times": 3, "status": 503}])
    running = start(fleet, "run", str(path))
    until(running, "row_waits", 2)
    running.send_signal(signal.SIGINT)
    _out, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert json.loads(err.splitlines()[-1])["rows"] == {"waiting": 1}
    assert cli(fleet).json("batch", "resume").status == 0
    assert list(ledger(fleet).values()) == [1]


def test_a_ca_that_is_down_for_a_while_is_waited_for(fleet: Fleet) -> None:
    """Rows whose CA cannot be reached wait and are done when it is back; nothing fails."""
    path = plan(fleet, [0, 1, 2])
    process.stop(fleet.places)
    running = start(fleet, "run", str(path))
    until(running, "row_waits", 2)
    fleet.start()
    running.communicate(timeout=120)
    assert running.returncode == 0
    assert sorted(ledger(fleet).values()) == [1, 1, 1]


def test_a_ca_that_stays_down_leaves_the_rows_waiting(fleet: Fleet) -> None:
    """After the patience rows are left for the next run, and the exit status says that part is not done."""
    path = plan(fleet, [0, 1])
    process.stop(fleet.places)
    said = cli(fleet).json("batch", "run", str(path), "--patience", "1")
    assert said.status == 12
    assert {row["state"] for row in said.data["rows"]} == {"waiting"}
    assert set(tries(fleet).values()) == {0}


def test_a_keyring_that_cannot_be_used_ends_11_at_once(fleet: Fleet) -> None:
    """With PINs in a keyring that is locked, no row is begun, nobody is asked, nothing is logged in to; the events end with it,
    and the hint names the list's own ways to a PIN, no flag that is not there.
    """
    path = plan(fleet, [0, 1], pin="keyring")
    said = cli(fleet).json("batch", "run", str(path), env={"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"})
    assert said.status == 11
    assert said.codes == ["keyring_unusable"]
    last = json.loads(said.err.splitlines()[-1])
    assert (last["event"], last["exit_status"], last["code"]) == ("end", 11, "keyring_unusable")
    hint = said.envelope["errors"][0]["hint"]
    assert ("nguon_pin" in hint, "--pin" in hint) == (True, False)
    assert ledger(fleet).total() == 0


def test_too_many_failures_end_the_run(fleet: Fleet) -> None:
    """--max-failures 1: after one wrong PIN nothing more is begun."""
    write_private(fleet.folder / "pin.txt", b"00000000\n")
    path = plan(fleet, [0, 1, 2, 3])
    said = cli(fleet).json("batch", "run", str(path), "--jobs", "1", "--max-failures", "1")
    assert said.status == 12
    assert sum(tries(fleet).values()) == 1
    assert Counter(row["state"] for row in said.data["rows"])["failed"] == 1


def test_one_wrong_pin_file_costs_one_try_for_all_its_tokens(fleet: Fleet) -> None:
    """Four rows share a PIN file that is wrong, two hands at work: one try is spent, the other rows say why they stopped."""
    write_private(fleet.folder / "pin.txt", b"00000000\n")
    path = plan(fleet, [0, 1, 2, 3])
    said = cli(fleet).json("batch", "run", str(path), "--jobs", "2")
    assert sum(tries(fleet).values()) == 1
    assert Counter(row["code"] for row in said.data["rows"]) == {"pin_wrong": 1, "pin_source_stopped": 3}


def test_a_certificate_that_changed_since_the_plan_is_left_alone(fleet: Fleet) -> None:
    """A token renewed by hand in between is not renewed again: its row is done, with the serial it has now."""
    path = plan(fleet, [0])
    renewed = cli(fleet).json(
        *("renew", "--serial", fleet.serials[0], "--yes", "--confirm-contract-end", "30/06/2028", "--pin-stdin"),
        stdin=f"{PIN}\n",
    )
    assert renewed.status == 0, renewed.out
    said = cli(fleet).json("batch", "run", str(path))
    assert (said.status, said.data["rows"]) == (0, [])
    assert ledger(fleet).total() == 1
    (row,) = cli(fleet).json("batch", "report", str(path)).data["rows"]
    assert (row["state"], row["new_serial"]) == ("done", renewed.data["new_serial"])


def test_two_runs_at_once_are_refused(fleet: Fleet) -> None:
    """The second run of a home ends 16 while the first is at work."""
    path = plan(fleet)
    process.stop(fleet.places)
    running = start(fleet, "run", str(path))
    until(running, "row_begin")
    said = cli(fleet).json("batch", "run", str(path))
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert said.status == 16
    assert said.codes == ["batch_running"]


def plug_in(fleet: Fleet, away: Path, serial: str) -> None:
    (folder,) = [one for one in away.iterdir() if one.name.replace("-", "").endswith(serial)]
    folder.rename(fleet.places.tokens / folder.name)


def pull_out(fleet: Fleet, away: Path, serial: str) -> None:
    (folder,) = [one for one in fleet.places.tokens.iterdir() if one.name.replace("-", "").endswith(serial)]
    folder.rename(away / folder.name)


def test_tokens_are_taken_as_they_are_plugged_in(fleet: Fleet) -> None:
    """--insert: it says whose token to plug in, does each as it comes, once, says when to pull it out, also one that is not
    needed, and ends by itself.
    """
    path = plan(fleet, [0, 1])
    away = fleet.folder / "away"
    away.mkdir()
    for folder in list(fleet.places.tokens.iterdir()):
        folder.rename(away / folder.name)
    running = start(fleet, "run", str(path), "--insert")
    first = until(running, "insert")
    assert {row["token"] for row in first[-1]["next"]} == set(fleet.serials[:2])
    for serial in fleet.serials[:2]:
        plug_in(fleet, away, serial)
        events = until(running, "pull_out")
        assert events[-1]["token"] == serial
        if serial == fleet.serials[0]:
            plug_in(fleet, away, fleet.serials[2])
            strange = until(running, "not_needed")[-1]
            assert (strange["token"], strange["planned"], bool(strange["name"])) == (fleet.serials[2], None, True)
            until(running, "insert")
            pull_out(fleet, away, serial)
            until(running, "insert")
            plug_in(fleet, away, serial)
            again = until(running, "not_needed")[-1]
            assert (again["token"], again["state"]) == (serial, "done")
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert sorted(ledger(fleet).values()) == [1, 1]


def twin(fleet: Fleet, away: Path, serial: str) -> str:
    """A second token with what this one holds, so of the same company; it is not plugged in yet."""
    (folder,) = [one for one in away.iterdir() if one.name.replace("-", "").endswith(serial)]
    other = serial[::-1]
    copy = away / f"{folder.name[:13]}-{other[:4]}-{other[4:8]}-{other[8:]}"[:36]
    shutil.copytree(folder, copy)
    for file in copy.iterdir():
        file.write_bytes(file.read_bytes().replace(serial.encode(), other.encode()))
    return other


def test_of_two_tokens_of_a_company_a_person_chooses(fleet: Fleet) -> None:
    """A row that names the company alone: with two of its tokens in it is told which, nothing is done until one is pulled out."""
    away = fleet.folder / "away"
    away.mkdir()
    for folder in list(fleet.places.tokens.iterdir()):
        folder.rename(away / folder.name)
    first = fleet.serials[0]
    second = twin(fleet, away, first)
    table = fleet.write_list(fleet.folder / "list.csv", [0])
    table.write_bytes(table.read_bytes().replace(first.encode(), b""))
    path = cli(fleet).json("batch", "plan", str(table)).data["plan"]
    for serial in (first, second):
        plug_in(fleet, away, serial)
    said = cli(fleet).json("batch", "run", path)
    (row,) = said.data["rows"]
    assert (said.status, row["state"], row["exit_status"], row["new_serial"]) == (12, "failed", 4, None)
    assert first in row["message"]
    assert second in row["message"]
    running = start(fleet, "run", path, "--insert")
    told = until(running, "several_in")[-1]
    assert set(told["tokens"]) == {first, second}
    pull_out(fleet, away, second)
    assert until(running, "token_in")[-1]["token"] == first
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert sorted(ledger(fleet).values()) == [1]


def test_a_report_is_written_for_a_spreadsheet(fleet: Fleet, tmp_path: Path) -> None:
    """`batch report --out` writes CSV, XLSX or JSON by the file's name."""
    path = plan(fleet, [0])
    assert cli(fleet).json("batch", "run", str(path)).status == 0
    for name, head in (("r.csv", b"\xef\xbb\xbf"), ("r.xlsx", b"PK"), ("r.json", b"{")):
        said = cli(fleet).json("batch", "report", "--out", str(tmp_path / name))
        assert said.status == 0
        assert (tmp_path / name).read_bytes().startswith(head)
