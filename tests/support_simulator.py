"""The driver simulator of tests/simulator/ from a test's side: built once, steered by a file, its log and memory read.

Settings of a token (for all tokens, or for one by `tokens={serial: {...}}`), as `key = value` lines in the file:

    manufacturer model hardware firmware   texts and "16.50" versions of CK_TOKEN_INFO
    pin_tries = 3         wrong tries that lock it (0: never), kept across processes as a token keeps them
    flags                 honest (COUNT_LOW, FINAL_TRY, LOCKED) | process (only in the process that failed) | never
    wrong_pin             PIN_INCORRECT | GENERAL_ERROR
    pin_pad = yes         with pad_pin (what the person types there, each time) or pad_cancelled = yes
    write_protected       yes (flag, no read-write session) | quiet (no flag; every write is refused)
                          | late (flag, and sessions that then refuse every write)
    empty_id = yes        CKA_ID reads empty      own_id, own_label = yes   the token names new keys itself
    own_id = TEXT         the same CKA_ID for every new key
    value_search = no     no search by CKA_VALUE, modulus or point
    sha256_rsa = no       no CKM_SHA256_RSA_PKCS  always_authenticate = yes   private keys want a PIN each time
                          (new: only those that safetok made)
    free_public           bytes of free memory it tells
    turns_into = SERIAL   the token that `swap` puts into its slot; that one has hidden = yes until then

and of the driver: prints = yes (to stdout), signals = yes (takes the process's signals), locking = no (CANT_LOCK), gate (a Unix
socket that is told of each call and its end, and answers `go` or an action) with watch (the functions it is told of),
`faults` ("FUNCTION N ACTION": the Nth call across processes, 0 each, `*` any function; actions: return NAME, crash, crash_after,
hang, hang_after, remove, remove_after, insert, swap, swap_after, truncate BYTES)
and `latency` ({"C_GenerateKeyPair": 2000, "*": 5} ms).
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = Path(__file__).parent / "simulator"
VARIABLE = "SAFETOK_SIMULATOR"
V1 = {"manufacturer": "SafeCert", "model": "ST3", "hardware": "1.0", "firmware": "1.04"}
V2 = {"manufacturer": "SafeCert", "model": "ST3 Ace", "hardware": "2.0", "firmware": "2.11"}

_FUNCTIONS, _TOKENS = 68, 256
_TOKEN = struct.Struct("=17s3xiiIiii")  # struct token_state of steer.h
_HEAD = struct.Struct(f"={1 + _FUNCTIONS}Q")


def build(folder: Path) -> Path:
    """Compile the simulator into `folder`; the driver's path."""
    module = folder / "libsafetok-simulator.so"
    if not module.exists():
        part = folder / f".{module.name}.{os.getpid()}"
        sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
        flags = [
            "-shared",
            "-fPIC",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fvisibility=hidden",
            "-I/usr/include/p11-kit-1",
        ]
        subprocess.run(["gcc", *flags, *sources, "-o", str(part), "-ldl"], check=True)
        part.replace(module)
    return module


@dataclass(frozen=True)
class Call:
    """One call of the driver: its number across processes, whose it was, and its answer (None: it never came back)."""

    number: int
    pid: int
    function: str
    answer: int | None


@dataclass(frozen=True)
class Memory:
    """What the simulator keeps of one token."""

    failed: int  # wrong PINs since the last right one
    removed: bool
    insertions: int


@dataclass
class Simulator:
    """One test's simulator. `environment` is what a program needs to load it; `steer` may be called at any time."""

    module: Path
    config: Path
    settings: dict[str, object] = field(default_factory=dict)
    logs: bool = True

    @property
    def log(self) -> Path:
        return self.config.with_suffix(".log")

    @property
    def environment(self) -> dict[str, str]:
        return {VARIABLE: str(self.config), "SAFETOK_MODULE": str(self.module)}

    @property
    def surroundings(self) -> dict[str, str]:
        """Its environment and that of the SoftHSM below it, whose configuration lies beside its own."""
        return {**self.environment, "SOFTHSM2_CONF": str(self.config.parent / "softhsm2.conf")}

    def steer(self, **changes: object) -> None:
        """Change settings; None takes one back. Running processes follow at their next call."""
        self.settings.update(changes)
        self.settings = {key: value for key, value in self.settings.items() if value is not None}
        part = self.config.with_suffix(".part")
        part.write_text("\n".join(self._lines()) + "\n")
        part.replace(self.config)

    def _lines(self) -> Iterator[str]:
        tokens: Mapping[str, Mapping[str, object]] = self.settings.get("tokens", {})  # type: ignore[assignment]
        faults: Sequence[str] = self.settings.get("faults", ())  # type: ignore[assignment]
        latency: Mapping[str, int] = self.settings.get("latency", {})  # type: ignore[assignment]
        plain = {k: v for k, v in self.settings.items() if k not in {"tokens", "faults", "latency"}}
        if self.logs:
            yield f"log = {self.log}"
        yield from (f"{key} = {value}" for key, value in plain.items())
        yield from (f"fault = {fault}" for fault in faults)
        yield from (f"latency = {function} {wait}" for function, wait in latency.items())
        for serial, own in tokens.items():
            yield f"[{serial}]"
            yield from (f"{key} = {value}" for key, value in own.items())

    def pull(self) -> None:
        """Pull every token out, now."""
        self.steer(pull=int(str(self.settings.get("pull", 0))) + 1)

    def plug(self) -> None:
        """Put them in again."""
        self.steer(plug=int(str(self.settings.get("plug", 0))) + 1)

    def calls(self) -> list[Call]:
        """Every call so far, in the order they began."""
        if not self.log.exists():
            return []
        begun: dict[int, Call] = {}
        text = self.log.read_text()
        for line in text[: text.rfind("\n") + 1].splitlines():  # the last may be being written
            number, pid, function, what, *answer = line.split()
            given = int(answer[0], 16) if what == "end" else None
            begun[int(number)] = Call(int(number), int(pid), function, given)
        return [begun[number] for number in sorted(begun)]

    def count(self, function: str) -> int:
        """How often this function was called."""
        return sum(call.function == function for call in self.calls())

    def memory(self, serial: str) -> Memory:
        """What it keeps of the token with this serial."""
        path = Path(f"{self.config}.state")
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as state:
            for place in range(_TOKENS):
                name, failed, removed, insertions, *_orders = _TOKEN.unpack_from(
                    state, _HEAD.size + place * _TOKEN.size
                )
                if name.rstrip(b"\0").decode() == serial:
                    return Memory(failed, bool(removed), insertions)
        return Memory(0, removed=False, insertions=0)

    def forget(self) -> None:
        """Everything it kept and logged, as if it had never run. Not while a process uses it."""
        Path(f"{self.config}.state").unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)
