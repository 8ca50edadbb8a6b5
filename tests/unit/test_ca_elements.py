"""The reader of received DER beside asn1crypto's, on whole messages, bent ones, and one element at a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asn1crypto import core
from support_ca import opening
from support_recorded import messages, mutate

from safetok.ca.cmp import der
from safetok.ca.cmp.elements import (
    BIT_STRING,
    INTEGER,
    OCTETS,
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
from safetok.ca.cmp.messages import MOST_CERTIFICATES, read_message
from safetok.ca.cmp.names import FAIL_INFO
from safetok.errors import NoAnswer
from safetok.sandbox.structures import PKIFailureInfo, PKIMessage

MUTATIONS = 300  # of each message


def whole_messages() -> dict[str, bytes]:
    return {**messages(), **{kind: opening(kind).der for kind in ("kur", "cr", "p10cr")}}  # type: ignore[arg-type]


def as_asn1crypto_reads(raw: bytes) -> dict[str, Any]:
    """What `ours` says of the same bytes."""
    message = PKIMessage.load(raw, strict=True)
    header, extra = message["header"], message["extraCerts"]
    general = {} if isinstance(header["generalInfo"], core.Void) else header["generalInfo"]
    return {
        "pvno": header["pvno"].native,
        "sender": header["sender"].dump(),
        "time": header["messageTime"].native,
        "algorithm": b"" if isinstance(header["protectionAlg"], core.Void) else header["protectionAlg"].untag().dump(),
        "names": [header[name].native or b"" for name in ("senderKID", "transactionID", "senderNonce", "recipNonce")],
        "info": {item["infoType"].dotted for item in general},
        "kind": message["body"].name,
        "body": message["body"].chosen.untag().dump(),
        "protection": message["protection"].native or b"",
        "extra": [] if isinstance(extra, core.Void) else [one.untag().dump() for one in extra][:MOST_CERTIFICATES],
    }


def ours(raw: bytes) -> dict[str, Any]:
    message = read_message(raw)
    header = message.header
    return {
        "pvno": header.pvno,
        "sender": header.sender,
        "time": header.message_time,
        "algorithm": header.algorithm,
        "names": [header.sender_kid, header.transaction_id, header.sender_nonce, header.recip_nonce],
        "info": set(header.info),
        "kind": message.kind,
        "body": message.body.der,
        "protection": message.protection,
        "extra": list(message.extra),
    }


@pytest.mark.parametrize("name", sorted(whole_messages()))
def test_messages_are_read_as_another_reader_reads_them(name: str) -> None:
    """Every value of the header, the body's bytes, the signature, what it covers, and the certificates beside it."""
    raw = whole_messages()[name]
    found = ours(raw)
    assert found == as_asn1crypto_reads(raw)
    message = PKIMessage.load(raw)
    covered = message["header"].dump() + message["body"].dump()
    assert read_message(raw).signed == der.sequence(covered)


@pytest.mark.parametrize("name", sorted(whole_messages()))
def test_bent_messages_are_never_read_otherwise(name: str) -> None:
    """Where both readers take the bytes for a message, it is the same one; ours raises NoAnswer alone."""
    original, chance, both = whole_messages()[name], random.Random(name), 0
    for _n in range(MUTATIONS):
        raw = mutate(original, chance)
        try:
            found = ours(raw)
        except NoAnswer:
            continue
        try:
            theirs = as_asn1crypto_reads(raw)
        except Exception:  # noqa: BLE001, S112  (it answers such bytes with many kinds of error)
            continue
        theirs["time"] = theirs["time"] and theirs["time"].replace(microsecond=0)
        theirs["sender"] = found["sender"]  # it encodes a name that does not fill its tag anew
        assert found == theirs, raw.hex()
        both += 1
    assert both


def test_no_more_certificates_are_read_than_are_looked_at() -> None:
    """A megabyte of tiny ones took 12 s when each was made an object. Here what stands behind those that are looked at is none:
    whoever read on would find the message unreadable.
    """
    empty = b"\x30\x00"
    fields = Fields(element(messages()["kup"]))
    header, body, protection = fields.any(), fields.any(), fields.any()
    extra = der.explicit(1, der.sequence(empty * MOST_CERTIFICATES, b"\xff"))
    raw = der.sequence(header.der, body.der, protection.der, extra)
    assert read_message(raw).extra == (empty,) * MOST_CERTIFICATES
    one_fewer = der.explicit(1, der.sequence(empty * (MOST_CERTIFICATES - 1), b"\xff"))
    with pytest.raises(NoAnswer):
        read_message(der.sequence(header.der, body.der, protection.der, one_fewer))


@pytest.mark.parametrize(
    "data",
    ["", "30", "3001", "300200", "1f0100", "3080" + "0000", "3085000000000100", "02", "0282", "028200", "3000ff"],
    ids=lambda data: data or "nothing",
)
def test_what_is_no_element_is_refused(data: str) -> None:
    """Cut off, of a tag or a length beyond one byte and four, of indefinite length, or with something behind it."""
    with pytest.raises(ValueError, match=r"element|length"):
        element(bytes.fromhex(data))


def test_fields_come_in_their_order_and_all_are_taken() -> None:
    """Optional ones are skipped where they are not next; one missing, of another kind or left over is refused."""
    whole = element(der.sequence(der.integer(5), der.explicit(1, der.octets(b"a")), der.sequence()))
    fields = Fields(whole)
    assert integer(fields.take(INTEGER)) == 5
    assert fields.explicit(0, OCTETS) is None
    found = fields.explicit(1, OCTETS)
    assert found is not None
    assert found.content == b"a"
    with pytest.raises(ValueError, match="too many"):
        fields.end()
    assert fields.rest() == element(der.sequence())
    assert fields.rest() is None
    fields.end()
    for wrong in (lambda f: f.take(OCTETS), lambda f: (f.take(INTEGER), f.explicit(1, INTEGER)), lambda f: f.rest()):
        with pytest.raises(ValueError, match=r"kind|many|was to be"):
            wrong(Fields(whole))
    with pytest.raises(ValueError, match="missing"):
        Fields(element(der.sequence())).any()
    with pytest.raises(ValueError, match="no SEQUENCE"):
        Fields(element(der.integer(5)))


@pytest.mark.parametrize("number", [0, 1, -1, 127, 128, -128, -129, 1 << 127, -(1 << 127)])
def test_integers(number: int) -> None:
    """As they were written, whatever their sign."""
    assert integer(element(der.integer(number), INTEGER)) == number


def test_bits() -> None:
    """Of a PKIFailureInfo every bit, alone and together; more than there are names for are not looked at."""
    many = len(FAIL_INFO)
    for number, name in enumerate(FAIL_INFO):
        assert bits(element(PKIFailureInfo({name}).dump()), many) == {number}
    assert bits(element(der.named_bits([2, 9, 19])), many) == {2, 9, 19}
    assert bits(element(der.named_bits([])), many) == set()
    assert bits(Element(BIT_STRING, b"\0" + b"\xff" * 9, b""), many) == set(range(many))
    assert bits(Element(BIT_STRING, b"\x04\xff", b""), many) == {0, 1, 2, 3}


def test_texts_and_identifiers() -> None:
    """UTF-8 with its marks; arcs of any size, the first two in one."""
    assert text(element(der.utf8("CÔNG TY"))) == "CÔNG TY"
    for name in ("1.3.6.1.5.5.7.5.1.5", "1.2.840.113549.1.1.10", "2.16.840.1.101.3.4.2.12", "2.999.1", "0.9.1"):
        assert dotted(element(core.ObjectIdentifier(name).dump()).content) == name


@pytest.mark.parametrize(
    ("said", "year"),
    [("\x18\x0f20491231235959Z", 2049), ("\x18\x1220491231235959.25Z", 2049), ("\x17\x0d491231235959Z", 2049),
     ("\x17\x0d501231235959Z", 1950), ("\x18\x0f09991231235959Z", 999)],
)  # fmt: skip
def test_moments(said: str, year: int) -> None:
    """GeneralizedTime with and without parts of a second, UTCTime of both centuries."""
    assert instant(element(said.encode())) == datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (integer, b""),
        (whole_bytes, b""),
        (whole_bytes, b"\x01\x02"),
        (lambda found: bits(found, 8), b""),
        (lambda found: bits(found, 8), b"\x01"),
        (lambda found: bits(found, 8), b"\x08\x01"),
        (text, b"\xff"),
        (lambda found: text(Element(OCTETS, found.content, b"")), b"a"),
        (lambda found: dotted(found.content), b""),
        (lambda found: dotted(found.content), b"\x2a\x86"),
        (lambda found: dotted(found.content), b"\x2a" + b"\x81" * 70 + b"\x01"),
        (instant, b"20490231000000Z"),
        (instant, b"204912312359Z"),
        (instant, b"20491231235959"),
        (instant, b"20491231235959+0700"),
        (instant, b"00001231235959Z"),
        (instant, "２0491231235959Z".encode()),
        (lambda found: elements(found.content), b"\x30"),
    ],
)
def test_values_of_no_sense_are_value_errors(read: Callable[[Element], object], content: bytes) -> None:
    """Whatever they are meant to be, and nothing but that."""
    with pytest.raises(ValueError):  # noqa: PT011  (Python's own among them)
        read(Element(0x0C, content, b""))
