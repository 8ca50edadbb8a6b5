"""What a CA's answer says, once it is certain that it is the CA's answer to our question.

Certain means: protected over the bytes received by a key that the endpoint admits, our transactionID, a nonce of ours.
Whatever fails one of these, or cannot be read, or is another message than was to come, is NoAnswer: nothing follows from
it. Whether the certificate in an answer may be believed is for trust/ to say.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

from safetok.ca.cmp.elements import (
    BIT_STRING,
    INTEGER,
    OCTETS,
    SEQUENCE,
    Element,
    Fields,
    elements,
    integer,
)
from safetok.ca.cmp.endpoint import Endpoint
from safetok.ca.cmp.failures import explain, is_temporary
from safetok.ca.cmp.messages import Message, fail_info_names, free_text, read_message, unreadable
from safetok.ca.cmp.names import PVNO_2, PVNO_3, STATUS
from safetok.ca.cmp.protection import verify_message
from safetok.domain.certificates import Certificate
from safetok.errors import NoAnswer
from safetok.locale import _
from safetok.records import dataclass

LONGEST_CHECK_AFTER = 366 * 86_400  # seconds

Expect = Literal["certificate", "confirmation"]

_GRANTED = {"accepted", "grantedWithMods"}
_WARNINGS = {"revocationWarning", "revocationNotification", "keyUpdateWarning"}  # with a certificate or without one
_ANSWERS = {"kur": "kup", "cr": "cp", "p10cr": "cp"}
_NO_NUMBER = -1  # certReqId where the request has no place for one, and in polling for a whole message


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate. `implicit`: confirmation was not to be sent, because we asked for that and the CA granted it."""

    certificate: bytes  # DER, not looked into
    extra: tuple[bytes, ...]  # extraCerts, DER, opaque
    implicit: bool
    with_mods: bool  # the CA says it changed what was asked for
    server_nonce: bytes
    cert_req_id: int
    confirm_by: datetime | None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Ask again after `check_after` seconds with a pollReq for `cert_req_id`."""

    check_after: int
    server_nonce: bytes
    text: str
    cert_req_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No, under the CA's protection. `temporary`: the same request may be answered otherwise later."""

    fail_info: tuple[str, ...]  # names of RFC 9810
    text: str  # the CA's own
    temporary: bool
    server_nonce: bytes

    @property
    def said(self) -> str:
        """The CA's own text, else the names of what failed."""
        return self.text or ", ".join(self.fail_info)

    @property
    def reason(self) -> str:
        """The refusal in sentences, the CA's own text last."""
        return explain(self.fail_info, self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """The CA has our confirmation (pkiConf)."""

    server_nonce: bytes


Answer = Issued | Waiting | Refused | Confirmed


def read_answer(
    raw: bytes,
    *,
    endpoint: Endpoint,
    transaction_id: bytes,
    nonces: frozenset[bytes],
    old: Certificate,
    at: datetime,
    expect: Expect | None = None,
) -> Answer:
    """What the answer in `raw` says (RFC 9483 section 3.5 and 4). Raises NoAnswer, with the failed check as its code.

    `nonces` are ours that recipNonce may repeat: of the last message, and while polling also of the first. `at` is when it
    was received. With `expect`, an answer to the other question is none either.
    """
    message = read_message(raw)
    _check_belongs(message, endpoint, transaction_id, nonces, old, at)
    try:
        answer = _read_body(message, endpoint)
    except ValueError as error:
        raise unreadable() from error
    if answer is None or not _expected(answer, expect):
        raise NoAnswer(_("The CA answered something else than was asked."), code="unexpected_answer")
    return answer


def _check_belongs(
    message: Message,
    endpoint: Endpoint,
    transaction_id: bytes,
    nonces: frozenset[bytes],
    old: Certificate,
    at: datetime,
) -> None:
    header = message.header
    if header.pvno not in {PVNO_2, PVNO_3}:
        raise NoAnswer(_("The CA answered in a version of the protocol that safetok does not know."), code="pvno")
    if not message.protected:
        raise NoAnswer(_unsigned(message), code="unprotected")
    if header.transaction_id != transaction_id or not transaction_id:
        raise NoAnswer(_("The answer belongs to another transaction."), code="transaction_id")
    if header.recip_nonce not in nonces or not header.recip_nonce:
        raise NoAnswer(_("The answer does not repeat what was sent with the question."), code="recip_nonce")
    if not any(verify_message(message.raw, key) for key in endpoint.admits(message.extra, old, at)):
        raise NoAnswer(_("The answer is not signed by the CA, nor by anyone it has appointed."), code="protection")


def _unsigned(message: Message) -> str:
    """An unsigned error is a hint for people, never a fact."""
    if message.kind == "error":
        try:
            refused = _error(message)
        except ValueError:  # an unreadable hint is no hint
            refused = None
        if isinstance(refused, Refused):
            return _("An answer came that the CA did not sign; it says: {reason}").format(reason=refused.reason)
    return _("The answer is not signed.")


def _expected(answer: Answer, expect: Expect | None) -> bool:
    if isinstance(answer, Waiting | Refused) or expect is None:
        return True
    return isinstance(answer, Issued) == (expect == "certificate")


def _read_body(message: Message, endpoint: Endpoint) -> Answer | None:
    """None for a message that answers nothing of ours."""
    if message.kind == _ANSWERS[endpoint.request]:
        return _response(message, endpoint)
    if message.kind == "pollRep":
        return _poll(message)
    if message.kind == "error":
        return _error(message)
    return Confirmed(server_nonce=message.header.sender_nonce) if message.kind == "pkiconf" else None


def _response(message: Message, endpoint: Endpoint) -> Answer | None:
    fields = Fields(message.body)
    fields.explicit(1, SEQUENCE)  # caPubs: nobody asked for them, and nothing follows from them
    responses = elements(fields.take(SEQUENCE).content)
    fields.end()
    if len(responses) != 1:
        return None
    response, nonce = Fields(responses[0]), message.header.sender_nonce
    number, info = integer(response.take(INTEGER)), _status_info(response.take(SEQUENCE))
    pair, _information = response.maybe(SEQUENCE), response.maybe(OCTETS)
    response.end()
    if number != 0 and not (number == _NO_NUMBER and endpoint.request == "p10cr"):
        return None
    if info.status == "waiting":
        return Waiting(check_after=0, server_nonce=nonce, text=free_text(info.text), cert_req_id=number)
    if info.status == "rejection" or (info.status in _WARNINGS and not pair):
        return _refused(info, nonce)
    certificate = Fields(pair).explicit(0, SEQUENCE) if pair else None  # [1] is one that is encrypted
    if info.status not in _GRANTED | _WARNINGS or certificate is None:
        return None
    return _issued(message, endpoint, number, info, certificate.der)


def _issued(message: Message, endpoint: Endpoint, number: int, info: _StatusInfo, certificate: bytes) -> Issued:
    return Issued(
        certificate=certificate,
        extra=message.extra,
        implicit=message.header.implicit_confirm and endpoint.implicit_confirm,
        with_mods=info.status == "grantedWithMods",
        server_nonce=message.header.sender_nonce,
        cert_req_id=number,
        confirm_by=message.header.confirm_by,
        text=free_text(info.text),
    )


def _poll(message: Message) -> Waiting | None:
    entries = elements(message.body.content)
    if len(entries) != 1:
        return None
    fields = Fields(entries[0])
    number, after, reason = integer(fields.take(INTEGER)), integer(fields.take(INTEGER)), fields.maybe(SEQUENCE)
    fields.end()
    if number not in {0, _NO_NUMBER}:
        return None
    return Waiting(
        check_after=min(max(0, after), LONGEST_CHECK_AFTER),
        server_nonce=message.header.sender_nonce,
        text=free_text(reason),
        cert_req_id=number,
    )


def _error(message: Message) -> Waiting | Refused:
    fields = Fields(message.body)
    info, nonce = _status_info(fields.take(SEQUENCE)), message.header.sender_nonce
    _code, details = fields.maybe(INTEGER), free_text(fields.maybe(SEQUENCE))
    fields.end()
    if info.status == "waiting":  # RFC 9483 section 4.4: the whole answer is delayed
        text = free_text(info.text) or details
        return Waiting(check_after=0, server_nonce=nonce, text=text, cert_req_id=_NO_NUMBER)
    return _refused(info, nonce, details)


class _StatusInfo(NamedTuple):
    """A PKIStatusInfo: the status by its name, empty for one that has none."""

    status: str
    text: Element | None
    fail_info: Element | None


def _status_info(found: Element) -> _StatusInfo:
    fields = Fields(found)
    number, text, fail_info = integer(fields.take(INTEGER)), fields.maybe(SEQUENCE), fields.maybe(BIT_STRING)
    fields.end()
    return _StatusInfo(STATUS[number] if 0 <= number < len(STATUS) else "", text, fail_info)


def _refused(info: _StatusInfo, nonce: bytes, details: str = "") -> Refused:
    names = fail_info_names(info.fail_info)
    text = " ".join(part for part in (free_text(info.text), details) if part)
    return Refused(fail_info=names, text=text, temporary=is_temporary(names), server_nonce=nonce)
