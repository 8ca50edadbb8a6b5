"""An HTTP server on loopback that answers as a test wants, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from safetok.errors import SafetokError


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


def code(work: Callable[[], Any], kind: type[SafetokError]) -> str:
    with pytest.raises(kind) as error:
        work()
    assert error.value.message
    return error.value.code
