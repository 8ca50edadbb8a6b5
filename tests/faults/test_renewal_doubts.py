"""What is not the CA's word must not end a renewal: lost answers, files of this computer, a suspension, an odd offer."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support_faults import DAY, Box, Template, configure, stopped_in

from safetok.ca import offers
from safetok.domain import certificates
from safetok.domain.offers import PrivateOffer
from safetok.domain.renewal import Hold, State
from safetok.domain.times import show_instant
from safetok.errors import NotTrusted, PersonNeeded
from safetok.store.pem import load_pem
from safetok.trust.path import build_path
from safetok.workflows.machine_clock import how_to_set
from safetok.workflows.renew.believing import checkable

BUSY = {"name": "refuse", "on": "pollReq", "fail": "systemUnavail", "processed": False}
REFUSED = {"name": "refuse", "on": "pollReq", "fail": "badRequest", "processed": False}
NO_TO_CONFIRMATION = {"name": "refuse", "on": "certConf", "fail": "badRequest", "processed": False, "times": 9}


def anchors(box: Box) -> tuple[Path, ...]:
    with box.context() as context:
        return context.settings.authorities["safe-ca"].anchors


def take_token_away(box: Box) -> None:
    for folder in box.places.tokens.iterdir():
        if folder.name.replace("-", "").endswith(box.token.serial):
            shutil.rmtree(folder)


@contextmanager
def offering(**bent: Any) -> Iterator[None]:
    """A CA whose offer differs in this."""
    real = offers.private_offer

    def bend(*args: Any, **given: Any) -> PrivateOffer:
        offer = real(*args, **given)
        days = bent.get("days", 0)
        return dataclasses.replace(
            offer,
            new_not_after=offer.new_not_after + timedelta(days=days),
            same_key=bent.get("same_key", offer.same_key),
            expires=bent.get("expires", offer.expires),
        )

    with patch.object(offers, "private_offer", bend):
        yield


# --- an answer that may be lost --------------------------------------------------------------------------------------


def test_a_lost_answer_stays_in_doubt_when_the_ca_was_busy_in_between(made: Template) -> None:
    """The certificate may have been in the poll that nobody answered: a refusal after a busy CA destroys no key."""
    with made.box(answer_after=DAY) as box:
        assert box.renew(new_key=True).status == 9
        keys = box.objects()
        box.clock.turn(days=1.1)
        box.plan({"name": "cut", "on": "pollReq"}, BUSY, REFUSED)
        assert [box.resume().code for _run in range(3)] == ["ca_unreachable", "ca_busy", "answer_lost"]
        assert (box.journal().state, box.journal().hold) == (State.PENDING, Hold.ANSWER_LOST)
        assert box.objects() == keys
        box.plan()
        assert box.resume().state == "DONE"
        assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_a_refusal_after_a_busy_ca_is_a_refusal_when_nothing_was_lost(made: Template) -> None:
    """Every question was answered: what is refused then was never issued."""
    with made.box(answer_after=DAY) as box:
        box.renew()
        box.clock.turn(days=1.1)
        box.plan(BUSY, REFUSED)
        assert [box.resume().code for _run in range(2)] == ["ca_busy", "ca_refused"]


def test_asking_anew_gives_the_lost_one_up_only_when_there_is_a_new_one(box: Box) -> None:
    """--new-request that comes to nothing, or only looks, leaves the lost request to be asked after."""
    box.plan(
        {"name": "cut", "on": "kur", "processed": False},
        {"name": "refuse", "on": "kur", "fail": "transactionIdInUse", "processed": False},
    )
    box.renew()
    assert box.resume().code == "answer_lost"
    lost = box.journal().id
    with patch("safetok.net.Http.ca", side_effect=offers.NoAnswer("down")):
        assert box.renew(new_request=True).status == 8
    assert (box.journal().id, box.journal().state, box.journal().hold) == (lost, State.REQUESTED, Hold.ANSWER_LOST)
    with box.context() as context:
        from safetok.workflows.renew.start import renew

        context.dry_run = True
        assert renew(context, box.request(new_request=True)).state == "WOULD_RENEW"
    assert box.journal().hold is Hold.ANSWER_LOST
    assert box.renew(new_request=True).state == "DONE"
    with box.context() as context:
        from safetok.store.journal import Journal

        assert Journal(context.database).get(lost).state is State.ABANDONED


# --- files of this computer ------------------------------------------------------------------------------------------


def test_a_broken_file_of_roots_rejects_no_certificate(made: Template) -> None:
    """What this computer cannot read is nothing the CA did: nothing is rejected, and with the file put right it goes on."""
    with made.box(answer_after=DAY) as box:
        assert box.renew(new_key=True).status == 9
        box.clock.turn(days=1.1)
        (root,) = anchors(box)
        good = root.read_bytes()
        root.write_bytes(b"<html>404</html>")
        came = box.resume()
        assert (came.code, box.journal().state) == ("bad_certificate_file", State.PENDING)
        root.write_bytes(good)
        assert box.resume().state == "DONE"
        assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_a_stored_answer_waits_for_the_file_of_roots(box: Box) -> None:
    """ISSUED, and the file is broken on resume: it stays, and is verified when the file is whole."""
    with pytest.raises(KeyboardInterrupt), patch("safetok.trust.answer.verify_answer", side_effect=KeyboardInterrupt):
        box.renew()
    (root,) = anchors(box)
    good = root.read_bytes()
    root.write_bytes(b"")
    assert box.resume().code == "bad_certificate_file"
    root.write_bytes(good)
    assert box.resume().state == "DONE"


@pytest.mark.parametrize(("roots", "code"), [("", "no_ca_certificates"), ("another", "no_path")])
def test_what_nobody_could_check_is_not_asked_for(box: Box, roots: str, code: str) -> None:
    """Without roots, or with the root of somebody else, 11 before any PIN: the certificate would only be rejected."""
    other = box.places.home / "other.pem"
    shutil.copy(next(path for path in box.places.ca.glob("*.pem") if path not in anchors(box)), other)
    whole = box.places.settings.read_text(encoding="utf-8")
    named = f'anchors = ["{other}"]\n' if roots else ""
    box.places.settings.write_text(re.sub(r"anchors = \[[^\]]*\]\n", named, whole), encoding="utf-8")
    with patch("safetok.workflows.renew.start.log_in", side_effect=AssertionError("a PIN was asked for")):
        came = box.renew()
    assert (came.status, came.code) == (11, code)
    assert box.issued() == []


@pytest.mark.parametrize("years", [-6, 9])
def test_a_clock_at_which_no_ca_is_valid_is_told_as_the_clock(box: Box, years: int) -> None:
    """The settings are right: nobody is sent to change them before the clock has been looked at."""
    box.clock.turn(days=365 * years)
    with patch("safetok.workflows.renew.start.log_in", side_effect=AssertionError("a PIN was asked for")):
        came = box.renew()
    assert (came.status, came.code) == (11, "no_path")
    assert came.error is not None
    assert show_instant(box.clock.now) in came.error.message
    assert came.error.hint.startswith(how_to_set())


@pytest.mark.parametrize("line", ['signer = "{}"'])
def test_as_whom_the_ca_answers_is_looked_at_before_the_pin(box: Box, tmp_path: Path, line: str) -> None:
    """A slip in the settings costs no PIN, and leaves no renewal that waits for it to be put right."""
    (tmp_path / "empty.pem").write_text("")
    settings = box.places.settings.read_text()
    configure(box, line.format(tmp_path / "empty.pem"))
    with patch("safetok.tokens.sessions.Session.login", side_effect=AssertionError("a PIN was used")):
        assert box.renew().status == 2
    with box.context() as context:
        assert context.database.rows("SELECT id FROM renewals") == []
    box.places.settings.write_text(settings)
    assert box.renew().state == "DONE"


def test_an_issuing_certificate_that_has_ended_issues_nothing_more(box: Box) -> None:
    """It may be trusted by itself (it stands among the roots): a certificate that it would issue now could not be believed."""
    whole = box.places.settings.read_text(encoding="utf-8")
    (old,) = (path for path in box.places.ca.glob("safe-ca-2020.pem"))
    for name in ("issuers", "anchors"):
        whole = re.sub(rf"{name} = \[[^\]]*\]\n", f'{name} = ["{old}"]\n', whole)
    box.places.settings.write_text(whole, encoding="utf-8")
    box.clock.now = load_pem(old)[0].not_after + timedelta(days=1)
    with box.context() as context, pytest.raises(PersonNeeded) as refused:
        checkable(context, context.settings.authorities["safe-ca"])
    assert refused.value.code == "no_path"
    box.clock.now = load_pem(old)[0].not_after
    with box.context() as context:
        checkable(context, context.settings.authorities["safe-ca"])


# --- what the CA offers and takes back -------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-200, 200])
def test_an_offer_for_another_day_than_the_contract_s_is_not_taken_by_a_script(box: Box, days: int) -> None:
    """Nobody confirmed that end: 11, nothing asked for."""
    with offering(days=days):
        came = box.renew()
    assert (came.status, came.code) == (11, "offer_differs")
    assert box.issued() == []


def test_a_script_s_floor_takes_a_shorter_offer(box: Box) -> None:
    """--min-not-after says how short it may be."""
    with offering(days=-100):
        came = box.renew(min_not_after=box.clock.now + timedelta(days=30))
    assert came.code != "offer_differs"


def test_an_offer_that_is_over_as_it_comes_names_the_clock(box: Box) -> None:
    """To run it again would come to the same: nothing is begun, and the next step is this computer's clock."""
    with offering(expires=box.clock.now):
        came = box.renew()
    assert (came.status, came.code) == (11, "offer_expired")
    assert came.error is not None
    assert "giờ" in came.error.hint
    with box.context() as context:
        assert not context.database.rows("SELECT id FROM renewals")
    assert box.renew().state == "DONE"


def test_an_offer_for_a_new_key_is_not_taken_for_the_old_one(box: Box) -> None:
    """The CA wants a new key and none was asked for: 11 with the way to one."""
    with offering(same_key=False):
        came = box.renew()
        assert (came.status, came.code) == (11, "new_key_needed")
        assert came.error is not None
        assert "--new-key" in came.error.hint
        assert box.renew(new_key=True).state == "DONE"


def test_a_confirmation_that_never_went_out_is_not_counted_as_in_time(made: Template) -> None:
    """Stopped before the first send and resumed when the time is over: a certificate that nobody can look up is not done."""
    with made.box(confirm_wait=3600) as box:
        stopped_in(box, "workflows.renew.confirming.send_confirmation")
        assert (box.journal().state, box.journal().confirmation_sent_at) == (State.PROVEN, None)
        box.clock.turn(hours=5)
        box.plan(NO_TO_CONFIRMATION)
        with patch("safetok.trust.aia.urls", return_value=()), patch("safetok.trust.crl.urls", return_value=()):
            came = box.resume()
        assert (came.status, came.code) == (9, "receipt_unseen")


def test_a_confirmation_that_met_no_server_has_not_gone_out(made: Template) -> None:
    """No connection: nothing was sent. Once the CA has had the bytes, whatever came back, the moment is written down."""
    with made.box(confirm_wait=3600) as box:
        stopped_in(box, "workflows.renew.confirming.send_confirmation")
        with patch("safetok.net.exchange.addresses_of", return_value=()):
            assert box.resume().status == 8
        assert box.journal().confirmation_sent_at is None
        box.plan({"name": "cut", "on": "certConf"})
        assert box.resume().status == 8
        first = box.clock.now
        assert box.journal().confirmation_sent_at == first
        box.clock.turn(minutes=10)
        box.plan({"name": "cut", "on": "certConf"})
        assert box.resume().status == 8
        assert box.journal().confirmation_sent_at == first < box.clock.now


# --- ends that nobody can clean --------------------------------------------------------------------------------------


def test_a_rejection_is_sent_whatever_the_clock_says(made: Template) -> None:
    """The CA's time to confirm was over when its answer came, by a clock that is ahead: the CA is told all the same."""
    with made.box(confirm_wait=-600) as box:
        box.plan("other_subject")
        assert box.renew().state == "UNTRUSTED"
        assert box.journal().finished
        (transaction,) = box.transactions()
        assert transaction.confirmation


def test_a_rejection_that_no_ca_takes_ends_after_a_week(box: Box) -> None:
    """A CA that names no time to confirm and never answers the rejection does not block the token for ever."""
    box.plan("other_subject", {"name": "unsigned_refusal", "on": "certConf", "times": 99, "processed": False})
    with without_confirm_time():
        assert box.renew().state == "UNTRUSTED"
    box.clock.turn(days=6)
    assert box.resume().state == "UNTRUSTED"
    assert not box.journal().finished
    box.clock.turn(days=2)
    box.resume()
    assert box.journal().finished
    box.plan()
    assert box.renew().state == "DONE"


def test_a_rejection_that_no_ca_takes_is_closed_by_hand(box: Box) -> None:
    """`--abandon --force` ends it at once, and leaves no key of ours on the token."""
    before = box.objects()
    box.plan("other_subject", {"name": "unsigned_refusal", "on": "certConf", "times": 99, "processed": False})
    with without_confirm_time():
        box.renew(new_key=True)
    assert box.abandon().code == "too_late_to_abandon"
    assert box.abandon(force=True).status == 0
    assert box.journal().finished
    assert box.objects() == before


def without_confirm_time() -> Any:
    """A CA that does not say until when a confirmation must come."""
    from safetok.ca.cmp import answers

    real = answers._issued
    return patch.object(answers, "_issued", lambda *args: dataclasses.replace(real(*args), confirm_by=None))


@pytest.mark.parametrize("where", ["ca.cmp.transport.send", "tokens.sessions.Session.place_certificate"])
def test_a_renewal_whose_token_is_lost_can_be_closed(box: Box, where: str) -> None:
    """Asked for, or issued already: without the token the first try says how, and then nothing waits any more."""
    stopped_in(box, where, new_key=True)
    take_token_away(box)
    waits = box.abandon(force=True)
    assert waits.status == 3
    assert waits.error is not None
    assert f"--abandon {box.journal().id} --force" in waits.error.hint
    assert box.journal().state is State.ABANDONED
    assert box.abandon(force=True).status == 0
    assert box.resume().result is None


def test_a_token_that_is_only_out_keeps_its_renewal(box: Box) -> None:
    """Without --force an issued certificate is not given up because its token is not in."""
    stopped_in(box, "tokens.sessions.Session.place_certificate")
    take_token_away(box)
    came = box.abandon()
    assert (came.status, box.journal().state) == (3, State.VERIFIED)
    assert came.error is not None
    assert "--force" in came.error.hint


def test_a_certificate_the_token_does_not_take_is_saved(box: Box) -> None:
    """A full token: the new certificate is a file on this computer, which the message names."""
    full = NotTrusted("full", code="no_space", hint="do")
    with patch("safetok.tokens.sessions.Session.place_certificate", side_effect=full):
        came = box.renew()
    assert came.error is not None
    (file,) = (word for word in re.split(r"[ .](?= |$)| ", came.error.hint) if word.endswith(".pem"))
    new = certificates.parse(box.journal().certificate)
    assert [one.der for one in load_pem(Path(file))] == [new.der]
    assert box.resume().state == "DONE"


# --- nothing spent before the second confirmation --------------------------------------------------------------------


def test_an_offer_below_the_floor_asks_for_nothing(box: Box) -> None:
    """--min-not-after above what the CA offers: 11, and no certificate is issued to be thrown away."""
    came = box.renew(min_not_after=box.clock.now + timedelta(days=3650))
    assert (came.status, came.code) == (11, "below_floor")
    assert box.issued() == []


def test_a_dry_run_asks_nobody(box: Box) -> None:
    """Without --yes and with nobody there it still only looks."""
    from safetok.workflows.renew.start import renew

    with box.context() as context:
        context.dry_run = True
        assert renew(context, box.request(yes=False, confirm_contract_end=None)).state == "WOULD_RENEW"


def test_a_branch_s_tax_code_is_found_however_it_is_written(box: Box) -> None:
    """`-001`, a space or nothing before the branch: the same company."""
    from safetok.workflows.renew.start import renew

    mst = "0199900032-001"
    with box.context() as context:
        context.dry_run = True
        for written in (mst, mst.replace("-", ""), mst.replace("-", " ")):
            assert renew(context, box.request(serial=None, mst=written)).token == box.token.serial


def test_a_path_that_was_found_is_believed_while_it_is_in_force(box: Box) -> None:
    """A batch asks for each row: the path is looked for once, and again as soon as one certificate of it has ended."""
    with box.context() as context, patch("safetok.trust.path.build_path", wraps=build_path) as looked:
        authority = context.settings.authorities["safe-ca"]
        checkable(context, authority)
        before = looked.call_count
        checkable(context, authority)
        assert looked.call_count == before
        box.clock.now = max(load_pem(path)[0].not_after for path in authority.issuers) + timedelta(seconds=1)
        with pytest.raises(PersonNeeded) as refused:
            checkable(context, authority)
    assert refused.value.code == "no_path"
