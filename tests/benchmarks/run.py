"""Measures safetok beside other programs that do the same work, and prints the ratios.

usage: .venv/bin/python tests/benchmarks/run.py [--pairs N]

Every ratio is of pairs run in turn, one of each, the first of a pair changing sides each time: the machine may drift, a pair
does not. Both sides must have read the same serials, else the row says so and gives no number. It judges nothing: it ends 0.
Needs what `sh .ci/install dev` installs and, for the start-up rows, Debian's yubikey-manager and certbot.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from softhsm_tokens import MODULE, Tokens, make_tokens

HERE = Path(__file__).resolve().parent
SAFETOK = str(Path(sys.executable).with_name("safetok"))


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: two commands, what of both outputs must be equal, and the ratio that was aimed at."""

    work: str
    ours: list[str]
    peer: list[str]
    goal: str
    same: Callable[[dict[str, str]], str | None] = lambda _environ: None


def output(command: list[str], environ: dict[str, str]) -> str:
    """What a command prints; raises CalledProcessError when it fails."""
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout


def seconds(command: list[str], environ: dict[str, str]) -> float:
    """How long a command takes from its start to its end."""
    began = time.perf_counter()
    subprocess.run(
        command, env=environ, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def pairs(row: Row, environ: dict[str, str], count: int) -> list[tuple[float, float]]:
    """`count` interleaved measurements (ours, the peer's), after one of each that is thrown away."""
    seconds(row.ours, environ)
    seconds(row.peer, environ)
    measured = []
    for number in range(count):
        if number % 2:
            peer = seconds(row.peer, environ)
            measured.append((seconds(row.ours, environ), peer))
        else:
            ours = seconds(row.ours, environ)
            measured.append((ours, seconds(row.peer, environ)))
    return measured


def line(row: Row, measured: list[tuple[float, float]]) -> str:
    """One row of the table: medians in milliseconds, the median ratio of the pairs and its range."""
    ratios = [ours / peer for ours, peer in measured]
    ours, peer = (median(side) * 1000 for side in zip(*measured, strict=True))
    spread = f"{median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"| {row.work} | {ours:.0f} ms | {peer:.0f} ms | {spread} | {row.goal} |"


def status_serials(environ: dict[str, str]) -> tuple[set[str], set[str]]:
    """What `safetok status` read: token serials and certificate serials."""
    tokens = json.loads(output([SAFETOK, "status", "--json"], environ))["data"]["tokens"]
    certificates = {certificate["serial"] for token in tokens for certificate in token["certificates"]}
    return {token["serial"] for token in tokens}, certificates


def same_certificates(environ: dict[str, str]) -> str | None:
    """None when pkcs11-tool's loop and safetok read the same certificates, else what differs."""
    theirs = output([str(HERE / "peers" / "peer_pkcs11tool_full.sh"), MODULE], environ)
    wanted = set(re.findall(r"^serial=([0-9A-F]+)$", theirs, re.MULTILINE))
    read = status_serials(environ)[1]
    return None if wanted and read == wanted else f"certificates differ: {sorted(read ^ wanted)}"


def same_tokens(environ: dict[str, str]) -> str | None:
    """None when p11tool listed certificates of the tokens that safetok read, else what differs."""
    theirs = output([str(HERE / "peers" / "peer_p11tool.sh"), MODULE], environ)
    wanted = set(re.findall(r"serial=([0-9a-f]+);.*type=cert", theirs))
    read = status_serials(environ)[0]
    return None if wanted and read == wanted else f"tokens differ: {sorted(read ^ wanted)}"


def table(tokens: Tokens) -> list[Row]:
    """What is measured, and against what."""
    full, listing = (str(HERE / "peers" / name) for name in ("peer_pkcs11tool_full.sh", "peer_p11tool.sh"))
    count = len(list((tokens.folder / "tokens").iterdir()))
    status = [SAFETOK, "status"]
    return [
        Row("`--help` / `ykman --version`", [SAFETOK, "--help"], ["ykman", "--version"], "0.5x"),
        Row("`--version` / `ykman --version`", [SAFETOK, "--version"], ["ykman", "--version"], "0.5x"),
        Row("`--help` / `certbot --version`", [SAFETOK, "--help"], ["certbot", "--version"], "0.25x"),
        Row("`--version` / `certbot --version`", [SAFETOK, "--version"], ["certbot", "--version"], "0.25x"),
        Row(
            f"`status`, {count} token / loop of pkcs11-tool and openssl",
            status,
            [full, MODULE],
            "3x",
            same_certificates,
        ),
        Row(f"`status`, {count} token / `p11tool --list-all-certs`", status, [listing, MODULE], "", same_tokens),
    ]


def machine(folder: Path) -> str:
    """The processor, the system and the file system under the tokens: a number without them says nothing."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    mounts = [entry.split()[1:3] for entry in Path("/proc/mounts").read_text().splitlines()]
    mount, kind = max((entry for entry in mounts if folder.is_relative_to(entry[0])), key=lambda entry: len(entry[0]))
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    return (
        f"{model.group(1) if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores; {system}; "
        f"Python {platform.python_version()}; tokens on {mount} ({kind})"
    )


def main() -> int:
    """Measures and prints; always 0."""
    parser = argparse.ArgumentParser(description="Ratios of safetok to other programs doing the same work.")
    parser.add_argument("--pairs", type=int, default=9, help="pairs for each row (default 9)")
    count = parser.parse_args().pairs
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        tokens = make_tokens(Path(name), 1)
        print(f"{machine(tokens.folder)}; median of {count} interleaved pairs\n")
        print("| work | safetok | the other | ratio (range) | aimed at |\n|---|---|---|---|---|", flush=True)
        for row in table(tokens):
            if shutil.which(row.peer[0]) is None:
                print(f"| {row.work} | | | {row.peer[0]} is not installed | {row.goal} |", flush=True)
                continue
            try:
                wrong = row.same(tokens.environ)
                print(
                    f"| {row.work} | | | no ratio: {wrong} | {row.goal} |"
                    if wrong
                    else line(row, pairs(row, tokens.environ, count)),
                    flush=True,
                )
            except subprocess.CalledProcessError as failure:
                print(f"| {row.work} | | | {failure.cmd[0]} ended {failure.returncode} | {row.goal} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
