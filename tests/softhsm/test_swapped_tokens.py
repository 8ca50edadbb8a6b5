"""Another token in the same slot between two calls of the driver: it is not taken for the one that was chosen, and hears no PIN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from support_simulator import Simulator
from support_tokens import MadeToken

from safetok.domain.times import system_clock
from safetok.errors import DriverFailed, NoToken
from safetok.store.database import Database
from safetok.store.pins import PinLog
from safetok.tokens.pin_guard import PinGuard
from safetok.tokens.tokens import Tokens

Open = Callable[..., Tokens]


@pytest.fixture
def other(
    simulator: Simulator,
    token: MadeToken,
    make_token: Callable[..., MadeToken],
    ec_key: ec.EllipticCurvePrivateKey,
    make_certificate: Callable[..., x509.Certificate],
) -> MadeToken:
    """A second company's token, which `swap` puts where the first one was."""
    made = make_token("Other", keys=[ec_key], certificates=[make_certificate(ec_key, name="KHÁC", mst="0101243150")])
    simulator.steer(tokens={token.serial: {"turns_into": made.serial}, made.serial: {"hidden": "yes"}})
    return made


@pytest.fixture
def pin_log(tmp_path: Path) -> Iterator[PinLog]:
    """A log in a state of this test's own."""
    with Database(tmp_path / "state.db") as database:
        yield PinLog(database)


def test_a_token_swapped_while_it_is_opened_is_not_in(
    simulator: Simulator, token: MadeToken, other: MadeToken, open_tokens: Open
) -> None:
    """The slot was the token's when it was looked for, and another's when its session was opened: 3, and no session is left."""
    tokens = open_tokens()
    assert [one.info.serial for one in tokens.read().tokens] == [token.serial]
    simulator.steer(faults=["C_OpenSession 2 swap"])
    with pytest.raises(NoToken):
        tokens.session(token.serial)
    assert simulator.count("C_OpenSession") == simulator.count("C_CloseSession")
    with tokens.session(other.serial) as session:
        assert session.serial == other.serial


@pytest.mark.parametrize("what", ["login", "change"])
def test_a_token_swapped_before_the_login_hears_no_pin(
    simulator: Simulator, token: MadeToken, other: MadeToken, open_tokens: Open, pin_log: PinLog, what: str
) -> None:
    """A driver whose sessions outlive the token: the PIN of one is never sent to the other, and no try of either is counted."""
    tokens = open_tokens()
    tokens.read()
    guard = PinGuard(pin_log, system_clock)
    with tokens.session(token.serial) as session:
        simulator.steer(faults=[f"C_GetTokenInfo {simulator.count('C_GetTokenInfo') + 1} swap"])
        with pytest.raises((NoToken, DriverFailed)) as raised:
            guard.login(session, token.pin) if what == "login" else guard.change(session, token.pin, "135790")
    assert raised.value.token == token.serial
    assert simulator.count("C_Login") == simulator.count("C_SetPIN") == 0
    assert pin_log.counts([token.serial, other.serial]) == {}
