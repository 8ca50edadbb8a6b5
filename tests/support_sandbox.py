"""A sandbox CA in this process, its subscribers' keys in memory, and a client that says exactly what a test wants said."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from safetok.ca.cmp.names import OLD_CERT_ID
from safetok.ca.cmp.protection import algorithm_for, certificate_hash, hash_for_confirmation, sign
from safetok.sandbox import pki as pki_module
from safetok.sandbox import profile
from safetok.sandbox.books import Books, Entry, write_register
from safetok.sandbox.build import Holder, entries
from safetok.sandbox.issuing import CmpService, Policy
from safetok.sandbox.offers import OfferService
from safetok.sandbox.pki import Pki
from safetok.sandbox.places import Places, write_json
from safetok.sandbox.server import Authority, Server
from safetok.sandbox.status import StatusService
from safetok.sandbox.stories import Story, owed_end, stories
from safetok.sandbox.structures import (
    AlgorithmIdentifier,
    CertId,
    CertRequest,
    PKIBody,
    PKIHeader,
    PKIMessage,
    Time,
    directory_name,
    fail_info,
    opaque,
    sign_message,
)

NOW = datetime.now(UTC).replace(microsecond=0)  # stories are told relative to it, and openssl has no other clock
BASE = "http://127.0.0.1:1"
SECOND = timedelta(seconds=1)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def key(name: str) -> Key:
    """One key a name, made once for the whole run: a name with `ec` in it gets an EC key."""
    if "ec-" in name:
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048)


@cache
def pki() -> Pki:
    return pki_module.create(BASE, owed_end(NOW), [key(f"ca {n}") for n in range(4)])


def told(name: str) -> Story:
    return next(story for story in stories(NOW) if story.name == name)


@cache
def certificate(name: str) -> x509.Certificate:
    """A story's first certificate, over the key of its name."""
    story = told(name)
    public = key(name).public_key()
    subject = profile.subject(
        story.authority, story.company, uids=story.uids, email=story.email, street=story.street, province=story.province
    )
    return profile.issue(
        pki().issuers[story.issuer],
        BASE,
        name=subject,
        key=public,
        extensions=profile.first_extensions(story.authority, public, story.email),
        not_before=story.not_before,
        not_after=story.not_after,
    )


def entry(name: str) -> Entry:
    """What the register says of it."""
    (made,) = entries(Holder(told(name), key(name), (certificate(name),)), NOW)
    return made


@dataclass
class Ca:
    """The services on one folder; `restart` reads everything from disk again."""

    folder: Path
    policy: Policy = field(default_factory=Policy)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.books = Books(self.folder, self.folder / "ledger.json")
        self.cmp = CmpService(pki(), self.books, self.policy)
        self.offers = OfferService(pki(), self.books, self.now)
        self.status = StatusService(pki(), self.books)

    def say(self, der: bytes) -> bytes:
        readable, answer = self.cmp.answer(der, self.now)
        assert readable
        return answer

    def standing(self, name: str) -> str:
        found = self.books.entry(entry(name).serial, self.now)
        assert found is not None
        return found.standing

    def ledger(self) -> list[dict[str, str]]:
        """Its rows, as `GET /ledger` has them."""
        rows: list[dict[str, str]] = json.loads(self.books.ledger())["issued"]
        return rows

    def renewable(self, name: str) -> bool:
        self.books.settle(self.now)
        return self.books.offer_stands(entry(name))


def start(folder: Path, *names: str, policy: Policy | None = None) -> Ca:
    """A CA that knows these stories."""
    write_register(folder, tuple(entry(name) for name in names))
    return Ca(folder, policy or Policy())


@dataclass
class Client:
    """One transaction of one subscriber. Every part of a message can be bent."""

    story: str
    transaction: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    time: datetime = NOW
    new_key: Key | None = None

    @property
    def old(self) -> x509.Certificate:
        return certificate(self.story)

    @property
    def wanted(self) -> Key:
        return self.new_key or key(self.story)

    def message(
        self,
        body: PKIBody,
        *,
        recip: bytes = b"",
        nonce: bytes | None = None,
        signer: Key | None = None,
        general: list[Any] | None = None,
        pvno: int = 2,
        sender: x509.Name | None = None,
        kid: bytes = b"",
    ) -> bytes:
        own_kid = x509.SubjectKeyIdentifier.from_public_key(key(self.story).public_key()).digest
        header: dict[str, Any] = {
            "pvno": pvno,
            "sender": directory_name((sender or self.old.subject).public_bytes()),
            "recipient": directory_name(self.old.issuer.public_bytes()),
            "messageTime": core.GeneralizedTime(self.time),
            "senderKID": kid or own_kid,
            "transactionID": self.transaction,
            "senderNonce": secrets.token_bytes(16) if nonce is None else nonce,
        }
        if recip:
            header["recipNonce"] = recip
        if general:
            header["generalInfo"] = general
        return sign_message(PKIHeader(header), body, signer or key(self.story), extra_certs=[profile.der(self.old)])

    def kur(
        self,
        *,
        kind: str = "kur",
        not_after: datetime | None = None,
        subject: x509.Name | None = None,
        proof: Key | None = None,
        old_serial: int | None = None,
        **header: Any,
    ) -> bytes:
        spki = self.wanted.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        template: dict[str, Any] = {
            "subject": directory_name((subject or self.old.subject).public_bytes()).chosen,
            "publicKey": opaque(spki),
        }
        if not_after:
            template["validity"] = {"notAfter": Time(name="utcTime", value=core.UTCTime(not_after))}
        old_id = {
            "issuer": directory_name(self.old.issuer.public_bytes()),
            "serialNumber": self.old.serial_number if old_serial is None else old_serial,
        }
        request = CertRequest({"certReqId": 0, "certTemplate": template})
        if kind == "kur":
            request["controls"] = [{"type": OLD_CERT_ID, "value": core.Any(CertId(old_id))}]
        prover = proof or self.wanted
        popo = {
            "signature": {
                "algorithmIdentifier": AlgorithmIdentifier.load(algorithm_for(prover)),
                "signature": core.OctetBitString(sign(prover, request.dump())),
            }
        }
        info = [
            {"type": "1.3.6.1.5.5.7.5.2.1", "value": core.Any(core.UTF8String("ghi chú"))}
        ]  # what a CA may pass over
        return self.message(PKIBody(kind, [{"certReq": request, "popo": popo, "regInfo": info}]), **header)

    def p10cr(self, **header: Any) -> bytes:
        csr = x509.CertificateSigningRequestBuilder().subject_name(self.old.subject).sign(self.wanted, hashes.SHA256())
        return self.message(PKIBody("p10cr", opaque(csr.public_bytes(serialization.Encoding.DER))), **header)

    def cert_conf(
        self, answer: bytes, *, accept: bool = True, digest: bytes | None = None, recip: bytes | None = None
    ) -> bytes:
        der = issued(answer)
        status: dict[str, Any] = {
            "certHash": digest or certificate_hash(der, hash_for_confirmation(der)[0]),
            "certReqId": response(answer)["certReqId"].native,
        }
        if not accept:
            status["statusInfo"] = {"status": 2, "failInfo": fail_info({"badCertTemplate"})}
        nonce = PKIMessage.load(answer)["header"]["senderNonce"].native
        return self.message(PKIBody("certConf", [status]), recip=nonce if recip is None else recip)

    def poll(self, answer: bytes) -> bytes:
        nonce = PKIMessage.load(answer)["header"]["senderNonce"].native
        return self.message(PKIBody("pollReq", [{"certReqId": 0}]), recip=nonce)


def body_of(answer: bytes) -> str:
    return str(PKIMessage.load(answer, strict=True)["body"].name)


def response(answer: bytes) -> Any:
    return PKIMessage.load(answer, strict=True)["body"].chosen["response"][0]


def status_of(answer: bytes) -> int:
    return int(response(answer)["status"]["status"].native)


def issued(answer: bytes) -> bytes:
    """The certificate a kup or cp carries."""
    return bytes(response(answer)["certifiedKeyPair"]["certOrEncCert"].chosen.untag().dump())


def refused(answer: bytes) -> set[str]:
    """The failInfo of an error body; the body must be one."""
    assert body_of(answer) == "error", body_of(answer)
    return set(PKIMessage.load(answer)["body"].chosen["pKIStatusInfo"]["failInfo"].native)


@contextmanager
def serving(folder: Path, *names: str, answer_after: int = 0) -> Iterator[str]:
    """The whole CA over HTTP on a free port of 127.0.0.1, knowing these stories; its URL."""
    places = Places(folder)
    for made in (places.ca, places.home):
        made.mkdir()
    pki_module.save(pki(), places.ca)
    write_register(places.ca, tuple(entry(name) for name in names))
    write_json(
        places.ca / "ca.json", {"port": 0, "secret": "0" * 64, "confirm_wait": 3600, "answer_after": answer_after}
    )
    with Server(Authority(places)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="sandbox CA")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
