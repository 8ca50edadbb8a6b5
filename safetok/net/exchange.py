"""One HTTP exchange, bounded in time and size, and what came of it.

It runs in another thread, so that whoever waits can end it: a server that drips one byte a second is cut off when the time is
over, and so is a resolver that never answers.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetok import __version__
from safetok.errors import UsageError
from safetok.locale import _
from safetok.net.addresses import Target, addresses_of, look_before_proxy
from safetok.records import dataclass

if TYPE_CHECKING:
    import urllib3

LONGEST_WAIT = 366 * 86_400  # seconds; a Retry-After beyond it says nothing a person could use
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def retry_after(self, now: datetime | None = None) -> int | None:
        """Seconds to wait by the Retry-After header (RFC 9110 section 10.2.3, both forms); None when it says nothing.

        A point in time is counted from `now`, or from the server's own Date, whose clock it was written by.
        """
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return min(int(value[:12]), LONGEST_WAIT)
        instant, now = _http_date(value), now or self.date
        if instant is None or now is None:
            return None
        return min(max(0, round((instant - now).total_seconds())), LONGEST_WAIT)

    @property
    def date(self) -> datetime | None:
        """When the server says it answered; None when it does not say."""
        return _http_date(self.headers.get("date", ""))


class Call(NamedTuple):
    method: str
    target: Target
    body: bytes
    headers: Mapping[str, str]
    limit: int
    tls_ca: Path | None
    guarded: bool  # only public addresses


class TooLarge(Exception):
    """The body is longer than the caller takes."""


_watching = threading.local()


class Sockets:
    """The sockets of one exchange, so that whoever waits for it can end it, and whether the question began to go out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._over = False
        self.asked = False

    def add(self, sock: socket.socket | None) -> None:
        with self._lock:
            if sock is not None:
                self._sockets.append(getattr(sock, "socket", sock))  # TLS inside a proxy's TLS is no socket, it has one
            if self._over:
                self._end()

    def end(self) -> None:
        with self._lock:
            self._over = True
            self._end()

    def _end(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _Errand(NamedTuple):
    work: Callable[[], Response]
    sockets: Sockets
    outcome: queue.SimpleQueue[Response | BaseException]


# Threads that wait for an errand, each by its queue: to start one for each exchange costs as much as a short one takes.
_resting: list[queue.SimpleQueue[_Errand]] = []


def _run_errands(errands: queue.SimpleQueue[_Errand]) -> None:
    while True:
        work, _watching.sockets, outcome = errands.get()
        came: Response | BaseException
        try:
            came = work()
        except BaseException as error:  # noqa: BLE001  (raised again where the result is waited for)
            came = error
        del work
        _resting.append(errands)
        outcome.put(came)
        del came


def within(seconds: float, work: Callable[[], Response], sockets: Sockets) -> Response:
    """The result of `work`, or TimeoutError after `seconds`, whatever it is busy with. `sockets` learn of what it opens."""
    errand = _Errand(work, sockets, queue.SimpleQueue())
    try:
        errands = _resting.pop()
    except IndexError:
        errands = queue.SimpleQueue()
        threading.Thread(target=_run_errands, args=(errands,), name="http", daemon=True).start()
    errands.put(errand)
    try:
        result = errand.outcome.get(timeout=max(seconds, 0))
    except BaseException as error:
        errand.sockets.end()
        if isinstance(error, queue.Empty):
            raise TimeoutError from None
        raise
    if isinstance(result, BaseException):
        raise result
    return result


def ask(manager: urllib3.PoolManager, call: Call, seconds: float, *, proxied: bool) -> Response:
    """Send and read to the end. Raises urllib3's errors, OSError, ValueError, TooLarge and PrivateAddress."""
    import urllib3

    if call.guarded and proxied:
        look_before_proxy(call.target)
    headers = {"Accept-Encoding": "identity", "User-Agent": f"safetok/{__version__}", **call.headers}
    pool: Any = manager
    if not proxied:  # the manager would take the address apart again, to find the pool
        pool = manager.connection_from_host(call.target.host, call.target.port, call.target.scheme)
    answer = pool.urlopen(
        call.method,
        call.target.url if proxied else call.target.asked,
        body=call.body if call.method != "GET" else None,
        headers=headers,
        redirect=False,
        retries=False,
        preload_content=False,
        decode_content=False,
        timeout=urllib3.Timeout(total=max(seconds, 0.001)),
    )
    try:
        body = b"".join(_pieces(answer, call.limit))
    except BaseException:
        answer.close()
        raise
    answer.release_conn()
    return Response(
        status=answer.status, headers={name.lower(): value for name, value in answer.headers.items()}, body=body
    )


def _pieces(answer: urllib3.BaseHTTPResponse, limit: int) -> Iterator[bytes]:
    if answer.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise ValueError("compressed, though it was not asked for")
    length = answer.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > limit:
        raise TooLarge
    taken = 0
    for piece in answer.stream(_CHUNK, decode_content=False):
        taken += len(piece)
        if taken > limit:
            raise TooLarge
        yield piece


def pool_classes(*, guarded: bool) -> dict[str, Any]:
    """urllib3's pools over connections that can be ended from outside and, when guarded, only reach public addresses."""
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
    from urllib3.util.connection import create_connection

    from safetok.net.strict import StrictResponse

    class Watched:
        sock: socket.socket | None
        host: str
        port: int
        timeout: float | None
        socket_options: Any

        def _new_conn(self) -> socket.socket:
            last: OSError | None = None
            until = time.monotonic() + (self.timeout or 0)
            addresses = addresses_of(self.host, self.port, guarded=guarded)
            for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
                # One that swallows everything (IPv6 that leads nowhere, often) leaves the others their share of the time.
                share = max(0.001, until - time.monotonic()) / left if self.timeout else None
                try:
                    sock = create_connection((address, self.port), share, socket_options=self.socket_options)
                except OSError as error:
                    last = error
                else:
                    sock.settimeout(self.timeout)
                    _watching.sockets.add(sock)
                    return sock
            if isinstance(last, TimeoutError):
                raise ConnectTimeoutError(self, str(last)) from last
            raise NewConnectionError(self, str(last)) from last  # type: ignore[arg-type]

        def connect(self) -> None:
            super().connect()  # type: ignore[misc]
            _watching.sockets.add(self.sock)

        def request(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is None:
                self.connect()
            _watching.sockets.add(self.sock)  # also one that was kept open
            _watching.sockets.asked = True
            super().request(*args, **kwargs)  # type: ignore[misc]

    class Plain(Watched, HTTPConnection):
        response_class = StrictResponse

    class Secure(Watched, HTTPSConnection):
        response_class = StrictResponse

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def tls_context(tls_ca: Path | None) -> ssl.SSLContext:
    """The system's roots, or `tls_ca` instead of them. Raises UsageError when that file cannot be used.

    Under `tls_ca`, often made by hand, identifiers of keys may be missing (RFC 5280 4.2.1.1): Python refuses that from 3.13 on.
    """
    try:
        context = ssl.create_default_context(cafile=str(tls_ca) if tls_ca else None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            _("The file of TLS roots cannot be used: {path}").format(path=tls_ca), code="bad_tls_ca"
        ) from error
    if tls_ca:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _http_date(value: str) -> datetime | None:
    from email.utils import parsedate_to_datetime

    try:
        instant = parsedate_to_datetime(value)
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
