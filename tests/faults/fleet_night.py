"""A night of an accounting firm: hundreds of tokens renewed from one list, while the run is killed again and again, the CA answers
503 for a while, and ten rows are broken, each in its own way. The CA's ledger and the tokens themselves are the judges.

    python -m tests.faults.fleet_night [--tokens 300] [--kills 3] [--busy 20] [--seed 1] [--report FILE]

The kills fall after so many rows as chance says, and are in turn: SIGKILL to safetok alone, SIGKILL to safetok and all that it
has started, SIGTERM. The last line is what it came to, as JSON; the exit status is 0 when every good row was done exactly once
and every broken row is named with its own reason. `--report` writes the report of the batch (CSV or XLSX).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support_fleet import PIN, Fleet, make_fleet
from support_processes import descendants

from safetok.sandbox.places import write_json, write_private

SAFETOK = [sys.executable, "-m", "safetok"]
SPARE = 3  # tokens that only broken rows name
RUNS = 6  # runs that nobody kills: a worker of a killed one may hold its token a moment longer


def broken_rows(fleet: Fleet, good: int) -> dict[str, str]:
    """Ten lines of the list that no run may renew, each with the code it must be named by."""
    one, other, third = fleet.serials[good:]
    mst = fleet.msts[good + 1]
    end = "30/06/2028;có"
    return {
        f"{other};0190000006;{end};file:pin.txt": "bad_cell",  # the tax code's check digit is wrong
        f"{other};190000005;{end};file:pin.txt": "bad_cell",  # it has lost its leading zero
        f"{other};;31/02/2028;có;file:pin.txt": "bad_cell",  # no such day
        f"{other};;{end};12345678": "bad_cell",  # a PIN where its place should be
        f";;{end};file:pin.txt": "bad_cell",  # nobody's row
        f";{mst};;có;file:pin.txt": "contract_end_unknown",
        f"{other};{mst};30/06/2028;chưa;file:pin.txt": "not_signed",
        f"00ff00ff00ff00ff;;{end};file:pin.txt": "token_not_in",
        f"{one};;01/07/2028;có;file:pin.txt": "contract_end_differs",  # a day later than the CA's
        f"{third};;{end};file:wrong.txt": "pin_wrong",
    }


def safetok(fleet: Fleet, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit status and data of a command."""
    done = subprocess.run([*SAFETOK, "--json", *words], env=fleet.environ, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)["data"]


def interrupted(fleet: Fleet, plan: str, rows: int, how: str) -> int:
    """A run that is ended after so many rows; how many had ended by then."""
    running = subprocess.Popen(
        [*SAFETOK, "batch", "run", plan],
        env=fleet.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    ended = 0
    for line in running.stderr:
        ended += '"event": "row_end"' in line or '"event":"row_end"' in line
        if ended >= rows:
            break
    started = descendants(running.pid) if how == "both" else set()
    running.send_signal(signal.SIGTERM if how == "term" else signal.SIGKILL)
    for process in started:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    running.communicate()
    return ended


def on_tokens(fleet: Fleet) -> Counter[str]:
    """How many certificates each token holds, read by python-pkcs11 in a process of its own."""
    code = (
        "import collections, json, pkcs11, sys\n"
        "kind = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE}\n"
        "held = {}\n"
        "for slot in pkcs11.lib(sys.argv[1]).get_slots(token_present=True):\n"
        "    token = slot.get_token()\n"
        "    if token.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED:\n"
        "        with token.open(user_pin=sys.argv[2]) as session:\n"
        "            held[token.serial.decode()] = sum(1 for _ in session.get_objects(kind))\n"
        "print(json.dumps(held))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(fleet.module), PIN],
        env=fleet.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return Counter(json.loads(done.stdout))


def night(fleet: Fleet, good: int, *, kills: int, busy: float, seed: int, report: Path | None) -> dict[str, Any]:
    """Plan, run with everything that goes wrong, run to the end; what it came to."""
    chance, began = random.Random(seed), time.monotonic()
    listed = fleet.write_list(fleet.folder / "list.csv", range(good))
    broken = broken_rows(fleet, good)
    listed.write_bytes(listed.read_bytes() + ("\r\n".join(broken) + "\r\n").encode())
    plan = str(safetok(fleet, "batch", "plan", str(listed))[1]["plan"])
    ways, killed = ("alone", "both", "term"), []
    for number in range(kills):
        rows = chance.randint(1, max(1, good // (kills + 1)))
        how = ways[number % len(ways)]
        killed.append({"how": how, "after_rows": interrupted(fleet, plan, rows, how)})
    faults = fleet.places.ca / "faults.json"
    write_json(faults, [{"name": "status", "times": 1_000_000, "status": 503}])
    back = threading.Timer(busy, write_json, (faults, []))
    back.start()
    statuses = []
    for _run in range(RUNS):
        status, data = safetok(fleet, "batch", "run", plan)
        statuses.append(status)
        if all(row["state"] == "done" for row in data["rows"] if row["row"] <= good + 1):
            break
    back.join()
    if report is not None:
        safetok(fleet, "batch", "report", plan, "--out", str(report))
    rows = safetok(fleet, "batch", "report", plan)[1]["rows"]
    with urllib.request.urlopen(f"{fleet.ca_url}/ledger", timeout=60) as answer:
        issued = json.loads(answer.read())["issued"]
    held = on_tokens(fleet)
    named = {line: row["code"] for line, row in zip(broken, rows[good:], strict=True)}
    wrong = [f"row {row['row']}: {row['state']} {row['code']}" for row in rows[:good] if row["state"] != "done"]
    also = {"pin_wrong": "pin_source_failed"}  # a later run does not try it again, and says so
    wrong += [
        f"{line}: {named[line]}, not {code}"
        for line, code in broken.items()
        if named[line] not in {code, also.get(code)}
    ]
    wrong += [
        f"{old} was issued {count} times"
        for old, count in Counter(r["old_serial"] for r in issued).items()
        if count > 1
    ]
    wrong += [f"{row['serial']} is {row['state']}" for row in issued if row["state"] != "confirmed"]
    wrong += [
        f"token {serial} holds {held[serial]} certificates" for serial in fleet.serials[:good] if held[serial] != 2
    ]
    wrong += [f"token {serial} was touched" for serial in fleet.serials[good:] if held[serial] != 1]
    return {
        "tokens": good,
        "killed": killed,
        "statuses": statuses,
        "states": Counter(row["state"] or row["planned"] for row in rows),
        "issued": len(issued),
        "seconds": round(time.monotonic() - began, 1),
        "broken": Counter(named.values()),
        "wrong": wrong,
    }


def main() -> int:
    """0 when nothing is wrong."""
    parser = argparse.ArgumentParser(description="Hundreds of tokens in one night, with everything that goes wrong.")
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--busy", type=float, default=20, help="seconds in which the CA answers 503")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="where the report of the batch goes: FILE.csv or FILE.xlsx")
    given = parser.parse_args()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="safetok-night-", dir=memory))
    fleet = make_fleet(folder, given.tokens + SPARE)
    write_private(folder / "wrong.txt", b"00000000\n")
    fleet.start()
    try:
        came_to = night(fleet, given.tokens, kills=given.kills, busy=given.busy, seed=given.seed, report=given.report)
    finally:
        fleet.stop()
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(f"{json.dumps(came_to)}\n")
    return 1 if came_to["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
