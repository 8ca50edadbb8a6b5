"""Every token and certificate ever seen: known certificates are shown without parsing, and new ones that appeared are named."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from safetok.domain.certificates import Certificate, current, parse
from safetok.domain.companies import company_of, plain_mst
from safetok.domain.tokens import KeyPresence, Kind, PinState, Reading, StoredCertificate, TokenInfo, TokenReading
from safetok.records import dataclass
from safetok.store import encoding
from safetok.store.appearances import Appearance, Appearances, note_appearance
from safetok.store.database import Database, Row, reads

# A token that shows the same again is not written at every look, so that `status` costs no disk sync.
SEEN_STEP = timedelta(hours=1)
LONGEST_DECIMAL = 1000  # digits: serials have 49 (RFC 5280 section 4.1.2.2), and `int` refuses 4,301

_INFO = tuple(field.name for field in dataclasses.fields(TokenInfo))
_CERTIFICATE = tuple(field.name for field in dataclasses.fields(Certificate))
_PUT_CERTIFICATE = (
    f"INSERT INTO certificates ({', '.join(_CERTIFICATE)}, mst, company, first_seen) "  # noqa: S608
    f"VALUES ({', '.join(f':{name}' for name in _CERTIFICATE)}, :mst, :company, :first_seen) ON CONFLICT (sha256) DO NOTHING"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownToken:
    """A token as last seen, and what a person said of it. `info` is its last CK_TOKEN_INFO."""

    info: TokenInfo
    first_seen: datetime
    last_seen: datetime
    kind: Kind | None  # chosen by a person
    note: str

    @property
    def serial(self) -> str:
        return self.info.serial


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A certificate of the inventory and a token it is, or was, on ("" for one that came from a file)."""

    certificate: Certificate
    token_serial: str
    first_seen: datetime
    gone_at: datetime | None  # when it was first seen missing from the token
    key: KeyPresence
    cka_id: bytes = b""
    label: str = ""

    @property
    def present(self) -> bool:
        """Whether it was there at the last look."""
        return bool(self.token_serial) and self.gone_at is None


class Inventory:
    """Tokens by serial, certificates by SHA-256."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record(self, reading: Reading | TokenReading, now: datetime) -> None:
        """Keep what a look showed: new tokens and certificates, and which certificates have gone. A token whose serial is blank or
        doubled has no identity and is left out. A look that shows nothing new writes nothing (but once an hour that it was seen).
        In a read-only store nothing is kept.
        """
        if self._db.read_only:
            return
        readings = reading.tokens if isinstance(reading, Reading) else (reading,)
        news = self._news([one for one in readings if one.info.serial and not one.info.readable_only], now)
        if news:
            with self._db.transaction(durable=False):
                for one in news:
                    self._record(one, now)

    def parse(self, der: bytes) -> Certificate:
        """The certificate of these bytes, from the store when it is known there (no `cryptography` is loaded), else parsed."""
        return self.certificate(hashlib.sha256(der).hexdigest()) or parse(der)

    def certificate(self, sha256: str) -> Certificate | None:
        """A known certificate; None when it was never seen."""
        return self.known([sha256]).get(sha256)

    def known(self, hashes: Iterable[str]) -> dict[str, Certificate]:
        """Those of these certificates that were ever seen, by SHA-256."""
        rows = self._db.among("SELECT * FROM certificates WHERE sha256 IN ({keys})", hashes)
        return {row["sha256"]: _certificate(row) for row in rows}

    def ever_on(self, serials: Iterable[str], at_hand: Mapping[str, Certificate]) -> dict[str, list[Certificate]]:
        """The certificates that are or were on these tokens, by token; those `at_hand` (by SHA-256) are not read again."""
        rows = self._db.among("SELECT token_serial, sha256 FROM presences WHERE token_serial IN ({keys})", serials)
        every = {**self.known(row["sha256"] for row in rows if row["sha256"] not in at_hand), **at_hand}
        found: dict[str, list[Certificate]] = {}
        for token, sha256 in rows:
            if sha256 in every:
                found.setdefault(token, []).append(every[sha256])
        return found

    def put_certificate(self, certificate: Certificate, now: datetime) -> None:
        """Keep a certificate that is on no token yet: one just issued, or read from a file."""
        values = {name: getattr(certificate, name) for name in _CERTIFICATE}
        values |= {
            "uids": encoding.dump(certificate.uids),
            "not_before": certificate.not_before.isoformat(),
            "not_after": certificate.not_after.isoformat(),
            "is_ca": int(certificate.is_ca),
            "mst": plain_mst(certificate.mst or ""),
            "company": company_of(certificate),
            "first_seen": now.isoformat(),
        }
        self._db.run(_PUT_CERTIFICATE, values)

    def tokens(self) -> tuple[KnownToken, ...]:
        """Every token ever seen, by serial."""
        return tuple(_token(row) for row in self._db.rows(f"{_TOKENS} ORDER BY t.serial"))

    def token(self, serial: str) -> KnownToken | None:
        """One token as last seen."""
        row = self._db.row(f"{_TOKENS} WHERE t.serial = ?", (serial,))
        return _token(row) if row is not None else None

    def certificates(self, token_serial: str, *, gone: bool = True) -> tuple[Kept, ...]:
        """Those of a token, the newest first, with those that have gone from it unless told otherwise."""
        return self._kept(f"p.token_serial = ? {'' if gone else 'AND p.gone_at IS NULL'}", token_serial)

    def by_serial(self, serial: str) -> tuple[Kept, ...]:
        """Those of a certificate serial: hex as agencies print it (any letter case, with or without separators), else decimal,
        or a SHA-256.
        """
        text = "".join(c for c in serial.strip() if c.isalnum()).upper().removeprefix("0X")
        guesses = [text, text.lstrip("0"), f"0{text}"]
        if text.isascii() and text.isdigit() and len(text) <= LONGEST_DECIMAL:
            as_hex = format(int(text), "X")
            guesses += [as_hex, f"0{as_hex}"]
        for guess in guesses:
            if found := self._kept("c.serial = ?", guess):
                return found
        return self._kept("c.sha256 = ?", text.lower())

    def by_mst(self, mst: str) -> tuple[Kept, ...]:
        """Those of a company, the newest first, CA certificates left out."""
        return self._kept("c.mst = ? AND c.is_ca = 0", plain_mst(mst))

    def by_company(self, company: str) -> tuple[Kept, ...]:
        """Those that share a `company_of` key."""
        return self._kept("c.company = ? AND c.is_ca = 0", company)

    def everything(self) -> tuple[Kept, ...]:
        """Every certificate ever seen that is not a CA's, the newest first."""
        return self._kept("c.is_ca = 0")

    def current(self, token_serial: str) -> Certificate | None:
        """The certificate to sign with among those present at the last look."""
        return current(kept.certificate for kept in self.certificates(token_serial, gone=False))

    def appeared(self, token_serial: str | None = None) -> tuple[Appearance, ...]:
        """New certificates that safetok did not bring and nobody has decided on yet."""
        return Appearances(self._db).waiting(token_serial=token_serial)

    def mark_adopted(self, sha256: str, now: datetime, *, token_serial: str = "") -> None:
        """A person has taken this certificate over: it is not named again."""
        Appearances(self._db).settle(sha256, "adopted", now, token_serial=token_serial)

    def set_kind(self, token_serial: str, kind: Kind | None) -> None:
        """Remember what a person sees; None forgets."""
        self._set_word(token_serial, "kind", kind.value if kind else None)

    def kind_of(self, token_serial: str) -> Kind | None:
        """What a person said of it; None when nobody did."""
        return self.words([token_serial]).get(token_serial, (None, ""))[0]

    def words(self, serials: Iterable[str]) -> dict[str, tuple[Kind | None, str]]:
        """What a person said of these tokens, as kind and note, by serial; those nobody spoke of left out."""
        rows = self._db.among("SELECT * FROM token_words WHERE serial IN ({keys})", serials)
        return {row["serial"]: (_kind(row), row["note"] or "") for row in rows}

    def set_note(self, token_serial: str, note: str) -> None:
        """Remember a note; an empty one forgets."""
        self._set_word(token_serial, "note", note.strip() or None)

    def contract_end(self, sha256: str) -> date | None:
        """The contract end that a person stated for a certificate; None when nobody did."""
        return self.contract_ends([sha256]).get(sha256)

    def contract_ends(self, hashes: Iterable[str]) -> dict[str, date]:
        """The contract ends that a person stated for these certificates, by SHA-256."""
        rows = self._db.among("SELECT sha256, day FROM contract_ends WHERE sha256 IN ({keys})", hashes)
        return {row["sha256"]: date.fromisoformat(row["day"]) for row in rows}

    def set_contract_end(self, sha256: str, day: date | None, now: datetime | None = None) -> None:
        """Remember a stated contract end; None forgets."""
        if day is None:
            self._db.run("DELETE FROM contract_ends WHERE sha256 = ?", (sha256,))
            return
        self._db.run(
            "INSERT OR REPLACE INTO contract_ends VALUES (?, ?, ?)",
            (sha256, day.isoformat(), now.isoformat() if now else None),
        )

    def _set_word(self, token_serial: str, word: str, value: str | None) -> None:
        self._db.run(
            f"INSERT INTO token_words (serial, {word}) VALUES (?, ?) "  # noqa: S608  (two names, both ours)
            f"ON CONFLICT (serial) DO UPDATE SET {word} = excluded.{word}",
            (token_serial, value),
        )

    def _kept(self, where: str, *values: object) -> tuple[Kept, ...]:
        rows = self._db.rows(
            "SELECT c.*, p.token_serial, p.first_seen AS there_since, p.gone_at, p.key, p.cka_id, p.label "  # noqa: S608
            f"FROM certificates c LEFT JOIN presences p ON p.sha256 = c.sha256 WHERE {where} "
            "ORDER BY c.not_before DESC, c.not_after DESC, c.serial, p.gone_at IS NOT NULL, p.token_serial",
            values,
        )
        return tuple(_kept(row) for row in rows)

    def _news(self, readings: Sequence[TokenReading], now: datetime) -> list[TokenReading]:
        """Those that are not as they were at the last look, or were last seen long ago."""
        serials = [one.info.serial for one in readings]
        rows = self._db.among("SELECT serial, info, last_seen FROM tokens WHERE serial IN ({keys})", serials)
        known = {row["serial"]: row for row in rows}
        places: dict[str, set[tuple[object, ...]]] = {}
        for row in self._db.among(
            f"SELECT token_serial, {', '.join(_PLACE)} FROM presences "  # noqa: S608  (names, all ours)
            "WHERE token_serial IN ({keys}) AND gone_at IS NULL",
            serials,
        ):
            places.setdefault(row[0], set()).add(tuple(row)[1:])
        return [one for one in readings if _is_news(one, known.get(one.info.serial), places, now)]

    def _record(self, reading: TokenReading, now: datetime) -> None:
        serial, at = reading.info.serial, now.isoformat()
        known = self._db.row("SELECT serial FROM tokens WHERE serial = ?", (serial,)) is not None
        self._db.run(
            "INSERT INTO tokens VALUES (?, ?, ?, ?) ON CONFLICT (serial) DO UPDATE SET info = excluded.info, "
            "last_seen = excluded.last_seen",
            (serial, _info_text(reading.info), at, at),
        )
        before = {
            row["sha256"] for row in self._db.rows("SELECT sha256 FROM presences WHERE token_serial = ?", (serial,))
        }
        stored = _once(reading.certificates)
        for one in stored:
            if (
                one.certificate.sha256 not in before
            ):  # the others are kept already: they stand beside where they were seen
                self.put_certificate(one.certificate, now)
            self._db.run(
                "INSERT INTO presences VALUES (:token, :sha256, :cka_id, :label, :key, :key_by_id_only, :at, NULL) "
                "ON CONFLICT (token_serial, sha256) DO UPDATE SET cka_id = excluded.cka_id, label = excluded.label, "
                "key = excluded.key, key_by_id_only = excluded.key_by_id_only, gone_at = NULL",
                {**_place(one), "token": serial, "at": at},
            )
        seen = {one.certificate.sha256 for one in stored}
        if not (reading.unreadable or reading.unread):  # a certificate that could not be read this time has not gone
            for sha256 in before - seen:
                self._db.run(
                    "UPDATE presences SET gone_at = ? WHERE token_serial = ? AND sha256 = ? AND gone_at IS NULL",
                    (at, serial, sha256),
                )
        for one in stored:
            if one.certificate.sha256 not in before and not one.certificate.is_ca:
                note_appearance(self._db, one.certificate, serial, token_known=known, now=now)


_TOKENS = "SELECT t.*, w.kind, w.note FROM tokens t LEFT JOIN token_words w ON w.serial = t.serial"
_PLACE = ("sha256", "cka_id", "label", "key", "key_by_id_only")


def _is_news(
    reading: TokenReading, known: Row | None, places: Mapping[str, set[tuple[object, ...]]], now: datetime
) -> bool:
    if known is None or not timedelta() <= now - datetime.fromisoformat(known["last_seen"]) < SEEN_STEP:
        return True
    if known["info"] != _info_text(reading.info):
        return True
    here = {tuple(_place(stored).values()) for stored in _once(reading.certificates)}
    return places.get(reading.info.serial, set()) != here


def _once(certificates: Iterable[StoredCertificate]) -> list[StoredCertificate]:
    """One object per certificate: a copy whose key is there wins."""
    found: dict[str, StoredCertificate] = {}
    for one in certificates:
        other = found.get(one.certificate.sha256)
        if other is None or (one.key is KeyPresence.PRESENT and other.key is not KeyPresence.PRESENT):
            found[one.certificate.sha256] = one
    return list(found.values())


def _place(stored: StoredCertificate) -> dict[str, object]:
    return {
        "sha256": stored.certificate.sha256,
        "cka_id": stored.cka_id,
        "label": stored.label,
        "key": stored.key.value,
        "key_by_id_only": int(stored.key_by_id_only),
    }


def _info_text(info: TokenInfo) -> str:
    return encoding.dump({name: getattr(info, name) for name in _INFO})


@reads
def _certificate(row: Row) -> Certificate:
    values: dict[str, Any] = {name: row[name] for name in _CERTIFICATE}
    values |= {
        "uids": tuple(json.loads(row["uids"])),
        "not_before": datetime.fromisoformat(row["not_before"]),
        "not_after": datetime.fromisoformat(row["not_after"]),
        "is_ca": bool(row["is_ca"]),
    }
    return Certificate(**values)


@reads
def _kept(row: Row) -> Kept:
    return Kept(
        certificate=_certificate(row),
        token_serial=row["token_serial"] or "",
        first_seen=datetime.fromisoformat(row["there_since"] or row["first_seen"]),
        gone_at=datetime.fromisoformat(row["gone_at"]) if row["gone_at"] else None,
        key=KeyPresence(row["key"]) if row["key"] else KeyPresence.UNKNOWN,
        cka_id=row["cka_id"] or b"",
        label=row["label"] or "",
    )


@reads
def _token(row: Row) -> KnownToken:
    kept = encoding.load(row["info"])
    return KnownToken(
        info=TokenInfo(**{**kept, "pin_state": PinState(kept["pin_state"])}),
        first_seen=datetime.fromisoformat(row["first_seen"]),
        last_seen=datetime.fromisoformat(row["last_seen"]),
        kind=_kind(row),
        note=row["note"] or "",
    )


@reads
def _kind(row: Row) -> Kind | None:
    return Kind(row["kind"]) if row["kind"] else None
