"""Runs a plan: several hands, each row on its own, a stop that loses nothing, and every step told as an event."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from safetok.domain.companies import plain_mst
from safetok.domain.plan import Plan, PlanRow, RowResult, RowState
from safetok.domain.times import rfc3339, vietnamese_day
from safetok.errors import ExitStatus, NoToken, TokenHeld
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows.batch import plan_file, results, rows
from safetok.workflows.batch.hands import GLANCE, PAIR, Hands
from safetok.workflows.batch.pins import PinSources
from safetok.workflows.batch.queue import Queue, Task
from safetok.workflows.renew.choose import no_token

if TYPE_CHECKING:
    from safetok.domain.tokens import Reading, TokenReading
    from safetok.tokens.tokens import Tokens
    from safetok.workflows.context import Context

JOBS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a plan is to be run. `patience`: seconds a row goes on asking a CA that cannot be reached or asks to wait."""

    jobs: int = JOBS
    max_failures: int | None = None
    rate: float | None = None
    patience: float = 300.0
    jitter: float = 0.0
    insert: bool = False
    resume: bool = False  # only what a stopped run left: rows that failed are not tried again
    pins_changed: bool = False
    kits: bool = False
    poll: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; `data` is JSON-ready and holds no secret."""

    name: str
    data: dict[str, Any]
    row: PlanRow | None = None
    result: RowResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run came to: the plan, every row's state now, and which of them this run worked on."""

    plan: Plan
    results: dict[int, RowResult]
    worked_on: frozenset[int]
    stopped: bool = False
    cut_short: bool = False  # by --max-failures

    def states(self) -> Counter[str]:
        """How many rows are in each state, of those that a run may begin."""
        return Counter(str(self.results[row.row].state) for row in self.plan.rows if row.runs)

    @property
    def exit_status(self) -> ExitStatus:
        """0 when every row worked on is done or has nothing due; 130 when stopped; else 12."""
        if self.stopped:
            return ExitStatus.INTERRUPTED
        good = all(self.results[row].state.settled for row in self.worked_on)
        return ExitStatus.DONE if good and not self.cut_short else ExitStatus.PARTLY


Tell = Callable[[Event], None]


def run(context: Context, path: Path, options: Options, tell: Tell) -> Ran:
    """Run the rows of a plan that are due and not done yet. A plan with nothing left opens no driver.

    Raises UsageError for a plan that cannot be used, TokenHeld (`batch_running`), PersonNeeded (`keyring_unusable`).
    """
    plan = plan_file.read(context, path)
    with _alone(context):
        kept = results.Results(context, plan)
        due = _due(context, plan, kept, options)
        runner = Runner(context, plan, kept, options, tell, due)
        runner.tell("begin", plan=plan.id, rows=len(due), of=len(plan.rows))
        if due:
            plan_file.unchanged(context, plan)
            kept.begin()
            results.remember(context, path)
            runner.run()
        ran = runner.ran()
        runner.tell("end", exit_status=int(ran.exit_status), rows=dict(ran.states()))
        return ran


def _due(context: Context, plan: Plan, kept: results.Results, options: Options) -> list[PlanRow]:
    today = vietnamese_day(context.now())
    left = {RowState.OPEN, RowState.WAITING} if options.resume else {RowState.OPEN, RowState.WAITING, RowState.FAILED}
    return [
        row
        for row in plan.rows
        if row.runs and kept.of(row.row).state in left and (row.day is None or row.day <= today)
    ]


@contextmanager
def _alone(context: Context) -> Iterator[None]:
    """One run at a time in one home. Raises TokenHeld (`batch_running`)."""
    from safetok.tokens.locks import Held, TokenLock

    context.settings.home.ensure()
    try:
        lock = TokenLock(str(context.settings.home.locks), "batch", "")
    except Held as error:
        raise TokenHeld(
            _("Another batch is running."),
            code="batch_running",
            hint=_("Wait for it to end, or stop it with Ctrl-C there: it loses nothing."),
        ) from error
    try:
        yield
    finally:
        lock.release()


class Runner:
    """One run of a plan."""

    def __init__(
        self,
        context: Context,
        plan: Plan,
        kept: results.Results,
        options: Options,
        tell: Tell,
        due: list[PlanRow],
    ) -> None:
        self.context, self.plan, self.kept, self.options, self._tell = context, plan, kept, options, tell
        self.due = due
        self.queue = Queue(patience=options.patience, rate=options.rate)
        self._stop = threading.Event()
        self._failures = 0
        self._telling = threading.Lock()
        self._tokens: dict[str, TokenReading] = {}
        self._worked_on: set[int] = set()
        self._cut_short = False

    def tell(self, name: str, *, row: PlanRow | None = None, result: RowResult | None = None, **data: Any) -> None:
        """Tell an event: whose row it is, how it stands, and when."""
        shown: dict[str, Any] = {"event": name, "at": rfc3339(self.context.now())}
        if row is not None:
            shown |= {"row": row.row, "token": row.token, "name": row.name}
        if result is not None:
            shown |= {
                "state": str(result.state),
                "token": result.token,
                "code": result.code,
                "exit_status": result.exit_status,
                "message": result.message,
                "new_serial": result.new_serial or None,
            }
        with self._telling:
            self._tell(Event(name=name, data=shown | data, row=row, result=result))

    def ran(self) -> Ran:
        return Ran(
            plan=self.plan,
            results={row.row: self.kept.of(row.row) for row in self.plan.rows},
            worked_on=frozenset(self._worked_on),
            stopped=self._stop.is_set(),
            cut_short=self._cut_short,
        )

    def run(self) -> None:
        """Everything from the keyring's door to the last row."""
        sources = PinSources(self.context, self.due, Path(self.plan.folder), changed=self.options.pins_changed)
        if any(row.pin_source == "keyring" for row in self.due):
            sources.check_keyring(next(row.token or "" for row in self.due if row.pin_source == "keyring"))
        with self._stoppable():
            if self.options.jitter and self._stop.wait(_below(self.context.random(4), self.options.jitter)):
                return
            with self.context.tokens() as tokens:
                hands = Hands(self, tokens, sources)
                if self.options.insert:
                    self._as_they_come(tokens, hands)
                else:
                    self._what_is_in(tokens, hands)

    # --- which tokens ---------------------------------------------------------------------------------------------

    def _what_is_in(self, tokens: Tokens, hands: Hands) -> None:
        def meanwhile() -> None:
            if self.options.jobs > 1 and len(self.due) > PAIR + 1:
                tokens.one_more()  # for the second hand
            rows.load_ahead()

        reading = tokens.read(session_follows=True, meanwhile=meanwhile)
        if reading.failed and not reading.drivers:
            raise no_token(reading, None)  # a driver that failed says nothing of what is plugged in
        self._see(reading)
        for row in self.due:
            self._worked_on.add(row.row)
            found = self._token_of(row)
            if found is None:
                self.end(row, rows.failed(row, _not_in(row), token=row.token, now=self.context.now()))
            else:
                self.queue.put(Task(row=row, token=found))
        hands.start()
        hands.join()

    def _as_they_come(self, tokens: Tokens, hands: Hands) -> None:
        """Rows begin as their tokens are plugged in; who is to come next is told, and when to pull one out."""
        left = {row.row: row for row in self.due}
        self.queue.more_may_come(True)
        hands.start()

        def pause(_seconds: float) -> None:
            until = time.monotonic() + self.options.poll
            while time.monotonic() < until:
                if self._stop.wait(min(GLANCE, self.options.poll)) or self.queue.closed or self._all_over():
                    raise _Over
            self._give_back(left, hands)

        with suppress(_Over):
            for reading in tokens.insertions(poll=self.options.poll, sleep=pause):
                self._see(reading)
                for row in list(left.values()):
                    if (found := self._token_of(row)) is not None:
                        del left[row.row]
                        self._worked_on.add(row.row)
                        self.tell("token_in", row=row, token=found)
                        self.queue.put(Task(row=row, token=found))
                if left:
                    self.tell("insert", rows=len(left), next=[_called(row) for row in list(left.values())[:7]])
        self.queue.more_may_come(False)
        hands.join()

    def _give_back(self, left: dict[int, PlanRow], hands: Hands) -> None:
        """A row whose token was pulled out too early waits for it again."""
        for row in hands.pulled_out():
            left[row.row] = row

    def _all_over(self) -> bool:
        return all(
            self.kept.of(row.row).state not in {RowState.OPEN, RowState.WAITING} or self._given_up(row)
            for row in self.due
        )

    def _given_up(self, row: PlanRow) -> bool:
        """A row that waits for its CA beyond this run's patience is over for today; one that waits for its token is not."""
        result = self.kept.of(row.row)
        return (
            row.row in self._worked_on
            and result.state is RowState.WAITING
            and result.exit_status in {ExitStatus.CA_UNREACHABLE, ExitStatus.CA_WAIT}
            and not self.queue.holds(row.row)
        )

    def _see(self, reading: Reading) -> None:
        from safetok.store.inventory import Inventory

        Inventory(self.context.database).record(reading, self.context.now())
        self._tokens = {token.info.serial: token for token in reading.tokens if not token.info.readable_only}

    def _token_of(self, row: PlanRow) -> str | None:
        if row.token is not None:
            return row.token if row.token in self._tokens else None
        fitting = [
            serial
            for serial, token in self._tokens.items()
            if any(plain_mst(s.certificate.mst or "") == row.mst for s in token.certificates if not s.certificate.is_ca)
        ]
        return fitting[0] if len(fitting) == 1 else None

    def token(self, serial: str) -> TokenReading:
        """What was last seen of it. Raises NoToken when it has been pulled out since."""
        try:
            return self._tokens[serial]
        except KeyError:
            raise NoToken(
                _("Token {serial} is not plugged in.").format(serial=serial), code="token_not_in", token=serial
            ) from None

    # --- how rows end ---------------------------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def end(self, row: PlanRow, result: RowResult) -> None:
        """Keep and tell how a row ended; too many failures end the run."""
        self.kept.add(result)
        self.tell("row_end", row=row, result=result)
        if self.options.insert and result.state is not RowState.WAITING:
            self.tell("pull_out", row=row, token=result.token)
        if result.state is RowState.FAILED:
            self._failures += 1
            if self.options.max_failures is not None and self._failures >= self.options.max_failures:
                self._cut_short = True
                self.queue.close()

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """The first Ctrl-C (or SIGTERM) stops after what is past the CA's answer; the second ends at once."""
        before: dict[int, Any] = {}

        def stop(number: int, _frame: FrameType | None) -> None:
            signal.signal(number, before[number])
            self._stop.set()

        if threading.current_thread() is threading.main_thread():
            before = {int(number): signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def heed(self) -> None:
        """Called while waiting: a stop closes the queue and is told once."""
        if self._stop.is_set() and not self.queue.closed:
            self.queue.close()
            self.tell("stopping")


class _Over(Exception):
    """Nobody waits for another token."""


def _not_in(row: PlanRow) -> NoToken:
    if row.token is None:
        return NoToken(
            _("No token of MST {mst} is plugged in, or more than one.").format(mst=row.mst), code="token_not_in"
        )
    return NoToken(
        _("Token {serial} is not plugged in.").format(serial=row.token), code="token_not_in", token=row.token
    )


def _called(row: PlanRow) -> dict[str, Any]:
    return {"row": row.row, "token": row.token, "mst": row.mst, "name": row.name}


def _below(random: bytes, seconds: float) -> float:
    return int.from_bytes(random, "big") / (1 << 8 * len(random)) * seconds
