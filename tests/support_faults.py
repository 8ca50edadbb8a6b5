"""A sandbox whose CA runs in this process with a clock that tests turn, and whose answers they spoil; its tokens are SoftHSM's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from safetok import locale
from safetok.domain.agencies import RegistrationState
from safetok.domain.renewal import Renewal, State
from safetok.domain.times import parse_day
from safetok.errors import SafetokError, UsageError
from safetok.sandbox import build, stories
from safetok.sandbox.books import Transaction
from safetok.sandbox.places import Places, read_json, write_json
from safetok.sandbox.server import Authority, Server
from safetok.sandbox.softhsm import module as softhsm_module
from safetok.sandbox.softhsm import write_config
from safetok.store import paths, settings
from safetok.store.journal import Journal
from safetok.store.registrations import Registrations
from safetok.workflows.context import Context
from safetok.workflows.pins import PinSource
from safetok.workflows.renew.request import RenewRequest, RenewResult

STORIES = ("v2-owed", "ec-owed")
DAY = 86_400  # seconds


class Catalogue(dict[str, str]):
    """The Vietnamese catalogue, in which no sentence of a renewal may be missing."""

    def get(self, message: str, default: str | None = None) -> str:  # type: ignore[override]
        asks = sys._getframe(2).f_globals["__name__"]
        assert message in self or not asks.startswith(("safetok.workflows.renew", "safetok.tokens")), message
        return super().get(message, default or message)


class Nobody:
    """No person is there; what is said is kept."""

    interactive = False

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)


@dataclass
class Clock:
    """A clock that stands until it is turned."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(frozen=True, kw_only=True)
class Came:
    """What one run came to: exit status, code and error, or a result."""

    status: int
    code: str = ""
    error: SafetokError | None = None
    result: RenewResult | None = None

    def __post_init__(self) -> None:
        if self.error is not None:
            assert self.error.hint, f"no next step: {self.error}"
            assert self.error.token or isinstance(self.error, UsageError), self.error

    @property
    def state(self) -> str:
        return self.result.state if self.result else str(self.error and self.error.data.get("state"))


@dataclass
class Box:
    """The sandbox, the person's side and the CA's."""

    places: Places
    tokens: tuple[build.Token, ...]
    clock: Clock
    authority: Authority
    timeout: float = 10.0
    story: str = "ec-owed"

    @property
    def token(self) -> build.Token:
        return next(t for t in self.tokens if t.story == self.story)

    def plan(self, *plans: dict[str, Any] | str) -> None:
        """What the CA will do wrong, in this order."""
        whole = [{"name": p} if isinstance(p, str) else p for p in plans]
        write_json(self.places.ca / "faults.json", whole)

    def unused_plans(self) -> list[Any]:
        return [p for p in read_json(self.places.ca / "faults.json") or [] if p.get("times", 1) > 0]

    @contextmanager
    def context(self) -> Iterator[Context]:
        environ = {"SAFETOK_HOME": str(self.places.home)}
        made = Context(
            settings=settings.load(paths.home(environ), environ),
            prompter=Nobody(),  # type: ignore[arg-type]
            clock=self.clock,
            random=os.urandom,
            module=str(softhsm_module()),
            timeout=self.timeout,
        )
        try:
            yield made
        finally:
            made.close()

    def request(self, *, pin: bool = True, **more: Any) -> RenewRequest:
        end = parse_day(self.token.contract_end or "")
        given = {"serial": self.token.serial, "yes": True, "confirm_contract_end": end, **more}
        return RenewRequest(pin=PinSource(_given=self.token.pin if pin else None, keyring=False), **given)

    def renew(self, **more: Any) -> Came:
        from safetok.workflows.renew.start import renew

        return self._came(lambda context: renew(context, self.request(**more)))

    def resume(self, **more: Any) -> Came:
        from safetok.workflows.renew.unfinished import resume

        def work(context: Context) -> RenewResult | None:
            done, failed = resume(context, self.request(**more))
            if failed:
                raise failed[0]
            return done[0] if done else None

        return self._came(work)

    def abandon(self, *, force: bool = False, **more: Any) -> Came:
        from safetok.workflows.renew.unfinished import abandon

        identity = self.journal().id
        return self._came(lambda context: abandon(context, identity, self.request(**more), force=force))

    def _came(self, work: Any) -> Came:
        complete = Catalogue(locale._catalogue("vi"))
        with self.context() as context, patch("safetok.locale._catalogue", lambda _code: complete):
            try:
                result = work(context)
            except SafetokError as error:
                return Came(status=int(error.exit_status), code=error.code, error=error)
        return Came(status=int(result.exit_status) if result else 0, result=result)

    def journal(self) -> Renewal:
        """The renewal that moved last, as the store has it: the box's clock stands still, so instants say no order."""
        with self.context() as context:
            last = context.database.row("SELECT renewal FROM renewal_events ORDER BY number DESC LIMIT 1")
            assert last is not None
            return Journal(context.database).get(last["renewal"])

    def states(self) -> list[State]:
        identity = self.journal().id
        with self.context() as context:
            return [event.state for event in Journal(context.database).events(identity)]

    def transactions(self) -> list[Transaction]:
        return list(self.authority.books.transactions.values())

    def issued(self) -> list[dict[str, str]]:
        rows: list[dict[str, str]] = json.loads(self.authority.books.ledger())["issued"]
        return rows

    def objects(self) -> dict[str, list[str]]:
        """What pkcs11-tool, which is not ours, sees on the token: IDs of certificates, private and public keys."""
        words = ["pkcs11-tool", "--module", str(softhsm_module()), "--token-label", self.token.label]
        shown = subprocess.run(
            [*words, "--login", "--pin", self.token.pin, "-O"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
        found: dict[str, list[str]] = {"Certificate": [], "Private Key": [], "Public Key": []}
        kind = ""
        for line in shown.splitlines():
            if " Object" in line:
                kind = line.partition(" Object")[0]
            elif line.strip().startswith("ID:"):
                found[kind].append(line.partition(":")[2].strip())
        return found

    @property
    def confirm_end(self) -> date | None:
        return parse_day(self.token.contract_end or "")


def stopped_in(box: Box, where: str, **more: Any) -> None:
    """Begin a renewal that dies in this function."""
    try:
        with patch(f"safetok.{where}", side_effect=KeyboardInterrupt):
            came = box.renew(**more)
    except KeyboardInterrupt:
        return
    raise AssertionError(came)


def put(box: Box, state: State, **changes: Any) -> None:
    """Have the journal say that the next state is reached."""
    with box.context() as context:
        journal = Journal(context.database)
        journal.advance(journal.all()[0], state, now=context.now(), **changes)


def opened(box: Box) -> int:
    """How many registrations wait for a person."""
    with box.context() as context:
        return len(Registrations(context.database).list(state=RegistrationState.OPEN))


def tool(box: Box, *words: str) -> str:
    """p11tool on the token, logged in."""
    token = ["--login", f"--set-pin={box.token.pin}", "--batch", "--provider", str(softhsm_module())]
    done = subprocess.run(["p11tool", *token, *words], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


@dataclass
class Template:
    """A sandbox made once; every test gets it as it was."""

    folder: Path
    places: Places
    tokens: tuple[build.Token, ...]
    made_at: datetime

    def restore(self) -> None:
        for path in (self.places.tokens, self.places.home, self.places.ca):
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(self.folder / path.name, path)

    @contextmanager
    def box(self, **policy: int) -> Iterator[Box]:
        """`policy`: `confirm_wait` and `answer_after`, in seconds."""
        self.restore()
        facts = self.places.ca / "ca.json"
        facts.write_text(json.dumps({**json.loads(facts.read_bytes()), **policy}))
        clock = Clock(self.made_at)
        with Server(Authority(self.places, clock)) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield Box(self.places, self.tokens, clock, server.authority)
            finally:
                server.shutdown()
                thread.join()


@contextmanager
def template() -> Iterator[Template]:
    """Two owed tokens, one RSA and one EC, on /dev/shm; SOFTHSM2_CONF names them."""
    folder = Path(tempfile.mkdtemp(prefix="safetok-faults-", dir="/dev/shm"))
    try:
        places = Places(folder / "box")
        places.folder.mkdir()
        now = datetime.now(UTC).replace(microsecond=0)

        def chosen(at: datetime) -> tuple[stories.Story, ...]:
            return tuple(replace(s) for s in stories.stories(at) if s.name in STORIES)

        with patch("safetok.sandbox.build.stories", chosen):
            tokens = build.build(places, softhsm_module(), now, lambda _said: None)
        kept = folder / "kept"
        kept.mkdir()
        for path in (places.tokens, places.home, places.ca):
            shutil.copytree(path, kept / path.name)
        write_config(places.softhsm, places.tokens)
        with patch.dict(os.environ, {"SOFTHSM2_CONF": str(places.softhsm)}):
            yield Template(kept, places, tokens, now)
    finally:
        shutil.rmtree(folder)


def configure(box: Box, line: str) -> None:
    """A line more for SAFE-CA in the settings."""
    text = box.places.settings.read_text()
    found = re.search(r"^\[authorities\.\"?safe-ca\"?\]$", text, re.MULTILINE)
    assert found, text
    box.places.settings.write_text(text[: found.end()] + f"\n{line}" + text[found.end() :])
