"""What a CA sends, recorded: every kind of message and document, how bytes are bent, and what a renewal does with an answer."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from typing import Any

from support_ca import (
    ENDPOINT,
    Server,
    delegate,
    granted,
    issuer,
    nothing,
    opening,
    renewed,
    response,
    secret,
    status_info,
    subscriber,
    within,
)
from support_trust import DAY, NOW, key, rsa_key

from safetok.ca.cmp.answers import Issued, Waiting, read_answer
from safetok.ca.cmp.endpoint import Endpoint
from safetok.ca.cmp.messages import read_message
from safetok.ca.cmp.requests import build_confirmation, build_poll
from safetok.domain.authorities import Authority

TO = opening()
AUTHORITY = Authority(name="x", title="X", offers_url="https://x")
SIGNERS = [key("SAFE-CA").public_key(), rsa_key("SAFE-CA").public_key(), secret("Ed25519").public_key()]

OFFER = {
    "offer_id": "1",
    "contract_number": "2",
    "contract_end": "2027-12-31",
    "new_not_after": "2027-12-31T23:59:59+07:00",
    "same_key": True,
    "expires": "2026-11-23T03:00:00Z",
}
PUBLIC_OFFER = {"offer": True, "suggestedWindow": {"start": "2026-11-23T03:00:00Z", "end": "2026-11-23T03:00:00Z"}}
DOSSIER = {"state": "missing", "since": "2026-01-01", "missing": ["a", "b"]}
PROBLEMS = ("contract-over", "dossier-missing", "not-owed", "bad-proof", "certificate-revoked")


def problem(what: str) -> dict[str, Any]:
    """A problem document of this type, with everything any of them has."""
    return {
        "type": f"urn:safetok:problem:{what}",
        "title": "x",
        "detail": "y",
        "contract_end": "2026-01-01",
        "missing": ["a"],
    }


@cache
def messages() -> dict[str, bytes]:
    """One valid message of every kind that can arrive, with everything in it that is optional."""
    full = Server(extra=(delegate().der, issuer().der), implicit_confirm=True, confirm_by=NOW + DAY)
    bare = Server()
    refusal = {"pKIStatusInfo": status_info(2, "từ chối", ["badPOP"]), "errorCode": 3, "errorDetails": ["vì", "sao"]}
    unsigned = read_message(full.answer(TO, "error", refusal)).signed
    return {
        "kup": granted(TO, full),
        "kup by PSS": granted(TO, replace(full, key=rsa_key("SAFE-CA"), pss=True)),
        "kup by EdDSA": granted(TO, replace(full, key=secret("Ed25519"))),
        "kup waiting": full.answer(TO, "kup", {"caPubs": [], "response": [response(3, text="chờ")]}),
        "kup refused": full.answer(TO, "kup", {"response": [response(2, text="không", fail_info=["badAlg"])]}),
        "kup of nothing": full.answer(TO, "kup", {"response": [response(6)]}),
        "kup of status 9": full.answer(TO, "kup", {"response": [response(9, renewed().der)]}),
        "kup of two": full.answer(TO, "kup", {"response": [response(0, renewed().der), response(3)]}),
        "kup of another number": full.answer(TO, "kup", {"response": [response(0, renewed().der, number=7)]}),
        "cp": full.answer(TO, "cp", {"response": [response(1, renewed().der, number=-1)]}),
        "pollRep": bare.answer(TO, "pollRep", [{"certReqId": 0, "checkAfter": 60, "reason": ["chờ"]}]),
        "pollRep of two": bare.answer(TO, "pollRep", [{"certReqId": 0, "checkAfter": 6}] * 2),
        "pollRep of another": bare.answer(TO, "pollRep", [{"certReqId": 9, "checkAfter": 6}]),
        "error": bare.answer(TO, "error", refusal),
        "error unsigned": unsigned,
        "error waiting": bare.answer(TO, "error", {"pKIStatusInfo": status_info(3)}),
        "error of RSA": replace(bare, key=rsa_key("SAFE-CA")).answer(TO, "error", refusal),
        "error in version 9": replace(bare, pvno=9).answer(TO, "error", refusal),
        "error of another": replace(bare, transaction_id=b"T" * 16).answer(TO, "error", refusal),
        "error to another": replace(bare, recip_nonce=b"N" * 16).answer(TO, "error", refusal),
        "pkiconf": full.answer(TO, "pkiconf", nothing()),
        "request": TO.der,
    }


def mutate(raw: bytes, chance: random.Random) -> bytes:
    """One to three changes: a bit, a byte, a cut, an insertion, a doubling, an end, a splice, a length."""
    changed = bytearray(raw)
    for _n in range(chance.randint(1, 3)):
        if not changed:
            break
        spot, way = chance.randrange(len(changed)), chance.randrange(9)
        if way == 0:
            changed[spot] ^= 1 << chance.randrange(8)
        elif way in {1, 8}:
            changed[spot] = chance.choice([0, 1, 5, 0x1F, 0x30, 0x80, 0x82, 0xA0, 0xFF, chance.randrange(256)])
        elif way == 2:
            del changed[spot : spot + chance.randrange(1, 40)]
        elif way == 3:
            changed[spot:spot] = chance.randbytes(chance.randrange(1, 8))
        elif way == 4:
            changed[spot:spot] = changed[spot : spot + chance.randrange(1, 60)]
        elif way == 5:
            del changed[spot:]
        elif way == 6:
            other, size = chance.randrange(len(changed)), chance.randrange(1, 30)
            changed[spot : spot + size] = changed[other : other + size]
        else:
            changed[spot : spot + 2] = bytes([chance.choice([0x84, 0x88, 0x80, 0xFE]), 0xFF])
    return bytes(changed)


def read(raw: bytes, endpoint: Endpoint = ENDPOINT, **bent: Any) -> Any:
    """`raw` as the answer to TO."""
    given = {
        "transaction_id": TO.transaction_id,
        "nonces": frozenset({TO.sender_nonce}),
        "old": subscriber(),
        "at": NOW,
    }
    return read_answer(raw, endpoint=endpoint, **{**given, **bent})


def next_message(answer: Any) -> bytes:
    """What a renewal would send next: a rejecting confirmation of a certificate, a poll while the CA waits, else nothing."""
    common = within(transaction_id=TO.transaction_id, recip_nonce=answer.server_nonce)
    if isinstance(answer, Issued):
        given = {"certificate": answer.certificate, "cert_req_id": answer.cert_req_id, "accept": False}
        return build_confirmation(fail_info="badDataFormat", **given, **common)
    return build_poll(cert_req_id=answer.cert_req_id, **common)[0] if isinstance(answer, Waiting) else b""
