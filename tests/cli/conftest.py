from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support_cli import Cli
from support_stories import Sandbox, start_sandbox
from support_tokens import SoftHsm


@pytest.fixture
def cli(softhsm: SoftHsm, tmp_path: Path) -> Cli:
    """The command line with SoftHSM as its only driver and a home of its own."""
    return Cli({"SAFETOK_HOME": str(tmp_path / "home"), **softhsm.surroundings})


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox of its own for a test that changes it; tokens on /dev/shm."""
    folder = Path(tempfile.mkdtemp(prefix="safetok-test-", dir="/dev/shm"))
    box = start_sandbox(folder)
    yield box
    down = box.cli("sandbox", "down")
    shutil.rmtree(folder, ignore_errors=True)
    assert down.status == 0, down.err
