from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import NameOID
from support_cli import Cli
from support_issued import issued
from support_tokens import PIN, MadeToken, SoftHsm, run

from safetok.cli import conformance
from safetok.store.paths import home

OLD, NEW, OTHER = "54010108096D8A02E2F22CE98BD7168E", "54010108AAAA", "54010108BBBB"
AGENCIES = ("tvan", "etax", "ivan", "bhxh", "ixhd", "vnaccs", "v5")


@pytest.fixture
def cli(simulator: Any, tmp_path: Path) -> Cli:
    """The command line with the simulator as its driver and a home of its own."""
    return Cli({"SAFETOK_HOME": str(tmp_path / "home"), **simulator.surroundings})


@pytest.fixture
def renewed(make_token: Callable[..., MadeToken], rsa_key: Any) -> MadeToken:
    """A token with an old and a new certificate of one key, and one of another company that uses the same key."""
    new = issued(rsa_key, serial=int(NEW, 16), start=datetime(2026, 1, 1, tzinfo=UTC), days_left=700)
    other = issued(rsa_key, serial=int(OTHER, 16), name="CÔNG TY KHÁC", mst="0106323762", days_left=100)
    return make_token("Kho A", certificates=[issued(rsa_key), new, other], keys=[rsa_key])


def settled(cli: Cli) -> None:
    """Every agency accepted the new certificate, or is not used."""
    assert cli("certs", "adopt", "--cert", NEW, "--yes").status == 0
    assert cli("agencies", "skip", *(one for one in AGENCIES if one != "bhxh"), "--cert", NEW).status == 0
    assert cli("agencies", "done", "bhxh", "--cert", NEW).status == 0
    assert cli("agencies", "accepted", "bhxh", "--cert", NEW).status == 0


def _ca_known(cli: Cli, key: Any) -> None:
    """The settings name the CA that signed the token's certificates."""
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SAFE-CA SHA-256 2020")])
    made = (
        x509.CertificateBuilder(named, named, key.public_key(), 1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    place = home(cli.env)
    (place.state / "ca.pem").write_bytes(made.public_bytes(Encoding.PEM))
    place.settings.write_text('[authorities.safe-ca]\nissuers = ["ca.pem"]\nanchors = ["ca.pem"]\n')


def on_token(cli: Cli) -> set[str]:
    return {one["serial"] for one in cli.json("certs", "list").data["certificates"]}


def fingerprint(folder: Path) -> str:
    """Every file below it, by name and content."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(("-shm", "-wal", ".lock")):
            found.update(str(path).encode() + path.read_bytes())
    return found.hexdigest()


def test_nothing_is_removed_before_every_agency_is_done(cli: Cli, simulator: Any, renewed: MadeToken) -> None:
    """Until each registration is accepted or unused it says what is missing and by which command, and nobody logs in."""
    said = cli.json("certs", "prune")
    conformance.check(said.envelope)
    (row,) = said.data["certificates"]
    assert (row["cert"], row["successor"], row["state"]) == (OLD, NEW, "kept")
    assert [one["code"] for one in row["missing"]] == ["not_adopted"]
    assert cli("certs", "adopt", "--cert", NEW, "--yes").status == 0
    refused = cli.json("certs", "prune", OLD, "--pin-stdin", stdin=f"{PIN}\n")
    assert (refused.status, refused.codes) == (11, ["prune_refused"])
    assert f"safetok agencies list --cert {NEW}" in refused.envelope["errors"][0]["hint"]
    assert "Hải quan (VNACCS)" in cli("certs", "prune").out
    assert cli("agencies", "skip", *AGENCIES[:-1], "--cert", NEW).status == 0
    assert cli.json("certs", "prune", OLD, "--pin-stdin", stdin=f"{PIN}\n").status == 11
    assert simulator.count("C_Login") == 0
    assert OLD in on_token(cli)
    assert renewed.serial == row["token"]


def test_the_old_certificate_goes_and_everything_else_stays(
    cli: Cli, renewed: MadeToken, rsa_key: Any, softhsm: SoftHsm, tmp_path: Path
) -> None:
    """Named by its serial it is exported with the chain that is known, then removed; keys and every other certificate stay, and
    the log holds no PIN.
    """
    settled(cli)
    _ca_known(cli, rsa_key)
    assert cli.json("certs", "prune").data["certificates"][0]["state"] == "removable"
    log = tmp_path / "log"
    said = cli.json(*("certs", "prune", OLD, "--pin-stdin", "-vv", "--log-file", str(log)), stdin=f"{PIN}\n")
    assert said.status == 0, said.err
    conformance.check(said.envelope)
    (row,) = said.data["certificates"]
    assert row["state"] == "removed"
    (cer,) = [Path(file) for file in row["files"] if file.endswith(".cer")]
    assert x509.load_der_x509_certificate(cer.read_bytes()).serial_number == int(OLD, 16)
    chain, p7b = (next(Path(f) for f in row["files"] if f.endswith(end)).read_bytes() for end in ("_chain.pem", ".p7b"))
    for whole in (x509.load_pem_x509_certificates(chain), pkcs7.load_der_pkcs7_certificates(p7b)):
        assert {one.serial_number for one in whole} == {int(OLD, 16), 1}
    assert on_token(cli) == {NEW, OTHER}
    listed = run(
        *("pkcs11-tool", "--module", softhsm.module, "--token-label", renewed.label, "--login", "--pin", PIN, "-O")
    )
    assert listed.count("Private Key Object") == 1
    assert listed.count("Public Key Object") == 1
    assert listed.count("Certificate Object") == 2
    assert f"CTS {OLD} của CÔNG TY TNHH THỬ NGHIỆM" in said.err
    for text in (log.read_text("utf-8"), said.err):
        assert PIN not in text
    assert "driver " in log.read_text("utf-8")
    again = cli.json("certs", "prune", OLD, "--pin-stdin", stdin=f"{PIN}\n")
    assert (again.status, again.codes) == (3, ["no_such_certificate"])
    assert cli.json("certs", "prune").data["certificates"] == []


def test_a_dry_run_touches_nothing(cli: Cli, simulator: Any, renewed: MadeToken, tmp_path: Path) -> None:
    """It says what it would do; no login, no file, token and home as before."""
    settled(cli)
    cli("status")
    before = fingerprint(renewed.folder), fingerprint(tmp_path / "home")
    said = cli.json("certs", "prune", OLD, "--dry-run")
    assert (said.status, said.data["certificates"][0]["state"]) == (0, "would_remove")
    assert (fingerprint(renewed.folder), fingerprint(tmp_path / "home")) == before
    assert simulator.count("C_Login") == 0
    shown = cli("certs", "prune", OLD, "--dry-run").out
    assert "Chạy thử" in shown
    for file in map(Path, said.data["certificates"][0]["files"]):
        assert file.name in shown
        assert f"\n  {file.parent}\n" in shown
        assert not file.exists()


def test_the_certificate_in_use_is_never_removed(cli: Cli, simulator: Any, renewed: MadeToken) -> None:
    """The newest certificate of a holder is refused by name, whatever its agencies say; so is another company's."""
    settled(cli)
    for serial in (NEW, OTHER):
        said = cli.json("certs", "prune", serial, "--serial", renewed.serial, "--pin-stdin", stdin=f"{PIN}\n")
        assert (said.status, said.codes) == (11, ["not_superseded"])
    assert simulator.count("C_Login") == 0


def test_a_wrong_pin_costs_one_try_and_removes_nothing(cli: Cli, renewed: MadeToken) -> None:
    """A wrong PIN ends 5, is counted, and the certificate stays."""
    settled(cli)
    said = cli.json("certs", "prune", OLD, "--pin-stdin", stdin="975310\n")
    assert said.status == 5
    (token,) = cli.json("tokens").data["tokens"]
    assert (token["serial"], token["pin_tries_spent"]) == (renewed.serial, 1)
    assert OLD in on_token(cli)


def test_another_run_that_holds_the_token_comes_first(
    cli: Cli, renewed: MadeToken, softhsm: SoftHsm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another run has the token's lock it ends 16 before any PIN."""
    from safetok.tokens.drivers import find_drivers
    from safetok.tokens.tokens import Tokens

    settled(cli)
    drivers = find_drivers(module=softhsm.module, configured=(), known=(), environ=os.environ)
    locks = tmp_path / "home" / "locks"
    with Tokens(drivers, locks=locks, clock=lambda: datetime.now(UTC)) as tokens, tokens.session(renewed.serial):
        said = cli.json("certs", "prune", OLD, "--pin-stdin", stdin=f"{PIN}\n")
    assert said.status == 16
    assert OLD in on_token(cli)


def test_a_newer_one_without_its_key_replaces_nothing(
    cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any, other_rsa_key: Any
) -> None:
    """Where the newer certificate's key is not on the token, the older one stays though every agency is done."""
    new = issued(other_rsa_key, serial=int(NEW, 16), start=datetime(2026, 1, 1, tzinfo=UTC), days_left=700)
    make_token("Kho A", certificates=[issued(rsa_key), new], keys=[rsa_key])
    settled(cli)
    said = cli.json("certs", "prune", OLD, "--pin-stdin", stdin=f"{PIN}\n")
    assert said.status == 11
    assert OLD in on_token(cli)
    assert "key_missing" in [one["code"] for one in said.data["missing"]]
