"""An HTTP answer read by the standard library, strict where that is not."""

from __future__ import annotations

import http.client


class StrictResponse(http.client.HTTPResponse):
    """Interim answers are passed over, and no chunk of it has a negative size."""

    def _read_status(self) -> tuple[str, int, str]:
        """Every interim answer is treated like 100 (RFC 9110 section 15.2): taken for the last one, it would leave the true one to
        be read as the answer to the next question.
        """
        version, status, reason = super()._read_status()  # type: ignore[misc]
        return version, http.client.CONTINUE if 100 <= status < 200 else status, reason  # noqa: PLR2004

    def _safe_read(self, amt: int) -> bytes:
        """A negative size means "all there is" to what reads below, whatever was to be the limit."""
        if amt < 0:
            raise http.client.IncompleteRead(b"")
        return bytes(super()._safe_read(amt))  # type: ignore[misc]
