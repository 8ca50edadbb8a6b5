"""What the simulated driver does to its users, seen through safetok's own worker: the ground the fault tests stand on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding
from support_simulator import V1, V2, Simulator
from support_tokens import MadeToken, SoftHsm, spki_of

from safetok.domain.tokens import KeyPresence, PinState
from safetok.errors import DriverFailed, NotTrusted, PinRefused, PinWrong, SafetokError
from safetok.tokens.drivers import DriverFile
from safetok.tokens.sessions import Deadlines
from safetok.tokens.tokens import Session, Tokens

Make = Callable[..., MadeToken]
Open = Callable[..., Tokens]
WRONG = "999999"


def opened(open_tokens: Open, token: MadeToken, *, pin: str | None = "right", **given: object) -> Session:
    session = open_tokens(**given).session(token.serial)
    if pin is not None:
        session.login(token.pin if pin == "right" else pin)
    return session


def state(open_tokens: Open, token: MadeToken) -> PinState:
    with open_tokens().session(token.serial) as session:
        return session.info.pin_state


def test_it_looks_like_either_generation(
    simulator: Simulator, token: MadeToken, make_token: Make, open_tokens: Open
) -> None:
    """Manufacturer, model and firmware are those of the settings, for all tokens or for one."""
    other = make_token("Other")
    simulator.steer(**V1, tokens={other.serial: V2})
    shown = {one.info.serial: one.info for one in open_tokens().read().tokens}
    assert (shown[token.serial].manufacturer, shown[token.serial].model) == ("SafeCert", V1["model"])
    assert (shown[other.serial].model, shown[other.serial].firmware) == (V2["model"], "2.11")


@pytest.mark.parametrize(
    ("flags", "seen_by_it", "seen_by_others"),
    [
        ("honest", [PinState.COUNT_LOW, PinState.FINAL_TRY, PinState.LOCKED], PinState.LOCKED),
        ("process", [PinState.COUNT_LOW, PinState.FINAL_TRY, PinState.LOCKED], PinState.OK),
        ("never", [PinState.OK, PinState.OK, PinState.OK], PinState.OK),
    ],
)
def test_wrong_pins_lock_it(
    simulator: Simulator,
    token: MadeToken,
    open_tokens: Open,
    flags: str,
    seen_by_it: list[PinState],
    seen_by_others: PinState,
) -> None:
    """After three wrong tries the right PIN is refused in every process; the flags tell it as honestly as they are set to."""
    simulator.steer(pin_tries=3, flags=flags)
    session = opened(open_tokens, token, pin=None)
    seen = []
    for _try in range(3):
        with pytest.raises(PinWrong):
            session.login(WRONG)
        seen.append(session.info.pin_state)
    assert seen == seen_by_it
    with pytest.raises(PinRefused):
        session.login(token.pin)
    session.close()
    assert state(open_tokens, token) is seen_by_others
    with pytest.raises(PinRefused):
        opened(open_tokens, token)
    assert simulator.memory(token.serial).failed == 3


def test_the_right_pin_takes_the_count_back(simulator: Simulator, token: MadeToken, open_tokens: Open) -> None:
    """Two wrong tries, then the right PIN: all three are there again."""
    simulator.steer(pin_tries=3)
    session = opened(open_tokens, token, pin=None)
    for _try in range(2):
        with pytest.raises(PinWrong):
            session.login(WRONG)
    session.login(token.pin)
    assert session.info.pin_state is PinState.OK
    assert simulator.memory(token.serial).failed == 0


def test_a_wrong_pin_may_come_as_a_general_error(simulator: Simulator, token: MadeToken, open_tokens: Open) -> None:
    """A driver that hides PIN_INCORRECT is not taken for a pulled token, and its try counts all the same."""
    simulator.steer(pin_tries=3, wrong_pin="GENERAL_ERROR")
    session = opened(open_tokens, token, pin=None)
    with pytest.raises(SafetokError) as raised:
        session.login(WRONG)
    assert raised.value.code == "pkcs11"
    assert simulator.memory(token.serial).failed == 1


def test_a_pulled_token_is_named_and_its_sessions_stay_dead(
    simulator: Simulator, token: MadeToken, open_tokens: Open
) -> None:
    """Pulled out: token_removed, then gone from the list; in again, a new session and a new login work."""
    tokens = open_tokens()
    session = tokens.session(token.serial)
    session.login(token.pin)
    simulator.pull()
    for _again in range(2):
        with pytest.raises(DriverFailed) as raised:
            session.keys()
        assert raised.value.code == "token_removed"
    simulator.plug()
    with pytest.raises(SafetokError):
        session.keys()
    session.close()
    with tokens.session(token.serial) as fresh:
        fresh.login(token.pin)
        keys = fresh.keys()
        assert any(key.private for key in keys)
    simulator.pull()
    assert tokens.read().tokens == ()
    assert simulator.memory(token.serial).insertions == 1


def test_a_token_pulled_out_and_in_again_between_two_calls_is_named(
    simulator: Simulator, token: MadeToken, open_tokens: Open, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """The session is over although the token is in: told as a token that was pulled, not as a failure of its driver."""
    with opened(open_tokens, token) as session:
        key = session.private_key(spki_of(ec_key))
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        simulator.pull()
        simulator.plug()
        for use in (lambda: key.sign(b"x", ec.ECDSA(hashes.SHA256())), session.keys, lambda: session.login(token.pin)):
            with pytest.raises(DriverFailed) as raised:
                use()
            assert raised.value.code == "token_removed"
    assert simulator.memory(token.serial).failed == 0


def test_faults_come_at_the_call_they_are_set_to(simulator: Simulator, token: MadeToken, open_tokens: Open) -> None:
    """Removal at the second C_SignInit, re-insertion later, each at its call."""
    simulator.steer(faults=["C_SignInit 2 remove", "C_GetSlotList 14 insert"])
    tokens = open_tokens()
    with tokens.session(token.serial) as session:
        session.login(token.pin)
        keys = session.keys()
        key = session.private_key(next(k.spki for k in keys if k.spki))
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        key.sign(b"one", ec.ECDSA(hashes.SHA256()))
        with pytest.raises(DriverFailed) as raised:
            key.sign(b"two", ec.ECDSA(hashes.SHA256()))
    assert raised.value.code == "token_removed"
    while not open_tokens().read().tokens:
        assert simulator.count("C_GetSlotList") < 30
    assert simulator.memory(token.serial).insertions == 1


@pytest.mark.parametrize(("fault", "code"), [("crash", "crashed"), ("hang", "timed_out")])
def test_a_crash_and_a_hang_cost_the_worker_only(
    simulator: Simulator, token: MadeToken, open_tokens: Open, fault: str, code: str
) -> None:
    """A segfault or a hang in one call is reported by name; the next worker is as good as ever."""
    simulator.steer(faults=[f"C_FindObjectsInit 3 {fault}"])
    tokens = open_tokens(deadlines=Deadlines(look=2))
    tokens.read()
    reading = tokens.read()
    assert [one.code for one in reading.failed] == [code]
    assert len(tokens.read().tokens) == 1


def test_a_full_and_a_protected_token_refuse(
    simulator: Simulator,
    token: MadeToken,
    open_tokens: Open,
    ec_key: ec.EllipticCurvePrivateKey,
    make_certificate: Callable[..., x509.Certificate],
) -> None:
    """DEVICE_MEMORY is no_space; write protection, told or not, is write_protected; nothing is written."""
    der = make_certificate(ec_key, name="new").public_bytes(Encoding.DER)
    simulator.steer(faults=["C_CreateObject 1 return DEVICE_MEMORY"], free_public=100)
    with opened(open_tokens, token) as session:
        assert session.info.free_public == 100
        with pytest.raises(NotTrusted) as raised:
            session.place_certificate(der, cka_id=b"1", label="new")
        assert raised.value.code == "no_space"
        simulator.steer(write_protected="quiet")
        with pytest.raises(NotTrusted) as raised:
            session.place_certificate(der, cka_id=b"1", label="new")
        assert raised.value.code == "write_protected"
    simulator.steer(write_protected="yes")
    assert open_tokens().read().tokens[0].info.write_protected
    with pytest.raises(NotTrusted) as raised:
        open_tokens().session(token.serial)
    assert raised.value.code == "write_protected"


def test_a_write_cut_short_is_seen_and_taken_away_again(
    simulator: Simulator,
    token: MadeToken,
    open_tokens: Open,
    ec_key: ec.EllipticCurvePrivateKey,
    make_certificate: Callable[..., x509.Certificate],
) -> None:
    """A driver that writes the first 100 bytes and says CKR_OK is caught by reading back; the stump can be removed."""
    der = make_certificate(ec_key, name="new").public_bytes(Encoding.DER)
    simulator.steer(faults=["C_CreateObject 1 truncate 100"])
    with opened(open_tokens, token) as session:
        with pytest.raises(NotTrusted) as raised:
            session.place_certificate(der, cka_id=b"1", label="new")
        assert raised.value.code == "write_failed"
        assert session.destroy_certificate(der, "new")
        session.place_certificate(der, cka_id=b"1", label="new")
        assert session.find_certificate(der) is not None


def test_without_ids_and_without_search_by_value_the_key_is_found(
    simulator: Simulator, token: MadeToken, open_tokens: Open, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """Every CKA_ID empty and no search by value: the pair is still found by its public key."""
    simulator.steer(empty_id="yes", value_search="no")
    assert open_tokens().read().tokens[0].certificates[0].key is KeyPresence.PRESENT
    with opened(open_tokens, token) as session:
        key = session.private_key(spki_of(ec_key))
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        ec_key.public_key().verify(key.sign(b"x", ec.ECDSA(hashes.SHA256())), b"x", ec.ECDSA(hashes.SHA256()))


def test_a_token_may_name_its_own_keys(
    simulator: Simulator, token: MadeToken, open_tokens: Open, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """A driver that sets CKA_ID and label itself gives neither of those that were asked for."""
    simulator.steer(own_id="yes", own_label="yes")
    with opened(open_tokens, token) as session:
        spki = session.generate(spki_of(ec_key), cka_id=b"asked", label="asked")
        keys = session.keys()
    (made,) = [key for key in keys if key.spki == spki]
    assert made.cka_id.startswith(b"KEY")
    assert made.label == "container"


def test_rsa_without_hash_and_sign_signs_all_the_same(
    simulator: Simulator,
    make_token: Make,
    open_tokens: Open,
    rsa_key: object,
    make_certificate: Callable[..., x509.Certificate],
) -> None:
    """Without CKM_SHA256_RSA_PKCS the DigestInfo is signed."""
    made = make_token("Rsa", keys=[rsa_key], certificates=[make_certificate(rsa_key)])
    simulator.steer(sha256_rsa="no")
    with opened(open_tokens, made) as session:
        key = session.private_key(spki_of(rsa_key))  # type: ignore[arg-type]
        signature = key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())  # type: ignore[call-arg, arg-type]
        rsa_key.public_key().verify(signature, b"x", padding.PKCS1v15(), hashes.SHA256())  # type: ignore[attr-defined]


def test_keys_that_want_a_pin_each_time_and_pin_pads(
    simulator: Simulator, token: MadeToken, open_tokens: Open, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """CKA_ALWAYS_AUTHENTICATE signs after a login of its own; a PIN pad logs in without the program knowing the PIN."""
    simulator.steer(always_authenticate="yes")
    with opened(open_tokens, token) as session:
        key = session.private_key(spki_of(ec_key))
        logins = simulator.count("C_Login")
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        key.sign(b"x", ec.ECDSA(hashes.SHA256()))
        assert simulator.count("C_Login") == logins + 1
    simulator.steer(always_authenticate=None, pin_pad="yes", pad_pin=token.pin)
    with open_tokens().session(token.serial) as session:
        assert session.info.pin_pad
        session.login(None)
        assert session.logged_in
    simulator.steer(pad_cancelled="yes")
    with open_tokens().session(token.serial) as session, pytest.raises(SafetokError) as raised:
        session.login(None)
    assert raised.value.code == "pin_cancelled"


def test_a_driver_that_prints_and_takes_signals_costs_nobody_anything(
    simulator: Simulator, token: MadeToken, open_tokens: Open, make_token: Make, softhsm: SoftHsm
) -> None:
    """Prints on stdout and handlers for every signal stay in its own worker: the other driver's rows and the output are whole."""
    simulator.steer(prints="yes", signals="yes", locking="no")
    drivers = [
        DriverFile(path=path, name=Path(path).name, source="flag") for path in (str(simulator.module), softhsm.module)
    ]
    reading = open_tokens(drivers=drivers).read()
    assert (reading.failed, len(reading.tokens)) == ((), 1)
    assert reading.tokens[0].info.drivers == (str(simulator.module), softhsm.module)
    said = subprocess.run(
        [sys.executable, "-m", "safetok", "tokens", "--serials"],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert said.stdout.split() == [token.serial]


def test_latency_is_told_by_the_log(simulator: Simulator, token: MadeToken, open_tokens: Open) -> None:
    """A slow call is waited for within its deadline and given up beyond it; the log tells the call that never came back."""
    simulator.steer(latency={"C_GetTokenInfo": 30})
    assert len(open_tokens().read().tokens) == 1
    simulator.steer(latency={"C_FindObjectsInit": 60_000})
    assert [one.code for one in open_tokens(deadlines=Deadlines(look=2)).read().failed] == ["timed_out"]
    last = [call for call in simulator.calls() if call.function == "C_FindObjectsInit"][-1]
    assert last.answer is None


def test_a_new_key_may_want_its_pin_each_time_where_the_old_one_did_not(
    simulator: Simulator, token: MadeToken, open_tokens: Open, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """The key that the token makes asks at each signature, the one before never did: it is given the PIN, not an empty one."""
    simulator.steer(always_authenticate="new", pin_tries=3)
    with opened(open_tokens, token) as session:
        old = session.private_key(spki_of(ec_key))
        made = session.generate(spki_of(ec_key), cka_id=b"n" * 20, label="safetok n")
        new = session.private_key(made)
        for key in (old, new, new):
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            key.public_key().verify(key.sign(b"x", ec.ECDSA(hashes.SHA256())), b"x", ec.ECDSA(hashes.SHA256()))
    assert [call.answer for call in simulator.calls() if call.function == "C_Login"] == [0, 0, 0]
    assert simulator.memory(token.serial).failed == 0
