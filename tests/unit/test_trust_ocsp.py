from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import algos, core
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from support_trust import DAY, NOW, OCSP_URL, Web, ca, ca_true, issue, key, places, rsa_key, usage, with_pss, with_sha1

from safetok.domain.certificates import Certificate, parse
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.errors import NotChecked
from safetok.trust.ocsp import AGE_WITHOUT_END, SKEW, Asking, ask

ISSUER = ca("SAFE-CA")
LEAF = issue("CONG TY A", "SAFE-CA", key("leaf"), key("SAFE-CA"), places())
OCSP_SIGNING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
SECOND = timedelta(seconds=1)


def delegate(**bent: Any) -> Certificate:
    """A responder's certificate that the CA appointed."""
    extensions = bent.pop("extensions", [OCSP_SIGNING, usage("digital_signature")])
    issuer, by = bent.pop("issuer", "SAFE-CA"), bent.pop("by", "SAFE-CA")
    return issue("OCSP", issuer, key("ocsp"), key(by), extensions, **bent)


def responder(
    *,
    of: Certificate = LEAF,
    issuer: Certificate = ISSUER,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    reason: x509.ReasonFlags | None = None,
    since: datetime | None = None,
    begins: datetime = NOW - SECOND,
    ends: datetime | None = NOW + DAY,
    signer: Certificate = ISSUER,
    signer_key: Any = None,
    named_by: ocsp.OCSPResponderEncoding = ocsp.OCSPResponderEncoding.NAME,
    algorithm: hashes.HashAlgorithm | None = None,
    nonce: Callable[[bytes], bytes | None] = lambda asked: asked,
    digest: Any = hashes.SHA256,
    along: tuple[Certificate, ...] = (),
    knows_only: type[hashes.HashAlgorithm] | None = None,
) -> Callable[[bytes], bytes]:
    """An OCSP responder with one thing bent."""

    def answer(body: bytes) -> bytes:
        question = ocsp.load_der_ocsp_request(body)
        if knows_only and not isinstance(question.hash_algorithm, knows_only):
            return refusal()(body)
        asked = question.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        builder = ocsp.OCSPResponseBuilder().add_response(
            of.x509(), issuer.x509(), algorithm or question.hash_algorithm, status, begins, ends, since, reason
        )
        builder = builder.responder_id(named_by, signer.x509())
        sent = nonce(asked)
        if sent is not None:
            builder = builder.add_extension(x509.OCSPNonce(sent), critical=False)
        if along:
            builder = builder.certificates([c.x509() for c in along])
        signing = signer_key or key("ocsp" if signer.subject_name == "OCSP" else signer.subject_name)
        hashed = None if isinstance(signing, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else digest()
        return builder.sign(signing, hashed).public_bytes(Encoding.DER)

    return answer


def refusal(status: ocsp.OCSPResponseStatus = ocsp.OCSPResponseStatus.UNAUTHORIZED) -> Callable[[bytes], bytes]:
    return lambda _body: ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def asked(page: object, *, issuer: Certificate = ISSUER, post: bool = True, web: Web | None = None) -> Revocation:
    web = web or Web({OCSP_URL: page})
    asking = Asking(issuer=issuer.x509(), http=web, now=NOW, random=lambda n: b"\x07" * n, post=post)  # type: ignore[arg-type]
    return ask(LEAF.x509(), OCSP_URL, asking)


def doubt(page: object, **more: Any) -> str:
    with pytest.raises(NotChecked) as error:
        asked(page, **more)
    return error.value.code


def test_good_is_good() -> None:
    """A fresh answer of the CA itself with our nonce: good, with its thisUpdate."""
    answer = asked(responder())
    assert (answer.answer, answer.source, answer.produced_at) == (RevocationAnswer.GOOD, "ocsp", NOW - SECOND)


@pytest.mark.parametrize(
    ("reason", "expected", "text"),
    [
        (x509.ReasonFlags.superseded, RevocationAnswer.REVOKED, "superseded"),
        (x509.ReasonFlags.key_compromise, RevocationAnswer.REVOKED, "keyCompromise"),
        (None, RevocationAnswer.REVOKED, "unspecified"),
        (x509.ReasonFlags.certificate_hold, RevocationAnswer.SUSPENDED, "certificateHold"),
    ],
)
def test_revoked_and_suspended_are_told_apart(
    reason: x509.ReasonFlags | None, expected: RevocationAnswer, text: str
) -> None:
    """certificateHold is a suspension; any other reason, or none, is a revocation; both say since when."""
    answer = asked(responder(status=ocsp.OCSPCertStatus.REVOKED, reason=reason, since=NOW - 3 * DAY))
    assert (answer.answer, answer.reason, answer.since) == (expected, text, NOW - 3 * DAY)


def test_revoked_because_no_longer_revoked_is_no_answer() -> None:
    """removeFromCRL as the reason of a revocation contradicts itself."""
    bent = responder(status=ocsp.OCSPCertStatus.REVOKED, reason=x509.ReasonFlags.remove_from_crl, since=NOW - DAY)
    assert doubt(bent) == "ocsp_malformed"


def test_unknown_to_the_ca_is_not_good() -> None:
    """A responder that does not know the certificate gives no ground to trust it."""
    assert doubt(responder(status=ocsp.OCSPCertStatus.UNKNOWN)) == "ocsp_unknown"


@pytest.mark.parametrize("named_by", list(ocsp.OCSPResponderEncoding))
def test_an_appointed_responder_may_answer(named_by: ocsp.OCSPResponderEncoding) -> None:
    """A certificate that the issuer's key made, with id-kp-OCSPSigning, may sign; named by name or by key."""
    signer = delegate()
    assert asked(responder(signer=signer, along=(ca("X"), signer), named_by=named_by)).answer is RevocationAnswer.GOOD


@pytest.mark.parametrize(
    "bent",
    [
        {"extensions": []},
        {"extensions": [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)]},
        {"extensions": [(x509.ExtendedKeyUsage([x509.ObjectIdentifier("2.5.29.37.0")]), False)]},
        {"extensions": [OCSP_SIGNING, usage("key_encipherment")]},
        {"by": "thief"},
        {"issuer": "OTHER-CA", "by": "OTHER-CA"},
        {"ends": NOW - SECOND, "begins": NOW - 400 * DAY},
        {"begins": NOW + DAY},
    ],
    ids=["no EKU", "other EKU", "any EKU", "no digitalSignature", "forged", "another CA's", "expired", "not yet"],
)
def test_nobody_else_may_answer(bent: dict[str, Any]) -> None:
    """A signer without appointment, appointed by another, or not in force is not believed."""
    signer = delegate(**bent)
    assert doubt(responder(signer=signer, along=(signer,))) == "ocsp_not_signed"


def test_a_responder_from_the_year_1_does_no_harm() -> None:
    """An absurd notBefore in a responder's certificate is one more answer that is not believed."""
    later = delegate(begins=datetime(2051, 1, 1, tzinfo=UTC), ends=datetime(2052, 1, 1, tzinfo=UTC))
    signer = parse(later.der.replace(b"20510101000000Z", b"00010101000000Z"))
    assert doubt(responder(signer=signer, along=(signer,))) == "ocsp_not_signed"


def test_a_delegate_of_a_subscriber_is_nobody() -> None:
    """A responder made by a certificate that is no CA is not appointed."""
    not_a_ca = issue("SAFE-CA", "ROOT", key("SAFE-CA"), key("ROOT"))
    signer = delegate()
    assert doubt(responder(signer=signer, along=(signer,), issuer=not_a_ca), issuer=not_a_ca) == "ocsp_not_signed"


def test_the_ca_s_name_on_another_key_is_not_the_ca() -> None:
    """The right responder name with a wrong signature is not believed."""
    assert doubt(responder(signer=ca("SAFE-CA", who="thief"), signer_key=key("thief"))) == "ocsp_not_signed"


def test_a_responder_named_otherwise_is_not_the_signer() -> None:
    """A right signature under another responder's name is not believed."""
    assert doubt(responder(signer=ca("SOMEBODY", who="SAFE-CA"), signer_key=key("SAFE-CA"))) == "ocsp_not_signed"


def test_a_signature_over_sha1_is_not_believed() -> None:
    """SHA-1 may name a certificate, but not sign about it."""
    signer = rsa_key("SAFE-CA RSA")
    issuer = issue("SAFE-CA", "SAFE-CA", signer, signer, [ca_true()])
    leaf = issue("CONG TY A", "SAFE-CA", key("leaf"), signer, places())
    strong = responder(of=leaf, issuer=issuer, signer=issuer, signer_key=signer)

    def weak(body: bytes) -> bytes:
        whole = strong(body)
        return with_sha1(whole, ocsp.load_der_ocsp_response(whole).tbs_response_bytes, signer)

    asking = {"now": NOW, "random": bytes, "issuer": issuer.x509()}
    assert ask(leaf.x509(), OCSP_URL, Asking(http=Web({OCSP_URL: strong}), **asking)).answer is RevocationAnswer.GOOD  # type: ignore[arg-type]
    with pytest.raises(NotChecked) as error:
        ask(leaf.x509(), OCSP_URL, Asking(http=Web({OCSP_URL: weak}), **asking))  # type: ignore[arg-type]
    assert error.value.code == "ocsp_not_signed"


@pytest.fixture(scope="module")
def by_rsa() -> tuple[Certificate, Certificate, Callable[[bytes], bytes]]:
    """A CA with an RSA key, a certificate of it, and its responder (PKCS#1 v1.5)."""
    signer = rsa_key("SAFE-CA RSA")
    issuer = issue("SAFE-CA", "SAFE-CA", signer, signer, [ca_true()])
    leaf = issue("CONG TY A", "SAFE-CA", key("leaf"), signer, places())
    return issuer, leaf, responder(of=leaf, issuer=issuer, signer=issuer, signer_key=signer)


def asked_by_pss(by_rsa: tuple[Certificate, Certificate, Callable[[bytes], bytes]], **pss: Any) -> Revocation:
    issuer, leaf, plain = by_rsa
    signer = pss.pop("signer", rsa_key("SAFE-CA RSA"))
    web = Web({OCSP_URL: lambda body: with_pss(plain(body), signer, **pss)})
    asking = Asking(issuer=issuer.x509(), http=web, now=NOW, random=lambda n: b"\x07" * n)  # type: ignore[arg-type]
    return ask(leaf.x509(), OCSP_URL, asking)


@pytest.mark.parametrize("pss", [{}, {"digest": "sha384", "salt": 48}, {"digest": "sha512", "salt": 0}, {"salt": 222}])
def test_an_answer_signed_with_rsassa_pss_is_understood(by_rsa: Any, pss: dict[str, Any]) -> None:
    """RSASSA-PSS with SHA-2 and any salt is as good a signature as PKCS#1 v1.5."""
    assert asked_by_pss(by_rsa, **pss).answer is RevocationAnswer.GOOD


@pytest.mark.parametrize(
    "pss",
    [
        {"signer": rsa_key("thief")},
        {"digest": "sha1", "salt": 20},
        {"mask": "sha512"},
        {"mask": "sha1"},
        {"told": {"parameters": algos.RSASSAPSSParams({"salt_length": 20})}, "digest": "sha1", "salt": 20},
    ],
    ids=["another key", "SHA-1", "another MGF1 hash", "MGF1 with SHA-1", "the defaults"],
)
def test_a_bent_rsassa_pss_signature_is_not_believed(by_rsa: Any, pss: dict[str, Any]) -> None:
    """Another key's, SHA-1 (which the defaults mean), MGF1 with another hash: not rightly signed."""
    with pytest.raises(NotChecked) as error:
        asked_by_pss(by_rsa, **pss)
    assert error.value.code == "ocsp_not_signed"


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
@pytest.mark.parametrize("digest", [hashes.SHA256, hashes.SHA384, hashes.SHA512])
def test_an_answer_signed_with_ecdsa_is_understood(curve: type[ec.EllipticCurve], digest: Any) -> None:
    """ECDSA on the usual curves with any SHA-2."""
    signer = ec.generate_private_key(curve())
    issuer = issue("SAFE-CA", "SAFE-CA", signer, signer, [ca_true()])
    leaf = issue("CONG TY A", "SAFE-CA", key("leaf"), signer, places())
    web = Web({OCSP_URL: responder(of=leaf, issuer=issuer, signer=issuer, signer_key=signer, digest=digest)})
    asking = Asking(issuer=issuer.x509(), http=web, now=NOW, random=lambda n: b"\x07" * n)  # type: ignore[arg-type]
    assert ask(leaf.x509(), OCSP_URL, asking).answer is RevocationAnswer.GOOD


@pytest.mark.parametrize("kind", [ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey])
def test_an_answer_signed_with_eddsa_is_understood(kind: Any) -> None:
    """Ed25519 and Ed448, of the CA itself; another's is not believed."""
    signer = kind.generate()
    issuer = issue("SAFE-CA", "SAFE-CA", signer, key("SAFE-CA"), [ca_true()])
    leaf = issue("CONG TY A", "SAFE-CA", key("leaf"), key("SAFE-CA"), places())
    other = kind.generate()
    thief = issue("SAFE-CA", "SAFE-CA", other, key("SAFE-CA"), [ca_true()])
    for who, signing, good in ((issuer, signer, True), (thief, other, False)):
        web = Web({OCSP_URL: responder(of=leaf, issuer=issuer, signer=who, signer_key=signing)})
        asking = Asking(issuer=issuer.x509(), http=web, now=NOW, random=lambda n: b"\x07" * n)  # type: ignore[arg-type]
        if good:
            assert ask(leaf.x509(), OCSP_URL, asking).answer is RevocationAnswer.GOOD
        else:
            with pytest.raises(NotChecked):
                ask(leaf.x509(), OCSP_URL, asking)


def test_an_answer_about_another_certificate_is_none() -> None:
    """Another serial, or another issuer's certificate with this serial, does not answer the question."""
    assert doubt(responder(of=issue("B", "SAFE-CA", key("b"), key("SAFE-CA")))) == "ocsp_other_certificate"
    assert doubt(responder(issuer=ca("SAFE-CA", who="twin"))) == "ocsp_other_certificate"
    twin = issue("CONG TY A", "TWIN", key("leaf"), key("SAFE-CA"), serial=LEAF.x509().serial_number)
    assert doubt(responder(of=twin)) == "ocsp_other_certificate"


@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize("where", ["response", "single"])
def test_a_critical_part_that_is_unknown_makes_it_no_answer(where: str, *, critical: bool) -> None:
    """RFC 6960 section 4.4: it may say that good means something else. One that is not critical is passed over."""
    part = {"extn_id": "1.2.3.4", "critical": critical, "extn_value": b"\x05\x00"}

    def bent(body: bytes) -> bytes:
        whole = asn1_ocsp.OCSPResponse.load(responder()(body))
        basic = whole["response_bytes"]["response"].parsed
        data = basic["tbs_response_data"]
        if where == "response":
            data["response_extensions"] = [*list(data["response_extensions"]), part]
        else:
            data["responses"][0]["single_extensions"] = [part]
        basic["signature"] = key("SAFE-CA").sign(data.dump(force=True), ec.ECDSA(hashes.SHA256()))
        whole["response_bytes"]["response"] = core.ParsableOctetString(basic.dump(force=True))
        return bytes(whole.dump(force=True))

    if critical:
        assert doubt(bent) == "ocsp_not_understood"
    else:
        assert asked(bent).answer is RevocationAnswer.GOOD


def test_the_dates_bind() -> None:
    """Past its nextUpdate or before its thisUpdate an answer is none; five minutes of clock difference are let pass."""
    assert doubt(responder(ends=NOW - SKEW - SECOND, begins=NOW - DAY)) == "ocsp_stale"
    assert asked(responder(ends=NOW - SKEW + SECOND, begins=NOW - DAY)).answer is RevocationAnswer.GOOD
    assert doubt(responder(begins=NOW + SKEW + SECOND)) == "ocsp_future"
    assert asked(responder(begins=NOW + SKEW - SECOND)).answer is RevocationAnswer.GOOD


def test_without_end_only_the_nonce_or_its_youth_makes_an_answer_fresh() -> None:
    """No nextUpdate: our nonce proves freshness; without it only an answer of the last hour counts."""
    old = NOW - AGE_WITHOUT_END - SECOND
    assert asked(responder(ends=None, begins=old)).answer is RevocationAnswer.GOOD
    assert doubt(responder(ends=None, begins=old, nonce=lambda _: None)) == "ocsp_stale"
    assert asked(responder(ends=None, begins=old + 2 * SECOND, nonce=lambda _: None)).answer is RevocationAnswer.GOOD


def test_a_responder_without_nonces_is_believed_within_its_dates() -> None:
    """Many responders prepare their answers: none echoes a nonce."""
    assert asked(responder(nonce=lambda _: None)).answer is RevocationAnswer.GOOD


def test_another_nonce_is_another_answer() -> None:
    """A replayed answer carries the nonce of whoever asked before."""
    assert doubt(responder(nonce=lambda _: b"old" * 8)) == "ocsp_nonce"


def test_a_responder_that_names_by_sha1_only_is_asked_again() -> None:
    """Unauthorized for SHA-256 is followed by one question by SHA-1."""
    web = Web({OCSP_URL: responder(knows_only=hashes.SHA1)})
    assert asked(None, web=web).answer is RevocationAnswer.GOOD
    assert len(web.asked) == 2


def test_unknown_to_the_ca_stands_whatever_comes_of_asking_again() -> None:
    """The CA's own "unknown" is not forgotten because the second question found nobody."""
    pages = iter([responder(status=ocsp.OCSPCertStatus.UNKNOWN), None])

    class OnceUp(Web):
        def public(self, method: str, url: str, **how: Any) -> Any:
            self.pages = {url: next(pages)}
            return super().public(method, url, **how)

    assert doubt(None, web=OnceUp()) == "ocsp_unknown"


def test_an_answer_by_sha1_to_a_question_by_sha256_is_understood() -> None:
    """Some responders answer with the certID they keep."""
    web = Web({OCSP_URL: responder(algorithm=hashes.SHA1())})
    assert asked(None, web=web).answer is RevocationAnswer.GOOD
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (None, "unreachable"),
        (404, "ocsp_unreachable"),
        (lambda _: b"<html>", "ocsp_malformed"),
        (lambda _: b"", "ocsp_malformed"),
        (refusal(), "ocsp_refused"),
        (refusal(ocsp.OCSPResponseStatus.TRY_LATER), "ocsp_refused"),
    ],
)
def test_no_answer_is_not_checked(page: object, code: str) -> None:
    """Not reached, an error page, nonsense or a refusal: not checked, each by its own code."""
    assert doubt(page) == code


def test_an_answer_cut_short_is_not_checked() -> None:
    """Every prefix of a good answer is nonsense, never an exception of another kind."""
    whole: list[bytes] = []

    def keep(body: bytes) -> bytes:
        whole.append(responder()(body))
        return whole[0]

    asked(keep)
    for length in range(0, len(whole[0]), 7):
        assert doubt(lambda _, n=length: whole[0][:n]) in {"ocsp_malformed", "ocsp_not_signed"}


def test_a_bit_turned_anywhere_never_changes_the_verdict() -> None:
    """Whatever bit of a "revoked" answer is turned, it never becomes good."""
    whole: list[bytes] = []
    revoked = responder(status=ocsp.OCSPCertStatus.REVOKED, since=NOW - DAY)

    def keep(body: bytes) -> bytes:
        whole.append(revoked(body))
        return whole[0]

    asked(keep)
    for place in range(0, len(whole[0]) * 8, 5):
        bent = bytearray(whole[0])
        bent[place // 8] ^= 1 << place % 8
        try:
            assert asked(lambda _, b=bytes(bent): b).answer is RevocationAnswer.REVOKED
        except NotChecked:
            continue


def test_a_dry_run_asks_by_get() -> None:
    """Without POST the question is in the address (RFC 6960 A.1)."""

    class ByGet(Web):
        def public(self, method: str, url: str, **_how: Any) -> Any:
            assert method == "GET"
            assert url.startswith(OCSP_URL + "/")
            question = base64.b64decode(urllib.parse.unquote(url[len(OCSP_URL) + 1 :]))
            return super().public(method, OCSP_URL, body=question)

    assert asked(None, post=False, web=ByGet({OCSP_URL: responder()})).answer is RevocationAnswer.GOOD
