"""Which addresses may be asked: literal loopback, public ones, and those that go through no proxy."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from safetok.errors import SafetokError
from safetok.locale import _

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ASSIGNED = ipaddress.IPv6Network("2000::/3")  # what IANA has given out for the open internet (RFC 4291 2.4)

Fail = Callable[[str, str], SafetokError]  # message, code -> the error of this kind of call


class Target(NamedTuple):
    scheme: str
    host: str  # no brackets, lower case
    port: int
    url: str
    asked: str  # its path and query, as a server is asked for them


class PrivateAddress(Exception):
    """A host that was to be public resolves to an address that is not."""


def target_of(url: str, fail: Fail) -> Target:
    """The target of an http or https address; raises `fail` for anything else, also for one that carries a name or password."""
    target = _target(url)
    if target is None:
        raise fail(_("This is not an address safetok can ask: {url}").format(url=shown(url)), "bad_url")
    return target


@lru_cache(maxsize=64)
def _target(url: str) -> Target | None:
    import urllib3

    if not url.isprintable() or " " in url:
        return None
    try:
        parsed = urllib3.util.parse_url(url)
    except urllib3.exceptions.HTTPError:
        return None
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.auth:
        return None
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    return Target(parsed.scheme, parsed.host.strip("[]"), port, parsed._replace(fragment=None).url, parsed.request_uri)


def shown(url: str) -> str:
    """An address for a person: beside a name with other letters than ASCII what is truly asked (its A-labels, RFC 5890), for
    letters of two scripts look alike.
    """
    if url.isascii():
        return url
    from urllib.parse import urlsplit

    host = ""
    try:
        host = urlsplit(url).hostname or ""
        asked = host.encode("idna").decode("ascii")
    except ValueError:  # no address, or no name that could be one
        asked = ascii(url)[1:-1]
    return url if asked == host else f"{url} ({asked})"


def joined(url: str, location: str) -> str:
    """Where a redirect leads."""
    from urllib.parse import urljoin

    try:
        return urljoin(url, location.strip())
    except ValueError:
        return location


def addresses_of(host: str, port: int, *, guarded: bool) -> list[str]:
    """What a name resolves to; guarded, OSError (`PrivateAddress`) when any of it is not public."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)]
    if guarded and not all(is_public(address) for address in found):
        raise PrivateAddress(host)
    return list(dict.fromkeys(found))


def look_before_proxy(target: Target) -> None:
    """Behind a proxy the name is resolved there; what can be told here is told here."""
    try:
        addresses_of(target.host, target.port, guarded=True)
    except socket.gaierror:
        return


def is_public(address: str) -> bool:
    """Whether an address belongs to the open internet, also by what it wraps (mapped, 6to4, Teredo, NAT64)."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        wrapped = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if ip in _NAT64:
            wrapped.append(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
        inner = [w for w in wrapped if w is not None]
        if inner:
            return all(is_public(str(w)) for w in inner)
        if ip not in _ASSIGNED:  # site-local, local NAT64 (RFC 8215), IPv4 wrapped in ways long given up
            return False
    return ip.is_global and not ip.is_multicast


def is_literal_loopback(host: str) -> bool:
    """Whether the host is written as a loopback address; a name that resolves to one is not."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bypassed(target: Target, no_proxy: str) -> bool:
    """Whether NO_PROXY names this host: `*`, a name and what is under it, `host:port`, an address, or a network."""
    for entry in (part.strip().lower() for part in no_proxy.split(",")):
        if entry == "*":
            return True
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(target.host) in ipaddress.ip_network(entry.strip("[]"), strict=False):
                return True
        name, colon, port = entry.rpartition(":")
        if colon and port.isdecimal() and "]" not in port and (name.count(":") == 0 or name.endswith("]")):
            if int(port) != target.port:
                continue
            entry = name.strip("[]")  # noqa: PLW2901  (the entry without its port)
        entry = entry.removeprefix("*").lstrip(".")  # noqa: PLW2901
        if entry and (target.host == entry or target.host.endswith(f".{entry}")):
            return True
    return False
