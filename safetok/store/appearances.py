"""New certificates that came by other means: which old one they seem to follow, and what a person decided about them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from safetok.domain.certificates import Certificate
from safetok.domain.companies import company_of
from safetok.records import dataclass
from safetok.store.database import Database

# Old and new seen together for the first time: worth a question only while the change is young.
YOUNG = timedelta(days=90)

Settled = Literal["adopted", "dismissed", "renewed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """A certificate that safetok did not bring, and the one it seems to replace. `asked`: a person must say that it does (the
    token is another one, or both were there at the first look).
    """

    sha256: str
    token_serial: str
    replaces: str | None  # SHA-256
    replaced_token: str | None  # where the old one is or was, when that is another token
    asked: bool
    seen_at: datetime


class Appearances:
    """Certificates waiting for `certs adopt`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def waiting(self, *, token_serial: str | None = None, sha256: str | None = None) -> tuple[Appearance, ...]:
        """Those not yet adopted, dismissed, or brought by a renewal of ours, the oldest first: all, a token's, or the one of this
        SHA-256.
        """
        narrowed = "" if token_serial is None else " AND token_serial = :token"
        narrowed += "" if sha256 is None else " AND sha256 = :sha256"
        rows = self._db.rows(
            f"SELECT * FROM appearances a WHERE settled_at IS NULL{narrowed} "  # noqa: S608  (our own words)
            "AND NOT EXISTS (SELECT 1 FROM renewals r WHERE r.certificate_sha256 = a.sha256) ORDER BY seen_at, sha256",
            {"token": token_serial, "sha256": sha256},
        )
        return tuple(
            Appearance(
                sha256=row["sha256"],
                token_serial=row["token_serial"],
                replaces=row["replaces"],
                replaced_token=row["replaced_token"],
                asked=bool(row["asked"]),
                seen_at=datetime.fromisoformat(row["seen_at"]),
            )
            for row in rows
        )

    def settle(self, sha256: str, how: Settled, now: datetime, *, token_serial: str = "") -> None:
        """Remember the answer; one that was never noticed is settled just the same."""
        self._db.run(
            "INSERT INTO appearances (sha256, token_serial, asked, seen_at, settled_at, settled_how) VALUES (?, ?, 0, ?, ?, ?) "
            "ON CONFLICT (sha256) DO UPDATE SET settled_at = excluded.settled_at, settled_how = excluded.settled_how",
            (sha256, token_serial, now.isoformat(), now.isoformat(), how),
        )

    def dismissed(self) -> tuple[str, ...]:
        """The SHA-256 of those a person said no to, while no list of agencies is open for them; the first said first."""
        rows = self._db.rows(
            "SELECT sha256 FROM appearances a WHERE settled_how = 'dismissed' "
            "AND NOT EXISTS (SELECT 1 FROM registrations r WHERE r.certificate_sha256 = a.sha256) ORDER BY settled_at, sha256"
        )
        return tuple(row["sha256"] for row in rows)

    def replaced_by(self, sha256: str) -> str | None:
        """The SHA-256 of the certificate that this one seems, or was said, to follow; None when not known or denied."""
        row = self._db.row("SELECT replaces, settled_how FROM appearances WHERE sha256 = ?", (sha256,))
        return None if row is None or row["settled_how"] == "dismissed" else row["replaces"]

    def settled(self, sha256: str) -> Settled | None:
        """The answer given for a certificate; None when none was."""
        row = self._db.row("SELECT settled_how FROM appearances WHERE sha256 = ?", (sha256,))
        how: Settled | None = row["settled_how"] if row is not None else None
        return how


def note_appearance(db: Database, new: Certificate, token_serial: str, *, token_known: bool, now: datetime) -> None:
    """Called once for a certificate first seen on a token, in the transaction that records it, after the whole token is recorded.
    One that a renewal of ours brings is settled with that.

    The one it follows is the company's newest with an earlier notBefore and another serial: on the same token, else on another;
    never one whose renewal came to nothing.
    """
    moved = db.row(  # the same certificate was on another token before: nothing new was issued
        "SELECT 1 FROM presences WHERE sha256 = ? AND token_serial != ?", (new.sha256, token_serial)
    )
    if moved is not None:
        return
    values = {
        "company": company_of(new),
        "from": new.not_before.isoformat(),
        "serial": new.serial,
        "token": token_serial,
        "sha256": new.sha256,
    }
    newer_here = db.row(
        "SELECT 1 FROM certificates c JOIN presences p ON p.sha256 = c.sha256 WHERE c.company = :company AND c.is_ca = 0 "
        "AND c.not_before > :from AND p.token_serial = :token",
        values,
    )
    if newer_here is not None:
        return
    from safetok.domain.renewal import FRUITLESS

    never_used = ", ".join(f"'{state}'" for state in sorted(FRUITLESS))
    old = db.row(
        "SELECT c.sha256, c.not_after, p.token_serial, p.first_seen FROM certificates c JOIN presences p ON p.sha256 = c.sha256 "  # noqa: S608
        "WHERE c.company = :company AND c.is_ca = 0 AND c.not_before < :from AND c.serial != :serial AND (NOT EXISTS "
        f"(SELECT 1 FROM renewals r WHERE r.certificate_sha256 = c.sha256 AND r.state IN ({never_used})) "
        "OR EXISTS (SELECT 1 FROM appearances a WHERE a.sha256 = c.sha256 AND a.settled_how = 'adopted')) "
        "ORDER BY p.token_serial != :token, c.not_before DESC, p.first_seen LIMIT 1",
        values,
    )
    if old is None:
        return
    here = old["token_serial"] == token_serial
    together = old["first_seen"] == now.isoformat()
    if together and not here:  # two tokens of one company, both new to safetok: no sign that one follows the other
        return
    if together and not (datetime.fromisoformat(old["not_after"]) > now or new.not_before > now - YOUNG):
        return
    ours = db.row("SELECT 1 FROM renewals WHERE certificate_sha256 = ?", (new.sha256,)) is not None
    db.run(
        "INSERT INTO appearances VALUES (:sha256, :token, :replaces, :replaced_token, :asked, :seen, :settled, :how) "
        "ON CONFLICT (sha256) DO NOTHING",
        values
        | {
            "replaces": old["sha256"],
            "replaced_token": None if here else old["token_serial"],
            "asked": int(together or not here or not token_known),
            "seen": now.isoformat(),
            "settled": now.isoformat() if ours else None,
            "how": "renewed" if ours else None,
        },
    )
