from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from support_sandbox import certificate, key, serving

STORIES = ("v1-owed", "v2-owed", "ec-owed", "expired-owed", "beyond-ca-end", "not-owed", "revoked")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path, *STORIES) as found:
        yield found


def pem(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def key_file(folder: Path, name: str, secret: object) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem(folder, name, secret.private_bytes(*form))  # type: ignore[attr-defined]


def openssl(folder: Path, url: str, story: str, *more: str) -> subprocess.CompletedProcess[str]:
    old = pem(folder, "old.pem", certificate(story).public_bytes(serialization.Encoding.PEM))
    return subprocess.run(
        [
            "openssl", "cmp", "-server", url.removeprefix("http://"), "-path", ".well-known/cmp", "-cert", old, "-key",
            key_file(folder, "old.key", key(story)), "-trusted", str(folder / "ca" / "root.pem"), "-untrusted",
            str(folder / "ca" / "safe-ca-2024.pem"), "-certout", str(folder / "new.pem"), *more,
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def ledger(url: str) -> list[dict[str, str]]:
    with urllib.request.urlopen(f"{url}/ledger", timeout=10) as answer:
        return list(json.loads(answer.read())["issued"])


def check(folder: Path, url: str, done: subprocess.CompletedProcess[str]) -> x509.Certificate:
    """It went through: a certificate that openssl verifies, confirmed in the ledger."""
    assert done.returncode == 0, done.stdout + done.stderr
    ca = folder / "ca"
    verified = subprocess.run(
        ["openssl", "verify", "-CAfile", ca / "root.pem", "-untrusted", ca / "safe-ca-2024.pem", folder / "new.pem"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr
    new = x509.load_pem_x509_certificate((folder / "new.pem").read_bytes())
    assert [(row["serial"], row["state"]) for row in ledger(url)] == [(format(new.serial_number, "X"), "confirmed")]
    return new


@pytest.mark.parametrize("story", ["v1-owed", "ec-owed", "expired-owed"])
@pytest.mark.parametrize("confirm", [(), ("-implicit_confirm",)], ids=["certConf", "implicit"])
def test_openssl_renews_with_the_same_key(tmp_path: Path, url: str, story: str, confirm: tuple[str, ...]) -> None:
    """kur by RSA and EC keys, before and after expiry, with certConf and with implicit confirmation."""
    done = openssl(tmp_path, url, story, "-cmd", "kur", *confirm)
    assert check(tmp_path, url, done).public_key() == certificate(story).public_key()


def test_openssl_renews_with_a_new_key(tmp_path: Path, url: str) -> None:
    """kur with another key: proven by the new one, protected by the old one."""
    other = rsa.generate_private_key(65537, 2048)
    done = openssl(tmp_path, url, "v1-owed", "-cmd", "kur", "-newkey", key_file(tmp_path, "new.key", other))
    assert check(tmp_path, url, done).public_key() == other.public_key()


def test_openssl_asks_with_cr(tmp_path: Path, url: str) -> None:
    """cr for the same key and name."""
    subject = tmp_path / "old.key"
    old_key = key_file(tmp_path, subject.name, key("v1-owed"))
    done = openssl(tmp_path, url, "v1-owed", "-cmd", "cr", "-newkey", old_key)
    check(tmp_path, url, done)


def test_openssl_asks_with_p10cr(tmp_path: Path, url: str) -> None:
    """A PKCS#10 request in CMP, as for a CA that takes no kur."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(certificate("v1-owed").subject)
    csr = builder.sign(key("v1-owed"), hashes.SHA256())
    file = pem(tmp_path, "request.csr", csr.public_bytes(serialization.Encoding.PEM))
    check(tmp_path, url, openssl(tmp_path, url, "v1-owed", "-cmd", "p10cr", "-csr", file))


@pytest.mark.parametrize(("story", "fail"), [("not-owed", "notAuthorized"), ("revoked", "certRevoked")])
def test_openssl_reads_the_refusals(tmp_path: Path, url: str, story: str, fail: str) -> None:
    """The error body is protected, and openssl reads failInfo and the Vietnamese words out of it."""
    done = openssl(tmp_path, url, story, "-cmd", "kur")
    assert done.returncode != 0
    assert f"PKIFailureInfo: {fail}" in done.stdout + done.stderr
    assert "Chứng thư số" in done.stdout + done.stderr
    assert ledger(url) == []


def test_openssl_that_does_not_like_the_certificate_takes_the_update_back(tmp_path: Path, url: str) -> None:
    """openssl rejects what it cannot chain to its own root: a rejecting certConf, and the ledger says undone."""
    other = certificate("v1-owed").public_bytes(serialization.Encoding.PEM)
    done = openssl(
        tmp_path, url, "v1-owed", "-cmd", "kur", "-out_trusted", pem(tmp_path, "wrong-root.pem", other)
    )  # fmt: skip
    assert done.returncode != 0
    assert [row["state"] for row in ledger(url)] == ["undone"]


def test_openssl_waits_and_polls(tmp_path: Path) -> None:
    """A CA that answers later: openssl reads waiting and pollRep, asks again when told, and confirms."""
    with serving(tmp_path, *STORIES, answer_after=1) as slow:
        done = openssl(tmp_path, slow, "v1-owed", "-cmd", "kur")
        check(tmp_path, slow, done)
    assert "received POLLREP" in done.stdout + done.stderr


def test_openssl_asks_for_the_ca_certificates(tmp_path: Path, url: str) -> None:
    """genm for caCerts is answered with a genp that openssl reads."""
    done = openssl(tmp_path, url, "v1-owed", "-cmd", "genm", "-infotype", "caCerts")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "received GENP" in done.stdout + done.stderr
