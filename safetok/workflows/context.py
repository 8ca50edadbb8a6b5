"""What every use-case is given: settings, clock, chance, the store, the tokens, the network and a way to ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from safetok.domain.times import Clock, system_clock
from safetok.errors import NotTrusted
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.net import Http
    from safetok.store.database import Database
    from safetok.store.settings import Settings
    from safetok.tokens.tokens import Tokens


class Prompter(Protocol):
    """The person at the other end, or nobody: then every question raises PersonNeeded."""

    interactive: bool

    def say(self, text: str) -> None:
        """Tell something on stderr."""

    def warn(self, text: str) -> None:
        """Tell something that needs attention, on stderr; also when quiet."""

    def confirm(self, question: str, *, default: bool = False) -> bool:
        """Yes or no; an empty line is `default`."""

    def line(self, question: str) -> str:
        """One line, stripped; an empty one is the person's way to stop."""

    def pin(self, question: str) -> str:
        """A PIN, not echoed."""

    def choose(self, question: str, options: Sequence[str]) -> int:
        """The index of the option chosen."""


@dataclass(kw_only=True)
class Context:
    """One run's surroundings. Nothing is opened before it is first used, and `close` ends what was opened."""

    settings: Settings
    prompter: Prompter
    clock: Clock = system_clock
    random: Callable[[int], bytes]
    dry_run: bool = False
    module: str | None = None
    timeout: float | None = None
    stopping: Callable[[], bool] = lambda: (
        False
    )  # whether the person has asked to stop: asked between two steps of a renewal
    warned: set[str] = field(default_factory=set)  # what is said once a run, however often it holds
    _database: Database | None = field(default=None, repr=False)
    _http: Http | None = field(default=None, repr=False)

    def now(self) -> datetime:
        """Now, in UTC, by the run's clock."""
        return self.clock()

    @property
    def database(self) -> Database:
        """The state; read-only, and an empty one where none exists, in a dry run."""
        if self._database is None:
            from safetok.store.database import Database

            if not self.dry_run:
                self.settings.home.ensure()
            self._database = Database(self.settings.home.database, read_only=self.dry_run)
        return self._database

    @property
    def state_used(self) -> bool:
        """Whether this run has looked into the state."""
        return self._database is not None

    @property
    def http(self) -> Http:
        """The one HTTP caller."""
        if self._http is None:
            from safetok.net import Http

            self._http = Http(timeout=self.timeout or self.settings.timeout)
        return self._http

    @contextmanager
    def tokens(self) -> Iterator[Tokens]:
        """Every token of every driver found; NoToken and DriverFailed are the caller's to raise from what it reads."""
        import os

        from safetok.knowledge import load
        from safetok.store.inventory import Inventory
        from safetok.tokens.drivers import find_drivers
        from safetok.tokens.tokens import Tokens

        drivers = find_drivers(
            module=self.module,
            configured=self.settings.modules,
            known=() if self.module or os.environ.get("SAFETOK_MODULE") else load.drivers(),
            environ=os.environ,
        )
        with Tokens(
            drivers,
            locks=self.settings.home.locks,
            clock=self.clock,
            dry_run=self.dry_run,
            known=Inventory(self.database).known,
        ) as tokens:
            yield tokens

    def only_read(self) -> None:
        """From here on nothing is written: the state is opened anew, read-only."""
        self.close()
        self.dry_run = True

    def close(self) -> None:
        """Close the state."""
        if self._database is not None:
            self._database.close()
            self._database = None


def free_space(context: Context, needed: int = 16 << 20) -> None:
    """Raise NotTrusted (`no_space`) when the state's disk has less than `needed` bytes left: the journal must fit."""
    import shutil

    folder = context.settings.home.state
    while not folder.exists():
        folder = folder.parent
    if shutil.disk_usage(folder).free < needed:
        raise NotTrusted(
            _(
                "The disk of {folder} is nearly full: a renewal needs 16 MB there for its journal. Nothing was changed."
            ).format(folder=folder),
            code="no_space",
        )
