"""Runs of `safetok` that cost a fork instead of a start: one process with everything imported, which never loads a driver.

Every run is a process of its own, with its own environment, and may be killed like any other; its worker is started by it as
always. Orphaned workers come to this process, so that it can tell when the last of a run's processes has ended.

As a program it is the process itself; a test imports `Zygote`.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_NOT_IN_THE_PARENT = {"safetok.tokens.worker", "safetok.tokens.hands", "safetok.__main__"}
PATIENCE = 60.0  # seconds that no run may take


class Zygote:
    """The other process, from a test's side."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._ask(do="ready")

    def start(
        self, words: list[str], *, env: dict[str, str], stdin: str, said: Path, gate: Path | None, plant: str = ""
    ) -> int:
        """Start `safetok WORDS`; its pid. What it says goes to `said` with .out and .err."""
        given = {"words": words, "env": env, "stdin": stdin, "said": str(said), "gate": str(gate or ""), "plant": plant}
        return int(self._ask(do="start", **given)["pid"])

    def wait(self, pid: int) -> int:
        """The exit status of a run that has ended or will: negative for a signal."""
        return int(self._ask(do="wait", pid=pid)["status"])

    def settle(self) -> None:
        """Wait until no process of any run is left."""
        self._ask(do="settle")

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], PATIENCE + 10)[0]:
            raise TimeoutError(request)
        answer = json.loads(self._process.stdout.readline() or '{"error": "it died"}')
        if "error" in answer:
            raise AssertionError(f"{request}: {answer['error']}")
        return dict(answer)


def _import_everything() -> None:
    import safetok

    for module in pkgutil.walk_packages(safetok.__path__, "safetok."):
        if module.name not in _NOT_IN_THE_PARENT and not module.name.startswith("safetok.sandbox"):
            importlib.import_module(module.name)
    for name in ("keyring", "sqlite3", "urllib3", "cryptography.x509", "asn1crypto.cms", "stdnum", "tomllib"):
        importlib.import_module(name)
    from safetok.reports import page

    pages = page._environment()
    for name in pages.list_templates(extensions=["html"]):
        pages.get_template(name)


def _watch_commits(path: str) -> None:
    """Stop at the gate before and after every durable commit of this process."""
    from safetok.store.database import Database

    gate = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    gate.connect(path)
    commit, run = Database._commit, Database.run

    def tell(phase: str) -> None:
        gate.sendall(f"0 {os.getpid()} commit {phase}\n".encode())
        while gate.recv(1) not in {b"\n", b""}:
            pass

    def watched_commit(self: Database) -> None:
        tell("begin")
        commit(self)
        tell("end")

    def watched_run(self: Database, sql: str, values: Any = ()) -> int:
        if self._depth:
            return run(self, sql, values)
        tell("begin")
        number = run(self, sql, values)
        tell("end")
        return number

    Database._commit = watched_commit  # type: ignore[method-assign]
    Database.run = watched_run  # type: ignore[method-assign]


def _be_a_run(request: dict[str, Any]) -> None:
    code = 70
    try:
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir("/")
        said = request["said"]
        reading, writing = os.pipe()
        os.write(writing, request["stdin"].encode())
        os.close(writing)
        os.dup2(reading, 0)
        for number, name in ((1, f"{said}.out"), (2, f"{said}.err")):
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, number)
            os.close(file)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout, sys.stderr = (open(n, "w", encoding="utf-8", closefd=False) for n in (1, 2))  # noqa: SIM115
        if request["plant"]:
            import support_plants

            support_plants.plant(request["plant"])
        if request["gate"]:
            _watch_commits(request["gate"])
        from safetok.__main__ import _main

        try:
            code = _main(request["words"])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _reap(statuses: dict[int, int], *, block: bool) -> bool:
    """Take what has ended; whether any child is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, 0 if block else os.WNOHANG)
        except ChildProcessError:
            return False
        if not pid:
            return True
        statuses[pid] = os.waitstatus_to_exitcode(status)
        if block:
            return True


def _wait(statuses: dict[int, int], pid: int | None) -> str:
    """Until `pid` (None: every process) has ended; what is wrong when it has not in time."""
    until, pause = time.monotonic() + PATIENCE, 0.001
    while (pid not in statuses) if pid is not None else True:
        left = _reap(statuses, block=False)
        if not left:
            return "" if pid is None or pid in statuses else f"{pid} is no child"
        if pid is not None and pid in statuses:
            return ""
        if time.monotonic() > until:
            return f"still running: {pid or Path(f'/proc/self/task/{os.getpid()}/children').read_text()}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.01)
    return ""


def main() -> None:
    """Serve requests, one JSON line each, until stdin ends."""
    sys.path.insert(0, str(Path(__file__).parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    _import_everything()
    statuses: dict[int, int] = {}
    answers = sys.stdout
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        if request["do"] == "start":
            pid = os.fork()
            if not pid:
                _be_a_run(request)
            answer = {"pid": pid}
        elif request["do"] in {"wait", "settle"}:
            wrong = _wait(statuses, request.get("pid"))
            answer = {"error": wrong} if wrong else {"status": statuses.get(request.get("pid", 0), 0)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
