from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support_cli import Cli


@dataclass
class Sandbox:
    """A sandbox that is up, the command line inside it, and its tokens by story."""

    cli: Cli
    data: dict[str, Any]

    def token(self, story: str) -> dict[str, Any]:
        return next(t for t in self.data["tokens"] if t["story"] == story)

    def ledger(self) -> list[dict[str, Any]]:
        import urllib.request

        with urllib.request.urlopen(f"{self.data['ca_url']}/ledger", timeout=10) as answer:
            return json.loads(answer.read())["issued"]

    def renew(self, story: str, *more: str, pin: str | None = None) -> Any:
        token = self.token(story)
        confirm = ["--confirm-contract-end", token["contract_end"]] if token["contract_end"] else []
        return self.cli.json(
            "renew", "--serial", token["serial"], "--yes", "--pin-stdin", *confirm, *more, stdin=pin or token["pin"] + "\n"
        )


def start_sandbox(folder: Path) -> Sandbox:
    cli = Cli({"SAFETOK_HOME": str(folder)})
    said = cli.json("sandbox", "up")
    assert said.status == 0, said.err
    exports = cli("sandbox", "up", "--env").out
    env = {}
    for line in exports.splitlines():
        assert line.startswith("export "), line
        name, _, value = line.removeprefix("export ").partition("=")
        env[name] = value.strip("'")
    return Sandbox(cli=Cli(env), data=said.data)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox of its own for a test that changes it; tokens on /dev/shm."""
    folder = Path(tempfile.mkdtemp(prefix="safetok-test-", dir="/dev/shm"))
    box = start_sandbox(folder)
    yield box
    down = box.cli("sandbox", "down")
    shutil.rmtree(folder, ignore_errors=True)
    assert down.status == 0, down.err
