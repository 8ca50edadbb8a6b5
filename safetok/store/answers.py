"""What CAs last said of a certificate, with the moment they were asked: offers and revocation for a `status` without network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.store import encoding
from safetok.store.database import Database, Row, reads

if TYPE_CHECKING:
    from safetok.domain.offers import PublicOffer


class Answers:
    """The last answers, by the certificate's SHA-256."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def offers(self, hashes: Iterable[str]) -> dict[str, tuple[PublicOffer, datetime]]:
        """The last public offers of those that were ever asked for, each with its moment, by SHA-256."""
        rows = self._db.among("SELECT * FROM offers WHERE sha256 IN ({keys})", hashes)
        return {row["sha256"]: _offer(row) for row in rows}

    def put_offer(self, sha256: str, offer: PublicOffer, checked_at: datetime) -> None:
        """Keep the answer in place of the last one; what the token itself was told of an offer (`refused`) stands beside it."""
        known = self.offers([sha256]).get(sha256)
        if known is not None and offer.exists:
            offer = dataclasses.replace(offer, refused=known[0].refused)
        self._put("offers", sha256, dataclasses.asdict(offer), checked_at)

    def set_refused(self, sha256: str, refused: str) -> None:
        """What the token was told of the offer that is known; "" forgets a refusal."""
        known = self.offers([sha256]).get(sha256)
        if known is not None and known[0].refused != refused:
            self._put("offers", sha256, dataclasses.asdict(dataclasses.replace(known[0], refused=refused)), known[1])

    def revocation(self, sha256: str) -> Revocation | None:
        """The last revocation answer, `checked_at` in it; None when never asked."""
        return self.revocations([sha256]).get(sha256)

    def revocations(self, hashes: Iterable[str]) -> dict[str, Revocation]:
        """The last revocation answers of those that were ever asked about, by SHA-256."""
        rows = self._db.among("SELECT sha256, body FROM revocations WHERE sha256 IN ({keys})", hashes)
        return {row["sha256"]: _revocation(row) for row in rows}

    def put_revocation(self, sha256: str, revocation: Revocation) -> None:
        """Keep the answer in place of the last one."""
        body = {field.name: getattr(revocation, field.name) for field in dataclasses.fields(revocation)}
        self._put("revocations", sha256, body, revocation.checked_at)

    def _put(self, table: str, sha256: str, body: dict[str, object], checked_at: datetime) -> None:
        with self._db.transaction(durable=False):
            self._db.run(
                f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)",  # noqa: S608  (two names, both ours)
                (sha256, encoding.dump(body), checked_at.isoformat()),
            )


@reads
def _offer(row: Row) -> tuple[PublicOffer, datetime]:
    from safetok.domain.offers import PublicOffer

    return PublicOffer(**encoding.load(row["body"])), datetime.fromisoformat(row["checked_at"])


@reads
def _revocation(row: Row) -> Revocation:
    body = encoding.load(row["body"])
    return Revocation(**{**body, "answer": RevocationAnswer(body["answer"])})
