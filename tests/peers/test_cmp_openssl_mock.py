from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support_ca import aki, secret, ski
from support_cmp_second import body, decode
from support_trust import ca_true, issue, key, name, usage

from safetok.ca.cmp.endpoint import CMC_RA
from safetok.domain.certificates import Certificate
from safetok.domain.times import system_clock

CLIENT = Path(__file__).parent / "cmp_client.py"
ALONE = ["unshare", "-n" if os.geteuid() == 0 else "-rn", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
NEW = ec.generate_private_key(ec.SECP256R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()


@pytest.fixture(scope="module", params=["EC", "RSA"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a company's certificate and key, and what the server is to hand out."""
    place = tmp_path_factory.mktemp("cmp")
    now = system_clock().replace(microsecond=0)
    span = {"begins": now - timedelta(days=30), "ends": now + timedelta(days=30)}
    later = {"begins": now - timedelta(days=1), "ends": now + timedelta(days=300)}
    subject = name("CÔNG TY CỔ PHẦN TÔ HIẾN", "MST:0106324653")
    mine = secret(request.param)
    signing = [ca_true(0), usage("key_cert_sign", "crl_sign", "digital_signature"), ski(key("SAFE-CA"))]
    issuer = issue("SAFE-CA", "SAFE-CA", key("SAFE-CA"), key("SAFE-CA"), signing, **later)
    extensions = [usage("digital_signature", "content_commitment"), ski(mine), aki(key("SAFE-CA"))]
    old = issue(subject, "SAFE-CA", mine, key("SAFE-CA"), extensions, **span)
    appointed = [usage("digital_signature"), (x509.ExtendedKeyUsage([CMC_RA]), False), aki(key("SAFE-CA"))]
    delegate = issue("SAFE-CA CMP", "SAFE-CA", key("RA"), key("SAFE-CA"), appointed, **span)
    stranger = issue("OTHER", "OTHER", key("OTHER"), key("OTHER"), signing, **span)
    for what, certificate in (("old", old), ("issuer", issuer)):
        (place / f"{what}.der").write_bytes(certificate.der)
    for what, certificate, whose in (
        ("ca", issuer, key("SAFE-CA")),
        ("old", old, mine),
        ("delegate", delegate, key("RA")),
        ("stranger", stranger, key("OTHER")),
    ):
        write(place / what, certificate, whose)
    write(place / "same", issue(subject, "SAFE-CA", mine, key("SAFE-CA"), extensions, **later), None)
    write(place / "other", issue(subject, "SAFE-CA", NEW, key("SAFE-CA"), extensions, **later), None)
    (place / "eddsa.pem").write_bytes(by_eddsa(subject, mine, now))
    return place


def write(place: Path, certificate: Certificate, whose: Any) -> None:
    place.with_suffix(".pem").write_bytes(certificate.x509().public_bytes(Encoding.PEM))
    if whose is not None:
        private = whose.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        place.with_suffix(".key").write_bytes(private)


def by_eddsa(subject: x509.Name, mine: Any, now: Any) -> bytes:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(name("SAFE-CA EdDSA"))
    builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + timedelta(days=9))
    return builder.public_key(mine.public_key()).sign(ED25519, None).public_bytes(Encoding.PEM)


def run(
    folder: Path, kind: str, ending: str = "explicit", *server: str, gives: str = "same", pss: bool = False
) -> dict[str, Any]:
    """One transaction against `openssl cmp -port` with these arguments; every message sent passes the second decoder."""
    around = {**os.environ, **({"PSS": "1"} if pss else {})}
    certificate = ["-rsp_cert", str(folder / f"{gives}.pem")]
    client = [sys.executable, str(CLIENT), str(folder), kind, ending, *certificate, *server]
    done = subprocess.run([*ALONE, *client], capture_output=True, text=True, timeout=60, check=False, env=around)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    for der in result.get("sent", ()):
        decode(bytes.fromhex(der))
    result["steps"] = [step["is"] for step in result.get("said", ())]
    return result


def issued(folder: Path, result: dict[str, Any], gives: str = "same") -> x509.Certificate:
    """The certificate that came is the one that the server was told to hand out."""
    found = x509.load_der_x509_certificate(bytes.fromhex(result["certificate"]))
    assert found == x509.load_pem_x509_certificate((folder / f"{gives}.pem").read_bytes())
    return found


@pytest.mark.parametrize("kind", ["cr", "p10cr"])
def test_a_certificate_with_a_new_serial(folder: Path, kind: str) -> None:
    """openssl accepts form, protection and proof of a cr and a p10cr with the same key, and takes the confirmation."""
    result = run(folder, kind)
    assert result["steps"] == ["Issued", "Confirmed"]
    assert format(issued(folder, result).serial_number, "X") != result["old"].lstrip("0")
    assert result["said"][0]["cert_req_id"] == (-1 if kind == "p10cr" else 0)


@pytest.mark.parametrize("kind", ["cr", "p10cr"])
def test_a_new_key_proves_itself(folder: Path, kind: str) -> None:
    """The new key's proof is verified by openssl; the old key protects the message."""
    (folder / "new.key").write_bytes(NEW.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        result = run(folder, kind, gives="other")
    finally:
        (folder / "new.key").unlink()
    assert result["steps"] == ["Issued", "Confirmed"]
    assert issued(folder, result, "other").public_key() == NEW.public_key()


@pytest.mark.parametrize("kind", ["kur", "cr", "p10cr"])
def test_pss_of_ours_is_accepted(folder: Path, kind: str) -> None:
    """With RSASSA-PSS asked for, openssl verifies protection and proof by it, request and confirmation; EC keys stay ECDSA."""
    result = run(folder, kind, gives="old" if kind == "kur" else "same", pss=True)
    assert result["steps"] == ["Issued", "Confirmed"]
    key_of = x509.load_der_x509_certificate((folder / "old.der").read_bytes()).public_key()
    expected = "1.2.840.113549.1.1.10" if isinstance(key_of, rsa.RSAPublicKey) else "1.2.840.10045.4.3.2"
    for der in result["sent"]:
        assert str(decode(bytes.fromhex(der))["header"]["protectionAlg"]["algorithm"]) == expected


def test_a_key_update_is_understood(folder: Path) -> None:
    """kur with oldCertID: openssl 3.0 compares it with the certificate it hands out, so that is the old one."""
    result = run(folder, "kur", gives="old")
    assert result["steps"] == ["Issued", "Confirmed"]
    names, _content = zip(*(body(bytes.fromhex(der)) for der in result["sent"]), strict=True)
    assert names == ("kur", "certConf")


def test_a_key_update_of_another_certificate_is_refused(folder: Path) -> None:
    """The oldCertID is really looked at: another one is refused, in an error under protection."""
    result = run(folder, "kur")
    assert result["steps"] == ["Refused"]
    assert result["said"][0]["fail_info"]


@pytest.mark.parametrize("kind", ["cr", "p10cr"])
def test_polling_to_the_end(folder: Path, kind: str) -> None:
    """Two rounds of waiting, then the certificate, then the confirmation; checkAfter arrives as told."""
    result = run(folder, kind, "explicit", "-poll_count", "2", "-check_after", "0")
    assert result["steps"] == ["Waiting", "Waiting", "Issued", "Confirmed"]
    issued(folder, result)
    patient = run(folder, kind, "explicit", "-poll_count", "1", "-check_after", "3600")
    assert patient["steps"][:2] == ["Waiting", "Issued"]
    longer = run(folder, kind, "explicit", "-poll_count", "3", "-check_after", "7")
    assert [s["check_after"] for s in longer["said"] if s["is"] == "Waiting"] == [0, 7, 7]


@pytest.mark.parametrize(
    ("bit", "failure"), [(2, "badRequest"), (9, "badPOP"), (19, "badCertTemplate"), (26, "duplicateCertReq")]
)
def test_a_refusal_is_understood(folder: Path, bit: int, failure: str) -> None:
    """Rejection with failInfo and a Vietnamese text."""
    result = run(folder, "cr", "explicit", "-pkistatus", "2", "-failure", str(bit), "-statusstring", "Không được cấp")
    assert result["said"] == [{"is": "Refused", "fail_info": [failure], "text": "Không được cấp", "temporary": False}]


def test_a_temporary_failure_is_told_apart(folder: Path) -> None:
    """systemUnavail is not final."""
    result = run(folder, "cr", "explicit", "-pkistatus", "2", "-failure", "24")
    assert result["said"][0]["temporary"]


def test_an_error_message_is_a_refusal(folder: Path) -> None:
    """An error body instead of a cp."""
    assert run(folder, "cr", "explicit", "-send_error")["steps"] == ["Refused"]


def test_granted_with_mods_arrives(folder: Path) -> None:
    """The certificate and the mark."""
    result = run(folder, "cr", "explicit", "-pkistatus", "1")
    assert result["said"][0]["with_mods"]


def test_implicit_confirmation(folder: Path) -> None:
    """Asked for and granted, no certConf is sent; asked for and not granted, or granted unasked, it is."""
    assert run(folder, "cr", "implicit", "-grant_implicitconf")["steps"] == ["Issued"]
    assert run(folder, "cr", "implicit")["steps"] == ["Issued", "Confirmed"]
    assert run(folder, "cr", "explicit", "-grant_implicitconf")["steps"] == ["Issued", "Confirmed"]


def test_rejecting_a_certificate(folder: Path) -> None:
    """openssl reads the rejecting certConf as one."""
    result = run(folder, "cr", "reject")
    assert result["steps"] == ["Issued", "Confirmed"]
    assert "rejected by client" in result["server"]


def test_a_delegate_s_protection_is_accepted(folder: Path) -> None:
    """A server certificate that the CA issued with cmcRA, sent in extraCerts."""
    signer = ["-srv_cert", str(folder / "delegate.pem"), "-srv_key", str(folder / "delegate.key")]
    assert run(folder, "cr", "explicit", *signer)["steps"] == ["Issued", "Confirmed"]


def test_a_stranger_s_protection_is_no_answer(folder: Path) -> None:
    """The same certificate, protected by somebody else."""
    signer = ["-srv_cert", str(folder / "stranger.pem"), "-srv_key", str(folder / "stranger.key")]
    assert run(folder, "cr", "explicit", *signer)["code"] == "protection"


def test_an_unprotected_answer_is_none(folder: Path) -> None:
    """Neither a certificate nor an error counts without a signature."""
    assert run(folder, "cr", "explicit", "-send_unprotected")["code"] == "unprotected"
    assert run(folder, "cr", "explicit", "-send_error", "-send_unprot_err")["code"] == "unprotected"


def test_extra_certificates_of_any_kind_do_no_harm(folder: Path) -> None:
    """Others' certificates beside the answer, one of them with a key and signature of another kind."""
    extra = ["-rsp_extracerts", str(folder / "eddsa.pem")]
    result = run(folder, "cr", "explicit", *extra)
    assert result["steps"] == ["Issued", "Confirmed"]
    assert len(result["said"][0]["extra"]) >= 1


def test_a_certificate_signed_with_eddsa_is_confirmed_with_hash_alg(folder: Path) -> None:
    """certConf carries hashAlg and pvno 3, as the second decoder reads it (openssl 3.0 knows neither and cannot)."""
    result = run(folder, "cr", "explicit", gives="eddsa")
    message = decode(bytes.fromhex(result["sent"][-1]))
    (status,) = message["body"]["certConf"]
    digest = hashes.Hash(hashes.SHA512())
    digest.update(bytes.fromhex(result["certificate"]))
    assert bytes(status["certHash"]) == digest.finalize()
    assert (int(message["header"]["pvno"]), str(status["hashAlg"]["algorithm"])) == (3, "2.16.840.1.101.3.4.2.3")
