"""A PIN is nowhere but in the keyring: not in a file, a log, a core, a child's arguments or environment, or a traceback."""

from __future__ import annotations

import base64
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from support_cli import Cli
from support_pins import command_line, secret_service, settle
from support_simulator import Simulator
from support_tokens import MadeToken

CANARY = "Zq7#kW2v"  # a PIN of eight characters that occurs nowhere else
NEXT = "Xj4!mR9b"


def forms(pin: str) -> dict[str, bytes]:
    """How a PIN may be written."""
    raw = pin.encode()
    found = {"raw": raw, "utf-16-le": pin.encode("utf-16-le"), "utf-16-be": pin.encode("utf-16-be")}
    found |= {"hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}
    for shift in range(3):  # what base64 makes of it depends on what stands before it
        whole = base64.b64encode(b"\0" * shift + raw)
        found[f"base64+{shift}"] = whole[(0, 2, 3)[shift] : len(whole) - 4].rstrip(b"=")
    return found


def leaks(data: bytes, pin: str) -> list[str]:
    return [name for name, form in forms(pin).items() if form in data]


def search(folders: list[Path], pin: str) -> list[str]:
    """Every file under these folders that holds the PIN in any form."""
    return [
        f"{path}: {found}"
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (found := leaks(path.read_bytes(), pin))
    ]


class Watch:
    """Reads the arguments and the environment of every process that descends from this one, again and again."""

    def __init__(self, pin: str) -> None:
        self._pin, self._end, self.found, self.seen = pin, threading.Event(), set[str](), set[int]()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._end.wait(0.002):
            for pid in descendants(os.getpid()):
                self.seen.add(pid)
                for what in ("cmdline", "environ"):
                    try:
                        data = Path(f"/proc/{pid}/{what}").read_bytes()
                    except OSError:  # it has ended
                        continue
                    if leaks(data, self._pin):
                        self.found.add(f"{what} of {Path(f'/proc/{pid}/comm').read_text().strip()}")


def descendants(pid: int) -> Iterator[int]:
    """The children of a process, theirs, and so on."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from descendants(child)


@pytest.fixture
def token(make_token: Callable[..., MadeToken], ec_key: Any, make_certificate: Any, tmp_path: Path) -> MadeToken:
    certificate = make_certificate(ec_key)
    settle(tmp_path / "home", certificate)
    return make_token("Company", certificates=[certificate], keys=[ec_key], pin=CANARY)


@pytest.fixture
def cli(simulator: Simulator, token: MadeToken, tmp_path: Path) -> Cli:
    return command_line(tmp_path / "home", simulator.surroundings, {"TMPDIR": str(tmp_path / "tmp")})


def test_a_pin_is_nowhere_to_be_found(cli: Cli, token: MadeToken, simulator: Simulator, tmp_path: Path) -> None:
    """Saved, used, changed, given wrongly, piped, from a file, with -vv and a log, with crashes: no trace but in the keyring."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "keyring").mkdir()
    pin_file = tmp_path / "given" / "pin"
    pin_file.parent.mkdir()
    pin_file.write_text(CANARY)
    pin_file.chmod(0o600)
    said = []
    loud = ("-vv", "--log-file", str(tmp_path / "log.txt"), "--pin-as-is")
    with secret_service(tmp_path / "keyring") as bus, Watch(CANARY) as watch:
        for words, more in (
            (["pin", "store", "--pin-stdin", *loud], {"stdin": CANARY + "\n"}),
            (["pin", "store", "--pin-file", str(pin_file), "--json", *loud], {}),
            (["renew", "--csr", str(tmp_path / "request.pem"), *loud], {}),
            (["renew", "--abandon", "?", *loud], {}),
            (["pin", "change", "--pin-stdin", *loud], {"stdin": f"{NEXT}\n{CANARY}\n"}),
            (["pin", "change", "--pin-stdin", *loud], {"stdin": f"{CANARY}\n{NEXT}\n"}),
            (["pin", "change", "--pin-stdin", *loud], {"stdin": f"{NEXT}\n{CANARY}\n"}),
            (["pin", "change", "--serial", "none", "--pin-stdin", *loud], {"stdin": f"{CANARY}\n{NEXT}\n"}),
        ):
            said.append(cli(*words, env=bus, **more))
        for action in ("crash", "crash_after", "return GENERAL_ERROR", "return 0x80000001"):
            simulator.forget()
            simulator.steer(faults=[f"C_Login 1 {action}"])
            said.append(cli("pin", "store", "--pin-stdin", "--force-last-try", *loud, env=bus, stdin=CANARY + "\n"))
    assert [one.status for one in said] == [0, 0, 0, 2, 5, 0, 0, 3, 17, 17, 17, 17], [one.err for one in said]
    assert len(watch.seen) > 20
    assert watch.found == set()
    shown = "".join(one.out + one.err for one in said).encode()
    assert leaks(shown, CANARY) == leaks(shown, NEXT) == []
    places = [tmp_path / "home", tmp_path / "tmp", tmp_path / "keyring", simulator.config.parent]
    places.append(tmp_path / "log.txt")
    found = search([place if place.is_dir() else place.parent for place in places[:-1]], CANARY)
    assert found == search(places[:-1], NEXT) == []
    assert leaks((tmp_path / "log.txt").read_bytes(), CANARY) == []


def test_a_variable_with_a_pin_is_not_handed_on(cli: Cli, token: MadeToken, simulator: Simulator) -> None:
    """--pin-env: the program's own children do not inherit it."""
    simulator.steer(latency={"C_Login": 300})
    process = subprocess.Popen(
        [sys.executable, "-m", "safetok", "renew", "--csr", os.devnull, "--pin-env", "MY_PIN", "--pin-as-is"],
        env=cli.environment({"MY_PIN": CANARY}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found, children = [], set()
    while process.poll() is None:
        for child in descendants(process.pid):
            try:
                words, environment = (Path(f"/proc/{child}/{what}").read_bytes() for what in ("cmdline", "environ"))
            except OSError:
                continue
            if b"safetok.tokens.worker" in words:  # before that it is the program itself, which has just split in two
                children.add(child)
                found += leaks(environment, CANARY)
    assert children
    assert found == []


@pytest.mark.parametrize("whom", ["parent", "worker"])
def test_a_process_that_dies_with_a_pin_in_it_leaves_no_core(
    cli: Cli, token: MadeToken, simulator: Simulator, tmp_path: Path, whom: str
) -> None:
    """Killed by SIGABRT within the login, with cores allowed by the shell: none is written, because none is allowed any more."""
    simulator.steer(faults=["C_Login 1 hang"])
    folder = tmp_path / "cwd"
    folder.mkdir()

    def allow_cores() -> None:
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    process = subprocess.Popen(
        [sys.executable, "-m", "safetok", "pin", "store", "--pin-stdin", "--pin-as-is"],
        env=cli.environment({"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        preexec_fn=allow_cores,  # noqa: PLW1509  (no thread runs in this test)
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(CANARY + "\n")
    process.stdin.close()
    until(lambda: simulator.count("C_Login") == 1)
    (worker,) = descendants(process.pid)
    victim = process.pid if whom == "parent" else worker
    limits = Path(f"/proc/{victim}/limits").read_text()
    least = 1 if resource.getrlimit(resource.RLIMIT_CORE)[1] else 0  # 0 is none for a program that takes cores: core(5)
    assert re.search(rf"Max core file size\s+{least}\s", limits)
    os.kill(victim, signal.SIGABRT)
    process.wait(30)
    if whom == "parent":
        os.kill(worker, signal.SIGKILL)
    assert search([folder], CANARY) == []
    assert list(folder.iterdir()) == []


def until(holds: Callable[[], bool]) -> None:
    """Wait for something another process does."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_goes_wrong_unforeseen_is_logged_without_the_pin(cli: Cli, token: MadeToken, tmp_path: Path) -> None:
    """A traceback in the log names places in the code, no values."""
    script = (
        "import sys\nfrom safetok.tokens import sessions\n"
        "def broken(self, pin):\n    raise ValueError(f'the PIN was {pin}')\n"
        "sessions.Session.login = broken\n"
        "from safetok.cli.app import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    log = tmp_path / "log.txt"
    done = subprocess.run(
        [
            *(sys.executable, "-c", script, "renew", "--csr", str(tmp_path / "r.pem")),
            *("--pin-stdin", "--pin-as-is", "-vv", "--log-file", str(log)),
        ],
        env=cli.environment(),
        input=CANARY + "\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "ValueError" in log.read_text()
    assert leaks(log.read_bytes() + done.stdout.encode() + done.stderr.encode(), CANARY) == []


@pytest.mark.parametrize("how", ["raw", "utf-16", "hex", "base64", "base64 within", "state", "argument", "environment"])
def test_a_leak_is_caught(how: str, cli: Cli, tmp_path: Path) -> None:
    """The test of the test: a PIN left on purpose, in each of the ways that are searched, is found."""
    raw = CANARY.encode()
    written = {
        "raw": b"x" + raw,
        "utf-16": CANARY.encode("utf-16"),
        "hex": raw.hex().encode(),
        "base64": base64.b64encode(raw),
        "base64 within": base64.b64encode(b"PIN " + raw + b" end"),
    }
    if how in written:
        (tmp_path / "log.txt").write_bytes(written[how])
        assert search([tmp_path], CANARY)
    elif how == "state":
        cli("status")
        import sqlite3

        with sqlite3.connect(tmp_path / "home" / "state.db") as state:
            state.execute("INSERT INTO token_words (serial, note) VALUES ('T', ?)", (f"PIN {CANARY}",))
        state.close()
        assert search([tmp_path / "home"], CANARY)
    else:
        words = ["sleep", "30"] if how == "environment" else ["sh", "-c", "read x", CANARY]
        with Watch(CANARY) as watch:
            process = subprocess.Popen(words, env={"PATH": os.environ["PATH"], "P": CANARY}, stdin=subprocess.PIPE)
            until(lambda: bool(watch.found))
            process.kill()
            process.wait()
            assert process.stdin is not None
            process.stdin.close()
