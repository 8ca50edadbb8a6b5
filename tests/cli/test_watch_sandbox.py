from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from safetok.cli import conformance


def test_a_watch_that_asks_and_a_renewal_that_is_logged(sandbox: Any, tmp_path: Path) -> None:
    """`--refresh` announces each token with what its CA says now; a renewal's log names its states and requests, never the PIN."""
    running = subprocess.Popen(
        [sys.executable, "-m", "safetok", "watch", "--refresh", "--json"],
        env=sandbox.cli.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    events = {}
    for _token in sandbox.data["tokens"]:
        document = json.loads(running.stdout.readline())
        conformance.check(document)
        events[document["data"]["serial"]] = document["data"]
    running.send_signal(signal.SIGINT)
    rest, _err = running.communicate(timeout=30)
    assert (running.returncode, rest) == (0, "")
    codes = {
        token["story"]: [one["code"] for one in events[token["serial"]]["due"]] for token in sandbox.data["tokens"]
    }
    assert codes["v2-owed"] == ["offer"]
    assert codes["not-owed"] == []
    assert codes["revoked"] == ["certificate_revoked"]
    assert codes["already-topped-up"] == ["new_certificate"]
    assert codes["not-activated"] == []

    log = tmp_path / "log"
    said = sandbox.renew("ec-owed", "-vv", "--log-file", str(log))
    assert said.status == 0, said.err
    text = log.read_text("utf-8")
    states = re.findall(r"renewal [0-9a-f]+ of token [0-9a-f]+: ([A-Z_]+)", text)
    assert states[0] == "CONFIRMED"
    assert states[-1] == "DONE"
    assert re.search(r"POST http://127\.0\.0\.1:\d+/\S* -> 200 in \d+ ms", text)
    pin = re.escape(sandbox.token("ec-owed")["pin"])
    for told in (text, said.err):
        assert not re.search(rf"(?<![0-9A-Fa-f]){pin}(?![0-9A-Fa-f])", told)
