from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support_ca import ENDPOINT, answered, counting, renewed, secret, subscriber
from support_recorded import (
    AUTHORITY,
    DOSSIER,
    OFFER,
    PROBLEMS,
    PUBLIC_OFFER,
    SIGNERS,
    TO,
    messages,
    mutate,
    next_message,
    problem,
    read,
)
from support_trust import NOW, key

from safetok.ca import proof
from safetok.ca.cmp.answers import Confirmed, Issued, Refused, Waiting
from safetok.ca.cmp.messages import read_message
from safetok.ca.cmp.protection import verify_message
from safetok.ca.dossier import ask as ask_dossier
from safetok.ca.offers import private_offer, public_offer
from safetok.errors import CaUnreachable, NoAnswer, SafetokError, UsageError

MUTATIONS = 100  # of each kind; tests/faults/fuzz.py does many more, of everything
READ_AS: dict[str, type] = {
    "kup": Issued,
    "kup waiting": Waiting,
    "kup refused": Refused,
    "kup of nothing": Refused,
    "pollRep": Waiting,
    "error": Refused,
    "error waiting": Waiting,
    "pkiconf": Confirmed,
}
BENT = [*READ_AS, "kup by PSS", "cp", "request"]


@pytest.mark.parametrize("which", BENT)
def test_mutated_messages_raise_only_no_answer(which: str) -> None:
    """Whatever is done to a valid message, it is read as it was, or is no answer."""
    original, chance = messages()[which], random.Random(which)
    for _n in range(MUTATIONS):
        raw = mutate(original, chance)
        for decode in (read, read_message):
            try:
                answer = decode(raw)
            except NoAnswer:
                continue
            if decode is read:
                assert isinstance(answer, Issued | Waiting | Refused | Confirmed)
        assert verify_message(raw, key("stranger").public_key()) is False
        for signer in SIGNERS:
            assert verify_message(raw, signer) in {True, False}  # true where only extraCerts are bent


@pytest.mark.parametrize("which", [*READ_AS, "cp"])
def test_mutated_bodies_under_a_right_signature_raise_only_no_answer(
    which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The readers behind the protection hold too: a CA may sign nonsense."""
    monkeypatch.setattr("safetok.ca.cmp.answers.verify_message", lambda _raw, _key: True)
    original, chance = messages()[which], random.Random(which)
    for _n in range(MUTATIONS):
        raw = mutate(original, chance)
        try:
            answer = read(raw, replace(ENDPOINT, request=chance.choice(["kur", "cr", "p10cr"])))
        except NoAnswer:
            continue
        next_message(answer)
        if isinstance(answer, Waiting):
            assert 0 <= answer.check_after <= 366 * 86_400
        assert not isinstance(answer, Refused) or answer.reason


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


def test_mutated_offers_raise_only_our_errors() -> None:
    """JSON bent in every way, with any status: an offer, or one of our errors."""
    chance = random.Random(300)
    documents = (OFFER, PUBLIC_OFFER, DOSSIER, *[problem(what) for what in (*PROBLEMS, *PROBLEMS)])
    bodies = [json.dumps(document).encode() for document in documents]
    ask: list[Callable[[Any], Any]] = [
        lambda wire: public_offer(wire, AUTHORITY, subscriber()),
        lambda wire: private_offer(wire, AUTHORITY, subscriber(), secret(), now=NOW, random=counting()),
        lambda wire: ask_dossier(wire, AUTHORITY, subscriber(), secret(), now=NOW, random=counting()),
    ]
    for _n in range(3 * MUTATIONS):
        body = mutate(chance.choice(bodies), chance)
        status = chance.choice([200, 200, 403, 404, 429, 500, 503])
        wire = answered(status, body, retry_after=chance.choice(["1", "x"]))
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
    answers = {name: read(messages()[name]) for name in READ_AS}
    assert {name: type(answer) for name, answer in answers.items()} == READ_AS
    assert answers["kup"].certificate == renewed().der
    assert read(messages()["cp"], replace(ENDPOINT, request="p10cr")).with_mods
