"""Programs of the user's own that are told what happened: each once for each occurrence, failures kept to be tried again.

They lie in the folder `hooks` beside settings.toml. One is run only when it and the folder are the user's own and nobody else can
write to them; where that cannot be told (Windows keeps no owner and mode that Python shows) none is run. There is no shell; the
environment is fixed; what happened is JSON on stdin. Nothing they do undoes anything.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from safetok import locale
from safetok.errors import ExitStatus
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.store.hooks import HookRun
    from safetok.workflows.context import Context

Event = Literal["adopted", "issued", "updated", "wait_over", "accepted", "deadline", "inserted"]
EVENTS: tuple[Event, ...] = get_args(Event)
PATIENCE = 60.0  # seconds one may take
SPOKEN = 2000  # characters kept of what a failed one said
FORMAT = 1
OWNERS = os.name == "posix"  # whether files have an owner and a mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One program of the folder; `refused` says why it is not run."""

    path: Path
    refused: str = ""


def folder(context: Context) -> Path:
    """Where hooks lie."""
    return context.settings.home.settings.parent / "hooks"


def found(context: Context) -> list[Hook]:
    """Every program in the folder, by name; hidden files are passed over."""
    where = folder(context)
    try:
        names = sorted(entry.name for entry in os.scandir(where) if not entry.name.startswith("."))
    except OSError:
        return []
    bad_folder = _not_ours(where, program=False)
    return [Hook(path=where / name, refused=bad_folder or _not_ours(where / name, program=True)) for name in names]


def tell(context: Context, event: Event, occurrence: str, data: Mapping[str, Any]) -> None:
    """Run every hook that has not been told of this occurrence; a failure is shown, and kept to be tried again.

    `occurrence` names what happened, once and for all. Never raises for what a hook does; nothing in a dry run.
    """
    if context.dry_run:
        return
    hooks = found(context)
    if not hooks:
        return
    if why := unsupported():
        _warn_once(context, why)
        return
    from safetok.store.hooks import HookRuns

    runs = HookRuns(context.database)
    told = _document(event, occurrence, data, context.now())
    for hook in hooks:
        if not runs.begin(event, occurrence, hook.path.name, told, context.now()):
            continue
        _warn(context, hook.path.name, _finish(runs, event, occurrence, hook, told, context.now()))


def retry(context: Context) -> list[HookRun]:
    """Run again what failed or was cut off; returns every one as it stands now. One that another process may be running is left."""
    from safetok.store.hooks import HookRuns

    runs = HookRuns(context.database)
    if unsupported():
        return runs.failed()
    hooks = {hook.path.name: hook for hook in found(context)}
    tried = []
    for run in runs.failed():
        hook = hooks.get(run.hook) or Hook(path=folder(context) / run.hook, refused=_("it is no longer there"))
        if runs.again(run, context.now(), patience=2 * timedelta(seconds=PATIENCE)):
            _finish(runs, run.event, run.occurrence, hook, run.told, context.now())
        tried.append(runs.get(run))
    return tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """The programs in the folder; runs that failed, or with `again` those tried again, as they stand now."""

    folder: Path
    hooks: tuple[Hook, ...]
    runs: tuple[HookRun, ...]
    again: bool

    @property
    def exit_status(self) -> ExitStatus:
        """12 where a run that was tried again failed again."""
        return ExitStatus.PARTLY if self.again and any(run.outcome != "ok" for run in self.runs) else ExitStatus.DONE

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "folder": str(self.folder),
            "hooks": [{"name": hook.path.name, "refused": hook.refused or None} for hook in self.hooks],
            "runs": [
                {
                    "event": run.event,
                    "occurrence": run.occurrence,
                    "hook": run.hook,
                    "outcome": run.outcome,
                    "attempts": run.attempts,
                    "why": run.why,
                    "at": run.at,
                }
                for run in self.runs
            ],
        }


def look(context: Context, *, again: bool = False) -> Hooks:
    """Which hooks there are and what failed; with `again` what failed is run again first."""
    from safetok.store.hooks import HookRuns

    runs = retry(context) if again else HookRuns(context.database).failed()
    return Hooks(folder=folder(context), hooks=tuple(found(context)), runs=tuple(runs), again=again)


def _finish(runs: Any, event: str, occurrence: str, hook: Hook, told: str, now: datetime) -> str:
    why = hook.refused or _run(hook.path, event, told)
    runs.finish(event, occurrence, hook.path.name, ok=not why, why=why, now=now)
    return why


def _warn(context: Context, name: str, why: str) -> None:
    if why:
        context.prompter.warn(
            _("The hook {name} failed: {why}. What was recorded stands. Again: safetok agencies hooks --retry").format(
                name=name, why=why
            )
        )


def _warn_once(context: Context, why: str) -> None:
    """Where none is run, one sentence a run says so, not one for each thing that happens."""
    text = _("The hooks in {folder} were not run: {why}.").format(folder=folder(context), why=why)
    if text not in context.warned:
        context.warned.add(text)
        context.prompter.warn(text)


def _document(event: str, occurrence: str, data: Mapping[str, Any], now: datetime) -> str:
    return json.dumps(
        {"safetok": FORMAT, "event": event, "occurrence": occurrence, "at": now, "data": data},
        default=_plain,
        ensure_ascii=True,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        from safetok.domain.times import rfc3339

        return rfc3339(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _run(path: Path, event: str, told: str) -> str:
    """Run one; returns why it failed, empty when it did not. It is over when it ends, whatever it leaves running behind it: files,
    unlike pipes, are held open by nobody's leave.
    """
    try:
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            given.write(told.encode("ascii") + b"\n")
            given.seek(0)
            process = subprocess.Popen(
                [str(path), event],
                stdin=given,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=_environment(event),
                cwd=path.parent,
                start_new_session=True,
            )
            status = _ended(process)
            said.seek(max(0, said.seek(0, os.SEEK_END) - SPOKEN))
            last = said.read(SPOKEN).decode("utf-8", "replace").strip().splitlines()[-1:]
    except OSError as error:
        return locale.why(error)
    if status is None:
        return _("it did not end within {seconds} seconds").format(seconds=int(PATIENCE))
    if status == 0:
        return ""
    why = _("it ended with {status}").format(status=status)
    return f"{why}: {last[0]}" if last else why


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """Its exit status; None for one that took too long, and was ended with all it started."""
    try:
        return process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def _environment(event: str) -> dict[str, str]:
    """The same for every run: nothing of the caller's environment gets through but where the user's home is."""
    home = os.path.expanduser("~")  # noqa: PTH111  (pathlib raises where this user has none: then none is named)
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        **({"HOME": home} if home != "~" else {}),
        "LANG": "C.UTF-8",
        "SAFETOK_EVENT": event,
    }


def unsupported() -> str:
    """Why no hook is run on this system; empty where they are."""
    if OWNERS:
        return ""
    return _(
        "on this system safetok cannot tell whether others can write to them; they are run on Linux and macOS only"
    )


def _not_ours(path: Path, *, program: bool) -> str:
    """Why a folder or program is not used; empty when it is the user's own and only the user can write to it."""
    if why := unsupported():
        return why
    try:
        about = path.lstat()
    except OSError as error:
        return locale.why(error)
    reasons = (
        (program and not stat.S_ISREG(about.st_mode), _("it is not a plain file")),
        (not program and not stat.S_ISDIR(about.st_mode), _("it is not a folder")),
        (about.st_uid != os.geteuid(), _("it belongs to somebody else")),
        (bool(about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)), _("others can write to {path}").format(path=path)),
        (program and not about.st_mode & stat.S_IXUSR, _("it is not executable")),
    )
    return next((why for holds, why in reasons if holds), "")
