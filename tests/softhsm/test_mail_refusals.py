"""A request or a certificate by mail where it cannot be: each refusal with its code, before a PIN or with the request kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from support_mail import ISSUER, OLD, answer, surroundings
from support_tokens import MadeToken, SoftHsm, run
from support_trust import Web, key

from safetok.domain.certificates import Certificate
from safetok.errors import SafetokError
from safetok.store.journal import Journal
from safetok.workflows.context import Context
from safetok.workflows.csr import request_by_mail
from safetok.workflows.install import install
from safetok.workflows.pins import PinSource
from safetok.workflows.renew.request import RenewRequest

Make = Callable[..., MadeToken]


@pytest.fixture
def token(make_token: Make) -> MadeToken:
    """The company's token, with its key and its old certificate."""
    return make_token("SAFE-CA", keys=[key("company")], certificates=[OLD.x509()])


@pytest.fixture
def context(tmp_path: Path, softhsm: SoftHsm) -> Any:
    made = surroundings(tmp_path, Web())
    yield made
    made.close()


def source(token: MadeToken | None) -> PinSource:
    return PinSource(_given=token.pin if token else None, keyring=False)


def refused(work: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(SafetokError) as raised:
        work()
    assert raised.value.message
    return int(raised.value.exit_status), raised.value.code


def asked(context: Context, file: Path, token: MadeToken | None = None, **more: Any) -> tuple[int, str]:
    return refused(lambda: request_by_mail(context, RenewRequest(pin=source(token), **more), file))


def pem(place: Path, *certificates: Certificate) -> Path:
    place.write_bytes(b"".join(c.x509().public_bytes(Encoding.PEM) for c in certificates))
    return place


def test_a_ca_that_could_not_be_checked_later_is_not_asked(context: Context, token: MadeToken, tmp_path: Path) -> None:
    """No settings name the issuer: 11 with where to write it; no PIN, no file."""
    context.settings.authorities.clear()
    assert asked(context, tmp_path / "r.pem") == (11, "authority_unknown")
    assert not (tmp_path / "r.pem").exists()


def test_a_token_without_a_number_makes_no_request(context: Context, token: MadeToken, tmp_path: Path) -> None:
    """A blank Token ID: 2, named."""
    file = token.folder / "token.object"
    file.write_bytes(file.read_bytes().replace(token.serial.encode(), b" " * 16))
    assert asked(context, tmp_path / "r.pem") == (2, "token_without_serial")


def test_a_certificate_whose_key_is_elsewhere_makes_no_request(
    context: Context, token: MadeToken, softhsm: SoftHsm, tmp_path: Path
) -> None:
    """The key is not on this token: 11, before the PIN."""
    tool = ("pkcs11-tool", "--module", softhsm.module, "--token-label", token.label, "--login", "--pin", token.pin)
    for kind in ("privkey", "pubkey"):
        run(*tool, "--delete-object", "--type", kind, "--label", "key")
    run(*tool, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "77", "--label", "other")
    assert asked(context, tmp_path / "r.pem") == (11, "key_absent")


def test_a_request_that_cannot_be_written_is_kept(context: Context, token: MadeToken, tmp_path: Path) -> None:
    """A name too long for the disk: 2, before the PIN where it can be known; under another name the same one is written."""
    assert asked(context, tmp_path / f"{'r' * 300}.pem") == (2, "file_not_written")
    assert Journal(context.database).unfinished(token.serial) == []
    assert asked(context, tmp_path / f"{'r' * 250}.pem", token) == (2, "file_not_written")
    (waiting,) = Journal(context.database).unfinished(token.serial)
    request_by_mail(context, RenewRequest(pin=source(token)), tmp_path / "r.pem")
    (again,) = Journal(context.database).unfinished(token.serial)
    assert again.request == waiting.request
    assert (tmp_path / "r.pem").read_bytes().startswith(b"-----BEGIN CERTIFICATE REQUEST")


def test_a_request_beside_a_folder_that_is_gone_is_told_before_the_pin(
    context: Context,
    token: MadeToken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The folder the command runs in was removed meanwhile: 2, and nothing has been asked for."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert asked(context, Path("r.pem")) == (2, "file_not_written")
    assert Journal(context.database).unfinished(token.serial) == []


def test_a_file_that_is_nobody_s_here_is_refused(context: Context, token: MadeToken, tmp_path: Path) -> None:
    """CAs only; a key that no token here holds; a token that is not the one named: nothing is written."""
    for certificates, more, ends in (
        ([ISSUER], {}, (2, "no_subscriber_certificate")),
        ([answer(public=key("stranger"))], {}, (3, "key_not_in")),
        ([answer()], {"serial": "ffffffffffffffff"}, (3, "key_not_in")),
    ):
        file = pem(tmp_path / "new.pem", *certificates)
        assert refused(lambda file=file, more=more: install(context, file, pin=source(token), **more)) == ends


def test_one_key_on_two_tokens_is_asked_about(
    context: Context, make_token: Make, token: MadeToken, tmp_path: Path
) -> None:
    """4 with the choices; --serial chooses, and a token without a number is none of them."""
    other = make_token("SAFE-CA 2", keys=[key("company")], certificates=[OLD.x509()])
    blank = make_token("SAFE-CA 3", keys=[key("company")], certificates=[OLD.x509()])
    file = blank.folder / "token.object"
    file.write_bytes(file.read_bytes().replace(blank.serial.encode(), b" " * 16))
    new = pem(tmp_path / "new.pem", answer())
    with pytest.raises(SafetokError) as raised:
        install(context, new, pin=source(other))
    assert (int(raised.value.exit_status), raised.value.code) == (4, "several_tokens")
    assert {one["token"] for one in raised.value.data["choices"]} == {token.serial, other.serial}
    assert install(context, new, pin=source(other), serial=other.serial).token == other.serial


def test_what_is_on_the_token_already_is_not_written_again(context: Context, token: MadeToken, tmp_path: Path) -> None:
    """The same file twice: nothing due the second time, and how to take it over; no PIN."""
    new = pem(tmp_path / "new.pem", answer())
    assert install(context, new, pin=source(token)).state == "DONE"
    again = install(context, new, pin=source(None))
    assert (again.state, bool(again.reasons)) == ("NOTHING_DUE", True)
