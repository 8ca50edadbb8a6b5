from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support_http import Server

from safetok.net import Http


@pytest.fixture
def localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """`localhost` is this machine, also on one that has no /etc/hosts to say so."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **named: Any) -> Any:
        return resolve("127.0.0.1" if host == "localhost" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def server(localhost: None) -> Iterator[Server]:
    """A server that is there until the test ends."""
    with Server() as found:
        threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield found
        found.gone.set()
        found.shutdown()


@pytest.fixture
def http(localhost: None) -> Iterator[Http]:
    """The HTTP caller, with no proxy."""
    client = Http(timeout=10, environ={})
    yield client
    client.close()


@pytest.fixture
def hasty(localhost: None) -> Iterator[Http]:
    """For servers that would never end."""
    client = Http(timeout=0.5, environ={})
    yield client
    client.close()
