"""The judge of the fault matrices: what is on the token by pkcs11-tool, what the CA issued by its ledger, what was kept by SQLite.

Nothing here asks safetok.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from support_stage import Case

_DATA = b"what the judge has the token sign"


@dataclass(frozen=True)
class Object:
    """One object of a token's list."""

    kind: str  # "Certificate" | "Public Key" | "Private Key"
    label: str
    id: str


class Token:
    """A case's token as pkcs11-tool sees it, over SoftHSM itself."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._environment = {**os.environ, "SOFTHSM2_CONF": str(case.folder / "softhsm2.conf")}

    def tool(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = ["pkcs11-tool", "--module", str(self._case.stage.softhsm), "--login", "--pin", self._case.company.pin]
        return subprocess.run([*command, *words], env=self._environment, capture_output=True, check=False)

    @cached_property
    def objects(self) -> list[Object]:
        """Everything on it; empty when it cannot be opened any more."""
        found: list[Object] = []
        kind, fields = "", {}
        for line in [*self.tool("--list-objects").stdout.decode().splitlines(), "End Object"]:
            if head := re.match(r"(\w[\w ]*?) Object", line):
                if kind in {"Certificate", "Public Key", "Private Key"}:
                    found.append(Object(kind, fields.get("label", ""), fields.get("ID", "").lower()))
                kind, fields = head[1], {}
            else:
                name, _colon, value = line.strip().partition(":")
                fields[name] = value.strip()
        return found

    def of(self, kind: str) -> list[Object]:
        return [one for one in self.objects if one.kind == kind]

    @property
    def torn(self) -> list[Object]:
        """What SoftHSM leaves of an object when it is killed inside one call: it stores the bare object first, and what the call
        gives it only afterwards. Nobody can tell whose it is, so safetok leaves it where it is.
        """
        return [one for one in self.objects if not one.label and not one.id]

    def read(self, one: Object) -> bytes:
        """A certificate's or a public key's bytes."""
        kind = {"Certificate": "cert", "Public Key": "pubkey"}[one.kind]
        label = ("--label", one.label) if one.label else ()
        with tempfile.NamedTemporaryFile(dir=self._case.folder) as file:
            self.tool("--read-object", "--type", kind, "--id", one.id, *label, "--output-file", file.name)
            return Path(file.name).read_bytes()

    def signs(self, key_id: str, certificate: x509.Certificate) -> bool:
        """Whether the private key of this ID makes a signature that verifies under the certificate."""
        public = certificate.public_key()
        digest = hashlib.sha256(_DATA).digest()
        with tempfile.TemporaryDirectory(dir=self._case.folder) as name:
            data, signature = Path(name) / "data", Path(name) / "signature"
            is_rsa = isinstance(public, rsa.RSAPublicKey)
            data.write_bytes(_DATA if is_rsa else digest)
            how = ("SHA256-RSA-PKCS",) if is_rsa else ("ECDSA", "--signature-format", "openssl")
            self.tool(
                "--sign",
                "--id",
                key_id,
                "--input-file",
                str(data),
                "--output-file",
                str(signature),
                "--mechanism",
                *how,
            )
            made = signature.read_bytes() if signature.exists() else b""
        try:
            if isinstance(public, rsa.RSAPublicKey):
                public.verify(made, _DATA, padding.PKCS1v15(), hashes.SHA256())
            elif isinstance(public, ec.EllipticCurvePublicKey):
                public.verify(made, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        except InvalidSignature:
            return False
        return True


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def old_is_whole(case: Case) -> list[str]:
    """What is wrong with the token's old certificate and key: nothing, whatever happened."""
    token, company = Token(case), case.company
    old = [one for one in token.of("Certificate") if one.label == company.label]
    if len(old) != 1 or token.read(old[0]) != _der(company.certificate):
        return [f"the old certificate is not what it was: {token.objects}"]
    if old[0].id not in {one.id for one in token.of("Private Key")}:
        return ["the old private key is gone"]
    return [] if token.signs(old[0].id, company.certificate) else ["the old key does not sign"]


def done(
    case: Case, *, new_key: bool, mailed: bytes | None = None, agencies: int | None = None, torn: bool = False
) -> list[str]:
    """What is wrong with a renewal that ought to be done; nothing when it is.

    One new certificate paired with its key, the old intact, one issue and one confirmation, no orphan, registrations opened
    once, no PIN try spent. `mailed`: the certificate (PEM) where the CA has no ledger. `torn`: SoftHSM was killed inside a call,
    and one bare object may be left of it.
    """
    wrong = old_is_whole(case)
    token = Token(case)
    bare = token.torn if torn and len(token.torn) == 1 else []
    certificates, private, public = (
        [one for one in token.of(kind) if one not in bare] for kind in ("Certificate", "Private Key", "Public Key")
    )
    keys = 2 if new_key else 1
    if (len(private), len(public)) != (keys, keys):
        wrong.append(f"{len(private)} private and {len(public)} public keys, not {keys}")
    new = [one for one in certificates if one.label != case.company.label]
    if len(new) != 1 or len(certificates) != 2:
        return [*wrong, f"{len(certificates)} certificates, {len(new)} of them new"]
    try:
        certificate = x509.load_der_x509_certificate(token.read(new[0]))
    except ValueError:
        return [*wrong, "the new certificate cannot be read"]
    mate = next((one for one in public if one.id == new[0].id), None)
    if mate is None or mate.id not in {one.id for one in private}:
        wrong.append("the new certificate has no key of its ID")
    elif new_key and token.read(mate) != _spki(certificate):
        wrong.append("the key of the new certificate's ID is another")
    elif not token.signs(mate.id, certificate):
        wrong.append("the new certificate's key does not sign")
    wrong += _issued(case, certificate, mailed) + kept(case, certificate, agencies)
    if case.simulator.memory(case.company.serial).failed:
        wrong.append("a PIN try was spent")
    return wrong


def _issued(case: Case, certificate: x509.Certificate, mailed: bytes | None) -> list[str]:
    if mailed is not None:
        same = _der(x509.load_pem_x509_certificate(mailed)) == _der(certificate)
        return [] if same else ["the certificate on the token is not the one that was mailed"]
    serial = f"{certificate.serial_number:X}"
    states = [(row["serial"].lstrip("0"), row["state"]) for row in case.ledger]
    return [] if states == [(serial, "confirmed")] else [f"the CA's ledger: {states}, not {serial} confirmed once"]


def kept(case: Case, certificate: x509.Certificate, agencies: int | None) -> list[str]:
    """What is wrong with the rows: one renewal, DONE; each agency once, all for the new certificate."""
    rows = query(case, "SELECT state, unfinished FROM renewals")
    wrong = [] if rows == [("DONE", 0)] else [f"renewals kept: {rows}"]
    sha256 = hashlib.sha256(_der(certificate)).hexdigest()
    registered = query(case, "SELECT certificate_sha256, agency FROM registrations")
    if len(set(registered)) != len(registered) or {row[0] for row in registered} != {sha256}:
        wrong.append(f"registrations: {registered}")
    if agencies is not None and len(registered) != agencies:
        wrong.append(f"{len(registered)} registrations, not {agencies}")
    return wrong


def query(case: Case, sql: str) -> list[tuple[object, ...]]:
    """Rows of the state, read from a copy so that nothing of it is touched; none where there is no state yet."""
    if not case.database.exists():
        return []
    with tempfile.TemporaryDirectory(dir=case.folder) as folder:
        for end in ("", "-wal"):
            source = Path(f"{case.database}{end}")
            if source.exists():
                shutil.copyfile(source, f"{folder}/copy.db{end}")
        with closing(sqlite3.connect(f"{folder}/copy.db")) as copy:
            try:
                return copy.execute(sql).fetchall()
            except sqlite3.OperationalError:  # killed before the tables were made
                return []


def state_at_death(case: Case) -> str:
    """The state the journal holds, or `-`."""
    rows = query(case, "SELECT state FROM renewals ORDER BY created_at")
    return "+".join(str(row[0]) for row in rows) or "-"
