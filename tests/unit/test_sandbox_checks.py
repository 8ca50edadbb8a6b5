from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from support_cmp_second import decode
from support_sandbox import NOW, Ca, Client, certificate, entry, key, pki, refused, start

from safetok.ca.cmp.names import CA_CERTS
from safetok.ca.cmp.protection import verify_message
from safetok.sandbox import profile
from safetok.sandbox.issuing import Policy
from safetok.sandbox.structures import Certificates, PKIBody, PKIHeader, PKIMessage, opaque, sign_message

DAY = timedelta(days=1)
ME = "v1-owed"


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return start(tmp_path, ME, "v2-owed", "ec-owed")


def again(der: bytes, *, leave: str = "", extra: list[bytes] | None = None, pss: bool = False, **header: Any) -> bytes:
    """The same message with one thing bent, rightly protected by the same subscriber."""
    message = PKIMessage.load(der)
    fields = {name: message["header"][name] for name in ("pvno", "sender", "recipient", "messageTime", "senderKID")}
    fields |= {name: message["header"][name] for name in ("transactionID", "senderNonce", "recipNonce")}
    kept = {n: v.native if n not in {"sender", "recipient"} else v for n, v in fields.items() if n != leave}
    bent = PKIHeader({n: v for n, v in {**kept, **header}.items() if v is not None})
    certificates = [profile.der(certificate(ME))] if extra is None else extra
    return sign_message(bent, PKIBody.load(message["body"].dump()), key(ME), extra_certs=certificates, pss=pss)


def two_requests(client: Client) -> bytes:
    one = PKIMessage.load(client.kur())["body"].chosen[0]
    return client.message(PKIBody("kur", [one, one]))


def unproven(client: Client) -> bytes:
    one = PKIMessage.load(client.kur())["body"].chosen[0]
    return client.message(PKIBody("kur", [{"certReq": one["certReq"]}]))


def without(client: Client, field: str) -> bytes:
    one = PKIMessage.load(client.kur())["body"].chosen[0]
    template = one["certReq"]["certTemplate"]
    kept = {n: template[n] for n in ("subject", "publicKey") if n != field}
    request = one["certReq"].__class__({"certReqId": 0, "certTemplate": kept})
    return client.message(PKIBody("kur", [{"certReq": request, "popo": one["popo"]}]))


def p10_by_another(client: Client) -> bytes:
    der = bytearray(PKIMessage.load(client.p10cr())["body"].chosen.untag().dump())
    der[-1] ^= 1
    return client.message(PKIBody("p10cr", opaque(bytes(der))))


def unprotected(der: bytes) -> bytes:
    message = PKIMessage.load(der)
    own = Certificates([opaque(profile.der(certificate(ME)))])
    bare = PKIMessage({"header": message["header"], "body": message["body"], "extraCerts": own})
    return bytes(bare.dump(force=True))


def of_foreign_key(client: Client) -> bytes:
    """A template whose key is of an algorithm that nobody knows."""
    der = PKIMessage.load(client.kur())["body"].dump()
    body = PKIBody.load(der.replace(bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d01017f"), 1))
    return client.message(body)


def of_no_version(der: bytes) -> bytes:
    """The certificate as if of version 49."""
    return der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020130"), 1)


WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505  (that it is refused is what is tested)

# What is sent, the failInfo of the answer, and words of the CA that tell this check from its neighbours.
OPENINGS: dict[str, tuple[Callable[[Client], bytes], str, str]] = {
    "version": (lambda c: again(c.kur(), pvno=1), "unsupportedVersion", "phiên bản"),
    "no certificate": (lambda c: again(c.kur(), extra=[]), "badMessageCheck", "thiếu chứng thư số"),
    "unreadable certificate": (
        lambda c: again(c.kur(), extra=[b"\x30\x03\x02\x01\x01"]),
        "badMessageCheck",
        "Không đọc được chứng thư số",
    ),
    "certificate of no version": (
        lambda c: again(c.kur(), extra=[of_no_version(profile.der(c.old))]),
        "badMessageCheck",
        "Không đọc được chứng thư số",
    ),
    "stranger": (
        lambda c: again(c.kur(), extra=[profile.der(certificate("end-unknown"))]),
        "signerNotTrusted",
        "không do",
    ),
    "sender": (lambda c: c.kur(sender=certificate("v2-owed").subject), "badMessageCheck", "sender"),
    "sender KID": (lambda c: c.kur(kid=bytes(20)), "badMessageCheck", "senderKID"),
    "protection": (lambda c: c.kur(signer=key("v2-owed")), "badMessageCheck", "Chữ ký bảo vệ"),
    "no protection": (lambda c: unprotected(c.kur()), "badMessageCheck", "Chữ ký bảo vệ"),
    "no time": (lambda c: again(c.kur(), leave="messageTime"), "missingTimeStamp", "messageTime"),
    "time": (lambda _: Client(ME, time=NOW - timedelta(minutes=6)).kur(), "badTime", "5 phút"),
    "time ahead": (lambda _: Client(ME, time=NOW + timedelta(minutes=6)).kur(), "badTime", "5 phút"),
    "nonce": (lambda c: c.kur(nonce=secrets.token_bytes(15)), "badSenderNonce", "senderNonce"),
    "transaction": (lambda _: Client(ME, transaction=secrets.token_bytes(15)).kur(), "badRequest", "transactionID"),
    "two requests": (two_requests, "badRequest", "một chứng thư số"),
    "no subject": (lambda c: without(c, "subject"), "badCertTemplate", "thiếu khóa"),
    "no key": (lambda c: without(c, "publicKey"), "badCertTemplate", "thiếu khóa"),
    "subject": (lambda c: c.kur(subject=certificate("v2-owed").subject), "badCertTemplate", "Tên thuê bao"),
    "key type": (lambda _: Client(ME, new_key=key("ec-owed")).kur(), "badCertTemplate", "Loại hoặc độ dài khóa"),
    "key size": (lambda _: Client(ME, new_key=WEAK).kur(), "badCertTemplate", "Loại hoặc độ dài khóa"),
    "date": (lambda c: c.kur(not_after=NOW - DAY), "badCertTemplate", "đã qua"),
    "foreign key": (of_foreign_key, "badCertTemplate", "khóa không được chấp nhận"),
    "unreadable request": (
        lambda c: c.message(PKIBody("p10cr", opaque(b"\x30\x03\x02\x01\x05"))),
        "badDataFormat",
        "Không đọc được yêu cầu",
    ),
    "unreadable genm": (
        lambda c: c.message(PKIBody.load(bytes.fromhex("b505300330010a"))),
        "badDataFormat",
        "Không đọc được",
    ),
    "no proof": (unproven, "badPOP", "không chứng minh"),
    "proof": (lambda c: c.kur(proof=key("v2-owed")), "badPOP", "Chữ ký chứng minh"),
    "proof in a p10cr": (p10_by_another, "badPOP", "PKCS#10"),
    "old serial": (lambda c: c.kur(old_serial=5), "badCertId", "oldCertID"),
    "no transaction for certConf": (lambda c: c.message(PKIBody("certConf", [])), "badRequest", "transactionID"),
    "no transaction for pollReq": (
        lambda c: c.message(PKIBody("pollReq", [{"certReqId": 0}])),
        "badRequest",
        "transactionID",
    ),
    "other information": (
        lambda c: c.message(PKIBody("genm", [{"infoType": "1.3.6.1.5.5.7.4.9"}])),
        "badRequest",
        "thông tin",
    ),
    "another body": (lambda c: c.message(PKIBody("pkiconf", core.Null())), "badRequest", "loại thông điệp"),
}


@pytest.mark.parametrize("what", OPENINGS)
def test_each_check_alone(ca: Ca, what: str) -> None:
    """A right message with one thing bent is refused for that, in words of its own, and nothing is issued; unbent, it is not."""
    make, fail, words = OPENINGS[what]
    client = Client(ME)
    answer = ca.say(make(client))
    assert refused(answer) == {fail}
    assert words in text_of(answer)
    assert ca.ledger() == []
    assert PKIMessage.load(ca.say(again(Client(ME).kur())))["body"].name == "kup"


def text_of(answer: bytes) -> str:
    return str(PKIMessage.load(answer)["body"].chosen["pKIStatusInfo"]["statusString"][0].native)


def test_each_check_on_what_follows(ca: Ca) -> None:
    """certConf: hash, nonce, a second opening, another subscriber's, and a rejection after the confirmation."""
    client = Client(ME)
    answer = ca.say(client.kur())
    assert refused(ca.say(client.cert_conf(answer, digest=bytes(32)))) == {"badCertId"}
    assert refused(ca.say(client.cert_conf(answer, recip=bytes(16)))) == {"badRecipientNonce"}
    assert refused(ca.say(client.kur())) == {"transactionIdInUse"}
    other = Client("v2-owed", transaction=client.transaction)
    assert refused(ca.say(other.cert_conf(answer))) == {"badRequest"}
    assert refused(ca.say(client.poll(answer))) == {"badRequest"}
    assert ca.standing(ME) == "good"
    assert PKIMessage.load(ca.say(client.cert_conf(answer)))["body"].name == "pkiconf"
    assert refused(ca.say(client.cert_conf(answer, accept=False))) == {"certConfirmed"}
    assert [row["state"] for row in ca.ledger()] == ["confirmed"]


def test_each_check_on_a_request_that_waits(tmp_path: Path) -> None:
    """While it waits there is nothing to confirm; one revoked meanwhile, or found undone, gets and confirms nothing."""
    ca = start(tmp_path, ME, policy=Policy(answer_after=timedelta(minutes=10), confirm_wait=timedelta(hours=1)))
    client = Client(ME)
    waiting = ca.say(client.kur())
    nonce = PKIMessage.load(waiting)["header"]["senderNonce"].native
    confirmation = PKIBody("certConf", [{"certHash": bytes(32), "certReqId": 0}])
    early = ca.say(client.message(confirmation, recip=nonce))
    assert (refused(early), "Chưa có chứng thư số" in text_of(early)) == ({"badRequest"}, True)
    good = ca.books.entries[entry(ME).serial]
    ca.now += timedelta(minutes=10)
    ca.books.keep(entries=(replace(good, standing="suspended", reason="certificateHold", since=NOW),))
    assert refused(ca.say(client.poll(waiting))) == {"certRevoked"}
    ca.books.keep(entries=(good,))
    given = ca.say(client.poll(waiting))
    ca.now += timedelta(hours=2)
    late = ca.say(client.cert_conf(given))
    assert (refused(late), "quá hạn xác nhận" in text_of(late)) == ({"certRevoked"}, True)


def test_what_is_asked_for_by_genm_is_given(ca: Ca) -> None:
    """caCerts beside something unknown is answered."""
    asked = [{"infoType": "1.3.6.1.5.5.7.4.9"}, {"infoType": CA_CERTS}]
    assert PKIMessage.load(ca.say(Client(ME).message(PKIBody("genm", asked))))["body"].name == "genp"


def test_the_signer_s_certificate_must_be_the_whole_one(ca: Ca) -> None:
    """A certificate with a serial of the CA's and other bytes is a stranger's."""
    old = certificate(ME)
    builder = x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer).public_key(old.public_key())
    builder = builder.serial_number(old.serial_number).not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
    made = builder.sign(key(ME), hashes.SHA256())
    assert entry(ME).serial == profile.serial_text(made)
    assert refused(ca.say(again(Client(ME).kur(), extra=[profile.der(made)]))) == {"signerNotTrusted"}


def test_who_protects_by_pss_is_answered_so(ca: Ca) -> None:
    """A kur under RSASSA-PSS is believed, and its kup has the same protection (RFC 9481 section 3.1)."""
    answer = ca.say(again(Client(ME).kur(), pss=True))
    message = PKIMessage.load(answer)
    assert message["body"].name == "kup"
    assert message["header"]["protectionAlg"]["algorithm"].dotted == "1.2.840.113549.1.1.10"
    assert any(verify_message(answer, i.certificate.public_key()) for i in pki().issuers.values())
    decode(answer)
