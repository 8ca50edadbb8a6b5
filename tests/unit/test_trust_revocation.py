from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID
from support_trust import AIA_URL, CRL_URL, DAY, NOW, OCSP_URL, Web, ca, ca_true, issue, key, places
from test_trust_crl import HOLD, crl, entry, scope
from test_trust_ocsp import refusal, responder

from safetok.domain.certificates import Certificate
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.trust.aia import MOST_ASKED, fetch_issuers
from safetok.trust.revocation import check

GOOD, REVOKED, SUSPENDED, UNKNOWN = (
    RevocationAnswer.GOOD,
    RevocationAnswer.REVOKED,
    RevocationAnswer.SUSPENDED,
    RevocationAnswer.UNKNOWN,
)
ISSUER = ca("SAFE-CA")
LEAF = issue("CONG TY A", "SAFE-CA", key("leaf"), key("SAFE-CA"), places(issuer=AIA_URL), serial=4711)


def checked(
    pages: dict[str, Any],
    *,
    leaf: Certificate = LEAF,
    issuers: tuple[Certificate, ...] = (ISSUER,),
    now: datetime = NOW,
) -> tuple[Revocation, Web]:
    web = Web(pages)
    return check(leaf, issuers=issuers, http=web, now=now), web  # type: ignore[arg-type]


def test_ocsp_is_asked_first_and_alone_when_it_answers() -> None:
    """A good or bad OCSP answer is the answer; no list is fetched."""
    answer, web = checked({OCSP_URL: responder(of=LEAF), CRL_URL: crl(entry())})
    assert answer.answer is GOOD
    assert web.asked == [("POST", OCSP_URL)]


@pytest.mark.parametrize(
    "page",
    [
        None,
        500,
        refusal(),
        lambda _: b"x",
        responder(of=LEAF, signer_key=key("SAFE-CA"), ends=NOW - DAY, begins=NOW - 2 * DAY),
    ],
)
def test_the_list_decides_where_ocsp_gives_no_answer(page: object) -> None:
    """Not reached, refused, nonsense or stale: then the CA's list."""
    assert checked({OCSP_URL: page, CRL_URL: crl()})[0].answer is GOOD
    assert checked({OCSP_URL: page, CRL_URL: crl(entry())})[0].answer is REVOKED
    assert checked({OCSP_URL: page, CRL_URL: crl(entry(HOLD))})[0].answer is SUSPENDED


DOUBTFUL_ANSWERS = (
    None,
    404,
    refusal(),
    lambda _: b"nonsense",
    responder(of=LEAF, signer=ca("SAFE-CA", who="thief"), signer_key=key("thief")),
    responder(of=LEAF, begins=NOW - 2 * DAY, ends=NOW - DAY),
    responder(of=LEAF, begins=NOW + DAY),
    responder(of=LEAF, nonce=lambda _: b"another" * 4),
    responder(of=issue("B", "SAFE-CA", key("b"), key("SAFE-CA"))),
    responder(of=LEAF, status=ocsp.OCSPCertStatus.UNKNOWN),
)
DOUBTFUL_LISTS = (
    None,
    404,
    b"nonsense",
    crl(signer=key("thief")),
    crl(ends=NOW - DAY, begins=NOW - 2 * DAY),
    crl(issuer="OTHER-CA", signer=key("OTHER-CA")),
    crl(extensions=(scope(indirect_crl=True),)),
)


@pytest.mark.parametrize("ocsp_page", DOUBTFUL_ANSWERS)
@pytest.mark.parametrize("crl_page", DOUBTFUL_LISTS)
def test_doubt_beside_doubt_is_never_good(ocsp_page: object, crl_page: object) -> None:
    """Every doubtful answer with every doubtful list: unknown, with a reason a person can read."""
    answer, _web = checked({OCSP_URL: ocsp_page, CRL_URL: crl_page})
    assert answer.answer is UNKNOWN
    assert answer.reason


def test_no_answer_anywhere_is_unknown_with_its_reason() -> None:
    """Could not check is never good, and says why."""
    answer, _web = checked({OCSP_URL: 503, CRL_URL: b"nonsense"})
    assert answer.answer is UNKNOWN
    assert "503" in answer.reason
    bare = issue("X", "SAFE-CA", key("leaf"), key("SAFE-CA"))
    assert checked({}, leaf=bare)[0].answer is UNKNOWN


def test_unknown_to_the_ca_stays_unknown_whatever_its_list_lacks() -> None:
    """A list that does not name a certificate the CA says it does not know makes it no better; one that does, revokes."""
    unknown = responder(of=LEAF, status=ocsp.OCSPCertStatus.UNKNOWN)
    answer, _web = checked({OCSP_URL: unknown, CRL_URL: crl()})
    assert answer.answer is UNKNOWN
    assert checked({OCSP_URL: unknown, CRL_URL: crl(entry())})[0].answer is REVOKED


def test_an_expired_certificate_is_never_good() -> None:
    """After notAfter "good" means nothing; a revocation still announced does."""
    late = LEAF.not_after + DAY
    begins = late - DAY
    answer, _web = checked({OCSP_URL: responder(of=LEAF, begins=begins, ends=late + DAY)}, now=late)
    assert answer.answer is UNKNOWN
    assert "/20" in answer.reason
    assert checked({}, now=late)[0].reason == answer.reason
    gone = responder(of=LEAF, status=ocsp.OCSPCertStatus.REVOKED, since=begins, begins=begins, ends=late + DAY)
    assert checked({OCSP_URL: gone}, now=late)[0].answer is REVOKED


def test_the_issuer_is_the_one_whose_key_signed() -> None:
    """Of several CAs with one name the right key's is used; a stranger's good answer counts nothing."""
    twin = ca("SAFE-CA", who="twin")
    assert checked({OCSP_URL: responder(of=LEAF)}, issuers=(twin, ISSUER))[0].answer is GOOD
    forged = responder(of=LEAF, issuer=twin, signer=twin, signer_key=key("twin"))
    assert checked({OCSP_URL: forged, AIA_URL: twin.der}, issuers=(twin,))[0].answer is UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        ISSUER.der,
        ISSUER.x509().public_bytes(Encoding.PEM),
        pkcs7.serialize_certificates([ca("X").x509(), ISSUER.x509()], Encoding.DER),
    ],
    ids=["cer", "pem", "p7b"],
)
def test_an_issuer_not_at_hand_is_fetched(body: bytes) -> None:
    """Where no authority is configured, AIA gives the issuer, in any wrapping; its key must have signed."""
    answer, web = checked({OCSP_URL: responder(of=LEAF), AIA_URL: body}, issuers=())
    assert answer.answer is GOOD
    assert web.asked[0] == ("GET", AIA_URL)


@pytest.mark.parametrize("body", [None, 404, b"<html>", ca("SAFE-CA", who="twin").der])
def test_without_the_issuer_nothing_is_concluded(body: object) -> None:
    """No issuer, or one whose key did not sign: unknown, and no responder is asked."""
    answer, web = checked({OCSP_URL: responder(of=LEAF), AIA_URL: body}, issuers=())
    assert answer.answer is UNKNOWN
    assert ("POST", OCSP_URL) not in web.asked


def test_issuers_are_fetched_level_by_level_and_bounded() -> None:
    """The chain above is fetched too; a certificate that sends from place to place without end is left after eight."""
    root = ca("ROOT")
    issuing = ca("SAFE-CA", "ROOT", extensions=(ca_true(), *places(None, None, "http://root")))
    web = Web({AIA_URL: issuing.der, "http://root": root.der})
    assert fetch_issuers(LEAF, http=web) == (issuing.der, root.der)  # type: ignore[arg-type]

    class Endless(Web):
        def public(self, method: str, url: str, **how: Any) -> Any:
            number = len(self.asked)
            many = [
                ca(f"CA {number} {n}", extensions=(ca_true(), *places(None, None, f"http://{number}.{n}"))).x509()
                for n in range(3)
            ]
            self.pages = {url: pkcs7.serialize_certificates(many, Encoding.DER)}
            return super().public(method, url, **how)

    endless = Endless()
    fetch_issuers(LEAF, http=endless)  # type: ignore[arg-type]
    assert len(endless.asked) == MOST_ASKED


def test_extensions_that_cannot_be_read_give_no_exception() -> None:
    """A broken AIA extension is a reason not to know, not a crash."""
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.1"), b"\xff\xff")
    leaf = issue("X", "SAFE-CA", key("leaf"), key("SAFE-CA"), [(broken, False)])
    assert checked({}, leaf=leaf)[0].answer is UNKNOWN


def test_a_cache_folder_serves_lists_only(tmp_path: Path) -> None:
    """Lists are kept in the folder, OCSP answers never."""
    web = Web({OCSP_URL: responder(of=LEAF)})
    check(LEAF, issuers=[ISSUER], http=web, now=NOW, cache=tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
    web = Web({CRL_URL: crl()})
    for _again in range(2):
        check(LEAF, issuers=[ISSUER], http=web, now=NOW, cache=tmp_path)  # type: ignore[arg-type]
    assert [url for _method, url in web.asked].count(CRL_URL) == 1


def test_a_certificate_is_judged_as_usual_to_its_last_second() -> None:
    """notAfter itself is within the validity (RFC 5280 4.1.2.5); the second after it is not."""
    last = LEAF.not_after
    answers = responder(of=LEAF, begins=last - DAY, ends=last + DAY)
    assert checked({OCSP_URL: answers}, now=last)[0].answer is GOOD
    assert checked({OCSP_URL: answers}, now=last + timedelta(seconds=1))[0].answer is UNKNOWN


def test_the_ca_s_own_unknown_is_told_before_what_was_not_reached() -> None:
    """Of two responders the first is down and the second does not know the certificate: that is the CA's word, and its source."""
    access = [
        x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
        for url in ("http://down.example/", OCSP_URL)
    ]
    leaf = issue(
        "CONG TY A", "SAFE-CA", key("leaf"), key("SAFE-CA"), [(x509.AuthorityInformationAccess(access), False)]
    )
    unknown = responder(of=leaf, status=ocsp.OCSPCertStatus.UNKNOWN)
    answer, _web = checked({"http://down.example/": 503, OCSP_URL: unknown}, leaf=leaf)
    assert (answer.answer, answer.source) == (UNKNOWN, "ocsp")
    assert "503" not in answer.reason
