from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from asn1crypto import core, x509
from support_ca import Server, opening, renewed, secret, within
from support_recorded import messages

from safetok.ca.cmp import der
from safetok.ca.cmp.names import FAIL_INFO
from safetok.ca.cmp.requests import build_confirmation, build_poll
from safetok.sandbox.structures import PKIFailureInfo, PKIMessage


def ours() -> dict[str, bytes]:
    common = within()
    accepted = build_confirmation(certificate=renewed().der, accept=True, **common)
    rejected = build_confirmation(
        certificate=renewed().der, accept=False, fail_info="badCertTemplate", text="sai tên", **common
    )
    return {
        **{kind: opening(kind).der for kind in ("kur", "cr", "p10cr")},  # type: ignore[arg-type]
        "without a date": opening(not_after=None).der,
        "past 2049": opening(not_after=datetime(2050, 1, 1, tzinfo=UTC)).der,
        "poll": build_poll(**common)[0],
        "accepted": accepted,
        "rejected": rejected,
        **{f"answer: {name}": raw for name, raw in messages().items()},
        "by PSS": Server(pss=True, key=secret("RSA")).answer(opening(), "pkiconf", core.Null()),
    }


@pytest.mark.parametrize("name", sorted(ours()))
def test_messages_are_written_as_the_structures_would_write_them(name: str) -> None:
    """Each message is exactly the DER that encoding its structures anew gives."""
    raw = ours()[name]
    if name == "answer: error unsigned":
        return
    message = PKIMessage.load(raw, strict=True)
    assert message.dump(force=True) == raw


@pytest.mark.parametrize(
    "number", [0, 1, -1, 127, 128, -128, -129, 255, 256, 65_535, 1 << 127, (1 << 128) - 1, -(1 << 127)]
)
def test_integers(number: int) -> None:
    """An INTEGER is as short as DER wants it, whatever its sign."""
    assert der.integer(number) == core.Integer(number).dump()


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 255, 256, 384, 65_535, 65_536])
def test_lengths(size: int) -> None:
    """Lengths are in the short form as long as they fit, then in the shortest long one; the content comes out again."""
    element = der.octets(bytes(size))
    assert element == core.OctetString(bytes(size)).dump()
    assert der.content_of(element) == bytes(size)


def test_named_bits() -> None:
    """Every bit of PKIFailureInfo, alone and together, without zeros at the end."""
    for number, name in enumerate(FAIL_INFO):
        assert der.named_bits([number]) == PKIFailureInfo({name}).dump()
    assert der.named_bits([9, 2, 19]) == PKIFailureInfo({FAIL_INFO[2], FAIL_INFO[9], FAIL_INFO[19]}).dump()
    assert der.named_bits([]) == b"\x03\x01\x00"


@pytest.mark.parametrize(
    "dotted", ["1.3.6.1.5.5.7.5.1.5", "1.2.840.113549.1.1.10", "2.16.840.1.101.3.4.2.12", "2.999.1"]
)
def test_object_identifiers(dotted: str) -> None:
    """Arcs of any size, the first two in one."""
    assert der.oid(dotted) == core.ObjectIdentifier(dotted).dump()


def test_times() -> None:
    """UTC whatever the zone, whole seconds, UTCTime to 2049 and GeneralizedTime from then on."""
    hanoi = datetime(2049, 12, 31, 23, 59, 59, 999, tzinfo=timezone(timedelta(hours=7)))
    assert der.time(hanoi) == x509.UTCTime(hanoi.replace(microsecond=0)).dump()
    assert der.generalized_time(hanoi) == core.GeneralizedTime(hanoi.replace(microsecond=0)).dump()
    assert (
        der.time(hanoi + timedelta(days=1))
        == core.GeneralizedTime((hanoi + timedelta(days=1)).replace(microsecond=0)).dump()
    )
    assert der.generalized_time(datetime(999, 1, 1, tzinfo=UTC)) == b"\x18\x0f09990101000000Z"


def test_tags() -> None:
    """An absent element stays absent behind its tag, and a tag too large for one byte is refused."""
    assert der.explicit(3, b"") == der.implicit(3, b"") == b""
    with pytest.raises(ValueError, match="31"):
        der.explicit(31, der.NULL)
