"""A CA whose offers cannot be had just now: nothing is begun, and the person is told so, with the next step."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from support_faults import Box

from safetok.sandbox.offers import Reply

BUSY = Reply(status=503, headers=(("Retry-After", "30"),), type="text/plain")


@pytest.mark.parametrize(
    ("way", "reply", "status"),
    [
        ("get", BUSY, 9),
        ("get", Reply(status=500, type="text/html"), 8),
        ("post", BUSY, 9),
        ("post", Reply(status=500, type="text/html"), 8),
        ("post", Reply(status=204), 8),
        ("post", Reply(type="application/json", body=b'{"offer_id": "x"}'), 8),
        ("post", Reply(manner="cut"), 8),
    ],
)
def test_what_is_unheard_begins_nothing_and_names_the_next_step(box: Box, way: str, reply: Reply, status: int) -> None:
    """Busy, broken, unreadable or cut, before the PIN or after it (every error here must have a hint: `Came`)."""
    honest = getattr(box.authority, way)

    def answer(path: str, *body: bytes) -> Reply:
        return reply if path.startswith("/v1/") else honest(path, *body)

    with patch.object(box.authority, way, answer):
        came = box.renew()
    assert (came.status, came.state) == (status, "PLANNED")
    with box.context() as context:
        assert context.database.rows("SELECT id FROM renewals") == []
    assert box.renew().state == "DONE"
