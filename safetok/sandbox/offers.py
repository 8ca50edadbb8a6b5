"""What the sandbox CA proposes to whom: that an offer exists is public, its contents and the dossier need the token's proof.

The public part has the shape of ACME renewal information (RFC 9773); problems are documents of RFC 9457.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from safetok.ca import proof
from safetok.domain.times import end_of_day, parse_rfc3339, rfc3339, vietnamese_day
from safetok.errors import SafetokError
from safetok.sandbox.books import Books, Entry
from safetok.sandbox.pki import LCS, SAFE_NEW, Pki

FRESH = timedelta(minutes=5)
ASK_AGAIN = timedelta(hours=6)  # Retry-After of the public answer
LASTS = timedelta(days=1)  # how long a private offer holds
WINDOW = timedelta(days=30)
PROBLEM = "urn:safetok:problem:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One HTTP answer."""

    status: int = 200
    type: str = "application/json"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    manner: Literal["", "cut", "drip", "huge"] = ""  # how a fault lets it leave


def problem(status: int, kind: str, title: str, **more: Any) -> Reply:
    """A problem document (RFC 9457)."""
    text = json.dumps({"type": PROBLEM + kind, "title": title, "status": status, **more}, ensure_ascii=False)
    return Reply(status=status, type="application/problem+json", body=text.encode())


@dataclass(slots=True)
class OfferService:
    """Answers about offers and dossiers. Nothing here changes a certificate."""

    pki: Pki
    books: Books
    started: datetime
    _seen: dict[str, datetime] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def public(self, cert_id: str, now: datetime) -> Reply:
        """`GET /v1/renewal-info/{CertID}`: a certificate nobody knows and one that is not owed get the same answer."""
        named = _read_cert_id(cert_id)
        if named is None:
            return problem(400, "malformed", "CertID không đúng dạng của RFC 9773.")
        entry = self._entry(*named, now)
        answer: dict[str, Any] = {"offer": False}
        if entry is not None and self.books.offer_stands(entry):
            end = entry.not_after if entry.not_after > now else now + WINDOW
            window = {"start": rfc3339(entry.not_after - WINDOW), "end": rfc3339(end)}
            answer = {"offer": True, "suggestedWindow": window}
        return _json(answer, ("Retry-After", str(round(ASK_AGAIN.total_seconds()))))

    def private(self, proof_der: bytes, now: datetime) -> Reply:
        """`POST /v1/offers`: the offer whole, or the reason why there is none for this certificate."""
        entry = self._proven(proof_der, "offer", now)
        if isinstance(entry, Reply):
            return entry
        if entry.standing != "good":
            return problem(403, "certificate-revoked", "Chứng thư số đang tạm dừng hoặc đã bị thu hồi.")
        if entry.problem == "contract-over":
            end = entry.contract_end.isoformat() if entry.contract_end else None
            return problem(403, "contract-over", "Hợp đồng đã kết thúc.", contract_end=end)
        if entry.problem == "dossier-missing":
            return problem(403, "dossier-missing", "Hồ sơ (BẢN GIẤY) chưa đầy đủ.", missing=list(entry.missing))
        if not self.books.offer_stands(entry) or entry.contract_end is None:
            return problem(404, "not-owed", "Chứng thư số không thuộc diện cấp bù thời hạn.")
        issuer = self.pki.issuers[LCS if entry.issuer == LCS else SAFE_NEW]
        ends = min(end_of_day(entry.contract_end), issuer.certificate.not_valid_after_utc)
        return _json(
            {
                "offer_id": hashlib.sha256(f"{entry.serial} {entry.contract_number}".encode()).hexdigest()[:24],
                "contract_number": entry.contract_number,
                "contract_end": entry.contract_end.isoformat(),
                "new_not_after": rfc3339(ends),
                "same_key": True,
                "expires": rfc3339(now + LASTS),
            }
        )

    def dossier(self, proof_der: bytes, now: datetime) -> Reply:
        """`POST /v1/dossiers`: what the CA holds on paper."""
        entry = self._proven(proof_der, "dossier", now)
        if isinstance(entry, Reply):
            return entry
        answer: dict[str, Any] = {"state": entry.dossier}
        if entry.since is not None:
            answer["since"] = vietnamese_day(entry.since).isoformat()
        if entry.missing:
            answer["missing"] = list(entry.missing)
        return _json(answer)

    def _entry(self, key_identifier: bytes, serial: str, now: datetime) -> Entry | None:
        entry = self.books.entry(serial, now)
        if entry is None or self.pki.issuers[entry.issuer].key_identifier != key_identifier:
            return None
        return entry

    def _proven(self, proof_der: bytes, purpose: str, now: datetime) -> Entry | Reply:
        """Whose token signed: audience, purpose, statement, five minutes and a nonce never seen are all checked."""
        try:
            claims, certificate = proof.verify(proof_der)
            time, nonce = parse_rfc3339(str(claims["time"])), str(claims["nonce"])
            named = _read_cert_id(str(claims["certID"]))
            told = claims["aud"], claims["purpose"], claims["statement"]
        except (SafetokError, ValueError, TypeError, KeyError):
            return _bad_proof("Không đọc được bằng chứng của token.")
        entry = self._entry(*named, now) if named else None
        path = {"offer": "/v1/offers", "dossier": "/v1/dossiers"}[purpose]
        if told != (self.pki.base + path, purpose, proof.STATEMENT):
            return _bad_proof("Bằng chứng được ký cho nơi khác hoặc việc khác.")
        if abs(time - now) > FRESH or time < self.started.replace(microsecond=0):
            return _bad_proof("Bằng chứng đã cũ.", server_time=rfc3339(now))
        if not self._first(nonce, now):
            return _bad_proof("Bằng chứng này đã dùng rồi.")
        if entry is None or entry.der != certificate.der:
            return problem(404, "not-owed", "Chứng thư số không thuộc diện cấp bù thời hạn.")
        return entry

    def _first(self, nonce: str, now: datetime) -> bool:
        with self._lock:
            self._seen = {old: time for old, time in self._seen.items() if now - time <= 2 * FRESH}
            if nonce in self._seen:
                return False
            self._seen[nonce] = now
            return True


def _bad_proof(title: str, **more: Any) -> Reply:
    return problem(401, "bad-proof", title, **more)


def _json(value: Any, *headers: tuple[str, str]) -> Reply:
    return Reply(body=json.dumps(value, ensure_ascii=False).encode(), headers=headers)


def _read_cert_id(text: str) -> tuple[bytes, str] | None:
    """Key identifier and serial (hex) of a CertID: base64url of each, no padding, a full stop between (RFC 9773 section 4.1)."""
    parts = text.split(".")
    if len(parts) != 2 or not all(parts) or "=" in text:  # noqa: PLR2004  (a pair)
        return None
    try:
        key, serial = (base64.b64decode(p + "=" * (-len(p) % 4), altchars=b"-_", validate=True) for p in parts)
    except (binascii.Error, ValueError):
        return None
    number = format(int.from_bytes(serial, "big"), "X")
    return key, number if len(number) % 2 == 0 else f"0{number}"
