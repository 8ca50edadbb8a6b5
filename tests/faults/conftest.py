from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_faults import Box, Template, template
from support_inside import Inside
from support_pins import command_line
from support_simulator import Simulator
from support_stage import Stage
from support_tokens import MadeToken


@pytest.fixture(scope="session")
def made() -> Iterator[Template]:
    """The sandbox that every test of the CA's faults starts from."""
    with template() as kept:
        yield kept


@pytest.fixture
def box(made: Template) -> Iterator[Box]:
    """It, as it was made, with its CA running."""
    with made.box() as fresh:
        yield fresh


@pytest.fixture
def cli(simulator: Simulator, token: MadeToken, tmp_path: Path) -> Inside:
    """The program in this process, with the simulator as its driver and one company's token."""
    return Inside(command_line(tmp_path / "home", simulator.surroundings).env)


@pytest.fixture(scope="session")
def stage(simulator_module: Path) -> Iterator[Stage]:
    """The stage of the fault matrices, on /dev/shm."""
    folder = Path(tempfile.mkdtemp(prefix="safetok-stage-", dir="/dev/shm"))
    made = Stage(folder, module=simulator_module)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)
