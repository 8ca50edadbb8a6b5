"""Runs the installed `safetok` as a person or a script would, and reads what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from safetok.cli.error_codes import CODES


@dataclass(frozen=True)
class Said:
    """What one run came to."""

    status: int
    out: str
    err: str

    @property
    def envelope(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def data(self) -> dict[str, Any]:
        return self.envelope["data"]

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in self.envelope["errors"]]


@dataclass
class Cli:
    """`cli("status", "--json")`; `env` is laid over an environment that holds nothing of the caller's safetok."""

    env: Mapping[str, str] = field(default_factory=dict)

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SAFETOK_", "SOFTHSM2_"))}
        return {**kept, **self.env, **(more or {})}

    def __call__(
        self, *words: str, stdin: str | None = None, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "safetok", *words],
            env=self.environment(env),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str, **more: Any) -> Said:
        """The same with --json; the envelope must parse whatever the exit status, and its codes be listed ones."""
        said = self(*words, "--json", **more)
        assert said.out.strip(), said.err
        assert said.envelope["exit_code"] == said.status
        assert {*said.codes} <= {*CODES}
        if said.envelope["status"] == "error":
            assert said.status in CODES[said.codes[0]][0], said.codes
        return said
