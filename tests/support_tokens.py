"""What tests do to SoftHSM tokens with other programs: make them, import keys, write certificates."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
PIN, SO_PIN = "246813", "87654321"


@dataclass(frozen=True)
class SoftHsm:
    """One test's SoftHSM: where its tokens are and which driver shows them."""

    module: str
    folder: Path
    configuration: Path

    @property
    def surroundings(self) -> dict[str, str]:
        """What a program needs to have it as its only driver."""
        return {"SAFETOK_MODULE": self.module, "SOFTHSM2_CONF": str(self.configuration)}


@dataclass(frozen=True)
class MadeToken:
    """A token that a test made."""

    serial: str
    label: str
    pin: str
    folder: Path


def spki_of(key: PrivateKey | x509.Certificate) -> bytes:
    """SubjectPublicKeyInfo of a key or certificate."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def usual_id(key: PrivateKey | x509.Certificate) -> bytes:
    """The CKA_ID that `make_token` gives where a test names none: the same for a key and its certificate."""
    return hashlib.sha1(spki_of(key), usedforsecurity=False).digest()


def run(*command: str | Path) -> str:
    """Run a tool that must succeed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def remove(folder: Path) -> None:
    """Remove a folder of tokens; a worker that is leaving may still write a last line beside them."""
    for _again in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.02)
    raise AssertionError(folder)


def add_key(
    softhsm: SoftHsm, token: MadeToken, key: PrivateKey, cka_id: bytes | None = None, label: str = "key"
) -> None:
    """Import a key pair into a token."""
    pem = token.folder.parent.parent / "key.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    cka_id = usual_id(key) if cka_id is None else cka_id
    run(
        *("softhsm2-util", "--module", softhsm.module, "--import", pem, "--serial", token.serial, "--pin", token.pin),
        *("--label", label, "--id", cka_id.hex()),
    )
    pem.unlink()


def add_certificate(
    softhsm: SoftHsm,
    token: MadeToken,
    certificate: x509.Certificate,
    cka_id: bytes | None = None,
    label: str = "certificate",
) -> None:
    """Write a certificate with pkcs11-tool."""
    der = token.folder.parent.parent / "certificate.der"
    der.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    cka_id = usual_id(certificate) if cka_id is None else cka_id
    run(
        *("pkcs11-tool", "--module", softhsm.module, "--token-label", token.label, "--login", "--pin", token.pin),
        *("--write-object", der, "--type", "cert", "--label", label),
        *(("--id", cka_id.hex()) if cka_id else ()),
    )
    der.unlink()
