"""CMP messages as the sandbox CA reads and writes them (RFC 9810, profile RFC 9483), on the structures both sides share."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from safetok.ca.cmp.protection import sign_message
from safetok.ca.cmp.structures import (
    CONFIRM_WAIT_TIME,
    IMPLICIT_CONFIRM,
    PVNO_2,
    STATUS,
    Certificates,
    GeneralInfo,
    InfoTypeAndValue,
    PKIBody,
    PKIHeader,
    PKIMessage,
    directory_name,
    fail_info,
    opaque,
)
from safetok.sandbox.pki import Issuer, Pki

RSASSA_PSS = "1.2.840.113549.1.1.10"
OPENINGS = {"kur": "kup", "cr": "cp", "p10cr": "cp"}  # what opens a transaction, and what answers it
P10_REQUEST = -1  # the certReqId of a p10cr, which carries none (RFC 9483 section 4.1.4)
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)


class Refusal(Exception):
    """A request the CA answers with an error body: one name of PKIFailureInfo, and the CA's words."""

    def __init__(self, fail: str, text: str) -> None:
        super().__init__(text)
        self.fail = fail
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What the CA looks at in one message. Optional fields are empty where the message has none."""

    raw: bytes
    message: PKIMessage
    kind: str
    pvno: int
    sender: Any
    transaction: bytes
    sender_nonce: bytes
    recip_nonce: bytes
    sender_kid: bytes
    time: datetime | None
    extra: tuple[bytes, ...]
    general: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the message as received: two messages are the same when their bytes are."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def content(self) -> Any:
        """The body behind its tag."""
        return self.message["body"].chosen


def read(raw: bytes) -> Received:
    """One message. Raises Refusal (badDataFormat) when the bytes are none."""
    try:
        message = PKIMessage.load(raw, strict=True)
        header = message["header"]
        general = [] if isinstance(header["generalInfo"], core.Void) else list(header["generalInfo"])
        extra = () if isinstance(message["extraCerts"], core.Void) else tuple(message["extraCerts"])
        return Received(
            raw=raw,
            message=message,
            kind=str(message["body"].name),
            pvno=int(header["pvno"].native),
            sender=header["sender"],
            transaction=header["transactionID"].native or b"",
            sender_nonce=header["senderNonce"].native or b"",
            recip_nonce=header["recipNonce"].native or b"",
            sender_kid=header["senderKID"].native or b"",
            time=header["messageTime"].native,
            extra=tuple(certificate.untag().dump() for certificate in extra),
            general={info["infoType"].dotted: info["infoValue"] for info in general},
        )
    except MALFORMED as error:
        raise Refusal("badDataFormat", "Không đọc được thông điệp CMP.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One answer, and the nonce the next message of its transaction may carry."""

    der: bytes
    nonce: str


def write(
    body: PKIBody,
    pki: Pki,
    signer: Issuer,
    to: Received | None,
    now: datetime,
    general: Sequence[InfoTypeAndValue] = (),
) -> Sent:
    """A protected answer to `to`, signed by an issuing CA, with its chain in extraCerts."""
    nonce = secrets.token_bytes(16)
    header: dict[str, Any] = {
        "pvno": max(to.pvno, PVNO_2) if to else PVNO_2,
        "sender": directory_name(signer.certificate.subject.public_bytes()),
        "recipient": to.sender if to else directory_name(x509.Name([]).public_bytes()),
        "messageTime": core.GeneralizedTime(now.astimezone(UTC).replace(microsecond=0)),
        "senderKID": signer.key_identifier,
        "senderNonce": nonce,
        "transactionID": (to.transaction if to else b"") or secrets.token_bytes(16),
    }
    if to and to.sender_nonce:
        header["recipNonce"] = to.sender_nonce
    if general:
        header["generalInfo"] = GeneralInfo(list(general))
    chain = (signer.der, pki.root.certificate.public_bytes(serialization.Encoding.DER))
    der = sign_message(PKIHeader(header), body, signer.key, extra_certs=chain, pss=to is not None and _by_pss(to))
    return Sent(der=der, nonce=nonce.hex())


def _by_pss(received: Received) -> bool:
    """Whether the client protects with RSASSA-PSS: then it is answered so."""
    algorithm = received.message["header"]["protectionAlg"]
    return not isinstance(algorithm, core.Void) and algorithm["algorithm"].dotted == RSASSA_PSS


def confirm_wait(until: datetime) -> InfoTypeAndValue:
    """How long the CA waits for the certConf (RFC 9810 section 5.1.1.2)."""
    value = core.GeneralizedTime(until.astimezone(UTC).replace(microsecond=0))
    return InfoTypeAndValue({"infoType": CONFIRM_WAIT_TIME, "infoValue": core.Any(value)})


def implicit_confirm() -> InfoTypeAndValue:
    """No certConf is waited for (RFC 9810 section 5.1.1.1)."""
    return InfoTypeAndValue({"infoType": IMPLICIT_CONFIRM, "infoValue": core.Any(core.Null())})


def granted(kind: str, request: int, certificate: bytes, *, changed: bool) -> PKIBody:
    """A kup or cp with the certificate; `changed` when it is not wholly what was asked for."""
    pair = {"certOrEncCert": {"certificate": opaque(certificate)}}
    status = {"status": STATUS.index("grantedWithMods" if changed else "accepted")}
    return PKIBody(kind, {"response": [{"certReqId": request, "status": status, "certifiedKeyPair": pair}]})


def waiting(kind: str, request: int, text: str) -> PKIBody:
    """A kup or cp that says: come back with a pollReq."""
    status = {"status": STATUS.index("waiting"), "statusString": [text]}
    return PKIBody(kind, {"response": [{"certReqId": request, "status": status}]})


def poll_again(request: int, seconds: int, text: str) -> PKIBody:
    """A pollRep: seconds to wait before the next pollReq."""
    return PKIBody("pollRep", [{"certReqId": request, "checkAfter": seconds, "reason": [text]}])


def error(fail: str, text: str) -> PKIBody:
    """An error body with one failInfo bit and the CA's words."""
    status = {"status": STATUS.index("rejection"), "statusString": [text], "failInfo": fail_info({fail})}
    return PKIBody("error", {"pKIStatusInfo": status})


def ca_certificates(oid: str, certificates: Sequence[bytes]) -> PKIBody:
    """A genp with the CA certificates a client asked for (RFC 9483 section 4.3.1)."""
    value = core.Any(Certificates([opaque(der) for der in certificates]))
    return PKIBody("genp", [{"infoType": oid, "infoValue": value}])


def confirmed() -> PKIBody:
    """A pkiConf."""
    return PKIBody("pkiconf", core.Null())
