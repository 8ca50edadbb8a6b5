from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support_cli import Cli


@dataclass
class Sandbox:
    """A sandbox that is up, the command line inside it, and its tokens by story."""

    cli: Cli
    data: dict[str, Any]

    def token(self, story: str) -> dict[str, Any]:
        return next(t for t in self.data["tokens"] if t["story"] == story)

    def ledger(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.data['ca_url']}/ledger", timeout=10) as answer:
            return json.loads(answer.read())["issued"]

    def renew(self, story: str, *more: str, pin: str | None = None) -> Any:
        token = self.token(story)
        confirm = ["--confirm-contract-end", token["contract_end"]] if token["contract_end"] else []
        return self.cli.json(
            "renew",
            "--serial",
            token["serial"],
            "--yes",
            "--pin-stdin",
            *confirm,
            *more,
            stdin=pin or token["pin"] + "\n",
        )


def start_sandbox(folder: Path) -> Sandbox:
    """A sandbox that lives in `folder`, and the command line in the environment it prints."""
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
