from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from safetok.sandbox.pki import SAFE_NEW, load

if TYPE_CHECKING:
    from support_stories import Sandbox


def sign(request: Path, answer: Path, ca: Path, url: str) -> str:
    """The sandbox's new SAFE-CA answers a request by mail; the new serial."""
    issuer = load(ca, url).issuers[SAFE_NEW]
    csr = x509.load_pem_x509_csr(request.read_bytes())
    now = datetime.now(UTC).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(csr.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(csr.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=300))
        .sign(issuer.key, hashes.SHA256())
    )
    answer.write_bytes(certificate.public_bytes(Encoding.PEM))
    serial = format(certificate.serial_number, "X")
    return serial if len(serial) % 2 == 0 else f"0{serial}"


def test_a_certificate_by_mail_from_the_command_line(sandbox: Sandbox, tmp_path: Path) -> None:
    """`renew --csr`, the CA's file, `certs install`: what scripts see of each step, and how a wrong file ends."""
    cli, token = sandbox.cli, sandbox.token("v1-owed")
    request, answer = tmp_path / "request.csr", tmp_path / "answer.pem"
    given = ("--serial", token["serial"], "--pin-stdin")
    asked = cli.json("renew", "--csr", str(request), *given, stdin=token["pin"] + "\n")
    assert asked.status == 0, asked.out
    assert (asked.data["state"], asked.data["token"], asked.data["new_serial"]) == ("REQUESTED", token["serial"], None)
    waiting = cli.json("renew", "--resume")
    assert (waiting.status, waiting.codes) == (9, ["waits_for_mail"])
    install = "safetok certs install TỆP"
    due = [one for one in cli.json("status").data["due"] if one["token"] == token["serial"]]
    assert [(one["code"], one["command"]) for one in due] == [("waits_for_mail", install)]
    way = cli("history", asked.data["renewal_id"])
    assert install in way.err + way.out
    assert "Số lần gửi yêu cầu" not in way.out
    given_up = cli("renew", "--abandon", asked.data["renewal_id"])
    assert given_up.status == 11
    assert "đã gửi" not in given_up.err
    refused = cli("certs", "install", str(Path(sandbox.data["anchor"])))
    assert install in refused.err
    assert "--resume" not in refused.err

    wrong = cli.json("certs", "install", str(Path(sandbox.data["anchor"])), "--pin-stdin", stdin="00000000\n")
    assert (wrong.status, wrong.codes) == (2, ["no_subscriber_certificate"])
    serial = sign(request, answer, Path(sandbox.data["anchor"]).parent, sandbox.data["ca_url"])
    dry = cli.json("certs", "install", str(answer), "--dry-run")
    assert (dry.status, dry.data["state"]) == (0, "WOULD_INSTALL")
    lost = cli.json("certs", "install", str(answer), "--pin-stdin", stdin="00000000\n")
    assert (lost.status, lost.codes) == (5, ["pin_wrong"])
    done = cli.json("certs", "install", str(answer), "--pin-stdin", stdin=token["pin"] + "\n")
    assert done.status == 0, done.out
    assert (done.data["state"], done.data["new_serial"]) == ("DONE", serial)
    assert serial not in {row["serial"] for row in sandbox.ledger()}  # it came by mail, not over the endpoint
    again = cli.json("certs", "install", str(answer))
    assert (again.status, again.data["state"]) == (0, "NOTHING_DUE")
    person = cli("certs", "install", str(answer))
    assert "safetok certs adopt" not in person.out


def test_revocation_is_asked_for_shown_and_heeded(sandbox: Sandbox, tmp_path: Path) -> None:
    """Unknown until `status --refresh`; `certs check` and `renew --csr` end with 13 for suspended and revoked."""
    cli = sandbox.cli
    before = cli.json("status")
    assert {c["revocation"]["answer"] for t in before.data["tokens"] for c in t["certificates"]} == {"unknown"}
    refreshed = cli.json("status", "--refresh")
    assert refreshed.status == 0, refreshed.out
    after = cli.json("status")
    states = {c["state"] for t in after.data["tokens"] for c in t["certificates"]}
    assert {"suspended", "revoked"} <= states
    current = [c for t in after.data["tokens"] for c in t["certificates"] if c["current"]]
    assert all(c["revocation"]["checked_at"] for c in current)

    owed = next(t for t in after.data["tokens"] if t["serial"] == sandbox.token("v2-owed")["serial"])
    assert owed["certificates"][0]["offer"]["exists"] is True

    ends = {"suspended": 13, "revoked": 13, "v2-owed": 0, "expired-owed": 18}
    for story, status in ends.items():
        serial = sandbox.token(story)["serial"]
        assert cli.json("certs", "check", serial).status == status
        if status == 13:
            refused = cli.json("renew", "--csr", str(tmp_path / "x.csr"), "--serial", serial)
            assert (refused.status, refused.codes) == (13, [f"certificate_{story}"])
    everything = cli.json("certs", "check")
    assert everything.status == 13
    answers = {row["answer"] for row in everything.data["certificates"]}
    assert answers == {"good", "suspended", "revoked", "unknown"}
    person = cli("certs", "check", sandbox.token("suspended")["serial"])
    assert "TẠM DỪNG" in person.out
