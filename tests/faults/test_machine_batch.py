"""Several tokens from one list over a driver that misbehaves: each fault costs its row alone, and running again ends that too."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_fleet import Fleet, make_fleet
from support_inside import Inside
from support_simulator import Simulator

from safetok.tokens.sessions import Deadlines

TOKENS = 4


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    """Some tokens that are owed a renewal, and their CA, running."""
    made = make_fleet(Path(tempfile.mkdtemp(prefix="safetok-fleet-", dir="/dev/shm")), TOKENS)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def driver(fleet: Fleet, simulator_module: Path) -> Simulator:
    """The simulator between safetok and the fleet's tokens; it prints to stdout and takes every signal."""
    made = Simulator(simulator_module, fleet.folder / "simulator.conf")
    made.steer(forward=fleet.module, pin_tries=3, prints="yes", signals="yes")
    return made


@pytest.fixture
def cli(fleet: Fleet, driver: Simulator, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """The program, sooner out of patience with a driver that hangs."""
    monkeypatch.setattr("safetok.tokens.tokens.Deadlines", lambda: Deadlines(look=20, sign=4))
    given = {name: value for name, value in fleet.environ.items() if name.startswith(("SAFETOK_", "SOFTHSM2_"))}
    return Inside({**given, **driver.environment})


def confirmed(fleet: Fleet) -> list[int]:
    """How many certificates the CA has confirmed for each old one it was asked about."""
    with urllib.request.urlopen(f"{fleet.ca_url}/ledger", timeout=10) as answer:
        issued = json.loads(answer.read())["issued"]
    return list(Counter(row["old_serial"] for row in issued if row["state"] == "confirmed").values())


def test_a_crash_and_a_hang_cost_a_row_each(cli: Inside, fleet: Fleet, driver: Simulator) -> None:
    """One token's driver dies in the writing, another's hangs in the signing: 12, those two rows are named, the others are done;
    the same command again ends with one certificate for every token, and no PIN try was lost.
    """
    listed = fleet.write_list(fleet.folder / "list.csv")
    planned = cli.json("batch", "plan", str(listed))
    assert planned.status == 0, planned.err
    driver.forget()
    driver.steer(faults=["C_CreateObject 2 crash", "C_Sign 8 hang"])
    said = cli.json("batch", "run", planned.data["plan"])
    codes = Counter(row["code"] for row in said.data["rows"])
    assert (said.status, codes) == (12, Counter(done=TOKENS - 2, crashed=1, timed_out=1)), said.err
    assert sorted(said.codes) == ["crashed", "timed_out"]
    assert all(driver.module.name in row["message"] for row in said.data["rows"] if row["state"] == "failed")
    assert confirmed(fleet) == [1] * (TOKENS - 2)
    again = cli.json("batch", "run", planned.data["plan"])
    assert (again.status, [row["code"] for row in again.data["rows"]]) == (0, ["done"] * 2), again.err
    assert confirmed(fleet) == [1] * TOKENS
    assert [driver.memory(serial).failed for serial in fleet.serials] == [0] * TOKENS
    assert "Traceback" not in said.err + again.err
