from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support_http import Handler, Server, code, say
from support_trust import ca_true, issue, key

from safetok.domain.times import system_clock
from safetok.errors import CaUnreachable, NoAnswer, NotChecked, UsageError
from safetok.net import Http, Response

NOW = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)


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


def test_a_chunk_of_negative_size_is_no_way_around_the_limit(server: Server, http: Http) -> None:
    """Its end would be the end of the line: the server gets nothing rid that would have to be kept."""
    taken: list[int] = []

    def endless(handler: Handler, _body: bytes) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
        with contextlib.suppress(OSError):
            for _n in range(64):
                handler.wfile.write(bytes(1 << 20))
                taken.append(1 << 20)

    server.pages["/minus"] = endless
    code(lambda: http.ca("GET", f"{server.url}/minus", limit=1000), CaUnreachable)
    code(lambda: http.public("GET", f"{server.url}/minus", limit=1000, private_addresses=True), NotChecked)
    assert sum(taken) < 64 << 20


def test_an_interim_answer_is_not_the_answer(server: Server, http: Http) -> None:
    """103 (RFC 8297) comes before the answer; the next question gets its own."""

    def early(handler: Handler, body: bytes) -> None:
        handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        say(handler, 200, b"to " + body)

    server.pages["/early"] = early
    for question in (b"one", b"two"):
        answer = http.ca("POST", f"{server.url}/early", body=question)
        assert (answer.status, answer.body) == (200, b"to " + question)


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


def test_an_address_that_swallows_everything_leaves_time_for_the_next(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host with two addresses, the first a hole (IPv6 without a way out): the second is asked within the time."""
    port = server.server_address[1]
    with socket.socket() as hole, contextlib.ExitStack() as queued:
        hole.bind(("127.0.0.2", port))
        hole.listen(0)
        for _n in range(4):  # more than it takes: who comes now is not answered
            waiting = queued.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", port))
        monkeypatch.setattr("safetok.net.exchange.addresses_of", lambda *_a, **_k: ["127.0.0.2", "127.0.0.1"])
        http = Http(timeout=3, environ={})
        assert http.ca("POST", server.url, body=b"x").body == b"ok x"
        http.close()


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


@pytest.mark.usefixtures("localhost")
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


def test_a_root_made_by_hand_is_enough_on_every_python(tls: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates under `tls_ca` need no key identifiers, also where Python asks for them (3.13); under others they do."""
    url, root = tls
    as_it_was = ssl.create_default_context

    def strict(*args: object, **more: object) -> ssl.SSLContext:
        context = as_it_was(*args, **more)  # type: ignore[arg-type]
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    monkeypatch.setenv("SSL_CERT_FILE", str(root))
    http = Http(timeout=3, environ={})
    assert http.ca("POST", url, body=b"x", tls_ca=root).body == b"ok x"
    assert code(lambda: http.ca("POST", url, body=b"x"), CaUnreachable) == "tls_failed"
    http.close()


def test_tls_says_whose_fault_it_may_be(tls: tuple[str, Path], http: Http, server: Server) -> None:
    """A certificate that is over by the clock here, one of nobody's, and no TLS at all are told apart."""
    url, root = tls
    now = system_clock()
    over = {"begins": now - timedelta(days=2), "ends": now - timedelta(days=1)}
    san = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    ended = issue("host", "TLS", key("host"), key("tls"), [(san, False)], **over)
    secret = key("host").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (root.parent / "over.pem").write_bytes(ended.x509().public_bytes(Encoding.PEM) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root.parent / "over.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError), listening.accept()[0] as peer:
                context.wrap_socket(peer, server_side=True).close()

        thread = threading.Thread(target=serve)
        thread.start()
        late = f"https://127.0.0.1:{listening.getsockname()[1]}/"
        told = []
        for asked, roots in ((late, root), (url, None), (server.url.replace("http:", "https:"), None)):
            with pytest.raises(CaUnreachable) as error:
                http.ca("GET", asked, tls_ca=roots)
            assert error.value.code == "tls_failed"
            told.append(error.value.message)
        thread.join()
    assert len(set(told)) == 3
    assert "giờ" in told[0]


def test_what_went_out_is_known(server: Server, http: Http, tls: tuple[str, Path]) -> None:
    """No connection, no TLS, no proxy's tunnel: nothing was asked. From the first byte on it may have arrived, whatever the end."""
    url, root = tls
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"

    def hang_up(handler: Handler, _body: bytes) -> None:
        handler.close_connection = True

    server.pages |= {"/cut": hang_up, "/big": lambda h, _b: say(h, 200, bytes(99))}
    tunnel = Http(timeout=2, environ={"https_proxy": server.url})
    for asked, went_out in (
        (lambda: http.ca("POST", nobody, body=b"x"), False),
        (lambda: http.ca("POST", "http://ca.example/", body=b"x"), False),
        (lambda: http.ca("POST", url, body=b"x"), False),
        (lambda: tunnel.ca("POST", "https://ca.invalid/", body=b"x"), False),
        (lambda: http.ca("POST", f"{server.url}/cut", body=b"x"), True),
        (lambda: http.ca("POST", f"{server.url}/big", body=b"x", limit=9), True),
    ):
        with pytest.raises(CaUnreachable) as error:
            asked()
        assert error.value.went_out is went_out
    tunnel.close()
    assert http.ca("POST", url, body=b"x", tls_ca=root).status == 200


def test_what_breaks_tls_after_the_question_does_not_unsend_it(tls: tuple[str, Path]) -> None:
    """A server that reads the question and then answers outside of TLS: an error of TLS, and yet the question has arrived."""
    _url, root = tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root.parent / "leaf.pem")
    told = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            peer, _address = listening.accept()
            with context.wrap_socket(peer, server_side=True) as talking:
                asked = b""
                while not asked.endswith(
                    b"\r\n\r\nx"
                ):  # all of it: what is left unread at the end would reset the line
                    asked += talking.recv(65536)
                os.write(talking.fileno(), b"this is no record of TLS")
                told.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        http = Http(timeout=3, environ={})
        with pytest.raises(CaUnreachable) as error:
            http.ca("POST", f"https://127.0.0.1:{listening.getsockname()[1]}/", body=b"x", tls_ca=root)
        told.set()
        thread.join()
        http.close()
    assert (error.value.code, error.value.went_out) == ("tls_failed", True)


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
        ("Fri, 31 Dec 9999 23:59:59 -0700", None),
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
