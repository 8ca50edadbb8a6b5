from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from support_mail import ISSUER, OLD, Nobody, surroundings
from support_trust import CRL_URL, DAY, NOW, OCSP_URL, Web, key
from test_trust_crl import crl
from test_trust_ocsp import responder

from safetok.domain.authorities import Authority, Contacts
from safetok.domain.revocation import RevocationAnswer
from safetok.errors import CertificateRevoked, ExitStatus
from safetok.locale import set_language
from safetok.store.answers import Answers
from safetok.workflows.check import ask_now, before_renewal

HOLD = x509.ReasonFlags.certificate_hold


def answered(status: ocsp.OCSPCertStatus, reason: x509.ReasonFlags | None = None) -> Web:
    since = NOW - 3 * DAY if status is ocsp.OCSPCertStatus.REVOKED else None
    return Web({OCSP_URL: responder(of=OLD, issuer=ISSUER, signer=ISSUER, status=status, reason=reason, since=since)})


GOOD = answered(ocsp.OCSPCertStatus.GOOD)
REVOKED = answered(ocsp.OCSPCertStatus.REVOKED)
SUSPENDED = answered(ocsp.OCSPCertStatus.REVOKED, HOLD)


def named(folder: Path, authority: str) -> Authority:
    return Authority(
        name=authority, title=authority.upper(), issuers=(folder / "ca.pem",), contacts=Contacts(hotline="1900 1234")
    )


def test_a_good_certificate_goes_on_and_is_remembered(tmp_path: Path) -> None:
    """Good: nothing is said, the answer is kept for `status`."""
    context = surroundings(tmp_path, GOOD)
    assert before_renewal(context, OLD, named(tmp_path, "safe-ca")).answer is RevocationAnswer.GOOD
    assert isinstance(context.prompter, Nobody)
    assert not context.prompter.told
    kept = Answers(context.database).revocation(OLD.sha256)
    assert kept is not None
    assert kept.answer is RevocationAnswer.GOOD
    context.close()


@pytest.mark.parametrize("authority", ["safe-ca", "lcs-ca"])
@pytest.mark.parametrize(("web", "code"), [(REVOKED, "certificate_revoked"), (SUSPENDED, "certificate_suspended")])
def test_revoked_and_suspended_are_refused_each_in_its_words(
    tmp_path: Path, authority: str, web: Web, code: str
) -> None:
    """13 with since when and whom to call; the sentence of LCS's notice for LCS-CA's certificates only."""
    set_language("vi")
    context = surroundings(tmp_path, web)
    with pytest.raises(CertificateRevoked) as error:
        before_renewal(context, OLD, named(tmp_path, authority))
    refused = error.value
    assert (refused.exit_status, refused.code) == (ExitStatus.REVOKED, code)
    assert ("TẠM DỪNG" if code == "certificate_suspended" else "THU HỒI") in refused.message
    assert "19/11/2026" in refused.message
    assert "1900 1234" in refused.hint
    assert ("LCS" in refused.message) is (authority == "lcs-ca")
    assert refused.data["authority"] == authority
    context.close()


def test_could_not_check_warns_and_goes_on(tmp_path: Path) -> None:
    """Nothing reached: a warning that the certificate is not to be taken for valid; the CA decides."""
    set_language("vi")
    context = surroundings(tmp_path, Web())
    assert before_renewal(context, OLD, named(tmp_path, "safe-ca")).answer is RevocationAnswer.UNKNOWN
    assert isinstance(context.prompter, Nobody)
    (said,) = context.prompter.told
    assert said.startswith("Không kiểm tra được trạng thái thu hồi")
    assert "đừng coi là còn hiệu lực" in said
    context.close()


def test_a_known_revocation_outlives_a_dead_responder(tmp_path: Path) -> None:
    """Once announced, a revocation holds also when nobody answers, and "could not check" does not overwrite it."""
    context = surroundings(tmp_path, REVOKED)
    with pytest.raises(CertificateRevoked):
        before_renewal(context, OLD, named(tmp_path, "safe-ca"))
    context._http = Web()  # type: ignore[assignment]
    with pytest.raises(CertificateRevoked):
        before_renewal(context, OLD, named(tmp_path, "safe-ca"))
    context._http = GOOD  # type: ignore[assignment]  (a lifted suspension is the CA's to announce)
    assert before_renewal(context, OLD, named(tmp_path, "safe-ca")).answer is RevocationAnswer.GOOD
    context.close()


def test_a_list_does_not_make_good_what_the_ca_does_not_know(tmp_path: Path) -> None:
    """The responder said that it does not know the certificate; later only the list is reached, which lacks it: still unknown."""
    context = surroundings(tmp_path, answered(ocsp.OCSPCertStatus.UNKNOWN))
    safe_ca = named(tmp_path, "safe-ca")
    assert before_renewal(context, OLD, safe_ca).answer is RevocationAnswer.UNKNOWN
    context._http = Web({CRL_URL: crl(issuer="SAFE-CA 2024", signer=key("SAFE-CA 2024"))})  # type: ignore[assignment]
    assert before_renewal(context, OLD, safe_ca).answer is RevocationAnswer.UNKNOWN
    context._http = GOOD  # type: ignore[assignment]  (the responder's own word changes it)
    assert before_renewal(context, OLD, safe_ca).answer is RevocationAnswer.GOOD
    context._http = Web({CRL_URL: crl(issuer="SAFE-CA 2024", signer=key("SAFE-CA 2024"))})  # type: ignore[assignment]
    assert before_renewal(context, OLD, safe_ca).answer is RevocationAnswer.GOOD
    context.close()


def test_a_fresh_question_is_answered_by_no_list_of_before(tmp_path: Path) -> None:
    """A list is kept until its end; who asks whether something has changed since is given the CA's newest."""
    before, after = (
        crl(issuer="SAFE-CA 2024", signer=key("SAFE-CA 2024")),
        crl(
            x509.RevokedCertificateBuilder().serial_number(OLD.x509().serial_number).revocation_date(NOW).build(),
            issuer="SAFE-CA 2024",
            signer=key("SAFE-CA 2024"),
        ),
    )
    pages: dict[str, object] = {CRL_URL: before}
    web = Web(pages)
    context, authority = surroundings(tmp_path, web), named(tmp_path, "safe-ca")
    assert ask_now(context, OLD, authority).answer is RevocationAnswer.GOOD
    pages[CRL_URL] = after
    assert ask_now(context, OLD, authority).answer is RevocationAnswer.GOOD
    assert ask_now(context, OLD, authority, fresh=True).answer is RevocationAnswer.REVOKED
    assert ask_now(context, OLD, authority).answer is RevocationAnswer.REVOKED, "the newest is the one kept"
    context.close()


@pytest.mark.parametrize(("earlier", "stays"), [(REVOKED, True), (SUSPENDED, True), (GOOD, False)])
def test_an_older_list_takes_no_revocation_back(tmp_path: Path, earlier: Web, *, stays: bool) -> None:
    """The responder said it a moment ago and is silent now; the CA's list is of yesterday. One of tomorrow counts."""
    context, authority = surroundings(tmp_path, earlier), named(tmp_path, "safe-ca")
    said = ask_now(context, OLD, authority).answer
    given = {"issuer": "SAFE-CA 2024", "signer": key("SAFE-CA 2024")}
    yesterday, newer = crl(**given), crl(begins=NOW + DAY, ends=NOW + 3 * DAY, **given)
    later = surroundings(tmp_path, Web({CRL_URL: yesterday}))
    assert ask_now(later, OLD, authority).answer is (said if stays else RevocationAnswer.GOOD)
    tomorrow = surroundings(tmp_path, Web({CRL_URL: newer}), now=lambda: NOW + 2 * DAY)
    assert ask_now(tomorrow, OLD, authority).answer is RevocationAnswer.GOOD
    for one in (context, later, tomorrow):
        one.close()


def test_a_dry_run_asks_by_get_and_leaves_no_trace(tmp_path: Path) -> None:
    """No POST, no store, no cache."""
    web = Web({CRL_URL: crl(issuer="SAFE-CA 2024", signer=key("SAFE-CA 2024"))})
    context = surroundings(tmp_path, web, dry_run=True)
    assert before_renewal(context, OLD, named(tmp_path, "safe-ca")).answer is RevocationAnswer.GOOD
    assert {method for method, _url in web.asked} == {"GET"}
    assert not (tmp_path / "home").exists()
    context.close()
