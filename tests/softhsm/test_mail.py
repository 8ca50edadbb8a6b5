from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from support_faults import Catalogue
from support_mail import ISSUER, OLD, ROOT, answer, answer_to, surroundings
from support_tokens import MadeToken, SoftHsm
from support_trust import CRL_URL, DAY, NOW, Web, ca_false, issue, key, name

from safetok import locale
from safetok.domain.agencies import RegistrationState
from safetok.domain.certificates import Certificate
from safetok.domain.renewal import Hold, State
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.errors import CaWait, CertificateRevoked, NoToken, NotTrusted, PersonNeeded, SafetokError, UsageError
from safetok.store.answers import Answers
from safetok.store.inventory import Inventory
from safetok.store.journal import Journal
from safetok.store.registrations import Registrations
from safetok.workflows.context import Context
from safetok.workflows.csr import request_by_mail
from safetok.workflows.install import install
from safetok.workflows.pins import PinSource
from safetok.workflows.renew.request import RenewRequest, RenewResult
from safetok.workflows.renew.unfinished import abandon, resume


@pytest.fixture(autouse=True)
def catalogue() -> Iterator[None]:
    """Everything said here is in the Vietnamese catalogue."""
    complete = Catalogue(locale._catalogue("vi"))
    with patch("safetok.locale._catalogue", lambda _code: complete):
        yield


@pytest.fixture
def token(make_token: Callable[..., MadeToken]) -> MadeToken:
    """The company's token, with its key and its old certificate."""
    return make_token("SAFE-CA", keys=[key("company")], certificates=[OLD.x509()])


def run(*command: str) -> str:
    """Another program, which must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def pin(token: MadeToken) -> PinSource:
    return PinSource(_given=token.pin)


def ask(context: Context, token: MadeToken, file: Path, **more: Any) -> RenewResult:
    return request_by_mail(context, RenewRequest(pin=pin(token), **more), file)


def put(context: Context, token: MadeToken, file: Path, **more: Any) -> RenewResult:
    return install(context, file, pin=pin(token), **more)


def refused(context: Context, token: MadeToken, file: Path, **more: Any) -> SafetokError:
    with pytest.raises(SafetokError) as error:
        put(context, token, file, **more)
    return error.value


def pem(place: Path, *certificates: Certificate) -> Path:
    place.write_bytes(b"".join(c.x509().public_bytes(Encoding.PEM) for c in certificates))
    return place


def on_token(softhsm: SoftHsm, token: MadeToken) -> set[str]:
    """Serials of the certificates on the token, as pkcs11-tool sees them."""
    shown = run("pkcs11-tool", "--module", softhsm.module, "--token-label", token.label, "-O", "--type", "cert")
    return {line.split(":")[1].strip().upper().lstrip("0") for line in shown.splitlines() if "serial" in line}


def test_a_request_is_made_and_the_certificate_installed(tmp_path: Path, softhsm: SoftHsm, token: MadeToken) -> None:
    """By mail, same key: a request that openssl verifies, then both certificates on the token and registrations opened."""
    context = surroundings(tmp_path, Web())
    file = tmp_path / "request.csr"
    asked = ask(context, token, file)
    assert (asked.state, asked.old_serial) == ("REQUESTED", OLD.serial)
    assert "verify OK" in run("openssl", "req", "-in", str(file), "-noout", "-verify")
    assert x509.load_pem_x509_csr(file.read_bytes()).subject == OLD.x509().subject
    new = answer_to(file)
    assert new.spki == OLD.spki
    done = put(context, token, pem(tmp_path / "new.pem", new))
    assert (done.state, done.new_serial, done.old_serial) == ("DONE", new.serial, OLD.serial)
    assert on_token(softhsm, token) == {OLD.serial.lstrip("0"), new.serial.lstrip("0")}
    row = Journal(context.database).get(done.renewal_id or "")
    assert (row.route, row.receipt, row.state) == ("csr", "mail", State.DONE)
    opened = Registrations(context.database).list(certificate=new.sha256, state=RegistrationState.OPEN)
    assert len(opened) == done.agencies_open > 0
    context.close()


def test_a_new_key_is_made_on_the_token(tmp_path: Path, softhsm: SoftHsm, token: MadeToken) -> None:
    """With --new-key the request is for a key of the same kind that the token made; its certificate goes beside the old one."""
    context = surroundings(tmp_path, Web())
    file = tmp_path / "request.csr"
    ask(context, token, file, new_key=True)
    new = answer_to(file)
    assert new.spki != OLD.spki
    assert (new.key_type, new.key_bits) == (OLD.key_type, OLD.key_bits)
    done = put(context, token, pem(tmp_path / "new.pem", new))
    assert done.state == "DONE"
    assert on_token(softhsm, token) == {OLD.serial.lstrip("0"), new.serial.lstrip("0")}
    context.close()


def test_a_request_that_waits_is_written_again_without_a_pin(tmp_path: Path, token: MadeToken) -> None:
    """Asked twice, the same request comes out; `renew --resume` says that it waits for the CA's file (9)."""
    context = surroundings(tmp_path, Web())
    ask(context, token, tmp_path / "one.csr", new_key=True)
    again = request_by_mail(context, RenewRequest(), tmp_path / "two.csr")
    assert (tmp_path / "one.csr").read_bytes() == (tmp_path / "two.csr").read_bytes()
    (waiting,) = Journal(context.database).unfinished()
    assert (waiting.id, waiting.hold) == (again.renewal_id, Hold.PENDING)
    done, (error,) = resume(context, RenewRequest())
    assert not done
    assert isinstance(error, CaWait)
    assert error.code == "waits_for_mail"
    context.close()


def test_a_token_of_two_companies_makes_a_request_for_each(
    tmp_path: Path, make_token: Callable[..., MadeToken]
) -> None:
    """One company's request waits: the other's is made with its own name and key, and its certificate is installed meanwhile."""
    other = name("CÔNG TY CỔ PHẦN B", "MST:0106323762")
    branch = issue(other, "SAFE-CA 2024", key("other"), key("SAFE-CA 2024"), [ca_false()], ends=NOW + 20 * DAY)
    token = make_token("SAFE-CA", keys=[key("company"), key("other")], certificates=[OLD.x509(), branch.x509()])
    context = surroundings(tmp_path, Web())
    context.random = os.urandom  # type: ignore[misc]
    first, second = tmp_path / "first.csr", tmp_path / "second.csr"
    waits = ask(context, token, first, cert=OLD.serial)
    asked = ask(context, token, second, cert=branch.serial)
    assert asked.renewal_id != waits.renewal_id
    assert x509.load_pem_x509_csr(second.read_bytes()).subject == branch.x509().subject
    abandon(context, asked.renewal_id or "", RenewRequest(pin=pin(token)), force=True)
    ends = NOW + 400 * DAY
    unasked = issue(other, "SAFE-CA 2024", key("other"), key("SAFE-CA 2024"), [ca_false()], begins=NOW, ends=ends)
    assert put(context, token, pem(tmp_path / "b.pem", unasked)).state == "DONE"
    assert [one.id for one in Journal(context.database).unfinished()] == [waits.renewal_id]


def test_a_dry_run_of_what_waits_writes_nothing_again(tmp_path: Path, token: MadeToken) -> None:
    """--dry-run where a request waits: WOULD_RENEW names it, and no file is written."""
    context = surroundings(tmp_path, Web())
    waits = ask(context, token, tmp_path / "request.csr")
    looking = surroundings(tmp_path, Web(), dry_run=True)
    seen = ask(looking, token, tmp_path / "again.csr")
    assert (seen.state, seen.renewal_id) == ("WOULD_RENEW", waits.renewal_id)
    assert not (tmp_path / "again.csr").exists()


def test_what_waits_says_how_it_ends(tmp_path: Path, token: MadeToken) -> None:
    """The request's number, the token's, and both ways out are told; the row has what was asked, when, and that it was once."""
    context = surroundings(tmp_path, Web())
    asked = ask(context, token, tmp_path / "request.csr")
    row = Journal(context.database).get(asked.renewal_id or "")
    assert (row.sent_count, row.first_sent_at, row.spki) == (1, NOW, OLD.spki)
    ways = [event.state for event in Journal(context.database).events(row.id)]
    assert State.KEY_MADE not in ways, "the key that is there is asked for, none is made"
    assert x509.load_der_x509_csr(row.request) == x509.load_pem_x509_csr((tmp_path / "request.csr").read_bytes())
    _done, (error,) = resume(context, RenewRequest())
    assert row.id in error.message
    assert "safetok certs install" in error.hint
    assert f"safetok renew --abandon {row.id} --force" in error.hint
    assert error.token == token.serial
    assert Journal(context.database).get(row.id).reason == error.message
    context.close()


def test_a_token_pulled_out_of_a_request_is_asked_for(tmp_path: Path, softhsm: SoftHsm, token: MadeToken) -> None:
    """NEED_TOKEN, 3, with what it was doing; on resume the request is made for the key that is there, and no other."""
    context = surroundings(tmp_path, Web())
    gone = patch("safetok.tokens.sessions.Session.private_key", side_effect=NoToken("gone"))
    with gone, pytest.raises(NoToken) as pulled:
        ask(context, token, tmp_path / "request.csr", new_key=True)
    assert locale._("signing the request") in pulled.value.message
    assert (pulled.value.code, pulled.value.token) == ("token_removed", token.serial)
    (row,) = Journal(context.database).unfinished()
    assert (row.state, row.hold, row.reason) == (State.KEY_MADE, Hold.NEED_TOKEN, pulled.value.message)
    assert private_keys(softhsm, token) == 2
    _done, (error,) = resume(context, RenewRequest(pin=pin(token)))
    assert error.code == "waits_for_mail"
    (asked,) = Journal(context.database).unfinished()
    request = x509.load_der_x509_csr(asked.request)
    assert request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == asked.spki == row.spki
    assert private_keys(softhsm, token) == 2
    context.close()


def private_keys(softhsm: SoftHsm, token: MadeToken) -> int:
    """How many private keys pkcs11-tool sees on the token."""
    shown = run(
        *("pkcs11-tool", "--module", softhsm.module, "--token-label", token.label, "-O", "--type", "privkey"),
        *("--login", "--pin", token.pin),
    )
    return shown.count("Private Key Object")


def test_giving_up_destroys_the_new_key_only(tmp_path: Path, softhsm: SoftHsm, token: MadeToken) -> None:
    """`renew --abandon ID --force` removes the key made for the request; the old key and certificate stay."""
    context = surroundings(tmp_path, Web())
    asked = ask(context, token, tmp_path / "request.csr", new_key=True)
    with pytest.raises(PersonNeeded):
        abandon(context, asked.renewal_id or "", RenewRequest(pin=pin(token)), force=False)
    gone = abandon(context, asked.renewal_id or "", RenewRequest(pin=pin(token)), force=True)
    assert gone.state == "ABANDONED"
    assert private_keys(softhsm, token) == 1
    assert on_token(softhsm, token) == {OLD.serial.lstrip("0")}
    context.close()


@pytest.mark.parametrize("form", ["pem", "der", "p7b", "bundle"])
def test_a_certificate_that_nobody_here_asked_for_is_installed_too(
    tmp_path: Path, softhsm: SoftHsm, token: MadeToken, form: str
) -> None:
    """For the token's own key, in any wrapping, with the CA's certificates before it: no request of safetok's is needed."""
    new = answer()
    file = tmp_path / "new.cer"
    bodies = {
        "pem": new.x509().public_bytes(Encoding.PEM),
        "der": new.der,
        "p7b": pkcs7.serialize_certificates([ROOT.x509(), ISSUER.x509(), new.x509()], Encoding.DER),
        "bundle": b"".join(c.x509().public_bytes(Encoding.PEM) for c in (ROOT, ISSUER, OLD, new)),
    }
    file.write_bytes(bodies[form])
    context = surroundings(tmp_path, Web())
    done = put(context, token, file)
    assert (done.state, done.new_serial) == ("DONE", new.serial)
    assert new.serial.lstrip("0") in on_token(softhsm, token)
    again = put(context, token, file)
    assert again.state == "NOTHING_DUE"
    context.close()


def test_a_certificate_that_fails_a_check_changes_nothing(tmp_path: Path, softhsm: SoftHsm, token: MadeToken) -> None:
    """Refused (10) before any PIN, whatever is wrong; the request goes on waiting, and the right file still installs."""
    context = surroundings(tmp_path, Web())
    request = tmp_path / "request.csr"
    ask(context, token, request)
    bent = {
        "not_later": answer(ends=OLD.not_after),
        "foreign_issuer": answer(signer=key("thief")),
        "same_serial": answer(serial=OLD.x509().serial_number),
        "too_late": answer(ends=ISSUER.not_after + DAY),
    }
    for code, certificate in bent.items():
        with pytest.raises(NotTrusted) as error:
            install(context, pem(tmp_path / f"{code}.pem", certificate), pin=PinSource())
        assert error.value.code == code
        assert error.value.token == token.serial
    with pytest.raises(NotTrusted) as error:
        put(context, token, pem(tmp_path / "early.pem", answer()), min_not_after=NOW + 401 * DAY)
    assert error.value.code == "below_floor"
    assert on_token(softhsm, token) == {OLD.serial.lstrip("0")}
    (waiting,) = Journal(context.database).unfinished()
    assert waiting.state is State.REQUESTED
    assert put(context, token, pem(tmp_path / "good.pem", answer_to(request))).state == "DONE"
    context.close()


def test_the_key_decides_the_token(tmp_path: Path, token: MadeToken, make_token: Callable[..., MadeToken]) -> None:
    """Of two tokens the one with the certificate's key takes it; a key on neither is refused (3)."""
    other_old = issue("CONG TY B", "SAFE-CA 2024", key("b"), key("SAFE-CA 2024"), [ca_false()], ends=NOW + DAY)
    make_token("B", keys=[key("b")], certificates=[other_old.x509()])
    context = surroundings(tmp_path, Web())
    stranger = refused(context, token, pem(tmp_path / "c.pem", answer(public=key("c"))))
    assert isinstance(stranger, NoToken)
    assert stranger.code == "key_not_in"
    assert put(context, token, pem(tmp_path / "a.pem", answer())).token == token.serial
    context.close()


def test_an_old_certificate_that_the_vendor_s_program_removed_is_still_known(
    tmp_path: Path, softhsm: SoftHsm, token: MadeToken
) -> None:
    """Seen once, the old certificate tells whose the key is, also after it has gone from the token."""
    context = surroundings(tmp_path, Web())
    with context.tokens() as tokens:
        Inventory(context.database).record(tokens.read(), NOW)
    run(
        *("pkcs11-tool", "--module", softhsm.module, "--token-label", token.label, "--login", "--pin", token.pin),
        *("--delete-object", "--type", "cert", "--label", "certificate"),
    )
    done = put(context, token, pem(tmp_path / "new.pem", new := answer()))
    assert (done.state, done.old_serial, done.new_serial) == ("DONE", OLD.serial, new.serial)
    context.close()


def test_another_file_does_not_slip_into_an_install_under_way(
    tmp_path: Path, token: MadeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one verified certificate waits to be written, a second one for the same key must wait (11)."""
    from safetok.workflows.renew import mail

    context = surroundings(tmp_path, Web())

    def stop(_run: object) -> None:
        raise PersonNeeded("later", code="later")

    with monkeypatch.context() as patch:
        patch.setitem(mail.STEPS, State.VERIFIED, stop)
        assert refused(context, token, pem(tmp_path / "one.pem", first := answer())).code == "later"
    assert refused(context, token, pem(tmp_path / "two.pem", answer())).code == "renewal_running"
    assert put(context, token, tmp_path / "one.pem").new_serial == first.serial
    context.close()


def test_a_file_with_nothing_to_install_says_so(tmp_path: Path, token: MadeToken) -> None:
    """CA certificates alone, or no certificate at all: usage errors (2)."""
    context = surroundings(tmp_path, Web())
    only_cas = refused(context, token, pem(tmp_path / "cas.pem", ROOT, ISSUER))
    assert isinstance(only_cas, UsageError)
    (tmp_path / "text.pem").write_text("see attachment")
    nothing = refused(context, token, tmp_path / "text.pem")
    assert isinstance(nothing, UsageError)
    context.close()


def test_without_the_ca_s_certificates_nothing_is_believed(tmp_path: Path, token: MadeToken) -> None:
    """An authority without PEM files, or an unknown CA: a person must name them first (11), no PIN is asked for."""
    from safetok.domain.authorities import Authority

    bare = {"safe-ca": Authority(name="safe-ca", title="SAFE-CA", issuer_names=("SAFE-CA",))}
    for authorities, code in ((bare, "no_ca_certificates"), ({}, "authority_unknown")):
        context = surroundings(tmp_path, Web(), authorities=authorities)
        error = refused(context, token, pem(tmp_path / "new.pem", answer()))
        assert isinstance(error, PersonNeeded)
        assert error.code == code
        context.close()


def test_a_dry_run_checks_and_writes_nothing(tmp_path: Path, softhsm: SoftHsm, token: MadeToken) -> None:
    """Both commands say what they would do; no PIN, no file, no state."""
    context = surroundings(tmp_path, Web(), dry_run=True)
    before = {path: path.read_bytes() for path in softhsm.folder.rglob("*") if path.is_file()}
    would = request_by_mail(context, RenewRequest(), tmp_path / "request.csr")
    assert would.state == "WOULD_REQUEST"
    assert install(context, pem(tmp_path / "new.pem", answer()), pin=PinSource()).state == "WOULD_INSTALL"
    context.close()
    assert not (tmp_path / "request.csr").exists()
    assert not (tmp_path / "home").exists()
    assert {path: path.read_bytes() for path in softhsm.folder.rglob("*") if path.is_file()} == before


def test_no_file_of_the_user_is_written_over(tmp_path: Path, token: MadeToken) -> None:
    """An existing file, or a folder that is not there, is refused before a PIN is used."""
    context = surroundings(tmp_path, Web())
    (tmp_path / "mine.txt").write_text("mine")
    for file, code in ((tmp_path / "mine.txt", "file_exists"), (tmp_path / "no" / "x.csr", "file_not_written")):
        with pytest.raises(UsageError) as error:
            request_by_mail(context, RenewRequest(), file)
        assert error.value.code == code
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert not Journal(context.database).unfinished()
    context.close()


def test_the_old_one_is_asked_about_once_the_mailed_one_is_installed(tmp_path: Path, token: MadeToken) -> None:
    """Good before it came; the CA has revoked it since, and who installs is warned."""
    lists = x509.CertificateRevocationListBuilder().issuer_name(ISSUER.x509().subject).last_update(NOW - DAY)
    entry = x509.RevokedCertificateBuilder().serial_number(OLD.x509().serial_number).revocation_date(NOW).build()
    gone = lists.next_update(NOW + DAY).add_revoked_certificate(entry).sign(key("SAFE-CA 2024"), hashes.SHA256())
    context = surroundings(tmp_path, Web({CRL_URL: gone.public_bytes(Encoding.DER)}))
    Answers(context.database).put_revocation(
        OLD.sha256, Revocation(answer=RevocationAnswer.GOOD, checked_at=NOW - DAY, source="crl")
    )
    assert put(context, token, pem(tmp_path / "new.cer", answer())).state == "DONE"
    assert [text for text in context.prompter.told if "không ký bằng CTS này nữa" in text]  # type: ignore[attr-defined]
    context.close()


def test_a_revoked_certificate_gets_no_request(tmp_path: Path, token: MadeToken) -> None:
    """13, before a PIN is asked for."""
    entry = (
        x509.RevokedCertificateBuilder().serial_number(OLD.x509().serial_number).revocation_date(NOW - 3 * DAY).build()
    )
    revoked = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ISSUER.x509().subject)
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .add_revoked_certificate(entry)
        .sign(key("SAFE-CA 2024"), hashes.SHA256())
    )
    context = surroundings(tmp_path, Web({CRL_URL: revoked.public_bytes(Encoding.DER)}))
    with pytest.raises(CertificateRevoked):
        request_by_mail(context, RenewRequest(), tmp_path / "request.csr")
    context.close()


def test_what_was_verified_before_a_crash_is_carried_on(
    tmp_path: Path, softhsm: SoftHsm, token: MadeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies before writing: the verified certificate is in the journal, `renew --resume` writes it."""
    from safetok.workflows.renew import mail

    class Died(BaseException):
        pass

    def die(_run: object) -> None:
        raise Died

    context = surroundings(tmp_path, Web())
    file = pem(tmp_path / "new.pem", new := answer())
    with monkeypatch.context() as patch:
        patch.setitem(mail.STEPS, State.VERIFIED, die)
        with pytest.raises(Died):
            put(context, token, file)
    assert new.serial.lstrip("0") not in on_token(softhsm, token)
    (result,), failed = resume(context, RenewRequest(pin=pin(token)))
    assert not failed
    assert (result.state, result.new_serial) == ("DONE", new.serial)
    assert new.serial.lstrip("0") in on_token(softhsm, token)
    context.close()


def test_what_was_verified_is_given_up_without_asking_a_ca(
    tmp_path: Path, softhsm: SoftHsm, token: MadeToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By mail nobody waits for a rejection: given up before it was written, freely, and nothing is asked of the network."""
    from safetok.workflows.renew import mail

    context = surroundings(tmp_path, Web())
    with monkeypatch.context() as patch:
        patch.setitem(mail.STEPS, State.VERIFIED, lambda _run: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            put(context, token, pem(tmp_path / "new.pem", answer()))
    (waiting,) = Journal(context.database).unfinished()
    assert waiting.state is State.VERIFIED
    assert abandon(context, waiting.id, RenewRequest(), force=False).state == "ABANDONED"
    assert on_token(softhsm, token) == {OLD.serial.lstrip("0")}
    context.close()
