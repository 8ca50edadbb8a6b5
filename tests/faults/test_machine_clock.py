"""A clock that jumps, the CA's staying right: within a renewal, before it, and while it waits. Nothing is lost or asked twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from support_cli import Said
from support_clock import Clocked
from support_faults import Box, Template

from safetok.domain.renewal import Hold, State
from safetok.sandbox.softhsm import module
from safetok.store.database import Database
from safetok.store.journal import Journal

YEAR, WEEK = timedelta(days=365), timedelta(days=7)
ACROSS_THE_END = timedelta(days=30)  # the old certificates end in 20
DAY = 86_400


def person(box: Box) -> Clocked:
    """The command line on this box's home, its clock right until it is turned."""
    env = {
        "SAFETOK_HOME": str(box.places.home),
        "SAFETOK_MODULE": str(module()),
        "SOFTHSM2_CONF": str(box.places.softhsm),
        "SAFETOK_LANG": "en",
    }
    return Clocked(env, box.clock.now)


def renew(cli: Clocked, box: Box, *more: str) -> Said:
    end = box.token.contract_end or ""
    words = ("renew", "--serial", box.token.serial, "--yes", "--confirm-contract-end", end, "--pin-stdin", *more)
    return cli.json(*words, stdin=f"{box.token.pin}\n")


def resume(cli: Clocked, box: Box) -> Said:
    return cli.json("renew", "--resume", "--pin-stdin", stdin=f"{box.token.pin}\n")


@contextmanager
def jump_after(commit: int, cli: Clocked, by: timedelta, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The clock jumps as soon as the n-th commit of the state is done; how many there were."""
    seen: list[int] = []
    commit_as_ever = Database._commit

    def watched(self: Database) -> None:
        commit_as_ever(self)
        seen.append(len(seen) + 1)
        if len(seen) == commit:
            cli.now += by

    with monkeypatch.context() as patch:
        patch.setattr(Database, "_commit", watched)
        yield seen


def ended_well(box: Box) -> None:
    """One certificate, issued and confirmed once, beside the old one; one more key; the renewal done."""
    assert [row["state"] for row in box.issued()] == ["confirmed"]
    assert {kind: len(ids) for kind, ids in box.objects().items()} == {
        "Certificate": 2,
        "Private Key": 2,
        "Public Key": 2,
    }
    with box.context() as context:  # one that was given up may bear a later time than the one that came after it
        states = [row.state for row in Journal(context.database).all()]
    assert states.count(State.DONE) == 1
    assert set(states) <= {State.DONE, State.ABANDONED}


@pytest.mark.parametrize("by", [-YEAR, WEEK, ACROSS_THE_END], ids=["back a year", "forward a week", "across the end"])
def test_a_jump_between_any_two_steps_loses_nothing(
    made: Template, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    """Wherever in a renewal the clock jumps, it ends with one certificate: at once, or once the clock is right again."""
    commit, whole, at_once = 0, False, 0
    while not whole:
        commit += 1
        with made.box() as box:
            cli = person(box)
            with jump_after(commit, cli, by, monkeypatch) as seen:
                said = renew(cli, box, "--new-key")
            whole = len(seen) < commit
            at_once += said.status == 0
            if said.status:
                assert said.codes[0] in {"clock_off", "bad_proof", "offer_expired"}, (commit, said)
                cli.now = box.clock.now
                again = resume(cli, box)
                assert again.status == 0, (commit, said.codes, again)
                if not box.issued():
                    assert renew(cli, box, "--new-key").status == 0
            ended_well(box)
    assert commit > 9
    assert at_once > commit / 2


def test_a_clock_that_is_wrong_from_the_start_is_told_before_anything_is_asked(box: Box) -> None:
    """The proof of another hour is refused: 7 with the clock as the next step, no PIN try lost, and nothing requested."""
    cli = person(box)
    cli.now -= YEAR
    said = renew(cli, box)
    assert (said.status, said.codes) == (7, ["bad_proof"])
    assert "date, time and time zone" in said.envelope["errors"][0]["hint"]
    assert box.issued() == []
    cli.now = box.clock.now
    assert renew(cli, box).status == 0


@pytest.mark.parametrize("new_key", [False, True], ids=["same key", "new key"])
def test_a_request_of_another_hour_is_made_anew(box: Box, monkeypatch: pytest.MonkeyPatch, *, new_key: bool) -> None:
    """badTime at the first sending: 8 with the clock as the next step; the bytes that no later time makes good are not sent again,
    and the next request is of the same key.
    """
    cli = person(box)
    box.plan({"name": "refuse", "on": "kur", "fail": "badTime", "processed": False})
    more = ["--new-key"] if new_key else []
    said = renew(cli, box, *more)
    assert (said.status, said.codes) == (8, ["clock_off"])
    error = said.envelope["errors"][0]
    assert "clock of this computer" in error["message"]
    assert "safetok renew --resume" in error["hint"]
    before = box.journal()
    assert (before.state, before.hold, before.request, before.sent_count) == (
        State.REQUESTED,
        Hold.CA_UNREACHABLE,
        b"",
        0,
    )
    assert resume(cli, box).status == 0
    after = box.journal()
    assert after.transaction_id != before.transaction_id
    assert after.spki == before.spki
    assert [row["state"] for row in box.issued()] == ["confirmed"]
    assert len(box.objects()["Private Key"]) == (2 if new_key else 1)


def test_a_request_of_another_hour_is_given_up_freely(box: Box) -> None:
    """Refused unseen, it cannot have become a certificate: `--abandon` asks for no --force, and its key goes."""
    cli, before = person(box), box.objects()
    box.plan({"name": "refuse", "on": "kur", "fail": "badTime", "processed": False})
    said = renew(cli, box, "--new-key")
    identity = said.data["renewal_id"]
    assert cli.json("renew", "--abandon", identity, "--pin-stdin", stdin=f"{box.token.pin}\n").status == 0
    assert box.objects() == before
    assert renew(cli, box).status == 0


def test_a_repeated_request_of_another_hour_is_a_doubt(box: Box) -> None:
    """Sent once without an answer, then refused as too old: it may have been issued, so nothing is asked anew by itself."""
    cli = person(box)
    box.plan("cut", {"name": "refuse", "on": "kur", "fail": "badTime", "times": 2})
    assert renew(cli, box).status == 8
    request = box.journal().request
    said = resume(cli, box)
    assert (said.status, said.codes) == (11, ["answer_lost"])
    assert "--new-request" in said.envelope["errors"][0]["hint"]
    assert box.journal().request == request


@pytest.mark.parametrize("by", [YEAR, -YEAR], ids=["ahead", "behind"])
def test_a_wait_written_down_by_a_wrong_clock_keeps_nobody(made: Template, by: timedelta) -> None:
    """The CA said to wait while the clock was a year off: once it is right, `status` names it and the CA is asked."""
    with made.box(answer_after=DAY) as box:
        cli = person(box)
        assert renew(cli, box).status == 9
        cli.now += by
        with box.context() as context:  # as if the CA had said so now
            from safetok.store.journal import Journal

            journal = Journal(context.database)
            journal.update(journal.all()[0], now=cli.now, check_after=cli.now + timedelta(days=1))
        assert resume(cli, box).status == 9
        box.clock.turn(days=1.1)
        cli.now = box.clock.now
        due = [row["code"] for row in cli.json("status").data["due"]]
        assert "renewal_unfinished" in due
        assert resume(cli, box).status == 0
        assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_a_wait_holds_by_a_clock_that_only_goes_on(made: Template) -> None:
    """Before its time the CA is not asked, and `status` asks for nothing."""
    with made.box(answer_after=DAY) as box:
        cli = person(box)
        assert renew(cli, box).status == 9
        cli.later(hours=5)
        assert resume(cli, box).status == 9
        assert "renewal_unfinished" not in [row["code"] for row in cli.json("status").data["due"]]
