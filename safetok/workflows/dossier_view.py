"""A dossier as it stands today, with what its three days come to, for people and for scripts."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from safetok.domain import dossier as papers
from safetok.domain.dossier import Dossier, Urgency, Window
from safetok.domain.times import vietnamese_day
from safetok.errors import CertificateRevoked, SafetokError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows.agency_rules import working

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.certificates import Certificate
    from safetok.domain.offers import DossierAnswer
    from safetok.workflows.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A dossier as it stands today. `answer` is the CA's own, where it was asked. While a token is still to come, `forecast` is
    what its three days would be if it came today, `bad_days` are days ahead on which it must not come, `good_day` the first good
    one after them. `opened` counts the new certificate's agencies that wait for a person; `choice` is what names this dossier on
    the command line, where several are open.
    """

    now: datetime
    dossier: Dossier | None
    authority: Authority | None
    window: Window | None = None
    forecast: Window | None = None
    urgency: Urgency = "waiting"
    certificate: Certificate | None = None
    answer: DossierAnswer | None = None
    bad_days: tuple[date, ...] = ()
    good_day: date | None = None
    new: Certificate | None = None
    opened: int = 0
    warnings: tuple[str, ...] = ()
    known_until: date | None = None
    moved: str = ""  # the step just recorded, "start" or "undo"
    choice: str = ""

    @property
    def today(self) -> date:
        return vietnamese_day(self.now)

    @property
    def problems(self) -> tuple[SafetokError, ...]:
        """What the CA answered that a person must act on."""
        if self.answer is None or self.answer.state not in {"suspended", "revoked"}:
            return ()
        words = {
            "suspended": _("The CA says: the certificate is SUSPENDED. Do not sign with it."),
            "revoked": _("The CA says: the certificate is REVOKED. It can never be restored."),
        }
        return (CertificateRevoked(words[self.answer.state], code=f"certificate_{self.answer.state}"),)

    @property
    def lookup(self) -> str:
        """The page where a person looks the dossier up; empty where the CA names none."""
        return self.authority.dossier_lookup if self.authority else ""

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        found, window = self.dossier, self.window
        return {
            "dossier": None if found is None else dossier_data(found, self.urgency, window),
            "authority": self.authority.name if self.authority else None,
            "lookup": self.lookup or None,
            "answer": None
            if self.answer is None
            else {"state": self.answer.state, "since": self.answer.since, "missing": self.answer.missing},
            "if_received_today": deadline_data(self.forecast),
            "bad_days": self.bad_days,
            "new_cert": self.new.serial if self.new else None,
            "agencies_open": self.opened,
            "warnings": self.warnings,
        }


def dossier_data(found: Dossier, urgency: Urgency, window: Window | None) -> dict[str, Any]:
    """One dossier for scripts."""
    return {
        "id": found.id or None,
        "authority": found.authority,
        "mst": found.mst or None,
        "name": found.name,
        "cert": found.certificate or None,
        "token": found.token or None,
        "case": found.situation,
        "path": found.path,
        "several_companies": found.several,
        "step": found.current,
        "not_activated": found.not_activated,
        "urgency": urgency,
        "steps": [{"step": one.step, "day": one.day, "said": one.said, "recorded_at": one.at} for one in found.records],
        "deadline": deadline_data(window),
    }


def deadline_data(window: Window | None) -> dict[str, Any] | None:
    """The three readings for scripts."""
    if window is None:
        return None
    return {
        "received": window.received,
        "literal_end": window.literal_end,
        "safe": window.safe,
        "legal_end": window.legal_end,
        "steer_by": window.steer_by,
        "days_off": window.off,
    }


def view(context: Context, found: Dossier) -> View:
    """A dossier as it stands today."""
    from safetok.store.inventory import Inventory

    now, calendar = context.now(), working(context)
    today = vietnamese_day(now)
    to_come = "token-received" in found.steps and found.record("token-received") is None and not found.finished
    bad, good = papers.bad_arrivals(today, calendar) if to_come else ([], today)
    inventory = Inventory(context.database)
    kept = inventory.by_serial(found.certificate) if found.certificate else ()
    return View(
        now=now,
        dossier=found,
        authority=context.settings.authorities.get(found.authority),
        window=papers.window_of(found, calendar),
        forecast=papers.window(today, calendar) if to_come else None,
        urgency=papers.urgency(found, calendar, today),
        certificate=kept[0].certificate if kept else None,
        bad_days=tuple(bad),
        good_day=good if bad else None,
        known_until=calendar.known_until,
    )
