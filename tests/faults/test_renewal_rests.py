"""Where a renewal rests, what it says there, and how each state is carried on: the rows of the resume table one by one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from support_faults import Box, Came, Template, opened, put, stopped_in, tool

from safetok.ca.cmp.answers import Refused
from safetok.ca.cmp.requests import build_confirmation
from safetok.domain import certificates
from safetok.domain.certificates import Certificate
from safetok.domain.renewal import Hold, Renewal, State
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.times import rfc3339
from safetok.errors import (
    CaUnreachable,
    CaWait,
    DriverFailed,
    ExitStatus,
    Interrupted,
    NoToken,
    NotTrusted,
    PersonNeeded,
    PinWrong,
    SafetokError,
    SeveralTokens,
    UsageError,
)
from safetok.locale import _
from safetok.sandbox.softhsm import module as softhsm_module
from safetok.store.journal import Journal
from safetok.workflows.renew import unfinished

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
        (RevocationAnswer.SUSPENDED, 11, "lapsed", "LAPSED"),
        (RevocationAnswer.UNKNOWN, 9, "receipt_unseen", "PROVEN"),
    ],
)
def test_a_refused_confirmation_is_settled_by_the_status(
    box: Box, status: RevocationAnswer, exit_status: int, code: str, state: str
) -> None:
    """Good: done. Revoked or suspended: taken back. Not known: it waits, and is done when the CA takes the confirmation."""
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
    elif status is RevocationAnswer.UNKNOWN:
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
        stopped_in(box, "workflows.renew.writing.place")
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


def test_past_the_time_but_still_good_is_carried_on(made: Template) -> None:
    """The CA's time is over, but it has not taken the certificate back: it is written and confirmed."""
    with made.box(confirm_wait=3600) as box:
        stopped_in(box, "workflows.renew.writing.place")
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
    assert unfinished.resume_status(both) is unfinished.resume_status(both[::-1]) is ExitStatus.PIN_WRONG
    assert unfinished.resume_status([CaUnreachable("x")]) is ExitStatus.CA_UNREACHABLE


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


# --- what goes out with the end --------------------------------------------------------------------------------------------


def test_hooks_learn_of_the_new_certificate(box: Box) -> None:
    """Whose it is, which token, both serials, the dates and where the files are."""
    told: list[tuple[Any, ...]] = []
    with patch("safetok.workflows.hooks.tell", lambda *given: told.append(given)):
        assert box.renew().state == "DONE"
    ((_context, event, about, values),) = told
    row = box.journal()
    new = certificate_of(row)
    assert (event, about) == ("issued", row.id)
    assert values == {
        "renewal_id": row.id,
        "token": box.token.serial,
        "mst": new.mst,
        "name": new.subject_name,
        "old_serial": row.old_serial,
        "new_serial": new.serial,
        "not_after": new.not_after,
        "contract_end": row.contract_end,
        "kit": row.kit,
    }
    assert new.mst
    assert row.kit


@pytest.mark.parametrize("error", [OSError("no room"), NotTrusted("no room")])
def test_files_that_cannot_be_written_undo_nothing(box: Box, error: Exception) -> None:
    """DONE all the same, told once, with the command that makes them; hooks are told that there are none."""
    told: list[tuple[Any, ...]] = []
    with ExitStack() as stack:
        stack.enter_context(patch("safetok.workflows.export.write_kit", side_effect=error))
        stack.enter_context(patch("safetok.workflows.hooks.tell", lambda *given: told.append(given)))
        said = stack.enter_context(patch("support_faults.Nobody.warn", autospec=True))
        assert box.renew().state == "DONE"
    (warning,) = [call.args[1] for call in said.call_args_list if "safetok export" in call.args[1]]
    assert "no room" in warning
    assert box.journal().kit == ""
    assert told[0][3]["kit"] is None
    assert opened(box) > 0


def test_without_a_kit_nothing_is_written(box: Box) -> None:
    """`kit` off, as in a batch: the row names no folder."""
    with patch("safetok.workflows.export.write_kit") as write:
        assert box.renew(kit=False).state == "DONE"
    assert not write.called
    assert box.journal().kit == ""


# --- a token that cannot be used now ------------------------------------------------------------------------------------


def test_a_token_that_is_away_is_asked_for_by_its_number(box: Box) -> None:
    """NEED_TOKEN, 3: the number of the right token and the command are in the next step; then it goes on."""
    stopped_in(box, "workflows.renew.writing.place")
    away = box.places.tokens.with_name("away")
    box.places.tokens.rename(away)
    box.places.tokens.mkdir()
    came = box.resume()
    assert (came.status, came.state) == (3, "VERIFIED")
    assert came.error is not None
    assert box.token.serial in came.error.hint
    assert "safetok renew --resume" in came.error.hint
    assert box.journal().hold is Hold.NEED_TOKEN
    box.places.tokens.rmdir()
    away.rename(box.places.tokens)
    assert box.resume().state == "DONE"
    assert box.journal().hold is None


def test_nobody_with_the_pin_is_a_hold(box: Box) -> None:
    """NEED_PIN, 11."""
    stopped_in(box, "workflows.renew.writing.place")
    came = box.resume(pin=False)
    assert isinstance(came.error, PersonNeeded)
    assert (came.status, box.journal().hold) == (11, Hold.NEED_PIN)
    assert box.resume().state == "DONE"


@pytest.mark.parametrize(
    ("code", "hold", "status"),
    [
        ("no_space", Hold.NEED_SPACE, 10),
        ("write_protected", Hold.NEED_WRITE, 10),
        ("write_failed", Hold.NEED_WRITE, 10),
        ("key_missing", None, 10),
    ],
)
def test_a_token_that_does_not_take_it(box: Box, code: str, hold: Hold | None, status: int) -> None:
    """Full, write-protected or not writing: a hold of its own each; the certificate is kept, and goes on when it can."""
    refuses = NotTrusted("no", code=code, hint="do")
    with patch("safetok.tokens.sessions.Session.write_certificate", side_effect=refuses):
        came = box.renew()
    assert (came.status, came.code, came.state) == (status, code, "VERIFIED")
    assert box.journal().hold is hold
    assert box.resume().state == "DONE"
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_what_does_not_read_back_is_no_success(box: Box) -> None:
    """A write that the token forgets: 10 and NEED_WRITE; nothing is confirmed."""
    with patch("safetok.tokens.sessions.Session.write_certificate"):
        came = box.renew()
    assert (came.status, came.code, came.state) == (10, "write_failed", "VERIFIED")
    assert came.error is not None
    assert came.error.message == _("The certificate just written does not read back. The old one is intact.")
    assert came.error.hint == _("Carry on with: safetok renew --resume")
    assert box.journal().hold is Hold.NEED_WRITE
    assert [row["state"] for row in box.issued()] == ["issued"]
    assert box.resume().state == "DONE"


@pytest.mark.parametrize("story", ["ec-owed", "v2-owed"])
def test_a_key_that_signs_otherwise_is_no_success(box: Box, story: str) -> None:
    """A test signature that the new certificate does not verify: 10, nothing is confirmed."""
    box.story = story
    stopped_in(box, "workflows.renew.writing.place")
    with patch("safetok.workflows.renew.writing._signs", return_value=False):
        came = box.resume()
    assert (came.status, came.code, came.state) == (10, "test_signature", "VERIFIED")
    assert came.error is not None
    assert came.error.message == _(
        "The token's key and the new certificate do not belong together. The old certificate is intact."
    )
    assert came.error.hint == _(
        "Try once more: safetok renew --resume. If it stays so, call the CA: the new certificate is not confirmed."
    )
    assert [row["state"] for row in box.issued()] == ["issued"]
    assert box.resume().state == "DONE"


PULLED = {
    # what the token is doing: where it is pulled out, where the run before died, what is asked of safetok
    "signing the request": ("ca.cmp.requests.build_request", "", {}),
    "making the key": ("tokens.sessions.Session.generate", "", {"new_key": True}),
    "looking for the key": ("tokens.sessions.Session.key_id", "workflows.renew.writing.place", {}),
    "writing the certificate": ("workflows.renew.writing.place", "", {}),
    "reading the certificate back": ("workflows.renew.writing.prove", "", {}),
    "signing the confirmation": ("ca.cmp.requests.build_confirmation", "", {}),
}


@pytest.mark.parametrize(
    "error", [NoToken("gone"), DriverFailed("gone", code="token_removed")], ids=["away", "removed"]
)
@pytest.mark.parametrize("doing", PULLED)
def test_a_token_pulled_out_is_told_with_what_it_was_doing(box: Box, doing: str, error: SafetokError) -> None:
    """NEED_TOKEN, 3: what was going on, the right token's number and the command; then it goes on."""
    where, before, more = PULLED[doing]
    if before:
        stopped_in(box, before, **more)
    with patch(f"safetok.{where}", side_effect=error):
        came = box.resume() if before else box.renew(**more)
    pulled(box, came, doing)
    assert box.resume().state == "DONE"
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def pulled(box: Box, came: Came, doing: str) -> None:
    assert (came.status, came.code) == (3, "token_removed")
    assert came.error is not None
    assert _(doing) in came.error.message
    assert box.token.serial in came.error.hint
    assert "safetok renew --resume" in came.error.hint
    assert came.error.token == box.token.serial
    assert box.journal().hold is Hold.NEED_TOKEN
    assert box.journal().reason == came.error.message


def test_a_token_pulled_out_before_a_poll(made: Template) -> None:
    """The same when the CA is asked for the result."""
    with made.box(answer_after=86_400) as box:
        assert box.renew().status == 9
        box.clock.turn(days=1.1)
        with patch("safetok.ca.cmp.requests.build_poll", side_effect=NoToken("gone")):
            pulled(box, box.resume(), "asking for the result")
        assert box.resume().state == "DONE"


@pytest.mark.parametrize(
    ("method", "doing", "state"),
    [
        ("destroy_certificate", "removing the certificate that was taken back", "VERIFIED"),
        ("destroy_keys", "removing the unused key", "ABANDONED"),
    ],
)
def test_a_token_pulled_out_while_a_renewal_is_given_up(box: Box, method: str, doing: str, state: str) -> None:
    """What is still to be removed waits for the token; then the token is as it was."""
    before = box.objects()
    stopped_in(box, "workflows.renew.writing.place", new_key=True)
    with patch(f"safetok.tokens.sessions.Session.{method}", side_effect=NoToken("gone")):
        came = box.abandon()
    assert came.error is not None
    assert (came.status, box.journal().state) == (3, state)
    assert _(doing) in came.error.message
    if state == "VERIFIED":
        assert box.abandon().state == "ABANDONED"
    else:
        assert box.journal().hold is Hold.NEED_TOKEN
        box.resume()
    assert box.journal().finished
    assert box.objects() == before


def test_another_failure_of_the_driver_is_its_own(box: Box) -> None:
    """A driver that hangs is no pulled token: its own error, with what is safe and how to go on, unless it says so itself."""
    for hint in ("", "its own"):
        failure = DriverFailed("hangs", code="timed_out", hint=hint)
        with patch("safetok.workflows.renew.writing.place", side_effect=failure):
            came = box.resume() if hint else box.renew()
        assert (came.status, came.code, came.state) == (17, "timed_out", "VERIFIED")
        assert came.error is not None
        assert came.error.hint == hint or (not hint and "safetok renew --resume" in came.error.hint)
        assert box.journal().hold is None
    assert box.resume().state == "DONE"


# --- what the CA says --------------------------------------------------------------------------------------------------


def test_a_clock_that_is_off_makes_a_new_request(box: Box) -> None:
    """badTime at the first sending: 8, what to set right; the next request is a new one, and counts as sent once."""
    box.plan({"name": "refuse", "on": "kur", "fail": "badTime", "processed": False})
    came = box.renew()
    assert (came.status, came.code, came.state) == (8, "clock_off", "REQUESTED")
    assert came.error is not None
    assert "Từ chối." in came.error.message
    assert "safetok renew --resume" in came.error.hint
    row = box.journal()
    assert (row.request, row.sent_count, row.hold) == (b"", 0, Hold.CA_UNREACHABLE)
    box.plan({"name": "refuse", "on": "kur", "fail": "badPOP", "processed": False})
    again = box.resume()
    assert (again.status, again.state) == (7, "REJECTED"), "a request that was sent once"
    assert box.journal().transaction_id != row.transaction_id


def test_a_clock_that_was_right_before_is_a_doubt(box: Box) -> None:
    """badTime to a request that went out before: it may have been taken, so it is neither made anew nor given up."""
    box.plan({"name": "cut"}, {"name": "refuse", "on": "kur", "fail": "badTime"})
    assert box.renew().status == 8
    request = box.journal().request
    came = box.resume()
    assert (came.status, came.code, came.state) == (11, "answer_lost", "REQUESTED")
    assert came.error is not None
    assert " 2 " in came.error.message
    assert "Từ chối." in came.error.message
    assert box.journal().request == request
    assert box.resume().state == "DONE"


def test_a_refusal_without_words_is_told_by_its_reasons(box: Box) -> None:
    """No status text: the names of the failure bits; not now: the next step too."""
    for temporary, fail in ((True, ("systemUnavail", "badRequest")), (False, ("badPOP", "badRequest"))):
        refused = Refused(fail_info=fail, text="", temporary=temporary, server_nonce=b"n")
        with patch("safetok.ca.cmp.answers.read_answer", return_value=refused):
            came = box.renew()
        assert came.error is not None
        assert ", ".join(fail) in came.error.message
        if temporary:
            assert (came.status, came.code, box.journal().hold) == (8, "ca_busy", Hold.CA_UNREACHABLE)
            assert "safetok renew --resume" in came.error.hint
            assert box.resume().state == "DONE"
            box.story = "v2-owed"
        else:
            assert (came.status, came.code, box.journal().reason) == (7, "ca_refused", ", ".join(fail))


def test_a_lost_connection_says_that_nothing_is_lost(box: Box) -> None:
    """Why it failed, that the old certificate is intact, and that going on asks for no second certificate."""
    box.plan("cut")
    came = box.renew()
    assert isinstance(came.error, CaUnreachable)
    assert "--resume" in came.error.hint
    assert came.error.code
    assert (box.journal().hold, box.journal().reason) == (Hold.CA_UNREACHABLE, came.error.message)
    with patch("safetok.ca.cmp.transport.send", side_effect=CaUnreachable("no way there", code="no_way")):
        came = box.resume()
    assert came.error is not None
    assert (came.status, came.code, box.journal().hold) == (8, "no_way", Hold.CA_UNREACHABLE)
    assert came.error.message == _(
        "The connection was lost after the request was sent ({why}). Your progress is kept, the old certificate is intact."
    ).format(why="no way there")
    assert came.error.hint == ASKS_AGAIN


def test_a_ca_that_asks_to_wait_is_waited_for(box: Box) -> None:
    """503 with Retry-After: 9 and PENDING, with the next step."""
    box.plan({"name": "status", "status": 503, "processed": False})
    with patch("safetok.ca.cmp.transport.send", side_effect=CaWait("busy", data={"seconds": 5})):
        came = box.renew()
    assert (came.status, box.journal().hold) == (9, Hold.PENDING)
    assert came.error is not None
    assert (came.error.message, came.error.hint) == ("busy", ASKS_AGAIN)
    assert came.error.data["seconds"] == 5
    assert box.resume().status in {0, 8}


def test_giving_up_tells_the_ca_why(box: Box) -> None:
    """The rejecting certConf says so, and names a reason."""
    stopped_in(box, "workflows.renew.writing.place")
    with patch("safetok.ca.cmp.requests.build_confirmation", wraps=build_confirmation) as signed:
        assert box.abandon().state == "ABANDONED"
    assert (signed.call_args.kwargs["accept"], signed.call_args.kwargs["fail_info"]) == (False, "badRequest")
    assert [row["state"] for row in box.issued()] == ["undone"]
