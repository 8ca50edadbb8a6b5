from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from support_processes import gone
from support_store import NOW

from safetok.store.database import Database
from safetok.store.hooks import HookRuns
from safetok.workflows import hooks


@pytest.fixture
def told() -> list[str]:
    """What the person was warned of."""
    return []


@pytest.fixture
def context(tmp_path: Path, told: list[str]) -> Iterator[Any]:
    """As much of a run's surroundings as hooks look at; its hooks folder exists."""
    (tmp_path / "hooks").mkdir(mode=0o700)
    with Database(tmp_path / "state.db") as db:
        yield SimpleNamespace(
            settings=SimpleNamespace(home=SimpleNamespace(settings=tmp_path / "settings.toml")),
            database=db,
            now=lambda: NOW,
            prompter=SimpleNamespace(warn=told.append),
            dry_run=False,
            warned=set(),
        )


def _hook(context: Any, name: str, body: str, *, mode: int = 0o700) -> Path:
    path = hooks.folder(context) / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


def test_a_hook_is_told_once_with_values_as_data(context: Any, tmp_path: Path, told: list[str]) -> None:
    """It gets JSON on stdin and the event's name, once for an occurrence however often that is told, and names stay data."""
    _hook(context, "note", f'cat >> {tmp_path}/said; echo "$1" >> {tmp_path}/events')
    hostile = "$(touch /tmp/x); `id` \"'\n\x1b"
    for _time in range(3):
        hooks.tell(context, "updated", "one", {"name": hostile, "until": NOW})
    document = json.loads((tmp_path / "said").read_text())
    assert document["event"] == "updated"
    assert document["data"] == {"name": hostile, "until": "2026-11-23T09:05:00Z"}
    assert (tmp_path / "events").read_text() == "updated\n"
    assert told == []


def test_the_environment_is_fixed(context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the caller's environment gets through: no PIN, no LD_PRELOAD, no PATH."""
    monkeypatch.setenv("SAFETOK_TEST_PIN", "123456")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _hook(context, "env", f"env | cut -d= -f1 | sort > {tmp_path}/names; echo $PATH > {tmp_path}/path")
    hooks.tell(context, "issued", "one", {})
    assert {*(tmp_path / "names").read_text().split()} <= {
        *("HOME", "LANG", "PATH", "PWD", "SAFETOK_EVENT", "_", "OLDPWD", "SHLVL")
    }
    assert (tmp_path / "path").read_text().strip() == "/usr/local/bin:/usr/bin:/bin"


def test_a_failure_is_shown_kept_and_can_be_tried_again(context: Any, tmp_path: Path, told: list[str]) -> None:
    """What it said last and its status are told; a retry runs it with the same data until it succeeds, and others ran meanwhile."""
    _hook(context, "a-fails", f'cat >> {tmp_path}/given; [ -e {tmp_path}/fixed ] || {{ echo "no network"; exit 3; }}')
    _hook(context, "b-works", f"echo ran >> {tmp_path}/other")
    hooks.tell(context, "accepted", "one", {"mst": "0106324653"})
    assert "a-fails" in told[0]
    assert "no network" in told[0]
    assert (tmp_path / "other").read_text() == "ran\n"
    (failed,) = hooks.look(context).runs
    assert (failed.hook, failed.outcome, failed.attempts) == ("a-fails", "failed", 1)
    assert hooks.look(context, again=True).exit_status == 12
    (tmp_path / "fixed").touch()
    assert hooks.look(context, again=True).exit_status == 0
    assert hooks.look(context).runs == ()
    given = [json.loads(line) for line in (tmp_path / "given").read_text().splitlines()]
    assert len(given) == 3
    assert given[0] == given[1] == given[2]
    assert (tmp_path / "other").read_text() == "ran\n"


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_one_that_others_can_write_to_is_never_run(context: Any, tmp_path: Path, told: list[str], mode: int) -> None:
    """It is named with the reason instead."""
    _hook(context, "open", f"touch {tmp_path}/ran", mode=mode)
    hooks.tell(context, "issued", "one", {})
    assert not (tmp_path / "ran").exists()
    assert len(told) == 1
    assert hooks.look(context).hooks[0].refused


def test_a_folder_that_others_can_write_to_runs_nothing(context: Any, tmp_path: Path) -> None:
    """Whoever can write to the folder could put a program there."""
    _hook(context, "fine", f"touch {tmp_path}/ran")
    hooks.folder(context).chmod(0o777)
    hooks.tell(context, "issued", "one", {})
    assert not (tmp_path / "ran").exists()


def test_links_folders_and_plain_files_are_not_run(context: Any, tmp_path: Path) -> None:
    """A link, a folder and a file that is not executable are named as not run."""
    target = tmp_path / "elsewhere"
    target.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    target.chmod(0o700)
    (hooks.folder(context) / "link").symlink_to(target)
    (hooks.folder(context) / "folder").mkdir()
    _hook(context, "text", "true", mode=0o600)
    _hook(context, ".hidden", f"touch {tmp_path}/ran")
    hooks.tell(context, "issued", "one", {})
    assert not (tmp_path / "ran").exists()
    assert [hook.path.name for hook in hooks.look(context).hooks if hook.refused] == ["folder", "link", "text"]


def test_one_that_hangs_is_ended_with_all_it_started(
    context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    """After its time it is ended, its children too, and it counts as failed."""
    monkeypatch.setattr(hooks, "PATIENCE", 0.5)
    _hook(context, "hangs", f"sleep 600 & echo $! > {tmp_path}/child; wait")
    hooks.tell(context, "inserted", "one", {})
    assert len(told) == 1
    assert gone(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize(("ends", "why"), [("exit 0", ""), ("echo no network; exit 3", "no network")])
def test_one_that_leaves_something_running_is_over_when_it_ends(
    context: Any, tmp_path: Path, told: list[str], ends: str, why: str
) -> None:
    """A daemon of a session of its own keeps what it was given open; nobody waits for it, and it is left alone."""
    _hook(context, "starts", f"setsid sh -c 'echo $$ > {tmp_path}/child; exec sleep 600' &\n{ends}")
    began = monotonic()
    hooks.tell(context, "inserted", "one", {})
    assert monotonic() - began < hooks.PATIENCE / 2
    assert [why in said for said in told] == ([True] if why else [])
    while not (child := tmp_path / "child").exists() or not child.read_text().strip():
        assert monotonic() - began < hooks.PATIENCE
    os.kill(int(child.read_text()), signal.SIGKILL)


def test_one_that_reads_nothing_and_says_a_lot_is_kept_short(context: Any, told: list[str]) -> None:
    """Neither a long document nor endless words hold it up; of the words the last line is shown."""
    _hook(context, "talks", "head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo the end; exit 1")
    hooks.tell(context, "inserted", "one", {"names": "n" * 1_000_000})
    assert len(told) == 1
    assert "the end" in told[0]
    assert len(told[0]) < hooks.SPOKEN


def test_a_user_without_a_home_has_hooks_too(
    context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    """In a container the user may have no name and no HOME."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: (_ for _ in ()).throw(KeyError("no such user")))
    _hook(context, "note", f"echo ran > {tmp_path}/said")
    hooks.tell(context, "inserted", "one", {})
    assert (tmp_path / "said").read_text() == "ran\n"
    assert told == []


def test_a_run_that_was_cut_off_is_tried_again_by_hand_alone(context: Any, tmp_path: Path) -> None:
    """What began and never ended is not run twice by itself: whether it did its work is not known."""
    _hook(context, "note", f"echo ran >> {tmp_path}/said")
    HookRuns(context.database).begin("issued", "one", "note", "{}", NOW - timedelta(minutes=2))
    hooks.tell(context, "issued", "one", {})
    assert not (tmp_path / "said").exists()
    hooks.retry(context)
    assert (tmp_path / "said").read_text() == "ran\n"


@pytest.mark.parametrize("seconds", [0, 59, -59])
def test_a_run_that_another_process_may_be_at_is_left(context: Any, tmp_path: Path, seconds: int) -> None:
    """What was begun so lately that it cannot have ended in vain is not run a second time beside it; it is told as begun."""
    _hook(context, "note", f"echo ran >> {tmp_path}/said")
    HookRuns(context.database).begin("issued", "one", "note", "{}", NOW - timedelta(seconds=seconds))
    (left,) = hooks.retry(context)
    assert (left.outcome, left.attempts, (tmp_path / "said").exists()) == ("running", 0, False)
    assert hooks.look(context, again=True).exit_status == 12


def test_two_retries_at_once_run_it_once(context: Any, tmp_path: Path) -> None:
    """Both have read that it failed; the second finds that the first is at it, and that what it read no longer stands."""
    runs = HookRuns(context.database)
    runs.begin("issued", "one", "note", "{}", NOW)
    runs.finish("issued", "one", "note", ok=False, why="x", now=NOW)
    (read,) = runs.failed()
    assert runs.again(read, NOW, patience=timedelta(minutes=2))
    assert not runs.again(read, NOW, patience=timedelta(minutes=2))
    runs.finish("issued", "one", "note", ok=False, why="x", now=NOW)
    assert not runs.again(read, NOW, patience=timedelta(minutes=2))
    _hook(context, "note", f"echo ran >> {tmp_path}/said")
    (done,) = hooks.retry(context)
    assert (done.outcome, (tmp_path / "said").read_text()) == ("ok", "ran\n")


def test_a_dry_run_tells_nobody(context: Any, tmp_path: Path) -> None:
    """Nothing runs and nothing is written down."""
    _hook(context, "note", f"touch {tmp_path}/ran")
    context.dry_run = True
    hooks.tell(context, "issued", "one", {"at": datetime(2026, 1, 1)})  # noqa: DTZ001
    assert not (tmp_path / "ran").exists()
    assert HookRuns(context.database).failed() == []


def test_where_nobody_can_tell_whose_they_are_none_is_run(
    context: Any, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows no hook is run: that is said once a run, kept as no failure, and each is listed with the reason."""
    _hook(context, "note", f"touch {tmp_path}/ran")
    monkeypatch.setattr(hooks, "OWNERS", False)
    for number in range(3):
        hooks.tell(context, "updated", str(number), {})
    hooks.retry(context)
    listed = [hook.refused for hook in hooks.look(context).hooks]
    assert not (tmp_path / "ran").exists()
    assert HookRuns(context.database).failed() == []
    assert len(told) == 1
    assert "Linux và macOS" in told[0]
    assert len(listed) == 1
    assert "Linux và macOS" in listed[0]
