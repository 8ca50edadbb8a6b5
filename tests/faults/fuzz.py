"""Bends recorded messages in every way and gives them to every decoder of what a CA sends; prints one JSON object.

    python tests/faults/fuzz.py [COUNT] [SEED]

About COUNT mutations of each of some hundred kinds; SEED of the chance (both as in CI when left out). `foreign` must be
empty: errors that are not safetok's. `unreached` are the lines of the decoders that the fuzz alone did not reach, of `lines`.
"""

from __future__ import annotations

import ast
import json
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import coverage

HERE = Path(__file__).resolve()
PACKAGE = HERE.parents[2] / "safetok"
SEED = 20261122

# The modules that read what others send, and what in them reads nothing.
DECODERS: dict[str, set[str]] = {
    "ca/cmp/answers.py": set(),
    "ca/cmp/elements.py": set(),
    "ca/cmp/messages.py": {"build_header", "build_body", "general_name", "status_info", "subject_key_id"},
    "ca/cmp/protection.py": {"algorithm_for", "sign", "protect", "_pss_parameters", "_ecdsa_oid"},
    "ca/cmp/transport.py": {"_address"},
    "ca/cmp/failures.py": set(),
    "ca/problems.py": set(),
    "ca/offers.py": {"cert_id", "_base", "_base64url"},
    "ca/dossier.py": set(),
    "ca/proof.py": {"sign"},
    "trust/ocsp.py": {"urls"},
    "trust/crl.py": {"urls", "_keep"},
    "trust/bundle.py": set(),
    "trust/pss.py": set(),
    "trust/answer.py": set(),
    "domain/certificates.py": set(),
}

measured = coverage.Coverage(data_file=None, include=[str(PACKAGE / name) for name in DECODERS], config_file=False)
measured.start()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[1] / "unit")]

from asn1crypto import parser  # noqa: E402  (nothing of safetok's may be imported before the lines are counted)
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7  # noqa: E402
from cryptography.x509 import ocsp  # noqa: E402
from support_ca import ENDPOINT, answered, counting, granted, issuer, renewed, secret, subscriber  # noqa: E402
from support_recorded import (  # noqa: E402
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
from support_trust import CRL_URL, DAY, NOW, ca, issue, key, places, rsa_key, usage, with_pss  # noqa: E402

from safetok.ca import problems, proof  # noqa: E402
from safetok.ca.cmp.answers import Issued, Refused  # noqa: E402
from safetok.ca.cmp.messages import read_message  # noqa: E402
from safetok.ca.cmp.protection import verify_message  # noqa: E402
from safetok.ca.cmp.transport import send  # noqa: E402
from safetok.ca.dossier import ask as ask_dossier  # noqa: E402
from safetok.ca.offers import private_offer, public_offer  # noqa: E402
from safetok.domain.certificates import parse  # noqa: E402
from safetok.errors import SafetokError  # noqa: E402
from safetok.net import Response  # noqa: E402
from safetok.trust import crl, revocation  # noqa: E402
from safetok.trust import ocsp as ocsp_module  # noqa: E402
from safetok.trust.answer import verify_answer  # noqa: E402
from safetok.trust.bundle import read_certificates, readable  # noqa: E402
from safetok.trust.trace import trace  # noqa: E402

ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
NONCE = b"\x07" * 32


@dataclass(frozen=True)
class Kind:
    """Something recorded, how it is bent, and who reads it."""

    name: str
    seed: bytes
    decode: Callable[[bytes, random.Random], object]
    dress: Callable[[bytes], bytes] = bytes  # what makes the bent part a whole again: a right signature
    weight: float = 1.0


def nudge(raw: bytes, chance: random.Random) -> bytes:
    """One or two bytes changed in place: lengths still fit, so that what lies deep is reached."""
    changed = bytearray(raw)
    for _n in range(chance.choice([1, 1, 2])):
        changed[chance.randrange(len(changed))] = chance.choice([0, 1, 2, 3, 5, 0x80, 0xFF, chance.randrange(256)])
    return bytes(changed)


def element(tag: int, content: bytes) -> bytes:
    return bytes(parser.emit(tag >> 6, (tag >> 5) & 1, tag & 0x1F, content))


def signed(content: bytes, who: str = "SAFE-CA") -> bytes:
    """SEQUENCE { content, ecdsa-with-SHA256, signature }: what certificates, lists and OCSP answers all are."""
    signature = key(who).sign(content, ec.ECDSA(hashes.SHA256()))
    return element(0x30, content + ECDSA_SHA256 + element(0x03, b"\0" + signature))


def protected(part: bytes) -> bytes:
    """A PKIMessage around SEQUENCE { header, body }, protected anew."""
    content = parser.parse(part)[4] if part[:1] == b"\x30" else part
    signature = key("SAFE-CA").sign(element(0x30, content), ec.ECDSA(hashes.SHA256()))
    return element(0x30, content + element(0xA0, element(0x03, b"\0" + signature)))


def protected_safely(part: bytes) -> bytes:
    try:
        return protected(part)
    except ValueError:
        return part


def ocsp_whole(content: bytes) -> bytes:
    basic = element(0x04, signed(content))
    inner = element(0x30, bytes.fromhex("06092b0601050507300101") + basic)
    return element(0x30, b"\x0a\x01\x00" + element(0xA0, inner))


# What arrives ------------------------------------------------------------------------------------------------------------


def read_cmp(raw: bytes, chance: random.Random) -> object:
    """Read it, and do with it what a renewal does next."""
    for signer in SIGNERS if chance.random() < 0.2 else ():
        verify_message(raw, signer)
    answer = read(
        raw,
        replace(ENDPOINT, request=chance.choice(["kur", "kur", "cr", "p10cr"])),
        expect=chance.choice([None, None, "certificate", "confirmation"]),
    )
    following = next_message(answer)
    if isinstance(answer, Issued):
        return _verified(answer.certificate, answer.extra)
    return answer.reason if isinstance(answer, Refused) else following


def _verified(der: bytes, extra: tuple[bytes, ...] = ()) -> object:
    return verify_answer(
        parse(der),
        old=subscriber(),
        spki=subscriber().spki,
        issuers=[issuer()],
        anchors=[issuer()],
        extra=extra,
        requested_not_after=NOW + 400 * DAY,
        validity="exact",
        min_not_after=NOW + 300 * DAY,
        at=NOW,
    )


def read_stored(raw: bytes, _chance: random.Random) -> object:
    return read_message(raw)


def _wire(body: bytes, chance: random.Random) -> Any:
    status = chance.choice([200, 200, 200, 403, 404, 429, 500, 503])
    return answered(status, body, retry_after=chance.choice(["1", "x", "99999999999"]))


def read_http(body: bytes, chance: random.Random) -> object:
    return send(_wire(body, chance), ENDPOINT, TO.der)


def read_public(body: bytes, chance: random.Random) -> object:
    return public_offer(_wire(body, chance), AUTHORITY, subscriber())


def read_private(body: bytes, chance: random.Random) -> object:
    how: dict[str, Any] = {"now": NOW, "random": counting()}
    return chance.choice([private_offer, ask_dossier])(_wire(body, chance), AUTHORITY, subscriber(), secret(), **how)


def read_problem(body: bytes, chance: random.Random) -> object:
    raise problems.failure(_wire(body, chance).answer, title="X", contact=chance.choice(["", "1900"]))


LEAF = issue("CONG TY A", "SAFE-CA", key("leaf"), key("SAFE-CA"), places(), serial=4711)
ISSUER = ca("SAFE-CA")


def read_ocsp(raw: bytes, chance: random.Random) -> object:
    if chance.random() < 0.1:
        how = {"http": _wire(raw, chance), "now": NOW, "issuers": [ISSUER], "private_addresses": True}
        return revocation.check(LEAF, **how)
    return ocsp_module.read(raw, LEAF.x509(), ISSUER.x509(), now=NOW, nonce=chance.choice([NONCE, None]))


def ocsp_answers() -> list[tuple[str, bytes]]:
    question = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(LEAF.x509(), ISSUER.x509(), hashes.SHA256())
        .add_extension(x509.OCSPNonce(NONCE), critical=False)
        .build()
        .public_bytes(Encoding.DER)
    )
    from test_trust_ocsp import OCSP_SIGNING, refusal, responder
    from test_trust_ocsp import delegate as appointed

    purposes = [OCSP_SIGNING, usage("digital_signature")]
    rsa = issue("OCSP", "SAFE-CA", rsa_key("ocsp"), key("SAFE-CA"), purposes)
    eddsa = issue("OCSP", "SAFE-CA", secret("Ed25519"), key("SAFE-CA"), purposes)
    by_key = ocsp.OCSPResponderEncoding.HASH
    hold = x509.ReasonFlags.certificate_hold
    return [
        ("good", responder(of=LEAF, issuer=ISSUER)(question)),
        ("revoked", responder(of=LEAF, status=ocsp.OCSPCertStatus.REVOKED, since=NOW - DAY, reason=hold)(question)),
        ("delegate", responder(of=LEAF, signer=appointed(), along=(appointed(),), named_by=by_key)(question)),
        ("unknown", responder(of=LEAF, status=ocsp.OCSPCertStatus.UNKNOWN)(question)),
        ("stale", responder(of=LEAF, begins=NOW - 9 * DAY, ends=NOW - DAY)(question)),
        ("future", responder(of=LEAF, begins=NOW + DAY, ends=NOW + 2 * DAY)(question)),
        ("by RSA", responder(of=LEAF, signer=rsa, signer_key=rsa_key("ocsp"), along=(rsa,))(question)),
        (
            "by PSS",
            with_pss(
                responder(of=LEAF, signer=rsa, signer_key=rsa_key("ocsp"), along=(rsa,))(question), rsa_key("ocsp")
            ),
        ),
        ("by EdDSA", responder(of=LEAF, signer=eddsa, signer_key=secret("Ed25519"), along=(eddsa,))(question)),
        ("refusal", refusal()(question)),
    ]


def read_crl(raw: bytes, chance: random.Random) -> object:
    if chance.random() < 0.1:
        return crl.ask(LEAF.x509(), ISSUER.x509(), "http://x", http=_wire(raw, chance), now=NOW)
    return crl.read(raw, LEAF.x509(), ISSUER.x509(), now=NOW)


def read_changes(raw: bytes, _chance: random.Random) -> object:
    from test_trust_crl_changes import CHANGES_URL, whole

    def page(url: str) -> Any:
        return raw if url == CHANGES_URL else whole()

    class Pages:
        def public(self, _method: str, url: str, **_how: Any) -> Response:
            return Response(status=200, headers={}, body=page(url))

    crl.ask(LEAF.x509(), ISSUER.x509(), CRL_URL, http=Pages(), now=NOW)  # type: ignore[arg-type]
    return crl.read(whole(), LEAF.x509(), ISSUER.x509(), now=NOW, changes=raw)


def lists() -> list[tuple[str, bytes]]:
    from test_trust_crl import HOLD, entry, scope
    from test_trust_crl import crl as made

    some = frozenset({x509.ReasonFlags.key_compromise})
    return [
        ("hold", made(entry(HOLD), entry(serial=3), extensions=(scope(only_contains_user_certs=True),))),
        ("not named", made(entry(serial=3))),
        ("removed", made(entry((x509.CRLReason(x509.ReasonFlags.remove_from_crl), False)))),
        ("some reasons", made(entry(serial=3), extensions=(scope(only_some_reasons=some),))),
        ("indirect", made(entry(HOLD), extensions=(scope(indirect_crl=True),))),
        ("delta", made(extensions=((x509.DeltaCRLIndicator(1), True),))),
        (
            "of a place",
            made(extensions=(scope(full_name=[x509.UniformResourceIdentifier("http://crl.example.vn/ca.crl")]),)),
        ),
        ("of CAs", made(extensions=(scope(only_contains_ca_certs=True),))),
        ("stale", made(begins=NOW - 9 * DAY, ends=NOW - DAY)),
        ("future", made(begins=NOW + DAY, ends=NOW + 2 * DAY)),
        ("pem", made(entry(HOLD), pem=True)),
    ]


def read_bundle(raw: bytes, _chance: random.Random) -> object:
    return readable(read_certificates(raw))


def read_proof(raw: bytes, _chance: random.Random) -> object:
    return proof.verify(raw)


def read_certificate(raw: bytes, chance: random.Random) -> object:
    certificate = parse(raw)
    certificate.subject_name, certificate.mst, certificate.is_ca  # noqa: B018  (each is read when it is asked for)
    if chance.random() < 0.3:
        anchors, at = chance.choice([(ISSUER,), (issuer(),), ()]), chance.choice([NOW, NOW + 900 * DAY])
        trace(certificate, pool=[raw, ISSUER.der, issuer().der], anchors=anchors, now=at)
        trace(LEAF, pool=[raw], anchors=anchors, now=at)
    return _verified(raw, (raw,) if chance.random() < 0.3 else ())


def kinds() -> Iterator[Kind]:
    for name, message in messages().items():
        yield Kind(f"CMP {name}", message, read_cmp)
        yield Kind(f"CMP {name}, stored", message, read_stored, weight=0.2)
        if name != "error unsigned":
            yield Kind(f"CMP {name}, signed", read_message(message).signed, read_cmp, protected_safely, weight=1.5)
    yield Kind("CMP over HTTP", granted(TO), read_http)
    yield Kind("public offer", json.dumps(PUBLIC_OFFER).encode(), read_public, weight=2)
    yield Kind("private offer", json.dumps(OFFER).encode(), read_private, weight=2)
    yield Kind("dossier", json.dumps(DOSSIER).encode(), read_private)
    for what in (*PROBLEMS, "else"):
        document = json.dumps(problem(what)).encode()
        yield Kind(f"problem {what}", document, read_problem)
        yield Kind(f"problem {what}, over the wire", document, read_private, weight=0.2)
    claims = {"aud": "https://x/v1/offers", "nonce": "n"}
    for kind in ("EC", "RSA"):
        yield Kind(f"CMS by {kind}", proof.sign(claims, subscriber(kind), secret(kind)), read_proof)
    for name, body in ocsp_answers():
        yield Kind(f"OCSP {name}", body, read_ocsp)
        if name not in {"refusal", "by RSA", "by PSS", "by EdDSA", "delegate"}:
            content = ocsp.load_der_ocsp_response(body).tbs_response_bytes
            yield Kind(f"OCSP {name}, signed", content, read_ocsp, ocsp_whole)
    for name, body in lists():
        yield Kind(f"CRL {name}", body, read_crl, weight=0.5)
        if name != "pem":
            yield Kind(f"CRL {name}, signed", x509.load_der_x509_crl(body).tbs_certlist_bytes, read_crl, signed)
    from test_trust_crl_changes import changes
    from test_trust_crl_changes import entry as changed

    newer = changes(changed())
    yield Kind("CRL changes", newer, read_changes, weight=0.5)
    yield Kind("CRL changes, signed", x509.load_der_x509_crl(newer).tbs_certlist_bytes, read_changes, signed)
    several = [c.x509() for c in (issuer(), renewed(), subscriber())]
    for name, form in (("DER", Encoding.DER), ("PEM", Encoding.PEM)):
        yield Kind(f"certificate in {name}", renewed().x509().public_bytes(form), read_bundle)
        yield Kind(f"PKCS#7 in {name}", pkcs7.serialize_certificates(several, form), read_bundle)
    odd = issue(
        renewed().x509().subject, "SAFE-CA", secret(), key("SAFE-CA"), [usage("key_cert_sign")], ends=NOW + 400 * DAY
    )
    yield Kind("new certificate, signed", renewed().x509().tbs_certificate_bytes, read_certificate, signed, weight=3)
    yield Kind("odd certificate, signed", odd.x509().tbs_certificate_bytes, read_certificate, signed)


def run(count: int, seed: int) -> dict[str, Any]:
    done, ours, foreign = 0, 0, []
    for kind in kinds():
        chance = random.Random(f"{seed} {kind.name}")
        for number in range(max(1, round(count * kind.weight))):
            bend = chance.choice([mutate, nudge])
            raw = kind.dress(bend(kind.seed, chance) if number else kind.seed)
            done += 1
            try:
                kind.decode(raw, chance)
            except SafetokError:
                ours += 1
            except Exception:  # noqa: BLE001  (what must never happen, told with where it did)
                foreign.append({"kind": kind.name, "raw": raw.hex(), "error": traceback.format_exc(limit=-4)})
    return {"mutations": done, "refused": ours, "foreign": foreign[:10]}


def reached() -> dict[str, Any]:
    """How much of the decoders was executed."""
    lines, unreached = 0, []
    for name, leave in DECODERS.items():
        path = PACKAGE / name
        _file, statements, _excluded, missing, _text = measured.analysis2(str(path))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        out: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name in leave:
                out |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        lines += len(set(statements) - out)
        unreached += [f"{name}:{line}" for line in missing if line not in out]
    return {"lines": lines, "unreached": unreached}


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    told = run(given[0] if given else 200, given[1] if len(given) > 1 else SEED)
    measured.stop()
    print(json.dumps({**told, **reached()}, indent=1))  # noqa: T201
