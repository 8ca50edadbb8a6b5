"""Every way a renewal can go at an honest but difficult CA: no, not now, later and too late."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from support_faults import DAY, Box, Template, configure

from safetok.domain.renewal import Hold, State
from safetok.sandbox.faults import CONTENT
from safetok.sandbox.pki import SAFE_NEW, Issuer
from safetok.sandbox.structures import PKIMessage


@pytest.mark.parametrize("fail", ["systemUnavail", "systemFailure"])
def test_not_now_is_a_hold(box: Box, fail: str) -> None:
    """A temporary refusal under protection ends nothing: 8, the same bytes later, one certificate."""
    box.plan({"name": "refuse", "on": "kur", "fail": fail, "processed": False})
    came = box.renew()
    assert (came.status, came.code, came.state) == (8, "ca_busy", "REQUESTED")
    request = box.journal().request
    assert box.resume().status == 0
    assert box.journal().request == request
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_no_at_the_first_sending_is_the_end_and_takes_only_our_key(box: Box) -> None:
    """REJECTED, 7; the key made for it is destroyed, everything else on the token is as it was."""
    before = box.objects()
    box.plan({"name": "refuse", "on": "kur", "fail": "badPOP", "processed": False})
    came = box.renew(new_key=True)
    assert (came.status, came.code, came.state) == (7, "ca_refused", "REJECTED")
    assert box.objects() == before
    assert box.journal().finished
    assert box.renew().status == 0


def lose_the_answer(box: Box, **more: bool) -> None:
    """The CA issues, its answer is lost, and the repeated request is refused: nobody knows whether there is a certificate."""
    box.plan("cut", {"name": "refuse", "on": "kur", "fail": "transactionIdInUse", "times": 2})
    assert box.renew(**more).status == 8


def test_no_to_a_repeated_request_is_a_doubt(box: Box) -> None:
    """ANSWER_LOST, 11: the transaction's number is told, nothing is destroyed, and it is not asked again by itself."""
    before = box.objects()
    lose_the_answer(box, new_key=True)
    for _again in range(2):
        came = box.resume()
        assert (came.status, came.code, came.state) == (11, "answer_lost", "REQUESTED")
        assert came.error is not None
        assert box.journal().transaction_id.hex().upper() in came.error.hint
    assert box.journal().hold is Hold.ANSWER_LOST
    assert len(box.objects()["Private Key"]) == len(before["Private Key"]) + 1
    assert box.resume().status == 0, "the CA that repeats its answer after all has lost nothing"
    assert [row["state"] for row in box.issued()] == ["confirmed"]


@pytest.mark.parametrize("by", ["renew", "resume"])
def test_only_new_request_asks_for_another(made: Template, by: str) -> None:
    """--new-request gives the lost one up, keeps the key the CA may have certified, and opens a second transaction."""
    with made.box(confirm_wait=3600) as box:
        lose_the_answer(box, new_key=True)
        assert box.resume().status == 11
        kept = box.objects()
        box.plan()
        box.clock.turn(hours=2)  # the CA takes back what nobody confirmed
        came = box.renew(new_request=True) if by == "renew" else box.resume(new_request=True)
        assert (came.status, came.state) == (0, "DONE")
        assert [row["state"] for row in box.issued()] == ["undone", "confirmed"]
        assert set(kept["Private Key"]) <= set(box.objects()["Private Key"])
        assert box.resume().result is None, "nothing is left unfinished"


def test_new_request_is_only_for_a_lost_answer(box: Box) -> None:
    """A renewal that merely waits is not doubled."""
    box.plan("cut")
    box.renew()
    came = box.renew(new_request=True)
    assert (came.status, came.code) == (11, "not_lost")
    assert len(box.transactions()) == 1


def test_waiting_takes_days_and_outlives_the_offer(made: Template) -> None:
    """PENDING, 9, over days and restarts; the offer expires meanwhile; the certificate comes in the end."""
    with made.box(answer_after=3 * DAY) as box:
        came = box.renew()
        assert (came.status, came.state) == (9, "PENDING")
        due = box.journal().check_after
        assert due is not None
        asked = len(box.states())
        assert box.resume(pin=False).status == 9, "not due: nobody is asked for a PIN"
        assert len(box.states()) - asked <= 1
        box.clock.turn(days=1.5)
        assert box.resume(pin=False).status == 9
        box.clock.turn(days=1.6)
        assert box.clock.now > due
        expires = box.journal().offer_expires
        assert expires is not None
        assert box.clock.now > expires
        assert (came := box.resume(pin=False)).status == 11, came
        assert box.journal().hold is Hold.NEED_PIN
        assert box.resume().status == 0
        assert [row["state"] for row in box.issued()] == ["confirmed"]


@pytest.mark.parametrize("fault", ["cut", "unprotected", "stranger_refusal", "html"])
def test_a_certificate_in_a_lost_answer_to_a_poll_is_not_lost(made: Template, fault: str) -> None:
    """The pollReq that nobody answered goes out again as it was, without a PIN, and brings the certificate that was issued."""
    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        box.clock.turn(days=1.1)
        box.plan({"name": fault, "on": "pollReq", "times": 2})
        came = box.resume()
        assert (came.status, came.state) == (8, "PENDING")
        poll = box.journal().poll
        assert box.resume(pin=False).status == 8
        assert box.journal().poll == poll
        assert box.resume().status == 0
        assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_no_to_a_repeated_poll_is_a_doubt(made: Template) -> None:
    """As for the request itself: the certificate may have been in the answer that was lost."""
    with made.box(answer_after=DAY) as box:
        assert box.renew(new_key=True).status == 9
        keys = box.objects()["Private Key"]
        box.clock.turn(days=1.1)
        box.plan({"name": "cut", "on": "pollReq"}, {"name": "refuse", "on": "pollReq", "fail": "badRequest"})
        assert box.resume().status == 8
        came = box.resume()
        assert (came.status, came.code, came.state) == (11, "answer_lost", "PENDING")
        assert box.objects()["Private Key"] == keys
        assert box.resume().status == 0


def test_no_to_a_first_poll_is_the_end(made: Template) -> None:
    """REJECTED after waiting: under protection, to a question asked once."""
    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        box.clock.turn(days=1.1)
        box.plan({"name": "refuse", "on": "pollReq", "fail": "badRequest", "processed": False})
        came = box.resume()
        assert (came.status, came.state) == (7, "REJECTED")


def test_not_now_to_a_poll_is_a_hold(made: Template) -> None:
    """A temporary refusal of a pollReq is asked again with a new one."""
    with made.box(answer_after=DAY) as box:
        assert box.renew().status == 9
        box.clock.turn(days=1.1)
        box.plan({"name": "refuse", "on": "pollReq", "processed": False})
        came = box.resume()
        assert (came.status, came.code, came.state) == (8, "ca_busy", "PENDING")
        assert box.journal().poll == b""
        assert box.resume().status == 0


def test_confirmed_too_late_is_lapsed(made: Template) -> None:
    """The confirmation waited beyond the CA's time: it has revoked the new certificate. 11, and our key is destroyed."""
    with made.box(confirm_wait=3600) as box:
        before = box.objects()
        box.plan({"name": "cut", "on": "certConf", "processed": False})
        assert box.renew(new_key=True).status == 8
        box.clock.turn(hours=2)
        came = box.resume()
        assert (came.status, came.code, came.state) == (11, "lapsed", "LAPSED")
        assert box.objects() == before
        assert [row["state"] for row in box.issued()] == ["undone"]
        assert box.renew().status == 0


def test_what_the_ca_took_back_does_not_stay_beside_the_old_one(made: Template) -> None:
    """The same key: the revoked certificate is taken off the token again, as soon as it can be, and a new renewal begins from the
    old certificate; it would else be called revoked for ever.
    """
    with made.box(confirm_wait=3600) as box:
        before = box.objects()
        box.plan({"name": "cut", "on": "certConf", "processed": False})
        assert box.renew().status == 8
        assert len(box.objects()["Certificate"]) == len(before["Certificate"]) + 1
        box.clock.turn(hours=2)
        came = box.resume(pin=False)
        assert (came.status, came.code, came.state) == (11, "lapsed", "LAPSED")
        assert came.error is not None
        assert box.token.serial in came.error.hint, "where it still is"
        assert not box.journal().finished
        came = box.resume()
        assert (came.status, came.code) == (11, "lapsed")
        assert box.objects() == before
        assert (box.renew().state, [row["state"] for row in box.issued()]) == ("DONE", ["undone", "confirmed"])


def test_issued_too_long_ago_is_not_even_written(made: Template) -> None:
    """Held between the answer and the writing until the CA took the certificate back: LAPSED, nothing written."""
    with made.box(confirm_wait=3600) as box:
        before = box.objects()
        box.plan("cut")
        box.renew()
        box.clock.turn(hours=2)
        came = box.resume()
        assert (came.status, came.state) == (11, "LAPSED")
        assert box.objects() == before


def test_a_lost_word_of_the_ca_is_settled_by_the_certificate_s_status(box: Box) -> None:
    """certConf processed, its answer lost, and the repetition refused: the new certificate is good, so it is DONE."""
    box.plan({"name": "cut", "on": "certConf"}, {"name": "refuse", "on": "certConf", "fail": "certConfirmed"})
    assert box.renew().status == 8
    done = box.resume(pin=False)
    assert (done.status, done.state) == (0, "DONE")


def test_implicit_confirmation_sends_no_confirmation(box: Box) -> None:
    """Asked for by the authority's option and granted: DONE without certConf."""
    configure(box, "implicit_confirm = true")
    assert box.renew().status == 0
    (transaction,) = box.transactions()
    assert transaction.confirmation == ""
    assert (box.journal().receipt, box.journal().confirmation) == ("implicit", b"")
    assert [row["state"] for row in box.issued()] == ["confirmed"]


@pytest.mark.parametrize("knows_hash_alg", [True, False])
def test_a_certificate_signed_with_eddsa(box: Box, *, knows_hash_alg: bool) -> None:
    """Confirmed with hashAlg in version 3; once without it, in version 2, by a CA that refuses that."""
    secret = ed25519.Ed25519PrivateKey.generate()
    honest, root = box.authority.pki.issuers[SAFE_NEW], box.authority.pki.root
    builder = x509.CertificateBuilder().subject_name(honest.certificate.subject).issuer_name(root.certificate.subject)
    builder = builder.public_key(secret.public_key()).serial_number(7)
    builder = builder.not_valid_before(honest.certificate.not_valid_before_utc)
    builder = builder.not_valid_after(honest.certificate.not_valid_after_utc)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(secret.public_key()), critical=False)
    issuer = Issuer("eddsa", builder.sign(root.key, hashes.SHA256()), secret)  # type: ignore[arg-type]
    with (box.places.ca / f"{SAFE_NEW}.pem").open("ab") as file:
        file.write(issuer.certificate.public_bytes(serialization.Encoding.PEM))
    refusal = {"name": "refuse", "on": "certConf", "fail": "unsupportedVersion", "processed": False}
    with patch.dict(CONTENT, {"eddsa": lambda case: case.again(issuer)}):
        box.plan("eddsa", *([] if knows_hash_alg else [refusal]))
        came = box.renew()
    assert (came.status, came.state) == (0, "DONE"), came
    assert box.unused_plans() == []
    (status,) = PKIMessage.load(box.journal().confirmation)["body"].chosen
    assert isinstance(status["hashAlg"], core.Void) != knows_hash_alg
    assert [row["state"] for row in box.issued()] == ["confirmed"]


@pytest.mark.parametrize("request_kind", ["cr", "p10cr"])
def test_other_requests_by_configuration(box: Box, request_kind: str) -> None:
    """`request = "cr"` or `"p10cr"`: the same way to DONE, also by way of lost answers."""
    configure(box, f'request = "{request_kind}"')
    box.plan("cut", {"name": "cut", "on": "certConf"})
    assert [c.status for c in (box.renew(), box.resume(), box.resume(pin=False))] == [8, 8, 0]
    assert PKIMessage.load(box.journal().request)["body"].name == request_kind
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_pss_by_configuration(box: Box) -> None:
    """`pss = true`: an RSA token signs request, proof and confirmation with RSASSA-PSS, and is answered so, to DONE."""
    box.story = "v2-owed"
    configure(box, "pss = true")
    assert box.renew().status == 0
    row = box.journal()
    for message in (row.request, row.answer, row.confirmation):
        assert PKIMessage.load(message)["header"]["protectionAlg"]["algorithm"].dotted == "1.2.840.113549.1.1.10"
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_polling_for_a_p10cr(made: Template) -> None:
    """A request without a number is asked after by the number that the CA gave it."""
    with made.box(answer_after=DAY) as box:
        configure(box, 'request = "p10cr"')
        assert box.renew().status == 9
        box.clock.turn(days=1.1)
        assert box.resume().status == 0
        assert [row["state"] for row in box.issued()] == ["confirmed"]


@pytest.mark.parametrize("new_key", [False, True])
def test_an_offer_that_expired_before_it_was_used_is_asked_for_again(box: Box, *, new_key: bool) -> None:
    """Confirmed, not sent, and resumed after its end: 11, nothing requested; our unused key goes, `renew` starts anew."""
    before = box.objects()
    with (
        patch("safetok.ca.cmp.requests.build_request", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        box.renew(new_key=new_key)
    assert box.journal().state is State.CONFIRMED
    box.clock.turn(days=2)
    came = box.resume()
    assert (came.status, came.code) == (11, "offer_expired")
    assert box.issued() == []
    done = box.renew(new_key=new_key)
    assert (done.status, done.state) == (0, "DONE"), "one run: a script takes 0 for a renewal that was made"
    assert len(box.objects()["Private Key"]) == len(before["Private Key"]) + new_key
