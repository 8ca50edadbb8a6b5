from __future__ import annotations

import base64
import http.client
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp
from support_sandbox import certificate, pki, refused, serving

from safetok.sandbox.pki import LCS, ROOT, SAFE_OLD
from safetok.sandbox.server import CMP, LARGEST


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[http.client.HTTPConnection]:
    with serving(tmp_path, "v1-owed", "suspended") as url:
        opened = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        yield opened
        opened.close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, str, bytes]:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.headers.get("Content-Type", ""), answer.read()


def test_every_url_in_a_certificate_is_served(connection: http.client.HTTPConnection) -> None:
    """caIssuers gives a PKCS#7 of the root and the issuer's DER, the CDP a list; on one connection kept open."""
    kind, bundle = ask(connection, "GET", f"/aia/{ROOT}.p7b")[1:]
    assert kind == "application/pkcs7-mime"
    assert pkcs7.load_der_pkcs7_certificates(bundle) == [pki().root.certificate]
    assert ask(connection, "GET", f"/aia/{SAFE_OLD}.cer")[2] == pki().issuers[SAFE_OLD].der
    crl = x509.load_der_x509_crl(ask(connection, "GET", f"/crl/{LCS}.crl")[2])
    assert [row.serial_number for row in crl] == [certificate("suspended").serial_number]


def test_ocsp_is_answered_by_get_as_by_post(connection: http.client.HTTPConnection) -> None:
    """RFC 6960 appendix A: base64 in the path."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        certificate("suspended"), pki().issuers[LCS].certificate, hashes.SHA256()
    )
    request = builder.build().public_bytes(Encoding.DER)
    for method, path, body in (
        ("POST", "/ocsp", request),
        ("GET", f"/ocsp/{quote(base64.b64encode(request).decode(), safe='')}", None),
    ):
        status, kind, answer = ask(connection, method, path, body)
        assert (status, kind) == (200, "application/ocsp-response")
        read = ocsp.load_der_ocsp_response(answer)
        assert read.revocation_reason is x509.ReasonFlags.certificate_hold


def test_what_is_no_cmp_message_gets_a_cmp_error_in_a_400(connection: http.client.HTTPConnection) -> None:
    """A client that parses 4xx bodies finds a protected PKIMessage there; any profile under the path is served."""
    for path in ("/.well-known/cmp", "/.well-known/cmp/p/any"):
        status, kind, answer = ask(connection, "POST", path, b"nonsense")
        assert (status, kind) == (400, CMP)
        assert refused(answer) == {"badDataFormat"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/crl/nobody.crl", 404), ("GET", "/aia/../ca.json", 404), ("POST", "/nowhere", 404)],
)
def test_other_paths_are_problems(connection: http.client.HTTPConnection, method: str, path: str, status: int) -> None:
    """Nothing of the folder is served by its name."""
    assert ask(connection, method, path, b"x" if method == "POST" else None)[:2] == (status, "application/problem+json")


def test_requests_are_bounded(connection: http.client.HTTPConnection) -> None:
    """A body announced too long, or not announced, is refused before it is read."""
    connection.putrequest("POST", "/ocsp")
    connection.putheader("Content-Length", str(LARGEST + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    connection.putrequest("POST", "/ocsp")
    connection.endheaders()
    assert connection.getresponse().status == 411


def test_a_ca_whose_folder_is_removed_by_hand_ends(tmp_path: Path) -> None:
    """Nothing keeps running for a folder that is gone."""
    with serving(tmp_path, "v1-owed") as url:
        (tmp_path / "ca" / "ca.json").unlink()
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        for thread in threading.enumerate():
            if thread.name == "sandbox CA":
                thread.join(timeout=10)
                assert not thread.is_alive()
        connection.close()
