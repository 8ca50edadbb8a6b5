"""What is plugged in and pulled out, as it happens: the token, its certificates, what is due. Nobody is ever logged in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from safetok.domain.times import rfc3339
from safetok.errors import SafetokError
from safetok.log import note
from safetok.records import dataclass
from safetok.workflows import tokens as token_views

if TYPE_CHECKING:
    from safetok.domain.tokens import Reading, TokenReading
    from safetok.workflows.context import Context
    from safetok.workflows.overview import Due, Status
    from safetok.workflows.tokens import TokenView

What = Literal["present", "inserted", "changed", "removed", "driver_failed"]  # present: it was in when the watch began
Identity = tuple[str, ...]

LOOK_AGAIN = timedelta(
    seconds=30
)  # a certificate may come while its token stays in: the vendor's own program writes it
PATIENCE = 3  # looks that a token just plugged in may need before its objects can be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """One thing that happened. `token` is what is known of it, None for one that has gone and for a driver; `due` is its own.

    `among`: how many tokens the same look announced.
    """

    what: What
    at: datetime
    serial: str = ""
    company: str = ""
    mst: str = ""
    token: TokenView | None = None
    due: tuple[Due, ...] = ()
    problems: tuple[SafetokError, ...] = ()
    among: int = 1

    def data(self) -> dict[str, Any]:
        """What scripts read: one line each."""
        return {
            "event": self.what,
            "at": self.at,
            "serial": self.serial or None,
            "company": self.company,
            "mst": self.mst or None,
            "token": self.token.data() if self.token else None,
            "due": [one.data() for one in self.due],
        }


@dataclass(frozen=True, slots=True)
class _In:
    """A token that is in, as it was announced."""

    company: str
    mst: str
    certificates: frozenset[str]


@dataclass
class _Memory:
    """What was announced so far; as long as the tokens that are in, however many came and went."""

    tokens: dict[Identity, _In] = field(default_factory=dict)
    unready: dict[Identity, int] = field(default_factory=dict)
    failed: frozenset[tuple[str, str]] = frozenset()
    first: bool = True  # the first look has not been told yet


def watch(
    context: Context,
    *,
    refresh: bool = False,
    poll: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
    until: datetime | None = None,
) -> Iterator[Happened]:
    """Announce the tokens that are in, then every one that comes, changes or goes, until `until` (None: for ever).

    `poll`: seconds between two looks; no session is held between them. With `refresh` the CA of a token that comes is asked
    about offers and revocation. Raises NoToken (`no_driver`) where no driver could ever show a token.
    """
    memory = _Memory()
    with context.tokens() as tokens:
        while until is None or context.now() < until:
            end = context.now() + LOOK_AGAIN
            for reading in tokens.insertions(poll=poll, sleep=sleep, until=end if until is None else min(end, until)):
                if not reading.drivers and not reading.failed:
                    raise token_views.no_token(reading)
                yield from _news(context, reading, memory, refresh=refresh)
                if memory.unready:  # soon, and not only when the set of tokens changes
                    sleep(poll)
                    break


def _news(context: Context, reading: Reading, memory: _Memory, *, refresh: bool) -> Iterator[Happened]:
    """What this look shows that was not announced yet."""
    from safetok.store.inventory import Inventory

    Inventory(context.database).record(reading, context.now())
    now_in = _identified(reading)
    memory.unready = {
        identity: memory.unready.get(identity, 0) + 1
        for identity, token in now_in.items()
        if identity not in memory.tokens and _not_ready(reading, token)
    }
    yield from _failures(context, reading, memory)
    for identity in [one for one in memory.tokens if one not in now_in]:
        gone = memory.tokens.pop(identity)
        note(f"token {identity[0]} has gone", detail=True)
        yield Happened(what="removed", at=context.now(), serial=identity[0], company=gone.company, mst=gone.mst)
    wanted = {
        identity: token
        for identity, token in now_in.items()
        if memory.unready.get(identity, PATIENCE) >= PATIENCE
        and (
            identity not in memory.tokens
            or not (token.unread or memory.tokens[identity].certificates == _certificates(token))
        )
    }
    for identity in wanted:
        memory.unready.pop(identity, None)
    came: What = "present" if memory.first else "inserted"
    memory.first = False
    if wanted:
        yield from _announced(context, reading, wanted, memory, came, refresh=refresh)


def _failures(context: Context, reading: Reading, memory: _Memory) -> Iterator[Happened]:
    """A driver that fails is told once, until it fails in another way or works again; a token's first moments are no failure."""
    early = tuple(f"{one[0]}: " for one, looks in memory.unready.items() if looks < PATIENCE)
    failures = [failure for failure in reading.failed if not failure.detail.startswith(early)]
    failed = frozenset((failure.driver, failure.code) for failure in failures)
    for failure in failures:
        if (failure.driver, failure.code) not in memory.failed:
            problem = token_views.driver_failed(failure, reading)
            yield Happened(what="driver_failed", at=context.now(), problems=(problem,))
    memory.failed = failed


def _announced(
    context: Context,
    reading: Reading,
    wanted: dict[Identity, TokenReading],
    memory: _Memory,
    came: What,
    *,
    refresh: bool,
) -> Iterator[Happened]:
    from safetok.workflows.status import told

    problems: dict[Identity, tuple[SafetokError, ...]] = {}
    if refresh:
        from safetok.workflows.refresh import refresh as ask

        for identity in wanted:
            problems[identity] = ask(context, token_serial=identity[0]) if len(identity) == 1 else ()
    found = told(context, reading, [])
    views = {(view.info.serial, view.info.label, view.info.drivers): view for view in found.tokens}
    for identity, token in wanted.items():
        view = views[token.info.serial, token.info.label, token.info.drivers]
        known = identity in memory.tokens
        memory.tokens[identity] = _In(view.company, view.mst, _certificates(token))
        event = Happened(
            what="changed" if known else came,
            at=context.now(),
            serial=token.info.serial,
            company=view.company,
            mst=view.mst,
            token=view,
            due=_due_of(found, view),
            problems=problems.get(identity, ()),
            among=len(wanted),
        )
        note(f"token {token.info.serial}: {event.what}", detail=True)
        yield event
        if event.what == "inserted":
            _tell_hooks(context, event)


def _identified(reading: Reading) -> dict[Identity, TokenReading]:
    """Each token by its serial; one whose serial says nothing by what else it shows, and its place among equals."""
    found: dict[Identity, TokenReading] = {}
    for token in reading.tokens:
        info = token.info
        identity: Identity = (info.serial,)
        if info.readable_only or not info.serial:
            shown = (info.serial, info.label, info.manufacturer, *info.drivers)
            identity = (*shown, str(sum(one[:-1] == shown for one in found)))
        found[identity] = token
    return found


def _certificates(token: TokenReading) -> frozenset[str]:
    return frozenset(stored.certificate.sha256 for stored in token.certificates)


def _not_ready(reading: Reading, token: TokenReading) -> bool:
    """Whether its driver saw it but could not read it: a token needs a moment after it was plugged in."""
    if token.certificates or not token.info.serial:
        return False
    return any(failure.detail.startswith(f"{token.info.serial}: ") for failure in reading.failed)


def _due_of(found: Status, view: TokenView) -> tuple[Due, ...]:
    """What is due for this token, its certificates and their registrations."""
    if not view.info.serial or view.info.readable_only:
        return ()
    serials = {one.certificate.serial for one in view.certificates}
    return tuple(
        one for one in found.due if one.token == view.info.serial or (one.token is None and one.cert in serials)
    )


def _tell_hooks(context: Context, event: Happened) -> None:
    from safetok.workflows import hooks

    hooks.tell(context, "inserted", f"{event.serial} {rfc3339(event.at)}", event.data())
