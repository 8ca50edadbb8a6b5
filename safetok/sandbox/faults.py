"""What the sandbox CA answers when it is to lie, to break or to be attacked: faults planned in a file of its folder.

`ca/faults.json` is a list of plans, taken in order and counted down; nobody can plan one over the network. A fault of
CONTENT goes out under the right signature, and the CA's books know of it. A fault of WIRE spoils the way of an honest
answer: by then the request was processed, unless the plan says that it never arrived.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from asn1crypto import core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from safetok.sandbox import messages
from safetok.sandbox.messages import Refusal
from safetok.sandbox.offers import Reply
from safetok.sandbox.pki import LCS, SAFE_OLD, Issuer, Pki, new_serial
from safetok.sandbox.places import write_json
from safetok.sandbox.structures import PKIBody, PKIHeader, PKIMessage, sign_message

HUGE = 100 << 20  # bytes
_DER = serialization.Encoding.DER
_CMP = "application/pkixcmp"
_HTML = "<!doctype html><title>Bảo trì</title><h1>Hệ thống đang bảo trì</h1>".encode()
_SHA1_RSA = "1.2.840.113549.1.1.5"


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault to come: which, after what kind of CMP message (any when empty), and how often."""

    name: str
    on: str = ""  # the body's name: kur, pollReq, certConf, …
    times: int = 1
    processed: bool = True  # the CA did its work before the answer was spoilt
    status: int = 503  # of `status`
    fail: str = "systemUnavail"  # of `refuse`


@dataclass(slots=True)
class Faults:
    """The plans of one CA."""

    path: Path
    pki: Pki
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, kind: str, among: frozenset[str]) -> Plan | None:
        """The first plan of these names for this kind of message, counted down; None on an honest day."""
        with self._lock:
            try:
                plans = msgspec.json.decode(self.path.read_bytes(), type=list[Plan])
            except FileNotFoundError:
                return None
            for place, plan in enumerate(plans):
                if plan.name in among and plan.on in {"", kind} and plan.times > 0:
                    plans[place] = msgspec.structs.replace(plan, times=plan.times - 1)
                    write_json(self.path, msgspec.to_builtins(plans))
                    return plan
        return None

    def certificate(self, kind: str, honest: x509.Certificate, issuer: Issuer, old: x509.Certificate) -> bytes:
        """The certificate to give for the honest one: it, or what a content fault makes of it. DER."""
        plan = self.take(kind, frozenset(CONTENT))
        if plan is None:
            return honest.public_bytes(_DER)
        return CONTENT[plan.name](_Case(self.pki, honest, issuer, old))

    def deliver(self, raw: bytes, answer: Callable[[bytes], Reply]) -> Reply:
        """What goes out for one CMP message: `answer`'s reply, or what a wire fault makes of it."""
        kind = _kind(raw) if self.path.exists() else ""
        plan = self.take(kind, frozenset(WIRE)) if kind else None
        if plan is None:
            return answer(raw)
        reply = answer(raw) if plan.processed else Reply(type=_CMP)
        return WIRE[plan.name](_Spoilt(self.pki, plan, raw, reply))


@dataclass(frozen=True, slots=True)
class _Case:
    """One certificate about to be given."""

    pki: Pki
    honest: x509.Certificate
    issuer: Issuer
    old: x509.Certificate

    def again(self, issuer: Issuer | None = None, **bent: Any) -> bytes:
        """The honest certificate, issued anew with something bent: `subject`, `key`, `serial`, `not_after`, `ca`."""
        by, cert = issuer or self.issuer, self.honest
        builder = (
            x509.CertificateBuilder()
            .subject_name(bent.get("subject", cert.subject))
            .issuer_name(by.certificate.subject)
            .public_key(bent.get("key", cert.public_key()))
            .serial_number(bent.get("serial", cert.serial_number))
            .not_valid_before(cert.not_valid_before_utc)
            .not_valid_after(bent.get("not_after", cert.not_valid_after_utc))
        )
        for extension in cert.extensions:
            value = extension.value
            if isinstance(value, x509.BasicConstraints):
                value = x509.BasicConstraints(ca=bent.get("ca", False), path_length=None)
            elif isinstance(value, x509.AuthorityKeyIdentifier):
                identifier = x509.SubjectKeyIdentifier(by.key_identifier)
                value = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
            builder = builder.add_extension(value, critical=extension.critical)
        digest = hashes.SHA256() if isinstance(by.key, rsa.RSAPrivateKey) else None
        return builder.sign(by.key, digest).public_bytes(_DER)


def _other_subject(case: _Case) -> bytes:
    parts = [a for a in case.honest.subject if a.oid != NameOID.COMMON_NAME]
    return case.again(subject=x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, "CÔNG TY TNHH KẺ MẠO DANH")]))


def _foreign(case: _Case) -> bytes:
    """Of a CA that chains to the same root, but is another authority's."""
    return case.again(case.pki.issuers[LCS])


def _stranger(case: _Case) -> bytes:
    """Of a CA of the right name that nobody knows."""
    return case.again(_stranger_of(case.issuer))


def _sha1(case: _Case) -> bytes:
    """The honest certificate signed with SHA-1: by hand, for the library no longer does it."""
    certificate = asn1_x509.Certificate.load(case.honest.public_bytes(_DER))
    tbs = certificate["tbs_certificate"]
    algorithm = {"algorithm": _SHA1_RSA, "parameters": core.Null()}
    tbs["signature"] = algorithm
    certificate["signature_algorithm"] = algorithm
    signed = case.issuer.key.sign(tbs.dump(force=True), padding.PKCS1v15(), hashes.SHA1())  # noqa: S303  (what a client must refuse)
    certificate["signature_value"] = core.OctetBitString(signed)
    return bytes(certificate.dump(force=True))


CONTENT: dict[str, Callable[[_Case], bytes]] = {
    "other_key": lambda case: case.again(key=_rsa(2048).public_key()),
    "weak_key": lambda case: case.again(key=_rsa(1024).public_key()),
    "other_subject": _other_subject,
    "same_serial": lambda case: case.again(serial=case.old.serial_number),
    "shorter": lambda case: case.again(not_after=case.honest.not_valid_after_utc - timedelta(days=1)),
    "longer": lambda case: case.again(not_after=case.honest.not_valid_after_utc + timedelta(days=1)),
    "not_later": lambda case: case.again(not_after=case.old.not_valid_after_utc),
    "ca": lambda case: case.again(ca=True),
    "sha1": _sha1,
    "foreign_issuer": _foreign,
    "stranger_issuer": _stranger,
    "expired_ca": lambda case: case.again(case.pki.issuers[SAFE_OLD]),
    "nonsense": lambda _case: bytes.fromhex("30060403666f6f05" + "00")[:8],
}
"""Each a certificate that must not be written, whoever signed the answer."""


@dataclass(frozen=True, slots=True)
class _Spoilt:
    """One answer about to be spoilt."""

    pki: Pki
    plan: Plan
    raw: bytes
    reply: Reply

    @property
    def message(self) -> Any:
        return PKIMessage.load(self.reply.body)

    @property
    def signer(self) -> Issuer:
        """Whose protection the honest answer has: it came first in extraCerts."""
        own = self.message["extraCerts"][0].untag().dump()
        return next(issuer for issuer in self.pki.issuers.values() if issuer.der == own)

    def sent(self, body: bytes) -> Reply:
        return Reply(status=self.reply.status, type=_CMP, body=body)

    def signed_again(self, signer: Issuer | None = None, **header: Any) -> Reply:
        """The honest answer, another header or another signer, and a right signature again."""
        message, by = self.message, signer or self.signer
        bent = PKIHeader.load(message["header"].dump())
        for name, value in header.items():
            bent[name] = value
        body = PKIBody.load(message["body"].dump())
        chain = (by.der, self.pki.root.certificate.public_bytes(_DER))
        return self.sent(sign_message(bent, body, by.key, extra_certs=chain))

    def error(self, *, protected: bool, fail: str, signer: Issuer | None = None) -> Reply:
        """A refusal, of the CA's or of someone who only wishes it were so."""
        received = messages.read(self.raw)
        by = signer or next(iter(self.pki.issuers.values()))
        now = datetime.now(UTC)
        der = messages.write(messages.error(fail, "Từ chối."), self.pki, by, received, now).der
        return self.sent(der if protected else _unprotected(der))


def _unprotected(der: bytes) -> bytes:
    message = PKIMessage.load(der)
    bare = PKIMessage({"header": message["header"], "body": message["body"]})
    return bytes(bare.dump(force=True))


def _broken(spoilt: _Spoilt) -> Reply:
    """One bit of what is protected turned over on the way: in the certificate, where there is one."""
    whole, protected = bytearray(spoilt.reply.body), spoilt.message
    header, body = protected["header"].dump(), protected["body"].dump()
    place = spoilt.reply.body.index(header + body) + len(header + body) * 2 // 3
    whole[place] ^= 1
    return spoilt.sent(bytes(whole))


def _html(spoilt: _Spoilt, status: int) -> Reply:
    del spoilt
    return Reply(status=status, type="text/html; charset=utf-8", body=_HTML)


def _elsewhere(spoilt: _Spoilt) -> Reply:
    return Reply(status=307, headers=(("Location", f"{spoilt.pki.base}/.well-known/cmp"),))


WIRE: dict[str, Callable[[_Spoilt], Reply]] = {
    "cut": lambda _spoilt: Reply(manner="cut"),
    "malformed": lambda spoilt: spoilt.sent(spoilt.reply.body[: len(spoilt.reply.body) // 2]),
    "empty": lambda spoilt: spoilt.sent(b""),
    "broken": _broken,
    "unprotected": lambda spoilt: spoilt.sent(_unprotected(spoilt.reply.body)),
    "stranger": lambda spoilt: spoilt.signed_again(_stranger_of(spoilt.signer)),
    "transaction": lambda spoilt: spoilt.signed_again(transactionID=b"\x5a" * 16),
    "nonce": lambda spoilt: spoilt.signed_again(recipNonce=b"\x5a" * 16),
    "mirror": lambda spoilt: spoilt.sent(spoilt.raw),
    "unsigned_refusal": lambda spoilt: spoilt.error(protected=False, fail="badMessageCheck"),
    "stranger_refusal": lambda spoilt: spoilt.error(
        protected=True, fail="badRequest", signer=_stranger_of(next(iter(spoilt.pki.issuers.values())))
    ),
    "refuse": lambda spoilt: spoilt.error(protected=True, fail=spoilt.plan.fail),
    "html": lambda spoilt: _html(spoilt, 200),
    "status": lambda spoilt: _html(spoilt, spoilt.plan.status),
    "redirect": _elsewhere,
    "drip": lambda spoilt: Reply(type=_CMP, body=spoilt.reply.body or _HTML, manner="drip"),
    "huge": lambda _spoilt: Reply(type=_CMP, manner="huge"),
}
"""Each no answer of the CA's at all, but for `refuse`, which is one."""


def _stranger_of(issuer: Issuer) -> Issuer:
    """A self-made CA that calls itself by the name of this one."""
    key = _rsa(2048)
    name = issuer.certificate.subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(new_serial(b"\x54"))
        .not_valid_before(issuer.certificate.not_valid_before_utc)
        .not_valid_after(issuer.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Issuer("stranger", builder.sign(key, hashes.SHA256()), key)


def _rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def _kind(raw: bytes) -> str:
    try:
        return messages.read(raw).kind
    except Refusal:
        return ""
