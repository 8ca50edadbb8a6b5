"""Two runs at once, on one token and on one state."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import support_judge as judge
from kill_matrix import ANSWER
from support_cli import Cli
from support_gate import Event, Hold
from support_inside import Inside
from support_pins import Keyring
from support_simulator import Simulator
from support_stage import Stage
from support_tokens import MadeToken

from safetok.store.database import Database
from safetok.store.journal import Journal
from safetok.store.pins import PinLog


@contextmanager
def holding(cli: Cli, simulator: Simulator, tmp_path: Path, *, kill: str = "") -> Iterator[subprocess.Popen[str]]:
    """Another run that stands within its login until the end; `kill`: its parent is killed there, its worker lives on."""
    simulator.steer(latency={"C_Login": 1000})
    before = simulator.count("C_Login")
    with subprocess.Popen(
        [sys.executable, "-m", "safetok", "renew", "--csr", str(tmp_path / "first.pem"), "--pin-stdin"],
        env=cli.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write("246813\n")
        process.stdin.flush()
        end = time.monotonic() + 30
        while simulator.count("C_Login") == before:
            assert time.monotonic() < end
            time.sleep(0.01)
        (worker,) = (Path(f"/proc/{process.pid}/task/{process.pid}/children")).read_text().split()
        os.kill(int(worker), signal.SIGSTOP)
        simulator.steer(latency=None)
        if kill:
            process.kill()
            process.wait(20)
        try:
            yield process
        finally:
            os.kill(int(worker), signal.SIGCONT)


def test_a_second_run_says_who_holds_the_token(
    cli: Inside, token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """While one run is logged in, another ends with 16, names the process and since when, and does not log in; looking goes on."""
    with holding(cli, simulator, tmp_path) as first, Keyring.in_use():
        for words in (["renew", "--csr", str(tmp_path / "second.pem")], ["pin", "store"], ["pin", "change"]):
            said = cli.json(*words, "--pin-stdin", stdin="246813\n135790\n")
            assert (said.status, said.codes) == (16, ["token_held"])
            error = said.envelope["errors"][0]
            assert str(first.pid) in error["message"]
            assert error["token"] == token.serial
            assert error["hint"]
        looked = cli.json("status")
        assert [one["serial"] for one in looked.data["tokens"]] == [token.serial]
        assert simulator.count("C_Login") == 1
    assert first.returncode == 0
    assert (tmp_path / "first.pem").exists()
    assert not (tmp_path / "second.pem").exists()


def test_a_killed_run_holds_its_token_until_its_worker_is_done(
    cli: Inside, token: MadeToken, simulator: Simulator, tmp_path: Path
) -> None:
    """The parent's death frees nothing: the worker ends its login first, so that two never write at once. Then the way is free."""
    with holding(cli, simulator, tmp_path, kill="parent"):
        said = cli.json("renew", "--csr", str(tmp_path / "second.pem"), "--pin-stdin", stdin="246813\n")
        assert (said.status, said.codes) == (16, ["token_held"])
    end = time.monotonic() + 30
    while said.status == 16:
        assert time.monotonic() < end
        said = cli.json("renew", "--csr", str(tmp_path / "second.pem"), "--pin-stdin", stdin="246813\n")
    assert said.status == 0, said.err
    with Database(tmp_path / "home" / "state.db") as state:
        assert [row.state.value for row in Journal(state).all()] == ["REQUESTED"]
        assert PinLog(state).count(token.serial) == 0


def test_many_runs_at_once_lose_nothing(cli: Inside, token: MadeToken, tmp_path: Path) -> None:
    """Runs that look, note and record at the same time all end well: they wait for each other's commits."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "safetok", *words],
            env=cli.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in (
            ["tokens", "--json"],
            ["status", "--json"],
            ["tokens", "note", token.serial, "tủ A3"],
            ["tokens", "set-kind", token.serial, "v2"],
            ["history"],
        )
    ]
    for process in processes:
        _out, err = process.communicate(timeout=60)
        assert process.returncode in {0, 2}, err  # 2: noted before any run had seen the token
        assert "Traceback" not in err
    assert cli.json("tokens").status == 0


def test_a_second_run_never_asks_for_what_the_first_is_waiting_for(stage: Stage) -> None:
    """While the CA's answer is on its way to one run, another that would carry the same renewal on ends with 16: at a CA that does
    not repeat its answers the second question would lose the first one's certificate.
    """
    case, hold = stage.case("v1-owed", forgetful=True), Hold()

    def decide(event: Event) -> Hold | str:
        if event.name == f"{ANSWER} end" and hold.event is None:
            hold.event = event
            return hold
        return "go"

    stage.gate.begin(decide)
    company = case.company
    end = company.contract_end
    first = case.start("renew", "--serial", company.serial, "--yes", "--confirm-contract-end", end, "--pin-stdin")
    assert not first.ends_or(hold.seen)
    for words in (["renew", "--resume"], ["renew", "--serial", company.serial], ["renew", "--abandon", "X", "--force"]):
        if words[1] == "--abandon":
            words[2] = str(judge.query(case, "SELECT id FROM renewals")[0][0])
        second = case.start(*words, "--pin-stdin", gated=False)
        assert (second.wait(), second.codes()) == (16, ["token_held"]), second.errors()
        assert str(first.pid) in str(second.envelope()["errors"])
    hold.let_go()
    assert first.wait() == 0, first.errors()
    stage.zygote.settle()
    assert judge.done(case, new_key=False) == []
    case.close()
