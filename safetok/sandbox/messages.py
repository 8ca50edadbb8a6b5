"""CMP messages as the sandbox CA reads and writes them (RFC 9810, profile RFC 9483)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from safetok.ca.cmp import der
from safetok.ca.cmp.messages import Message, build_body, build_header, read_message, status_info
from safetok.ca.cmp.names import PVNO_2, STATUS
from safetok.ca.cmp.protection import algorithm_for, protect
from safetok.errors import NoAnswer
from safetok.sandbox.pki import Issuer, Pki

RSASSA_PSS = "1.2.840.113549.1.1.10"
OPENINGS = {"kur": "kup", "cr": "cp", "p10cr": "cp"}  # what opens a transaction, and what answers it
P10_REQUEST = -1  # the certReqId of a p10cr, which carries none (RFC 9483 section 4.1.4)
_NOBODY = x509.Name([]).public_bytes()
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)


class Refusal(Exception):
    """A request the CA answers with an error body: one name of PKIFailureInfo, and the CA's words."""

    def __init__(self, fail: str, text: str) -> None:
        super().__init__(text)
        self.fail = fail
        self.text = text


def read(raw: bytes) -> Message:
    """One message. Raises Refusal (badDataFormat) when the bytes are none."""
    try:
        return read_message(raw)
    except NoAnswer as error:
        raise Refusal("badDataFormat", "Không đọc được thông điệp CMP.") from error


def digest(message: Message) -> str:
    """SHA-256 of a message as received: two are the same when their bytes are."""
    return hashlib.sha256(message.raw).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One answer, and the nonce the next message of its transaction may carry."""

    der: bytes
    nonce: str


def write(
    body: bytes,
    pki: Pki,
    signer: Issuer,
    to: Message | None,
    now: datetime,
    *,
    implicit: bool = False,
    confirm_by: datetime | None = None,
) -> Sent:
    """A protected answer to `to`, signed by an issuing CA, with its chain in extraCerts. `implicit`: no certConf is waited for
    (RFC 9810 section 5.1.1.1); `confirm_by`: until when one is (section 5.1.1.2).
    """
    nonce, pss = secrets.token_bytes(16), to is not None and _by_pss(to)
    header = build_header(
        sender=signer.name_der,
        recipient=to.header.sender if to else _NOBODY,
        now=now,
        transaction_id=(to.header.transaction_id if to else b"") or secrets.token_bytes(16),
        sender_nonce=nonce,
        algorithm=algorithm_for(signer.key, pss=pss),
        recip_nonce=to.header.sender_nonce if to else b"",
        sender_kid=signer.key_identifier,
        pvno=max(to.header.pvno, PVNO_2) if to else PVNO_2,
        implicit_confirm=implicit,
        confirm_by=confirm_by,
    )
    return Sent(
        der=protect(header, body, signer.key, extra_certs=(signer.der, pki.root.der), pss=pss), nonce=nonce.hex()
    )


def _by_pss(received: Message) -> bool:
    """Whether the client protects with RSASSA-PSS: then it is answered so."""
    return received.header.algorithm.startswith(der.oid(RSASSA_PSS), 2)


def granted(kind: str, request: int, certificate: bytes, *, changed: bool) -> bytes:
    """A kup or cp with the certificate; `changed` when it is not wholly what was asked for."""
    status = status_info(STATUS.index("grantedWithMods" if changed else "accepted"))
    pair = der.sequence(der.explicit(0, certificate))
    return _responding(kind, der.sequence(der.integer(request), status, pair))


def waiting(kind: str, request: int, text: str) -> bytes:
    """A kup or cp that says: come back with a pollReq."""
    return _responding(kind, der.sequence(der.integer(request), status_info(STATUS.index("waiting"), text)))


def _responding(kind: str, response: bytes) -> bytes:
    """A CertRepMessage with one CertResponse, without caPubs."""
    return build_body(kind, der.sequence(der.sequence(response)))


def poll_again(request: int, seconds: int, text: str) -> bytes:
    """A pollRep: seconds to wait before the next pollReq."""
    answer = der.sequence(der.integer(request), der.integer(seconds), der.sequence(der.utf8(text)))
    return build_body("pollRep", der.sequence(answer))


def error(fail: str, text: str) -> bytes:
    """An error body with one failInfo bit and the CA's words."""
    return build_body("error", der.sequence(status_info(STATUS.index("rejection"), text, fail)))


def ca_certificates(oid: str, certificates: Sequence[bytes]) -> bytes:
    """A genp with the CA certificates a client asked for (RFC 9483 section 4.3.1)."""
    return build_body("genp", der.sequence(der.sequence(der.oid(oid), der.sequence(*certificates))))


def confirmed() -> bytes:
    """A pkiConf."""
    return build_body("pkiconf", der.NULL)
