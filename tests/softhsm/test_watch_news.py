"""What `watch` announces of each look, with a clock and a pause of the test's own, and what a refresh asks and adopts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from support_tokens import MadeToken, SoftHsm

from safetok.domain.times import system_clock
from safetok.errors import NoToken
from safetok.store import paths, settings
from safetok.tokens import drivers
from safetok.workflows import tokens as token_views
from safetok.workflows.batch.quiet import Quiet
from safetok.workflows.context import Context
from safetok.workflows.watch import Happened, watch

Make = Callable[..., MadeToken]


@dataclass
class Turned:
    """A clock that can be turned on."""

    by: timedelta = timedelta()

    def __call__(self) -> datetime:
        return system_clock() + self.by


@pytest.fixture
def context(softhsm: SoftHsm, tmp_path: Path) -> Iterator[Context]:
    home = paths.home({"SAFETOK_HOME": str(tmp_path / "home")})
    clock = Turned()
    made = Context(
        settings=settings.load(home, {}), prompter=Quiet(), clock=clock, random=os.urandom, module=softhsm.module
    )
    yield made
    made.close()


def watched(context: Context, *steps: Callable[[], Any]) -> list[Happened]:
    """What happens while these steps are taken, one in each pause; it ends with the last."""
    left = list(steps)

    def pause(_seconds: float) -> None:
        if left:
            left.pop(0)()
        else:
            assert isinstance(context.clock, Turned)
            context.clock.by = timedelta(hours=2)

    return list(watch(context, poll=0, sleep=pause, until=system_clock() + timedelta(hours=1)))


def aside(token: MadeToken) -> None:
    folder = token.folder.parent.parent / "out"
    folder.mkdir(exist_ok=True)
    token.folder.rename(folder / token.folder.name)


def back(token: MadeToken) -> None:
    (token.folder.parent.parent / "out" / token.folder.name).rename(token.folder)


@pytest.fixture
def token(make_token: Make, ec_key: Any, make_certificate: Callable[..., x509.Certificate]) -> MadeToken:
    return make_token("Kho A", certificates=[make_certificate(ec_key)], keys=[ec_key])


def test_present_removed_and_inserted_are_told_once_each(context: Context, token: MadeToken) -> None:
    """In from the start, pulled out, put in again: three events, the company with each, and looks between them say nothing."""
    told = watched(context, lambda: None, lambda: aside(token), lambda: None, lambda: back(token), lambda: None)
    assert [one.what for one in told] == ["present", "removed", "inserted"]
    assert {(one.serial, one.company) for one in told} == {(token.serial, "CÔNG TY TNHH THỬ NGHIỆM")}


def test_a_token_without_a_number_is_told_by_what_it_shows(
    context: Context, token: MadeToken, make_token: Make
) -> None:
    """A blank one beside an ordinary one: both are announced, nothing is due for the blank one, and it leaves by itself."""
    blank = make_token("Kho B")
    file = blank.folder / "token.object"
    file.write_bytes(file.read_bytes().replace(blank.serial.encode(), b" " * 16))
    told = watched(context, lambda: aside(blank), lambda: None)
    assert sorted(one.serial for one in told if one.what == "present") == ["", token.serial]
    assert [(one.what, one.serial) for one in told if one.what != "present"] == [("removed", "")]
    assert all(not one.due for one in told if not one.serial)


def test_its_time_may_be_over_before_it_begins(context: Context, token: MadeToken) -> None:
    """Watching until a moment that has passed: nothing is looked at, nothing told."""
    assert list(watch(context, until=system_clock() - timedelta(seconds=1))) == []


def test_without_any_driver_it_says_so(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver could ever show a token: an error at once, no endless waiting."""
    context.module = None
    monkeypatch.setattr(drivers, "_discovered", lambda *_a: iter(()))
    monkeypatch.delenv("SAFETOK_MODULE")
    with pytest.raises(NoToken) as raised:
        watched(context)
    assert raised.value.code == "no_driver"


def test_waiting_for_a_token_has_an_end(context: Context, token: MadeToken) -> None:
    """With one in at once it is shown without a wait; with none, what is there when the time is over."""
    assert [one.info.serial for one in token_views.wait(context, 30).tokens] == [token.serial]
    aside(token)
    assert token_views.wait(context, -1).tokens == ()
