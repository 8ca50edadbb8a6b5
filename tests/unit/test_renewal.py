"""A renewal as the table has it: how long it waits for its CA, and when nothing is left to do for it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from support_store import NOW, renewal

from safetok.domain.renewal import ENDS, State
from safetok.workflows.renew.begun_with import kept
from safetok.workflows.renew.request import RenewRequest

HOUR = timedelta(hours=1)


def test_it_waits_until_the_instant_that_the_ca_named() -> None:
    """Before that instant it waits, from then on it asks."""
    one = renewal(check_after=NOW + HOUR)
    assert one.waits_until(NOW) == NOW + HOUR
    assert one.waits_until(NOW + HOUR - timedelta(seconds=1)) == NOW + HOUR
    assert one.waits_until(NOW + HOUR) is None
    assert renewal().waits_until(NOW) is None


def test_a_clock_that_was_set_back_makes_nobody_wait() -> None:
    """How much of the time has passed is not known any more: the CA is asked."""
    assert renewal(check_after=NOW + HOUR).waits_until(NOW - timedelta(seconds=1)) is None


@pytest.mark.parametrize("state", State)
def test_an_end_is_finished_when_its_key_is_cleaned(state: State) -> None:
    """DONE and DECLINED leave nothing to clean; what has not ended is never finished."""
    assert renewal(state=state, cleaned=True).finished is (state in ENDS)
    assert renewal(state=state).finished is (state in {State.DONE, State.DECLINED})


def test_what_is_carried_on_keeps_what_it_was_begun_with() -> None:
    """A contract's end, an earliest end or a new key that are named later are not taken, and that is said in one sentence."""
    one = renewal(contract_end=date(2027, 12, 31))
    assert kept(one, RenewRequest()) == ""
    assert kept(one, RenewRequest(contract_end=date(2027, 12, 31), confirm_contract_end=date(2027, 12, 31))) == ""
    for changed in ({"contract_end": date(2028, 1, 31)}, {"confirm_contract_end": date(2028, 1, 31)}):
        assert "ngày kết thúc theo hợp đồng 31/12/2027." in kept(one, RenewRequest(**changed))
    assert "hiệu lực mới sớm nhất đến không đặt, khóa cũ." in kept(one, RenewRequest(min_not_after=NOW, new_key=True))
    assert kept(renewal(state=State.ABANDONED), RenewRequest(new_key=True)) == ""  # another one is begun as asked
