"""The papers a CA must hold: which step a dossier stands at, the three days after a token has come, and what is most urgent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Literal, get_args

from safetok.domain.working_days import WorkingCalendar
from safetok.records import dataclass

Situation = Literal["papers-missing", "suspended", "revoked"]
PathName = Literal["ordinary", "restoration"]
Step = Literal[
    "called",
    "verified",
    "uploaded",
    "video-called",
    "payment-requested",
    "paid",
    "token-received",
    "papers-ready",
    "sent",
    "lcs-received",
    "activated",
    "contract-received",
    "lost",
]
Said = Literal["complete", "missing", "suspended", "revoked", "unknown"]
Urgency = Literal["past", "no_working_day", "steer_missed", "due", "running", "waiting", "lost", "finished"]

SITUATIONS: tuple[Situation, ...] = get_args(Situation)
PATHS: dict[PathName, tuple[Step, ...]] = {
    "ordinary": ("verified", "papers-ready", "sent", "lcs-received"),
    "restoration": (
        "uploaded",
        "video-called",
        "payment-requested",
        "paid",
        "token-received",
        "papers-ready",
        "sent",
        "lcs-received",
        "activated",
        "contract-received",
    ),
}
RECORDED: tuple[Said, ...] = ("complete", "missing", "suspended", "revoked")  # what a person reads on the look-up page
ITEMS = ("licence", "identity", "email", "phone")  # what is uploaded
STEPS: tuple[Step, ...] = get_args(Step)
DAYS = 3  # within which LCS must have received the papers, counted from the day the token came
NOTICE_DAY = date(2024, 4, 20)  # the day the notice of 20/03/2024 names; it concerns certificates of that time alone
_AHEAD = 10  # days looked ahead for a bad day to receive a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One step as a person recorded it: the day it happened (Vietnamese), when that was recorded, and what was said of it."""

    step: str  # a Step, or "said": what the CA's look-up page showed
    day: date
    at: datetime
    said: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """One company's papers at one CA, with what was recorded, in order."""

    id: str
    authority: str
    mst: str
    name: str
    certificate: str  # serial; "" where not known
    token: str  # Token ID; "" where not known
    situation: Situation
    path: PathName
    several: bool  # its representative stands for several companies: LCS is called first
    started_at: datetime
    certificate_since: date | None = None  # the certificate's first day
    records: tuple[Record, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of its path, in order."""
        return ("called", *PATHS[self.path]) if self.several else PATHS[self.path]

    def record(self, step: str) -> Record | None:
        """The last record of a step."""
        return next((one for one in reversed(self.records) if one.step == step), None)

    @property
    def uploaded(self) -> frozenset[str]:
        """Which of the four items were uploaded; a record that names none means all."""
        found: set[str] = set()
        for one in self.records:
            if one.step == "uploaded":
                found |= set((one.said.get("items") or ",".join(ITEMS)).split(","))
        return frozenset(found)

    @property
    def done(self) -> frozenset[str]:
        """The steps that are done: the upload with its last item."""
        steps = {one.step for one in self.records}
        return frozenset(steps if self.uploaded >= {*ITEMS} else steps - {"uploaded"})

    @property
    def current(self) -> Step | None:
        """The first step after the furthest one recorded; None when all is done, and when all is lost."""
        done = self.done
        if self.lost:
            return None
        furthest = max((at for at, step in enumerate(self.steps) if step in done), default=-1)
        return self.steps[furthest + 1] if furthest + 1 < len(self.steps) else None

    @property
    def skipped(self) -> tuple[Step, ...]:
        """Steps before the current one that nobody recorded."""
        done, current = self.done, self.current
        before = self.steps[: self.steps.index(current)] if current else self.steps
        return tuple(step for step in before if step not in done)

    @property
    def finished(self) -> bool:
        return self.current is None

    @property
    def lost(self) -> bool:
        """LCS has revoked the certificate and locked the token for good: the other end of this path."""
        return self.record("lost") is not None

    @property
    def not_activated(self) -> bool:
        """A token has come and LCS has not activated it: a state, and no PIN belongs into it."""
        return self.record("token-received") is not None and self.record("activated") is None

    @property
    def of_the_notice(self) -> bool | None:
        """Whether the notice's dates concern this certificate; None where its first day is not known."""
        return None if self.certificate_since is None else self.certificate_since < NOTICE_DAY


def is_about(one: Dossier, mst: str, certificate: str) -> bool:
    """Whether it is about this company's certificate (serial); where one of the two is not known, the company alone tells."""
    unknown = bool(mst) and "" in {one.certificate, certificate}
    return one.mst == mst and (unknown or one.certificate == certificate)


def newest(found: Iterable[Dossier]) -> list[Dossier]:
    """Of dossiers in the order they were begun, those in whose place no later one stands."""
    kept: list[Dossier] = []
    for one in found:
        kept = [*(other for other in kept if not is_about(other, one.mst, one.certificate)), one]
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The three days after a token came on `received`, read in three ways.

    `literal_end`: the third day after it, as the notice says. `safe`: the last working day in it, None where there is none.
    `legal_end`: by Civil Code 2015 art. 147(3) and 148(5) a term that ends on a day off ends with the next working day; LCS may not
    share that.
    `off` are the days off in it.
    """

    received: date
    literal_end: date
    safe: date | None
    legal_end: date
    off: tuple[date, ...]

    @property
    def steer_by(self) -> date:
        """The earliest of the readings: nothing is left for it where no working day remains."""
        return self.received if self.safe is None else min(self.safe, self.literal_end, self.legal_end)


def window(received: date, calendar: WorkingCalendar) -> Window:
    """The three readings for a token that came on `received`; that day itself is not counted."""
    days = [received + timedelta(days=n) for n in range(1, DAYS + 1)]
    working = [day for day in days if calendar.works(day)]
    return Window(
        received=received,
        literal_end=days[-1],
        safe=working[-1] if working else None,
        legal_end=calendar.on_or_after(days[-1], certain=True),
        off=tuple(day for day in days if not calendar.works(day)),
    )


def window_of(dossier: Dossier, calendar: WorkingCalendar) -> Window | None:
    """The window of a dossier whose token has come; only lcs-received stops it."""
    came = dossier.record("token-received")
    return window(came.day, calendar) if came is not None else None


def bad_arrivals(today: date, calendar: WorkingCalendar) -> tuple[list[date], date]:
    """Days ahead on which a token must not come, because no working day follows in time, each up to the first good one after
    them; and that one.
    """
    bad = [day for day in (today + timedelta(days=n) for n in range(_AHEAD)) if window(day, calendar).safe is None]
    if not bad:
        return [], today
    good = bad[-1] + timedelta(days=1)
    while window(good, calendar).safe is None:
        bad.append(good)
        good += timedelta(days=1)
    return bad, good


def urgency(dossier: Dossier, calendar: WorkingCalendar, today: date) -> Urgency:
    """How pressing it is: by the three days while they run, steered by the earliest reading."""
    if dossier.finished:
        return "lost" if dossier.lost else "finished"
    found = window_of(dossier, calendar)
    if found is None or dossier.record("lcs-received") is not None:
        return "waiting"
    if today > found.literal_end:
        return "past"
    if found.safe is None:
        return "no_working_day"
    if today > found.steer_by:
        return "steer_missed"
    return "due" if today == found.steer_by else "running"


def sort_key(dossier: Dossier, calendar: WorkingCalendar, today: date) -> tuple[int, date, int, str]:
    """The most urgent first: the three days by their earliest reading, then revoked, suspended and missing papers."""
    order: tuple[Urgency, ...] = get_args(Urgency)
    found = window_of(dossier, calendar)
    return (
        order.index(urgency(dossier, calendar, today)),
        found.steer_by if found is not None else date.max,
        ("revoked", "suspended", "papers-missing").index(dossier.situation),
        dossier.mst,
    )
