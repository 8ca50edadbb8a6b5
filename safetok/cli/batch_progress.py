"""A batch as it goes: bars and counts on a terminal, one JSON object a line anywhere else."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from safetok.cli.globals import flags
from safetok.cli.render import screen
from safetok.cli.text import is_terminal, to_nowhere
from safetok.errors import UsageError
from safetok.locale import _, why

if TYPE_CHECKING:
    from safetok.workflows.batch.course import Event, Tell


@contextmanager
def teller(events: Path | None) -> Iterator[Tell]:
    """What a run tells its events to: the terminal or stderr, and the file `events`, after those of earlier runs. Raises
    UsageError (`events_file`; `file_exists` for a list, a plan or any other file that holds no events). One that cannot be
    written any more is left, and said once: the run goes on.
    """
    file = _opened(events)
    shown = _Terminal() if is_terminal(sys.stderr) and not flags().quiet else None
    lines = [file] if file is not None else []
    if shown is None and not flags().quiet:
        lines.append(sys.stderr)

    def tell(event: Event) -> None:
        for stream in list(lines):
            try:
                _line(stream, event.data)
            except OSError as error:
                lines.remove(stream)
                if stream is file:
                    _said_lost(events, error, event, as_line=sys.stderr in lines)
                else:
                    to_nowhere(stream)
        if shown is not None:
            with suppress(OSError):
                shown.tell(event)

    try:
        yield tell
    finally:
        with suppress(OSError):
            if shown is not None:
                shown.close()
        with suppress(OSError):
            if file is not None:
                file.close()


def _said_lost(path: Path | None, error: OSError, event: Event, *, as_line: bool) -> None:
    text = _("Events are no longer written to {path}: {why}. The run goes on.").format(path=path, why=why(error))
    with suppress(OSError):
        if as_line:
            _line(sys.stderr, {"event": "events_lost", "at": event.data["at"], "message": text})
        else:
            screen(sys.stderr).notice(text)


def _opened(path: Path | None) -> TextIO | None:
    if path is None:
        return None
    from safetok.workflows.replacing import is_events, refuse_to_replace

    refuse_to_replace(path, _("Name another file with --events."), unless=is_events)
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            _("The file {path} cannot be written: {why}.").format(path=path, why=why(error)), code="events_file"
        ) from error


def _line(stream: TextIO, data: dict[str, Any]) -> None:
    from safetok.cli.envelope import encoded, plain
    from safetok.cli.text import speaks_unicode

    stream.write(f"{encoded(plain(data), ascii_only=not speaks_unicode(stream))}\n")
    stream.flush()


class _Terminal:
    """One line a row that needs attention, and a bar that says how many are in which state."""

    def __init__(self) -> None:
        self._screen = screen(sys.stderr)
        self._states: dict[int, str] = {}  # by row: one whose token was pulled out ends more than once
        self._bar: Any = None
        self._task: Any = None
        self._asked_for: list[str] = []

    def tell(self, event: Event) -> None:
        if self._bar is not None:  # not at the beginning: it draws in a thread, and the run may still fork
            self._bar.start()
        getattr(self, f"_{event.name}", lambda _event: None)(event)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._ended(), counts=self._counts())

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _begin(self, event: Event) -> None:
        if not event.data["rows"]:
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            console=self._screen.console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=event.data["rows"], counts="", speed="")

    def _row_end(self, event: Event) -> None:
        assert event.result is not None
        assert event.row is not None
        state = str(event.result.state)
        self._states[event.row.row] = state
        if self._bar is not None:
            task = self._bar.tasks[0]
            speed = _("{n}/minute").format(n=round(task.speed * 60)) if task.speed else ""
            self._bar.update(self._task, speed=speed)
        if state in {"failed", "waiting"}:
            text = _("Row {row}, {name}: {why}")
            name = event.data["name"] or event.row.token or event.row.mst or "?"
            tone = "bad" if state == "failed" else "warn"
            self._say(text.format(row=event.row.row, name=name, why=event.result.message), tone)
        elif event.result.new_serial:
            short = f". {event.result.message}" if event.result.shortfall_days else ""
            changed = f"{event.data['old_serial']} -> {event.result.new_serial}"
            self._say(f"{event.data['name']}: {changed}{short}", "warn" if short else "good")

    def _row_waits(self, event: Event) -> None:
        assert event.row is not None
        text = _("{name}: {why} Again in {seconds} seconds.")
        name = event.data["name"] or event.row.token or event.row.mst or "?"
        self._say(text.format(name=name, why=event.data["message"], seconds=event.data["seconds"]), "dim")

    def _insert(self, event: Event) -> None:
        names = [self._called(row) for row in event.data["next"]]
        if names == self._asked_for:
            return
        self._asked_for = names
        self._say(_("Plug in next ({n} left): {names}").format(n=event.data["rows"], names="; ".join(names)), "strong")

    def _token_in(self, event: Event) -> None:
        self._say(_("In: {name}, Token ID {serial}").format(name=event.data["name"], serial=event.data["token"]), "")

    def _several_in(self, event: Event) -> None:
        assert event.row is not None
        text = _("Row {row}, {name}: {why}")
        name = event.data["name"] or event.row.mst or "?"
        self._say(text.format(row=event.row.row, name=name, why=event.data["message"]), "warn")

    def _driver_failed(self, event: Event) -> None:
        self._say(event.data["message"], "bad")

    def _pull_out(self, event: Event) -> None:
        self._say(
            _("Pull out: {name}, Token ID {serial}").format(name=event.data["name"], serial=event.data["token"]),
            "strong",
        )

    def _not_needed(self, event: Event) -> None:
        from safetok.domain.plan import RowState, Verdict
        from safetok.workflows.batch.report import STATES, VERDICTS

        state, planned = event.data["state"], event.data["planned"]
        why = _("not in this plan")
        if (other := event.data["planned_token"]) is not None:
            why = _("the plan means this company's token {serial}; for this one make the plan again").format(
                serial=other
            )
        elif planned is not None:
            why = _(VERDICTS[Verdict(planned)] if state == RowState.OPEN else STATES[RowState(state)])
        text = _("Not needed now, may be pulled out: {name}, Token ID {serial} ({why})")
        self._say(text.format(name=event.data["name"] or "?", serial=event.data["token"] or "?", why=why), "dim")

    def _stopping(self, _event: Event) -> None:
        self._say(_("Stopping: what the CA has answered is finished first. Ctrl-C again ends at once."), "warn")

    def _say(self, text: str, tone: Any) -> None:
        self._screen.notice(text, tone)

    @staticmethod
    def _called(row: dict[str, Any]) -> str:
        return f"{row['name'] or row['mst'] or '?'} ({row['token'] or '?'})"

    def _ended(self) -> int:
        return len(self._states)

    def _counts(self) -> str:
        from safetok.domain.plan import RowState
        from safetok.workflows.batch.report import STATES

        counts = Counter(self._states.values())
        return ", ".join(f"{_(STATES[RowState(state)])} {count}" for state, count in sorted(counts.items()))
