"""What a renewal asks its CA while it waits, what it takes for an answer, and what it does with one that is half right."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
from support_faults import DAY, Box, Template, configure, stopped_in

from safetok.ca.cmp.answers import Waiting
from safetok.domain.renewal import Hold, State
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.times import show_instant
from safetok.locale import _
from safetok.sandbox import messages
from safetok.sandbox.faults import WIRE
from safetok.sandbox.structures import PKIMessage
from safetok.store.journal import Journal


def change(box: Box, **changes: Any) -> None:
    """Have the row say something else."""
    with box.context() as context:
        Journal(context.database).update(box.journal(), now=context.now(), **changes)


# --- waiting ---------------------------------------------------------------------------------------------------------------


def test_when_to_come_back_is_told(made: Template) -> None:
    """The instant in words and for scripts, the command, and what the CA said of it; before that instant nobody is asked."""
    with made.box(answer_after=DAY) as box:
        came = box.renew()
        row, due = box.journal(), box.journal().check_after
        assert due is not None
        assert came.error is not None
        said = _("The CA is still working on it. Come back at {when}.").format(when=show_instant(due))
        assert came.error.message.startswith(said)
        assert came.error.message == came.error.message.strip()
        assert came.error.hint == _("Then: safetok renew --resume")
        assert came.error.data["check_after"] == due.isoformat()
        assert (row.hold, row.reason, row.cert_req_id) == (Hold.PENDING, came.error.message, 0)
        box.clock.now = due - timedelta(seconds=1)
        again = box.resume(pin=False)
        assert again.error is not None
        assert (again.status, again.error.message) == (9, said)


def test_what_the_ca_says_of_a_wait_is_told(made: Template) -> None:
    """A time of its own and a text: both are in the sentence, at the first answer and at a later one."""
    waits = Waiting(check_after=1, server_nonce=b"n" * 16, text="Chờ duyệt.", cert_req_id=0)
    with made.box(answer_after=DAY) as box:
        for days in (0, 1.1):
            came = asked(box, waits, days=days)
            due = box.journal().check_after
            assert due == box.clock.now + timedelta(seconds=1)
            assert came.error is not None
            assert (came.status, came.state) == (9, "PENDING")
            assert came.error.message == " ".join(
                (_("The CA is still working on it. Come back at {when}.").format(when=show_instant(due)), "Chờ duyệt.")
            )


def asked(box: Box, answer: Waiting, *, days: float = 0) -> Any:
    """Ask a CA that answers this."""
    box.clock.turn(days=days)
    with patch("safetok.ca.cmp.answers.read_answer", return_value=answer):
        return box.resume() if days else box.renew()


def test_an_unanswered_question_moves_no_date(made: Template) -> None:
    """Asked at its very instant without an answer, the CA's date stays; one of a clock that was ahead is dropped."""
    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        due = box.journal().check_after
        assert due is not None
        box.clock.now = due
        box.plan({"name": "cut", "on": "pollReq", "times": 2})
        assert box.resume().status == 8
        assert box.journal().check_after == due
        now = box.clock.now
        box.clock.turn(days=400)
        change(box, check_after=box.clock.now + timedelta(days=1))
        box.clock.now = now
        assert box.resume().status == 8
        assert box.journal().check_after is None
        assert box.resume().state == "DONE"


def test_the_final_answer_may_name_the_question_or_the_request(made: Template) -> None:
    """CAs differ in whose nonce they repeat at the end of a wait: that of the last pollReq, or of the request itself."""
    from safetok.ca.cmp.answers import read_answer

    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        box.clock.turn(days=1.1)
        with patch("safetok.ca.cmp.answers.read_answer", side_effect=read_answer) as read:
            assert box.resume().state == "DONE"
        row = box.journal()
        assert read.call_args_list[0].kwargs["nonces"] == {row.sender_nonce, row.poll_nonce}
        assert row.sender_nonce != row.poll_nonce


def test_a_question_names_what_the_ca_named(made: Template) -> None:
    """The number that the CA gave the request is in the question after it, and in the confirmation."""
    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        change(box, cert_req_id=-1)
        box.clock.turn(days=1.1)
        box.plan({"name": "cut", "on": "pollReq", "processed": False})
        assert box.resume().status == 8
        (asks,) = PKIMessage.load(box.journal().poll)["body"].chosen
        assert asks["certReqId"].native == -1


def test_the_confirmation_names_what_the_answer_named(box: Box) -> None:
    """certReqId of the answer, kept in the row from when it came."""
    stopped_in(box, "tokens.sessions.Session.place_certificate")
    assert (box.journal().cert_req_id, box.journal().receipt) == (0, "")
    change(box, cert_req_id=-1)
    box.plan({"name": "cut", "on": "certConf", "processed": False})
    assert box.resume().status == 8
    (confirms,) = PKIMessage.load(box.journal().confirmation)["body"].chosen
    assert confirms["certReqId"].native == -1


def test_a_clock_that_is_off_while_waiting_is_no_new_request(made: Template) -> None:
    """badTime to a question: not now, as every temporary no; the request stays what it was."""
    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        request = box.journal().request
        box.clock.turn(days=1.1)
        box.plan({"name": "refuse", "on": "pollReq", "fail": "badTime", "processed": False})
        came = box.resume()
        assert (came.status, came.code, came.state) == (8, "ca_busy", "PENDING")
        assert (box.journal().request, box.journal().poll) == (request, b"")
        assert box.resume().state == "DONE"


def test_how_often_it_was_asked_is_told(made: Template) -> None:
    """A doubt says how often the request or the question after it went out."""
    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        box.clock.turn(days=1.1)
        box.plan({"name": "cut", "on": "pollReq"}, {"name": "refuse", "on": "pollReq", "fail": "badRequest"})
        assert box.resume().status == 8
        came = box.resume()
        assert came.error is not None
        assert came.error.message == _(
            "The CA refuses a request that was sent {n} times: {why}. The certificate may have been issued."
        ).format(n=2, why="Từ chối")
        assert came.error.hint == _(
            "Give the CA this transaction number: {id}. Only if it has issued nothing by it: safetok renew --new-request"
        ).format(id=box.journal().transaction_id.hex().upper())


# --- answers to another question -----------------------------------------------------------------------------------------


def test_a_confirmation_is_no_answer_to_a_request(box: Box) -> None:
    """Rightly signed and of this transaction, but to another question: 8, nothing follows, the same bytes again."""

    def confirms(spoilt: Any) -> Any:
        received = messages.read(spoilt.raw)
        return spoilt.sent(messages.write(messages.confirmed(), spoilt.pki, spoilt.signer, received, box.clock.now).der)

    with patch.dict(WIRE, {"confirms": confirms}):
        box.plan({"name": "confirms", "on": "kur"})
        came = box.renew()
    assert (came.status, came.code, came.state) == (8, "unexpected_answer", "REQUESTED")
    assert box.journal().hold is Hold.CA_UNREACHABLE
    assert box.resume().state == "DONE"
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_a_certificate_is_no_answer_to_a_confirmation(box: Box) -> None:
    """The same the other way round: it waits, and the status of the certificate is not asked for."""
    answers: list[bytes] = []

    def certifies(spoilt: Any) -> Any:
        received = messages.read(spoilt.raw)
        body = PKIMessage.load(answers[0])["body"].dump()
        return spoilt.sent(messages.write(body, spoilt.pki, spoilt.signer, received, box.clock.now).der)

    def kept(spoilt: Any) -> Any:
        answers.append(spoilt.reply.body)
        return spoilt.reply

    with (
        patch.dict(WIRE, {"kept": kept, "certifies": certifies}),
        patch("safetok.workflows.renew.confirming.new_status") as status,
    ):
        box.plan({"name": "kept", "on": "kur"}, {"name": "certifies", "on": "certConf"})
        came = box.renew()
    assert (came.status, came.code, came.state) == (8, "unexpected_answer", "PROVEN")
    assert not status.called
    assert box.resume(pin=False).state == "DONE"


# --- what is as confirmed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "by", "state"),
    [
        ("", "offer", "UNTRUSTED"),
        ("", "user", "DONE"),
        ('validity = "ca"', "offer", "DONE"),
        ('validity = "exact"', "user", "UNTRUSTED"),
        ('request = "p10cr"', "offer", "DONE"),
        ('request = "p10cr"\nvalidity = "exact"', "offer", "DONE"),
    ],
)
def test_whether_a_day_less_is_believed(box: Box, line: str, by: str, state: str) -> None:
    """An offer's end is exact, a date that a person named is a wish; the settings decide first, and a p10cr cannot ask."""
    if line:
        configure(box, line)
    box.plan("cut", "shorter")
    assert box.renew().status == 8
    change(box, contract_end_by=by)
    assert box.resume().state == state


def test_a_floor_holds(box: Box) -> None:
    """`--min-not-after`, kept in the row, is asked of the certificate that comes: 10 below it."""
    box.plan({"name": "cut", "on": "kur"})
    assert box.renew().status == 8
    requested = box.journal().requested_not_after
    assert requested is not None
    change(box, min_not_after=requested + timedelta(days=1))
    came = box.resume()
    assert (came.status, came.state) == (10, "UNTRUSTED")
    assert [row["state"] for row in box.issued()] == ["undone"]


def test_confirmation_is_left_out_only_where_the_ca_agreed(box: Box) -> None:
    """`implicit_confirm` in the settings is no word of the CA's: where its answer does not grant it, certConf is sent."""
    box.plan("cut")
    assert box.renew().status == 8
    configure(box, "implicit_confirm = true")
    assert box.resume().state == "DONE"
    assert box.journal().receipt == "seen"
    (transaction,) = box.transactions()
    assert transaction.confirmation


# --- halves ---------------------------------------------------------------------------------------------------------------------


def half_written(box: Box) -> AbstractContextManager[Any]:
    """A token that takes the first half of a certificate only, and dies."""
    from safetok.tokens.sessions import Session

    call = Session._call

    def half(self: Session, operation: Any, name: str, *more: Any, **given: Any) -> Any:
        if name != "place_certificate":
            return call(self, operation, name, *more, **given)
        fields = given["fields"]
        given["fields"] = {**fields, "value": fields["value"][: len(fields["value"]) // 2]}
        call(self, operation, name, *more, **given)
        raise KeyboardInterrupt

    return patch("safetok.tokens.sessions.Session._call", half)


@pytest.mark.parametrize("then", ["resume", "abandon", "lapse"])
def test_half_a_certificate_is_not_left_behind(made: Template, then: str) -> None:
    """Whichever way it goes on, the half that was written goes: for a whole one, or for none."""
    with made.box(confirm_wait=3600) as box:
        before = box.objects()
        with half_written(box), pytest.raises(KeyboardInterrupt):
            box.renew(new_key=True)
        assert box.journal().state is State.VERIFIED
        if then == "lapse":
            box.clock.turn(hours=2)
        came = box.abandon() if then == "abandon" else box.resume()
        assert came.state == {"resume": "DONE", "abandon": "ABANDONED", "lapse": "LAPSED"}[then]
        after = box.objects()
    assert len(after["Certificate"]) == len(before["Certificate"]) + (then == "resume")
    assert after == before or then == "resume"


def test_a_certificate_that_was_taken_back_is_given_up(box: Box) -> None:
    """The CA refuses the rejecting certConf, but says itself that the certificate is revoked: given up, all of it removed."""
    before = box.objects()
    stopped_in(box, "workflows.renew.writing.prove", new_key=True)
    box.plan({"name": "refuse", "on": "certConf", "fail": "badRequest", "processed": False})
    with patch("safetok.workflows.renew.confirming.new_status", return_value=RevocationAnswer.REVOKED):
        came = box.abandon()
    assert (came.status, came.state) == (0, "ABANDONED")
    assert box.objects() == before
