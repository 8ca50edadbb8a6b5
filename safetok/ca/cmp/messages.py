"""A CMP message taken apart into plain values, and the header of one put together (RFC 9810 section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from safetok.ca.cmp import der
from safetok.ca.cmp.elements import (
    BIT_STRING,
    GENERALIZED_TIME,
    INTEGER,
    NULL,
    OCTETS,
    OID,
    SEQUENCE,
    Element,
    Fields,
    bits,
    dotted,
    element,
    elements,
    instant,
    integer,
    text,
    whole_bytes,
)
from safetok.ca.cmp.names import (
    BODIES,
    CERT_PROFILE,
    CONFIRM_WAIT_TIME,
    FAIL_INFO,
    IMPLICIT_CONFIRM,
    MAX_MESSAGE,
    PVNO_2,
)
from safetok.errors import NoAnswer
from safetok.locale import _
from safetok.records import dataclass

LONGEST_TEXT = 2000  # characters of a CA's text that are kept
MOST_CERTIFICATES = 32  # of extraCerts that are looked at

_DIRECTORY_NAME = 4  # the place of directoryName in GeneralName (RFC 5280 section 4.2.1.6)
_GENERAL_NAMES, _CONSTRUCTED = range(0x80, 0x89), 0x20
_KINDS = {0xA0 | number: kind for number, kind in enumerate(BODIES)}  # by the identifier of the body's element
NONCE = 16  # bytes, also of a transactionID (RFC 9483 section 3.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a header says; bytes are empty where it says nothing."""

    pvno: int
    sender: bytes  # a GeneralName, as it came
    message_time: datetime | None
    algorithm: bytes  # protectionAlg, an AlgorithmIdentifier
    sender_kid: bytes
    transaction_id: bytes
    sender_nonce: bytes
    recip_nonce: bytes
    info: Mapping[str, Element | None]  # generalInfo by OID: the first value of each
    confirm_by: datetime | None  # confirmWaitTime: an instant, not a duration
    profiles: tuple[str, ...]

    @property
    def implicit_confirm(self) -> bool:
        """Whether confirmation is not to be sent (RFC 9810 section 5.1.1.1)."""
        return IMPLICIT_CONFIRM in self.info


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `kind` is the body's name in RFC 9810 (`kur`, `kup`, `error`, …), `body` what stands behind its tag."""

    raw: bytes
    header: Header
    kind: str
    body: Element
    signed: bytes  # what the protection covers, made of the bytes received: SEQUENCE { header, body }
    protection: bytes  # the signature, empty where there is none; whether it is right is protection.py's to say
    extra: tuple[bytes, ...]  # extraCerts, DER, opaque

    @property
    def protected(self) -> bool:
        """Whether it carries a protection, and says which."""
        return bool(self.protection and self.header.algorithm)


@lru_cache(maxsize=8)
def read_message(raw: bytes) -> Message:
    """Take a received message apart, once for all who look into it; the body is read as far as its tag. Raises NoAnswer for
    whatever is no such message.
    """
    try:
        return _read(raw)
    except ValueError as error:
        raise unreadable() from error


def _read(raw: bytes) -> Message:
    if len(raw) > MAX_MESSAGE:
        raise ValueError("too long")
    message = Fields(element(raw))
    header, body = message.take(SEQUENCE), message.any()
    protection, extra = message.explicit(0, BIT_STRING), message.explicit(1, SEQUENCE)
    message.end()
    kind = _KINDS.get(body.tag)
    if kind is None:
        raise ValueError("a body of no kind")
    return Message(
        raw=raw,
        header=_read_header(header),
        kind=kind,
        body=element(body.content, NULL if kind == "pkiconf" else SEQUENCE),
        signed=der.sequence(header.der, body.der),
        protection=whole_bytes(protection) if protection else b"",
        extra=tuple(_of_kind(one, SEQUENCE).der for one in elements(extra.content, MOST_CERTIFICATES)) if extra else (),
    )


def build_header(
    *,
    sender: bytes,
    recipient: bytes,
    now: datetime,
    transaction_id: bytes,
    sender_nonce: bytes,
    algorithm: bytes,
    recip_nonce: bytes = b"",
    sender_kid: bytes = b"",
    pvno: int = PVNO_2,
    implicit_confirm: bool = False,
    confirm_by: datetime | None = None,
    profile: str = "",
) -> bytes:
    """A header (RFC 9483 section 3.1). `sender` and `recipient` are a DER Name, or a GeneralName as it came; `algorithm` is the
    protection's, and `sender_kid` the SKI of the certificate whose key will sign.
    """
    info = [
        der.sequence(der.oid(IMPLICIT_CONFIRM), der.NULL) if implicit_confirm else b"",
        der.sequence(der.oid(CONFIRM_WAIT_TIME), der.generalized_time(confirm_by)) if confirm_by else b"",
        der.sequence(der.oid(CERT_PROFILE), der.sequence(der.utf8(profile))) if profile else b"",
    ]
    return der.sequence(
        der.integer(pvno),
        general_name(sender),
        general_name(recipient),
        der.explicit(0, der.generalized_time(now)),
        der.explicit(1, algorithm),
        der.explicit(2, der.octets(sender_kid) if sender_kid else b""),
        der.explicit(4, der.octets(transaction_id)),
        der.explicit(5, der.octets(sender_nonce)),
        der.explicit(6, der.octets(recip_nonce) if recip_nonce else b""),
        der.explicit(8, der.sequence(*info) if any(info) else b""),
    )


def build_body(kind: str, content: bytes) -> bytes:
    """A PKIBody of this kind around its content's DER."""
    return der.explicit(BODIES.index(kind), content)


def general_name(name: bytes) -> bytes:
    """The directoryName (RFC 5280 section 4.2.1.6) for a DER Name; a GeneralName stays what it is."""
    return der.explicit(_DIRECTORY_NAME, name) if name[:1] == b"\x30" else name


def status_info(number: int, text: str = "", fail_info: str = "") -> bytes:
    """A PKIStatusInfo: the place of its status in STATUS, the text, and the name of one bit of PKIFailureInfo."""
    return der.sequence(
        der.integer(number),
        der.sequence(der.utf8(text)) if text else b"",
        der.named_bits([FAIL_INFO.index(fail_info)]) if fail_info else b"",
    )


def free_text(found: Element | None) -> str:
    """A PKIFreeText as one text, at most LONGEST_TEXT characters; empty when absent. Shown as text, never believed."""
    return "" if found is None else " ".join(text(part) for part in elements(found.content))[:LONGEST_TEXT].strip()


def fail_info_names(found: Element | None) -> tuple[str, ...]:
    """The names of the bits set in a PKIFailureInfo, in the order of RFC 9810; bits nobody has named are left out."""
    return tuple(FAIL_INFO[number] for number in sorted(bits(found, len(FAIL_INFO)))) if found else ()


def general_info(found: Element | None) -> dict[str, Element | None]:
    """The values of a SEQUENCE OF InfoTypeAndValue; of several under one OID the first."""
    info: dict[str, Element | None] = {}
    for one in elements(found.content) if found else ():
        item = Fields(one)
        info.setdefault(dotted(item.take(OID).content), item.rest())
    return info


def unreadable() -> NoAnswer:
    """What is raised for bytes that are no CMP message."""
    return NoAnswer(_("What the CA's server sent cannot be read."), code="unreadable")


def _read_header(found: Element) -> Header:
    fields = Fields(found)
    pvno, sender, _recipient = integer(fields.take(INTEGER)), _general_name(fields), _general_name(fields)
    time, algorithm = fields.explicit(0, GENERALIZED_TIME), fields.explicit(1, SEQUENCE)
    sender_kid, _recipient_kid, transaction, nonce, answered = (fields.explicit(place, OCTETS) for place in range(2, 7))
    _free_text, general = fields.explicit(7, SEQUENCE), fields.explicit(8, SEQUENCE)
    fields.end()
    info = general_info(general)
    wait, profile = info.get(CONFIRM_WAIT_TIME), info.get(CERT_PROFILE)
    return Header(
        pvno=pvno,
        sender=sender.der,
        message_time=instant(time) if time else None,
        algorithm=algorithm.der if algorithm else b"",
        sender_kid=_octets(sender_kid),
        transaction_id=_octets(transaction),
        sender_nonce=_octets(nonce),
        recip_nonce=_octets(answered),
        info=info,
        confirm_by=instant(_of_kind(wait, GENERALIZED_TIME)) if CONFIRM_WAIT_TIME in info else None,
        profiles=tuple(text(one) for one in elements(_of_kind(profile, SEQUENCE).content)) if profile else (),
    )


def _general_name(fields: Fields) -> Element:
    found = fields.any()
    if found.tag & ~_CONSTRUCTED not in _GENERAL_NAMES:
        raise ValueError("no GeneralName")
    return found


def _of_kind(found: Element | None, tag: int) -> Element:
    if found is None or found.tag != tag:
        raise ValueError("a value of another kind")
    return found


def _octets(found: Element | None) -> bytes:
    return found.content if found else b""
