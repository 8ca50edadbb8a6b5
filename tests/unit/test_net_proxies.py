"""Proxies: taken from the environment, passed over where they must be, and never a way round a refusal."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support_http import Server, code
from support_trust import ca_true, issue, key, usage

from safetok.domain.times import system_clock
from safetok.errors import CaUnreachable, NotChecked
from safetok.net import Http


def test_proxies_come_from_the_environment(server: Server) -> None:
    """For http and https targets, in either case, lower case first; ALL_PROXY where none is named."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        http = Http(timeout=2, environ={name: server.url})
        assert http.public("GET", "http://ocsp.invalid/x").body == b"ok "
        http.close()
    assert {path for _m, path, *_rest in server.asked} == {"http://ocsp.invalid/x"}
    server.asked.clear()
    http = Http(timeout=2, environ={"HTTPS_PROXY": f"http://nguyen:m%40t@{server.url[7:]}"})
    code(lambda: http.ca("GET", "https://ca.invalid/x"), CaUnreachable)
    http.close()


def test_a_tunnel_is_asked_for_with_the_proxy_s_password() -> None:
    """CONNECT names the target, and carries what the proxy's address does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        seen: list[bytes] = []

        def serve() -> None:
            peer, _address = listening.accept()
            with peer:
                seen.append(peer.recv(4096))
                peer.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        http = Http(timeout=3, environ={"https_proxy": f"http://nguyen:secret@127.0.0.1:{listening.getsockname()[1]}"})
        with pytest.raises(CaUnreachable) as error:
            http.ca("POST", "https://ca.invalid/cmp", body=b"x")
        thread.join()
        http.close()
    assert error.value.code == "proxy_refused", "it is not the CA that is out of reach"
    assert "403 Forbidden" in error.value.message
    assert seen[0].startswith(b"CONNECT ca.invalid:443 ")
    assert b"bmd1eWVuOnNlY3JldA==" in seen[0]


@pytest.mark.parametrize(
    "no_proxy",
    ["*", "ca.invalid", ".invalid", "invalid", "*.invalid", "other.vn, CA.invalid", "ca.invalid:80"],
)
def test_no_proxy_is_kept(server: Server, no_proxy: str) -> None:
    """Names, what is under them, lists, ports, and everything."""
    http = Http(timeout=2, environ={"http_proxy": server.url, "no_proxy": no_proxy})
    code(lambda: http.public("GET", "http://ca.invalid/x"), NotChecked)
    assert server.asked == []
    http.close()


@pytest.mark.parametrize(
    "no_proxy", ["", "a.invalid", "ca.invalid:81", "ca.invalid:²", "10.0.0.0/8", "xca.invalid,.ca.invalid.x"]
)
def test_no_proxy_for_others_does_not_count(server: Server, no_proxy: str) -> None:
    """A name that only looks alike goes through the proxy."""
    http = Http(timeout=2, environ={"http_proxy": server.url, "NO_PROXY": no_proxy})
    assert http.public("GET", "http://ca.invalid/x").status == 200
    http.close()


def test_loopback_goes_through_no_proxy(server: Server) -> None:
    """Whatever the environment says."""
    http = Http(timeout=2, environ={"http_proxy": "http://127.0.0.1:9", "all_proxy": "http://127.0.0.1:9"})
    assert http.ca("GET", server.url).status == 200
    assert http.public("GET", server.url.replace("127.0.0.1", "localhost"), private_addresses=True).status == 200
    http.close()


def test_private_targets_are_refused_behind_a_proxy_too(server: Server) -> None:
    """What can be told without the proxy is told before it is asked."""
    http = Http(timeout=2, environ={"http_proxy": server.url})
    assert code(lambda: http.public("GET", "http://10.0.0.1/x"), NotChecked) == "private_address"
    assert server.asked == []
    http.close()


def test_a_proxy_that_cannot_be_used_is_said(server: Server) -> None:
    """A SOCKS proxy, and an address that is none; HTTP_PROXY counts for nothing inside a CGI."""
    for proxy in ("socks5://127.0.0.1:9", "http://[::"):
        http = Http(timeout=2, environ={"https_proxy": proxy})
        assert code(lambda h=http: h.ca("GET", "https://ca.invalid/"), CaUnreachable) == "proxy_unusable"  # type: ignore[misc]
    http = Http(timeout=2, environ={"HTTP_PROXY": server.url, "REQUEST_METHOD": "GET"})
    code(lambda: http.public("GET", "http://ca.invalid/"), NotChecked)
    assert server.asked == []


def test_a_proxy_that_nobody_runs_is_not_called_the_ca() -> None:
    """What cannot be reached is named: it is not the CA."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        environ = {name: f"http://127.0.0.1:{free.getsockname()[1]}" for name in ("https_proxy", "http_proxy")}
    http = Http(timeout=2, environ=environ)
    assert code(lambda: http.ca("GET", "https://ca.invalid/"), CaUnreachable) == "proxy_refused"
    assert code(lambda: http.public("GET", "http://ocsp.invalid/"), NotChecked) == "proxy_refused"
    http.close()


@contextmanager
def served(work: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on loopback whose every connection is this work's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def one(peer: socket.socket) -> None:
            with suppress(OSError), peer:
                work(peer)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(listening.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_a_ca_that_hangs_behind_a_tls_proxy_ends_with_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS to the proxy, TLS through it to the CA, and no answer: told as a time-out, like any other."""
    now = system_clock()
    span = {"begins": now - timedelta(days=1), "ends": now + timedelta(days=1)}
    # with key identifiers, without which Python takes nothing under the system's roots from 3.13 on
    public = key("tls").public_key()
    itself = x509.SubjectKeyIdentifier.from_public_key(public), False
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False
    root = issue("TLS", "TLS", key("tls"), key("tls"), [ca_true(), usage("key_cert_sign"), itself], **span)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("ca.invalid")])
    leaf = issue("host", "TLS", key("host"), key("tls"), [(names, False), above], **span)
    roots, own = tmp_path / "root.pem", tmp_path / "leaf.pem"
    roots.write_bytes(root.x509().public_bytes(Encoding.PEM))
    secret = key("host").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    own.write_bytes(leaf.x509().public_bytes(Encoding.PEM) + secret)
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    over = threading.Event()

    def hang(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as talking:
            talking.recv(65536)
            over.wait(10)

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    with served(hang) as ca:

        def proxy(peer: socket.socket) -> None:
            with (
                context.wrap_socket(peer, server_side=True) as near,
                socket.create_connection(("127.0.0.1", ca)) as far,
            ):
                near.recv(65536)
                near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                threading.Thread(target=copy, args=(far, near), daemon=True).start()
                copy(near, far)

        with served(proxy) as port:
            http = Http(timeout=4, environ={"https_proxy": f"https://127.0.0.1:{port}"})
            with pytest.raises(CaUnreachable) as error:
                http.ca("POST", "https://ca.invalid/", body=b"x", tls_ca=roots)
            over.set()
            http.close()
    assert (error.value.code, error.value.went_out) == ("timed_out", True)
