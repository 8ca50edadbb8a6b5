"""The demo: the whole way of two tokens, played by the installed program with its public flags, each step shown and checked.

Nothing here reaches into the program: what a step proves is read from its exit status, its JSON and the CA's ledger.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from safetok.errors import Unexpected
from safetok.locale import _, language
from safetok.net import Http
from safetok.sandbox.softhsm import module as softhsm_module

PIN_VARIABLE = "DEMO_PIN"
SECONDS = 300  # for one step
RENEWED = ("v1-owed", "v2-owed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command as it was run, and how it ended."""

    command: str
    exit_status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What the demo came to; `folder` and `environment` only where it was kept."""

    steps: tuple[Step, ...]
    issued: tuple[dict[str, Any], ...]
    folder: Path | None = None
    environment: dict[str, str] | None = None


@dataclass(slots=True)
class Stage:
    """A temporary folder, the environment of the commands run in it, and where they are shown."""

    folder: Path
    show_title: Callable[[str], None]
    show: Callable[[str], None]
    stream: TextIO  # where the commands themselves write: on a terminal they look as they always do
    environment: dict[str, str]
    steps: list[Step] = field(default_factory=list)

    def step(self, title: str, *words: str, pin: str = "", stdin: str = "") -> None:
        """Run one command, show it and what it said. Raises Unexpected (`demo_failed`) when it does not end with 0."""
        self.show_title(title)
        shown = shlex.join(["safetok", *words])
        if pin:
            shown = f"{PIN_VARIABLE}=… {shown}"
        self.show(f"$ {shown}")
        self.stream.flush()
        done = self._run(*words, more={PIN_VARIABLE: pin} if pin else {}, stdin=stdin, stream=self.stream)
        self.steps.append(Step(command=shown, exit_status=done.returncode))
        self.expect(done.returncode == 0, shown)

    def data(self, *words: str) -> Any:
        """The `data` of one command's envelope, not shown."""
        return json.loads(self.text(*words, "--json"))["data"]

    def text(self, *words: str) -> str:
        """What one command printed, not shown."""
        done = self._run(*words)
        self.expect(done.returncode == 0, shlex.join(["safetok", *words]))
        return done.stdout

    def expect(self, holds: bool, what: str) -> None:
        """Raise Unexpected (`demo_failed`) unless `holds`."""
        if not holds:
            raise Unexpected(
                _("The demo did not go as expected at: {step}").format(step=what),
                code="demo_failed",
                data={"steps": [{"command": s.command, "exit_status": s.exit_status} for s in self.steps]},
            )

    def _run(
        self, *words: str, more: dict[str, str] | None = None, stdin: str = "", stream: TextIO | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "safetok", *words],
            env={**self.environment, **({} if stream else {"PYTHONIOENCODING": "utf-8"}), **(more or {})},
            cwd=self.folder,
            input=stdin,
            stdout=stream or subprocess.PIPE,
            stderr=subprocess.STDOUT if stream else subprocess.PIPE,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )


def play(
    show_title: Callable[[str], None], show: Callable[[str], None], stream: TextIO, *, keep: bool = False
) -> Played:
    """Play it in a temporary folder and clean up, whatever happens; with `keep` the sandbox stays up.

    Raises Unexpected (`demo_failed`) at the first step that does not end as it must, UsageError (`softhsm_missing`).
    """
    softhsm_module()
    folder = Path(tempfile.mkdtemp(prefix="safetok-demo-"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SAFETOK_")}
    environment |= {"SAFETOK_HOME": str(folder), "SAFETOK_LANG": language()}
    stage = Stage(folder, show_title, show, stream, environment)
    whole = False
    try:
        issued = _scenes(stage)
        if keep:
            whole = True
            names = ("SAFETOK_HOME", "SAFETOK_MODULE", "SOFTHSM2_CONF")
            exports = {name: stage.environment[name] for name in names}
            return Played(steps=tuple(stage.steps), issued=issued, folder=folder, environment=exports)
        stage.step(_("Everything the sandbox made is removed"), "sandbox", "down")
        whole = True
        return Played(steps=tuple(stage.steps), issued=issued)
    finally:
        try:
            if not whole:
                stage._run("sandbox", "down")
        finally:
            if not (whole and keep):
                shutil.rmtree(folder, ignore_errors=True)


def _scenes(stage: Stage) -> tuple[dict[str, Any], ...]:
    stage.step(_("A practice CA and practice USB tokens"), "sandbox", "up")
    sandbox = stage.data("sandbox", "up")
    for line in stage.text("sandbox", "up", "--env").splitlines():
        name, _equals, value = shlex.split(line.removeprefix("export "))[0].partition("=")
        stage.environment[name] = value
    stage.step(_("Which USB tokens are in"), "tokens")
    stage.step(_("What is due, after asking the CA"), "status", "--refresh")
    tokens = {token["story"]: token for token in sandbox["tokens"]}
    for number, story in enumerate(RENEWED):
        _renew(stage, tokens[story], by_environment=number == 0)
    serial = tokens["v2-owed"]["serial"]
    stage.step(_("Which agencies must learn the new serial"), "agencies", "list", "--serial", serial)
    stage.step(
        _("The customs system has been updated by hand: the 24 hours begin"),
        "agencies",
        "done",
        "vnaccs",
        "--serial",
        serial,
    )
    stage.step(_("What is left, and until when"), "agencies", "remind", "--serial", serial)
    kit = str(stage.folder / "kit")
    stage.step(_("The new and the old certificate as files"), "export", "--serial", serial, "--out", kit)
    stage.expect(any(Path(kit).rglob("*.pem")), "export")
    return _ledger(stage, sandbox["ca_url"])


def _renew(stage: Stage, token: dict[str, Any], *, by_environment: bool) -> None:
    title = _("The top-up of {label}, up to the contract's end").format(label=token["label"])
    words = ["renew", "--serial", token["serial"], "--yes", "--confirm-contract-end", token["contract_end"]]
    if by_environment:
        stage.step(title, *words, "--pin-env", PIN_VARIABLE, pin=token["pin"])
    else:
        stage.step(title, *words, "--pin-stdin", stdin=f"{token['pin']}\n")


def _ledger(stage: Stage, url: str) -> tuple[dict[str, Any], ...]:
    """What the CA itself says it has issued: one confirmed certificate for each token renewed."""
    stage.show_title(_("What the practice CA has in its ledger"))
    stage.show(f"$ curl {url}/ledger")
    issued = tuple(json.loads(Http().ca("GET", f"{url}/ledger").body)["issued"])
    for row in issued:
        stage.show(f"{row['old_serial']} -> {row['serial']} {row['state']}")
    stage.expect([row["state"] for row in issued] == ["confirmed"] * len(RENEWED), f"{url}/ledger")
    return issued
