"""Every token of every driver: looked at without a PIN, watched for, and opened one at a time by serial."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from safetok.domain.certificates import Certificate
from safetok.domain.times import Clock
from safetok.domain.tokens import DriverFailure, Reading, TokenReading
from safetok.errors import NoToken
from safetok.locale import _
from safetok.log import note
from safetok.tokens import failures, images, process
from safetok.tokens.drivers import DriverFile
from safetok.tokens.pairing import TokenKey
from safetok.tokens.process import Worker, WorkerFailure
from safetok.tokens.reading import Known, Parsed, Seen, merge, parse_all
from safetok.tokens.sessions import Deadlines, Session

__all__ = ["Deadlines", "Session", "TokenKey", "Tokens"]

_RETRY_FAILED = 15  # polls between two tries of a driver that failed: one that hangs must not slow the others' news


_PARSED_TOGETHER = 50  # tokens: while the driver reads the next ones, the certificates of these are looked up at once


def _nothing_known(_hashes: Collection[str]) -> dict[str, Certificate]:
    return {}


class Tokens:
    """The drivers' tokens. A context manager: at its end every worker ends. `session` may be called from several threads."""

    def __init__(
        self,
        drivers: Sequence[DriverFile],
        *,
        locks: Path,
        clock: Clock,
        deadlines: Deadlines | None = None,
        dry_run: bool = False,
        known: Known = _nothing_known,
    ) -> None:
        self._drivers = tuple(drivers)
        self._locks, self._clock, self._dry_run, self._known = locks, clock, dry_run, known
        self._deadlines = deadlines or Deadlines()
        self._idle: dict[str, list[Worker]] = {}
        self._workers: list[Worker] = []  # all that this process has started or taken
        self._last: Reading | None = None
        self._set: frozenset[tuple[Any, ...]] = frozenset()  # what the last reading saw, as `_list` tells it
        self._closed = False
        self._anew = False  # the next look of `insertions` is a Reading, whatever it sees

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every worker that no session uses. Idempotent."""
        self._closed = True
        process.discard()
        self._workers.clear()
        idle = [worker for workers in self._idle.values() for worker in workers]
        self._idle.clear()
        for worker in idle:  # not waited for: no session is open, and a driver's own end takes 10 ms a thousand tokens
            worker.hang_up()

    # --- looking -------------------------------------------------------------------------------------------------

    def read(self, *, session_follows: bool = False, meanwhile: Callable[[], None] = lambda: None) -> Reading:
        """Every token with its certificates, without a login. A driver, slot or object that fails costs its own rows only.

        `session_follows`: a session will be opened next, so the workers load what it takes while the caller is busy.
        `meanwhile`: what the caller does while the drivers look.
        """
        seen: list[Seen] = []
        parsed: Parsed = {}
        taken = 0
        told: set[tuple[Any, ...]] = set()
        failed: list[DriverFailure] = []
        answered: list[str] = []
        asked = self._asked("read", session_follows=session_follows)
        meanwhile()
        for driver, worker in asked:
            answers = worker.answers()
            try:
                for shown in answers:
                    told.add(_told(driver, shown))
                    if "serial" in shown:
                        seen.append(Seen(driver.path, shown))
                    if "error" in shown:
                        failed.append(_slot_failure(driver, shown))
                    if len(seen) - taken >= _PARSED_TOGETHER:
                        parse_all(seen[taken:], parsed, self._known)
                        taken = len(seen)
            except WorkerFailure as failure:
                failed.append(_failure(driver, failure))
            else:
                answered.append(driver.path)
            self._give_back(worker)
        self._set = frozenset(told)
        parse_all(seen[taken:], parsed, self._known)
        tokens = merge(seen, parsed)
        self._last = Reading(tokens=tokens, failed=tuple(failed), drivers=tuple(answered))
        return self._last

    def apart(self) -> Tokens:
        """In a process just forked from this one: the same tokens, by workers of its own. The parent's are let go of."""
        process.disown(self._workers)
        drivers, known = self._drivers, self._known
        return Tokens(drivers, locks=self._locks, clock=self._clock, deadlines=self._deadlines, known=known)

    def know(self, token: TokenReading) -> None:
        """Take another process's look at a token for one's own: a session on it needs no other."""
        self._last = Reading(tokens=(token,))

    def load(self) -> None:
        """Have the driver loaded by the worker that a session will take, in time that would else be waited through: with a thousand
        software tokens that is a quarter of a second. Of several drivers nobody knows yet which it will be. What fails here fails
        again, and is told, when a session is opened.
        """
        if len(self._drivers) != 1:
            return
        with suppress(OSError):
            worker = self._take(self._drivers[0])
            worker.driver = self._drivers[0].path
            with suppress(WorkerFailure):
                worker.call("load", deadline=self._deadlines.look, path=worker.driver)
            self._give_back(worker)

    def one_more(self) -> None:
        """Start a worker for a session soon opened beside others; where the system refuses, `session` says so when it needs one."""
        with suppress(OSError):
            process.prestart(for_a_session=True)

    def insertions(
        self, *, poll: float = 1.0, sleep: Callable[[float], None] = time.sleep, until: datetime | None = None
    ) -> Iterator[Reading]:
        """A Reading at once, then one each time the set of tokens has changed, until `until` (None: for ever).

        `poll`: seconds between two looks. Drivers are polled: few of them can wait for an event that does not get lost.
        """
        reading = self.read()
        shown, polls = (
            self._set,
            0,
        )  # of the reading itself: what changes while the caller is busy with it is not missed
        yield reading
        while until is None or self._clock() < until:
            sleep(poll)
            polls += 1
            resting = frozenset(one.driver for one in reading.failed if polls % _RETRY_FAILED)
            now = self._list(resting)
            if now != shown or self._anew:
                self._anew = False
                shown, reading = now, self.read()
                yield reading

    def look_again(self) -> None:
        """Have `insertions` give a Reading at its next look: a token that was out and in again between two looks changed no set."""
        self._anew = True

    def _list(self, resting: frozenset[str]) -> frozenset[tuple[Any, ...]]:
        """What tells one set of tokens from another."""
        found: set[tuple[Any, ...]] = set()
        for driver, worker in self._asked("infos", resting):
            try:
                shown = _end(worker)
            except WorkerFailure:
                shown = []
            found.update(_told(driver, one) for one in shown)
            self._give_back(worker)
        return frozenset(found)

    def _asked(
        self, request: str, resting: frozenset[str] = frozenset(), **given: bool
    ) -> list[tuple[DriverFile, Worker]]:
        """Every driver's worker with the request under way, so that all drivers work at once."""
        asked = []
        for driver in self._drivers:
            if driver.path in resting:
                continue
            worker = self._take(driver)
            refresh = bool(worker.driver)
            worker.ask(request, deadline=self._deadlines.look, path=driver.path, refresh=refresh, **given)
            worker.driver = driver.path
            asked.append((driver, worker))
        return asked

    # --- one token -----------------------------------------------------------------------------------------------

    def session(self, serial: str, *, read_write: bool = True) -> Session:
        """A session on the token with this serial; its lock is taken, nobody is logged in yet.

        In a dry run it is read-only, takes no lock and refuses to log in. Raises NoToken, TokenHeld, PersonNeeded
        (`doubled_serial`), NotTrusted (`write_protected`), DriverFailed.
        """
        found = self._find(serial)
        if found.info.readable_only:
            raise failures.doubled(serial)
        driver = next(one for one in self._drivers if one.path == found.info.drivers[0])
        worker = self._take(driver)
        worker.driver = driver.path
        try:
            shown = self._opened(worker, serial, read_write=read_write and not self._dry_run)
        except WorkerFailure as failure:
            self._give_back(worker)
            raise failures.translate(failure, operation="open", driver=driver.name, token=serial) from None
        return Session(
            worker,
            serial=serial,
            driver=driver.name,
            drivers=found.info.drivers,
            deadlines=self._deadlines,
            shown=shown,
            done=self._give_back,
            dry_run=self._dry_run,
        )

    def _opened(self, worker: Worker, serial: str, *, read_write: bool) -> dict[str, Any]:
        """The worker's answer; asked once more with fresh eyes when it does not see a token that may have come since."""
        given: dict[str, Any] = {
            "path": worker.driver,
            "serial": serial,
            "read_write": read_write,
            "locks": None if self._dry_run else str(self._locks),
            "note": str(os.getpid()),
        }
        for refresh in (False, True):
            try:
                shown = worker.call("open", deadline=self._deadlines.sign, refresh=refresh, **given)
            except WorkerFailure as failure:
                if refresh or failure.name != "no_token":
                    raise
            else:
                assert isinstance(shown, dict)
                return shown
        raise AssertionError

    def _find(self, serial: str) -> TokenReading:
        for reading in (self._last, None):
            tokens = (reading or self.read()).tokens
            found = next((one for one in tokens if serial and one.info.serial == serial), None)
            if found is not None:
                return found
        raise NoToken(
            _("Token {serial} is not in.").format(serial=serial),
            hint=_("Plug in the right token, then run it again; see which are in: safetok tokens"),
            token=serial,
        )

    # --- workers -------------------------------------------------------------------------------------------------

    def _take(self, driver: DriverFile) -> Worker:
        try:
            return self._idle[driver.path].pop()
        except (KeyError, IndexError):
            self._workers.append(process.take())
            return self._workers[-1]

    def _give_back(self, worker: Worker) -> None:
        if not worker.alive:
            return
        if self._closed or worker.busy:
            worker.hang_up()
        else:
            self._idle.setdefault(worker.driver, []).append(worker)


def _told(driver: DriverFile, shown: dict[str, Any]) -> tuple[Any, ...]:
    return (driver.path, shown.get("serial"), shown.get("label"), shown.get("manufacturer"), shown.get("error"))


def _end(worker: Worker) -> Any:
    answers = worker.answers()
    while True:
        try:
            next(answers)
        except StopIteration as end:
            return end.value


def _failure(driver: DriverFile, failure: WorkerFailure) -> DriverFailure:
    note(f"driver {driver.path}: {failure.name} ({failure.detail})")
    if failure.name == "not_loadable" and (misfit := images.misfit(driver.path)) is not None:
        return DriverFailure(driver=driver.path, code=misfit[0], detail=misfit[1], named=driver.named)
    code = failure.name if failure.name in {"crashed", "timed_out", "not_loadable"} else "pkcs11"
    return DriverFailure(driver=driver.path, code=code, detail=failure.detail or failure.name, named=driver.named)


def _slot_failure(driver: DriverFile, shown: dict[str, Any]) -> DriverFailure:
    detail = ": ".join(part for part in (shown.get("serial"), shown["error"]) if part)
    return DriverFailure(driver=driver.path, code="pkcs11", detail=detail)
