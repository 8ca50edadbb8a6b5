"""A second PKCS#11 driver: p11-kit's client over a Unix socket, whose server forwards to SoftHSM."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from support_tokens import MadeToken, SoftHsm, spki_of, usual_id

from safetok.domain.tokens import KeyPresence
from safetok.errors import SafetokError
from safetok.tokens.drivers import DriverFile
from safetok.tokens.tokens import Tokens

Make = Callable[..., MadeToken]
CLIENT = "pkcs11/p11-kit-client.so"


@pytest.fixture
def remote(
    softhsm: SoftHsm,
    make_token: Make,
    make_certificate: Callable[..., x509.Certificate],
    rsa_key: rsa.RSAPrivateKey,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[MadeToken, DriverFile, subprocess.Popen[str]]]:
    """A token with a key and a certificate behind `p11-kit server`: the token, the client driver, the server's process."""
    client = next((path for path in Path("/usr/lib").glob(f"*/{CLIENT}")), None)
    if client is None or shutil.which("p11-kit") is None:
        pytest.fail("p11-kit's server and client are needed: apt install p11-kit p11-kit-modules")
    made = make_token("Remote", keys=[rsa_key], certificates=[make_certificate(rsa_key)])
    socket = softhsm.folder.parent / "socket"
    command = ("p11-kit", "server", "--foreground", "--sh", "-n", str(socket), "--provider", softhsm.module, "pkcs11:")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as server:
        assert server.stdout is not None
        assert "P11_KIT_SERVER_ADDRESS" in server.stdout.readline()
        monkeypatch.setenv("P11_KIT_SERVER_ADDRESS", f"unix:path={socket}")
        yield made, DriverFile(path=str(client), name=client.name, source="flag"), server
        os.killpg(server.pid, 9)


def test_another_driver_is_read_and_used_as_softhsm_is(
    open_tokens: Callable[..., Tokens],
    remote: tuple[MadeToken, DriverFile, subprocess.Popen[str]],
    rsa_key: rsa.RSAPrivateKey,
    make_certificate: Callable[..., x509.Certificate],
) -> None:
    """Reading, login, signing and writing work through a driver that gives each asker a function list of its own."""
    made, driver, _server = remote
    tokens = open_tokens(drivers=[driver])
    (token,) = tokens.read().tokens
    assert (token.info.serial, token.certificates[0].key) == (made.serial, KeyPresence.PRESENT)
    with tokens.session(made.serial) as session:
        session.login(made.pin)
        key = session.private_key(spki_of(rsa_key))
        assert isinstance(key, rsa.RSAPrivateKey)
        signature = key.sign(b"x", padding.PKCS1v15(), hashes.SHA256())
        rsa_key.public_key().verify(signature, b"x", padding.PKCS1v15(), hashes.SHA256())
        new = make_certificate(rsa_key, name="new").public_bytes(Encoding.DER)
        session.place_certificate(new, cka_id=usual_id(rsa_key), label="safetok 1")
        assert session.destroy_certificate(new, "safetok 1")


def test_a_connection_that_breaks_is_a_failure_of_its_own_driver(
    open_tokens: Callable[..., Tokens], remote: tuple[MadeToken, DriverFile, subprocess.Popen[str]]
) -> None:
    """The server's death is what a pulled token is to a driver: the session says so, and nothing hangs."""
    made, driver, server = remote
    with open_tokens(drivers=[driver]).session(made.serial) as session:
        session.login(made.pin)
        os.killpg(server.pid, 9)  # the server and its child for this connection
        with pytest.raises(SafetokError) as raised:
            session.keys()
        assert raised.value.code == "token_removed"
