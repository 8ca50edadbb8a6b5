"""The gate of the fault matrices: every driver call, every commit and every CA request stops there until it is waved through.

So all that a run does is seen in one order, and a fault comes exactly where it is meant to: the caller waits at the gate
meanwhile, as it would wait in a slow token, disk or network.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# Driver calls that change a token or use its key; all others only look, and a run of them is one event.
EFFECTS = frozenset(
    f"C_{name}"
    for name in (
        *("Login", "Logout", "SetPIN", "CreateObject", "DestroyObject", "SetAttributeValue"),
        *("GenerateKeyPair", "Sign", "SignFinal", "InitPIN"),
    )
)


@dataclass(frozen=True)
class Event:
    """Something about to happen or just done. `pid` 0 is the CA."""

    what: str  # "C_Login", "commit", "POST /v1/offers"
    phase: str  # "begin" | "end"
    pid: int

    @property
    def name(self) -> str:
        return f"{self.what} {self.phase}"

    @property
    def changes(self) -> bool:
        return not self.what.startswith("C_") or self.what in EFFECTS

    @property
    def of_driver(self) -> bool:
        return self.what.startswith("C_")


Decide = Callable[[Event], "Hold | str"]


@dataclass
class Hold:
    """An event kept waiting. `seen` is set when it has arrived; `let_go` gives it its word."""

    event: Event | None = None
    seen: threading.Event = field(default_factory=threading.Event)
    _word: str = "go"
    _released: threading.Event = field(default_factory=threading.Event)

    def let_go(self, word: str = "go") -> None:
        self._word = word
        self._released.set()

    def wait(self) -> str:
        self._released.wait()
        return self._word


class Gate:
    """A Unix socket that drivers and runs speak to, and `passes` for the CA in this process. `decide` is asked one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trace: list[Event] = []
        self.decide: Decide = lambda _event: "go"
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(32)
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, decide: Decide) -> None:
        """A new trace, and who decides from now on."""
        with self._lock:
            self.trace, self.decide = [], decide

    def passes(self, event: Event) -> str:
        """Wait at the gate; the word given: `go`, or what is to happen instead."""
        with self._lock:
            self.trace.append(event)
            word = self.decide(event)
        if isinstance(word, Hold):
            word.event = event
            word.seen.set()
            return word.wait()
        return word

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("r", encoding="ascii") as lines, suppress(OSError):
            for line in lines:
                _number, pid, what, phase, *_answer = line.split()
                connection.sendall(f"{self.passes(Event(what, phase, int(pid)))}\n".encode())
