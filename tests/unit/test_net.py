from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support_trust import ca_true, issue, key

from safetok.domain.times import system_clock
from safetok.errors import CaUnreachable, NoAnswer, NotChecked, SafetokError, UsageError
from safetok.net import Http, Response
from safetok.net.addresses import is_public

NOW = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)


class Handler(BaseHTTPRequestHandler):
    """Answers by path; remembers what it was asked."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, dict(self.headers), self.client_address[1]))  # type: ignore[attr-defined]
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        with contextlib.suppress(OSError):
            self.server.pages.get(self.path, plain)(self, body)  # type: ignore[attr-defined]

    do_POST = do_GET


def plain(handler: Handler, body: bytes) -> None:
    say(handler, 200, b"ok " + body)


def say(handler: Handler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], int]] = []
        self.pages: dict[str, Callable[[Handler, bytes], None]] = {}
        self.gone = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_args: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def _localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` is this machine, also on one that has no /etc/hosts to say so."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host == "localhost" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield found
        found.gone.set()
        found.shutdown()


@pytest.fixture
def http() -> Iterator[Http]:
    client = Http(timeout=10, environ={})
    yield client
    client.close()


@pytest.fixture
def hasty() -> Iterator[Http]:
    """For servers that would never end."""
    client = Http(timeout=0.5, environ={})
    yield client
    client.close()


def code(work: Callable[[], Any], kind: type[SafetokError]) -> str:
    with pytest.raises(kind) as error:
        work()
    assert error.value.message
    return error.value.code


# --- what goes through ---


def test_a_call_gives_status_headers_and_body(server: Server, http: Http) -> None:
    """Any status is the caller's to read; header names come in lower case."""
    server.pages["/x"] = lambda h, b: say(h, 418, b"tea for " + b, X_Kind="Tea")
    answer = http.ca("POST", f"{server.url}/x", body=b"two", headers={"Content-Type": "text/tea"})
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (418, b"tea for two", "Tea")
    ((method, _path, headers, _port),) = server.asked
    assert (method, headers["Content-Type"]) == ("POST", "text/tea")
    assert headers["User-Agent"].startswith("safetok/")


def test_a_connection_is_used_again(server: Server, http: Http) -> None:
    """Three calls, one connection."""
    for _n in range(3):
        http.ca("GET", server.url)
    assert len({port for *_rest, port in server.asked}) == 1


# --- whom it may talk to ---


@pytest.mark.parametrize(
    "host",
    ["localhost", "example.vn", "10.0.0.1", "127.1", "0x7f.0.0.1", "2130706433", "0.0.0.0"],
)
def test_plain_http_goes_to_literal_loopback_only(http: Http, host: str) -> None:
    """A name that means loopback, another spelling of it, or any other host: refused before anything is sent."""
    assert code(lambda: http.ca("GET", f"http://{host}:9/"), CaUnreachable) == "plain_http"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "//127.0.0.1/",
        "http://",
        "https://user:pw@127.0.0.1/",
        "http://a b/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1/\r\nX: y",
        "http://[::1",
        "javascript:1",
    ],
)
def test_other_addresses_are_refused(http: Http, url: str) -> None:
    """Other schemes, names and passwords in the address, line breaks, nonsense."""
    assert code(lambda: http.ca("GET", url), CaUnreachable) == "bad_url"
    assert code(lambda: http.public("GET", url), NotChecked) == "bad_url"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
        "2002:0a00:0001::1", "64:ff9b::10.0.0.1", "2001:db8::1",
    ],
)  # fmt: skip
def test_private_addresses_are_told(address: str) -> None:
    """Loopback, private, link-local, shared, multicast, and whatever wraps one of them."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["203.162.1.1", "8.8.8.8", "2001:ee0::1", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"])
def test_public_addresses_are_told(address: str) -> None:
    """What is on the open internet."""
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433"])
def test_public_fetches_do_not_reach_private_addresses(server: Server, http: Http, host: str) -> None:
    """Neither by number nor by name, in any spelling; allowed, they go through."""
    url = f"http://{host}:{server.server_address[1]}/"
    assert code(lambda: http.public("GET", url), NotChecked) == "private_address"
    assert server.asked == []
    assert http.public("GET", url, private_addresses=True).body == b"ok "


def test_a_name_with_one_private_address_is_refused(
    http: Http, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public address beside it does not help, and the name is looked up once: what was checked is what is used."""
    port = server.server_address[1]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in ("8.8.8.8", "127.0.0.1")]
    asked = []

    def resolve(host: str, *_rest: Any, **_more: Any) -> Any:
        asked.append(host)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert code(lambda: http.public("GET", f"http://both.example:{port}/"), NotChecked) == "private_address"
    assert asked == ["both.example"]
    assert server.asked == []


def test_the_ca_s_redirect_is_not_followed(server: Server, http: Http) -> None:
    """A 3xx of a CA is no answer."""
    for status in (301, 302, 303, 307, 308, 304):
        server.pages["/r"] = lambda h, _b, s=status: say(h, s, Location=f"{server.url}/x")  # type: ignore[misc]
        assert code(lambda: http.ca("POST", f"{server.url}/r", body=b"x"), NoAnswer) == "redirected"
    assert {path for _m, path, *_rest in server.asked} == {"/r"}


def test_a_public_fetch_follows_three_redirects(server: Server, http: Http) -> None:
    """Three hops, relative ones too; the fourth is one too many. A POST is not turned into a GET."""
    for n in range(4):
        server.pages[f"/{n}"] = lambda h, _b, n=n: say(h, 302, Location=f"/{n + 1}")  # type: ignore[misc]
    get = lambda path: http.public("GET", f"{server.url}{path}", private_addresses=True)  # noqa: E731
    assert get("/1").body == b"ok "
    assert code(lambda: get("/0"), NotChecked) == "redirected"
    assert (
        code(lambda: http.public("POST", f"{server.url}/3", body=b"q", private_addresses=True), NotChecked)
        == "redirected"
    )
    server.pages["/307"] = lambda h, _b: say(h, 307, Location="/x")
    assert http.public("POST", f"{server.url}/307", body=b"q", private_addresses=True).body == b"ok q"


def test_every_hop_is_checked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public place that sends to a private one, or to another scheme, leads nowhere."""
    port = server.server_address[1]
    monkeypatch.setattr(
        "safetok.net.addresses.is_public", lambda a: not ipaddress.ip_address(a).is_loopback or a == "127.0.0.1"
    )
    http = Http(timeout=2, environ={})
    for target, expected in ((f"http://127.0.0.2:{port}/x", "private_address"), ("file:///etc/passwd", "bad_url")):
        server.pages["/hop"] = lambda h, _b, t=target: say(h, 302, Location=t)  # type: ignore[misc]
        assert code(lambda: http.public("GET", f"{server.url}/hop"), NotChecked) == expected
    http.close()


# --- how much and how long ---


def test_a_body_over_the_limit_is_not_read(server: Server, http: Http) -> None:
    """Announced or not, more than the limit is no answer."""

    def unannounced(handler: Handler, _body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        for _n in range(200):
            handler.wfile.write(bytes(10_000))

    server.pages["/big"] = lambda h, _b: say(h, 200, bytes(1001))
    server.pages["/endless"] = unannounced
    server.pages["/right"] = lambda h, _b: say(h, 200, bytes(1000))
    for path in ("/big", "/endless"):
        assert code(lambda p=path: http.ca("GET", server.url + p, limit=1000), NoAnswer) == "too_large"  # type: ignore[misc]
        fetch = lambda p=path: http.public("GET", server.url + p, limit=1000, private_addresses=True)  # noqa: E731
        assert code(fetch, NotChecked) == "too_large"
    assert len(http.ca("GET", f"{server.url}/right", limit=1000).body) == 1000


def test_a_compressed_body_is_not_unpacked(server: Server, http: Http) -> None:
    """Nobody asked for one: no bomb can hide in it."""
    server.pages["/gz"] = lambda h, _b: say(h, 200, b"\x1f\x8b", Content_Encoding="gzip")
    code(lambda: http.ca("GET", f"{server.url}/gz"), CaUnreachable)


def drip(prefix: bytes) -> Callable[[Handler, bytes], None]:
    def answer(handler: Handler, _body: bytes) -> None:
        handler.wfile.write(prefix)
        while not handler.server.gone.wait(0.05):  # type: ignore[attr-defined]
            handler.wfile.write(b"x")
            handler.wfile.flush()

    return answer


@pytest.mark.parametrize(
    "prefix",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["body", "headers", "status line", "no length"],
)
def test_a_slow_drip_ends_with_the_deadline(server: Server, hasty: Http, prefix: bytes) -> None:
    """A byte every 50 ms keeps no call alive beyond its time, wherever in the answer it drips."""
    server.pages["/drip"] = drip(prefix)
    begun = time.monotonic()
    assert code(lambda: hasty.ca("GET", f"{server.url}/drip"), CaUnreachable) == "timed_out"
    fetch = lambda: hasty.public("GET", f"{server.url}/drip", private_addresses=True)  # noqa: E731
    assert code(fetch, NotChecked) == "timed_out"
    assert time.monotonic() - begun < 3
    assert hasty.ca("GET", server.url).status == 200


def test_a_resolver_that_never_answers_ends_with_the_deadline(
    hasty: Http, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are looked up within the time too."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: server.gone.wait(30) or [])
    assert code(lambda: hasty.ca("GET", "https://slow.example/"), CaUnreachable) == "timed_out"


def test_nobody_listening_is_said_at_once(http: Http) -> None:
    """A refused connection, and a name that does not exist."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert code(lambda: http.ca("GET", f"http://127.0.0.1:{port}/"), CaUnreachable) == "ca_unreachable"
    assert code(lambda: http.public("GET", "http://nowhere.invalid/"), NotChecked) == "not_reached"


@pytest.mark.parametrize(
    "junk",
    [b"SSH-2.0-x\r\n", b"HTTP/1.1 OK\r\n\r\n", b"\x00" * 100, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"],
)
def test_what_is_no_http_is_said(server: Server, http: Http, junk: bytes) -> None:
    """Another protocol, a broken status line, a body cut short: unreachable, never a traceback."""

    def answer(handler: Handler, _body: bytes) -> None:
        handler.wfile.write(junk)
        handler.wfile.flush()
        handler.close_connection = True

    server.pages["/junk"] = answer
    code(lambda: http.ca("GET", f"{server.url}/junk"), CaUnreachable)
    code(lambda: http.public("GET", f"{server.url}/junk", private_addresses=True), NotChecked)


# --- proxies ---


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
        code(lambda: http.ca("POST", "https://ca.invalid/cmp", body=b"x"), CaUnreachable)
        thread.join()
        http.close()
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


@pytest.mark.parametrize("no_proxy", ["", "a.invalid", "ca.invalid:81", "10.0.0.0/8", "xca.invalid,.ca.invalid.x"])
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


# --- TLS ---


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An https server on loopback and the root it is signed by."""
    now = system_clock()
    span = {"begins": now - timedelta(days=1), "ends": now + timedelta(days=1)}
    root = issue("TLS", "TLS", key("tls"), key("tls"), [ca_true()], **span)
    san = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = issue("host", "TLS", key("host"), key("tls"), [(san, False)], **span)
    (tmp_path / "root.pem").write_bytes(root.x509().public_bytes(Encoding.PEM))
    secret = key("host").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "leaf.pem").write_bytes(leaf.x509().public_bytes(Encoding.PEM) + secret)
    with Server() as found:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "leaf.pem")
        found.socket = context.wrap_socket(found.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield found.url.replace("http", "https"), tmp_path / "root.pem"
        found.shutdown()


def test_tls_roots_are_the_system_s_or_the_ca_s_own(tls: tuple[str, Path], tmp_path: Path) -> None:
    """A server under `tls_ca` is believed with it and not without; a file that is none is a usage error."""
    url, root = tls
    http = Http(timeout=3, environ={})
    assert http.ca("POST", url, body=b"x", tls_ca=root).body == b"ok x"
    assert code(lambda: http.ca("GET", url), CaUnreachable) == "tls_failed"
    localhost = url.replace("127.0.0.1", "localhost")
    assert code(lambda: http.ca("GET", localhost, tls_ca=root), CaUnreachable) == "tls_failed"
    (tmp_path / "junk.pem").write_text("junk")
    for bad in (tmp_path / "junk.pem", tmp_path / "absent.pem"):
        assert code(lambda b=bad: http.ca("GET", url, tls_ca=b), UsageError) == "bad_tls_ca"  # type: ignore[misc]
    http.close()


# --- headers that tell time ---


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Sun, 22 Nov 2026 03:01:30 GMT", 90),
        ("Sun, 22 Nov 2026 02:00:00 GMT", 0),
        ("Sunday, 22-Nov-26 03:01:30 GMT", 90),
        ("99999999999999999999", 366 * 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 366 * 86_400),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("١٢", None),
        ("Sun, 99 Nov 2026 03:01:30 GMT", None),
    ],
)
def test_retry_after_in_both_forms(value: str, seconds: int | None) -> None:
    """Seconds or a date (RFC 9110 section 10.2.3), bounded; nonsense says nothing."""
    answer = Response(status=503, headers={"retry-after": value})
    assert answer.retry_after(NOW) == seconds


def test_a_date_counts_from_the_server_s_own_clock() -> None:
    """Without a moment given, its Date header is what Retry-After is measured by."""
    headers = {"retry-after": "Sun, 22 Nov 2026 03:01:30 GMT", "date": "Sun, 22 Nov 2026 03:00:00 GMT"}
    answer = Response(status=503, headers=headers)
    assert (answer.date, answer.retry_after()) == (NOW, 90)
    assert Response(status=503, headers={"retry-after": headers["retry-after"]}).retry_after() is None
    assert Response(status=503, headers={"retry-after": "7"}).retry_after() == 7
    assert Response(status=200).date is None
