"""Real tokens for every test: SoftHSM on /dev/shm, each test with its own configuration and its own tokens."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import support_simulator
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from support_pins import settle
from support_tokens import MODULES, PIN, SO_PIN, MadeToken, PrivateKey, SoftHsm, add_certificate, add_key, remove, run

from safetok.cli import globals as command_line
from safetok.locale import set_language


@pytest.fixture(autouse=True)
def spoken() -> Iterator[None]:
    """No test speaks the language that another left, or is as quiet."""
    command_line._flags.set(command_line.Flags())
    set_language(None)
    yield
    set_language(None)


@pytest.fixture(scope="session")
def softhsm_module() -> str:
    """SoftHSM's driver; the test run fails without it."""
    found = next(
        (path for path in (os.environ.get("SOFTHSM2_MODULE", ""), *MODULES) if path and Path(path).exists()), None
    )
    if found is None or shutil.which("softhsm2-util") is None or shutil.which("pkcs11-tool") is None:
        pytest.fail("SoftHSM and pkcs11-tool are needed: apt install softhsm2 opensc")
    return found


@pytest.fixture
def softhsm(softhsm_module: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """An empty SoftHSM of this test's own, on /dev/shm, named by SOFTHSM2_CONF and SAFETOK_MODULE."""
    folder = Path(tempfile.mkdtemp(prefix="safetok-test-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    tokens = folder / "tokens"
    tokens.mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    monkeypatch.setenv("SAFETOK_MODULE", softhsm_module)
    yield SoftHsm(module=softhsm_module, folder=tokens, configuration=configuration)
    remove(folder)


@pytest.fixture
def make_token(softhsm: SoftHsm) -> Callable[..., MadeToken]:
    """`make_token(label, certificates=…, keys=…, serial=…, pin=…)`: a token with these objects.

    Each certificate or key is an object, or (object, CKA_ID, label); without an ID a key and its certificate share one.
    """

    def made(
        label: str = "Test",
        *,
        certificates: Sequence[Any] = (),
        keys: Sequence[Any] = (),
        serial: str | None = None,
        pin: str = PIN,
    ) -> MadeToken:
        before = set(softhsm.folder.iterdir())
        run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", SO_PIN)
        (folder,) = set(softhsm.folder.iterdir()) - before
        # SoftHSM derives the serial from the end of the folder's name (a UUID) and keeps it in token.object.
        own = (folder.name.replace("-", "")[16:]).encode()
        if serial is not None:
            file = folder / "token.object"
            content = file.read_bytes()
            assert content.count(own) == 1, "SoftHSM keeps the serial elsewhere now"
            file.write_bytes(content.replace(own, serial.encode().ljust(16)))
            own = serial.encode()
        token = MadeToken(serial=own.decode(), label=label, pin=pin, folder=folder)
        for item in keys:
            add_key(softhsm, token, *(item if isinstance(item, tuple) else (item,)))
        for item in certificates:
            add_certificate(softhsm, token, *(item if isinstance(item, tuple) else (item,)))
        return token

    return made


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    """One RSA-2048 key for the whole run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def other_rsa_key() -> rsa.RSAPrivateKey:
    """A second one."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def ec_key() -> ec.EllipticCurvePrivateKey:
    """One P-256 key for the whole run."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def make_certificate() -> Callable[..., x509.Certificate]:
    """`make_certificate(key, name=…, mst=…, serial=…, not_before=…, days=…)`: a self-signed certificate shaped like a company's."""

    def made(
        key: PrivateKey,
        *,
        name: str = "CÔNG TY TNHH THỬ NGHIỆM",
        mst: str = "0100109106",
        serial: int | None = None,
        not_before: dt.datetime | None = None,
        days: int = 365,
    ) -> x509.Certificate:
        start = not_before or dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.USER_ID, f"MST:{mst}"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            ]
        )
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + dt.timedelta(days=days))
            .sign(key, hashes.SHA256())
        )

    return made


@pytest.fixture
def token(
    make_token: Callable[..., MadeToken],
    ec_key: ec.EllipticCurvePrivateKey,
    make_certificate: Callable[..., x509.Certificate],
    tmp_path: Path,
) -> MadeToken:
    """A company's token; the settings of the home in this test's folder know its CA."""
    certificate = make_certificate(ec_key)
    settle(tmp_path / "home", certificate)
    return make_token("Company", certificates=[certificate], keys=[ec_key])


@pytest.fixture(scope="session")
def simulator_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver simulator, compiled."""
    return support_simulator.build(tmp_path_factory.mktemp("simulator"))


@pytest.fixture
def simulator(softhsm: SoftHsm, simulator_module: Path, monkeypatch: pytest.MonkeyPatch) -> support_simulator.Simulator:
    """The driver simulator over this test's SoftHSM, named by SAFETOK_MODULE instead of it; it forwards until it is steered."""
    made = support_simulator.Simulator(simulator_module, softhsm.folder.parent / "simulator.conf")
    made.steer(forward=softhsm.module)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made
