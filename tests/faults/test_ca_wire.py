"""Answers that are none: spoilt, forged, huge, slow or missing. Nothing follows from them but a later try with the same bytes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from support_faults import Box

from safetok.domain.renewal import Hold, State
from safetok.errors import UsageError
from safetok.sandbox.faults import WIRE

SPOILT: dict[str, dict[str, Any]] = {name: {"name": name} for name in sorted(set(WIRE) - {"refuse", "status"})}
SPOILT |= {f"status {n}": {"name": "status", "status": n} for n in (302, 400, 404, 500, 503)}
SPOILT |= {f"unheard {name}": {"name": name, "processed": False} for name in ("cut", "html", "unsigned_refusal")}


@pytest.mark.parametrize("what", SPOILT)
def test_no_answer_is_a_hold_and_the_same_bytes_go_out_later(box: Box, what: str) -> None:
    """8 after the request and after the confirmation; each is sent again as it was, and one certificate comes of it all."""
    box.timeout = 0.7 if what == "drip" else 10.0
    box.plan({**SPOILT[what], "on": "kur"}, {**SPOILT[what], "on": "certConf"})
    before = box.objects()
    started = time.monotonic()
    lost = box.renew()
    assert time.monotonic() - started < 8
    assert (lost.status, lost.state) == (8, "REQUESTED")
    assert box.journal().hold is Hold.CA_UNREACHABLE
    assert box.objects() == before
    request = box.journal().request
    unconfirmed = box.resume()
    assert (unconfirmed.status, unconfirmed.state) == (8, "PROVEN")
    assert box.journal().request == request
    assert box.journal().sent_count == 2
    confirmation = box.journal().confirmation
    done = box.resume(pin=False)
    assert (done.status, done.state) == (0, "DONE"), done
    assert box.journal().confirmation == confirmation
    assert [row["state"] for row in box.issued()] == ["confirmed"]
    assert len(box.objects()["Certificate"]) == 2
    assert box.unused_plans() == []


def test_one_injected_packet_loses_no_certificate(box: Box) -> None:
    """Forged refusals between two honest answers, and after each: the renewal goes on to DONE with one certificate."""
    box.plan(
        {"name": "unsigned_refusal", "on": "kur"},
        {"name": "stranger_refusal", "on": "kur"},
        {"name": "unsigned_refusal", "on": "certConf"},
        {"name": "stranger_refusal", "on": "certConf"},
    )
    came = [box.renew(), *(box.resume() for _again in range(4))]
    assert [c.status for c in came] == [8, 8, 8, 8, 0]
    assert [row["state"] for row in box.issued()] == ["confirmed"]
    assert State.REJECTED not in box.states()


def test_a_ca_named_by_plain_http_elsewhere_is_never_asked(box: Box) -> None:
    """A setting that names plain HTTP to anything but literal loopback is refused, mid-renewal too, and nothing is lost."""
    text = box.places.settings.read_text()
    url = f"{box.authority.pki.base}/.well-known/cmp"
    box.plan("cut")
    assert box.renew().status == 8
    for other in ("http://192.0.2.7/.well-known/cmp", url.replace("127.0.0.1", "localhost")):
        box.places.settings.write_text(text.replace(url, other))
        with pytest.raises(UsageError, match=r"http"):
            box.resume()
    box.places.settings.write_text(text)
    assert box.resume().status == 0
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_an_rsa_token_s_renewal_survives_the_same(box: Box) -> None:
    """The other kind of key: request and confirmation lost once each."""
    box.story = "v2-owed"
    box.plan({"name": "cut", "on": "kur"}, {"name": "cut", "on": "certConf"})
    assert [c.status for c in (box.renew(), box.resume(), box.resume(pin=False))] == [8, 8, 0]
    assert [row["state"] for row in box.issued()] == ["confirmed"]


def test_a_new_key_survives_the_same(box: Box) -> None:
    """--new-key: one new pair, its certificate paired with it, however often answers were lost."""
    before = box.objects()
    box.plan({"name": "cut", "on": "kur"}, {"name": "html", "on": "kur"}, {"name": "cut", "on": "certConf"})
    came = [box.renew(new_key=True), box.resume(), box.resume(), box.resume(pin=False)]
    assert [c.status for c in came] == [8, 8, 8, 0]
    after = box.objects()
    assert len(after["Private Key"]) == len(before["Private Key"]) + 1
    (new,) = set(after["Private Key"]) - set(before["Private Key"])
    assert new in after["Certificate"]
    assert new in after["Public Key"]
