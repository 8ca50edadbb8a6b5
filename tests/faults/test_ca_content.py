"""Certificates under the CA's right signature that must not be written."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from support_faults import DAY, Box, Template

from safetok.domain.renewal import State
from safetok.sandbox.faults import CONTENT
from safetok.sandbox.structures import PKIMessage

LIES = {
    "other_key": "badCertTemplate",
    "weak_key": "badCertTemplate",
    "other_subject": "badCertTemplate",
    "same_serial": "incorrectData",
    "shorter": "badCertTemplate",
    "longer": "badCertTemplate",
    "not_later": "badCertTemplate",
    "ca": "unacceptedExtension",
    "sha1": "badAlg",
    "foreign_issuer": "wrongAuthority",
    "stranger_issuer": "wrongAuthority",
    "expired_ca": "badCertTemplate",
    "nonsense": "badDataFormat",
}


def told(confirmation: bytes) -> tuple[int, set[str]]:
    """PKIStatus and failInfo of a certConf."""
    (status,) = PKIMessage.load(confirmation, strict=True)["body"].chosen
    return int(status["statusInfo"]["status"].native), status["statusInfo"]["failInfo"].native


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_ca_gets_nothing_written(box: Box, lie: str) -> None:
    """10, UNTRUSTED, the token as it was, the CA has a rejecting certConf and has undone its update."""
    before = box.objects()
    box.plan(lie)
    came = box.renew()
    assert (came.status, came.state) == (10, "UNTRUSTED")
    assert box.unused_plans() == []
    assert box.objects() == before
    (row,) = box.issued()
    assert row["state"] == "undone"
    (transaction,) = box.transactions()
    assert transaction.confirmation, "the CA was told"
    assert told(box.journal().confirmation) == (2, {LIES[lie]})
    assert box.states()[-2:] == [State.ISSUED, State.UNTRUSTED]
    assert box.renew().status == 0, "the old certificate can be renewed again"


def test_a_certificate_without_an_end_is_too_long(box: Box) -> None:
    """notAfter 99991231235959Z from the CA (RFC 5280 section 4.1.2.5) is a lie like "longer", told to the CA and undone."""
    endless = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    with patch.dict(CONTENT, {"endless": lambda case: case.again(not_after=endless)}):
        box.plan("endless")
        came = box.renew()
    assert (came.status, came.state) == (10, "UNTRUSTED")
    assert "31/12/9999" in str(came.error)
    assert [row["state"] for row in box.issued()] == ["undone"]


def test_a_lie_s_new_key_is_destroyed_and_nothing_else(box: Box) -> None:
    """With --new-key, UNTRUSTED leaves exactly the objects that were there before."""
    before = box.objects()
    box.plan("other_subject")
    assert box.renew(new_key=True).state == "UNTRUSTED"
    assert box.objects() == before


def test_a_lie_found_out_on_resume_without_a_pin_waits_for_it(box: Box) -> None:
    """The rejection needs the token's signature: the lie is stored, held, and rejected once the PIN is there."""
    box.plan("cut", "shorter")
    assert box.renew().status == 8
    assert [p["name"] for p in box.unused_plans()] == []
    held = box.resume(pin=False)
    assert held.status == 11
    assert held.code == "pin_needed"
    came = box.resume()
    assert (came.status, came.state) == (10, "UNTRUSTED")
    assert [row["state"] for row in box.issued()] == ["undone"]


def test_a_lie_in_the_answer_to_a_question_is_found_out_on_resume(made: Template) -> None:
    """The final answer names the nonce of the last question, which the stored answer is read with again."""
    with made.box(answer_after=DAY) as box:
        box.plan("other_subject")
        assert box.renew().status == 9
        box.clock.turn(days=1.1)
        with (
            pytest.raises(KeyboardInterrupt),
            patch("safetok.workflows.renew.sending.signed_confirmation", side_effect=KeyboardInterrupt),
        ):
            box.resume()
        assert box.journal().state is State.ISSUED
        came = box.resume()
        assert (came.status, came.state) == (10, "UNTRUSTED")
        assert [row["state"] for row in box.issued()] == ["undone"]


def test_a_rejection_that_does_not_arrive_is_sent_again(box: Box) -> None:
    """The rejecting certConf is stored: the same bytes go out, without token or PIN, until the CA has them."""
    box.plan("longer", {"name": "cut", "on": "certConf", "processed": False}, {"name": "html", "on": "certConf"})
    came = box.renew()
    assert (came.status, came.state) == (10, "UNTRUSTED")
    assert [row["state"] for row in box.issued()] == ["issued"]
    stored = box.journal().confirmation
    assert box.resume(pin=False).status == 10
    assert box.resume(pin=False).status == 10
    assert box.journal().confirmation == stored
    assert box.journal().finished
    assert [row["state"] for row in box.issued()] == ["undone"]
    assert box.renew().status == 0


def test_a_rejection_whose_time_is_over_ends(made: Template) -> None:
    """After confirmWaitTime the CA has undone its update by itself: nothing more is sent."""
    with made.box(confirm_wait=3600) as box:
        box.plan("longer", {"name": "cut", "on": "certConf", "processed": False, "times": 99})
        assert box.renew().status == 10
        box.clock.turn(hours=2)
        assert box.resume(pin=False).status == 10
        assert box.journal().finished
        box.authority.books.settle(box.clock.now)
        assert [row["state"] for row in box.issued()] == ["undone"]
