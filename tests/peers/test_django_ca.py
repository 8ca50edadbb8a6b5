"""What safetok says of certificates of a CA that nobody here wrote: django-ca, over HTTP, at the addresses in its certificates."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID
from support_cli import Cli

from safetok.domain.certificates import Certificate, parse
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.times import system_clock
from safetok.errors import NotChecked
from safetok.net import Http
from safetok.trust import aia, crl
from safetok.trust.ocsp import Asking, ask
from safetok.trust.revocation import check

SERVER = Path(__file__).with_name("django_ca_server.py")
REVOKED = {"hold": "certificateHold", "superseded": "superseded", "compromised": "keyCompromise"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Certificate]]:
    """The CA's certificate and one in each state; the CA serves while the tests run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("django-ca")
    words = [sys.executable, str(SERVER), str(folder), str(port)]
    pipe = subprocess.PIPE
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=log, text=True) as server,
    ):
        assert server.stdout is not None
        line = server.stdout.readline()
        assert line, (folder / "log").read_text()
        pems = json.loads(line)
        try:
            yield {name: certificate(pem) for name, pem in pems.items()}
        finally:
            assert server.stdin is not None
            server.stdin.close()


def certificate(pem: str) -> Certificate:
    return parse(x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER))


def asked(made: dict[str, Certificate], state: str, *, post: bool = True, at: datetime | None = None) -> Revocation:
    leaf = made[state].x509()
    (url,) = aia.urls(leaf, AuthorityInformationAccessOID.OCSP)
    http = Http(environ={})
    now = at or system_clock()
    asking = Asking(issuer=made["ca"].x509(), http=http, now=now, random=os.urandom, post=post, private_addresses=True)
    return ask(leaf, url, asking)


@pytest.mark.parametrize("post", [True, False])
def test_ocsp_of_another_s_making(made: dict[str, Certificate], *, post: bool) -> None:
    """Good, held and revoked, signed by a responder the CA appointed; the nonce comes back when asked by POST."""
    assert asked(made, "good", post=post).answer is RevocationAnswer.GOOD
    for state, reason in REVOKED.items():
        found = asked(made, state, post=post)
        expected = RevocationAnswer.SUSPENDED if state == "hold" else RevocationAnswer.REVOKED
        assert (found.answer, found.reason, found.source) == (expected, reason, "ocsp")


def test_a_certificate_it_does_not_know(made: dict[str, Certificate]) -> None:
    """It refuses to answer about a certificate it has forgotten: that is no answer, and only its list can say more."""
    with pytest.raises(NotChecked) as error:
        asked(made, "unknown")
    assert error.value.code == "ocsp_refused"
    assert whole(made, "unknown").source == "crl"


@pytest.mark.parametrize(("days", "code"), [(9, "ocsp_not_signed"), (1.5, "ocsp_stale"), (-9, "ocsp_not_signed")])
def test_another_day_s_answer(made: dict[str, Certificate], days: float, code: str) -> None:
    """Stale, or from the future: not checked, whatever it says."""
    with pytest.raises(NotChecked) as error:
        asked(made, "good", at=system_clock() + timedelta(days=days))
    assert error.value.code == code


def test_its_lists(made: dict[str, Certificate]) -> None:
    """The list for subscribers at the certificate's own place: good, held and revoked."""
    for state in ("good", *REVOKED):
        leaf = made[state].x509()
        (url,) = crl.urls(leaf)
        http = Http(environ={})
        found = crl.ask(leaf, made["ca"].x509(), url, http=http, now=system_clock(), private_addresses=True)
        assert found.source == "crl"
        assert found.reason == REVOKED.get(state, "")


def whole(made: dict[str, Certificate], state: str) -> Revocation:
    return check(made[state], issuers=[made["ca"]], http=Http(environ={}), now=system_clock(), private_addresses=True)


def test_the_whole_question(made: dict[str, Certificate]) -> None:
    """OCSP first, then lists, as `certs check` asks; a private address is not asked unless that is allowed."""
    assert whole(made, "good").answer is RevocationAnswer.GOOD
    assert whole(made, "hold").answer is RevocationAnswer.SUSPENDED
    guarded = check(made["hold"], issuers=[made["ca"]], http=Http(environ={}), now=system_clock())
    assert guarded.answer is RevocationAnswer.UNKNOWN


def test_the_command_itself(made: dict[str, Certificate], tmp_path: Path) -> None:
    """`certs check` with files and a list, as a user with this CA in the settings: each state, its path, 13; offline 18."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "ca.pem").write_bytes(made["ca"].x509().public_bytes(Encoding.PEM))
    text = '[authorities.peer]\nissuers = ["ca.pem"]\nanchors = ["ca.pem"]\nprivate_addresses = true\n'
    (home / "settings.toml").write_text(text)
    states = ["good", *REVOKED]
    for state in states:
        (tmp_path / f"{state}.cer").write_bytes(made[state].der)
    (tmp_path / "list.csv").write_text("file\n" + "".join(f"{state}.cer\n" for state in states))
    cli = Cli({"SAFETOK_HOME": str(home)})
    said = cli.json("certs", "check", "--from", str(tmp_path / "list.csv"))
    assert said.status == 13, said.out
    rows = {row["serial"]: row for row in said.data["certificates"]}
    for state in states:
        row = rows[made[state].serial]
        assert row["reason"] == REVOKED.get(state, "")
        assert row["path"]["anchor"] == made["ca"].subject
    assert [row["answer"] for row in rows.values()] == ["good", "suspended", "revoked", "revoked"]
    (home / "settings.toml").write_text(text.replace("true", "false"))
    kept_away = cli.json("certs", "check", str(tmp_path / "good.cer"))
    assert (kept_away.status, kept_away.data["certificates"][0]["answer"]) == (18, "unknown")
