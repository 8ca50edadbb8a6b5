"""One token of a batch that goes away or fails while the others share its PIN file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support_fleet import Fleet
from support_inside import Inside
from support_simulator import Simulator

TOKENS = 5


@pytest.fixture
def simulator(fleet: Fleet, simulator_module: Path) -> Simulator:
    """The simulator between safetok and the fleet's tokens."""
    made = Simulator(simulator_module, fleet.folder / "simulator.conf")
    made.steer(forward=fleet.module)
    return made


@pytest.fixture
def cli(fleet: Fleet, simulator: Simulator) -> Inside:
    """The program in this process, with the simulator as its driver."""
    given = {name: value for name, value in fleet.environ.items() if name.startswith(("SAFETOK_", "SOFTHSM2_"))}
    return Inside({**given, **simulator.environment})


@pytest.mark.parametrize("action", ["remove", "return DEVICE_REMOVED", "return TOKEN_NOT_PRESENT"])
def test_a_token_pulled_out_at_its_login_waits_and_the_others_are_done(
    cli: Inside, fleet: Fleet, simulator: Simulator, action: str
) -> None:
    """A PIN file that serves all: nothing is known against it, and `batch resume` takes the row that waits."""
    path = fleet.write_list(fleet.folder / "list.csv")
    plan = cli.json("batch", "plan", str(path)).data["plan"]
    simulator.steer(faults=[f"C_Login 3 {action}"])
    said = cli.json("batch", "run", plan)
    assert (said.status, Counter(row["state"] for row in said.data["rows"])) == (12, {"done": TOKENS - 1, "waiting": 1})
    (waits,) = [row for row in said.data["rows"] if row["state"] == "waiting"]
    assert (waits["code"], waits["exit_status"]) == ("token_removed", 3)
    assert "safetok batch resume" in waits["message"]
    simulator.steer(faults=[])
    simulator.plug()
    again = cli.json("batch", "resume")
    assert (again.status, [(row["token"], row["state"]) for row in again.data["rows"]]) == (
        0,
        [(waits["token"], "done")],
    )


@pytest.mark.parametrize("action", ["return DEVICE_ERROR", "crash"])
def test_a_driver_that_fails_at_one_login_costs_that_row(
    cli: Inside, fleet: Fleet, simulator: Simulator, action: str
) -> None:
    """The row is named and fails with 17; every other token with the same PIN file is renewed; run again, so is this one."""
    path = fleet.write_list(fleet.folder / "list.csv")
    plan = cli.json("batch", "plan", str(path)).data["plan"]
    simulator.steer(faults=[f"C_Login 3 {action}"])
    said = cli.json("batch", "run", plan)
    assert Counter(row["state"] for row in said.data["rows"]) == {"done": TOKENS - 1, "failed": 1}, said.out
    (failed,) = [row for row in said.data["rows"] if row["state"] == "failed"]
    assert failed["exit_status"] == 17
    assert cli.json("batch", "run", plan).status == 0


@pytest.mark.parametrize("redirected", ["--events /dev/full", "2>/dev/full", "--events /dev/full 2>/dev/full", "2>&-"])
def test_a_log_that_cannot_be_written_stops_no_row(fleet: Fleet, cli: Inside, redirected: str) -> None:
    """A full disk behind the events: every row is renewed, the exit status is theirs, and stderr says once which file is lost."""
    path = fleet.write_list(fleet.folder / "list.csv", [0, 1])
    plan = cli.json("batch", "plan", str(path)).data["plan"]
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m safetok batch run '{plan}' --json {redirected}"],
        env={**fleet.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["states"] == {"done": 2}
    lost = [line for line in done.stderr.splitlines() if "/dev/full" in line]
    assert len(lost) == int(redirected == "--events /dev/full")
    assert all(json.loads(line)["event"] for line in done.stderr.splitlines())


def test_a_stopped_insert_says_how_it_is_carried_on(fleet: Fleet, cli: Inside) -> None:
    """Ctrl-C while tokens are awaited: the command that is named takes them as they come again."""
    path = fleet.write_list(fleet.folder / "list.csv", [0])
    plan = cli.json("batch", "plan", str(path)).data["plan"]
    for folder in fleet.places.tokens.iterdir():
        folder.rename(fleet.folder / folder.name)
    words = [sys.executable, "-m", "safetok", "batch", "run", plan, "--insert"]
    running = subprocess.Popen(
        words, env=fleet.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stderr is not None
    while b'"insert"' not in running.stderr.readline():
        pass
    running.send_signal(2)
    out, _err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert f"safetok batch run {plan} --insert" in out.decode()


def test_a_token_that_takes_no_pin_from_a_list_is_not_ready(cli: Inside, fleet: Fleet, simulator: Simulator) -> None:
    """A locked PIN and one at its last try are known before a PIN is used, in the run and in the next plan: each with its way."""
    path = fleet.write_list(fleet.folder / "list.csv", [0, 1])
    plan = cli.json("batch", "plan", str(path)).data["plan"]
    simulator.steer(tokens={fleet.serials[0]: {"pin_tries": 1}, fleet.serials[1]: {"pin_tries": 2}})
    for serial in fleet.serials[:2]:
        words = ("renew", "--serial", serial, "--yes", "--confirm-contract-end", "30/06/2028", "--pin-stdin")
        assert cli(*words, stdin="00000000\n").status in {5, 6}
    by_hand = f"safetok renew --serial {fleet.serials[1]} --force-last-try"
    logins = simulator.count("C_Login")
    ran = cli.json("batch", "run", plan)
    assert (ran.status, [row["code"] for row in ran.data["rows"]]) == (12, ["pin_locked", "last_try"])
    assert by_hand in ran.data["rows"][1]["message"]
    again = cli.json("batch", "plan", str(path))
    found = again.data["rows"]
    assert [(row["planned"], row["code"]) for row in found] == [("not_ready", "pin_locked"), ("not_ready", "last_try")]
    assert by_hand in found[1]["message"]
    assert simulator.count("C_Login") == logins
