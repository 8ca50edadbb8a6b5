from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from support_ca import answered, counting, issuer, secret, subscriber
from support_trust import NOW, issue, key, rsa_key

from safetok.ca import problems, proof
from safetok.ca.dossier import ask as ask_dossier
from safetok.ca.offers import cert_id, private_offer, public_offer
from safetok.domain.authorities import Authority, Contacts
from safetok.domain.offers import DossierAnswer, PrivateOffer, PublicOffer
from safetok.errors import (
    CaRefused,
    CaUnreachable,
    CaWait,
    CertificateRevoked,
    NoAnswer,
    PersonNeeded,
    SafetokError,
    UsageError,
)

BASE = "https://bu.example.vn/api"
AUTHORITY = Authority(
    name="safe-ca",
    title="SAFE-CA",
    offers_url=BASE + "/",
    tls_ca=Path("/roots.pem"),
    contacts=Contacts(hotline="1900 0000"),
)
OFFER = {
    "offer_id": "o1",
    "contract_number": "HĐ-1",
    "contract_end": "2027-12-31",
    "new_not_after": "2027-12-31T23:59:59+07:00",
    "same_key": True,
    "expires": "2026-11-23T03:00:00Z",
}


def wire(body: Any = b"", status: int = 200, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answered(status, raw, **headers)


def public(http: Any) -> PublicOffer:
    return public_offer(http, AUTHORITY, subscriber())


def private(http: Any, kind: str = "EC") -> PrivateOffer:
    return private_offer(http, AUTHORITY, subscriber(kind), secret(kind), now=NOW, random=counting())


def dossier(http: Any) -> DossierAnswer:
    return ask_dossier(http, AUTHORITY, subscriber(), secret(), now=NOW, random=counting())


# --- CertID ---


def test_cert_id_is_that_of_rfc_9773() -> None:
    """The RFC's own example: the AKI, and a serial whose first bit needs a leading zero."""
    aki = bytes.fromhex("69885b6b87464041e1b37b847bd0ae2cde01c8d4")
    certificate = issue(
        "x",
        "SAFE-CA",
        secret(),
        key("SAFE-CA"),
        [(x509.AuthorityKeyIdentifier(aki, None, None), False)],
        serial=0x87654321,
    )
    assert cert_id(certificate) == "aYhba4dGQEHhs3uEe9CuLN4ByNQ.AIdlQyE"


def test_cert_id_needs_the_issuer_s_key() -> None:
    """Without an authority key identifier there is no CertID."""
    for extensions in ([], [(x509.AuthorityKeyIdentifier(None, [x509.DNSName("x")], 1), False)]):
        with pytest.raises(UsageError) as error:
            cert_id(issue("x", "SAFE-CA", secret(), key("SAFE-CA"), extensions))
        assert error.value.code == "no_authority_key_id"


# --- the public answer ---


def test_the_public_offer_is_asked_without_a_token() -> None:
    """GET of the CertID; window and Retry-After as RFC 9773 has them."""
    window = {"start": "2026-11-01T00:00:00+07:00", "end": "2026-12-12T03:00:00Z"}
    http = wire({"offer": True, "suggestedWindow": window, "explanationURL": "x"}, retry_after="21600")
    assert public(http) == PublicOffer(
        exists=True,
        window_start=datetime(2026, 10, 31, 17, tzinfo=UTC),
        window_end=datetime(2026, 12, 12, 3, tzinfo=UTC),
        retry_after=21600,
    )
    ((method, url, how),) = http.sent
    assert (method, url) == ("GET", f"{BASE}/v1/renewal-info/{cert_id(subscriber())}")
    assert how["tls_ca"] == Path("/roots.pem")
    assert not how.get("body")


def test_unknown_and_not_owed_look_alike() -> None:
    """No offer is an answer, not an error."""
    assert public(wire({"offer": False})) == PublicOffer(exists=False)


JUNK = [
    b"", b"[]", b"null", b"<html>", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"offer":"yes"}', b'{"offer":1}',
    b'{"offer":true,"suggestedWindow":{"start":"x"}}',
    b'{"offer":true,"suggestedWindow":{"start":"2026-11-01T00:00:00","end":"2026-11-01T00:00:00"}}',
    b'{"offer":true,"suggestedWindow":{"start":"0001-01-01T00:00:00+07:00","end":"2026-11-01T00:00:00Z"}}',
    b'{"offer":true,"suggestedWindow":{"start":"2026-11-01T00:00:00Z","end":"9999-12-31T23:59:59-07:00"}}',
]  # fmt: skip


@pytest.mark.parametrize("body", JUNK, ids=range(len(JUNK)))
def test_what_is_no_offer_is_no_answer(body: bytes) -> None:
    """Other JSON, no JSON, times without a zone or beyond the calendar: unreachable, never half an offer."""
    for ask in (public, private, dossier):
        with pytest.raises(NoAnswer):
            ask(wire(body))


# --- the private answers ---


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_the_private_offer_is_asked_with_the_token_s_proof(kind: str) -> None:
    """POST of CMS SignedData whose claims name address, purpose, certificate, a nonce, the time and what it is not."""
    http = wire(OFFER)
    assert private(http, kind) == PrivateOffer(
        offer_id="o1",
        contract_number="HĐ-1",
        contract_end=date(2027, 12, 31),
        new_not_after=datetime(2027, 12, 31, 16, 59, 59, tzinfo=UTC),
        same_key=True,
        expires=datetime(2026, 11, 23, 3, tzinfo=UTC),
    )
    ((method, url, how),) = http.sent
    assert (method, url) == ("POST", f"{BASE}/v1/offers")
    assert how["headers"]["Content-Type"] == "application/cms"
    claims, certificate = proof.verify(how["body"])
    assert certificate == subscriber(kind)
    assert len(base64.urlsafe_b64decode(claims.pop("nonce") + "==")) == 16
    assert claims == {
        "aud": f"{BASE}/v1/offers",
        "purpose": "offer",
        "certID": cert_id(subscriber(kind)),
        "time": "2026-11-22T03:00:00Z",
        "statement": "request for information, no other legal effect",
    }


@pytest.mark.parametrize("missing", sorted(OFFER))
def test_an_offer_must_be_whole(missing: str) -> None:
    """With any field missing there is no offer to confirm."""
    with pytest.raises(NoAnswer):
        private(wire({name: value for name, value in OFFER.items() if name != missing}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("contract_end", "31/12/2027"),
        ("contract_end", "2027-02-30"),
        ("new_not_after", "2027-12-31"),
        ("new_not_after", "2027-12-31T23:59:59"),
        ("new_not_after", "9999-12-31T23:59:59-07:00"),
        ("expires", "0001-01-01T00:00:00+07:00"),
        ("same_key", "true"),
        ("offer_id", "x" * 201),
        ("expires", 0),
    ],
)
def test_an_offer_must_say_what_it_means(name: str, value: Any) -> None:
    """Dates that are none, instants without a zone or beyond the calendar, other types, endless names."""
    with pytest.raises(NoAnswer):
        private(wire({**OFFER, name: value}))


def test_the_dossier_is_asked_with_the_token_s_proof() -> None:
    """Its own address and purpose; an unknown word for a state is unknown."""
    http = wire({"state": "missing", "since": "2026-11-01", "missing": ["Giấy đề nghị", "CCCD"]})
    assert dossier(http) == DossierAnswer(state="missing", since=date(2026, 11, 1), missing=("Giấy đề nghị", "CCCD"))
    claims, _certificate = proof.verify(http.sent[0][2]["body"])
    assert (claims["aud"], claims["purpose"]) == (f"{BASE}/v1/dossiers", "dossier")
    assert dossier(wire({"state": "sealed"})).state == "unknown"
    assert dossier(wire({"state": "complete"})) == DossierAnswer(state="complete")


def test_without_an_address_a_person_is_needed() -> None:
    """No offers_url: nothing is sent anywhere."""
    nowhere = Authority(name="lcs-ca", title="LCS-CA", url="https://x/")
    http = wire(OFFER)
    with pytest.raises(PersonNeeded) as error:
        public_offer(http, nowhere, subscriber())
    with pytest.raises(PersonNeeded):
        ask_dossier(http, nowhere, subscriber(), secret(), now=NOW, random=counting())
    assert (error.value.code, http.sent) == ("no_endpoint", [])


# --- no, and why ---


def refusal(kind: str, status: int = 403, **more: Any) -> SafetokError:
    document = {"type": f"urn:safetok:problem:{kind}", "title": "Không", "status": status, **more}
    with pytest.raises(SafetokError) as error:
        private(wire(document, status))
    return error.value


def test_a_contract_that_is_over_needs_a_person() -> None:
    """With the day where the CA states it, and whom to call."""
    error = refusal("contract-over", contract_end="2026-06-30")
    assert (type(error), error.code, error.data) == (PersonNeeded, "contract_over", {"contract_end": "2026-06-30"})
    assert "30/06/2026" in error.message
    assert "1900 0000" in error.hint
    for nothing in ({}, {"contract_end": None}, {"contract_end": 7}, {"contract_end": "soon"}):
        assert refusal("contract-over", **nothing).data == {"contract_end": None}


def test_missing_papers_need_a_person() -> None:
    """With their names where the CA gives them."""
    error = refusal("dossier-missing", missing=["CCCD", 7, None, " "])
    assert (type(error), error.code, error.data) == (PersonNeeded, "dossier_missing", {"missing": ["CCCD"]})
    assert error.message.endswith("CCCD.")  # what to do follows
    assert "CCCD" in error.message
    assert refusal("dossier-missing").data == {"missing": []}
    assert refusal("dossier-missing", missing=["Hồ sơ (BẢN GIẤY)"]).message == refusal("dossier-missing").message
    for odd in (7, "CCCD", {"a": 1}, None):
        assert refusal("dossier-missing", missing=odd).code == "dossier_missing"


@pytest.mark.parametrize(
    ("kind", "status", "error", "code"),
    [
        ("not-owed", 404, CaRefused, "not_owed"),
        ("bad-proof", 401, CaRefused, "bad_proof"),
        ("certificate-revoked", 403, CertificateRevoked, "certificate_revoked"),
        ("something-new", 403, CaRefused, "ca_refused"),
    ],
)
def test_other_refusals_have_their_error(kind: str, status: int, error: type[SafetokError], code: str) -> None:
    """By the document's type, not by the HTTP status."""
    found = refusal(kind, status, detail="Vì sao")
    assert (type(found), found.code) == (error, code)


@pytest.mark.parametrize(
    ("status", "body", "headers", "error"),
    [
        (503, b"", {"retry_after": "60"}, CaWait),
        (429, b"{}", {"retry_after": "60"}, CaWait),
        (503, b"", {}, CaUnreachable),
        (500, b'{"type":"about:blank","title":"Internal"}', {}, CaUnreachable),
        (404, b"<html>", {}, NoAnswer),
        (204, b"", {}, NoAnswer),
        (403, b"[" * 100_000, {}, NoAnswer),
        (403, b'{"title":7}', {}, NoAnswer),
        (403, b'{"type":"https://x/limit","detail":"too many"}', {}, CaRefused),
    ],
)
def test_a_failure_without_a_known_document(
    status: int, body: bytes, headers: dict[str, str], error: type[SafetokError]
) -> None:
    """Wait, come back, no answer, or a refusal in the CA's own words."""
    for ask in (public, private, dossier):
        with pytest.raises(SafetokError) as found:
            ask(wire(body, status, **headers))
        assert type(found.value) is error


def test_a_document_s_text_is_text() -> None:
    """Bounded, and as it came: the renderer escapes it."""
    found = problems.parse(json.dumps({"type": "x", "title": "[b]" + "y" * 9000}).encode())
    assert found is not None
    assert (found.kind, len(found.text)) == ("", problems.LONGEST_TEXT)


# --- the proof itself ---

CLAIMS = {"aud": "https://x/", "purpose": "offer", "nonce": "n", "người": "Nguyễn"}


@pytest.mark.parametrize("kind", ["EC", "RSA"])
def test_a_proof_verifies_with_openssl_too(kind: str, tmp_path: Path) -> None:
    """`openssl cms -verify` accepts it and finds the claims inside."""
    (tmp_path / "proof.der").write_bytes(proof.sign(CLAIMS, subscriber(kind), secret(kind)))
    (tmp_path / "ca.pem").write_bytes(issuer().x509().public_bytes(Encoding.PEM))
    command = [
        "openssl",
        "cms",
        "-verify",
        "-inform",
        "DER",
        "-in",
        "proof.der",
        "-CAfile",
        "ca.pem",
        "-purpose",
        "any",
    ]
    moment = ["-attime", str(int(NOW.timestamp()))]
    done = subprocess.run([*command, *moment], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == CLAIMS
    assert proof.verify((tmp_path / "proof.der").read_bytes()) == (CLAIMS, subscriber(kind))


def test_a_proof_of_openssl_s_making_is_read(tmp_path: Path) -> None:
    """Another program's SignedData, the signer named by its key identifier or by issuer and serial."""
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    (tmp_path / "cert.pem").write_bytes(subscriber("RSA").x509().public_bytes(Encoding.PEM))
    private_key = secret("RSA").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(private_key)
    (tmp_path / "claims").write_bytes(json.dumps(CLAIMS).encode())
    command = [
        "openssl",
        "cms",
        "-sign",
        "-in",
        "claims",
        "-signer",
        "cert.pem",
        "-inkey",
        "key.pem",
        "-outform",
        "DER",
    ]
    for more in ([], ["-keyid"], ["-md", "sha512"]):
        subprocess.run([*command, "-binary", "-nodetach", "-out", "p.der", *more], cwd=tmp_path, check=True)
        assert proof.verify((tmp_path / "p.der").read_bytes()) == (CLAIMS, subscriber("RSA"))


def bad(der: bytes) -> bool:
    with pytest.raises(UsageError) as error:
        proof.verify(der)
    return error.value.code == "bad_proof"


def test_a_proof_with_other_claims_does_not_hold() -> None:
    """A byte of the content changed."""
    der = proof.sign(CLAIMS, subscriber(), secret())
    assert bad(der.replace(b'"offer"', b'"Offer"'))


def test_a_proof_by_another_key_does_not_hold() -> None:
    """The certificate of one, the signature of another."""
    assert bad(proof.sign(CLAIMS, subscriber("RSA"), rsa_key("thief")))
    assert bad(proof.sign(CLAIMS, subscriber(), key("thief")))


def test_a_proof_needs_its_parts() -> None:
    """Missing certificate, attributes or content, two signers, another digest's signature, claims that are no object, too long."""
    der = proof.sign(CLAIMS, subscriber(), secret())

    def without(change: Any) -> bytes:
        info = cms.ContentInfo.load(der)
        change(info["content"])
        return bytes(info.dump(force=True))

    def no_attributes(data: Any) -> None:
        signer = data["signer_infos"][0]
        names = ("version", "sid", "digest_algorithm", "signature_algorithm", "signature")
        data["signer_infos"] = [cms.SignerInfo({name: signer[name] for name in names})]

    def two_signers(data: Any) -> None:
        data["signer_infos"] = [data["signer_infos"][0], data["signer_infos"][0].copy()]

    def other_digest(data: Any) -> None:
        data["signer_infos"][0]["signature_algorithm"] = {"algorithm": "sha384_ecdsa"}

    def no_certificate(data: Any) -> None:
        data["certificates"] = cms.CertificateSet([])

    assert bad(without(no_attributes))
    assert bad(without(two_signers))
    assert bad(without(no_certificate))
    assert bad(without(other_digest))
    assert proof.verify(without(lambda _data: None))[0] == CLAIMS
    assert bad(proof.sign({"x": "y" * proof.LONGEST}, subscriber(), secret()))
    assert bad(cms.ContentInfo({"content_type": "data", "content": b"x"}).dump())
    assert bad(b"")
