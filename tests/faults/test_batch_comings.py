"""A run of a list whose tokens come and go, are held by another run, or whose terminal or service is stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support_batch import codes, planned, token_folder
from support_fleet import Fleet
from support_inside import Inside
from support_simulator import Simulator

from safetok.domain.tokens import DriverFailure, Reading
from safetok.errors import Unexpected
from safetok.store.paths import home
from safetok.tokens.locks import TokenLock
from safetok.tokens.tokens import Tokens
from safetok.workflows.batch import rows
from safetok.workflows.batch.queue import Queue, Task

TOKENS = 3


@pytest.fixture
def cli(fleet: Fleet) -> Inside:
    """The program in this process."""
    return Inside({k: v for k, v in fleet.environ.items() if k.startswith(("SAFETOK_", "SOFTHSM2_"))})


def until(running: subprocess.Popen[bytes], event: str, count: int = 1) -> dict[str, Any]:
    """The `count`-th event of this name from here on."""
    assert running.stderr is not None
    while line := running.stderr.readline():
        found: dict[str, Any] = json.loads(line)
        count -= found["event"] == event
        if not count:
            return found
    raise AssertionError(event)


def start(fleet: Fleet, simulator: Simulator, *words: str, behind: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*behind, sys.executable, "-m", "safetok", "batch", "run", str(fleet.folder / "list.plan.json"), *words],
        env={**fleet.environ, **simulator.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def simulator(fleet: Fleet, simulator_module: Path) -> Simulator:
    """The simulator between safetok and the fleet's tokens."""
    made = Simulator(simulator_module, fleet.folder / "simulator.conf")
    made.steer(forward=fleet.module)
    return made


def test_a_token_pulled_out_before_its_turn_is_waited_for(cli: Inside, fleet: Fleet, simulator: Simulator) -> None:
    """--insert with rows that name companies: one is pulled out while another is at work; put in again, it is done."""
    listed = fleet.write_list(fleet.folder / "list.csv", [0, 1])
    text = listed.read_text("utf-8-sig")
    for serial in fleet.serials:
        text = text.replace(serial, "")
    listed.write_text(text, encoding="utf-8-sig")
    assert cli.json("batch", "plan", str(listed)).status == 0
    simulator.steer(latency={"C_Login": 2500})
    running = start(fleet, simulator, "--insert", "--jobs", "1")
    begun = until(running, "row_begin")["token"]
    other = next(n for n in (0, 1) if fleet.serials[n] != begun)
    folder = token_folder(fleet, other)
    folder.rename(fleet.folder / folder.name)
    ended = until(running, "row_end", 2)
    assert (ended["state"], ended["code"]) == ("waiting", "token_not_in")
    simulator.steer(latency={})
    (fleet.folder / folder.name).rename(folder)
    assert until(running, "row_end")["state"] == "done"
    running.communicate(timeout=60)
    assert running.returncode == 0


@pytest.mark.parametrize("words", [(), ("--insert",)])
def test_a_token_that_another_run_holds_is_carried_on_later(cli: Inside, fleet: Fleet, words: tuple[str, ...]) -> None:
    """A renewal by hand, or the worker of a run that was killed, is at work on it: its row waits, nobody is told to pull it out,
    and `batch resume` does it once it is free.
    """
    path = planned(cli, fleet, [0, 1])
    lock = TokenLock(str(home(cli.env).locks), fleet.serials[0], "4711")
    said = cli.json("batch", "run", str(path), *words)
    assert (said.status, [row["state"] for row in said.data["rows"]]) == (12, ["waiting", "done"])
    assert "4711" in said.data["rows"][0]["message"]
    pulled = [one["token"] for one in map(json.loads, said.err.splitlines()) if one["event"] == "pull_out"]
    assert pulled == ([fleet.serials[1]] if words else [])
    lock.release()
    assert codes(cli.json("batch", "resume")) == ["done"]


def test_a_company_s_other_token_is_told_as_that(cli: Inside, fleet: Fleet, simulator: Simulator) -> None:
    """A list that names a company, and a plan made while the token last seen of it was away. Its new token comes instead: it is
    not called a stranger, and the token that was planned with is named.
    """
    cli.json("status")
    listed = fleet.write_list(fleet.folder / "list.csv", [0])
    old, new = fleet.serials[0], fleet.serials[0][::-1]
    listed.write_text(listed.read_text("utf-8-sig").replace(old, ""), encoding="utf-8-sig")
    folder = token_folder(fleet, 0)
    folder.rename(fleet.folder / "away")
    (planned_,) = cli.json("batch", "plan", str(listed)).data["rows"]
    assert (planned_["planned"], planned_["token"]) == ("not_plugged_in", old)
    other = folder.with_name(f"{folder.name[:13]}-{new[:4]}-{new[4:8]}-{new[8:]}"[:36])
    shutil.copytree(fleet.folder / "away", other)
    for file in other.iterdir():
        file.write_bytes(file.read_bytes().replace(old.encode(), new.encode()))
    running = start(fleet, simulator, "--insert")
    told = until(running, "not_needed")
    while told["token"] != new:
        told = until(running, "not_needed")
    assert (told["planned"], told["planned_token"]) == (None, old)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)


def test_a_token_that_is_in_again_before_anybody_looks_is_taken_again(
    cli: Inside, fleet: Fleet, simulator: Simulator
) -> None:
    """--insert: pulled out at the login and put in again between two looks, so that no set of tokens has changed. It is told to
    be plugged in again, here and not to another run, and its row is done.
    """
    planned(cli, fleet, [0])
    simulator.steer(faults=["C_Login 1 remove"])
    running = start(fleet, simulator, "--insert")
    ended = until(running, "row_end")
    simulator.plug()
    assert (ended["state"], ended["code"], "batch resume" in ended["message"]) == ("waiting", "token_removed", False)
    assert [row["row"] for row in until(running, "insert")["next"]] == [2]
    assert until(running, "row_end")["state"] == "done"
    running.communicate(timeout=60)
    assert running.returncode == 0


def test_a_token_never_seen_before_is_called_by_its_company(cli: Inside, fleet: Fleet, simulator: Simulator) -> None:
    """--insert with a list of Token IDs that nobody has seen: whose each is stands in the events, the report and its table."""
    listed = fleet.write_list(fleet.folder / "list.csv", [0])
    listed.write_text(listed.read_text("utf-8-sig").replace(fleet.msts[0], ""), encoding="utf-8-sig")
    folder = token_folder(fleet, 0)
    folder.rename(fleet.folder / folder.name)
    (unknown,) = cli.json("batch", "plan", str(listed)).data["rows"]
    assert (unknown["planned"], unknown["name"]) == ("not_plugged_in", "")
    running = start(fleet, simulator, "--insert")
    until(running, "insert")
    (fleet.folder / folder.name).rename(folder)
    name = until(running, "token_in")["name"]
    ended = until(running, "row_end")
    assert (ended["state"], ended["name"], bool(ended["old_serial"])) == ("done", name, True)
    assert until(running, "pull_out")["name"] == name != ""
    running.communicate(timeout=60)
    (row,) = cli.json("batch", "report").data["rows"]
    assert (row["name"], row["mst"], row["old_serial"]) == (name, fleet.msts[0], ended["old_serial"])
    table = fleet.folder / "report.csv"
    assert cli("batch", "report", "--out", str(table)).status == 0
    assert name in table.read_text("utf-8-sig")


def test_tokens_that_can_be_watched_no_more_leave_the_row_in_hand_to_its_end(cli: Inside, fleet: Fleet) -> None:
    """--insert: looking for the next token fails while a renewal is under way: it is finished and told before the run ends."""
    path, begun = planned(cli, fleet, [0]), threading.Event()
    renew = rows.run_row

    def began(*given: Any, **more: Any) -> Any:
        begun.set()
        return renew(*given, **more)

    def insertions(tokens: Tokens, **_how: Any) -> Iterator[Reading]:
        yield tokens.read()
        assert begun.wait(30)
        raise Unexpected("busy", code="state_busy")

    with patch.object(rows, "run_row", began), patch.object(Tokens, "insertions", insertions):
        said = cli.json("batch", "run", str(path), "--insert")
    assert said.codes == ["state_busy"], said.out
    events = [json.loads(line) for line in said.err.splitlines()]
    assert [one["event"] for one in events if one["event"] in {"row_end", "end"}] == ["row_end", "end"]
    assert [row["state"] for row in cli.json("batch", "report").data["rows"]] == ["done"]


def test_a_driver_that_fails_while_tokens_are_watched_is_told(cli: Inside, fleet: Fleet) -> None:
    """--insert: no driver answers for a while. It is said, and the tokens that are seen after it are taken."""
    path = planned(cli, fleet, [0])
    failure = DriverFailure(driver="/x.so", code="crashed", detail="SIGSEGV")

    def insertions(tokens: Tokens, **_how: Any) -> Iterator[Reading]:
        yield Reading(tokens=(), failed=(), drivers=("/x.so",))
        yield Reading(tokens=(), failed=(failure,), drivers=())
        yield tokens.read()

    with patch.object(Tokens, "insertions", insertions):
        said = cli.json("batch", "run", str(path), "--insert")
    assert said.status == 0, said.err
    told = {one["event"]: one for one in map(json.loads, said.err.splitlines())}
    assert ("/x.so" in told["driver_failed"]["message"], told["row_end"]["state"]) == (True, "done")


@pytest.mark.parametrize("words", [(), ("--insert",)])
def test_a_token_never_seen_before_counts_for_its_own_ca(cli: Inside, fleet: Fleet, words: tuple[str, ...]) -> None:
    """Of a token that was away when the plan was made nobody knew the CA: the rate, the pauses and "it answered" go by the one
    its certificate names, not by one that all unknown ones share.
    """
    listed = fleet.write_list(fleet.folder / "list.csv", [0])
    folder = token_folder(fleet, 0)
    folder.rename(fleet.folder / folder.name)
    assert [row["planned"] for row in cli.json("batch", "plan", str(listed)).data["rows"]] == ["not_plugged_in"]
    (fleet.folder / folder.name).rename(folder)
    put, asked = Queue.put, []

    def seen(queue: Queue, *tasks: Task) -> None:
        asked.extend(task.row.authority for task in tasks)
        put(queue, *tasks)

    with patch.object(Queue, "put", seen):
        assert codes(cli.json("batch", "run", str(fleet.folder / "list.plan.json"), *words)) == ["done"]
    assert asked == ["safe-ca"]


def test_a_company_on_no_token_or_on_two_waits(cli: Inside, fleet: Fleet, simulator: Simulator) -> None:
    """Rows by company alone: a token that has gone since the plan is told, the others are done."""
    listed = fleet.write_list(fleet.folder / "list.csv", [0, 1])
    text = listed.read_text("utf-8-sig")
    listed.write_text(text.replace(fleet.serials[0], ""), encoding="utf-8-sig")
    assert cli.json("batch", "plan", str(listed)).status == 0
    token_folder(fleet, 0).rename(fleet.folder / "away")
    said = cli.json("batch", "run", str(fleet.folder / "list.plan.json"), "--jitter", "0.01")
    assert [(row["state"], row["code"]) for row in said.data["rows"]] == [("waiting", "token_not_in"), ("done", "done")]


@pytest.mark.parametrize("words", [(), ("--insert",)])
def test_drivers_that_all_fail_say_nothing_of_the_tokens(
    cli: Inside, fleet: Fleet, simulator: Simulator, words: tuple[str, ...]
) -> None:
    """The only driver does not begin: 17, no row is called missing, and nobody is asked to plug tokens in."""
    planned(cli, fleet, [0])
    simulator.steer(faults=["C_Initialize 0 return GENERAL_ERROR"])
    said = cli.json("batch", "run", str(fleet.folder / "list.plan.json"), *words, env=simulator.environment)
    assert said.status == 17
    assert cli.json("batch", "report").data["rows"][0]["state"] is None


def test_a_service_that_is_stopped_costs_no_try(cli: Inside, fleet: Fleet, simulator: Simulator) -> None:
    """SIGTERM to every process of the run at once, as systemd and a shutdown send it, within a login: the login comes to its
    end, no try is counted, and the row is carried on by `batch resume`.
    """
    planned(cli, fleet, [0])
    simulator.steer(latency={"C_Login": 1500})
    running = start(fleet, simulator)
    until(running, "row_begin")
    while not simulator.count("C_Login"):
        assert running.poll() is None
    workers = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text("ascii").split()
    for pid in [*map(int, workers), running.pid]:
        os.kill(pid, signal.SIGTERM)
    ended = until(running, "row_end")
    running.communicate(timeout=60)
    assert (running.returncode, ended["state"], ended["code"]) == (130, "waiting", "interrupted")
    assert [token["pin_tries_spent"] for token in cli.json("status").data["tokens"]] == [0] * TOKENS
    assert codes(cli.json("batch", "resume")) == ["done"]


@pytest.mark.parametrize(
    ("behind", "status", "state", "code"),
    [
        (("env", "--default-signal=HUP"), 130, "waiting", "interrupted"),
        (("env", "--ignore-signal=HUP"), 0, "done", "done"),
    ],
)
def test_a_terminal_that_is_closed_costs_no_try(
    cli: Inside, fleet: Fleet, simulator: Simulator, behind: tuple[str, ...], status: int, state: str, code: str
) -> None:
    """SIGHUP within a login ends the run in order, as Ctrl-C does; a run behind nohup goes on."""
    planned(cli, fleet, [0])
    simulator.steer(latency={"C_Login": 1500})
    running = start(fleet, simulator, behind=behind)
    until(running, "row_begin")
    while not simulator.count("C_Login"):
        assert running.poll() is None
    running.send_signal(signal.SIGHUP)
    ended = until(running, "row_end")
    running.communicate(timeout=60)
    assert (running.returncode, ended["state"], ended["code"]) == (status, state, code)
    assert [token["pin_tries_spent"] for token in cli.json("status").data["tokens"]] == [0] * TOKENS


def test_a_stop_while_it_waits_for_its_turn_begins_nothing(fleet: Fleet, cli: Inside, simulator: Simulator) -> None:
    """Ctrl-C in the pause of --jitter: 130 at once."""
    planned(cli, fleet, [0])
    running = start(fleet, simulator, "--jitter", "80000")
    until(running, "begin")
    running.send_signal(2)
    out, _err = running.communicate(timeout=30)
    assert running.returncode == 130, out
    assert simulator.calls() == []
