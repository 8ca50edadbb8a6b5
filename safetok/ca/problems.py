"""Why a CA's offer service says no: problem documents (RFC 9457) and the errors they become."""

from __future__ import annotations

from dataclasses import field
from datetime import date
from typing import Any

import msgspec

from safetok.domain.times import parse_day, show_day
from safetok.errors import CaRefused, CaUnreachable, CaWait, CertificateRevoked, NoAnswer, PersonNeeded, SafetokError
from safetok.locale import _
from safetok.net import Response
from safetok.records import dataclass

PREFIX = "urn:safetok:problem:"
LONGEST_TEXT = 500  # characters of a document's text that are shown
MOST_PAPERS = 50
_BUSY = {429, 503}
_SERVER_ERROR = 500
_DOSSIER = "hồ sơ (bản giấy)"  # one that is missing as a whole names no papers


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem document. `kind` is the part of its type after `urn:safetok:problem:`, empty for any other type."""

    kind: str
    title: str
    detail: str
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What the document says to people: its detail, else its title."""
        return self.detail or self.title


def parse(body: bytes) -> Problem | None:
    """The problem document in a body; None when there is none."""
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    kind = document.get("type")
    title, detail = (_text(document.get(name)) for name in ("title", "detail"))
    if not isinstance(kind, str) or not (title or detail or kind.startswith(PREFIX)):
        return None
    return Problem(
        kind=kind.removeprefix(PREFIX) if kind.startswith(PREFIX) else "", title=title, detail=detail, more=document
    )


def failure(response: Response, *, title: str, contact: str = "") -> SafetokError:
    """The error for an answer that is not a success. `title` is the CA's, `contact` whom to call there.

    CaWait where the server says when to come back, PersonNeeded (`contract_over`, `dossier_missing`), CertificateRevoked,
    CaRefused (`not_owed`, `bad_proof`, `ca_refused`) by the document's type; without a document NoAnswer, or
    CaUnreachable for the server's own failures.
    """
    problem = parse(response.body)
    if problem is not None and problem.kind in _KNOWN:
        return _KNOWN[problem.kind](problem, title, contact)
    seconds = response.retry_after() if response.status in _BUSY else None
    if seconds is not None:
        return CaWait(
            _("The CA asks to come back in {seconds} seconds.").format(seconds=seconds),
            code="retry_after",
            data={"retry_after": seconds},
        )
    if response.status >= _SERVER_ERROR:
        return CaUnreachable(
            _("The CA's server cannot answer now (HTTP {status}).").format(status=response.status), code="http_status"
        )
    if problem is not None and problem.text:
        return CaRefused(
            _("{title} refuses: {reason}").format(title=title, reason=problem.text), hint=_call(title, contact)
        )
    return NoAnswer(
        _("The CA's server answered HTTP {status} and nothing safetok can read.").format(status=response.status),
        code="http_status",
    )


def _contract_over(problem: Problem, title: str, contact: str) -> SafetokError:
    day = _day(problem.more.get("contract_end"))
    if day is None:
        message = _("The contract is over: no time is left to top up.")
    else:
        message = _("The contract ended on {day}: no time is left to top up.").format(day=show_day(day))
    return PersonNeeded(
        message,
        code="contract_over",
        hint=_("To go on using it, the service must be renewed: {contact}").format(contact=contact or title),
        data={"contract_end": day.isoformat() if day else None},
    )


def _dossier_missing(problem: Problem, title: str, contact: str) -> SafetokError:
    named = problem.more.get("missing")
    texts = [_text(item) for item in named[:MOST_PAPERS]] if isinstance(named, list) else []
    missing = [text for text in texts if text]
    papers = [paper for paper in missing if paper.casefold() != _DOSSIER]
    if papers:
        message = _("The dossier (on paper) is not complete. Missing: {papers}.").format(
            papers="; ".join(papers).rstrip(". ")
        )
    else:
        message = _("The dossier (on paper) is not complete.")
    return PersonNeeded(message, code="dossier_missing", hint=_call(title, contact), data={"missing": missing})


def _not_owed(_problem: Problem, title: str, contact: str) -> SafetokError:
    return CaRefused(
        _("{title} owes this certificate no time.").format(title=title), code="not_owed", hint=_call(title, contact)
    )


def _bad_proof(problem: Problem, title: str, _contact: str) -> SafetokError:
    return CaRefused(
        _("{title} does not accept the token's proof: {reason}").format(title=title, reason=problem.text),
        code="bad_proof",
        hint=_("Check the date, time and time zone of this computer, then try again."),
    )


def _revoked(_problem: Problem, title: str, contact: str) -> SafetokError:
    return CertificateRevoked(
        _("{title} says that this certificate is revoked or suspended.").format(title=title),
        hint=_call(title, contact),
    )


_KNOWN = {
    "contract-over": _contract_over,
    "dossier-missing": _dossier_missing,
    "not-owed": _not_owed,
    "bad-proof": _bad_proof,
    "certificate-revoked": _revoked,
}


def _call(title: str, contact: str) -> str:
    return _("Ask {title}: {contact}").format(title=title, contact=contact) if contact else ""


def _text(value: Any) -> str:
    return value.strip()[:LONGEST_TEXT] if isinstance(value, str) else ""


def _day(value: Any) -> date | None:
    return parse_day(value) if isinstance(value, str) else None
