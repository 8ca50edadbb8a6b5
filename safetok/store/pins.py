"""How many PIN tries safetok may have cost a token: an attempt is committed before the login, its outcome right after."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from safetok.store.database import Database

# doubtful: an answer that may mean a wrong PIN; untried: the token did not get as far as finding the PIN right or wrong
Outcome = Literal["ok", "wrong", "doubtful", "locked", "unknown", "untried"]
KEYRING = "keyring"  # the purpose of a login with the keyring's PIN: nobody typed it, so it is tried once
_OUTDATED = "outdated"  # the outcome of no try at all: the keyring could not be asked when the token's PIN was changed


class PinLog:
    """Attempts by token serial, whatever driver made them. No PIN ever comes here."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def begin(self, token_serial: str, purpose: str, now: datetime) -> int:
        """Commit that a try is about to be made; returns its number for `finish`. Without an outcome it counts as wrong."""
        return self._db.run(
            "INSERT INTO pin_attempts (token_serial, purpose, began_at) VALUES (?, ?, ?)",
            (token_serial, purpose, now.isoformat()),
        )

    def finish(self, attempt: int, outcome: Outcome) -> None:
        """Commit how it ended."""
        self._db.run("UPDATE pin_attempts SET outcome = ? WHERE number = ?", (outcome, attempt))

    def count(self, token_serial: str) -> int:
        """Tries since the last good login that were wrong or whose end is not known."""
        return self.counts([token_serial]).get(token_serial, 0)

    def counts(self, serials: Iterable[str]) -> dict[str, int]:
        """`count` of each of these tokens that any try was ever made on."""
        rows = self._db.among(
            "SELECT token_serial, (SELECT count(*) FROM pin_attempts WHERE token_serial = tried.token_serial "  # noqa: S608
            f"AND coalesce(outcome, '') NOT IN ('untried', '{_OUTDATED}') "
            "AND number > (SELECT coalesce(max(number), 0) FROM pin_attempts "
            "WHERE token_serial = tried.token_serial AND outcome = 'ok')) AS tries "
            "FROM pin_attempts AS tried WHERE token_serial IN ({keys}) GROUP BY token_serial",
            serials,
        )
        return {row["token_serial"]: row["tries"] for row in rows}

    def keyring_failed(self, token_serial: str) -> bool:
        """Whether the keyring's PIN has been tried since the last good login and did not open the token, or may not have; or is
        known to be an old one.
        """
        row = self._db.row(
            "SELECT 1 FROM pin_attempts WHERE token_serial = :token AND purpose = :purpose AND (outcome = :outdated OR number > "
            "(SELECT coalesce(max(number), 0) FROM pin_attempts WHERE token_serial = :token AND outcome = 'ok')) LIMIT 1",
            {"token": token_serial, "purpose": KEYRING, "outdated": _OUTDATED},
        )
        return row is not None

    def failed(self, purpose: str, token_serial: str) -> bool:
        """Whether the last try for this purpose on this token that was answered did not open it.

        One without an answer (a kill, a power cut, a token pulled out) says nothing of the PIN; it stays counted.
        """
        return self._answered(purpose, token_serial) not in {"", "ok"}

    def wrong(self, purpose: str, token_serial: str | None = None, *, after: int = 0) -> bool:
        """Whether the last try for this purpose that was answered (on this token, else on any; made after that number) says that
        its PIN is wrong, or may say so. A token that is locked, or has no PIN, says nothing of it.
        """
        return self._answered(purpose, token_serial, after) in {"wrong", "doubtful"}

    def last(self) -> int:
        """The number of the newest try of all."""
        row = self._db.row("SELECT coalesce(max(number), 0) AS number FROM pin_attempts")
        return int(row["number"]) if row is not None else 0

    def _answered(self, purpose: str, token_serial: str | None, after: int = 0) -> str:
        on_it = "" if token_serial is None else "token_serial = :token AND "
        row = self._db.row(
            f"SELECT outcome FROM pin_attempts WHERE {on_it}purpose = :purpose "  # noqa: S608  (our own words)
            "AND outcome IS NOT NULL AND number > :after ORDER BY number DESC LIMIT 1",
            {"purpose": purpose, "token": token_serial, "after": after},
        )
        return str(row["outcome"]) if row is not None else ""

    def keyring_outdated(self, token_serial: str, now: datetime) -> None:
        """Commit that the token's PIN changes while the keyring cannot be asked: what it may hold is not to be tried any more."""
        self._db.run(
            "INSERT INTO pin_attempts (token_serial, purpose, began_at, outcome) VALUES (?, ?, ?, ?)",
            (token_serial, KEYRING, now.isoformat(), _OUTDATED),
        )

    def keyring_changed(self, token_serial: str) -> None:
        """Commit that the keyring holds another PIN now: it may be tried. What was spent stays counted."""
        self._db.run(
            "UPDATE pin_attempts SET purpose = 'login' WHERE token_serial = ? AND purpose = ?", (token_serial, KEYRING)
        )
