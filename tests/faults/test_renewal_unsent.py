"""What never left this computer was not asked: it leaves no doubt behind, and its age is not the clock's fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from support_faults import DAY, Box, Template

from safetok.ca.cmp import transport
from safetok.domain.renewal import Hold, State

REFUSED = {"name": "refuse", "on": "kur", "fail": "badPOP", "processed": False}
NO_TIME = {"name": "refuse", "on": "pollReq", "fail": "badTime", "processed": False}


@contextmanager
def ca_down() -> Iterator[None]:
    """The offers' server answers; the CMP server takes no connection."""
    real = transport.send

    def send(http: Any, *args: Any, **given: Any) -> bytes:
        http.close()
        with patch("safetok.net.exchange.addresses_of", return_value=()):
            return real(http, *args, **given)

    with patch.object(transport, "send", send):
        yield


def test_a_request_that_met_no_server_is_refused_like_a_first_one(box: Box) -> None:
    """Sent once as the CA counts: its no is the end (7), and takes the new key with it."""
    before = box.objects()
    with ca_down():
        came = box.renew(new_key=True)
        assert (came.status, came.code, came.state) == (8, "ca_unreachable", "REQUESTED")
        assert came.error is not None
        assert "Chưa xin cấp gì" in came.error.message
        assert box.resume(pin=False).status == 8, "the same bytes, without a PIN"
    assert (box.journal().sent_count, box.journal().hold) == (0, Hold.CA_UNREACHABLE)
    box.plan(REFUSED)
    came = box.resume()
    assert (came.status, came.code, came.state) == (7, "ca_refused", "REJECTED")
    assert box.objects() == before


def test_a_request_that_lay_here_for_hours_is_made_anew(box: Box) -> None:
    """The CA that comes back finds its time too old: that is no wrong clock and no lost answer, and another one follows at once."""
    with ca_down():
        assert box.renew().status == 8
    first = box.journal().transaction_id
    box.clock.turn(hours=8)
    assert box.resume().state == "DONE"
    assert box.journal().transaction_id != first
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_a_request_that_lay_here_waits_for_the_pin_of_the_next(box: Box) -> None:
    """Without the PIN it is a hold, and nothing is in doubt."""
    with ca_down():
        box.renew()
    box.clock.turn(hours=8)
    assert box.resume(pin=False).status == 11
    assert (box.journal().hold, box.journal().sent_count) == (Hold.NEED_PIN, 0)
    assert box.resume().state == "DONE"


def test_what_was_sent_once_stays_in_doubt_while_the_ca_is_down(box: Box) -> None:
    """One that went out and one that did not are one."""
    box.plan({"name": "cut", "on": "kur", "processed": False})
    assert box.renew().status == 8
    with ca_down():
        came = box.resume()
    assert came.error is not None
    assert "Chưa xin cấp gì" not in came.error.message
    assert box.journal().sent_count == 1
    box.plan(REFUSED)
    assert box.resume().code == "answer_lost"


def test_what_was_never_sent_is_given_up_freely(box: Box) -> None:
    """No --force: the CA cannot have issued anything."""
    with ca_down():
        box.renew()
    assert box.abandon().state == "ABANDONED"
    assert box.issued() == []


def test_a_question_that_met_no_server_is_refused_like_a_first_one(made: Template) -> None:
    """A poll that never went out: the CA's no to the next is the end, not a doubt."""
    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        box.clock.turn(days=1.1)
        with ca_down():
            assert box.resume().status == 8
        box.plan({**REFUSED, "on": "pollReq"})
        assert box.resume().state == "REJECTED"


def test_an_old_question_is_not_asked_for_ever(made: Template) -> None:
    """A poll whose answer was lost is too old for the CA a day later: another is made, and the doubt stays."""
    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        box.clock.turn(days=1.1)
        box.plan({"name": "cut", "on": "pollReq", "processed": False})
        assert box.resume().status == 8
        old = box.journal().poll
        box.clock.turn(days=1)
        box.plan(NO_TIME, {**REFUSED, "on": "pollReq"})
        came = box.resume()
        assert (came.code, box.journal().state) == ("answer_lost", State.PENDING)
        assert box.journal().poll != old
        assert box.resume().state == "DONE"
