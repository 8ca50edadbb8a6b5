"""A CMP message taken apart into plain values, and the header of one put together (RFC 9810 section 5.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from asn1crypto import core

from safetok.ca.cmp import der
from safetok.ca.cmp.structures import (
    BODY_TAGS,
    CERT_PROFILE,
    CONFIRM_WAIT_TIME,
    FAIL_INFO,
    IMPLICIT_CONFIRM,
    MAX_MESSAGE,
    PVNO_2,
    CertProfile,
    message_of,
)
from safetok.errors import NoAnswer
from safetok.locale import _
from safetok.records import dataclass

LONGEST_TEXT = 2000  # characters of a CA's text that are kept
MOST_CERTIFICATES = 32  # of extraCerts that are looked at

_DIRECTORY_NAME = 4  # the place of directoryName in GeneralName
NONCE = 16  # bytes, also of a transactionID (RFC 9483 section 3.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a header says. Names are DER (`Name`), empty where the message gives none or not as a directoryName."""

    pvno: int
    sender: bytes
    recipient: bytes
    message_time: datetime | None
    sender_kid: bytes
    transaction_id: bytes
    sender_nonce: bytes
    recip_nonce: bytes
    implicit_confirm: bool
    confirm_by: datetime | None  # confirmWaitTime: an instant, not a duration
    profiles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. `kind` is the body's name in RFC 9810 (`kur`, `kup`, `error`, …), `body` its structure."""

    raw: bytes
    header: Header
    kind: str
    body: Any
    protected: bool  # carries a protection; whether it is right is protection.py's to say
    extra: tuple[bytes, ...]  # extraCerts, DER, opaque


@lru_cache(maxsize=8)
def read_message(raw: bytes) -> Message:
    """Take a received message apart, once for all who look into it; the body is read as far as its tag. Raises NoAnswer for
    whatever is no such message.
    """
    if len(raw) > MAX_MESSAGE:
        raise unreadable()
    try:
        message = message_of(raw)
        extra = () if _absent(message["extraCerts"]) else tuple(c.dump() for c in message["extraCerts"])
        return Message(
            raw=raw,
            header=_read_header(message["header"]),
            kind=message["body"].name,
            body=message["body"].chosen,
            protected=not _absent(message["protection"]) and not _absent(message["header"]["protectionAlg"]),
            extra=extra[:MOST_CERTIFICATES],
        )
    except Exception as error:  # asn1crypto answers hostile bytes with many kinds of error; here they are one
        raise unreadable() from error


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
    return der.explicit(BODY_TAGS[kind], content)


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


def free_text(value: Any) -> str:
    """A PKIFreeText as one text, at most LONGEST_TEXT characters; empty when absent. Shown as text, never believed."""
    return "" if _absent(value) else " ".join(str(part.native) for part in value)[:LONGEST_TEXT].strip()


def fail_info_names(value: Any) -> tuple[str, ...]:
    """The names of the bits set in a PKIFailureInfo, in the order of RFC 9810; bits nobody has named are left out."""
    if _absent(value):
        return ()
    set_bits = value.native
    return tuple(name for name in FAIL_INFO if name in set_bits)


def unreadable() -> NoAnswer:
    """What is raised for bytes that are no CMP message."""
    return NoAnswer(_("What the CA's server sent cannot be read."), code="unreadable")


def _read_header(header: Any) -> Header:
    info: dict[str, Any] = {}
    if not _absent(header["generalInfo"]):
        for item in header["generalInfo"]:
            info.setdefault(item["infoType"].dotted, item["infoValue"])
    return Header(
        pvno=int(header["pvno"].native),
        sender=_name(header["sender"]),
        recipient=_name(header["recipient"]),
        message_time=_instant(header["messageTime"]),
        sender_kid=_octets(header["senderKID"]),
        transaction_id=_octets(header["transactionID"]),
        sender_nonce=_octets(header["senderNonce"]),
        recip_nonce=_octets(header["recipNonce"]),
        implicit_confirm=IMPLICIT_CONFIRM in info,
        confirm_by=_instant(info[CONFIRM_WAIT_TIME].parse(core.GeneralizedTime)) if CONFIRM_WAIT_TIME in info else None,
        profiles=_profiles(info.get(CERT_PROFILE)),
    )


def _name(general_name: Any) -> bytes:
    return bytes(general_name.chosen.untag().dump()) if general_name.name == "directoryName" else b""


def _octets(value: Any) -> bytes:
    return b"" if _absent(value) else bytes(value.native)


def _instant(value: Any) -> datetime | None:
    if _absent(value):
        return None
    instant = value.native
    if not isinstance(instant, datetime):  # asn1crypto has its own type for the year 0
        raise TypeError(type(instant))
    return instant.astimezone(UTC)


def _profiles(value: Any) -> tuple[str, ...]:
    return () if value is None or _absent(value) else tuple(str(p.native) for p in value.parse(CertProfile))


def _absent(value: Any) -> bool:
    return isinstance(value, core.Void)
