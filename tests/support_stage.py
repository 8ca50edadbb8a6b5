"""The stage of the fault matrices: a CA in this process, tokens made once and copied for each case, and the runs on them."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from support_gate import EFFECTS, Event, Gate
from support_simulator import Simulator, build
from support_zygote import Zygote

from safetok.domain.times import VIETNAM
from safetok.sandbox import build as making
from safetok.sandbox import pki as pki_module
from safetok.sandbox import process, profile, softhsm
from safetok.sandbox.books import Entry, write_register
from safetok.sandbox.issuing import CmpService
from safetok.sandbox.offers import Reply
from safetok.sandbox.pki import SAFE_NEW
from safetok.sandbox.places import Places
from safetok.sandbox.server import Authority, Server
from safetok.sandbox.softhsm import Bench
from safetok.sandbox.stories import owed_end, stories
from safetok.store.paths import private_folder

STORIES = ("v1-owed", "ec-owed")


@dataclass(frozen=True)
class Company:
    """One token as it was made: copied for each case."""

    story: str
    serial: str
    pin: str
    contract_end: str
    folder: Path
    certificate: x509.Certificate
    label: str
    register: tuple[Entry, ...]


class Forgetful(CmpService):
    """A CA that does not repeat its answer: a request it has seen before is refused, signed and all."""

    def answer(self, raw: bytes, now: datetime) -> tuple[bool, bytes]:
        from safetok.sandbox import messages

        with self.books.lock:
            received = messages.read(raw)
            name = received.header.transaction_id.hex()
            known = self.books.transactions.get(name)
            if known is not None and known.opening == messages.digest(received):
                self.books.transactions[name] = replace(known, opening="forgotten")
            return super().answer(raw, now)


class GatedCa:
    """A sandbox CA whose every request and answer passes the gate. The word at an answer may be `lost` or `half`."""

    def __init__(self, authority: Authority, gate: Gate) -> None:
        self._authority, self._gate = authority, gate
        self.port = authority.port
        self.secret = authority.secret

    def stands(self) -> bool:
        return True

    def copy_ledger(self) -> None:
        self._authority.copy_ledger()

    def get(self, path: str) -> Reply:
        short = "/".join(path.split("/")[:3])
        return self._gated(f"GET:{short}", lambda: self._authority.get(path))

    def post(self, path: str, body: bytes) -> Reply:
        return self._gated(f"POST:{path}", lambda: self._authority.post(path, body))

    def _gated(self, what: str, answer: Callable[[], Reply]) -> Reply:
        if self._gate.passes(Event(what, "begin", 0)) == "lost":
            return Reply(manner="cut")
        reply = answer()
        word = self._gate.passes(Event(what, "end", 0))
        if word == "lost":
            return replace(reply, manner="cut")
        return replace(reply, body=reply.body[: len(reply.body) // 2]) if word == "half" else reply


@dataclass
class Run:
    """One `safetok` that was started."""

    stage: Stage
    pid: int
    said: Path

    def children(self) -> list[int]:
        """Its workers."""
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except OSError:
            return []

    def kill(self, *, worker: bool) -> None:
        """SIGKILL from outside: this process, and its worker with it."""
        pids = [self.pid, *(self.children() if worker else [])]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait(self) -> int:
        return self.stage.zygote.wait(self.pid)

    def ends_or(self, seen: threading.Event, seconds: float = 60) -> bool:
        """Wait until it ends or the event is there; whether it has ended."""
        watched = os.pidfd_open(self.pid)
        try:
            for _look in range(int(seconds * 500)):
                if seen.is_set():
                    return False
                if select.select([watched], [], [], 0.002)[0]:
                    return True
        finally:
            os.close(watched)
        raise TimeoutError(self.said)

    def envelope(self) -> dict[str, Any]:
        text = Path(f"{self.said}.out").read_text()
        return dict(json.loads(text)) if text.strip() else {}

    def codes(self) -> list[str]:
        return [error["code"] for error in self.envelope().get("errors", [])]

    def errors(self) -> str:
        return Path(f"{self.said}.err").read_text()


@dataclass
class Case:
    """One company's token, home and CA, fresh; thrown away afterwards."""

    stage: Stage
    company: Company
    folder: Path
    simulator: Simulator
    plant: str = ""
    runs: list[Run] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def database(self) -> Path:
        return self.home / "state" / "state.db" if (self.home / "state").exists() else self.home / "state.db"

    @property
    def ledger(self) -> list[dict[str, str]]:
        """The CA's own file."""
        return list(json.loads((self.folder / "ledger.json").read_bytes())["issued"])

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {
            "SAFETOK_HOME": str(self.home),
            "SOFTHSM2_CONF": str(self.folder / "softhsm2.conf"),
            "SAFETOK_LANG": "en",
        }
        return {**kept, **own, **self.simulator.environment, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}

    def start(self, *words: str, gated: bool = True) -> Run:
        """Start `safetok WORDS --json` with the PIN on stdin."""
        said = self.folder / f"said-{len(self.runs)}"
        pid = self.stage.zygote.start(
            [*words, "--json"],
            env=self.environment(),
            stdin=f"{self.company.pin}\n",
            said=said,
            gate=self.stage.gate.path if gated else None,
            plant=self.plant,
        )
        self.runs.append(Run(self.stage, pid, said))
        return self.runs[-1]

    def close(self) -> None:
        self.stage.zygote.settle()
        shutil.rmtree(self.folder, ignore_errors=True)


class Stage:
    """Everything that cases share. Not for two threads at once."""

    def __init__(self, folder: Path, *, module: Path | None = None) -> None:
        self.folder = folder
        self.simulator_module = module or build(folder)
        self.softhsm = softhsm.module()
        self.places = Places(folder / "world")
        self.now = datetime.now(UTC)
        for made in (self.places.folder, self.places.ca, self.places.home, self.places.tokens, self.places.staging):
            private_folder(made)
        softhsm.write_config(self.places.softhsm, self.places.tokens)
        process.choose_port(self.places)
        told = [story for story in stories(self.now) if story.name in STORIES]
        keys = iter(pki_module.rsa_keys(4 + sum(story.key == "RSA" for story in told)))
        base = process.base_url(self.places)
        self.pki = pki_module.create(base, owed_end(self.now), [next(keys) for _ca in range(4)])
        pki_module.save(self.pki, self.places.ca)
        making._write_settings(self.places, self.softhsm)
        self.companies = {story.name: self._company(story, keys) for story in told}
        write_register(self.places.ca, ())
        self.gate = Gate(folder / "gate")
        self.authority = Authority(self.places)
        self.server = Server(self.authority)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.zygote = Zygote()
        self._count = 0

    def _company(self, story: Any, keys: Any) -> Company:
        holder = making._holder(story, self.pki, keys, self.now)
        serial = making._make(holder, self.places, self.softhsm)
        (folder,) = (self.places.staging / story.name / "tokens").iterdir()
        kept = self.folder / "company" / story.name
        kept.parent.mkdir(exist_ok=True)
        folder.rename(kept)
        return Company(
            story=story.name, serial=serial, pin=story.pin, contract_end=story.contract_end.isoformat(), folder=kept,
            certificate=holder.certificates[0], label=story.company,
            register=tuple(making.entries(holder, self.now)),
        )  # fmt: skip

    def case(self, story: str, *, forgetful: bool = False, plant: str = "", looks: bool = False) -> Case:
        """A fresh case; the CA serves it from now on. `looks`: driver calls that only look pass the gate too."""
        self._count += 1
        company = self.companies[story]
        folder = self.folder / f"case-{self._count}"
        for made in (folder, folder / "home", folder / "ca", folder / "tokens"):
            private_folder(made)
        shutil.copytree(company.folder, folder / "tokens" / "one")
        softhsm.write_config(folder / "softhsm2.conf", folder / "tokens")
        shutil.copyfile(self.places.settings, folder / "home" / "settings.toml")
        write_register(folder / "ca", company.register)
        self._open_books(folder, forgetful=forgetful)
        simulator = Simulator(self.simulator_module, folder / "simulator.conf", logs=False)
        watch = {} if looks else {"watch": " ".join(sorted(EFFECTS))}
        simulator.steer(forward=self.softhsm, gate=self.gate.path, pin_tries=3, **watch)
        return Case(self, company, folder, simulator, plant)

    def _open_books(self, folder: Path, *, forgetful: bool) -> None:
        from safetok.sandbox.books import Books
        from safetok.sandbox.issuing import Policy
        from safetok.sandbox.offers import OfferService
        from safetok.sandbox.status import StatusService

        authority = Authority.__new__(Authority)
        authority.__dict__.update(self.authority.__dict__)
        authority.books = Books(folder / "ca", folder / "ledger.json")
        service = Forgetful if forgetful else CmpService
        authority.cmp = service(self.pki, authority.books, Policy(), self.authority.faults)
        authority.offers = OfferService(self.pki, authority.books, self.now)
        authority.status = StatusService(self.pki, authority.books)
        self.server.authority = GatedCa(authority, self.gate)  # type: ignore[assignment]

    def by_mail(self, request: Path) -> bytes:
        """What the CA that works by mail answers to a request in a file: PEM, the same to the same request."""
        csr = x509.load_pem_x509_csr(request.read_bytes())
        assert csr.is_signature_valid
        end = datetime.now(VIETNAM) + timedelta(days=300)
        made = profile.issue(
            self.pki.issuers[SAFE_NEW],
            self.pki.base,
            name=csr.subject,
            key=csr.public_key(),  # type: ignore[arg-type]
            extensions=profile.first_extensions("safe-ca", csr.public_key(), "x@example.vn"),  # type: ignore[arg-type]
            not_before=self.now,
            not_after=end.astimezone(UTC),
        )
        return made.public_bytes(serialization.Encoding.PEM)

    def bench(self, case: Case) -> Bench:
        """SoftHSM's own tools on a case's token."""
        return Bench(case.folder, self.softhsm)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.gate.close()
        self.zygote.close()
