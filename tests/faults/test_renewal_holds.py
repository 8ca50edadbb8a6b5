"""What a renewal tells and keeps when its end, its token or its CA goes wrong: hooks, files, holds and answers."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest
from support_faults import Box, Came, Template, opened, stopped_in

from safetok.ca.cmp.answers import Refused
from safetok.ca.cmp.requests import build_confirmation
from safetok.domain import certificates
from safetok.domain.certificates import Certificate
from safetok.domain.renewal import Hold, Renewal
from safetok.errors import (
    CaUnreachable,
    CaWait,
    DriverFailed,
    NoToken,
    NotTrusted,
    PersonNeeded,
    SafetokError,
)
from safetok.locale import _
from safetok.tokens.failures import translate
from safetok.tokens.process import WorkerFailure

ASKS_AGAIN = _("`safetok renew --resume` asks for the result again; it does not ask for a second certificate.")


def certificate_of(renewal: Renewal) -> Certificate:
    return certificates.parse(renewal.certificate)


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
    stopped_in(box, "tokens.sessions.Session.place_certificate")
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
    stopped_in(box, "tokens.sessions.Session.place_certificate")
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
    refuses = NotTrusted("no", code=code, hint="See: safetok certs prune")
    with patch("safetok.tokens.sessions.Session.place_certificate", side_effect=refuses):
        came = box.renew()
    assert (came.status, came.code, came.state) == (status, code, "VERIFIED")
    assert came.error is not None
    assert came.error.hint.startswith("See: safetok certs prune. " if hold else "See: safetok certs prune")
    assert box.journal().hold is hold
    assert box.resume().state == "DONE"
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_what_does_not_read_back_is_no_success(box: Box) -> None:
    """A write that the token forgets: 10 and NEED_WRITE; nothing is confirmed."""
    with patch("safetok.tokens.sessions.Session.place_certificate", return_value=()):
        came = box.renew()
    assert (came.status, came.code, came.state) == (10, "write_failed", "VERIFIED")
    assert came.error is not None
    assert came.error.message == _("The certificate just written does not read back. The old one is intact.")
    assert came.error.hint.startswith(_("Carry on with: safetok renew --resume"))
    assert box.journal().hold is Hold.NEED_WRITE
    assert [row["state"] for row in box.issued()] == ["issued"]
    assert box.resume().state == "DONE"


@pytest.mark.parametrize("story", ["ec-owed", "v2-owed"])
def test_a_key_that_signs_otherwise_is_no_success(box: Box, story: str) -> None:
    """A test signature that the new certificate does not verify: 10, nothing is confirmed."""
    box.story = story
    stopped_in(box, "tokens.sessions.Session.place_certificate")
    with patch("safetok.workflows.renew.writing.signs_for", return_value=False):
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
    "looking for the key": ("tokens.sessions.Session.key_id", "tokens.sessions.Session.place_certificate", {}),
    "writing the certificate": ("tokens.sessions.Session.place_certificate", "", {}),
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


@pytest.mark.parametrize("where", ["workflows.renew.start.log_in", "tokens.sessions.Session._sign"])
def test_a_token_pulled_out_before_anything_is_kept_is_renewed_from_the_start(box: Box, where: str) -> None:
    """3, like later on; nothing is unfinished, so the next step is to run it again, not `--resume`."""
    gone = translate(WorkerFailure("DEVICE_REMOVED"), operation="sign", driver="d", token=box.token.serial)
    with patch(f"safetok.{where}", side_effect=gone):
        came = box.renew()
    assert (came.status, came.code, came.state) == (3, "token_removed", "PLANNED")
    assert came.error is not None
    assert box.token.serial in came.error.hint
    assert "--resume" not in came.error.hint
    assert box.renew().state == "DONE"


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
    stopped_in(box, "tokens.sessions.Session.place_certificate", new_key=True)
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
        with patch("safetok.tokens.sessions.Session.place_certificate", side_effect=failure):
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
    assert "(Từ chối)" in came.error.message
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
    stopped_in(box, "tokens.sessions.Session.place_certificate")
    with patch("safetok.ca.cmp.requests.build_confirmation", wraps=build_confirmation) as signed:
        assert box.abandon().state == "ABANDONED"
    assert (signed.call_args.kwargs["accept"], signed.call_args.kwargs["fail_info"]) == (False, "badRequest")
    assert [row["state"] for row in box.issued()] == ["undone"]
