"""What the tests of real tokens share: every driver there is for this test, opened as the program opens it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from support_tokens import MadeToken, SoftHsm

from safetok.domain.times import system_clock
from safetok.tokens.drivers import find_drivers
from safetok.tokens.tokens import Session, Tokens


@pytest.fixture
def token(
    make_token: Callable[..., MadeToken],
    ec_key: ec.EllipticCurvePrivateKey,
    make_certificate: Callable[..., x509.Certificate],
) -> MadeToken:
    """A token with an EC key and its certificate."""
    return make_token("Company", keys=[ec_key], certificates=[make_certificate(ec_key)])


@pytest.fixture
def locks(softhsm: SoftHsm) -> Path:
    """The folder of lock files."""
    return softhsm.folder.parent / "locks"


@pytest.fixture
def open_tokens(softhsm: SoftHsm, locks: Path) -> Iterator[Callable[..., Tokens]]:
    """`open_tokens(**arguments)`: a Tokens over SoftHSM, closed at the end of the test."""
    opened: list[Tokens] = []

    def made(**given: object) -> Tokens:
        drivers = find_drivers(module=None, configured=(), known=(), environ=os.environ)
        arguments = {"drivers": drivers, "locks": locks, "clock": system_clock} | given
        opened.append(Tokens(**arguments))  # type: ignore[arg-type]
        return opened[-1]

    yield made
    for tokens in opened:
        tokens.close()


@pytest.fixture
def tokens(open_tokens: Callable[..., Tokens]) -> Tokens:
    """Tokens as a command has them."""
    return open_tokens()


@pytest.fixture
def made(
    make_token: Callable[..., MadeToken],
    make_certificate: Callable[..., x509.Certificate],
    rsa_key: rsa.RSAPrivateKey,
    ec_key: ec.EllipticCurvePrivateKey,
) -> MadeToken:
    """A token with an RSA and an EC key and a certificate for each."""
    return make_token(
        "Made", keys=[rsa_key, ec_key], certificates=[make_certificate(rsa_key), make_certificate(ec_key)]
    )


@pytest.fixture
def session(tokens: Tokens, made: MadeToken) -> Iterator[Session]:
    """A session on the token `made`, logged in."""
    with tokens.session(made.serial) as opened:
        opened.login(made.pin)
        yield opened
