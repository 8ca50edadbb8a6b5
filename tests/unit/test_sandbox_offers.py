from __future__ import annotations

import base64
import json
import secrets
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support_sandbox import BASE, NOW, SECOND, Ca, Client, certificate, key, start, told

from safetok.ca import proof
from safetok.ca.offers import cert_id
from safetok.domain.certificates import parse
from safetok.domain.times import rfc3339
from safetok.sandbox import profile
from safetok.sandbox.offers import Reply
from safetok.sandbox.stories import new_end

STORIES = ("v1-owed", "not-owed", "contract-over", "dossier-missing", "revoked", "beyond-ca-end", "expired-owed")


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    return start(tmp_path, *STORIES)


def domain(story: str) -> Any:
    return parse(profile.der(certificate(story)))


def proven(story: str, *, signer: str = "", **bent: str) -> bytes:
    claims = {
        "aud": f"{BASE}/v1/offers",
        "purpose": "offer",
        "certID": cert_id(domain(story)),
        "nonce": secrets.token_hex(16),
        "time": rfc3339(NOW),
        "statement": proof.STATEMENT,
        **bent,
    }
    return proof.sign(claims, domain(signer or story), key(signer or story))


def body(reply: Reply) -> Any:
    return json.loads(reply.body)


def kind(reply: Reply) -> str:
    assert reply.type == "application/problem+json"
    return str(body(reply)["type"]).removeprefix("urn:safetok:problem:")


def test_that_an_offer_exists_is_public_and_says_nothing_of_the_contract(ca: Ca) -> None:
    """offer true, a window and Retry-After; no contract end."""
    reply = ca.offers.public(cert_id(domain("v1-owed")), NOW)
    assert set(body(reply)) == {"offer", "suggestedWindow"}
    assert body(reply)["offer"] is True
    assert dict(reply.headers)["Retry-After"].isdigit()
    expired = body(ca.offers.public(cert_id(domain("expired-owed")), NOW))["suggestedWindow"]
    assert expired["start"] < expired["end"]


def test_unknown_and_not_owed_look_alike(ca: Ca) -> None:
    """Nobody learns from the answer whether the CA knows a certificate."""
    strange = base64.urlsafe_b64encode(bytes(20)).rstrip(b"=").decode()
    answers = {
        ca.offers.public(one, NOW) for one in (cert_id(domain("not-owed")), cert_id(domain("v2-owed")), f"{strange}.AQ")
    }
    assert len(answers) == 1
    assert body(answers.pop()) == {"offer": False}


@pytest.mark.parametrize("bad", ["", "x", "a.b.c", ".AQ", "A.", "ü.ü", "AQ==.AQ", "a" * 5000])
def test_a_malformed_certid_is_a_problem(ca: Ca, bad: str) -> None:
    """Not an answer about a certificate, and never a crash."""
    reply = ca.offers.public(bad, NOW)
    assert reply.status == 400


def test_the_private_offer_tells_all(ca: Ca) -> None:
    """Contract, its end as a day, the new end capped by the CA's own."""
    offer = body(ca.offers.private(proven("beyond-ca-end"), NOW))
    story = told("beyond-ca-end")
    assert set(offer) == {"offer_id", "contract_number", "contract_end", "new_not_after", "same_key", "expires"}
    assert offer["contract_end"] == "2030-06-30"
    assert story.contract_end is not None
    assert offer["new_not_after"] == new_end(story.contract_end).isoformat().replace("+00:00", "Z")
    again = body(ca.offers.private(proven("beyond-ca-end"), NOW))
    assert again["offer_id"] == offer["offer_id"]


@pytest.mark.parametrize(
    ("story", "problem"),
    [
        ("contract-over", "contract-over"),
        ("dossier-missing", "dossier-missing"),
        ("not-owed", "not-owed"),
        ("revoked", "certificate-revoked"),
    ],
)
def test_each_reason_is_a_problem_document(ca: Ca, story: str, problem: str) -> None:
    """Types scripts can tell apart."""
    reply = ca.offers.private(proven(story), NOW)
    assert kind(reply) == problem
    assert reply.status >= 400


def test_an_offer_is_gone_while_its_renewal_runs(ca: Ca) -> None:
    """Public and private say so from the moment of the kur."""
    ca.say(Client("v1-owed").kur())
    assert body(ca.offers.public(cert_id(domain("v1-owed")), NOW)) == {"offer": False}
    assert kind(ca.offers.private(proven("v1-owed"), NOW)) == "not-owed"


@pytest.mark.parametrize(
    "bent",
    [
        {"aud": f"{BASE}/v1/offers/"},
        {"aud": f"{BASE}/v1/dossiers"},
        {"purpose": "dossier"},
        {"statement": "I accept"},
        {"time": rfc3339(NOW - timedelta(minutes=5, seconds=1))},
        {"time": rfc3339(NOW + timedelta(minutes=5, seconds=1))},
        {"time": "today"},
        {"certID": ""},
    ],
    ids=["path", "other path", "purpose", "statement", "old", "future", "no time", "nobody"],
)
def test_a_proof_for_something_else_or_another_time_is_refused(ca: Ca, bent: dict[str, str]) -> None:
    """The audience, the purpose, the statement and the five minutes are each checked."""
    reply = ca.offers.private(proven("v1-owed", **bent), NOW)
    assert kind(reply) == ("not-owed" if "certID" in bent else "bad-proof")


def test_a_proof_counts_once(ca: Ca) -> None:
    """The same bytes again are refused; so is a proof from before the CA was started again, whose nonce it cannot remember."""
    der = proven("v1-owed")
    assert ca.offers.private(der, NOW).status == 200
    assert kind(ca.offers.private(der, NOW)) == "bad-proof"
    ca.now = NOW + SECOND
    ca.restart()
    assert kind(ca.offers.private(der, ca.now)) == "bad-proof"


def test_a_proof_by_another_token_tells_nothing(ca: Ca) -> None:
    """Naming somebody else's certificate under one's own signature gets the answer of an unknown one."""
    assert kind(ca.offers.private(proven("v1-owed", signer="beyond-ca-end"), NOW)) == "not-owed"
    assert kind(ca.offers.private(b"\x30\x00", NOW)) == "bad-proof"


def test_the_dossier_is_told_to_its_own_token(ca: Ca) -> None:
    """State and what is missing."""
    der = proven("dossier-missing", aud=f"{BASE}/v1/dossiers", purpose="dossier")
    assert body(ca.offers.dossier(der, NOW)) == {"state": "missing", "missing": ["Hồ sơ (BẢN GIẤY)"]}
    evening = NOW.replace(hour=20)  # the next day in Vietnam, as its OCSP answers are shown
    entry = ca.books.entries[domain("dossier-missing").serial]
    ca.books.keep(entries=(replace(entry, standing="suspended", since=evening),))
    der = proven("dossier-missing", aud=f"{BASE}/v1/dossiers", purpose="dossier")
    assert body(ca.offers.dossier(der, NOW))["since"] == f"{evening + timedelta(days=1):%Y-%m-%d}"
    der = proven("v1-owed", aud=f"{BASE}/v1/dossiers", purpose="dossier", time=rfc3339(NOW + timedelta(minutes=1)))
    assert body(ca.offers.dossier(der, NOW + timedelta(minutes=1))) == {"state": "complete"}
