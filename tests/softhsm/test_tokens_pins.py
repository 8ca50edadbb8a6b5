import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support_tokens import MadeToken, SoftHsm, run

from safetok.domain.times import system_clock
from safetok.domain.tokens import PinState, TokenInfo
from safetok.errors import DriverFailed, PinRefused, PinWrong, UsageError
from safetok.store.database import Database
from safetok.store.pins import PinLog
from safetok.tokens.pin_guard import PinGuard, refuse_locally
from safetok.tokens.tokens import Tokens

Make = Callable[..., MadeToken]


@pytest.fixture
def pin_log(tmp_path: Path) -> Iterator[PinLog]:
    """A log in a state of this test's own."""
    with Database(tmp_path / "state.db") as database:
        yield PinLog(database)


def guard(pin_log: PinLog, **given: object) -> PinGuard:
    """A guard as a command makes it."""
    return PinGuard(pin_log, system_clock, **given)  # type: ignore[arg-type]


def info(state: PinState = PinState.OK, *, pad: bool = False, least: int | None = 4, most: int | None = 8) -> TokenInfo:
    """A token's own account."""
    texts = dict.fromkeys(("serial", "label", "manufacturer", "model", "firmware", "hardware"), "T1")
    sizes = {"pin_min": least, "pin_max": most, "free_public": None, "free_private": None}
    return TokenInfo(**texts, **sizes, pin_state=state, pin_pad=pad, write_protected=False, drivers=("d",))  # type: ignore[arg-type]


def test_each_try_is_counted_and_the_last_one_is_refused(tokens: Tokens, make_token: Make, pin_log: PinLog) -> None:
    """Two wrong tries of three are made; the third, which could lock the token, is not, until somebody is certain."""
    made = make_token()
    with tokens.session(made.serial) as session:
        for count in (1, 2):
            with pytest.raises(PinWrong):
                guard(pin_log).login(session, "00000")
            assert pin_log.count(made.serial) == count
        with pytest.raises(PinRefused) as raised:
            guard(pin_log).login(session, made.pin)
        assert raised.value.code == "last_try"
        assert not session.logged_in
        assert pin_log.count(made.serial) == 2
        guard(pin_log, force_last_try=True).login(session, made.pin)
        assert (session.logged_in, pin_log.count(made.serial)) == (True, 0)


def test_knowledge_may_say_that_there_are_more_tries(tokens: Tokens, make_token: Make, pin_log: PinLog) -> None:
    """With ten tries known, nine may be wrong before the guard stops."""
    made = make_token()
    with tokens.session(made.serial) as session:
        for _ in range(9):
            with pytest.raises(PinWrong):
                guard(pin_log, tries_assumed=10).login(session, "00000")
        with pytest.raises(PinRefused):
            guard(pin_log, tries_assumed=10).login(session, made.pin)


def test_an_attempt_is_in_the_log_before_the_token_hears_of_it(
    tokens: Tokens, make_token: Make, pin_log: PinLog
) -> None:
    """A process that dies within a login leaves a try that counts as wrong; so does an outcome nobody knows."""
    made = make_token()
    with tokens.session(made.serial) as session:
        seen: list[int] = []
        login = session.login
        session.login = lambda pin: (seen.append(pin_log.count(made.serial)), session._worker.kill(), login(pin))[2]  # type: ignore[method-assign,func-returns-value]
        with pytest.raises(DriverFailed):
            guard(pin_log).login(session, made.pin)
    assert seen == [1]
    assert pin_log.count(made.serial) == 1


def test_a_wrong_old_pin_counts_when_changing(tokens: Tokens, make_token: Make, pin_log: PinLog) -> None:
    """C_SetPIN costs tries as C_Login does."""
    made = make_token()
    with tokens.session(made.serial) as session:
        with pytest.raises(PinWrong):
            guard(pin_log).change(session, "00000", "135790")
        assert pin_log.count(made.serial) == 1
        guard(pin_log).change(session, made.pin, "135790")
        assert pin_log.count(made.serial) == 0


def test_a_new_pin_that_softhsm_does_not_accept_costs_nothing(
    tokens: Tokens, make_token: Make, pin_log: PinLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CKR_PIN_LEN_RANGE to C_SetPIN is about the new PIN: as often as one likes, and the old one still opens the token."""
    made = make_token()
    monkeypatch.setattr("safetok.tokens.pin_guard.refuse_locally", lambda *_given: None)
    with tokens.session(made.serial) as session:
        for _time in range(4):
            with pytest.raises(UsageError) as raised:
                guard(pin_log).change(session, made.pin, "1")
            assert raised.value.code == "new_pin_refused"
        assert pin_log.count(made.serial) == 0
        guard(pin_log).login(session, made.pin)


def test_every_signature_that_asks_for_the_pin_is_counted(
    tokens: Tokens, softhsm: SoftHsm, make_token: Make, pin_log: PinLog
) -> None:
    """CKA_ALWAYS_AUTHENTICATE: a context-specific login is an attempt of its own, committed like the first."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    made = make_token("Always")
    tool = ("pkcs11-tool", "--module", softhsm.module, "--token-label", "Always", "--login", "--pin", made.pin)
    run(*tool, "--keypairgen", "--key-type", "rsa:2048", "--id", "07", "--label", "asks", "--always-auth")
    begun: list[str] = []
    begin = pin_log.begin

    def counting(serial: str, purpose: str, now: dt.datetime) -> int:
        begun.append(purpose)
        return begin(serial, purpose, now)

    pin_log.begin = counting  # type: ignore[method-assign]
    with tokens.session(made.serial) as session:
        guard(pin_log).login(session, made.pin)
        (shown,) = session.keys()
        assert shown.spki is not None
        key = session.private_key(shown.spki)
        assert isinstance(key, rsa.RSAPrivateKey)
        key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())
    assert begun == ["login", "sign"]
    assert pin_log.count(made.serial) == 0


@pytest.mark.parametrize(("state", "code"), [(PinState.LOCKED, "pin_locked"), (PinState.FINAL_TRY, "last_try")])
def test_the_tokens_own_flags_refuse(pin_log: PinLog, state: PinState, code: str) -> None:
    """LOCKED and FINAL_TRY stop before any try; only FINAL_TRY gives way to a person's word."""
    with pytest.raises(PinRefused) as raised:
        guard(pin_log).check(info(state))
    assert raised.value.code == code
    if state is PinState.FINAL_TRY:
        guard(pin_log, force_last_try=True).check(info(state))
    else:
        with pytest.raises(PinRefused):
            guard(pin_log, force_last_try=True).check(info(state))


@pytest.mark.parametrize("state", [PinState.OK, PinState.COUNT_LOW, PinState.TO_BE_CHANGED, PinState.NOT_SET])
def test_a_warning_is_no_refusal(pin_log: PinLog, state: PinState) -> None:
    """COUNT_LOW says that something went wrong once; some drivers set flags that mean nothing."""
    guard(pin_log).check(info(state))


@pytest.mark.parametrize("pin", ["", "123", "123456789", "ăăăă1"])
def test_a_pin_the_token_cannot_take_costs_no_try(pin: str) -> None:
    """Empty, too short or too long in bytes by the token's own limits: nothing is sent."""
    with pytest.raises(UsageError) as raised:
        refuse_locally(info(), pin)
    assert raised.value.code == "pin_refused_locally"


def test_limits_that_the_token_does_not_tell_refuse_nothing() -> None:
    """Without limits only the empty PIN is refused; a PIN pad takes None, a token without one does not."""
    refuse_locally(info(least=None, most=None), "1")
    refuse_locally(info(pad=True), None)
    with pytest.raises(UsageError):
        refuse_locally(info(), None)
