"""The old certificate after a renewal: whether its CA took it back as it issued the new one is asked, not supposed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from support_faults import Box, Nobody, stopped_in

from safetok.domain import certificates
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.errors import UsageError
from safetok.sandbox.issuing import CmpService
from safetok.store.answers import Answers
from safetok.workflows import check
from safetok.workflows.agencies import listing
from safetok.workflows.known import Selection


def _signing(box: Box) -> set[str]:
    """What to sign with today, of every agency that has not learned the new one."""
    with box.context() as context:
        return {one.answer for one in listing(context, Selection()).signing.values()}


def test_the_old_one_is_asked_about_once_the_new_one_is_there(box: Box) -> None:
    """Good still, by an answer that came after the new one: `agencies list` says to sign with it, without another command."""
    assert box.renew().state == "DONE"
    with box.context() as context:
        old = certificates.parse(box.journal().old_certificate)
        heard = Answers(context.database).revocation(old.sha256)
    assert heard is not None
    assert heard.answer is RevocationAnswer.GOOD
    assert heard.checked_at >= box.journal().updated_at
    assert _signing(box) == {"old"}


@pytest.mark.parametrize("standing", ["revoked", "suspended"])
def test_a_ca_that_takes_the_old_one_back_is_told_of(box: Box, standing: str) -> None:
    """It does so with the confirmation: the renewal is done, 0, and its person is warned not to sign with the old one."""
    confirm = CmpService._confirm

    def confirm_and_take_back(service: CmpService, *given: object) -> object:
        answer = confirm(service, *given)  # type: ignore[arg-type]
        old = box.authority.books.entries[box.journal().old_serial]
        box.authority.books.keep(entries=(replace(old, standing=standing, since=box.clock.now),))  # type: ignore[arg-type]
        return answer

    warned: list[str] = []
    with (
        patch.object(CmpService, "_confirm", confirm_and_take_back),
        patch.object(Nobody, "warn", lambda _self, text: warned.append(text)),
    ):
        assert box.renew().state == "DONE"
    assert [text for text in warned if box.journal().old_serial in text and "không ký bằng CTS này nữa" in text]
    assert _signing(box) == {"neither"}


def test_what_hinders_the_question_changes_nothing(box: Box) -> None:
    """The renewal is done all the same; what was heard of the old one before is not taken for an answer since."""
    ask, times = check.ask_now, 0

    def ask_once(*given: Any, **more: Any) -> Revocation:
        nonlocal times
        times += 1
        if times > 1:
            raise UsageError("the file of its issuers has gone")
        answer = ask(*given, **more)
        box.clock.turn(seconds=1)
        return answer

    with patch.object(check, "ask_now", ask_once):
        assert box.renew().state == "DONE"
    assert times == 2
    assert _signing(box) == {"unchecked"}


@pytest.mark.parametrize("again", ["resume", "renew"])
def test_a_renewal_that_was_carried_on_asks_as_well(box: Box, again: str) -> None:
    """Begun in one run and done in another: what was heard before the new one came says nothing of today."""
    stopped_in(box, "workflows.renew.confirming.send_confirmation")
    box.clock.turn(seconds=2)
    assert (box.resume() if again == "resume" else box.renew()).state == "DONE"
    assert _signing(box) == {"old"}


def test_who_does_not_wait_for_the_answer_is_told_what_is_done(box: Box) -> None:
    """Ctrl-C while a slow server is asked ends the question, not the report of the renewal."""
    ask, times = check.ask_now, 0

    def ask_once(*given: Any, **more: Any) -> Revocation:
        nonlocal times
        times += 1
        if times > 1:
            raise KeyboardInterrupt
        return ask(*given, **more)

    with patch.object(check, "ask_now", ask_once):
        assert box.renew().state == "DONE"
    assert times == 2
