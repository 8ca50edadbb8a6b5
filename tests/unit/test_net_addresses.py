"""Whom the HTTP caller may talk to: which addresses are public, and every hop is checked."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from support_http import Server, code, say

from safetok.errors import CaUnreachable, NoAnswer, NotChecked
from safetok.net import Http
from safetok.net.addresses import is_public


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
    ("url", "told"),
    [
        ("ftp://s\u0430fe-ca.vn/x", "ftp://s\u0430fe-ca.vn/x (xn--sfe-ca-3nf.vn)"),
        ("ftp://safe-ca.vn/t\u1ec7p", "ftp://safe-ca.vn/t\u1ec7p"),
        ("ftp://safe-ca.vn/x", "ftp://safe-ca.vn/x"),
        ("ftp://\u2100.vn/", "ftp://\u2100.vn/ (ftp://\\u2100.vn/)"),
        ("ftp://" + "\u0430" * 90, "ftp://" + "\u0430" * 90 + " (ftp://" + "\\u0430" * 90 + ")"),
    ],
)
def test_a_name_is_shown_as_it_is_asked_too(http: Http, url: str, told: str) -> None:
    """Letters that look like others are seen, in what names the address; a name that can be none is written out."""
    with pytest.raises(CaUnreachable) as refused:
        http.ca("GET", url)
    assert refused.value.message.endswith(f": {told}")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
        "2002:0a00:0001::1", "64:ff9b::10.0.0.1", "2001:db8::1", "fec0::1", "64:ff9b:1::10.0.0.1", "::10.0.0.1",
        "::ffff:0:10.0.0.1",
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
