"""A driver that misbehaves costs its own rows only: the tokens of the others are shown, and the run says which one failed."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support_cli import Cli, Said
from support_simulator import Simulator
from support_tokens import MadeToken, SoftHsm


@pytest.fixture
def token(make_token: Callable[..., MadeToken], ec_key: Any, make_certificate: Any) -> MadeToken:
    return make_token("Company", certificates=[make_certificate(ec_key)], keys=[ec_key])


@pytest.fixture
def cli(simulator: Simulator, softhsm: SoftHsm, token: MadeToken, tmp_path: Path) -> Cli:
    """Two drivers in the settings: the simulator over a folder of its own, which holds a copy of nothing, and SoftHSM."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    other = tmp_path / "libother.so"  # the same driver by another name, so that one of the two can fail
    shutil.copyfile(softhsm.module, other)
    (home / "settings.toml").write_text(f'[drivers]\nmodules = ["{simulator.module}", "{other}"]\n')
    env = {"SAFETOK_HOME": str(home), "SAFETOK_LANG": "en", "SOFTHSM2_CONF": str(softhsm.configuration)}
    return Cli({**env, "SAFETOK_SIMULATOR": simulator.environment["SAFETOK_SIMULATOR"], "SAFETOK_MODULE": ""})


def failures(said: Said, cli: Cli) -> list[tuple[str, str]]:
    """Which of the test's own drivers failed; what else this machine has installed is not asked about."""
    own = (Path(cli.env["SAFETOK_HOME"]) / "settings.toml").read_text()
    return [(one["driver"], one["code"]) for one in said.data["drivers_failed"] if one["driver"] in own]


def shown(said: Said, token: MadeToken) -> None:
    """The good driver's token is there, with its certificate."""
    (row,) = [row for row in said.data["tokens"] if row["serial"] == token.serial]
    assert len(row["certificates"]) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("C_Initialize 1 crash", "crashed"),
        ("C_GetSlotList 1 crash", "crashed"),
        ("C_GetTokenInfo 1 crash", "crashed"),
        ("C_FindObjects 1 crash", "crashed"),
        ("C_GetAttributeValue 2 crash", "crashed"),
        ("C_GetTokenInfo 1 hang", "timed_out"),
    ],
)
def test_a_driver_that_dies_or_hangs_costs_its_own_rows(
    cli: Cli, token: MadeToken, simulator: Simulator, fault: str, code: str
) -> None:
    """`status` ends with 17 and names the driver; the other driver's token and certificate are in the answer."""
    simulator.steer(faults=[fault])
    said = cli.json("status")
    shown(said, token)
    assert said.status == 17
    assert failures(said, cli) == [(str(simulator.module), code)]
    assert "Traceback" not in said.err


def test_a_driver_that_prints_spoils_no_answer(cli: Cli, token: MadeToken, simulator: Simulator) -> None:
    """What a driver writes to stdout never reaches the program's own: the envelope parses."""
    simulator.steer(prints="yes")
    said = cli.json("status")
    assert failures(said, cli) == [], said.err
    shown(said, token)


def test_a_driver_that_takes_the_signals_keeps_nobody_from_stopping(
    cli: Cli, token: MadeToken, simulator: Simulator
) -> None:
    """With the worker's signal handlers changed by the driver, Ctrl-C in the program still ends it with 130."""
    simulator.steer(signals="yes", latency={"C_GetTokenInfo": 3000})
    with subprocess.Popen(
        [sys.executable, "-m", "safetok", "status", "--json"],
        env=cli.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not simulator.count("C_GetTokenInfo"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Traceback" not in err


def test_a_driver_that_crashes_within_a_login_is_told_and_the_try_counted(
    cli: Cli, token: MadeToken, simulator: Simulator
) -> None:
    """17, the driver by name, no traceback; and the next `status` says that a try was cut off."""
    simulator.steer(faults=["C_Login 1 crash"])
    words = ("pin", "change", "--serial", token.serial, "--pin-stdin", "--module", str(simulator.module))
    assert failures(cli.json("status"), cli) == []
    simulator.steer(faults=["C_SetPIN 1 crash"])
    said = cli.json(*words, stdin="246813\n135790\n")
    assert (said.status, said.codes) == (17, ["crashed"])
    row = next(row for row in cli.json("status").data["tokens"] if row["serial"] == token.serial)
    assert row["pin_tries_spent"] == 1
