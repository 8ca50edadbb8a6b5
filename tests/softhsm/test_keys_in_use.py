"""Giving a renewal up destroys the key it made, and never one that a certificate on the token needs, whatever its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from support_faults import Catalogue
from support_mail import SUBJECT, USAGE, answer_to, surroundings
from support_simulator import Simulator
from support_tokens import MadeToken, PrivateKey, SoftHsm, add_certificate, run
from support_trust import DAY, NOW, Web, ca_false, issue, key, places

from safetok import locale
from safetok.domain.certificates import Certificate
from safetok.store.journal import Journal
from safetok.tokens.proof import signs_for
from safetok.workflows.context import Context
from safetok.workflows.csr import request_by_mail
from safetok.workflows.pins import PinSource
from safetok.workflows.renew.request import RenewRequest, RenewResult
from safetok.workflows.renew.unfinished import abandon

Make = Callable[..., MadeToken]


@pytest.fixture(autouse=True)
def catalogue() -> Iterator[None]:
    """Everything said here is in the Vietnamese catalogue."""
    complete = Catalogue(locale._catalogue("vi"))
    with patch("safetok.locale._catalogue", lambda _code: complete):
        yield


def company(make_token: Make, *, private: PrivateKey, cka_id: bytes) -> tuple[MadeToken, Certificate]:
    """A token whose key and certificate have this CKA_ID."""
    old = issue(
        SUBJECT, "SAFE-CA 2024", private, key("SAFE-CA 2024"), [ca_false(), USAGE, *places()], ends=NOW + 20 * DAY
    )
    made = make_token("SAFE-CA", keys=[(private, cka_id, "key")], certificates=[(old.x509(), cka_id, "certificate")])
    return made, old


def ask(context: Context, token: MadeToken, file: Path) -> RenewResult:
    return request_by_mail(context, RenewRequest(pin=PinSource(_given=token.pin), new_key=True), file)


def give_up(context: Context, token: MadeToken, asked: RenewResult) -> RenewResult:
    return abandon(context, asked.renewal_id or "", RenewRequest(pin=PinSource(_given=token.pin)), force=True)


def signing_keys(softhsm: SoftHsm, token: MadeToken) -> int:
    """Private keys on the token, as pkcs11-tool sees them."""
    shown = run(
        *("pkcs11-tool", "--module", softhsm.module, "--token-label", token.label),
        *("--login", "--pin", token.pin, "-O", "--type", "privkey"),
    )
    return shown.count("Private Key Object")


def signs(context: Context, token: MadeToken, spki: bytes) -> bool:
    """Whether the private key of this public key is on the token and signs for it."""
    with context.tokens() as tokens, tokens.session(token.serial) as session:
        session.login(token.pin)
        key = session.private_key(spki)
        return signs_for(key, key.public_key())


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_key_whose_certificate_came_another_way_stays(
    tmp_path: Path,
    softhsm: SoftHsm,
    make_token: Make,
    rsa_key: rsa.RSAPrivateKey,
    ec_key: ec.EllipticCurvePrivateKey,
    kind: str,
) -> None:
    """The CA's own program put the certificate of a request by mail onto the token: `--abandon --force` leaves its key alone."""
    token, _old = company(make_token, private=rsa_key if kind == "rsa" else ec_key, cka_id=b"old")
    context = surroundings(tmp_path, Web())
    asked = ask(context, token, tmp_path / "request.csr")
    row = Journal(context.database).get(asked.renewal_id or "")
    new = answer_to(tmp_path / "request.csr")
    add_certificate(softhsm, token, new.x509(), cka_id=row.key_id)
    assert give_up(context, token, asked).state == "ABANDONED"
    assert signing_keys(softhsm, token) == 2
    assert signs(context, token, new.spki)
    assert Journal(context.database).get(row.id).cleaned
    context.close()


@pytest.mark.parametrize("own_label", ["no", "yes"])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_token_that_calls_every_key_the_same_keeps_the_one_in_use(
    tmp_path: Path,
    softhsm: SoftHsm,
    simulator: Simulator,
    make_token: Make,
    rsa_key: rsa.RSAPrivateKey,
    ec_key: ec.EllipticCurvePrivateKey,
    kind: str,
    own_label: str,
) -> None:
    """The token gives the new key the CKA_ID of the old one: giving up removes the new key, and the old one still signs."""
    private = rsa_key if kind == "rsa" else ec_key
    token, old = company(make_token, private=private, cka_id=b"KEY")
    simulator.steer(own_id="KEY", own_label=own_label)
    context = surroundings(tmp_path, Web())
    asked = ask(context, token, tmp_path / "request.csr")
    assert signing_keys(softhsm, token) == 2
    assert give_up(context, token, asked).state == "ABANDONED"
    assert signs(context, token, old.spki)
    assert signing_keys(softhsm, token) == 1
    context.close()
