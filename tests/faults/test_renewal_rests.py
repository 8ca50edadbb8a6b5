"""Where a renewal rests, what it says there, and how each state is carried on: the rows of the resume table one by one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from typing import Any
from unittest.mock import patch

import pytest
from support_faults import Box, Nobody, Template, opened, put, stopped_in, tool

from safetok.cli import words
from safetok.cli.run import Outcome
from safetok.domain import certificates
from safetok.domain.certificates import Certificate
from safetok.domain.renewal import Hold, Renewal, State
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.times import rfc3339
from safetok.errors import (
    CaUnreachable,
    CertificateRevoked,
    ExitStatus,
    Interrupted,
    PinWrong,
    SafetokError,
    SeveralTokens,
    UsageError,
)
from safetok.locale import _
from safetok.sandbox.softhsm import module as softhsm_module
from safetok.store.journal import Journal
from safetok.workflows.certs import listing
from safetok.workflows.renew import unfinished
from safetok.workflows.tokens import look

ASKS_AGAIN = _("`safetok renew --resume` asks for the result again; it does not ask for a second certificate.")
REFUSE_CONFIRMATION = {"name": "refuse", "on": "certConf", "fail": "badRequest", "processed": False, "times": 9}


def certificate_of(renewal: Renewal) -> Certificate:
    return certificates.parse(renewal.certificate)


# --- the last word ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "exit_status", "code", "state"),
    [
        (RevocationAnswer.GOOD, 0, "", "DONE"),
        (RevocationAnswer.REVOKED, 11, "lapsed", "LAPSED"),
        (RevocationAnswer.SUSPENDED, 9, "new_suspended", "PROVEN"),
        (RevocationAnswer.UNKNOWN, 9, "receipt_unseen", "PROVEN"),
    ],
)
def test_a_refused_confirmation_is_settled_by_the_status(
    box: Box, status: RevocationAnswer, exit_status: int, code: str, state: str
) -> None:
    """Good: done. Revoked: taken back. Suspended (which can be lifted) or not known: it waits, and is done when the CA takes the
    confirmation.
    """
    box.plan(REFUSE_CONFIRMATION)
    with patch("safetok.workflows.renew.confirming.new_status", return_value=status) as asked:
        came = box.renew()
    assert (came.status, came.code, came.state) == (exit_status, code, state)
    ((run,), _named) = asked.call_args
    assert run.renewal.id == box.journal().id
    row = box.journal()
    if status is RevocationAnswer.GOOD:
        assert row.receipt == "seen"
        assert opened(box) > 0
    elif status in {RevocationAnswer.UNKNOWN, RevocationAnswer.SUSPENDED}:
        assert row.hold is Hold.PENDING
        assert opened(box) == 0
        box.plan()
        assert box.resume(pin=False).state == "DONE"
    else:
        assert row.reason
        assert opened(box) == 0


@contextmanager
def no_status_named() -> Iterator[None]:
    """As if the new certificate named neither OCSP nor CRL."""
    with patch("safetok.trust.aia.urls", return_value=()), patch("safetok.trust.crl.urls", return_value=()):
        yield


def test_a_confirmation_that_grew_too_old_is_signed_anew(box: Box) -> None:
    """A CA that looks at its time (RFC 9483 section 3.5) has not taken it: its good status would be gone with the CA's patience."""
    lost = {"name": "cut", "on": "certConf", "processed": False}
    too_old = {"name": "refuse", "on": "certConf", "fail": "badTime", "processed": False}
    box.plan(lost, too_old, too_old)
    assert box.renew().status == 8
    old = box.journal().confirmation
    box.clock.turn(hours=8)
    came = box.resume(pin=False)
    assert (came.status, came.state, box.journal().hold) == (11, "PROVEN", Hold.NEED_PIN)
    assert box.resume().state == "DONE"
    assert box.journal().confirmation != old
    assert [row["state"] for row in box.issued()] == ["confirmed"]


@pytest.mark.parametrize("fail", ["systemUnavail", "systemFailure", "badTime"])
def test_a_ca_that_cannot_take_the_confirmation_now_is_asked_again(made: Template, fail: str) -> None:
    """While its time is not over the certificate is good without it, and says nothing; afterwards its status decides."""
    with made.box(confirm_wait=3600) as box:
        box.plan({**REFUSE_CONFIRMATION, "fail": fail})
        came = box.renew()
        assert (came.status, came.code, came.state) == (8, "ca_busy", "PROVEN")
        box.clock.turn(minutes=30)
        assert (box.resume().code, box.issued()[0]["state"]) == ("ca_busy", "issued")
        box.clock.turn(hours=1)
        assert box.resume().state == "LAPSED"
    with made.box(confirm_wait=3600) as box:
        box.plan({**REFUSE_CONFIRMATION, "fail": fail, "times": 2})
        assert box.renew().code == "ca_busy"
        while box.journal().state is State.PROVEN:
            came = box.resume()
        assert came.state == "DONE"
        assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_a_certificate_without_status_counts_as_confirmed_in_time(box: Box) -> None:
    """Nothing can ever be asked: a confirmation that went out in time is the last word, and its receipt was not seen."""
    box.plan(REFUSE_CONFIRMATION)
    with no_status_named():
        came = box.renew()
    assert (came.status, came.state) == (0, "DONE")
    assert box.journal().receipt == "unseen"
    assert opened(box) > 0


@pytest.mark.parametrize("urls", ["aia", "crl"])
def test_one_named_status_is_waited_for(box: Box, urls: str) -> None:
    """With an OCSP address or a CRL, a status that cannot be had now may be had later: it waits."""
    box.plan(REFUSE_CONFIRMATION)
    with (
        patch(f"safetok.trust.{urls}.urls", return_value=()),
        patch("safetok.workflows.renew.confirming.new_status", return_value=RevocationAnswer.UNKNOWN),
    ):
        came = box.renew()
    assert (came.status, came.code) == (9, "receipt_unseen")


def test_a_confirmation_after_its_time_is_not_the_last_word(made: Template) -> None:
    """Without a status, one that could only be signed after the CA's time waits for a person's look."""
    with made.box(confirm_wait=3600) as box:
        stopped_in(box, "tokens.sessions.Session.place_certificate")
        box.clock.turn(seconds=3600)
        box.plan(REFUSE_CONFIRMATION)
        with no_status_named():
            came = box.resume()
        assert (came.status, came.code, came.state) == (9, "receipt_unseen", "PROVEN")


def test_an_abandoned_confirmation_is_not_signed_twice(box: Box) -> None:
    """A refused certConf of version 2 is not sent again without hashAlg: it never had one."""
    box.plan(REFUSE_CONFIRMATION)
    with patch("safetok.workflows.renew.confirming.new_status", return_value=RevocationAnswer.UNKNOWN):
        assert box.renew().code == "receipt_unseen"
    before = box.journal().confirmation
    with patch("safetok.workflows.renew.confirming.new_status", return_value=RevocationAnswer.UNKNOWN):
        assert box.resume(pin=False).code == "receipt_unseen"
    assert box.journal().confirmation == before


# --- states that only a killed run leaves ------------------------------------------------------------------------------


def test_written_is_proved_again(box: Box) -> None:
    """WRITTEN: the certificate is read back and tried once more, then confirmed."""
    stopped_in(box, "workflows.renew.writing.prove")
    put(box, State.WRITTEN)
    came = box.resume()
    assert (came.status, came.state) == (0, "DONE")
    assert [row["state"] for row in box.issued()] == ["confirmed"]
    assert box.states()[-5:] == [State.VERIFIED, State.WRITTEN, State.PROVEN, State.ACKNOWLEDGED, State.DONE]


def test_other_wishes_at_a_renewal_in_progress_are_answered(box: Box) -> None:
    """`renew` and `renew --resume` say in one sentence that what is in progress keeps its contract end; nothing of it changes."""
    stopped_in(box, "workflows.renew.writing.prove")
    begun = box.journal().contract_end
    with (
        patch.object(Nobody, "warn") as warned,
        patch("safetok.workflows.renew.writing.prove", side_effect=KeyboardInterrupt),
    ):
        for again in (box.renew, box.resume):
            with pytest.raises(KeyboardInterrupt):
                again(contract_end=date(2035, 1, 1))
    assert ["Lần cấp bù đang dở giữ nguyên" in call.args[0] for call in warned.call_args_list] == [True, True]
    assert box.journal().contract_end == begun
    assert box.resume().state == "DONE"


def test_until_the_ca_has_said_its_word_nothing_is_called_done(box: Box) -> None:
    """PROVEN and not confirmed: the programme of both certificates is shown as not finished; once DONE, as done."""

    def shown() -> set[str]:
        with box.context() as context:
            views = [view for view in listing(context, look(context)) if view.token == box.token.serial]
            return {words.campaign(view).text.split(":")[0] for view in views}

    stopped_in(box, "workflows.renew.confirming.send_confirmation")
    assert box.journal().state is State.PROVEN
    assert shown() == {"cấp bù chưa xong"}
    assert box.resume().state == "DONE"
    assert shown() == {"đã xong"}


def test_written_too_long_ago_is_lapsed(made: Template) -> None:
    """WRITTEN beyond the CA's time, and revoked: LAPSED, without asking for a PIN. The same key stays."""
    with made.box(confirm_wait=3600) as box:
        stopped_in(box, "workflows.renew.writing.prove")
        put(box, State.WRITTEN)
        keys = box.objects()["Private Key"]
        box.clock.turn(hours=2)
        came = box.resume(pin=False)
        assert (came.status, came.code, came.state) == (11, "lapsed", "LAPSED")
        assert box.objects()["Private Key"] == keys
        assert box.journal().reason


def test_within_its_time_nobody_is_asked_whether_it_was_taken_back(box: Box) -> None:
    """A CA's responder lags behind its issuing: what it says of a certificate just made ends no renewal."""
    with patch("safetok.workflows.renew.confirming.new_status", return_value=RevocationAnswer.REVOKED):
        assert box.renew().state == "DONE"
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_past_the_time_but_still_good_is_carried_on(made: Template) -> None:
    """The CA's time is over, but it has not taken the certificate back: it is written and confirmed."""
    with made.box(confirm_wait=3600) as box:
        stopped_in(box, "tokens.sessions.Session.place_certificate")
        box.clock.turn(seconds=3600)
        with patch("safetok.workflows.renew.confirming.new_status", return_value=RevocationAnswer.GOOD):
            assert box.resume().state == "DONE"


def test_acknowledged_is_finished_without_the_token(box: Box) -> None:
    """ACKNOWLEDGED: DONE and the open registrations, with neither PIN nor CA."""
    box.plan({"name": "cut", "on": "certConf"})
    assert box.renew().status == 8
    put(box, State.ACKNOWLEDGED, receipt="seen")
    box.plan("cut", "cut")
    came = box.resume(pin=False)
    assert (came.status, came.state) == (0, "DONE")
    assert len(box.unused_plans()) == 2
    assert opened(box) > 0
    assert box.journal().kit


def test_key_made_asks_with_that_key(box: Box) -> None:
    """KEY_MADE: a fresh request for the key in the row; no second key is made."""
    stopped_in(box, "ca.cmp.requests.build_request", new_key=True)
    with box.context() as context, context.tokens() as tokens, tokens.session(box.token.serial) as session:
        session.login(box.token.pin)
        row = Journal(context.database).all()[0]
        found = session.keys()
        (spki,) = [k.spki for k in found if k.private and k.cka_id == row.key_id]
    assert spki is not None
    put(box, State.KEY_MADE, spki=spki)
    keys = box.objects()["Private Key"]
    assert box.resume().state == "DONE"
    assert box.objects()["Private Key"] == keys
    assert certificate_of(box.journal()).spki == spki


# --- the key that a killed run made ------------------------------------------------------------------------------------


def url(box: Box, row: Renewal, kind: str) -> str:
    quoted = "".join(f"%{byte:02X}" for byte in row.key_id)
    return f"pkcs11:serial={box.token.serial};id={quoted};type={kind}"


def test_a_key_under_another_id_is_known_by_its_label(box: Box) -> None:
    """The token, or somebody, changed the ID: the key is taken by its label, and the row learns the ID it has."""
    stopped_in(box, "ca.cmp.requests.build_request", new_key=True)
    row = box.journal()
    for kind in ("private", "public"):
        tool(box, "--set-id", "0A0B0C", url(box, row, kind))
    assert box.resume().state == "DONE"
    done = box.journal()
    assert done.key_id == b"\x0a\x0b\x0c"
    assert sorted(box.objects()["Certificate"]).count("0a0b0c") == 1
    assert len(box.objects()["Private Key"]) == 2


@pytest.mark.parametrize("kind", ["private", "public"])
def test_half_a_pair_is_made_anew(box: Box, kind: str) -> None:
    """One half alone is destroyed with its ID; then there is one whole pair, for the certificate that comes."""
    before = box.objects()
    stopped_in(box, "ca.cmp.requests.build_request", new_key=True)
    tool(box, "--delete", url(box, box.journal(), kind))
    assert box.resume().state == "DONE"
    after = box.objects()
    for name in ("Private Key", "Public Key"):
        assert len(after[name]) == len(before[name]) + 1
    assert sorted(after["Certificate"]) == sorted(after["Private Key"])


def stranger(box: Box) -> None:
    """A key pair of somebody else's, without a certificate."""
    words = ["pkcs11-tool", "--module", str(softhsm_module()), "--token-label", box.token.label, "--login"]
    words += ["--pin", box.token.pin, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "7a", "--label", "other"]
    subprocess.run(words, capture_output=True, check=True, timeout=30)


def test_a_key_nobody_knows_stops_a_renewal_that_was_cut_short(box: Box) -> None:
    """It may be the one that was being made: 11, nothing is destroyed or made, and the key is named."""
    stopped_in(box, "tokens.sessions.Session.generate", new_key=True)
    stranger(box)
    before = box.objects()
    came = box.resume()
    assert (came.status, came.code, came.state) == (11, "key_unclear", "CONFIRMED")
    assert came.error is not None
    assert came.error.data["keys"] == [{"id": "7A", "label": "other"}]
    assert " 1 " in came.error.message
    assert box.journal().id in came.error.hint
    assert box.objects() == before
    given_up = box.abandon()
    assert given_up.state == "ABANDONED"
    assert box.objects() == before


def test_a_key_nobody_knows_is_in_nobody_s_way_at_first(box: Box) -> None:
    """A renewal that begins here and now knows that the key is not its own, and leaves it."""
    stranger(box)
    assert box.renew(new_key=True).state == "DONE"
    assert "7a" in box.objects()["Private Key"]


def test_a_known_key_is_no_stranger(box: Box) -> None:
    """Cut short before any key was made, with nothing else on the token: a key is made and the renewal done."""
    stopped_in(box, "tokens.sessions.Session.generate", new_key=True)
    assert box.resume().state == "DONE"
    assert len(box.objects()["Private Key"]) == 2


def test_a_key_that_a_certificate_belongs_to_is_no_stranger(box: Box) -> None:
    """An EC private key whose public half is not on the token: the certificate with its CKA_ID says whose it is."""
    stopped_in(box, "tokens.sessions.Session.generate", new_key=True)
    (old,) = box.objects()["Public Key"]
    assert box.objects()["Certificate"] == [old]
    quoted = "".join(f"%{byte:02X}" for byte in bytes.fromhex(old))
    tool(box, "--delete", f"pkcs11:serial={box.token.serial};id={quoted};type=public")
    assert box.objects()["Public Key"] == []
    assert box.resume().state == "DONE"
    assert len(box.objects()["Private Key"]) == 2


# --- stopping, listing, giving up ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answered", [False, True])
def test_a_stop_is_heeded_until_the_ca_has_answered(box: Box, *, answered: bool) -> None:
    """Asked to stop, it stops before the CA's answer (17) and never after it."""
    box.plan("cut") if not answered else box.plan({"name": "cut", "on": "certConf"})
    assert box.renew().status == 8
    asked: list[int] = []
    contexts = box.context

    @contextmanager
    def stopping() -> Iterator[Any]:
        with contexts() as context:
            context.stopping = lambda: asked.append(1) is None
            yield context

    with patch.object(box, "context", stopping):
        came = box.resume()
    if answered:
        assert came.state == "DONE"
    else:
        assert isinstance(came.error, Interrupted)
        assert came.error.message == _("Stopped, as asked.")
        assert "safetok renew --resume" in came.error.hint
        assert box.journal().state is State.REQUESTED
        assert asked
        assert box.resume().state == "DONE"


def test_what_is_unfinished_is_listed(made: Template) -> None:
    """One row a renewal, with what a script and a person need to carry it on."""
    with made.box(answer_after=86_400) as box:
        assert box.renew().status == 9
        row = box.journal()
        old = certificates.parse(row.old_certificate)
        with box.context() as context:
            (shown,) = unfinished.listed(context)
        due = row.check_after
        assert due is not None
        assert row.contract_end is not None
        assert row.requested_not_after is not None
        assert shown == {
            "token": box.token.serial,
            "old_serial": old.serial,
            "new_serial": None,
            "not_after": rfc3339(row.requested_not_after),
            "contract_end": row.contract_end.isoformat(),
            "shortfall_days": 0,
            "state": "PENDING",
            "renewal_id": row.id,
            "kit": None,
            "reasons": [row.reason],
            "name": old.subject_name,
            "mst": row.mst,
            "route": "cmp",
            "hold": "PENDING",
            "reason": row.reason,
            "created_at": rfc3339(row.created_at),
            "check_after": rfc3339(due),
            "transaction_id": row.transaction_id.hex().upper(),
        }
        assert row.mst
        assert row.reason


def test_before_the_request_there_is_no_transaction_to_list(box: Box) -> None:
    """What is not known yet is null."""
    stopped_in(box, "ca.cmp.requests.build_request", new_key=True)
    with box.context() as context:
        (shown,) = unfinished.listed(context)
    assert [shown[name] for name in ("hold", "check_after", "transaction_id")] == [None] * 3


def test_several_failures_end_with_the_first_of_the_contract() -> None:
    """Of several unfinished renewals the exit status is the one that holds first."""
    both: list[SafetokError] = [CaUnreachable("x"), PinWrong("y")]
    for failed, status in (
        (both, ExitStatus.PIN_WRONG),
        (both[::-1], ExitStatus.PIN_WRONG),
        (both[:1], ExitStatus.CA_UNREACHABLE),
        ([*both, CertificateRevoked("z")], ExitStatus.REVOKED),
        ([], ExitStatus.DONE),
    ):
        assert Outcome(None, data={}, errors=failed).status is status


def test_one_pin_is_not_tried_on_two_tokens(box: Box) -> None:
    """Two tokens with unfinished renewals and one PIN given: it is tried on none, and both are named."""
    serials = []
    for token in box.tokens:
        box.story = token.story
        box.plan("cut")
        assert box.renew().status == 8
        serials.append(token.serial)
    with box.context() as context:
        request = replace(box.request(), serial=None)
        with pytest.raises(SeveralTokens) as raised:
            unfinished.resume(context, request)
        error = raised.value
        assert error.code == "one_pin_several_tokens"
        assert error.data == {"choices": [{"token": serial} for serial in sorted(serials)]}
        assert error.message == _(
            "{n} tokens have unfinished renewals, and one PIN was given: it is tried on none of them."
        ).format(n=2)
        assert error.hint == _("Name its token with --serial.")
    box.plan()
    with box.context() as context:
        nobody = box.request(pin=False)
        done, failed = unfinished.resume(context, replace(nobody, serial=None))
        states = [row.state for row in Journal(context.database).unfinished()]
    assert done == []
    assert [error.exit_status for error in failed] == [ExitStatus.ACT] * 2, "without one, both go as far as they can"
    assert states == [State.VERIFIED] * 2


def test_only_what_is_there_is_given_up(box: Box) -> None:
    """A name that no unfinished renewal has: 2, and where to see them."""
    assert box.renew().state == "DONE"
    came = box.abandon()
    assert isinstance(came.error, UsageError)
    assert came.code == "unknown_renewal"
    assert box.journal().id in came.error.message
    assert "safetok renew --list" in came.error.hint


def test_a_renewal_that_is_ending_is_not_given_up(box: Box) -> None:
    """ACKNOWLEDGED: the CA has the confirmation; it can only be finished."""
    box.plan({"name": "cut", "on": "certConf"})
    box.renew()
    put(box, State.ACKNOWLEDGED, receipt="seen")
    came = box.abandon()
    assert (came.status, came.code) == (11, "too_late_to_abandon")
    assert came.error is not None
    assert "ACKNOWLEDGED" in came.error.message
    assert "safetok renew --resume" in came.error.hint
    assert came.error.token == box.token.serial
    assert box.resume(pin=False).state == "DONE"
