import datetime as dt
from typing import Any

import pytest

from safetok.domain.companies import alphabetical
from safetok.domain.tokens import PinState
from safetok.tokens.reading import Seen, merge, parse_all, token_info

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


def shown(
    serial: str = "1", manufacturer: str = "M", certificates: tuple[bytes, ...] = (b"x",), **more: Any
) -> dict[str, Any]:
    """A token as a worker reports it."""
    values: dict[str, Any] = {
        "serial": serial,
        "label": "L",
        "manufacturer": manufacturer,
        "model": "m",
        "firmware": "1.0",
        "hardware": "1.0",
        "flags": 0x8,
        "pin_min": 4,
        "pin_max": 8,
        "free_public": None,
        "free_private": None,
        "certificates": [[der, b"", "", 1] for der in certificates],
        "keys": [],
    }
    return values | more


def merged(*seen: tuple[str, dict[str, Any]]) -> list[tuple[str, tuple[str, ...], bool]]:
    """Serial, drivers and readable_only of what a merge makes."""
    shown, parsed = [Seen(driver, values) for driver, values in seen], {}
    parse_all(shown, parsed, lambda _hashes: {})
    tokens = merge(shown, parsed)
    return [(token.info.serial, token.info.drivers, token.info.readable_only) for token in tokens]


def test_the_same_token_through_two_drivers_is_one() -> None:
    """Serial, manufacturer and certificates agree: one entry, both drivers."""
    assert merged(("a", shown()), ("b", shown())) == [("1", ("a", "b"), False)]


def test_two_tokens_of_one_serial_are_readable_only() -> None:
    """Twice in one driver, by another manufacturer, or with other certificates: two tokens, and neither is opened."""
    for first, second in (
        (("a", shown()), ("a", shown())),
        (("a", shown()), ("b", shown(manufacturer="N"))),
        (("a", shown()), ("b", shown(certificates=(b"y",)))),
    ):
        assert [readable_only for *_rest, readable_only in merged(first, second)] == [True, True]


def test_a_blank_serial_names_nobody() -> None:
    """Two blank tokens are two, each readable only, also through two drivers."""
    assert merged(("a", shown(serial="")), ("b", shown(serial=""))) == [("", ("a",), True), ("", ("b",), True)]


def test_a_driver_that_cannot_read_the_token_does_not_hide_it() -> None:
    """One driver fails on the token, the other reads it: it is one token, opened through the one that reads."""
    broken = shown() | {"error": "DEVICE_ERROR"}
    del broken["certificates"], broken["keys"]
    assert merged(("a", broken), ("b", shown())) == [("1", ("b", "a"), False)]
    assert merged(("a", broken)) == [("1", ("a",), False)]


def test_the_worst_pin_flag_is_the_state() -> None:
    """LOCKED before FINAL_TRY before COUNT_LOW before TO_BE_CHANGED; without CKF_USER_PIN_INITIALIZED none is set."""
    for flags, state in (
        (0x8, PinState.OK),
        (0x0, PinState.NOT_SET),
        (0x80008, PinState.TO_BE_CHANGED),
        (0x90008, PinState.COUNT_LOW),
        (0xB0008, PinState.FINAL_TRY),
        (0xF0008, PinState.LOCKED),
    ):
        assert token_info(shown(flags=flags), ("a",)).pin_state is state


@pytest.mark.parametrize(("flags", "pad", "protected"), [(0x8, False, False), (0x10A, True, True)])
def test_pin_pads_and_write_protection_are_read_from_the_flags(flags: int, *, pad: bool, protected: bool) -> None:
    """CKF_PROTECTED_AUTHENTICATION_PATH and CKF_WRITE_PROTECTED."""
    info = token_info(shown(flags=flags), ("a",))
    assert (info.pin_pad, info.write_protected) == (pad, protected)


def test_names_stand_in_the_order_of_a_vietnamese_list() -> None:
    """Marks do not send a name to the end, and Đ comes right after D."""
    names = [
        "CÔNG TY XÂY DỰNG",
        "Công ty Đại Lộc",
        "CÔNG TY ÁNH DƯƠNG",
        "CÔNG TY DƯỢC",
        "CÔNG TY EM",
        "HỘ KINH DOANH SEN",
    ]
    assert sorted(names, key=alphabetical) == [
        "CÔNG TY ÁNH DƯƠNG",
        "CÔNG TY DƯỢC",
        "Công ty Đại Lộc",
        "CÔNG TY EM",
        "CÔNG TY XÂY DỰNG",
        "HỘ KINH DOANH SEN",
    ]
