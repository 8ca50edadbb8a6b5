from __future__ import annotations

import pytest

from safetok.errors import ExitStatus
from safetok.workflows.due import _ORDER
from safetok.workflows.due_groups import _TOLD, NAMED, grouped
from safetok.workflows.overview import Due


def several(count: int, code: str = "offer", command: str = "safetok renew --serial {n}") -> list[Due]:
    """So many things of one kind."""
    return [Due(code=code, text=f"việc {n}", command=command.format(n=n), name=f"CÔNG TY {n}") for n in range(count)]


def test_a_few_of_one_kind_are_told_one_by_one() -> None:
    """Up to three each keep their own sentence and command."""
    told = grouped(several(3))
    assert [one.text for one in told] == ["việc 0", "việc 1", "việc 2"]
    assert [one.command for one in told] == [f"safetok renew --serial {n}" for n in range(3)]


@pytest.mark.parametrize("count", [4, NAMED + 1, 300])
def test_many_of_one_kind_are_one(count: int) -> None:
    """More are one sentence with their number, some names, how many are unnamed, and the command for all of them."""
    (told,) = grouped(several(count))
    assert told.count == count
    assert told.text.startswith(f"{count} đơn vị có thông báo cấp bù thời hạn.")
    assert told.command == "safetok batch plan DANH_SÁCH"
    assert told.each == "safetok renew --serial TOKEN_ID"
    assert (len(told.names), told.unnamed) == ((count, 0) if count <= NAMED + 1 else (NAMED, count - NAMED))


def test_what_presses_names_everybody() -> None:
    """Of revoked, suspended and locked ones nobody is left unnamed, each CA's apart with what its own notice says."""
    ones = [
        Due(
            code="certificate_suspended",
            text="…",
            command=f"safetok contacts {'lcs-ca' if n % 2 else 'safe-ca'}",
            exit_status=ExitStatus.REVOKED,
            name=f"CÔNG TY {n}",
            remark="Theo thông báo LCS" if n % 2 else "",
        )
        for n in range(20)
    ]
    safe, lcs = grouped(ones)
    assert (len(safe.names), safe.unnamed, safe.command) == (10, 0, "safetok contacts safe-ca")
    assert (len(lcs.names), lcs.unnamed, lcs.command) == (10, 0, "safetok contacts lcs-ca")
    assert "Theo thông báo LCS" in lcs.text
    assert "LCS" not in safe.text
    assert {safe.exit_status, lcs.exit_status} == {ExitStatus.REVOKED}


def test_the_order_stays_and_every_kind_has_its_sentence() -> None:
    """Groups come in the order of what they hold; each kind of thing that `status` knows can be told of many."""
    told = grouped([*several(5, "certificate_revoked"), *several(2), *several(9, "registrations_open")])
    assert [(one.code, one.count) for one in told] == [
        ("certificate_revoked", 5),
        ("offer", 1),
        ("offer", 1),
        ("registrations_open", 9),
    ]
    assert {*_ORDER} == {*_TOLD}


def test_one_company_is_named_once() -> None:
    """A company with waits over at several agencies stands once among the names, all of them counted."""
    ones = [Due(code="due_check", text="…", command="…", name="CÔNG TY A") for _n in range(5)]
    (told,) = grouped(ones)
    assert (told.count, told.names) == (5, ("CÔNG TY A",))


def test_companies_are_counted_not_their_certificates() -> None:
    """Two companies of one name are two, by their tax codes; five certificates of one company are one."""
    five = [Due(code="offer", text="…", command="…", name=f"NGƯỜI {n}", mst="0101000006") for n in range(5)]
    other = Due(code="offer", text="…", command="…", name="NGƯỜI 0", mst="0101000013")
    (told,) = grouped([*five, other])
    assert told.count == 6
    assert told.text.startswith("2 đơn vị có thông báo cấp bù thời hạn.")
