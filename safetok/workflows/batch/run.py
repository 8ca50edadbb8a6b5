"""Runs a plan: several hands, each row on its own, a stop that loses nothing, and every step told as an event."""

from __future__ import annotations

import errno
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from safetok.domain.companies import plain_mst
from safetok.domain.plan import Plan, PlanRow, RowResult, RowState
from safetok.domain.times import vietnamese_day
from safetok.errors import ExitStatus, NoToken, SafetokError, SeveralTokens, TokenHeld
from safetok.locale import _, why
from safetok.records import dataclass
from safetok.workflows.batch import plan_file, results, rows
from safetok.workflows.batch.beside import Beside, worth
from safetok.workflows.batch.course import Course, another_is_in, named, not_plugged_in, taxed
from safetok.workflows.batch.hands import GLANCE, PAIR, Hands
from safetok.workflows.batch.pins import PinSources
from safetok.workflows.renew.choose import no_token

if TYPE_CHECKING:
    from safetok.domain.tokens import Reading
    from safetok.tokens.tokens import Tokens
    from safetok.workflows.batch.course import Options, Tell
    from safetok.workflows.batch.queue import Task
    from safetok.workflows.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run came to: the plan, every row's state now, which of them were due, and which of those this run worked on."""

    plan: Plan
    results: dict[int, RowResult]
    due: frozenset[int]
    worked_on: frozenset[int]
    stopped: bool = False
    cut_short: bool = False  # by --max-failures
    insert: bool = False  # tokens were taken as they came
    kits: Path | None = None  # where the companies' files went, where they were asked for

    def states(self) -> Counter[str]:
        """How many rows are in each state, of those that a run may begin."""
        return Counter(str(self.results[row.row].state) for row in self.plan.rows if row.runs)

    def left(self) -> bool:
        """Whether rows that were due are not done, and a run could go on with them as they are."""
        return any(self.results[row].state in {RowState.OPEN, RowState.WAITING} for row in self.due)

    @property
    def exit_status(self) -> ExitStatus:
        """0 when every row worked on is done or has nothing due, and none is left failed; 130 when stopped; else 12."""
        if self.stopped:
            return ExitStatus.INTERRUPTED
        good = all(self.results[row].state.settled for row in self.worked_on)
        failed = self.states()[RowState.FAILED] or self.cut_short
        return ExitStatus.DONE if good and not failed else ExitStatus.PARTLY


def run(context: Context, path: Path, options: Options, tell: Tell) -> Ran:
    """Run the rows of a plan that are due and not done yet. A plan with nothing left opens no driver.

    Raises UsageError for a plan that cannot be used, TokenHeld (`batch_running`), PersonNeeded (`keyring_unusable`).
    """
    plan = plan_file.read(context, path)
    with _alone(context):
        results.remember(context, path)
        kept = results.Results(context, plan)
        due = _due(context, plan, kept, options)
        course = Course(context, kept, options, tell)
        runner = Runner(course, plan, due)
        course.tell("begin", plan=plan.id, rows=len(due), of=len(plan.rows))
        try:
            if due:
                plan_file.unchanged(context, plan)
                kept.begin()
                runner.run()
            if course.stopping or course.queue.closed:
                kept.from_journal(context)  # rows that were between two tries are under way, too
        except SafetokError as error:
            course.tell("end", exit_status=int(error.exit_status), code=error.code, message=error.message)
            raise
        ran = runner.ran()
        kits = str(ran.kits) if ran.kits else None
        course.tell("end", exit_status=int(ran.exit_status), rows=dict(ran.states()), kits=kits)
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
    """One run at a time in one home. Raises TokenHeld (`batch_running`), UsageError (`home_unusable`)."""
    from safetok.store.paths import unusable
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
    except OSError as error:
        refused = unusable(context.settings.home.locks, why(error))
        if error.errno == errno.ENOSPC:
            refused.hint = _("Free some space on the disk, then run the command again.")
        raise refused from error
    try:
        yield
    finally:
        lock.release()


class Runner:
    """Gives a run its rows and its hands, and ends it."""

    def __init__(self, course: Course, plan: Plan, due: list[PlanRow]) -> None:
        self._course, self._plan, self._due = course, plan, due
        self._context, self._options, self._queue = course.context, course.options, course.queue
        self._worked_on: set[int] = set()
        self._watching = False  # for tokens, with a driver that works
        self._given_back: set[int] = set()  # rows whose token was pulled out in this run

    def ran(self) -> Ran:
        stands = {row.row: self._course.kept.of(row.row) for row in self._plan.rows}
        written = self._options.kits and any(stands[row].state is RowState.DONE for row in self._worked_on)
        return Ran(
            plan=self._plan,
            results=stands,
            due=frozenset(row.row for row in self._due),
            worked_on=frozenset(self._worked_on),
            kits=self._context.settings.home.state / "export" if written else None,
            stopped=self._course.stop.is_set(),
            cut_short=self._course.cut_short,
            insert=self._options.insert,
        )

    def run(self) -> None:
        """Everything from the keyring's door to the last row."""
        every = [row for row in self._plan.rows if row.runs]  # what failed on a row of another day was tried, too
        sources = PinSources(self._context, every, Path(self._plan.folder), changed=self._options.pins_changed)
        if any(row.pin_source == "keyring" for row in self._due):
            sources.check_keyring(next(row.token or "" for row in self._due if row.pin_source == "keyring"))
        with self._stoppable():
            jitter = self._options.jitter
            if jitter and self._course.stop.wait(_below(self._context.random(4), jitter)):
                return
            with self._context.tokens() as tokens:
                hands = Hands(self._course, tokens, sources)
                if self._options.insert:
                    self._as_they_come(tokens, hands)
                else:
                    self._what_is_in(tokens, hands, sources)

    # --- which tokens ---------------------------------------------------------------------------------------------

    def _what_is_in(self, tokens: Tokens, hands: Hands, sources: PinSources) -> None:
        more = worth(self._context, len(self._due), self._options.jobs, sources)

        def meanwhile() -> None:
            if not more and self._options.jobs > 1 and len(self._due) > PAIR + 1:
                tokens.one_more()  # for the second hand
            rows.load_ahead()
            others.fork(more, tokens)

        with Beside(self._course, sources) as others:
            reading = tokens.read(session_follows=True, meanwhile=meanwhile)
            if _all_failed(reading):
                raise no_token(reading, None)
            self._course.see(reading)
            for row in self._due:
                self._worked_on.add(row.row)
                found = self._course.tokens_of(row)
                if len(found) == 1:
                    self._queue.put(self._course.task(row, found[0]))
                else:
                    error = _several_in(row, found) if found else _not_in(row, self._course.others_of(row, self._plan))
                    self._course.end(row, rows.failed(row, error, token=row.token, now=self._context.now()))
            hands.start(others.processes)
            hands.join()

    def _as_they_come(self, tokens: Tokens, hands: Hands) -> None:
        """Rows begin as their tokens are plugged in; who is to come next is told, and what may be pulled out."""
        left = {row.row: row for row in self._due}
        known: set[str] = set()  # tokens that are in and of which something has been told
        self._queue.more_may_come(True)
        hands.start()

        def pause(_seconds: float) -> None:
            until = time.monotonic() + self._options.poll
            while time.monotonic() < until:
                asked = self._course.stop.wait(min(GLANCE, self._options.poll))
                if asked or self._queue.closed or self._all_over():
                    raise _Over
            self._give_back(left, hands, tokens)

        try:
            with suppress(_Over):
                for reading in tokens.insertions(poll=self._options.poll, sleep=pause):
                    self._plugged_in(reading, left, known)
        except SafetokError:
            self._queue.close()
            hands.join()  # what is under way keeps its tokens until it has ended
            raise
        self._queue.more_may_come(False)
        hands.join()

    def _plugged_in(self, reading: Reading, left: dict[int, PlanRow], known: set[str]) -> None:
        """Begin the rows whose tokens are in now, and tell who is to come next. Raises DriverFailed where no driver ever worked."""
        if _all_failed(reading):
            failure = no_token(reading, None)
            if not self._watching:
                raise failure
            self._course.tell("driver_failed", code=failure.code, message=failure.message)
        self._watching = True
        self._course.see(reading)
        come: list[Task] = []
        for row in list(left.values()):
            found = self._course.tokens_of(row)
            if len(found) == 1:
                del left[row.row]
                known.add(found[0])
                self._worked_on.add(row.row)
                self._course.tell("token_in", row=row, token=found[0])
                come.append(self._course.task(row, found[0]))
            elif not known.issuperset(found):
                known.update(found)
                error = _several_in(row, found)
                self._course.tell("several_in", row=row, tokens=found, message=f"{error.message} {error.hint}")
        self._queue.put(*come)  # all of a token's rows at once: it may be pulled out after its last
        self._not_needed(reading, known)
        self._ask_for(left)

    def _ask_for(self, left: dict[int, PlanRow]) -> None:
        if left:
            self._course.tell("insert", rows=len(left), next=[_called(row) for row in list(left.values())[:7]])

    def _not_needed(self, reading: Reading, known: set[str]) -> None:
        """Tell once of each token that is in and that no row of this run waits for: whose it is, and why."""
        known &= {token.info.serial for token in reading.tokens}
        for token in reading.tokens:
            serial, companies = token.info.serial, taxed(token)
            ours = [row for row in self._plan.rows if row.token == serial or (not row.token and row.mst in companies)]
            states = {row.row: self._course.kept.of(row.row).state for row in ours}
            if serial in known or any(
                row in self._due and states[row.row] in {RowState.OPEN, RowState.WAITING} for row in ours
            ):
                continue
            known.add(serial)
            meant = [row.token for row in self._plan.rows if row.runs and plain_mst(row.mst or "") in companies]
            self._course.tell(
                "not_needed",
                token=serial,
                name=named(token),
                planned=str(ours[0].verdict) if ours else None,
                state=str(states[ours[0].row]) if ours else None,
                planned_token=meant[0] if meant and not ours else None,
            )

    def _give_back(self, left: dict[int, PlanRow], hands: Hands, tokens: Tokens) -> None:
        """A row whose token was pulled out too early waits for it again. Once it is taken also where nobody saw the token go."""
        for row in hands.pulled_out():
            left[row.row] = row
            self._ask_for(left)
            if row.row not in self._given_back:
                self._given_back.add(row.row)
                tokens.look_again()

    def _all_over(self) -> bool:
        """Whether nothing is left that a token could be plugged in for. A row that failed in an earlier run is still to come."""
        return all(row.row in self._course.ended and self._is_over(row) for row in self._due)

    def _is_over(self, row: PlanRow) -> bool:
        """A row that waits for its CA beyond this run's patience, or for another run that holds its token, is over for today; one
        that waits for its token is not.
        """
        result = self._course.kept.of(row.row)
        if result.state not in {RowState.OPEN, RowState.WAITING}:
            return True
        return (
            result.state is RowState.WAITING
            and result.exit_status in {ExitStatus.CA_UNREACHABLE, ExitStatus.CA_WAIT, ExitStatus.HELD}
            and not self._queue.holds(row.row)
        )

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """The first Ctrl-C (SIGTERM, or a terminal that is closed) stops after what is past the CA's answer; the second ends at
        once. Behind nohup a closed terminal stops nothing.
        """
        before: dict[int, Any] = {}

        def stop(number: int, _frame: FrameType | None) -> None:
            signal.signal(number, before[number])
            self._course.stop.set()

        if threading.current_thread() is threading.main_thread():
            heeded = [signal.SIGINT, signal.SIGTERM]
            hangup = getattr(signal, "SIGHUP", None)  # not on Windows
            if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
                heeded.append(hangup)
            before = {int(number): signal.signal(number, stop) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _all_failed(reading: Reading) -> bool:
    """Whether nothing is known of what is plugged in."""
    return bool(reading.failed) and not reading.drivers


class _Over(Exception):
    """Nobody waits for another token."""


def _not_in(row: PlanRow, others: list[str]) -> NoToken:
    """`others`: tokens of the same company that are in."""
    if row.token is None:
        return NoToken(_("No token of MST {mst} is plugged in.").format(mst=row.mst), code="token_not_in")
    error = not_plugged_in(row.token)
    error.hint = another_is_in(others) if others else error.hint
    return error


def _several_in(row: PlanRow, serials: list[str]) -> SeveralTokens:
    return SeveralTokens(
        _("More than one token of MST {mst} is plugged in: {serials}.").format(mst=row.mst, serials=", ".join(serials)),
        hint=_("Leave the right one in, or put its Token ID into the list and make the plan again."),
    )


def _called(row: PlanRow) -> dict[str, Any]:
    return {"row": row.row, "token": row.token, "mst": row.mst, "name": row.name}


def _below(random: bytes, seconds: float) -> float:
    return int.from_bytes(random, "big") / (1 << 8 * len(random)) * seconds
