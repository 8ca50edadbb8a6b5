"""The network with a memory for one run: a server that could not be reached is not waited for again."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from safetok.errors import SafetokError
from safetok.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from safetok.net import Http, Response

_OUT_OF_REACH = {"ca_unreachable", "not_reached", "timed_out", "tls_failed", "proxy_refused", "private_address"}


@dataclass
class Patience:
    """Stands where Http does. Hundreds of certificates share one CA: what could not be reached fails at once from then on."""

    http: Http
    failed: dict[str, SafetokError] = field(default_factory=dict)

    def public(self, method: str, url: str, **how: Any) -> Response:
        """As Http.public."""
        return self._once(url, lambda: self.http.public(method, url, **how))

    def ca(self, method: str, url: str, **how: Any) -> Response:
        """As Http.ca."""
        return self._once(url, lambda: self.http.ca(method, url, **how))

    def _once(self, url: str, ask: Callable[[], Response]) -> Response:
        try:
            server = urlsplit(url).netloc
        except ValueError:  # no address at all; it is asked, and refused as such
            server = url
        if server in self.failed:
            known = self.failed[server]
            raise type(known)(known.message, code=known.code, hint=known.hint, data=dict(known.data))
        try:
            return ask()
        except SafetokError as error:
            if error.code in _OUT_OF_REACH:
                self.failed[server] = error
            raise
