from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from unittest.mock import patch

import pytest
from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from pyasn1.codec.der.decoder import decode
from pyasn1_alt_modules import rfc9480
from support_sandbox import (
    NOW,
    SECOND,
    Ca,
    Client,
    body_of,
    certificate,
    entry,
    issued,
    key,
    pki,
    refused,
    response,
    start,
    status_of,
    told,
)

from safetok.ca.cmp.messages import Message
from safetok.ca.cmp.names import CA_CERTS, CONFIRM_WAIT_TIME, IMPLICIT_CONFIRM
from safetok.ca.cmp.protection import verify_message
from safetok.domain.times import end_of_day
from safetok.sandbox.books import Entry
from safetok.sandbox.issuing import CmpService, Policy
from safetok.sandbox.pki import LCS, SAFE_NEW
from safetok.sandbox.structures import PKIBody, PKIMessage, opaque

DAY = timedelta(days=1)


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return start(tmp_path, "v1-owed", "v2-owed", "ec-owed", "not-owed", "expired-owed", "beyond-ca-end", "suspended",
                 "revoked", "contract-over", "dossier-missing")  # fmt: skip


def renewed(ca: Ca, client: Client, **bent: object) -> tuple[bytes, bytes]:
    opening = client.kur(**bent)  # type: ignore[arg-type]
    return opening, ca.say(opening)


@pytest.mark.parametrize("story", ["v1-owed", "ec-owed", "expired-owed"])
def test_an_owed_certificate_is_issued_anew_for_the_same_key_and_confirmed(ca: Ca, story: str) -> None:
    """A kur by the old key, expired or not, gives the same subject, key and usage a new serial and a later end."""
    client = Client(story)
    end = told(story).contract_end
    assert end is not None
    _opening, answer = renewed(ca, client, not_after=end_of_day(end))
    assert (body_of(answer), status_of(answer)) == ("kup", 0)
    new, old = x509.load_der_x509_certificate(issued(answer)), certificate(story)
    assert new.subject == old.subject
    assert new.public_key() == old.public_key()
    assert new.serial_number != old.serial_number
    assert new.not_valid_after_utc == end_of_day(end)
    assert new.not_valid_before_utc == NOW
    for kind in (x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName):
        assert new.extensions.get_extension_for_class(kind) == old.extensions.get_extension_for_class(kind)
    new.verify_directly_issued_by(pki().issuers[SAFE_NEW].certificate)
    assert ca.ledger()[0]["state"] == "issued"
    assert body_of(ca.say(client.cert_conf(answer))) == "pkiconf"
    row = ca.ledger()[0]
    assert (row["state"], row["old_serial"], row["transaction"]) == (
        "confirmed",
        entry(story).serial,
        client.transaction.hex(),
    )


def test_a_long_ledger_is_copied_when_somebody_looks_after_it(ca: Ca, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file follows each change while it is short, then waits for `copy_ledger`; a new start finds it whole either way."""
    file = ca.folder / "ledger.json"
    renewed(ca, Client("v1-owed"))
    assert json.loads(file.read_bytes())["issued"] == ca.ledger() != []
    monkeypatch.setattr("safetok.sandbox.books.SHORT", 0)
    short = file.read_bytes()
    renewed(ca, Client("v2-owed"))
    assert file.read_bytes() == short
    ca.books.copy_ledger()
    assert json.loads(file.read_bytes())["issued"] == ca.ledger()
    file.write_bytes(short)
    ca.restart()
    assert json.loads(file.read_bytes())["issued"] == ca.ledger()


def at_once(ca: Ca, openings: list[bytes]) -> list[bytes]:
    """What two requests are answered that are both still being believed when neither is in the books."""
    both, believe = Barrier(2, timeout=20), CmpService._authenticate

    def believed(self: CmpService, received: Message) -> Entry:
        found = believe(self, received)
        both.wait()
        return found

    with patch.object(CmpService, "_authenticate", believed), ThreadPoolExecutor(2) as threads:
        return list(threads.map(ca.say, openings))


def test_a_request_that_comes_twice_at_once_is_answered_once(ca: Ca) -> None:
    """One certificate, and the same bytes to both."""
    first, second = at_once(ca, [Client("v1-owed").kur()] * 2)
    assert first == second
    assert body_of(first) == "kup"
    assert len(ca.ledger()) == 1


def test_two_requests_of_one_subscriber_at_once_bring_one_certificate(ca: Ca) -> None:
    """As for two that come one after the other, the second is refused."""
    answers = at_once(ca, [Client("v1-owed").kur(), Client("v1-owed").kur()])
    assert sorted(map(body_of, answers)) == ["error", "kup"]
    assert len(ca.ledger()) == 1


def test_a_new_key_is_proven_by_itself_and_protected_by_the_old_one(ca: Ca) -> None:
    """A kur for another key carries that key's proof; the certificate is for it."""
    other = rsa.generate_private_key(65537, 2048)
    answer = ca.say(Client("v1-owed", new_key=other).kur())
    assert x509.load_der_x509_certificate(issued(answer)).public_key() == other.public_key()


@pytest.mark.parametrize("kind", ["cr", "p10cr"])
def test_the_other_requests_are_answered_with_cp(ca: Ca, kind: str) -> None:
    """cr and p10cr give a cp; a p10cr's certReqId is -1."""
    client = Client("v1-owed")
    answer = ca.say(client.p10cr() if kind == "p10cr" else client.kur(kind="cr"))
    assert body_of(answer) == "cp"
    assert response(answer)["certReqId"].native == (-1 if kind == "p10cr" else 0)
    assert body_of(ca.say(client.cert_conf(answer))) == "pkiconf"


def test_the_end_is_capped_by_the_contract_and_by_the_ca_and_said_so(ca: Ca) -> None:
    """A later date than allowed is cut to the contract's or the CA's end with grantedWithMods; an earlier one is kept."""
    story = told("beyond-ca-end")
    assert story.contract_end is not None
    answer = ca.say(Client("beyond-ca-end").kur(not_after=end_of_day(story.contract_end)))
    assert status_of(answer) == 1
    ends = x509.load_der_x509_certificate(issued(answer)).not_valid_after_utc
    assert ends == pki().issuers[SAFE_NEW].certificate.not_valid_after_utc
    sooner = NOW.replace(microsecond=0) + 100 * DAY
    answer = ca.say(Client("v1-owed").kur(not_after=sooner))
    assert status_of(answer) == 0
    assert x509.load_der_x509_certificate(issued(answer)).not_valid_after_utc == sooner


def test_the_same_opening_message_gets_the_same_bytes_also_after_a_restart(ca: Ca) -> None:
    """A repeated request is not a second certificate: its answer is on disk, whatever time it is by then."""
    opening, answer = renewed(ca, Client("v1-owed"))
    assert ca.say(opening) == answer
    ca.now += timedelta(hours=3)
    ca.restart()
    assert ca.say(opening) == answer
    assert len(ca.ledger()) == 1


def test_another_message_under_a_used_transaction_is_refused(ca: Ca) -> None:
    """transactionIdInUse, and nothing is issued for it."""
    client = Client("v1-owed")
    renewed(ca, client)
    assert refused(ca.say(client.kur())) == {"transactionIdInUse"}
    assert len(ca.ledger()) == 1


def test_freshness_is_asked_of_opening_messages_only(ca: Ca) -> None:
    """An opening message of another hour is badTime; its certConf may come hours later with the time it was signed at."""
    assert refused(ca.say(Client("v1-owed", time=NOW - timedelta(minutes=6)).kur())) == {"badTime"}
    assert refused(ca.say(Client("v1-owed", time=NOW + timedelta(minutes=6)).kur())) == {"badTime"}
    client = Client("v1-owed", time=NOW - timedelta(minutes=4))
    _opening, answer = renewed(ca, client)
    confirmation = client.cert_conf(answer)
    ca.now += timedelta(hours=5)
    assert body_of(ca.say(confirmation)) == "pkiconf"


def test_a_repeated_certconf_gets_the_same_pkiconf(ca: Ca) -> None:
    """Also after a restart, byte for byte."""
    client = Client("v1-owed")
    _opening, answer = renewed(ca, client)
    confirmation = client.cert_conf(answer)
    first = ca.say(confirmation)
    ca.restart()
    assert ca.say(confirmation) == first


def test_a_rejecting_certconf_undoes_the_update(ca: Ca) -> None:
    """The new certificate is revoked, the old one may be renewed again, and a repeat gets the same pkiConf."""
    client = Client("v1-owed")
    _opening, answer = renewed(ca, client)
    assert not ca.renewable("v1-owed")
    confirmation = client.cert_conf(answer, accept=False)
    first = ca.say(confirmation)
    assert body_of(first) == "pkiconf"
    assert ca.say(confirmation) == first
    assert ca.ledger()[0]["state"] == "undone"
    assert ca.books.entries[ca.ledger()[0]["serial"]].standing == "revoked"
    assert ca.renewable("v1-owed")
    assert body_of(ca.say(Client("v1-owed").kur())) == "kup"
    assert refused(ca.say(client.cert_conf(answer))) == {"certRevoked"}


def test_what_is_not_confirmed_in_time_is_undone(ca: Ca) -> None:
    """After confirmWaitTime, as the kup announced it, the new certificate is revoked; a late certConf is told so."""
    client = Client("v1-owed")
    _opening, answer = renewed(ca, client)
    announced = {i["infoType"].dotted: i for i in PKIMessage.load(answer)["header"]["generalInfo"]}[CONFIRM_WAIT_TIME]
    until = announced["infoValue"].parse(core.GeneralizedTime).native
    assert until == NOW + DAY
    ca.now = until
    assert not ca.renewable("v1-owed")
    ca.now = until + SECOND
    assert ca.renewable("v1-owed")
    assert refused(ca.say(client.cert_conf(answer))) == {"certRevoked"}
    ca.restart()
    assert ca.ledger()[0]["state"] == "undone"


def test_an_error_of_the_client_undoes_the_update(ca: Ca) -> None:
    """A protected error message instead of certConf is acknowledged and takes the update back."""
    client = Client("v1-owed")
    _opening, answer = renewed(ca, client)
    nonce = PKIMessage.load(answer)["header"]["senderNonce"].native
    told_off = PKIBody("error", {"pKIStatusInfo": {"status": 2}})
    assert body_of(ca.say(client.message(told_off, recip=nonce))) == "pkiconf"
    assert ca.renewable("v1-owed")


def test_a_second_renewal_is_refused_while_one_is_open_and_after_it(ca: Ca) -> None:
    """One certificate is topped up once."""
    client = Client("v1-owed")
    _opening, answer = renewed(ca, client)
    assert refused(ca.say(Client("v1-owed").kur())) == {"notAuthorized"}
    ca.say(client.cert_conf(answer))
    assert refused(ca.say(Client("v1-owed").kur())) == {"notAuthorized"}


def test_implicit_confirmation_is_given_when_asked_and_certconf_still_answered(ca: Ca) -> None:
    """implicitConfirm in the request comes back in the answer, and the certificate counts as confirmed at once."""
    client = Client("v1-owed")
    general = [{"infoType": IMPLICIT_CONFIRM, "infoValue": core.Any(core.Null())}]
    answer = ca.say(client.kur(general=general))
    assert [i["infoType"].dotted for i in PKIMessage.load(answer)["header"]["generalInfo"]] == [IMPLICIT_CONFIRM]
    assert ca.ledger()[0]["state"] == "confirmed"
    assert body_of(ca.say(client.cert_conf(answer))) == "pkiconf"


@pytest.mark.parametrize(
    ("story", "fail"),
    [
        ("not-owed", "notAuthorized"),
        ("contract-over", "notAuthorized"),
        ("dossier-missing", "notAuthorized"),
        ("suspended", "certRevoked"),
        ("revoked", "certRevoked"),
    ],
)
def test_who_is_not_entitled_is_refused(ca: Ca, story: str, fail: str) -> None:
    """No offer, a problem with the papers, suspension and revocation each end with an error and nothing issued."""
    assert refused(ca.say(Client(story).kur())) == {fail}
    assert ca.ledger() == []


def test_every_bent_request_is_refused_with_its_own_failinfo(ca: Ca) -> None:
    """Each rule alone: version, sender, protection, proof of possession, subject, key, oldCertID, nonce, transaction, dates."""
    client, stranger = Client("v1-owed"), key("v2-owed")
    bent = {
        "badMessageCheck": client.kur(signer=stranger),
        "badPOP": client.kur(proof=stranger),
        "badCertTemplate": client.kur(subject=certificate("v2-owed").subject),
        "badCertId": client.kur(old_serial=5),
        "badSenderNonce": client.kur(nonce=secrets.token_bytes(8)),
        "badRequest": Client("v1-owed", transaction=secrets.token_bytes(8)).kur(),
        "signerNotTrusted": Client("end-unknown").kur(),
        "unsupportedVersion": client.kur(pvno=1),
    }
    assert {name: refused(ca.say(message)) for name, message in bent.items()} == {name: {name} for name in bent}
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  (that it is refused is what is tested)
    assert refused(ca.say(Client("v1-owed", new_key=weak).kur())) == {"badCertTemplate"}
    assert refused(ca.say(Client("v1-owed", new_key=key("ec-owed")).kur())) == {"badCertTemplate"}
    assert refused(ca.say(client.kur(not_after=NOW - DAY))) == {"badCertTemplate"}
    assert refused(ca.say(client.kur(sender=certificate("v2-owed").subject))) == {"badMessageCheck"}
    assert refused(ca.say(client.kur(kid=bytes(20)))) == {"badMessageCheck"}
    assert ca.ledger() == []


def test_a_certconf_must_fit_its_transaction(ca: Ca) -> None:
    """Another certificate's hash, another nonce, another subscriber or no transaction at all change nothing."""
    client = Client("v1-owed")
    _opening, answer = renewed(ca, client)
    assert refused(ca.say(client.cert_conf(answer, digest=bytes(32)))) == {"badCertId"}
    assert refused(ca.say(client.cert_conf(answer, recip=bytes(16)))) == {"badRecipientNonce"}
    assert refused(ca.say(Client("v2-owed", transaction=client.transaction).cert_conf(answer))) == {"badRequest"}
    assert refused(ca.say(Client("v1-owed").cert_conf(answer))) == {"badRequest"}
    assert ca.ledger()[0]["state"] == "issued"


def test_a_request_may_wait_and_is_polled_for(ca: Ca) -> None:
    """With a policy to answer later: waiting, pollRep with the seconds left, then the certificate; repeats get the same bytes."""
    ca.policy = Policy(answer_after=timedelta(minutes=10))
    ca.restart()
    client = Client("v1-owed")
    opening, answer = renewed(ca, client)
    assert (body_of(answer), status_of(answer)) == ("kup", 3)
    assert ca.ledger() == []
    poll = client.poll(answer)
    ca.now += timedelta(minutes=4)
    again = ca.say(poll)
    assert PKIMessage.load(again)["body"].chosen[0]["checkAfter"].native == 360
    ca.restart()
    assert ca.say(poll) == again
    assert ca.say(opening) == answer
    ca.now += timedelta(minutes=6)
    last = client.poll(again)
    final = ca.say(last)
    assert (body_of(final), status_of(final)) == ("kup", 0)
    assert (
        PKIMessage.load(final)["header"]["recipNonce"].native == PKIMessage.load(last)["header"]["senderNonce"].native
    )
    assert ca.say(last) == final
    assert body_of(ca.say(client.cert_conf(final))) == "pkiconf"
    assert len(ca.ledger()) == 1


def test_lcs_ca_renews_its_own_under_its_own_issuer(tmp_path: Path) -> None:
    """A subscriber of LCS-CA gets a certificate of LCS-CA, and LCS-CA signs the answer."""
    from dataclasses import replace

    from safetok.sandbox.books import write_register

    write_register(tmp_path, (replace(entry("dossier-missing"), problem=""),))
    ca = Ca(tmp_path)
    answer = ca.say(Client("dossier-missing").kur())
    issuer = pki().issuers[LCS].certificate
    x509.load_der_x509_certificate(issued(answer)).verify_directly_issued_by(issuer)
    assert verify_message(answer, issuer.public_key())


def test_the_ca_gives_its_certificates_when_asked(ca: Ca) -> None:
    """A genm for caCerts is answered with a genp."""
    asked = Client("v1-owed").message(PKIBody("genm", [{"infoType": CA_CERTS}]))
    answer = ca.say(asked)
    assert body_of(answer) == "genp"
    assert pki().issuers[SAFE_NEW].der in answer


def test_bytes_that_are_no_message_get_a_protected_error(ca: Ca) -> None:
    """Garbage, a cut message and an unknown body are answered and never crash the CA."""
    whole = Client("v1-owed").kur()
    for raw in (b"", b"\x30\x03\x02\x01", whole[:-10], secrets.token_bytes(200)):
        readable, answer = ca.cmp.answer(raw, NOW)
        assert not readable
        assert refused(answer) == {"badDataFormat"}
        assert verify_message(answer, pki().issuers[SAFE_NEW].certificate.public_key())
    unknown = Client("v1-owed").message(PKIBody("ccr", opaque(b"\x30\x00")))
    assert body_of(ca.say(unknown)) == "error"


def test_a_second_decoder_reads_every_answer_and_its_protection_holds(ca: Ca) -> None:
    """kup, cp, pkiConf, error, pollRep, waiting and genp are decoded whole by pyasn1's RFC 9480 and signed by the CA."""
    client = Client("v1-owed")
    kup = ca.say(client.kur())
    answers = [kup, ca.say(client.cert_conf(kup)), ca.say(Client("v2-owed").p10cr()), ca.say(Client("not-owed").kur())]
    answers.append(ca.say(Client("v1-owed").message(PKIBody("genm", [{"infoType": CA_CERTS}]))))
    ca.policy = Policy(answer_after=DAY)
    ca.restart()
    patient = Client("ec-owed")
    waiting = ca.say(patient.kur())
    answers += [waiting, ca.say(patient.poll(waiting))]
    assert [body_of(answer) for answer in answers] == ["kup", "pkiconf", "cp", "error", "genp", "kup", "pollRep"]
    for answer in answers:
        _message, rest = decode(answer, asn1Spec=rfc9480.PKIMessage())
        assert rest == b""
        assert verify_message(answer, pki().issuers[SAFE_NEW].certificate.public_key())


def test_a_log_cut_in_the_middle_of_a_line_loses_only_what_never_left(ca: Ca) -> None:
    """Killed while writing: the half line is dropped, the earlier answers are there, and the CA goes on."""
    opening, answer = renewed(ca, Client("v1-owed"))
    log = ca.folder / "log.jsonl"
    log.write_bytes(log.read_bytes() + b'{"entries":[{"serial":"54')
    ca.restart()
    assert ca.say(opening) == answer
    assert body_of(ca.say(Client("v2-owed").kur())) == "kup"
    ca.restart()
    assert len(ca.ledger()) == 2


def test_a_full_disk_loses_no_earlier_answer_and_promises_nothing(ca: Ca) -> None:
    """What cannot be kept is not answered; the books stay readable and the certificate stays renewable."""
    import resource

    opening, answer = renewed(ca, Client("v1-owed"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((ca.folder / "log.jsonl").stat().st_size + 100, limits[1]))
    try:
        with pytest.raises(OSError, match="large"):
            ca.say(Client("v2-owed").kur())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    ca.restart()
    assert ca.say(opening) == answer
    assert ca.renewable("v2-owed")
    assert body_of(ca.say(Client("v2-owed").kur())) == "kup"
