"""A list's rows shared by processes: each token is renewed once, whichever of them dies, is stopped or meets a wrong PIN."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support_cli import Cli
from support_fleet import PIN, Fleet
from support_processes import descendants, gone

from safetok.store.database import Database
from safetok.store.paths import home
from safetok.workflows.batch.course import JOBS

TOKENS = 9


@pytest.fixture
def cli(fleet: Fleet) -> Cli:
    return Cli(fleet.environ)


@pytest.fixture
def plan(cli: Cli, fleet: Fleet) -> str:
    """Of all tokens; one PIN file serves them all."""
    said = cli.json("batch", "plan", str(fleet.write_list(fleet.folder / "list.csv")))
    assert said.status == 0, said.err
    return str(said.data["plan"])


def confirmed(fleet: Fleet) -> list[int]:
    """How many certificates the CA has issued for each old one; each must have been confirmed."""
    with urllib.request.urlopen(f"{fleet.ca_url}/ledger", timeout=10) as answer:
        issued = json.loads(answer.read())["issued"]
    assert {row["state"] for row in issued} <= {"confirmed"}
    return sorted(Counter(row["old_serial"] for row in issued).values())


def begun(fleet: Fleet, plan: str) -> subprocess.Popen[str]:
    """A run in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "safetok", "-vv", "batch", "run", plan],
        env=fleet.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def read_until(running: subprocess.Popen[str], enough: Callable[[dict[str, Any]], bool]) -> str:
    """Its stderr until an event for which `enough` holds."""
    assert running.stderr is not None
    told = ""
    for line in running.stderr:
        told += line
        if line.startswith("{") and enough(json.loads(line)):
            return told
    raise AssertionError(told)


def row_processes(told: str) -> list[int]:
    """The processes that are said to renew rows beside the first."""
    said = [line for line in told.splitlines() if line.startswith("rows are also renewed by process ")]
    return [int(line.split()[-1]) for line in said]


def test_rows_are_shared_with_a_process_beside(cli: Cli, fleet: Fleet, plan: str) -> None:
    """It has a token worker of its own; every row is done once, and nothing is left running."""
    running, below = begun(fleet, plan), dict[int, set[int]]()
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(running.communicate, timeout=60)
        while not reading.done():  # at no one moment of so short a run is everybody sure to be there
            for pid in descendants(running.pid):
                below.setdefault(pid, set()).update(descendants(pid))
            time.sleep(0.002)
        _out, told = reading.result()
    beside = row_processes(told)
    assert beside
    assert all(below.get(pid) for pid in beside), "each has a worker"
    assert running.returncode == 0, told
    assert confirmed(fleet) == [1] * TOKENS
    assert [pid for pid in below if not gone(pid)] == []
    report = cli.json("batch", "report")
    assert [row["code"] for row in report.data["rows"]] == ["done"] * TOKENS


@pytest.mark.parametrize("chosen", [None, "SCHED_IDLE"])
def test_it_is_batch_work_unless_somebody_chose_otherwise(fleet: Fleet, plan: str, chosen: str | None) -> None:
    """The run, the process beside it and every worker: the system lets each finish what it has in hand (sched(7))."""
    policy = getattr(os, chosen) if chosen else os.SCHED_OTHER
    os.sched_setscheduler(0, policy, os.sched_param(0))
    try:
        running = begun(fleet, plan)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    told = read_until(running, lambda event: event["event"] == "row_end")
    running.send_signal(signal.SIGSTOP)  # nobody ends meanwhile
    found = {pid: os.sched_getscheduler(pid) for pid in (running.pid, *descendants(running.pid))}
    running.send_signal(signal.SIGCONT)
    _out, rest = running.communicate(timeout=60)
    assert running.returncode == 0, told + rest
    assert len(found) > 2, "a process beside it, and their workers"
    assert set(found.values()) == {getattr(os, chosen) if chosen else os.SCHED_BATCH}


def test_a_process_that_dies_costs_no_row(cli: Cli, fleet: Fleet, plan: str) -> None:
    """The first process goes on with its rows. Only a login that was cut off may stop a PIN file that serves several tokens."""
    running = begun(fleet, plan)
    (beside, *_others) = row_processes(read_until(running, lambda event: event["event"] == "row_end"))
    os.kill(beside, signal.SIGKILL)
    _out, rest = running.communicate(timeout=60)
    assert "Traceback" not in rest
    states = Counter(row["state"] for row in cli.json("batch", "report").data["rows"])
    assert states["failed"] == 0, rest  # the worker of the dead process may hold one token a moment longer
    assert states["done"] >= TOKENS - 1
    again = cli.json("batch", "run", "--pins-changed", plan)
    assert again.status == 0, rest + again.err
    assert confirmed(fleet) == [1] * TOKENS


def test_it_dies_with_the_first_process(cli: Cli, fleet: Fleet, plan: str) -> None:
    """Killed from outside, nothing goes on behind the user's back; the next run ends what was begun."""
    running = begun(fleet, plan)
    beside = row_processes(read_until(running, lambda event: event["event"] == "row_end"))
    for pid in beside:
        os.kill(pid, signal.SIGSTOP)  # it cannot see by itself that the other has gone
    running.kill()
    assert all(gone(pid) for pid in beside)
    running.communicate(timeout=60)
    for _run in range(4):  # the worker of a killed process may hold its token a moment longer
        again = cli.json("batch", "run", "--pins-changed", plan)
        if again.status == 0:
            break
    assert again.status == 0, again.err
    assert confirmed(fleet) == [1] * TOKENS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_the_first_process_s_to_heed(cli: Cli, fleet: Fleet, plan: str, number: signal.Signals) -> None:
    """A terminal or a service sends it to every process: what is past the CA's answer is ended, the rest is left to the next."""
    running = begun(fleet, plan)
    told = read_until(running, lambda event: event["event"] == "row_end")
    os.killpg(running.pid, number)
    _out, rest = running.communicate(timeout=60)
    assert running.returncode == 130, told + rest
    assert '"stopping"' in told + rest
    assert all(gone(pid) for pid in row_processes(told))
    assert "Traceback" not in told + rest
    report = cli.json("batch", "report")
    states = Counter(row["state"] for row in report.data["rows"])
    assert states["failed"] == 0
    assert states["waiting"] <= JOBS, "those in hand, and none begun after it"
    assert states["done"] == len(confirmed(fleet)) < TOKENS
    assert cli("batch", "resume").status == 0
    assert confirmed(fleet) == [1] * TOKENS


NO_MEMORY_FILE = "import os\ndef refused(*_a): raise OSError(38, 'not here')\nos.memfd_create = refused\n"
ONE_CORE = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"


@pytest.mark.parametrize(
    ("before", "pin"),
    [(NO_MEMORY_FILE, "file:pin.txt"), (ONE_CORE, "file:pin.txt"), ("", "env:SAFETOK_PIN_ALL")],
    ids=["refused", "one core", "a variable"],
)
def test_a_run_does_without_other_processes(cli: Cli, fleet: Fleet, before: str, pin: str) -> None:
    """Where the system refuses them, where there is one core, and where PINs come by the environment, which they would show."""
    listed = fleet.write_list(fleet.folder / "list.csv", pin=pin)
    path = cli.json("batch", "plan", str(listed)).data["plan"]
    code = f"{before}import sys\nfrom safetok.__main__ import main\nsys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "-vv", "batch", "run", path],
        env={**fleet.environ, "SAFETOK_PIN_ALL": PIN},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "also renewed by process" not in done.stderr
    assert confirmed(fleet) == [1] * TOKENS


@pytest.mark.parametrize("changed", [(), ("--pins-changed",)])
def test_a_wrong_pin_of_a_shared_file_is_tried_once(
    cli: Cli, fleet: Fleet, plan: str, changed: tuple[str, ...]
) -> None:
    """In whichever process its first row is; a second run with --pins-changed tries it once more, and no more than that."""
    (fleet.folder / "pin.txt").write_text("00000000\n", encoding="ascii")
    wanted = Counter(pin_wrong=1, pin_source_stopped=TOKENS - 1)
    for number, words in enumerate(((), changed) if changed else ((),), 1):
        said = cli.json("batch", "run", *words, plan)
        assert (said.status, Counter(row["code"] for row in said.data["rows"])) == (12, wanted), said.err
        with Database(home(fleet.environ).database) as db:
            assert len(db.rows("SELECT 1 FROM pin_attempts")) == number
    assert confirmed(fleet) == []
