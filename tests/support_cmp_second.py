"""A second opinion on every CMP message that safetok emits: pyasn1_alt_modules' RFC 9480, strict DER, nothing left over."""

from __future__ import annotations

from typing import Any

from pyasn1.codec.der import decoder, encoder
from pyasn1_alt_modules import rfc9480


def decode(der: bytes) -> Any:
    """The message as the other decoder sees it; it must be able to say exactly the same bytes again."""
    message, rest = decoder.decode(der, asn1Spec=rfc9480.PKIMessage())
    assert rest == b""
    assert encoder.encode(message) == der
    return message


def body(der: bytes) -> tuple[str, Any]:
    """The name and contents of a message's body."""
    chosen = decode(der)["body"]
    return chosen.getName(), chosen.getComponent()
