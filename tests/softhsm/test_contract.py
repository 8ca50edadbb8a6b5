"""What safetok needs of any PKCS#11 driver, one promise a test, held against every driver at hand.

SoftHSM, the simulator over it, and p11-kit's client over a socket; and, where SAFETOK_CONTRACT_MODULE names one, the driver of a
real token that is in: SAFETOK_CONTRACT_SERIAL and SAFETOK_CONTRACT_PIN say which and open it. There the tests write a key pair and
a certificate of their own and take them away again; they never log in with a wrong PIN.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from support_tokens import SoftHsm, spki_of

from safetok.domain.tokens import KeyPresence
from safetok.errors import NoToken, PinWrong, TokenHeld, UsageError
from safetok.tokens.drivers import DriverFile
from safetok.tokens.pin_guard import refuse_locally
from safetok.tokens.tokens import Session, Tokens

REAL = os.environ.get("SAFETOK_CONTRACT_MODULE", "")
DRIVERS = ["softhsm", "simulator", "remote", *(["real"] if REAL else [])]


@dataclass(frozen=True)
class Subject:
    """One driver with one token in: who it is and how to log in. `softhsm` is the token's maker where it is one of ours."""

    driver: DriverFile
    serial: str
    pin: str
    ours: bool


def _driver(path: str) -> DriverFile:
    return DriverFile(path=path, name=Path(path).name, source="flag")


@contextmanager
def _remote(softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """p11-kit's server over SoftHSM; the client driver that speaks to it."""
    client = next((str(path) for path in Path("/usr/lib").glob("*/pkcs11/p11-kit-client.so")), None)
    if client is None or shutil.which("p11-kit") is None:
        pytest.fail("p11-kit's server and client are needed: apt install p11-kit p11-kit-modules")
    socket = softhsm.folder.parent / "contract-socket"
    command = ("p11-kit", "server", "-f", "-n", str(socket), "--provider", softhsm.module, "pkcs11:")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        server.stdout.readline()  # it tells its address once it listens
        monkeypatch.setenv("P11_KIT_SERVER_ADDRESS", f"unix:path={socket}")
        try:
            yield client
        finally:
            server.kill()


@pytest.fixture(params=DRIVERS)
def subject(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, ec_key: Any, make_certificate: Any
) -> Iterator[Subject]:
    """The driver under contract, with a token that holds an EC key and its certificate (a real one holds what it holds)."""
    if request.param == "real":
        yield Subject(
            _driver(REAL), os.environ["SAFETOK_CONTRACT_SERIAL"], os.environ["SAFETOK_CONTRACT_PIN"], ours=False
        )
        return
    token = request.getfixturevalue("make_token")("Contract", keys=[ec_key], certificates=[make_certificate(ec_key)])
    softhsm: SoftHsm = request.getfixturevalue("softhsm")
    with ExitStack() as stack:
        path = softhsm.module
        if request.param == "simulator":
            path = str(request.getfixturevalue("simulator").module)
        if request.param == "remote":
            path = stack.enter_context(_remote(softhsm, monkeypatch))
        yield Subject(_driver(path), token.serial, token.pin, ours=True)


@pytest.fixture
def tokens(subject: Subject, open_tokens: Callable[..., Tokens]) -> Tokens:
    """The driver's tokens."""
    return open_tokens(drivers=[subject.driver])


@pytest.fixture
def session(subject: Subject, tokens: Tokens) -> Iterator[Session]:
    """A session, logged in."""
    with tokens.session(subject.serial) as opened:
        opened.login(subject.pin)
        yield opened


@pytest.fixture
def pair(session: Session, ec_key: ec.EllipticCurvePrivateKey) -> Iterator[tuple[bytes, bytes]]:
    """A key pair made on the token for this test: its CKA_ID and its public key. Destroyed afterwards."""
    cka_id = secrets.token_bytes(20)
    try:
        yield cka_id, session.generate(spki_of(ec_key), cka_id=cka_id, label="safetok contract")
    finally:
        session.destroy_keys(cka_id)


def test_a_look_needs_no_pin(subject: Subject, tokens: Tokens) -> None:
    """Serial, texts, limits and certificates are read without a login, and no driver or slot fails."""
    reading = tokens.read()
    found = next(one for one in reading.tokens if one.info.serial == subject.serial)
    assert reading.failed == ()
    assert found.info.manufacturer
    assert found.info.drivers == (subject.driver.path,)
    assert found.certificates
    assert all(stored.key is not KeyPresence.ABSENT for stored in found.certificates)


def test_the_info_tells_the_pin_s_limits(subject: Subject, tokens: Tokens) -> None:
    """A PIN that the token's own limits forbid is refused before it is sent; the right one is not."""
    with tokens.session(subject.serial) as opened:
        info = opened.info
        refuse_locally(info, subject.pin)
        if info.pin_max is not None:
            with pytest.raises(UsageError):
                refuse_locally(info, "1" * (info.pin_max + 1))


def test_a_login_shows_private_keys_and_a_logout_hides_their_use(session: Session) -> None:
    """Logged in, a private key is listed."""
    keys = session.keys()
    assert any(key.private for key in keys)


def test_a_wrong_pin_is_told_from_every_other_failure(subject: Subject, tokens: Tokens) -> None:
    """PinWrong, and the next login with the right one works. Not on a real token."""
    if not subject.ours:
        return
    with tokens.session(subject.serial) as opened:
        with pytest.raises(PinWrong):
            opened.login("999999")
        opened.login(subject.pin)
        assert opened.logged_in


def test_one_token_has_one_session_across_processes(
    subject: Subject, tokens: Tokens, open_tokens: Callable[..., Tokens]
) -> None:
    """A second run is told that the token is held; when the first has ended it gets it."""
    with tokens.session(subject.serial), pytest.raises(TokenHeld):
        open_tokens(drivers=[subject.driver]).session(subject.serial)
    with open_tokens(drivers=[subject.driver]).session(subject.serial) as opened:
        assert opened.info.serial == subject.serial


def test_an_unknown_serial_is_no_token(tokens: Tokens) -> None:
    """A serial that is not in is NoToken, not the next best."""
    with pytest.raises(NoToken):
        tokens.session("0000000000000000")


def test_a_pair_made_on_the_token_signs_what_its_public_key_verifies(
    session: Session, pair: tuple[bytes, bytes]
) -> None:
    """Generated on the token, found by CKA_ID with both halves, and it signs."""
    cka_id, spki = pair
    keys = session.keys()
    (made,) = [key for key in keys if key.cka_id == cka_id]
    assert (made.spki, made.private, made.public) == (spki, True, True)
    key = session.private_key(spki)
    public = load_der_public_key(spki)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(key.sign(b"x", ec.ECDSA(hashes.SHA256())), b"x", ec.ECDSA(hashes.SHA256()))


def test_a_certificate_goes_beside_the_others_and_reads_back(
    session: Session,
    pair: tuple[bytes, bytes],
    make_certificate: Callable[..., x509.Certificate],
    ec_key: ec.EllipticCurvePrivateKey,
) -> None:
    """Written with ID and label, read back byte for byte, removed alone."""
    cka_id, _spki = pair
    der = make_certificate(ec_key, name="contract").public_bytes(Encoding.DER)
    before = session.certificates()
    session.place_certificate(der, cka_id=cka_id, label="safetok contract")
    try:
        found = session.find_certificate(der)
        assert found is not None
        assert (found.cka_id, found.label) == (cka_id, "safetok contract")
        assert len(session.certificates()) == len(before) + 1
    finally:
        assert session.destroy_certificate(der, "safetok contract")
    assert session.certificates() == before


def test_what_is_destroyed_is_gone_and_nothing_else(session: Session, ec_key: ec.EllipticCurvePrivateKey) -> None:
    """destroy_keys takes both halves of one ID; a second time there is nothing to take."""
    before = session.keys()
    cka_id = secrets.token_bytes(20)
    session.generate(spki_of(ec_key), cka_id=cka_id, label="safetok contract")
    assert session.destroy_keys(cka_id) == 2
    assert session.destroy_keys(cka_id) == 0
    assert session.keys() == before


@pytest.mark.parametrize("scheme", ["pkcs1", "pss"])
def test_rsa_signs_both_ways(
    request: pytest.FixtureRequest, subject: Subject, tokens: Tokens, rsa_key: rsa.RSAPrivateKey, scheme: str
) -> None:
    """An imported RSA key signs PKCS#1 v1.5 and PSS. Not on a real token, whose key is its owner's."""
    if not subject.ours:
        return
    made = request.getfixturevalue("make_token")("Rsa", keys=[rsa_key])
    way = padding.PKCS1v15() if scheme == "pkcs1" else padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    tokens.read()
    with tokens.session(made.serial) as opened:
        opened.login(made.pin)
        key = opened.private_key(spki_of(rsa_key))
        assert isinstance(key, rsa.RSAPrivateKey)
        rsa_key.public_key().verify(key.sign(b"x", way, hashes.SHA256()), b"x", way, hashes.SHA256())
