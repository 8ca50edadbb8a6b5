from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from support_trust import Key, ca_true, issue, key, places, rsa_key, usage

from safetok.domain.certificates import Certificate
from safetok.domain.times import system_clock

PORT = 18080  # in a network namespace of its own: nobody else is there
CLIENT = Path(__file__).parent / "ocsp_client.py"
ALONE = ["unshare", "-n" if os.geteuid() == 0 else "-rn", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
STATES = {
    "good": "V\t{end}\t\t{serial}\tunknown\t/CN=good",
    "superseded": "R\t{end}\t{then},superseded\t{serial}\tunknown\t/CN=superseded",
    "plain": "R\t{end}\t{then}\t{serial}\tunknown\t/CN=plain",
    "hold": "R\t{end}\t{then},holdInstruction,1.2.840.10040.2.1\t{serial}\tunknown\t/CN=hold",
}
EXPECTED = {
    "good": "good",
    "superseded": "revoked superseded",
    "plain": "revoked unspecified",
    "hold": "suspended certificateHold",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, its responder's certificate, a certificate for each state, and one the CA does not know."""
    place = tmp_path_factory.mktemp("ocsp")
    now = system_clock().replace(microsecond=0)
    span = {"begins": now - timedelta(days=1), "ends": now + timedelta(days=30)}
    addresses = places(f"http://127.0.0.1:{PORT}", None)
    issuer = issue("SAFE-CA", "SAFE-CA", key("SAFE-CA"), key("SAFE-CA"), [ca_true()], **span)
    eku = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    responder = issue(
        "OCSP", "SAFE-CA", key("ocsp"), key("SAFE-CA"), [(eku, False), usage("digital_signature")], **span
    )
    by_rsa = issue(
        "OCSP", "SAFE-CA", rsa_key("ocsp"), key("SAFE-CA"), [(eku, False), usage("digital_signature")], **span
    )
    stranger = issue("OCSP", "OTHER-CA", key("thief"), key("OTHER-CA"), [(eku, False)], **span)
    (place / "ca.der").write_bytes(issuer.der)
    for name, certificate, secret in (
        ("ca", issuer, key("SAFE-CA")),
        ("responder", responder, key("ocsp")),
        ("by_rsa", by_rsa, rsa_key("ocsp")),
        ("stranger", stranger, key("thief")),
    ):
        pem(place / name, certificate, secret)
    rows = []
    for number, state in enumerate([*STATES, "unknown"]):
        leaf = issue(state, "SAFE-CA", key(state), key("SAFE-CA"), addresses, serial=0x5401010000 + number, **span)
        (place / f"{state}.leaf").write_bytes(leaf.der)
        if state in STATES:
            rows.append(
                STATES[state].format(
                    end=f"{leaf.not_after:%y%m%d%H%M%SZ}",
                    then=f"{now - timedelta(hours=1):%y%m%d%H%M%SZ}",
                    serial=leaf.serial,
                )
            )
    (place / "index.txt").write_text("\n".join(rows) + "\n")
    return place


def pem(place: Path, certificate: Certificate, key_of: Key) -> None:
    place.with_suffix(".pem").write_bytes(certificate.x509().public_bytes(Encoding.PEM))
    secret = key_of.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    place.with_suffix(".key").write_bytes(secret)


def ask(folder: Path, signer: str, *more: str) -> dict[str, set[str]]:
    """What safetok says of each certificate, by POST and by GET, of a responder that signs as `signer`."""
    arguments = ["-rsigner", str(folder / f"{signer}.pem"), "-rkey", str(folder / f"{signer}.key"), *more]
    client = [sys.executable, str(CLIENT), str(folder), str(PORT), *arguments]
    done = subprocess.run([*ALONE, *client], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = {name: set(answers) for name, answers in json.loads(done.stdout).items()}
    found.pop("responder")
    return found


@pytest.mark.parametrize("more", [(), ("-nmin", "5"), ("-ndays", "1", "-resp_no_certs"), ("-resp_key_id",)])
@pytest.mark.parametrize("signer", ["ca", "responder"])
def test_openssl_s_answers_are_understood(folder: Path, signer: str, more: tuple[str, ...]) -> None:
    """Good, revoked, suspended and unknown from `openssl ocsp`, signed by the CA or by whom it appointed, by POST and GET."""
    found = ask(folder, signer, *more)
    unknown = found.pop("unknown")
    assert all(answer.startswith("unknown ") for answer in unknown)
    if signer == "responder" and "-resp_no_certs" in more:
        assert all(answer.startswith("unknown ") for answers in found.values() for answer in answers)
    else:
        assert found == {state: {answer} for state, answer in EXPECTED.items()}


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_openssl_s_rsassa_pss_is_understood(folder: Path, digest: str) -> None:
    """The same states where the responder signs with RSASSA-PSS."""
    found = ask(folder, "by_rsa", "-rmd", digest, "-rsigopt", "rsa_padding_mode:pss")
    assert all(answer.startswith("unknown ") for answer in found.pop("unknown"))
    assert found == {state: {answer} for state, answer in EXPECTED.items()}


def test_a_responder_that_nobody_appointed_is_not_believed(folder: Path) -> None:
    """The same responder with another CA's certificate makes nothing good and nothing revoked."""
    found = ask(folder, "stranger")
    assert all(answer.startswith("unknown ") for answers in found.values() for answer in answers)
