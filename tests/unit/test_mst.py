from __future__ import annotations

import pytest

from safetok.domain.companies import plain_mst
from safetok.domain.mst import find_mst, find_personal_id, verdict


@pytest.mark.parametrize(
    ("mst", "answer"),
    [
        ("0106324653", "valid"),
        ("0106323762", "valid"),
        ("0301519977-029", "valid"),
        ("0106324654", "bad_check_digit"),
        ("0301519977-000", "bad_check_digit"),
        ("010632465", "bad_length"),
        ("", "bad_length"),
        ("NGUYỄNVĂNA", "bad_length"),
        ("O199900018", "bad_length"),
        ("079200001234", "no_check_digit"),
    ],
)
def test_the_check_digit(mst: str, answer: str) -> None:
    """Real tax codes hold, one digit off does not, and a personal number has no check digit to hold."""
    assert verdict(mst) == answer


def test_the_tax_code_among_two_uids() -> None:
    """A UID may occur twice, for the company and for the person, in any order."""
    uids = ("CMND:012345678", "MST:0301519977-029")
    assert find_mst(uids) == "0301519977-029"
    assert find_personal_id(uids) == "CMND:012345678"


@pytest.mark.parametrize("uids", [(), ("MST:",), ("CCCD:079200001234",), ("MNS:1056789",), ("0106324653",)])
def test_no_tax_code_is_none(uids: tuple[str, ...]) -> None:
    """Without a value behind MST: there is no tax code, whatever else the UIDs say."""
    assert find_mst(uids) is None


def test_an_empty_tax_code_is_passed_over() -> None:
    """Blanks behind MST: are no tax code; another UID's may be one."""
    assert find_mst(("MST: ", "MST:0106324653")) == "0106324653"
    assert find_mst(("MST: ",)) is None


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("0301519977029", "0301519977-029"),
        (" 0301519977 - 029 ", "0301519977-029"),
        ("0106324653", "0106324653"),
        ("079200001234", "079200001234"),
        ("03015199770291", "03015199770291"),
    ],
)
def test_a_tax_code_is_compared_however_it_is_written(written: str, compared: str) -> None:
    """Thirteen digits are a branch's, with its dash; no other length gets one."""
    assert plain_mst(written) == compared
