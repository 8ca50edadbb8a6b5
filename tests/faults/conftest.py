from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_faults import Box, Template, template
from support_fleet import Fleet, as_made, kept_fleet
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


@pytest.fixture(scope="module")
def fresh(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    """As many tokens as the module says in TOKENS, owed a renewal, and their CA: made once."""
    with kept_fleet(request.module.TOKENS) as made:
        yield made


@pytest.fixture
def fleet(fresh: Fleet) -> Iterator[Fleet]:
    """The fleet before anything was done with it, its CA running."""
    with as_made(fresh) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def stage(simulator_module: Path) -> Iterator[Stage]:
    """The stage of the fault matrices, on /dev/shm."""
    folder = Path(tempfile.mkdtemp(prefix="safetok-stage-", dir="/dev/shm"))
    made = Stage(folder, module=simulator_module)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)
