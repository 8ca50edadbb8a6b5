"""The hands of a run: threads that take row after row, each with its own connections or a process of its own for them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from safetok.errors import CaWait, ExitStatus, SafetokError
from safetok.locale import _
from safetok.workflows.batch import results, rows
from safetok.workflows.batch.quiet import Quiet

if TYPE_CHECKING:
    from safetok.domain.plan import PlanRow
    from safetok.domain.tokens import TokenReading
    from safetok.tokens.tokens import Tokens
    from safetok.workflows.batch.beside import RowProcess
    from safetok.workflows.batch.course import Course
    from safetok.workflows.batch.pins import PinSources
    from safetok.workflows.batch.queue import Task
    from safetok.workflows.context import Context
    from safetok.workflows.renew.request import RenewResult

RAMP = 0.03  # seconds between two looks whether more hands would help
PAIR = 3  # rows that wait behind the first: so many are worth a second worker, which loads while the first row does
SLOW = (
    0.1  # seconds; rows that take longer wait for their tokens or their CA, unless this process is what they wait for
)
LONG = 0.25  # seconds; so long even a first row is not on its way while its worker loads
BUSY = 0.6  # of the time: a process so busy would only make more rows wait for it
GLANCES = 4  # looks over which that is judged
GLANCE = 0.2


class Hands:
    """The threads of a run: one, and one for each process beside this one, which does its rows for it; without such a process
    two, where there is something to share. While rows are slow and this process has time to spare, their number doubles.
    """

    def __init__(self, course: Course, tokens: Tokens, sources: PinSources) -> None:
        self._course, self._tokens, self._sources = course, tokens, sources
        self._threads: list[threading.Thread] = []
        self._pulled: deque[PlanRow] = deque()
        self._answering: set[str] = set()  # CAs that answered the row before: they are there
        self._broken: BaseException | None = None
        self._begun: dict[str, float] = {}  # rows in hand, by their token: when each began
        self._ended, self._took = 0, 0.0  # rows that have ended, and the seconds they took together
        self._looks: deque[tuple[float, float]] = deque(maxlen=GLANCES)  # when, and this process's own time by then
        _ = course.context.database  # opened once, before several hands use it

    def start(self, beside: Sequence[RowProcess] = ()) -> None:
        for process in beside:  # first: a hand that works here keeps this thread waiting for its turn
            self._add(process)
        self._add()
        if not beside and self._course.options.jobs > 1 and self._course.queue.idle(PAIR + 1) > PAIR:
            self._add()

    def join(self) -> None:
        """Wait for the last row, adding hands while rows wait for one."""
        while any(thread.is_alive() for thread in self._threads):
            if len(self._threads) < self._course.options.jobs and self._course.queue.idle(1):
                time.sleep(RAMP)
                for _hand in range(self._more()):
                    self._add()
            else:
                self._wait(GLANCE)
            self._course.heed()
        if self._broken is not None:
            raise self._broken

    def _more(self) -> int:
        """How many more hands would shorten the run."""
        now, hands = time.monotonic(), len(self._threads)
        self._looks.append((now, time.process_time()))
        (since, before), (_now, worked) = self._looks[0], self._looks[-1]
        if len(self._looks) < GLANCES or worked - before > BUSY * (now - since):
            return 0
        oldest = max([now - begun for begun in list(self._begun.values())], default=0.0)
        mean = self._took / self._ended if self._ended >= 2 * hands else 0.0  # not of first rows
        if mean < SLOW and oldest < LONG:
            return 0
        return self._course.queue.idle(min(hands, self._course.options.jobs - hands))

    def pulled_out(self) -> list[PlanRow]:
        """Rows whose token went before they were done, since the last question; also the moment to add a hand."""
        self._course.heed()
        if len(self._threads) < self._course.options.jobs and self._course.queue.idle(1):
            self._add()
        return [self._pulled.popleft() for _row in range(len(self._pulled))]

    def _wait(self, seconds: float) -> None:
        alive = next((thread for thread in self._threads if thread.is_alive()), None)
        if alive is not None:
            alive.join(seconds)

    def _add(self, beside: RowProcess | None = None) -> None:
        name = f"batch {len(self._threads)}"
        thread = threading.Thread(target=self._work, args=(beside,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self, beside: RowProcess | None) -> None:
        from safetok.net import Http

        context = self._course.context
        http = Http(timeout=context.timeout or context.settings.timeout)
        own = replace(context, prompter=Quiet(), stopping=lambda: self._course.stopping, _http=http)
        try:
            while not self._course.stopping and (task := self._course.queue.take()) is not None:
                self._one(own, task, beside)
        except BaseException as error:  # noqa: BLE001  (what a row ends with could not be kept: the run ends with it)
            self._broken = error
            self._course.queue.close()
        finally:
            http.close()
            if beside is not None:
                beside.close()

    def _one(self, context: Context, task: Task, beside: RowProcess | None) -> None:
        course, row = self._course, task.row
        course.tell("row_begin", row=row, token=task.token)
        self._begun[task.token] = time.monotonic()
        try:
            result = self._run(context, row, course.token(task.token), beside)
        except SafetokError as error:
            self._unfinished(context, task, error)
        except Exception as error:  # noqa: BLE001  (one row never takes the others with it)
            course.end(row, rows.failed(row, rows.unforeseen(error), token=task.token, now=context.now()))
            course.queue.done(task, answered=False)
        else:
            self._answering.add(row.authority)
            if course.options.kits and result.state == "DONE" and not result.kit:
                said = _("The files for the agencies could not be written: safetok export makes them.")
                result = replace(result, reasons=(*result.reasons, said))
            course.end(row, results.ended(row, result, now=context.now()))
            course.queue.done(task, answered=True)
        finally:
            self._took += time.monotonic() - self._begun.pop(task.token)
            self._ended += 1

    def _run(self, context: Context, row: PlanRow, token: TokenReading, beside: RowProcess | None) -> RenewResult:
        """In the hand's own process, if it has one; here where that has died: the journal says how far the row has come."""
        how = {"kit": self._course.options.kits, "ca_answered": row.authority in self._answering}
        if beside is not None and beside.alive:
            from safetok.workflows.batch.beside import Ended

            with suppress(Ended):
                return beside.run_row(token, row, **how)
        return rows.run_row(context, self._tokens, token, row, self._sources, **how)

    def _unfinished(self, context: Context, task: Task, error: SafetokError) -> None:
        course, row = self._course, task.row
        after = rows.comes_back_after(error, context.now())
        if after is not None:
            self._answering.discard(row.authority)
        if after is not None and not course.stopping:
            if isinstance(error, CaWait) and error.data.get("retry_after"):
                course.queue.hold(task, after)
            waits = course.queue.again(task, after)
            if waits is not None:
                course.tell("row_waits", row=row, code=error.code, message=error.message, seconds=round(waits, 1))
                return
        pulled = course.options.insert and error.exit_status is ExitStatus.NO_TOKEN
        if pulled:  # this run waits for it
            error.hint = _("Plug the RIGHT token {serial} in again.").format(serial=task.token)
        result = rows.failed(row, error, token=task.token, now=context.now())
        course.end(row, result)
        if pulled:
            self._pulled.append(row)
        course.queue.done(task, answered=after is None)
