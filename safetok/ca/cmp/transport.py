"""CMP over HTTP (RFC 9811): one message out, one message back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from safetok.ca.cmp.endpoint import Endpoint
from safetok.ca.cmp.messages import read_message
from safetok.ca.cmp.names import MAX_MESSAGE
from safetok.errors import CaUnreachable, CaWait, NoAnswer
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.net import Http

MEDIA_TYPE = "application/pkixcmp"

# RFC 9483 section 6.1. A transaction's later messages go where its first one went.
_LABELS = {"kur": "keyupdate", "cr": "certification", "p10cr": "pkcs10", "p10": "pkcs10", "genm": "getcacerts"}
_WELL_KNOWN = re.compile(r"/\.well-known/cmp(/p/[^/]+)?/?")
_OK = 200
_BUSY = {429, 503}


def send(http: Http, endpoint: Endpoint, der: bytes, *, label: str = "") -> bytes:
    """POST one message and return the PKIMessage that came back, unchecked, whatever the HTTP status was.

    At `/.well-known/cmp` the operation `label` is appended (that of the endpoint's request when empty); any other address is
    used as it is. Raises CaWait (data `retry_after`, seconds) when the server says when to come back, CaUnreachable when
    nothing came, NoAnswer when what came is no PKIMessage.
    """
    answer = http.ca(
        "POST",
        _address(endpoint.url, _LABELS.get(label or endpoint.request, label)),
        body=der,
        headers={"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE},
        tls_ca=endpoint.tls_ca,
        limit=MAX_MESSAGE,
    )
    if answer.body:
        try:
            read_message(answer.body)
        except NoAnswer:
            if answer.status == _OK:
                raise
        else:
            return answer.body
    if answer.status in _BUSY:
        seconds = answer.retry_after()
        if seconds is not None:
            raise CaWait(
                _("The CA asks to come back in {seconds} seconds.").format(seconds=seconds),
                code="retry_after",
                data={"retry_after": seconds},
            )
    if answer.status >= 500:  # noqa: PLR2004  (RFC 9110: server error)
        raise CaUnreachable(
            _("The CA's server cannot answer now (HTTP {status}).").format(status=answer.status), code="http_status"
        )
    raise NoAnswer(
        _("The CA's server answered HTTP {status} and no CMP message.").format(status=answer.status), code="http_status"
    )


def _address(url: str, label: str) -> str:
    parts = urlsplit(url)
    if not _WELL_KNOWN.fullmatch(parts.path) or not label:
        return url
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{label}"))
