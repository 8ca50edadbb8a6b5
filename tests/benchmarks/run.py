"""Measures safetok beside other programs that do the same work, and prints the ratios.

usage: .venv/bin/python tests/benchmarks/run.py [--pairs N] [--only GROUP]... [--large] [--minutes N]

Every ratio is of pairs run in turn, one of each, the first of a pair changing sides each time: the machine may drift, a pair
does not. Both sides must have read or written the same, else the row says so and gives no number. It judges nothing: it ends 0.
A whole run ends within `--minutes` and the one pair it is at: a row that has fewer pairs than asked for, or none, says so, and
how long all of it took is the last line.
Groups: start, status, renew, keys, slow, memory, past. `--large` adds the rows of a thousand tokens, measured once.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from renewing import Bench, raw_keys, signing_ca  # noqa: E402  (the tests' own support is on the path from here on)
from support_fleet import Fleet, make_fleet  # noqa: E402
from watching import peak_memory  # noqa: E402

SAFETOK = str(Path(sys.executable).with_name("safetok"))


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: two commands, what of both outputs must be equal, and the ratio that was aimed at."""

    work: str
    ours: list[str]
    peer: list[str]
    goal: str
    same: Callable[[dict[str, str], str], str | None] = lambda _environ, _theirs: None


class Budget:
    """The time of a whole run."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.began = minutes, time.monotonic()

    @property
    def over(self) -> bool:
        return self.taken > self.minutes

    @property
    def taken(self) -> float:
        """Minutes since the run began."""
        return (time.monotonic() - self.began) / 60

    def turns(self, count: int) -> Iterator[int]:
        """`count` turns, as long as there is time."""
        for number in range(count):
            if self.over:
                return
            yield number


budget = Budget(45)
BESIDE = 3  # our own runs before and after a peer's that takes a quarter of an hour: their median stands for ours


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
    if budget.over:
        return []
    seconds(row.ours, environ)
    seconds(row.peer, environ)
    measured = []
    for number in budget.turns(count):
        if number % 2:
            peer = seconds(row.peer, environ)
            measured.append((seconds(row.ours, environ), peer))
        else:
            ours = seconds(row.ours, environ)
            measured.append((ours, seconds(row.peer, environ)))
    return measured


def line(row: Row, measured: list[tuple[float, float]], wanted: int) -> str:
    """One row of the table: medians in milliseconds, the median ratio of the pairs and its range."""
    if not measured:
        return f"| {row.work} | | | no time left | {row.goal} |"
    fewer = f", {len(measured)} pair{'s' * (len(measured) > 1)}" if len(measured) < wanted or wanted == 1 else ""
    ratios = [ours / peer for ours, peer in measured]
    ours, peer = (median(side) * 1000 for side in zip(*measured, strict=True))
    told = (
        _shown(median(ratios)) + "x" + (f" ({_shown(min(ratios))} to {_shown(max(ratios))})" if len(ratios) > 1 else "")
    )
    spread = f"{told}{fewer}"
    return f"| {row.work} | {ours:.0f} ms | {peer:.0f} ms | {spread} | {row.goal} |"


def _shown(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def status_serials(environ: dict[str, str]) -> tuple[set[str], set[str]]:
    """What `safetok status` read: token serials and certificate serials."""
    tokens = json.loads(output([SAFETOK, "status", "--json"], environ))["data"]["tokens"]
    certificates = {certificate["serial"] for token in tokens for certificate in token["certificates"]}
    return {token["serial"] for token in tokens}, certificates


def same_certificates(environ: dict[str, str], theirs: str) -> str | None:
    """None when pkcs11-tool's loop and safetok read the same certificates, else what differs."""
    wanted = set(re.findall(r"^serial=([0-9A-F]+)$", theirs, re.MULTILINE))
    read = status_serials(environ)[1]
    return None if wanted and read == wanted else f"certificates differ: {sorted(read ^ wanted)}"


def same_tokens_once(environ: dict[str, str], theirs: str) -> str | None:
    """The same for one p11tool over all tokens."""
    wanted = set(re.findall(r"serial=([0-9a-f]+);.*type=cert", theirs))
    read = status_serials(environ)[0]
    return None if wanted and read == wanted else f"tokens differ: {sorted(read ^ wanted)}"


def starting() -> list[Row]:
    """How long a command takes that does nothing."""
    return [
        Row("`--help` / `ykman --version`", [SAFETOK, "--help"], ["ykman", "--version"], "0.5x"),
        Row("`--version` / `ykman --version`", [SAFETOK, "--version"], ["ykman", "--version"], "0.5x"),
        Row("`--help` / `certbot --version`", [SAFETOK, "--help"], ["certbot", "--version"], "0.25x"),
        Row("`--version` / `certbot --version`", [SAFETOK, "--version"], ["certbot", "--version"], "0.25x"),
    ]


def reading(fleet: Fleet) -> list[Row]:
    """`status` beside what reads the same tokens."""
    count, module, status = len(fleet.serials), str(fleet.module), [SAFETOK, "status"]
    goals = {1: "3x", 10: "0.4x", 100: "0.04x", 1000: "0.002x"}
    if count == ONE_P11TOOL:
        once = [*P11TOOL, f"--provider={module}", "pkcs11:"]
        return [Row(f"`status`, {count} tokens / one `p11tool --list-all-certs`", status, once, "3x", same_tokens_once)]
    loop = [str(HERE / "peers" / "peer_pkcs11tool_full.sh"), module]
    work = f"`status`, {count} token{'s' * (count > 1)} / loop of pkcs11-tool and openssl"
    return [Row(work, status, loop, goals[count], same_certificates)]


def told(work: str, measured: list[tuple[float, float]], goal: str, wanted: int) -> None:
    """Print a row of seconds already measured."""
    print(line(Row(work, [], [], goal), measured, wanted), flush=True)


def renewing(folder: Path, count: int, pairs_: int, goal: str) -> None:
    """The same key again: a batch beside the shell loop (of a thousand, twenty of the loop's are measured and scaled)."""
    work = f"same-key renewal, {count} token{'s' * (count > 1)} / shell loop"
    if budget.over:
        told(work, [], goal, pairs_)
        return
    bench, part = Bench(folder / f"same{count}", count), min(count, 20 if count >= MANY else count)
    with signing_ca() as url:
        measured = []
        for number in budget.turns(pairs_):
            sides = [bench.ours, lambda: bench.peer(url, count=part) * count / part]
            taken = {side: sides[side]() for side in ((0, 1) if number % 2 else (1, 0))}
            measured.append((taken[0], taken[1]))
    scaled = "" if part == count else f" ({part} of the loop's measured and scaled)"
    told(f"{work}{scaled}", measured, goal, pairs_)
    shutil.rmtree(folder / f"same{count}")


def new_keys(folder: Path, count: int, pairs_: int) -> None:
    """New keys: a batch beside the loop alone, two loops at once, and two processes that make bare keys."""
    if budget.over:
        told(f"new-key renewal, {count} tokens / shell loops and bare keys", [], "0.4x, 0.8x, 1.15x", pairs_)
        return
    bench = Bench(folder / "keys", count, new_key=True)
    with signing_ca() as url:
        rows: list[tuple[str, str, Callable[[], float]]] = [
            ("shell loop", "0.4x", lambda: bench.peer(url)),
            ("two shell loops at once, half each", "0.8x", lambda: bench.peer(url, count=count, at_once=2)),
            ("two processes making bare keys", "1.15x", lambda: raw_keys(count, bench.fleet.module)),
        ]
        for against, goal, peer in rows:
            measured = []
            for number in budget.turns(pairs_):
                first = peer() if number % 2 else 0.0
                ours = bench.ours()
                measured.append((ours, first or peer()))
            told(f"new-key renewal, {count} tokens / {against}", measured, goal, pairs_)
    shutil.rmtree(folder / "keys")


def slow_tokens(folder: Path, pairs_: int) -> None:
    """Sixteen tokens that take two seconds for a key (the driver simulator), sixteen at once, beside one such token alone."""
    from support_simulator import Simulator, build

    work = "new-key renewal, 16 slow tokens and 16 jobs / one slow token"
    if budget.over:
        told(work, [], "2x", pairs_)
        return
    many, one = Bench(folder / "many", 16, new_key=True), Bench(folder / "one", 1, new_key=True)
    simulator = Simulator(build(folder), folder / "simulator.conf")
    simulator.steer(forward=str(many.fleet.module), latency={"C_GenerateKeyPair": 2000})
    environ = dict(simulator.environment)
    measured = []
    for number in budget.turns(pairs_):
        alone = one.ours(environ=environ) if number % 2 else 0.0
        ours = many.ours(jobs=16, environ=environ)
        measured.append((ours, alone or one.ours(environ=environ)))
    told(work, measured, "2x", pairs_)
    for name in ("many", "one"):
        shutil.rmtree(folder / name)


def memory(fleet: Fleet) -> None:
    """All processes of `status` together, and how much each token adds."""
    few = make_fleet(fleet.folder.with_name("few"), 1)
    command = [SAFETOK, "status"]
    for one in (few, fleet):
        subprocess.run(command, env=one.environ, check=True, stdout=subprocess.DEVNULL)
    base, most = peak_memory(command, few.environ), peak_memory(command, fleet.environ)
    count = len(fleet.serials)
    each = (most - base) / (count - 1)
    print(
        f"| memory of `status`, {count} tokens, all processes (PSS) | {most / 2**20:.0f} MB, {each / 1024:.0f} KB a token "
        f"| {base / 2**20:.0f} MB with one | | 150 MB, 50 KB a token |",
        flush=True,
    )


def past(folder: Path, pairs_: int) -> None:
    """What was seen before must not slow a look: 300 clients whose tokens are elsewhere, and a long history."""
    from known import remember_clients, remember_renewals

    def home(name: str) -> dict[str, str]:
        made = make_fleet(folder / name, 1)
        subprocess.run([SAFETOK, "status"], env=made.environ, check=True, stdout=subprocess.DEVNULL)
        return made.environ

    empty, clients, history = home("empty"), home("clients"), home("history")
    remember_clients(clients, 300)
    remember_renewals(history, 100_000)
    for environ, work, goal in (
        (clients, "`status`, 300 clients known whose tokens are elsewhere", "1.5x"),
        (history, "`status` after 100,000 renewals", "1.2x"),
    ):
        ours, other = [SAFETOK, "status"], ["env", f"SAFETOK_HOME={empty['SAFETOK_HOME']}", SAFETOK, "status"]
        other[1:1] = [f"SOFTHSM2_CONF={empty['SOFTHSM2_CONF']}"]
        row = Row(f"{work} / `status` with an empty store", ours, other, goal)
        compare(row, environ, pairs_)


P11TOOL = ["p11tool", "--batch", "--list-all-certs"]
ONE_P11TOOL, MANY = 46, 1000  # p11tool shows no token at all beyond 47 of SoftHSM's
GROUPS = ("start", "status", "renew", "keys", "slow", "memory", "past")


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


def compare(row: Row, environ: dict[str, str], count: int) -> None:
    """Measure and print one row; what cannot be compared says why."""
    if shutil.which(row.peer[0]) is None:
        print(f"| {row.work} | | | {row.peer[0]} is not installed | {row.goal} |", flush=True)
        return
    try:
        if budget.over:
            print(line(row, [], count), flush=True)
            return
        before = [seconds(row.ours, environ) for _run in range(1 + BESIDE if count == 1 else 0)][1:]
        began = time.perf_counter()
        theirs = output(row.peer, environ)
        first = time.perf_counter() - began
        if wrong := row.same(environ, theirs):
            print(f"| {row.work} | | | no ratio: {wrong} | {row.goal} |", flush=True)
            return
        if count == 1:
            ours = median([*before, *(seconds(row.ours, environ) for _run in range(BESIDE))])
            print(line(row, [(ours, first)], count), flush=True)
        else:
            print(line(row, pairs(row, environ, count), count), flush=True)
    except subprocess.CalledProcessError as failure:
        print(f"| {row.work} | | | {failure.cmd[0]} ended {failure.returncode} | {row.goal} |", flush=True)


def main() -> int:
    """Measures and prints; always 0."""
    parser = argparse.ArgumentParser(description="Ratios of safetok to other programs doing the same work.")
    parser.add_argument("--pairs", type=int, default=9, help="pairs for each row (default 9)")
    parser.add_argument("--only", action="append", choices=GROUPS, help="these groups alone")
    parser.add_argument("--most", type=int, default=100, help="largest number of tokens for status and renewals")
    parser.add_argument("--large", action="store_true", help="a thousand tokens too, once")
    parser.add_argument("--minutes", type=float, default=45, help="the longest a whole run may take (default 45)")
    given = parser.parse_args()
    budget.minutes = given.minutes
    groups, count = given.only or GROUPS, given.pairs
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        print(
            f"{machine(folder)}; median of {count} interleaved pairs (a thousand tokens: once), {given.minutes:g} minutes at most\n"
        )
        print("| work | safetok | the other | ratio (range) | aimed at |\n|---|---|---|---|---|", flush=True)
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("SAFETOK_", "PYTHON"))}
        for row in starting() if "start" in groups else []:
            compare(row, environ, count)
        for size in [
            n for n in (1, 10, ONE_P11TOOL, 100, *([MANY] * given.large)) if n <= max(given.most, MANY * given.large)
        ]:
            if "status" not in groups and ("memory" not in groups or size != MANY):
                continue
            fleet = make_fleet(folder / f"status{size}", size)
            for row in reading(fleet) if "status" in groups else []:
                compare(row, fleet.environ, 1 if size >= MANY else count)
            if size == MANY and "memory" in groups:
                memory(fleet)
            shutil.rmtree(fleet.folder)
        if "renew" in groups:
            goals = {1: "4x", 10: "0.5x", 64: "0.1x", MANY: "0.01x"}
            for size in [n for n in (1, 10, 64) if n <= given.most] + [MANY] * given.large:
                renewing(folder, size, 1 if size >= MANY else count, goals[size])
        if "keys" in groups:
            new_keys(folder, min(64, given.most), count)
        if "slow" in groups:
            slow_tokens(folder, count)
        if "past" in groups:
            past(folder, count)
    print(f"\nAll of it took {budget.taken:.1f} minutes.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
