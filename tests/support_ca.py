"""The CA's half of CMP for tests: a small PKI, and answers right in everything but what a test bends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from support_trust import DAY, NOW, Extension, Key, ca_true, issue, key, name, rsa_key, usage

from safetok.ca.cmp.endpoint import CMC_RA, Endpoint
from safetok.ca.cmp.messages import build_header
from safetok.ca.cmp.protection import algorithm_for, protect
from safetok.ca.cmp.requests import Opening, build_request
from safetok.domain.authorities import RequestKind
from safetok.domain.certificates import Certificate
from safetok.net import Response
from safetok.sandbox.structures import PKIBody, opaque

URL = "https://cmp.example.vn/cmp"
SPAN = {"begins": NOW - 900 * DAY, "ends": NOW + 900 * DAY}


def ski(of: Key) -> Extension:
    return x509.SubjectKeyIdentifier.from_public_key(of.public_key()), False


def aki(of: Key) -> Extension:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(of.public_key()), False


@cache
def issuer(who: str = "SAFE-CA") -> Certificate:
    """An issuing CA, self-signed: paths are not this floor's business."""
    signing = [ca_true(0), usage("key_cert_sign", "crl_sign"), ski(key(who))]
    return issue(who, who, key(who), key(who), signing, **SPAN)


@cache
def subscriber(kind: str = "EC", issuer_name: str = "SAFE-CA") -> Certificate:
    """A company's certificate under `issuer_name`, with the key `secret(kind)`."""
    secret_key = secret(kind)
    extensions = [usage("digital_signature", "content_commitment"), ski(secret_key), aki(key(issuer_name))]
    return issue(
        name("CÔNG TY CỔ PHẦN TÔ HIẾN", "MST:0106324653"),
        issuer_name,
        secret_key,
        key(issuer_name),
        extensions,
        serial=0x5401010000000000000000000000F00D,
        ends=NOW + 20 * DAY,
    )


@cache
def secret(kind: str = "EC") -> Any:
    """The subscriber's key."""
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return rsa_key("subscriber") if kind == "RSA" else key("subscriber")


@cache
def delegate(*purposes: x509.ObjectIdentifier, by: str = "SAFE-CA", who: str = "RA", **bent: Any) -> Certificate:
    """A certificate of an answering server, by default issued by the CA with cmcRA."""
    extensions: list[Extension] = [usage(*bent.pop("usage", ("digital_signature",)))]
    extensions.append((x509.ExtendedKeyUsage(purposes or (CMC_RA,)), False))
    return issue(who, by, key(who), key(by), extensions, **bent)


@cache
def renewed(kind: str = "EC") -> Certificate:
    """What the CA issues."""
    old = subscriber(kind)
    return issue(old.x509().subject, "SAFE-CA", secret(kind), key("SAFE-CA"), serial=0x54020200FF, ends=NOW + 400 * DAY)


ENDPOINT = Endpoint(url=URL, issuers=(issuer(),))


def counting() -> Any:
    """Bytes like random ones, but the same in every run, and never the same twice."""
    count = iter(range(1, 1000))
    return lambda size: next(count).to_bytes(2, "big").rjust(size, b"\x5a")


def opening(kind: RequestKind = "kur", endpoint: Endpoint = ENDPOINT, **bent: Any) -> Opening:
    """A request of ours."""
    given: dict[str, Any] = {
        "old": subscriber(),
        "old_key": secret(),
        "new_spki": subscriber().spki,
        "new_key": secret(),
        "not_after": NOW + timedelta(days=400),
        "endpoint": replace(endpoint, request=kind),
        "now": NOW,
        "random": counting(),
    }
    return build_request(kind, **{**given, **bent})


@dataclass(frozen=True, kw_only=True)
class Server:
    """How the CA answers; every field is one thing a test may bend."""

    key: Any = None
    pss: bool = False
    extra: tuple[bytes, ...] = ()
    pvno: int = 2
    transaction_id: bytes | None = None
    sender_nonce: bytes = b"S" * 16
    recip_nonce: bytes | None = None
    implicit_confirm: bool = False
    confirm_by: datetime | None = None

    def answer(self, to: Opening, kind: str, value: Any) -> bytes:
        by = self.key or key("SAFE-CA")
        header = build_header(
            algorithm=algorithm_for(by, pss=self.pss),
            sender=issuer().subject_der,
            recipient=subscriber().subject_der,
            now=NOW,
            transaction_id=to.transaction_id if self.transaction_id is None else self.transaction_id,
            sender_nonce=self.sender_nonce,
            recip_nonce=to.sender_nonce if self.recip_nonce is None else self.recip_nonce,
            pvno=self.pvno,
            implicit_confirm=self.implicit_confirm,
            confirm_by=self.confirm_by,
        )
        body = bytes(PKIBody(name=kind, value=value).dump())
        return protect(header, body, by, extra_certs=self.extra, pss=self.pss)


def response(
    status: int = 0,
    certificate: bytes | None = None,
    *,
    number: int = 0,
    text: str = "",
    fail_info: Sequence[str] = (),
) -> dict[str, Any]:
    """One CertResponse."""
    given: dict[str, Any] = {"certReqId": number, "status": status_info(status, text, fail_info)}
    if certificate is not None:
        chosen = {"certOrEncCert": {"certificate": opaque(certificate)}}
        given["certifiedKeyPair"] = chosen
    return given


def status_info(status: int, text: str = "", fail_info: Sequence[str] = ()) -> dict[str, Any]:
    given: dict[str, Any] = {"status": status}
    if text:
        given["statusString"] = [text]
    if fail_info:
        given["failInfo"] = set(fail_info)
    return given


def granted(to: Opening, server: Server | None = None, **bent: Any) -> bytes:
    """A kup with the new certificate."""
    return (server or Server()).answer(to, "kup", {"response": [response(0, renewed().der, **bent)]})


def nothing() -> core.Null:
    return core.Null()


def within(**bent: Any) -> dict[str, Any]:
    """What each message takes that follows the first of a transaction."""
    given: dict[str, Any] = {
        "old": subscriber(),
        "old_key": secret(),
        "endpoint": ENDPOINT,
        "now": NOW,
        "random": counting(),
        "transaction_id": b"T" * 16,
        "recip_nonce": b"S" * 16,
    }
    return {**given, **bent}


@dataclass
class Wire:
    """Stands where `safetok.net.Http` does; gives one answer to everything and keeps what was sent."""

    answer: Response
    sent: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def ca(self, method: str, url: str, **how: Any) -> Response:
        self.sent.append((method, url, how))
        return self.answer

    public = ca


def answered(status: int = 200, body: bytes = b"", **headers: str) -> Wire:
    """A Wire that answers so."""
    return Wire(Response(status=status, body=body, headers={n.replace("_", "-"): v for n, v in headers.items()}))
