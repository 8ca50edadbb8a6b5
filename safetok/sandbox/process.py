"""The sandbox CA as a process in the background: started once, found again, asked to stop, and never mistaken for another."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from safetok.errors import CaUnreachable
from safetok.locale import _
from safetok.net import Http
from safetok.sandbox.places import Places, read_json, write_json

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
CONFIRM_WAIT = 24 * 3600  # seconds the CA waits for a certConf


def base_url(places: Places) -> str:
    """The CA's URL, without a slash at its end."""
    return f"http://{HOST}:{int(read_json(places.ca / 'ca.json')['port'])}"


def choose_port(places: Places) -> None:
    """Pick a port that is free now and keep it with a new secret: certificates on the tokens will name it."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    facts = {"port": port, "secret": secrets.token_hex(32), "confirm_wait": CONFIRM_WAIT, "answer_after": 0}
    write_json(places.ca / "ca.json", facts)


def start(places: Places) -> None:
    """Start the CA unless it runs. Raises CaUnreachable (`sandbox_ca_not_started`), with what it said, when it does not come up."""
    if running(places) is not None:
        return
    log = places.ca / "ca.log"
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "safetok.sandbox.server", str(places.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd=places.folder,
            start_new_session=True,
        )
    # kept before it listens: an `up` killed right here is not the last to know of it
    write_json(places.ca / "pid.json", {"pid": process.pid, "since": running_since(process.pid)})
    assert process.stdout is not None
    too_long = threading.Timer(START_SECONDS, process.kill)
    too_long.start()
    with process.stdout as pipe:
        ready = pipe.readline().strip() == b"ready"
    too_long.cancel()
    if not ready:
        process.kill()
        process.wait()
        (places.ca / "pid.json").unlink()
        raise CaUnreachable(
            _("The CA of the sandbox did not start. What it said is in {log}.").format(log=log),
            code="sandbox_ca_not_started",
            hint=_("Another program may use its port: `safetok sandbox down`, then `safetok sandbox up`."),
        )
    process.returncode = 0  # it outlives us: nobody waits for it, and that is no fault to warn of


def running(places: Places) -> int | None:
    """The pid of this sandbox's CA; None when it does not run. A pid that is another program's by now is not it."""
    kept = read_json(places.ca / "pid.json")
    if not kept or running_since(kept["pid"]) != kept["since"] or kept["since"] is None:
        return None
    return int(kept["pid"])


def stop(places: Places) -> bool:
    """Ask the CA to stop with its secret; signal the process that was started, and no other, when it does not. Whether it ran."""
    pid = running(places)
    if pid is None:
        return False
    with suppress(CaUnreachable):
        secret = str(read_json(places.ca / "ca.json")["secret"])
        Http(timeout=STOP_SECONDS).ca("POST", f"{base_url(places)}/shutdown", body=secret.encode())
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None and running(places) == pid:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if _gone(places, pid):
            break
    (places.ca / "pid.json").unlink(missing_ok=True)
    return True


def _gone(places: Places, pid: int) -> bool:
    end = time.monotonic() + STOP_SECONDS
    while running(places) == pid:
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def running_since(pid: int) -> str | None:
    """What tells this process from a later one of its number: its start time, by /proc or ps. None: no such process."""
    proc = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = proc.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in {"Z", "X"} else fields[19]  # proc(5): field 3 is the state, field 22 the start
    try:
        told = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return told.stdout.strip() or None
