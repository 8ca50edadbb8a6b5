"""Renewals that a person gives up, wherever they stand, and several that wait at once: what is asked, told, taken back, kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import pytest
from support_faults import DAY, Box, Template, put, stopped_in

from safetok.domain.renewal import Hold, State
from safetok.errors import CaUnreachable, NoToken, PersonNeeded, UsageError
from safetok.locale import _
from safetok.store.journal import Journal
from safetok.workflows.history import state_word
from safetok.workflows.renew import unfinished

ABANDONED = {
    # plan, how often to resume before, state it stands in, force, status, ledger
    "REQUESTED, not heard": ([{"name": "cut", "processed": False}], State.REQUESTED, True, 0, []),
    "REQUESTED, issued": (["cut"], State.REQUESTED, True, 0, ["issued"]),
    "PROVEN, not heard": ([{"name": "cut", "on": "certConf", "processed": False}], State.PROVEN, False, 0, ["undone"]),
    "PROVEN, confirmed": ([{"name": "cut", "on": "certConf"}], State.PROVEN, False, 11, ["confirmed"]),
}


@pytest.mark.parametrize("case", ABANDONED)
def test_giving_up(box: Box, case: str) -> None:
    """`--abandon`: our key goes, a certificate that the CA takes back goes, one that stands is never lost."""
    plans, state, force, status, ledger = ABANDONED[case]
    before = box.objects()
    box.plan(*plans)
    assert box.renew(new_key=True).status == 8
    assert box.journal().state is state
    if force:
        refused = box.abandon()
        assert (refused.status, refused.code) == (11, "may_have_been_issued")
        assert box.journal().state is state
    came = box.abandon(force=force)
    assert came.status == status
    assert [row["state"] for row in box.issued()] == ledger
    if status == 0:
        assert box.journal().state is State.ABANDONED
        assert box.objects() == before
        assert box.resume().result is None
    else:
        assert came.code == "too_late_to_abandon"
        done = box.resume(pin=False)
        assert (done.status, done.state) == (0, "DONE"), "the accepting certConf is still the stored one"


@pytest.mark.parametrize("new_key", [False, True])
@pytest.mark.parametrize(
    ("dies_in", "state", "ledger"),
    [
        ("ca.cmp.requests.build_request", State.CONFIRMED, []),
        ("trust.answer.verify_answer", State.REQUESTED, ["issued"]),
        ("tokens.sessions.Session.place_certificate", State.VERIFIED, ["undone"]),
        ("workflows.renew.writing.prove", State.VERIFIED, ["undone"]),
    ],
)
def test_giving_up_what_was_interrupted(
    box: Box, dies_in: str, state: State, ledger: list[str], *, new_key: bool
) -> None:
    """Killed at a step and then given up: the token is as it was, and the CA knows when it had issued."""
    before = box.objects()
    with patch(f"safetok.{dies_in}", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        box.renew(new_key=new_key)
    assert box.journal().state is state
    came = box.abandon(force=state is State.REQUESTED)
    assert (came.status, came.state) == (0, "ABANDONED")
    assert [row["state"] for row in box.issued()] == ledger
    assert box.objects() == before
    assert box.resume().result is None


@pytest.mark.parametrize("new_key", [False, True])
def test_what_was_given_up_without_its_token_is_given_back_with_it(box: Box, *, new_key: bool) -> None:
    """The CA hears of it once the token is in again, the certificate leaves it, and the renewal that was asked for is made."""
    before = box.objects()
    box.plan({"name": "cut", "on": "certConf", "processed": False})
    assert box.renew(new_key=new_key).status == 8
    with token_out(box):
        waits = box.abandon(force=True)
        assert (waits.status, waits.state) == (3, "ABANDONED")
    came = box.resume()
    assert (came.status, came.state) == (0, "ABANDONED")
    assert box.objects() == before
    assert box.renew().state == "DONE"
    assert [row["state"] for row in box.issued()] == ["undone", "confirmed"]


@pytest.mark.parametrize("new_key", [False, True])
def test_what_was_given_up_and_stands_is_never_destroyed(box: Box, *, new_key: bool) -> None:
    """The confirmation had arrived: its certificate and its key stay, and its person is told how to take it over."""
    box.plan({"name": "cut", "on": "certConf"})
    assert box.renew(new_key=new_key).status == 8
    there = box.objects()
    with token_out(box):
        assert box.abandon(force=True).status == 3
    came = box.abandon(force=True) if new_key else box.renew()
    assert (came.status, came.code) == (11, "certificate_stands")
    assert came.error is not None
    assert "safetok certs adopt --cert" in came.error.hint
    assert box.objects() == there
    assert box.journal().finished
    assert box.renew(pin=False).state == "NOTHING_DUE"
    assert [row["state"] for row in box.issued()] == ["confirmed"]


@contextmanager
def token_out(box: Box) -> Iterator[None]:
    """Pulled out, and in again afterwards."""
    (folder,) = [one for one in box.places.tokens.iterdir() if one.name.replace("-", "").endswith(box.token.serial)]
    away = folder.rename(box.places.folder / "away")
    try:
        yield
    finally:
        away.rename(folder)


def test_giving_up_a_lie_that_waits_for_a_pin(box: Box) -> None:
    """ISSUED and not yet rejected: abandoning rejects it."""
    box.plan("cut", "nonsense")
    box.renew()
    box.resume(pin=False)
    assert box.journal().state is State.ISSUED
    came = box.abandon()
    assert (came.status, came.state) == (0, "ABANDONED")
    assert [row["state"] for row in box.issued()] == ["undone"]


def test_giving_up_while_waiting(made: Template) -> None:
    """PENDING is given up only with --force, and shown as one that may have been issued."""
    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        assert box.abandon().code == "may_have_been_issued"
        came = box.abandon(force=True)
        assert (came.status, came.state) == (0, "ABANDONED")
        assert "may have been issued" in box.journal().reason or "có thể đã" in box.journal().reason


def test_giving_up_that_the_ca_does_not_hear_changes_nothing(box: Box) -> None:
    """The rejection does not arrive: 8, the renewal stands where it stood, and can still be finished."""
    box.plan(
        {"name": "cut", "on": "certConf", "processed": False}, {"name": "cut", "on": "certConf", "processed": False}
    )
    assert box.renew().status == 8
    stored = box.journal().confirmation
    came = box.abandon()
    assert (came.status, came.state) == (8, "PROVEN")
    assert box.journal().confirmation == stored
    done = box.resume(pin=False)
    assert (done.status, done.state) == (0, "DONE")
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_giving_up_that_the_ca_cannot_take_now_says_so(box: Box) -> None:
    """A CA that is busy has not said that the certificate stands: it is asked again later."""
    box.plan({"name": "cut", "on": "certConf", "processed": False})
    assert box.renew().status == 8
    box.plan({"name": "refuse", "on": "certConf", "fail": "systemUnavail", "processed": False})
    came = box.abandon()
    assert (came.status, came.code, box.journal().state) == (8, "ca_busy", State.PROVEN)
    assert came.error is not None
    assert f"--abandon {box.journal().id}" in came.error.hint, "--resume would finish it"
    assert box.abandon().state == "ABANDONED"
    assert [row["state"] for row in box.issued()] == ["undone"]


def test_giving_up_without_a_pin_says_so(box: Box) -> None:
    """The rejection needs the token: 11 pin_needed, nothing changed."""
    box.plan({"name": "cut", "on": "certConf", "processed": False})
    box.renew()
    came = box.abandon(pin=False)
    assert (came.status, came.code, came.state) == (11, "pin_needed", "PROVEN")
    assert box.resume(pin=False).status == 0


def test_a_rejected_and_an_untrusted_one_are_over(box: Box) -> None:
    """What has ended cannot be given up: there is nothing of that name left."""
    box.plan({"name": "refuse", "on": "kur", "fail": "badRequest", "processed": False})
    assert box.renew().status == 7
    assert box.abandon().code == "unknown_renewal"
    box.plan("other_subject")
    assert box.renew().status == 10
    assert box.abandon().code == "unknown_renewal"


def test_an_end_that_waits_for_its_token_keeps_the_ca_s_reason(box: Box) -> None:
    """The key made for it is still to be removed: it is told as the refusal it is, now and later, not as a token pulled out."""
    box.plan({"name": "refuse", "on": "kur", "fail": "badRequest", "processed": False})
    with patch("safetok.tokens.sessions.Session.destroy_keys", side_effect=NoToken("gone")):
        came = box.renew(new_key=True)
    reason = box.journal().reason
    assert (came.status, came.code, box.journal().hold) == (7, "ca_refused", Hold.NEED_TOKEN)
    assert came.error is not None
    assert reason in came.error.message
    with box.context() as context:
        ends = [one for one in Journal(context.database).events(box.journal().id) if one.state is State.REJECTED]
    assert {one.reason for one in ends} == {reason}
    assert not box.journal().finished
    assert (box.resume().code, box.journal().reason, box.journal().finished) == ("ca_refused", reason, True)


def test_what_was_never_sent_is_given_up_with_a_word(box: Box) -> None:
    """Before the request: free, and the row says that it was given up, not that there may be a certificate."""
    stopped_in(box, "ca.cmp.requests.build_request", new_key=True)
    came = box.abandon()
    assert came.result is not None
    assert (came.state, came.result.reasons) == ("ABANDONED", (_("given up"),))
    assert (box.journal().reason, box.journal().cleaned) == (_("given up"), True)


@pytest.mark.parametrize("state", ["REQUESTED", "PENDING"])
def test_what_was_sent_is_given_up_only_with_force(made: Template, state: str) -> None:
    """Without it: 11, what may have happened and what to try first; with it the row keeps the doubt."""
    with made.box(answer_after=DAY) as box:
        if state == "REQUESTED":
            box.plan("cut")
        box.renew()
        assert box.journal().state == state
        came = box.abandon(pin=False)
        assert isinstance(came.error, PersonNeeded)
        assert (came.status, came.code) == (11, "may_have_been_issued")
        assert came.error.message == _(
            "The request was sent: a certificate may have been issued. It is given up only with --force."
        )
        assert came.error.hint == _("First try: safetok renew --resume")
        assert came.error.token == box.token.serial
        assert box.journal().state == state
        assert box.abandon(pin=False, force=True).state == "ABANDONED"
        assert box.journal().reason == _("given up; a certificate may have been issued")


def test_what_the_ca_refused_unseen_is_given_up_freely(box: Box) -> None:
    """REQUESTED without a request, after `clock_off`: no --force, and no doubt in the row."""
    box.plan({"name": "refuse", "on": "kur", "fail": "badTime", "processed": False})
    assert box.renew().code == "clock_off"
    assert box.journal().state is State.REQUESTED
    assert box.abandon().state == "ABANDONED"
    assert box.journal().reason == _("given up")


def test_what_cannot_be_given_up_says_so(box: Box) -> None:
    """Neither a renewal of another name nor one that is ending: 2 and 11, each with the next step, and nothing moves."""
    box.plan({"name": "cut", "on": "certConf"})
    assert box.renew().status == 8
    put(box, State.ACKNOWLEDGED, receipt="seen")
    ending = box.abandon()
    assert ending.error is not None
    assert ending.error.message == _("This renewal is too far to be given up: {state}.").format(
        state=state_word(State.ACKNOWLEDGED)
    )
    assert (ending.code, ending.error.hint) == ("too_late_to_abandon", _("Finish it: safetok renew --resume"))
    assert ending.error.token == box.token.serial
    with box.context() as context, pytest.raises(UsageError) as unknown:
        unfinished.abandon(context, "nobody", box.request(), force=True)
    assert unknown.value.code == "unknown_renewal"
    assert unknown.value.message == _("No unfinished renewal is called {id}.").format(id="nobody")
    assert unknown.value.hint == _("See them: safetok renew --list")
    assert box.journal().state is State.ACKNOWLEDGED
    assert box.resume(pin=False).state == "DONE"


def test_one_is_given_up_and_the_other_stays(box: Box) -> None:
    """Two unfinished renewals: the one that is named is given up."""
    names = {}
    for token in box.tokens:
        box.story = token.story
        box.plan("cut")
        assert box.renew().status == 8
        names[token.serial] = box.journal().id
    gone, kept = names
    with box.context() as context:
        result = unfinished.abandon(context, names[gone], box.request(pin=False), force=True)
        assert (result.renewal_id, result.token, result.state) == (names[gone], gone, "ABANDONED")
        assert [(row.id, row.token_serial) for row in Journal(context.database).unfinished()] == [(names[kept], kept)]


def test_of_several_one_that_waits_stops_no_other(box: Box) -> None:
    """The first is still not heard, the second is done: both are told, each with its own token; one token alone when asked."""
    serials = []
    for token in box.tokens:
        box.story = token.story
        box.plan({"name": "cut", "on": "certConf"})
        assert box.renew().status == 8
        serials.append(token.serial)
        box.clock.turn(seconds=1)  # the oldest comes first
    nobody = box.request(pin=False)
    box.plan({"name": "cut", "on": "certConf", "times": 3})
    with box.context() as context:
        done, failed = unfinished.resume(context, replace(nobody, serial=serials[1]))
        assert (done, [error.token for error in failed]) == ([], [serials[1]])
        done, failed = unfinished.resume(context, replace(nobody, serial=None))
        assert (done, [error.token for error in failed]) == ([], serials)
        assert isinstance(failed[0], CaUnreachable)
        box.plan({"name": "cut", "on": "certConf"})
        done, failed = unfinished.resume(context, replace(nobody, serial=None))
    assert [error.token for error in failed] == serials[:1]
    assert [(result.token, result.state) for result in done] == [(serials[1], "DONE")]


def test_a_new_request_is_made_for_the_token_whose_answer_was_lost(box: Box) -> None:
    """Two tokens in, none named: --new-request on resume is for the one that has the lost renewal."""
    box.plan("cut", {"name": "refuse", "on": "kur", "fail": "transactionIdInUse"})
    assert [came.status for came in (box.renew(), box.resume())] == [8, 11]
    box.clock.turn(hours=30)  # the CA takes back what nobody confirmed
    with box.context() as context:
        done, failed = unfinished.resume(context, replace(box.request(new_request=True), serial=None))
    assert failed == []
    assert [(result.token, result.state) for result in done] == [(box.token.serial, "DONE")]


def test_a_pin_given_for_one_token_carries_its_renewal_on(box: Box) -> None:
    """One PIN and one unfinished renewal, no token named: it is that token's."""
    stopped_in(box, "tokens.sessions.Session.place_certificate")
    with box.context() as context:
        done, failed = unfinished.resume(context, replace(box.request(), serial=None))
    assert ([result.state for result in done], failed) == (["DONE"], [])
