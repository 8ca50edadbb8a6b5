from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from asn1crypto import core
from support_ca import (
    ENDPOINT,
    Server,
    counting,
    delegate,
    granted,
    issuer,
    opening,
    renewed,
    response,
    secret,
    status_info,
    subscriber,
)
from support_trust import DAY, NOW, key, rsa_key

from safetok.ca import proof
from safetok.ca.cmp.answers import Confirmed, Issued, Refused, Waiting, cert_req_id_of, read_answer
from safetok.ca.cmp.messages import read_message
from safetok.ca.cmp.protection import verify_message
from safetok.ca.cmp.requests import build_confirmation, build_poll
from safetok.ca.dossier import ask as ask_dossier
from safetok.ca.offers import private_offer, public_offer
from safetok.domain.authorities import Authority
from safetok.errors import CaUnreachable, NoAnswer, SafetokError, UsageError
from safetok.net import Response

TO = opening()
MUTATIONS = 100  # of each kind; tests/faults/fuzz.py does many more, of everything
SIGNERS = [key("SAFE-CA").public_key(), rsa_key("signer").public_key(), secret("Ed25519").public_key()]
AUTHORITY = Authority(name="x", title="X", offers_url="https://x")


def recorded() -> list[bytes]:
    """One valid message of every kind that can arrive, with everything in it that is optional."""
    full = Server(extra=(delegate().der, issuer().der), implicit_confirm=True, confirm_by=NOW + DAY)
    content = {"pKIStatusInfo": status_info(2, "từ chối", ["badPOP"]), "errorCode": 3, "errorDetails": ["vì", "sao"]}
    return [
        granted(TO, full),
        granted(TO, replace(full, key=rsa_key("signer"), pss=True)),
        full.answer(TO, "kup", {"caPubs": [], "response": [response(3, text="chờ")]}),
        full.answer(TO, "kup", {"response": [response(2, text="không", fail_info=["badCertTemplate", "badAlg"])]}),
        full.answer(TO, "pollRep", [{"certReqId": 0, "checkAfter": 60, "reason": ["chờ"]}]),
        full.answer(TO, "error", content),
        full.answer(TO, "pkiconf", core.Null()),
        replace(full, key=secret("Ed25519")).answer(TO, "error", {"pKIStatusInfo": status_info(3)}),
        full.answer(TO, "cp", {"response": [response(1, renewed().der, number=-1)]}),
        full.answer(TO, "kup", {"response": [response(6)]}),
        TO.der,
    ]


def mutate(raw: bytes, chance: random.Random) -> bytes:
    """One to three changes: a bit, a byte, a length, a tag, a cut, a doubling, a splice."""
    changed = bytearray(raw)
    for _n in range(chance.randint(1, 3)):
        if not changed:
            break
        spot = chance.randrange(len(changed))
        way = chance.randrange(8)
        if way == 0:
            changed[spot] ^= 1 << chance.randrange(8)
        elif way == 1:
            changed[spot] = chance.choice([0, 1, 0x1F, 0x30, 0x80, 0x82, 0xA0, 0xFF])
        elif way == 2:
            del changed[spot : spot + chance.randrange(1, 40)]
        elif way == 3:
            changed[spot:spot] = chance.randbytes(chance.randrange(1, 8))
        elif way == 4:
            end = spot + chance.randrange(1, 60)
            changed[spot:spot] = changed[spot:end]
        elif way == 5:
            del changed[spot:]
        elif way == 6:
            other = chance.randrange(len(changed))
            size = chance.randrange(1, 30)
            changed[spot : spot + size] = changed[other : other + size]
        else:
            changed[spot : spot + 2] = bytes([chance.choice([0x84, 0x88, 0x80, 0xFE]), 0xFF])
    return bytes(changed)


def read(raw: bytes, kind: str = "kur") -> Any:
    return read_answer(
        raw,
        endpoint=replace(ENDPOINT, request=kind),  # type: ignore[arg-type]
        transaction_id=TO.transaction_id,
        nonces=frozenset({TO.sender_nonce}),
        old=subscriber(),
        at=NOW,
    )


@pytest.mark.parametrize("which", range(11))
def test_mutated_messages_raise_only_no_answer(which: int) -> None:
    """Whatever is done to a valid message, it is read as it was, or is no answer."""
    original = recorded()[which]
    chance = random.Random(which)
    for _n in range(MUTATIONS):
        raw = mutate(original, chance)
        for decode in (read, read_message, cert_req_id_of):
            try:
                answer = decode(raw)
            except NoAnswer:
                continue
            if decode is read:
                assert isinstance(answer, Issued | Waiting | Refused | Confirmed)
        assert verify_message(raw, key("stranger").public_key()) is False
        for signer in SIGNERS:
            assert verify_message(raw, signer) in {True, False}  # true where only extraCerts are bent


@pytest.mark.parametrize("which", range(10))
def test_mutated_bodies_under_a_right_signature_raise_only_no_answer(
    which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The readers behind the protection hold too: a CA may sign nonsense."""
    monkeypatch.setattr("safetok.ca.cmp.answers.verify_message", lambda _raw, _key: True)
    original = recorded()[which]
    chance = random.Random(100 + which)
    for _n in range(MUTATIONS):
        raw = mutate(original, chance)
        try:
            answer = read(raw, chance.choice(["kur", "cr", "p10cr"]))
        except NoAnswer:
            continue
        act_on(answer)


def act_on(answer: Any) -> None:
    """What a workflow does next with it must not fail either."""
    common: dict[str, Any] = {
        "old": subscriber(),
        "old_key": secret(),
        "endpoint": ENDPOINT,
        "transaction_id": TO.transaction_id,
        "recip_nonce": answer.server_nonce,
        "now": NOW,
        "random": counting(),
    }
    if isinstance(answer, Issued):
        given = {"certificate": answer.certificate, "cert_req_id": answer.cert_req_id, "accept": False}
        build_confirmation(fail_info="badDataFormat", **given, **common)
    elif isinstance(answer, Waiting):
        assert 0 <= answer.check_after <= 366 * 86_400
        build_poll(cert_req_id=answer.cert_req_id, **common)
    elif isinstance(answer, Refused):
        assert answer.reason


def test_mutated_proofs_raise_only_bad_proof() -> None:
    """The server's side of the proof: the claims as they were signed, or bad_proof."""
    claims, codes = {"aud": "https://x/v1/offers", "nonce": "n"}, set()
    for number, kind in enumerate(("EC", "RSA")):
        original = proof.sign(claims, subscriber(kind), secret(kind))
        chance = random.Random(200 + number)
        for _n in range(MUTATIONS):
            try:
                assert proof.verify(mutate(original, chance))[0] == claims
            except UsageError as error:
                codes.add(error.code)
    assert codes == {"bad_proof"}


@dataclass
class Wire:
    answer: Response

    def ca(self, *_args: Any, **_how: Any) -> Response:
        return self.answer


def test_mutated_offers_raise_only_our_errors() -> None:
    """JSON bent in every way, with any status: an offer, or one of our errors."""
    offer = {
        "offer_id": "1",
        "contract_number": "2",
        "contract_end": "2027-12-31",
        "new_not_after": "2027-12-31T23:59:59+07:00",
        "same_key": True,
        "expires": "2026-11-23T03:00:00Z",
    }
    public = {"offer": True, "suggestedWindow": {"start": "2026-11-23T03:00:00Z", "end": "2026-11-23T03:00:00Z"}}
    problem = {
        "type": "urn:safetok:problem:contract-over",
        "title": "x",
        "contract_end": "2026-01-01",
        "missing": ["a"],
    }
    chance = random.Random(300)
    kinds = ("contract-over", "dossier-missing", "not-owed", "bad-proof", "certificate-revoked")
    problems = [{**problem, "type": f"urn:safetok:problem:{kind}"} for kind in kinds]
    papers = {"state": "missing", "since": "2026-01-01", "missing": ["a", "b"]}
    bodies = [json.dumps(document).encode() for document in (offer, public, papers, *problems, *problems)]
    ask: list[Callable[[Any], Any]] = [
        lambda wire: public_offer(wire, AUTHORITY, subscriber()),
        lambda wire: private_offer(wire, AUTHORITY, subscriber(), secret(), now=NOW, random=counting()),
        lambda wire: ask_dossier(wire, AUTHORITY, subscriber(), secret(), now=NOW, random=counting()),
    ]
    for _n in range(3 * MUTATIONS):
        body = mutate(chance.choice(bodies), chance)
        status = chance.choice([200, 200, 403, 404, 429, 500, 503])
        wire = Wire(Response(status=status, body=body, headers={"retry-after": str(chance.choice([1, "x"]))}))
        try:
            chance.choice(ask)(wire)
        except SafetokError:
            continue


def test_random_bytes_are_no_answer() -> None:
    """Noise, and noise that begins like a message."""
    chance = random.Random(400)
    for _n in range(MUTATIONS):
        noise = chance.choice([b"", b"\x30\x82\x01\x00\x30", TO.der[:60]]) + chance.randbytes(chance.randrange(300))
        with pytest.raises(CaUnreachable):
            read(noise)


def test_the_recorded_messages_are_valid() -> None:
    """What is mutated is what arrives in truth; the new certificate is among it."""
    answers = [read(raw) for raw in (recorded()[0], *recorded()[2:7], recorded()[9])]
    assert answers[0].certificate == renewed().der
    kinds = [type(answer).__name__ for answer in answers]
    assert kinds == ["Issued", "Waiting", "Refused", "Waiting", "Refused", "Confirmed", "Refused"]
    assert read(recorded()[8], "p10cr").with_mods
