"""The one HTTP caller: whom it may talk to, how much it takes, and how long it waits, whatever the other end does.

A call has one deadline over everything (names, connection, TLS, headers, body), however slowly the other end drips.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.errors import CaUnreachable, NoAnswer, NotChecked, SafetokError
from safetok.locale import _
from safetok.log import note
from safetok.net.addresses import Fail, PrivateAddress, Target, bypassed, is_literal_loopback, joined, target_of
from safetok.net.exchange import Call, Response, Sockets, TooLarge, ask, pool_classes, tls_context, within

if TYPE_CHECKING:
    import urllib3

__all__ = ["Http", "Response"]

REDIRECTS = 3  # of a public fetch; a call to a CA follows none
_MOVED = {301, 302, 303, 307, 308}
_SAME_METHOD = {307, 308}
_OUT_OF_TIME = {9, 10}  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


def load_ahead() -> None:
    """Import what the first request takes, in time that would else be waited through."""
    import urllib3  # noqa: F401


class Http:
    """Connections to CAs and to the places that certificates name, kept open between calls.

    `timeout` is the longest a call may take as a whole, in seconds. Proxies come from `environ` (HTTPS_PROXY, HTTP_PROXY,
    ALL_PROXY, NO_PROXY, in either case), never for loopback.
    """

    def __init__(self, *, timeout: float = 20.0, environ: Mapping[str, str] = os.environ) -> None:
        self.timeout = timeout
        self._environ = environ
        self._managers: dict[tuple[str, str, Path | None, bool], urllib3.PoolManager] = {}

    def ca(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        tls_ca: Path | None = None,
        limit: int = 1 << 20,
    ) -> Response:
        """Ask a CA: https, or http to a literal loopback address; no redirects. Any other status is the caller's to read.

        Raises NoAnswer for a redirect or a body over `limit` bytes, CaUnreachable when nothing came back, UsageError when
        `tls_ca` cannot be used.
        """
        target = target_of(url, _ca_failed)
        if target.scheme == "http" and not is_literal_loopback(target.host):
            error = _ca_failed(_("The CA's address must begin with https: {url}").format(url=url), "plain_http")
            error.hint = _("Plain http is only used to an address of this very machine (127.0.0.1).")
            raise error
        call = Call(method, target, body, headers or {}, limit, tls_ca=tls_ca, guarded=False)
        response = self._exchange(call, self.timeout, _ca_failed)
        if 300 <= response.status < 400:  # noqa: PLR2004  (RFC 9110: redirection)
            raise NoAnswer(
                _("The CA's server sends to another place (HTTP {status}); safetok does not follow.").format(
                    status=response.status
                ),
                code="redirected",
            )
        return response

    def public(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        private_addresses: bool = False,
        limit: int = 16 << 20,
    ) -> Response:
        """Fetch what a certificate names (OCSP, CRL, AIA), over http or https, with at most three redirects.

        Unless `private_addresses`, every hop must resolve to public addresses only, and the connection goes to the
        address that was looked at. Raises NotChecked.
        """
        deadline = time.monotonic() + self.timeout
        for _hop in range(REDIRECTS + 1):
            target = target_of(url, _not_checked)
            call = Call(method, target, body, headers or {}, limit, tls_ca=None, guarded=not private_addresses)
            response = self._exchange(call, deadline - time.monotonic(), _not_checked)
            if response.status not in _MOVED:
                return response
            if (method != "GET" and response.status not in _SAME_METHOD) or not response.headers.get("location"):
                break
            url = joined(url, response.headers["location"])
        raise NotChecked(_("{url} sends from one place to the next.").format(url=url), code="redirected")

    def close(self) -> None:
        """Close every connection."""
        for manager in self._managers.values():
            manager.clear()
        self._managers.clear()

    def _exchange(self, call: Call, seconds: float, fail: Fail) -> Response:
        begun = time.monotonic()
        ended, sockets = "given up", Sockets()
        try:
            response = self._answer(call, seconds, fail, sockets)
            ended = str(response.status)
        except SafetokError as error:
            ended = error.code
            if isinstance(error, CaUnreachable):
                error.went_out = sockets.asked
            raise
        finally:
            took = round((time.monotonic() - begun) * 1000)
            note(f"{call.method} {call.target.url} -> {ended} in {took} ms")
        return response

    def _answer(self, call: Call, seconds: float, fail: Fail, sockets: Sockets) -> Response:
        import urllib3

        proxy = self._proxy_for(call.target)
        manager = self._manager(proxy, call, fail)
        try:
            return within(seconds, functools.partial(ask, manager, call, seconds, proxied=bool(proxy)), sockets)
        except TooLarge as error:
            raise fail(_("{host} sends more than it may.").format(host=call.target.host), "too_large") from error
        except PrivateAddress as error:
            raise fail(
                _("{host} is an address of a private network; safetok does not ask there.").format(
                    host=call.target.host
                ),
                "private_address",
            ) from error
        except urllib3.exceptions.NewConnectionError as error:  # urllib3 counts it among the time-outs
            raise fail(_("No connection to {host}.").format(host=call.target.host), "") from error
        except (TimeoutError, urllib3.exceptions.TimeoutError) as error:
            raise fail(_("{host} took too long to answer.").format(host=call.target.host), "timed_out") from error
        except urllib3.exceptions.SSLError as error:
            raise fail(_tls_failure(error.args[0], call.target.host), "tls_failed") from error
        except urllib3.exceptions.ProxyError as error:
            raise fail(_proxy_said(str(error.original_error), call.target.host), "proxy_refused") from error
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise fail(_("No connection to {host}.").format(host=call.target.host), "") from error

    def _manager(self, proxy: str, call: Call, fail: Fail) -> urllib3.PoolManager:
        import urllib3

        key = (proxy, call.target.scheme, call.tls_ca, call.guarded)
        if key in self._managers:
            return self._managers[key]
        settings: dict[str, Any] = {"maxsize": 4}
        if call.target.scheme == "https":
            settings["ssl_context"] = tls_context(call.tls_ca)
        manager: urllib3.PoolManager
        if proxy:
            try:
                parsed = urllib3.util.parse_url(proxy)
                headers = urllib3.make_headers(proxy_basic_auth=parsed.auth) if parsed.auth else {}
                manager = urllib3.ProxyManager(parsed._replace(auth=None).url, proxy_headers=headers, **settings)
            except (urllib3.exceptions.HTTPError, ValueError) as error:
                raise fail(
                    _("The proxy in the environment cannot be used; it must be an http or https address."),
                    "proxy_unusable",
                ) from error
        else:
            manager = urllib3.PoolManager(**settings)
        manager.pool_classes_by_scheme = pool_classes(guarded=call.guarded and not proxy)
        self._managers[key] = manager
        return manager

    def _proxy_for(self, target: Target) -> str:
        """The proxy for this target; empty for none. Never one for loopback."""
        if is_literal_loopback(target.host) or target.host == "localhost":
            return ""
        if bypassed(target, self._variable("no_proxy")):
            return ""
        return self._variable(f"{target.scheme}_proxy") or self._variable("all_proxy")

    def _variable(self, name: str) -> str:
        """Lower case first. HTTP_PROXY is not believed inside a CGI, where a visitor can set it (httpoxy)."""
        if name in self._environ:
            return self._environ[name].strip()
        if name == "http_proxy" and "REQUEST_METHOD" in self._environ:
            return ""
        return self._environ.get(name.upper(), "").strip()


def _tls_failure(error: object, host: str) -> str:
    """Whose fault it may be: a clock that is off makes every certificate one that is over, or has not begun."""
    code = getattr(error, "verify_code", None)
    if code is None:
        return _("The secure connection (TLS) to {host} failed.").format(host=host)
    if code in _OUT_OF_TIME:
        return _(
            "By this computer's clock the TLS certificate of {host} is over or has not begun: check the date and time."
        ).format(host=host)
    return _("{host} cannot prove that it is who it says (TLS).").format(host=host)


def _proxy_said(why: str, host: str) -> str:
    tunnel, failed, answer = why.partition(
        "Tunnel connection failed: "
    )  # so http.client says what CONNECT was answered
    if not failed or tunnel:
        return _("The proxy in the environment cannot be reached.")
    return _("The proxy in the environment does not connect to {host} ({why}).").format(host=host, why=answer)


def _ca_failed(message: str, code: str) -> SafetokError:
    if code == "too_large":
        return NoAnswer(message, code=code)
    error = CaUnreachable(message, code=code or None)
    error.went_out = False  # unless the exchange got so far
    return error


def _not_checked(message: str, code: str) -> SafetokError:
    return NotChecked(message, code=code or "not_reached")
