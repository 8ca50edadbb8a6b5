"""What one wrong answer of a driver costs: at each call where an answer may be wrong, one clear failure and nothing else."""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from support_simulator import Simulator
from support_tokens import MadeToken, SoftHsm, run, spki_of

from safetok.domain.times import system_clock
from safetok.domain.tokens import KeyPresence, Reading
from safetok.errors import DriverFailed, NotTrusted
from safetok.store.database import Database
from safetok.store.pins import PinLog
from safetok.tokens.drivers import DriverFile
from safetok.tokens.pin_guard import PinGuard
from safetok.tokens.tokens import Deadlines, Tokens

Make = Callable[..., MadeToken]
Open = Callable[..., Tokens]
TOO_SMALL, HANDLE_INVALID, OF_A_VENDOR = "0x150", "0x82", "0x80000001"


def keys_of(softhsm: SoftHsm, token: MadeToken) -> list[str]:
    """The key objects that pkcs11-tool sees after a login."""
    listed = run(
        *("pkcs11-tool", "--module", softhsm.module, "--token-label", token.label, "--login", "--pin", token.pin, "-O")
    )
    return [line.split(" Object")[0] for line in listed.splitlines() if "Key Object" in line]


def whole(reading: Reading, token: MadeToken) -> None:
    """The token, its certificate and its key are there, and no driver failed."""
    assert reading.failed == ()
    (one,) = reading.tokens
    (stored,) = one.certificates
    assert (one.info.serial, stored.key) == (token.serial, KeyPresence.PRESENT)


# --- looking -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "answer"),
    [
        (["C_Initialize 1 return DEVICE_ERROR"], "C_Initialize: DEVICE_ERROR"),
        (["C_GetSlotList 2 return GENERAL_ERROR"], "C_GetSlotList: GENERAL_ERROR"),
        ([f"C_GetSlotList {n} return {TOO_SMALL}" for n in range(2, 18, 2)], "C_GetSlotList: BUFFER_TOO_SMALL"),
    ],
)
def test_a_driver_that_cannot_list_is_named_with_its_answer(
    simulator: Simulator, token: MadeToken, open_tokens: Open, faults: list[str], answer: str
) -> None:
    """A driver that does not begin, or whose list of slots never comes whole, is one failed driver with the call and its answer."""
    simulator.steer(faults=faults)
    reading = open_tokens().read()
    assert reading.tokens == ()
    assert [(one.driver, one.code, one.detail) for one in reading.failed] == [(str(simulator.module), "pkcs11", answer)]


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("int C_GetFunctionList(void **list) { *list = 0; return 5; }", "C_GetFunctionList: GENERAL_ERROR"),
        ("int C_GetFunctionList(void **list) { *list = 0; return 0; }", "C_GetFunctionList: 0x0"),
        (
            "static void *none[70]; int C_GetFunctionList(void **list) { *list = none; return 0; }",
            "C_Initialize: FUNCTION_NOT_SUPPORTED",
        ),
    ],
)
def test_a_library_that_is_no_whole_driver_is_named(
    softhsm: SoftHsm, open_tokens: Open, tmp_path: Path, source: str, answer: str
) -> None:
    """No list of functions, or one with nothing in it: a failed driver, no crash."""
    library = tmp_path / "driver.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)], input=source, text=True, check=True)
    driver = DriverFile(path=str(library), name=library.name, source="flag")
    reading = open_tokens(drivers=[driver]).read()
    assert [(one.code, one.detail) for one in reading.failed] == [("pkcs11", answer)]


def test_a_list_that_grew_meanwhile_is_asked_for_again(
    simulator: Simulator, token: MadeToken, open_tokens: Open
) -> None:
    """BUFFER_TOO_SMALL between the two calls of a listing: a token came in just then, and all are shown."""
    simulator.steer(faults=[f"C_GetSlotList 2 return {TOO_SMALL}"])
    whole(open_tokens().read(), token)


@pytest.mark.parametrize(
    ("answer", "failed"), [("GENERAL_ERROR", ["GENERAL_ERROR"]), ("TOKEN_NOT_PRESENT", []), ("DEVICE_REMOVED", [])]
)
def test_a_slot_that_cannot_be_asked_costs_its_own_row(
    simulator: Simulator, token: MadeToken, make_token: Make, open_tokens: Open, answer: str, failed: list[str]
) -> None:
    """One of two tokens does not tell about itself: named as a failure unless it has only just gone; the other one is shown."""
    make_token("Other")
    simulator.steer(faults=[f"C_GetTokenInfo 1 return {answer}"])
    reading = open_tokens().read()
    assert [one.detail for one in reading.failed] == failed
    assert len(reading.tokens) == 1


def test_a_token_whose_objects_cannot_be_listed_is_shown_and_named(
    simulator: Simulator, token: MadeToken, open_tokens: Open
) -> None:
    """A session that cannot be opened, or a search that fails: the token is in the list, and the failure says whose it is."""
    for fault in ("C_OpenSession 1 return SESSION_COUNT", "C_FindObjectsInit 1 return GENERAL_ERROR"):
        simulator.forget()
        simulator.steer(faults=[fault])
        reading = open_tokens().read()
        assert [one.info.serial for one in reading.tokens] == [token.serial]
        assert [one.detail for one in reading.failed] == [f"{token.serial}: {fault.split()[-1]}"]


def test_keys_that_cannot_be_listed_are_not_known(simulator: Simulator, token: MadeToken, open_tokens: Open) -> None:
    """Searches for keys fail: the certificate is shown all the same, and its key is unknown, not absent."""
    simulator.steer(faults=[f"C_FindObjectsInit {n} return GENERAL_ERROR" for n in (2, 3)])
    reading = open_tokens().read()
    (stored,) = reading.tokens[0].certificates
    assert (stored.key, reading.failed) == (KeyPresence.UNKNOWN, ())


def test_attributes_that_do_not_come_together_are_read_one_by_one(
    simulator: Simulator, token: MadeToken, open_tokens: Open
) -> None:
    """A driver that refuses to give several attributes at once gives each alone; the reading is the same."""
    simulator.steer(faults=["C_GetAttributeValue 1 return GENERAL_ERROR"])
    whole(open_tokens().read(), token)


def test_a_certificate_that_cannot_be_read_is_counted(
    simulator: Simulator, token: MadeToken, open_tokens: Open
) -> None:
    """Neither together nor alone: one unreadable object on a token that is shown."""
    simulator.steer(faults=[f"C_GetAttributeValue {n} return GENERAL_ERROR" for n in (1, 2)])
    (one,) = open_tokens().read().tokens
    assert (one.certificates, one.unreadable) == ((), 1)


def test_a_certificate_longer_than_usual_is_read_whole(
    make_token: Make, open_tokens: Open, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """A certificate of 4.5 kB: more than one call has room for."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CÔNG TY DÀI")])
    long = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(ec_key.public_key())
        .serial_number(7)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04" * 4300), critical=False)
        .sign(ec_key, hashes.SHA256())
    )
    make_token("Long", keys=[ec_key], certificates=[long])
    (stored,) = open_tokens().read().tokens[0].certificates
    assert stored.certificate.der == long.public_bytes(Encoding.DER)


@pytest.mark.parametrize("call", [3, 4])
def test_a_second_look_does_without_knowing_the_kind_of_slots(
    simulator: Simulator, token: MadeToken, open_tokens: Open, call: int
) -> None:
    """The driver does not say whether its slots are readers: it is started afresh, and the token is there as before."""
    simulator.steer(faults=[f"C_GetSlotList {call} return GENERAL_ERROR"])
    tokens = open_tokens()
    whole(tokens.read(), token)
    whole(tokens.read(), token)
    assert simulator.count("C_Initialize") == 2


# --- using ---------------------------------------------------------------------------------------------------------------


def test_a_token_pulled_out_while_it_is_opened_is_not_in(
    simulator: Simulator, token: MadeToken, open_tokens: Open
) -> None:
    """Gone between the listing and the session: the token is named as pulled out, nothing else happens."""
    tokens = open_tokens()
    tokens.read()
    listed = simulator.count("C_GetSlotList")
    simulator.steer(faults=[f"C_GetSlotList {listed + 3} remove"])
    with pytest.raises(DriverFailed) as raised:
        tokens.session(token.serial)
    assert (raised.value.code, raised.value.token) == ("token_removed", token.serial)
    assert simulator.count("C_Login") == 0


@pytest.mark.parametrize("call", [1, 2])
def test_a_token_that_does_not_tell_its_mechanisms_signs(
    simulator: Simulator, make_token: Make, open_tokens: Open, rsa_key: rsa.RSAPrivateKey, call: int
) -> None:
    """Without a list of mechanisms the usual way of signing is tried, and works."""
    made = make_token("Rsa", keys=[rsa_key])
    simulator.steer(faults=[f"C_GetMechanismList {call} return GENERAL_ERROR"])
    with open_tokens().session(made.serial) as session:
        session.login(made.pin)
        key = session.private_key(spki_of(rsa_key))
        assert isinstance(key, rsa.RSAPrivateKey)
        signature = key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())
    rsa_key.public_key().verify(signature, b"x", padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize("always", [None, "yes"])
def test_a_mechanism_that_is_listed_and_refused_is_done_without(
    simulator: Simulator, make_token: Make, open_tokens: Open, rsa_key: rsa.RSAPrivateKey, always: str | None
) -> None:
    """MECHANISM_INVALID to hash-and-sign: the digest is signed instead, by a key that wants its PIN each time too."""
    made = make_token("Rsa", keys=[rsa_key])
    simulator.steer(faults=["C_SignInit 1 return MECHANISM_INVALID"], always_authenticate=always)
    with open_tokens().session(made.serial) as session:
        session.login(made.pin)
        key = session.private_key(spki_of(rsa_key))
        assert isinstance(key, rsa.RSAPrivateKey)
        signature = key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())
    rsa_key.public_key().verify(signature, b"x", padding.PKCS1v15(), hashes.SHA256())


def test_a_key_that_somebody_deleted_meanwhile_signs_nothing(
    simulator: Simulator, token: MadeToken, softhsm: SoftHsm, open_tokens: Open, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """Another program removes the private key between the look and the signature: told as the answer it is, nothing signed."""
    with open_tokens().session(token.serial) as session:
        session.login(token.pin)
        key = session.private_key(spki_of(ec_key))
        run(
            *("pkcs11-tool", "--module", softhsm.module, "--token-label", token.label, "--login", "--pin", token.pin),
            *("--delete-object", "--type", "privkey", "--label", "key"),
        )
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        with pytest.raises(DriverFailed) as raised:
            key.sign(b"x", ec.ECDSA(hashes.SHA256()))
    assert "HANDLE_INVALID" in raised.value.message
    assert simulator.count("C_Sign") == 0


def test_a_key_that_is_gone_when_it_is_to_be_destroyed_is_no_failure(
    simulator: Simulator, token: MadeToken, open_tokens: Open, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """OBJECT_HANDLE_INVALID to a removal: what was to go is gone; nothing is counted as removed here."""
    with open_tokens().session(token.serial) as session:
        session.login(token.pin)
        session.generate(spki_of(ec_key), cka_id=b"n" * 20, label="safetok n")
        simulator.steer(faults=[f"C_DestroyObject 1 return {HANDLE_INVALID}"])
        assert session.destroy_keys(b"n" * 20) == 1
        assert session.destroy_keys(b"n" * 20) == 1
        assert session.destroy_keys(b"n" * 20) == 0


def test_a_vendor_s_own_answer_is_told_by_its_number(
    simulator: Simulator,
    token: MadeToken,
    open_tokens: Open,
    ec_key: ec.EllipticCurvePrivateKey,
    make_certificate: Callable[..., x509.Certificate],
) -> None:
    """An answer that the standard does not know is repeated as it is, so that the vendor can be asked."""
    der = make_certificate(ec_key, name="new").public_bytes(Encoding.DER)
    simulator.steer(faults=[f"C_CreateObject 1 return {OF_A_VENDOR}"])
    with open_tokens().session(token.serial) as session:
        session.login(token.pin)
        with pytest.raises(NotTrusted) as raised:
            session.place_certificate(der, cka_id=b"1", label="new")
    assert raised.value.code == "write_failed"
    assert OF_A_VENDOR in raised.value.message


def test_a_key_that_could_be_copied_out_is_destroyed_again(
    simulator: Simulator, token: MadeToken, softhsm: SoftHsm, open_tokens: Open, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """A token that does not show of a new key that it can never leave it: 10, and the pair is gone again."""
    before = keys_of(softhsm, token)
    with open_tokens().session(token.serial) as session:
        session.login(token.pin)
        made = simulator.count("C_GetAttributeValue") + 4  # python-pkcs11's own look at the new pair
        simulator.steer(faults=[f"C_GetAttributeValue {made + n} return GENERAL_ERROR" for n in range(1, 6)])
        with pytest.raises(NotTrusted) as raised:
            session.generate(spki_of(ec_key), cka_id=b"a" * 20, label="safetok a")
    assert raised.value.code == "weak_protection"
    assert keys_of(softhsm, token) == before


def test_a_new_key_that_is_not_shown_is_no_success(
    simulator: Simulator, token: MadeToken, open_tokens: Open, ec_key: ec.EllipticCurvePrivateKey
) -> None:
    """The token made a pair and does not show its public half: 10; nothing is asked for with a key nobody has seen."""
    with open_tokens().session(token.serial) as session:
        session.login(token.pin)
        looks = simulator.count("C_FindObjectsInit")
        simulator.steer(faults=[f"C_FindObjectsInit {looks + 2} return GENERAL_ERROR"])
        with pytest.raises(NotTrusted) as raised:
            session.generate(spki_of(ec_key), cka_id=b"a" * 20, label="safetok a")
    assert (raised.value.code, raised.value.data["ckr"]) == ("write_failed", "unreadable_public_key")


@pytest.mark.parametrize("fault", ["return DEVICE_ERROR", "return GENERAL_ERROR", "remove", "hang", "crash"])
def test_a_failure_after_the_login_is_no_wrong_try(
    simulator: Simulator, token: MadeToken, open_tokens: Open, tmp_path: Path, fault: str
) -> None:
    """The PIN has opened the token, and its keys cannot be read then: that login is in the log as the good one it was."""
    with Database(tmp_path / "state.db") as database:
        log = PinLog(database)
        tokens = open_tokens(deadlines=Deadlines(look=1))
        tokens.read()
        with tokens.session(token.serial) as session:
            log.finish(log.begin(token.serial, "login", system_clock()), "wrong")
            simulator.steer(faults=[f"C_FindObjectsInit {simulator.count('C_FindObjectsInit') + 1} {fault}"])
            PinGuard(log, system_clock).login(session, token.pin)
            with pytest.raises(DriverFailed):
                session.keys()
        assert simulator.count("C_Login") == 1
        assert log.count(token.serial) == 0
