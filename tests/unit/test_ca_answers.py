from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from support_ca import (
    ENDPOINT,
    Server,
    delegate,
    granted,
    issuer,
    renewed,
    response,
    secret,
    status_info,
)
from support_recorded import TO, read
from support_trust import DAY, NOW, issue, key, rsa_key, usage

from safetok.ca.cmp.answers import Confirmed, Issued, Refused, Waiting
from safetok.ca.cmp.endpoint import CMC_CA, CMC_RA, Endpoint
from safetok.ca.cmp.failures import _SENTENCES, TEMPORARY
from safetok.ca.cmp.names import FAIL_INFO
from safetok.domain.certificates import Certificate
from safetok.errors import NoAnswer
from safetok.sandbox.structures import OpaqueSequence

ALIEN = bytes.fromhex("300830060601030101ff")  # a SEQUENCE that is no certificate


def no_answer(raw: bytes, endpoint: Endpoint = ENDPOINT, **bent: Any) -> str:
    with pytest.raises(NoAnswer) as error:
        read(raw, endpoint, **bent)
    return error.value.code


def test_a_right_answer_is_the_certificate() -> None:
    """A kup protected by the issuing CA, with our transaction and nonce, gives the certificate as it came."""
    answer = read(granted(TO, Server(extra=(ALIEN,), confirm_by=NOW + DAY)))
    assert answer == Issued(
        certificate=renewed().der,
        extra=(ALIEN,),
        implicit=False,
        with_mods=False,
        server_nonce=b"S" * 16,
        cert_req_id=0,
        confirm_by=NOW + DAY,
    )


# --- each check alone ---


def test_another_transaction_is_no_answer() -> None:
    """Everything right but the transactionID: nothing follows."""
    assert no_answer(granted(TO, Server(transaction_id=b"T" * 16))) == "transaction_id"
    assert no_answer(granted(TO, Server(transaction_id=b"")), transaction_id=b"") == "transaction_id"


def test_a_nonce_that_is_not_ours_is_no_answer() -> None:
    """Everything right but recipNonce, also an empty one where no nonce of ours is known."""
    assert no_answer(granted(TO, Server(recip_nonce=b"N" * 16))) == "recip_nonce"
    assert no_answer(granted(TO, Server(recip_nonce=b"")), nonces=frozenset({b""})) == "recip_nonce"


def test_while_polling_the_first_nonce_counts_too() -> None:
    """The final answer may repeat the nonce of the last pollReq or of the first request."""
    both = frozenset({b"P" * 16, TO.sender_nonce})
    for nonce in both:
        assert isinstance(read(granted(TO, Server(recip_nonce=nonce)), nonces=both), Issued)


def test_an_unknown_version_is_no_answer() -> None:
    """pvno 2 and 3 are known, 1 and 4 are not."""
    for pvno in (2, 3):
        assert isinstance(read(granted(TO, Server(pvno=pvno))), Issued)
    for pvno in (1, 4):
        assert no_answer(granted(TO, Server(pvno=pvno))) == "pvno"


def test_a_stranger_s_protection_is_no_answer() -> None:
    """Rightly signed, by a key that is nobody's."""
    assert no_answer(granted(TO, Server(key=key("stranger")))) == "protection"


def test_protection_covers_header_and_body() -> None:
    """A bit changed in the certificate or in the header after signing: no answer."""
    raw = granted(TO)
    for spot in (raw.index(renewed().der) + 60, raw.index(b"S" * 16)):
        assert no_answer(raw[:spot] + bytes([raw[spot] ^ 1]) + raw[spot + 1 :]) == "protection"


def test_protection_is_checked_over_the_bytes_received() -> None:
    """A message re-encoded after signing (a longer length form of one field) is another message."""
    raw = granted(TO)
    nonce = b"\x04\x10" + b"S" * 16
    assert raw.count(nonce) == 1
    longer = raw.replace(b"\xa5\x12" + nonce, b"\xa5\x81\x12" + nonce)
    assert len(longer) == len(raw) + 1
    outer = int.from_bytes(longer[2:4], "big") + 1
    header = int.from_bytes(longer[6:7], "big") + 1 if longer[5] == 0x81 else 0
    assert header
    longer = longer[:2] + outer.to_bytes(2, "big") + longer[4:6] + bytes([header]) + longer[7:]
    assert no_answer(longer) == "protection"


def test_an_unsigned_answer_is_none() -> None:
    """Without protection not even a certificate is an answer; what an unsigned error says is only quoted."""
    raw = Server().answer(TO, "error", {"pKIStatusInfo": status_info(2, "hết giờ", ["badTime"])})
    bare = unprotected(raw)
    with pytest.raises(NoAnswer) as error:
        read(bare)
    assert error.value.code == "unprotected"
    assert "hết giờ" in error.value.message
    assert no_answer(unprotected(granted(TO))) == "unprotected"


def unprotected(raw: bytes) -> bytes:
    from safetok.sandbox.structures import PKIMessage

    message = PKIMessage.load(raw)
    return bytes(PKIMessage({"header": message["header"], "body": message["body"]}).dump())


# --- whose signature counts ---


def test_the_issuing_ca_counts_only_while_valid() -> None:
    """An answer signed by an expired CA certificate, or by one not valid yet, is none."""
    for at in (NOW + 901 * DAY, NOW - 901 * DAY):
        assert no_answer(granted(TO), at=at) == "protection"


def test_a_pinned_signer_counts() -> None:
    """A certificate that the user pinned needs no CA above it, and no extraCerts."""
    pinned = issue("CMP", "CMP", key("pinned"), key("pinned"))
    raw = granted(TO, Server(key=key("pinned")))
    assert isinstance(read(raw, replace(ENDPOINT, signer=pinned)), Issued)
    assert isinstance(read(raw, replace(ENDPOINT, issuers=(), signer=pinned)), Issued)
    assert no_answer(raw) == "protection"
    assert no_answer(raw, replace(ENDPOINT, signer=pinned), at=NOW + 301 * DAY) == "protection"


def by(certificate: Certificate, who: str = "RA", *, extra: tuple[bytes, ...] = ()) -> bytes:
    return granted(TO, Server(key=key(who), extra=(*extra, certificate.der)))


@pytest.mark.parametrize("purpose", [CMC_CA, CMC_RA])
def test_a_delegate_of_the_issuing_ca_counts(purpose: x509.ObjectIdentifier) -> None:
    """Issued directly by the CA with cmcCA or cmcRA, anywhere among extraCerts, beside certificates nobody can read."""
    raw = by(delegate(purpose), extra=(ALIEN, issuer("OTHER").der))
    assert isinstance(read(raw), Issued)


def test_a_delegate_that_is_not_sent_does_not_count() -> None:
    """Nobody can know the key."""
    assert no_answer(granted(TO, Server(key=key("RA")))) == "protection"


def test_a_certificate_without_the_purpose_does_not_count() -> None:
    """A fellow subscriber of the CA is no CA: emailProtection, or no EKU at all."""
    assert no_answer(by(delegate(x509.ExtendedKeyUsageOID.EMAIL_PROTECTION))) == "protection"
    assert no_answer(by(issue("RA", "SAFE-CA", key("RA"), key("SAFE-CA")))) == "protection"


def test_a_delegate_of_another_ca_does_not_count() -> None:
    """The same EKU under another CA, also one that calls itself as ours does, proves nothing."""
    assert no_answer(by(delegate(by="OTHER"))) == "protection"
    impostor = issue("RA", "SAFE-CA", key("RA"), key("impostor"), [(x509.ExtendedKeyUsage([CMC_RA]), False)])
    assert no_answer(by(impostor)) == "protection"


def test_a_delegate_of_a_delegate_does_not_count() -> None:
    """Directly issued means directly."""
    grandchild = delegate(by="RA", who="grandchild")
    raw = granted(TO, Server(key=key("grandchild"), extra=(grandchild.der, delegate().der)))
    assert no_answer(raw) == "protection"


def test_an_expired_delegate_does_not_count() -> None:
    """Its own validity counts, and so does that of the CA that appointed it."""
    assert no_answer(by(delegate(who="late", ends=NOW - DAY), "late")) == "protection"
    assert no_answer(by(delegate(who="early", begins=NOW + DAY), "early")) == "protection"
    outlived = delegate(who="outlived", ends=NOW + 2000 * DAY)
    assert isinstance(read(by(outlived, "outlived")), Issued)
    assert no_answer(by(outlived, "outlived"), at=NOW + 1000 * DAY) == "protection"


def test_a_delegate_whose_key_is_not_for_signing_does_not_count() -> None:
    """KeyUsage without digitalSignature says so."""
    assert no_answer(by(delegate(who="mute", usage=("key_encipherment",)), "mute")) == "protection"


def test_our_own_signature_sent_back_does_not_count() -> None:
    """Even a subscriber whose certificate carries cmcRA cannot answer itself."""
    extensions = [(x509.ExtendedKeyUsage([CMC_RA]), False), usage("digital_signature")]
    ours = issue("CTY", "SAFE-CA", secret(), key("SAFE-CA"), extensions)
    raw = granted(TO, Server(key=secret(), extra=(ours.der,)))
    assert no_answer(raw, old=ours) == "protection"


@pytest.mark.parametrize(
    ("who", "pss"),
    [
        (rsa_key("signer"), False),
        (rsa_key("signer"), True),
        (ed25519.Ed25519PrivateKey.generate(), False),
        (ed448.Ed448PrivateKey.generate(), False),
    ],
    ids=["PKCS1", "PSS", "Ed25519", "Ed448"],
)
def test_every_algorithm_of_the_profile_protects(who: Any, *, pss: bool) -> None:
    """RSA in both paddings, ECDSA (everywhere else here) and EdDSA."""
    pinned = replace(ENDPOINT, signer=issue("S", "SAFE-CA", who, key("SAFE-CA")))
    assert isinstance(read(granted(TO, Server(key=who, pss=pss)), pinned), Issued)


# --- what it says ---


def test_waiting_means_ask_with_a_poll() -> None:
    """A kup that waits, a pollRep and an error that waits say when to ask, and for which certReqId."""
    kup = read(Server().answer(TO, "kup", {"response": [response(3, text="đang xét duyệt")]}))
    assert kup == Waiting(check_after=0, server_nonce=b"S" * 16, text="đang xét duyệt", cert_req_id=0)
    rep = read(Server().answer(TO, "pollRep", [{"certReqId": 0, "checkAfter": 3600, "reason": ["mai", "nhé"]}]))
    assert rep == Waiting(check_after=3600, server_nonce=b"S" * 16, text="mai nhé", cert_req_id=0)
    error = read(Server().answer(TO, "error", {"pKIStatusInfo": status_info(3), "errorDetails": ["later"]}))
    assert error == Waiting(check_after=0, server_nonce=b"S" * 16, text="later", cert_req_id=-1)


@pytest.mark.parametrize(("said", "meant"), [(-5, 0), (10**30, 366 * 86_400)])
def test_an_absurd_check_after_is_bounded(said: int, meant: int) -> None:
    """Neither the past nor the end of time."""
    assert read(Server().answer(TO, "pollRep", [{"certReqId": 0, "checkAfter": said}])).check_after == meant


def test_a_refusal_says_why() -> None:
    """Rejection in a kup and an error body give the failures by name and the CA's words."""
    kup = read(Server().answer(TO, "kup", {"response": [response(2, text="Sai mẫu", fail_info=["badCertTemplate"])]}))
    assert kup == Refused(fail_info=("badCertTemplate",), text="Sai mẫu", temporary=False, server_nonce=b"S" * 16)
    content = {"pKIStatusInfo": status_info(2, "no", ["badPOP", "badAlg"]), "errorCode": 7, "errorDetails": ["why"]}
    error = read(Server().answer(TO, "error", content))
    assert (error.fail_info, error.text) == (("badAlg", "badPOP"), "no why")
    assert "no why" in error.reason


@pytest.mark.parametrize("name", FAIL_INFO)
def test_every_failure_has_its_sentence(name: str) -> None:
    """Each bit of PKIFailureInfo arrives by its name, in words, and only three of them are temporary."""
    answer = read(Server().answer(TO, "error", {"pKIStatusInfo": status_info(2, "", [name])}))
    assert answer.fail_info == (name,)
    assert answer.reason == _SENTENCES[name]()
    assert answer.reason.endswith(".")
    assert answer.temporary is (name in {"systemUnavail", "systemFailure", "badTime"}) is (name in TEMPORARY)


def test_one_final_failure_makes_the_refusal_final() -> None:
    """systemFailure beside badRequest is no reason to try again; no reason at all neither."""
    for names in (["systemFailure", "badRequest"], []):
        assert not read(Server().answer(TO, "error", {"pKIStatusInfo": status_info(2, "", names)})).temporary


def test_granted_with_mods_is_told() -> None:
    """The CA changed what was asked: a certificate, with a mark."""
    answer = read(Server().answer(TO, "kup", {"response": [response(1, renewed().der, text="ngắn hơn")]}))
    assert (answer.with_mods, answer.text) == (True, "ngắn hơn")


def test_a_warning_with_a_certificate_is_a_certificate() -> None:
    """keyUpdateWarning and the revocation warnings lose no certificate; without one they refuse."""
    for status in (4, 5, 6):
        assert isinstance(read(Server().answer(TO, "kup", {"response": [response(status, renewed().der)]})), Issued)
        assert isinstance(read(Server().answer(TO, "kup", {"response": [response(status)]})), Refused)


def test_implicit_confirmation_counts_only_when_asked_for() -> None:
    """Granted unasked, certConf is still to be sent."""
    raw = granted(TO, Server(implicit_confirm=True))
    assert not read(raw).implicit
    assert read(raw, replace(ENDPOINT, implicit_confirm=True)).implicit
    assert not read(granted(TO), replace(ENDPOINT, implicit_confirm=True)).implicit


def test_a_confirmation_is_received() -> None:
    """pkiConf."""
    assert read(Server().answer(TO, "pkiconf", core.Null())) == Confirmed(server_nonce=b"S" * 16)


# --- answers to something else, or to nothing ---


def test_the_answer_must_be_to_this_kind_of_request() -> None:
    """cp answers cr and p10cr, kup answers kur, and nothing the other; p10cr has no certReqId of its own."""
    for kind, right, number in (("kur", "kup", 0), ("cr", "cp", 0), ("p10cr", "cp", -1), ("p10cr", "cp", 0)):
        endpoint = replace(ENDPOINT, request=kind)  # type: ignore[arg-type]
        content = {"response": [response(0, renewed().der, number=number)]}
        assert read(Server().answer(TO, right, content), endpoint).cert_req_id == number
        wrong = "kup" if right == "cp" else "cp"
        assert no_answer(Server().answer(TO, wrong, content), endpoint) == "unexpected_answer"
    content = {"response": [response(0, renewed().der, number=-1)]}
    assert no_answer(Server().answer(TO, "kup", content)) == "unexpected_answer"


def test_an_answer_out_of_turn_is_none() -> None:
    """A pkiConf where a certificate was to come, a certificate where the confirmation's receipt was."""
    assert no_answer(Server().answer(TO, "pkiconf", core.Null()), expect="certificate") == "unexpected_answer"
    assert no_answer(granted(TO), expect="confirmation") == "unexpected_answer"
    assert isinstance(read(granted(TO), expect="certificate"), Issued)
    assert isinstance(read(Server().answer(TO, "pkiconf", core.Null()), expect="confirmation"), Confirmed)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("kup", {"response": []}),
        ("kup", {"response": [response(0, renewed().der), response(0, renewed().der)]}),
        ("kup", {"response": [response(0, renewed().der, number=1)]}),
        ("kup", {"response": [response(0)]}),
        ("kup", {"response": [response(1)]}),
        ("kup", {"response": [response(9, renewed().der)]}),
        ("kup", {"response": [response(-1, renewed().der)]}),
        ("pollRep", []),
        ("pollRep", [{"certReqId": 0, "checkAfter": 1}, {"certReqId": 0, "checkAfter": 1}]),
        ("pollRep", [{"certReqId": 3, "checkAfter": 1}]),
        ("genp", []),
        ("kur", []),
        ("nested", OpaqueSequence.load(ALIEN)),
    ],
)
def test_what_answers_nothing_of_ours_is_no_answer(kind: str, content: Any) -> None:
    """No response or several, another certReqId, granted without a certificate, an unknown status, another body."""
    assert no_answer(Server().answer(TO, kind, content)) == "unexpected_answer"


def test_an_encrypted_certificate_is_no_answer() -> None:
    """It would need the token's key to decrypt; nobody asked for it."""
    encrypted = {"certReqId": 0, "status": status_info(0)}
    encrypted["certifiedKeyPair"] = {"certOrEncCert": {"encryptedCert": OpaqueSequence.load(ALIEN)}}
    assert no_answer(Server().answer(TO, "kup", {"response": [encrypted]})) == "unexpected_answer"


@pytest.mark.parametrize("raw", [b"", b"\x30", b"\x30\x80\x00\x00", b"<html>", granted(TO) + b"\x00", granted(TO)[:-1]])
def test_bytes_that_are_no_message_are_no_answer(raw: bytes) -> None:
    """Nothing, a beginning, BER without an end, a web page, something after the end, something missing."""
    assert no_answer(raw) == "unreadable"


@pytest.mark.parametrize("size", [127, 128, 129, 256, 384, 640, 0x1080])
def test_a_certificate_of_any_length_arrives_whole(size: int) -> None:
    """Also one whose length ends in 0x80, which asn1crypto takes for the sign of an indefinite one."""
    certificate = OpaqueSequence(contents=b"\x04\x82" + (size - 4).to_bytes(2, "big") + bytes(size - 4)).dump()
    assert len(certificate) > size
    raw = Server(extra=(certificate,)).answer(TO, "kup", {"response": [response(0, certificate)]})
    answer = read(raw)
    assert (answer.certificate, answer.extra) == (certificate, (certificate,))


def test_a_message_too_long_is_not_read() -> None:
    """Beyond a mebibyte nothing is parsed."""
    assert no_answer(granted(TO, Server(extra=(b"\x30\x83\x10\x00\x00" + bytes(1 << 20),)))) == "unreadable"


def test_many_extra_certificates_are_not_all_looked_at() -> None:
    """Only the first 32 count, so that a long list costs no more."""
    raw = granted(TO, Server(key=key("RA"), extra=(*[ALIEN] * 32, delegate().der)))
    assert no_answer(raw) == "protection"


def test_text_is_bounded() -> None:
    """A CA's text is kept as text, not without end."""
    answer = read(Server().answer(TO, "error", {"pKIStatusInfo": status_info(2, "[red]\x1b" + "x" * 9000)}))
    assert len(answer.text) == 2000
    assert answer.text.startswith("[red]\x1bxx")


def test_the_moment_that_counts_is_when_it_was_received() -> None:
    """A stored answer is read again as it was read at first."""
    raw = granted(TO)
    assert read(raw, at=NOW + timedelta(days=899)) == read(raw)
