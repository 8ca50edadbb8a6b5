"""SoftHSM tokens for measurements, on a file system in memory: each with one RSA key and one certificate of a made-up company."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "123456"


@dataclass(frozen=True, slots=True)
class Tokens:
    """A folder of tokens and the environment in which every tool here, safetok too, sees these and no other."""

    folder: Path
    environ: dict[str, str]


def make_tokens(folder: Path, count: int) -> Tokens:
    """`count` tokens in `folder`; raises CalledProcessError when a tool of SoftHSM or OpenSC fails."""
    (folder / "tokens").mkdir()
    (folder / "home").mkdir(mode=0o700)
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SAFETOK_", "PYTHON"))},
        "SOFTHSM2_CONF": str(settings),
        "SAFETOK_MODULE": MODULE,
        "SAFETOK_HOME": str(folder / "home"),
    }
    for number in range(count):
        _fill(folder, environ, f"Benchmark {number:04d}", number)
    return Tokens(folder, environ)


def _fill(folder: Path, environ: dict[str, str], label: str, number: int) -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.USER_ID, "MST:0100109106"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"CÔNG TY TNHH ĐO LƯỜNG {number}"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
        ]
    )
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=300))
        .not_valid_after(now + dt.timedelta(days=65))
        .sign(key, hashes.SHA256())
    )
    pem, der = folder / "key.pem", folder / "certificate.der"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    der.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    cka_id = secrets.token_hex(20)

    def tool(*command: str) -> None:
        subprocess.run(command, env=environ, check=True, capture_output=True)

    tool("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", PIN)
    tool("softhsm2-util", "--import", str(pem), "--token", label, "--label", "key", "--id", cka_id, "--pin", PIN)
    write = ["--login", "--pin", PIN, "--write-object", str(der), "--type", "cert", "--id", cka_id, "--label", "cert"]
    tool("pkcs11-tool", "--module", MODULE, "--token-label", label, *write)
    pem.unlink()
    der.unlink()
