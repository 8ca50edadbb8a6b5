"""The course of a run: what its hands share. Rows waiting, tokens seen, how each row ended, what is told, whether to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from safetok.domain.companies import plain_mst
from safetok.domain.plan import Plan, PlanRow, RowResult, RowState
from safetok.domain.times import rfc3339
from safetok.errors import NoToken
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows.batch.board import STOP, Board
from safetok.workflows.batch.queue import Queue, Task

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate
    from safetok.domain.tokens import Reading, TokenReading
    from safetok.workflows.batch.results import Results
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


Tell = Callable[[Event], None]


class Course:
    """One run of a plan, as far as it has come. Its hands call it from their threads."""

    def __init__(self, context: Context, kept: Results, options: Options, tell: Tell) -> None:
        self.context, self.kept, self.options, self._tell = context, kept, options, tell
        self.queue = Queue(patience=options.patience, rate=options.rate)
        self.stop = threading.Event()
        self.cut_short = False  # by --max-failures
        self.ended: set[int] = set()  # rows that this run has brought to a result, be it that they wait
        self.board: Board | None = None  # where processes beside this one look, too
        self._failures = 0
        self._telling = threading.Lock()
        self._tokens: dict[str, TokenReading] = {}  # those that are in
        self._seen: dict[str, TokenReading] = {}  # those that are in, or were in this run

    def tell(self, name: str, /, *, row: PlanRow | None = None, result: RowResult | None = None, **data: Any) -> None:
        """Tell an event: whose row it is, how it stands, and when."""
        shown: dict[str, Any] = {"event": name, "at": rfc3339(self.context.now())}
        if row is not None:
            shown |= {"row": row.row, "token": row.token}
            holds = self._certificate(row, data.get("token") or row.token)
            shown["name"] = row.name or (holds.subject_name if holds else "")
        if result is not None:
            shown |= {
                "name": shown.get("name") or result.name,
                "state": str(result.state),
                "token": result.token,
                "code": result.code,
                "exit_status": result.exit_status,
                "message": result.message,
                "old_serial": (row.old_serial if row else "") or result.old_serial or None,
                "new_serial": result.new_serial or None,
                "shortfall_days": result.shortfall_days,
            }
        with self._telling:
            self._tell(Event(name=name, data=shown | data, row=row, result=result))

    def see(self, reading: Reading) -> None:
        """From now on these tokens are in."""
        from safetok.store.inventory import Inventory

        Inventory(self.context.database).record(reading, self.context.now())
        self._tokens = {token.info.serial: token for token in reading.tokens if not token.info.readable_only}
        self._seen.update(self._tokens)

    def tokens_of(self, row: PlanRow) -> list[str]:
        """The tokens that are in for this row: the one it names, or those that carry its company. Only one can be worked on."""
        if row.token is not None:
            return [row.token] if row.token in self._tokens else []
        return [serial for serial, token in self._tokens.items() if row.mst in taxed(token)]

    def others_of(self, row: PlanRow, plan: Plan) -> list[str]:
        """The tokens that are in and carry the row's company, but for those that the plan's rows name."""
        named = {one.token for one in plan.rows}
        found = [serial for serial, token in self._tokens.items() if plain_mst(row.mst or "") in taxed(token)]
        return [serial for serial in found if row.mst and serial not in named]

    def task(self, row: PlanRow, token: str) -> Task:
        """A row to be begun on a token that is in; which CA it will ask is seen there, where the plan could not know it."""
        holds = self._certificate(row, token)
        if not row.authority and holds is not None:
            from safetok.store.settings import authority_of

            authority = authority_of(holds, self.context.settings)
            row = replace(row, authority=authority.name if authority else "")
        return Task(row=row, token=token)

    def token(self, serial: str) -> TokenReading:
        """What was last seen of it. Raises NoToken when it has been pulled out since."""
        try:
            return self._tokens[serial]
        except KeyError:
            raise not_plugged_in(serial) from None

    def end(self, row: PlanRow, result: RowResult) -> None:
        """Keep and tell how a row ended; too many failures end the run."""
        if (holds := self._certificate(row, result.token)) is not None:
            # once a renewal has begun the newest certificate may be its own
            old = result.old_serial or (holds.serial if not result.renewal_id else "")
            result = replace(result, name=holds.subject_name, mst=holds.mst or "", old_serial=old)
        self.kept.add(result)
        self.ended.add(row.row)
        self.tell("row_end", row=row, result=result)
        if self.options.insert and result.state is not RowState.WAITING and not self.queue.needs(result.token or ""):
            self.tell("pull_out", row=row, token=result.token)
        if result.state is RowState.FAILED:
            self._failures += 1
            if self.options.max_failures is not None and self._failures >= self.options.max_failures:
                self.cut_short = True
                self.queue.close()

    def _certificate(self, row: PlanRow, serial: str | None) -> Certificate | None:
        """The certificate that a token which is in, or was, holds for this row's company."""
        token = self._seen.get(serial or "")
        return newest(token, row.mst) if token is not None else None

    @property
    def stopping(self) -> bool:
        """Whether somebody asked for an end."""
        return self.stop.is_set()

    def heed(self) -> None:
        """Called while waiting: a stop closes the queue and is told once."""
        if self.stop.is_set() and self.board is not None:
            self.board.raise_flag(STOP)
        if self.stop.is_set() and not self.queue.closed:
            self.queue.close()
            self.tell("stopping")


def taxed(token: TokenReading) -> set[str]:
    """The tax codes of the companies whose certificates a token carries."""
    return {plain_mst(one.certificate.mst or "") for one in token.certificates if not one.certificate.is_ca}


def newest(token: TokenReading, mst: str | None) -> Certificate | None:
    """The newest certificate on a token, of this company where one is named."""
    own = [stored.certificate for stored in token.certificates if not stored.certificate.is_ca]
    fitting = [one for one in own if mst is None or plain_mst(one.mst or "") == plain_mst(mst)]
    return max(fitting, key=lambda one: (one.not_before, one.not_after), default=None)


def named(token: TokenReading) -> str:
    """Whose token it is: the company of its newest certificate, else the label."""
    found = newest(token, None)
    return found.subject_name if found is not None else token.info.label


def not_plugged_in(serial: str) -> NoToken:
    """The failure of a row whose token is not in."""
    return NoToken(_("Token {serial} is not plugged in.").format(serial=serial), code="token_not_in", token=serial)


def another_is_in(serials: Iterable[str]) -> str:
    """What is said where these tokens of the same company are in, and the one that the list names is not."""
    return _(
        "This company's token {serials} is plugged in: if it has taken the place of the other, put its Token ID into the "
        "list and make the plan again."
    ).format(serials=", ".join(serials))
