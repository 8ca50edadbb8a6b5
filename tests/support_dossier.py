"""What tests of dossiers share: a home that has never seen a token, an LCS certificate, and the steps up to a token's arrival."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support_clock import Clocked
from support_store import certificate, reading

from safetok.domain.certificates import Certificate
from safetok.domain.times import VIETNAM
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home

MST = "0301519977"


def vn(*parts: int) -> datetime:
    """An instant by the Vietnamese clock."""
    return datetime(*parts, tzinfo=VIETNAM).astimezone(UTC)  # type: ignore[arg-type,misc]


START = vn(2027, 1, 18, 9)  # a Monday, less than three weeks before Tết


def clocked(folder: Path) -> Clocked:
    """A command line in a home that has never seen a token; its driver leads nowhere, so a command that opened one would fail."""
    return Clocked({"SAFETOK_HOME": str(folder / "home"), "SAFETOK_MODULE": str(folder / "no-driver.so")}, START)


def lcs(number: int, since: datetime, **changes: Any) -> Certificate:
    """A certificate of LCS-CA for the company."""
    named: dict[str, Any] = {"mst": MST, "issuer": "CN=LCS-CA G1", "issuer_name": "LCS-CA G1", "issuer_der": b"lcs"}
    return certificate(number, **{**named, **changes}, not_before=since, not_after=since + timedelta(days=1000))


def plugged_in(cli: Clocked, token: str, *certificates: Certificate) -> None:
    """As after `safetok status` with this token in."""
    with Database(home(cli.env).database) as db:
        Inventory(db).record(reading(token, *certificates), cli.now)


def did(cli: Clocked, *words: str) -> dict[str, Any]:
    """Record a step; the dossier as scripts read it."""
    said = cli.json("dossier", *words)
    assert said.status == 0, said.out
    found: dict[str, Any] = said.data["dossier"]
    return found


def to_the_token(cli: Clocked, day: datetime) -> None:
    """Revoked, by the plan to go on, until the token comes on `day`."""
    did(cli, "start", "--case", "revoked", "--mst", MST, "--name", "CÔNG TY AN PHÁT", "--one")
    for step in ("uploaded", "video-called", "payment-requested", "paid"):
        did(cli, step)
    cli.now = day
    assert did(cli, "token-received", "--token", "T9")["not_activated"] is True
