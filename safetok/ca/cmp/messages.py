"""A CMP message taken apart into plain values, and the header of one put together (RFC 9810 section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import core, x509

from safetok.ca.cmp.structures import (
    CERT_PROFILE,
    CONFIRM_WAIT_TIME,
    IMPLICIT_CONFIRM,
    MAX_MESSAGE,
    PVNO_2,
    CertProfile,
    PKIHeader,
    PKIMessage,
    directory_name,
)
from safetok.errors import NoAnswer
from safetok.locale import _

LONGEST_TEXT = 2000  # characters of a CA's text that are kept
MOST_CERTIFICATES = 32  # of extraCerts that are looked at

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


def read_message(raw: bytes) -> Message:
    """Take a received message apart; the body is read as far as its tag. Raises NoAnswer for whatever is no such message."""
    if len(raw) > MAX_MESSAGE:
        raise unreadable()
    try:
        message = PKIMessage.load(raw, strict=True)
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
    recip_nonce: bytes = b"",
    sender_kid: bytes = b"",
    pvno: int = PVNO_2,
    implicit_confirm: bool = False,
    confirm_by: datetime | None = None,
    profile: str = "",
) -> PKIHeader:
    """A header (RFC 9483 section 3.1). Names are DER; `sender_kid` is the SKI of the certificate whose key will sign."""
    header = PKIHeader(
        {
            "pvno": pvno,
            "sender": directory_name(sender),
            "recipient": directory_name(recipient),
            "messageTime": core.GeneralizedTime(now.astimezone(UTC).replace(microsecond=0)),
            "transactionID": transaction_id,
            "senderNonce": sender_nonce,
        }
    )
    if sender_kid:
        header["senderKID"] = sender_kid
    if recip_nonce:
        header["recipNonce"] = recip_nonce
    info: list[dict[str, Any]] = []
    if implicit_confirm:
        info.append({"infoType": IMPLICIT_CONFIRM, "infoValue": core.Any(core.Null())})
    if confirm_by is not None:
        wait = core.GeneralizedTime(confirm_by.astimezone(UTC).replace(microsecond=0))
        info.append({"infoType": CONFIRM_WAIT_TIME, "infoValue": core.Any(wait)})
    if profile:
        info.append({"infoType": CERT_PROFILE, "infoValue": core.Any(CertProfile([profile]))})
    if info:
        header["generalInfo"] = info
    return header


def free_text(value: Any) -> str:
    """A PKIFreeText as one text, at most LONGEST_TEXT characters; empty when absent. Shown as text, never believed."""
    return "" if _absent(value) else " ".join(str(part.native) for part in value)[:LONGEST_TEXT].strip()


def fail_info_names(value: Any) -> tuple[str, ...]:
    """The names of the bits set in a PKIFailureInfo, in the order of RFC 9810; bits nobody has named are left out."""
    from safetok.ca.cmp.structures import FAIL_INFO

    if _absent(value):
        return ()
    set_bits = value.native
    return tuple(name for name in FAIL_INFO if name in set_bits)


def subject_key_id(certificate: x509.Certificate) -> bytes:
    """The SKI of a certificate, empty when it has none."""
    return bytes(certificate.key_identifier or b"")


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
