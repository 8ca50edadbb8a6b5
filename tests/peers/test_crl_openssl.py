from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support_trust import ca_true, issue, key

from safetok.domain.certificates import Certificate
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.times import system_clock
from safetok.trust.crl import read

CONFIGURATION = """
[ca]
default_ca = one
[one]
database = {folder}/index.txt
crlnumber = {folder}/crlnumber
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
default_crl_days = 7
crl_extensions = extensions
[extensions]
authorityKeyIdentifier = issuer:always
"""
ENTRIES = {
    "superseded": (",superseded", RevocationAnswer.REVOKED),
    "plain": ("", RevocationAnswer.REVOKED),
    "hold": (",holdInstruction,1.2.840.10040.2.1", RevocationAnswer.SUSPENDED),
    "good": (None, RevocationAnswer.GOOD),
}


@pytest.fixture(scope="module")
def certificates() -> dict[str, Certificate]:
    now = system_clock().replace(microsecond=0)
    span = {"begins": now - timedelta(days=1), "ends": now + timedelta(days=30)}
    made = {"ca": issue("SAFE-CA", "SAFE-CA", key("SAFE-CA"), key("SAFE-CA"), [ca_true()], **span)}
    for number, state in enumerate(ENTRIES, 0x5401010000):
        made[state] = issue(state, "SAFE-CA", key(state), key("SAFE-CA"), serial=number, **span)
    return made


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_openssl_s_lists_are_understood(tmp_path: Path, certificates: dict[str, Certificate], form: str) -> None:
    """A list made by `openssl ca -gencrl`: revoked, suspended and not named, in PEM and DER."""
    secret = key("SAFE-CA").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "ca.key").write_bytes(secret)
    (tmp_path / "ca.pem").write_bytes(certificates["ca"].x509().public_bytes(Encoding.PEM))
    (tmp_path / "crlnumber").write_text("01\n")
    then = f"{system_clock() - timedelta(hours=1):%y%m%d%H%M%SZ}"
    rows = [
        f"R\t{certificates[state].not_after:%y%m%d%H%M%SZ}\t{then}{reason}\t{certificates[state].serial}\tunknown\t/CN=x"
        for state, (reason, _expected) in ENTRIES.items()
        if reason is not None
    ]
    (tmp_path / "index.txt").write_text("\n".join(rows) + "\n")
    (tmp_path / "openssl.cnf").write_text(CONFIGURATION.format(folder=tmp_path))
    made, given = tmp_path / "list.pem", tmp_path / "list"
    for command in (
        ["openssl", "ca", "-config", tmp_path / "openssl.cnf", "-gencrl", "-out", made],
        ["openssl", "crl", "-in", made, "-outform", form, "-out", given],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for state, (_reason, expected) in ENTRIES.items():
        answer = read(given.read_bytes(), certificates[state].x509(), certificates["ca"].x509(), now=system_clock())
        assert answer.answer is expected, state
