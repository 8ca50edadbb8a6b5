from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_cli import Cli
from support_issued import issued
from support_simulator import V1, V2, Simulator
from support_tokens import MadeToken
from support_watch import WAIT, Watching, many_insertions

KINDS = """
[[kinds]]
kind = "V1"
reason = "the grey one"
manufacturer = "SafeCert"
model = "ST3"
[[kinds]]
kind = "V2"
reason = "the white one"
manufacturer = "SafeCert"
model = "ST3 Ace"
"""


@pytest.fixture
def cli(simulator: Simulator, tmp_path: Path) -> Cli:
    """The command line with the simulator as its driver, and a home whose settings tell V1 from V2 by what they call themselves."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "settings.toml").write_text(KINDS)
    return Cli({"SAFETOK_HOME": str(home), "PYTHONUNBUFFERED": "1", **simulator.surroundings})


@pytest.fixture
def grey(make_token: Callable[..., MadeToken], rsa_key: Any) -> MadeToken:
    return make_token("Xám", certificates=[issued(rsa_key)], keys=[rsa_key])


@pytest.fixture
def white(make_token: Callable[..., MadeToken], rsa_key: Any) -> MadeToken:
    certificate = issued(rsa_key, serial=0x5401AAAA, name="CÔNG TY CỔ PHẦN TRẮNG", mst="0106323762")
    return make_token("Trắng", certificates=[certificate], keys=[rsa_key])


def looked(simulator: Simulator, times: int = 1) -> None:
    """Wait until the driver was asked for its slots so often."""
    end = time.monotonic() + WAIT
    while simulator.count("C_GetSlotList") < times:
        assert time.monotonic() < end


def test_a_grey_and_a_white_token_announce_themselves(
    cli: Cli, simulator: Simulator, grey: MadeToken, white: MadeToken
) -> None:
    """Each as it is plugged in, by its own kind; the notice's hint of the S icon is for the grey one alone; nobody logs in."""
    out: dict[str, dict[str, object]] = {grey.serial: {**V1, "pull": 1}, white.serial: {**V2, "pull": 1}}
    simulator.steer(tokens=out)
    running = Watching(cli)
    looked(simulator, 3)  # it asks at most twice a look: the first is over
    out[white.serial]["plug"] = 1
    simulator.steer(tokens=out)
    told = running.until("PHẦN TRẮNG")
    assert "VỪA CẮM: CÔNG TY CỔ PHẦN TRẮNG · MST 0106323762" in told
    told = running.until("→")
    assert "V2" in told
    assert "chữ S" not in told
    out[grey.serial]["plug"] = 1
    simulator.steer(tokens=out)
    told = running.until("nhấn đúp chữ S")
    assert "VỪA CẮM: CÔNG TY TNHH THỬ NGHIỆM" in told
    assert "V1" in told
    out[white.serial]["pull"] = 2
    simulator.steer(tokens=out)
    assert "đã rút ra: CÔNG TY CỔ PHẦN TRẮNG" in running.until(f"(Token ID {white.serial})")
    assert running.end(signal.SIGINT)[0] == 0
    assert simulator.count("C_Login") == 0
    assert simulator.count("C_OpenSession") == simulator.count("C_CloseSession")


def test_one_pulled_out_while_it_is_read_is_announced_when_it_is_back(
    cli: Cli, simulator: Simulator, grey: MadeToken
) -> None:
    """Pulled out between two calls of the first look it was never in; put in again it is announced as any other."""
    simulator.steer(faults=["C_FindObjects 1 remove"])
    running = Watching(cli, "--json")
    looked(simulator)
    end = time.monotonic() + WAIT
    while not simulator.memory(grey.serial).removed:
        assert time.monotonic() < end
    simulator.plug()
    while (event := running.event()["data"])["token"] is None:
        assert event["event"] in {"driver_failed", "removed"}
    assert event["serial"] == grey.serial
    assert [one["serial"] for one in event["token"]["certificates"]] == ["54010108096D8A02E2F22CE98BD7168E"]
    assert running.end(signal.SIGINT)[0] == 0


def test_hundreds_of_insertions_at_a_driver_that_keeps_its_slots(
    cli: Cli, simulator: Simulator, make_token: Callable[..., MadeToken], ec_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with real drivers the slot stays and the token goes: each insertion is announced, nothing is left open or kept."""
    token = make_token("Kho A", certificates=[issued(ec_key)])
    monkeypatch.setenv("SAFETOK_MODULE", str(simulator.module))
    many_insertions(cli, monkeypatch, pull=simulator.pull, plug=simulator.plug)
    assert simulator.memory(token.serial).insertions >= 250
    assert simulator.count("C_Login") == 0
    assert simulator.count("C_OpenSession") == simulator.count("C_CloseSession")
