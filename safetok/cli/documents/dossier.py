"""What the envelopes of `dossier` hold, as types."""

from __future__ import annotations

from datetime import date

from safetok.cli.documents import Document, Instant, Serial
from safetok.domain.dossier import PathName, Said, Situation, Urgency


class Step(Document):
    step: str
    day: date
    said: dict[str, str]
    recorded_at: Instant


class Deadline(Document):
    """The three days after the token came, read in three ways; `safe` is null where no working day is left."""

    received: date
    literal_end: date
    safe: date | None
    legal_end: date
    steer_by: date
    days_off: list[date]


class One(Document):
    id: str | None
    authority: str
    mst: str | None
    name: str
    cert: Serial | None
    token: str | None
    case: Situation
    path: PathName
    several_companies: bool
    step: str | None
    not_activated: bool
    urgency: Urgency
    steps: list[Step]
    deadline: Deadline | None


class Answer(Document):
    state: Said
    since: date | None
    missing: list[str]


class Dossier(Document):
    """`safetok dossier start`, `show` and every step."""

    dossier: One | None
    authority: str | None
    lookup: str | None
    answer: Answer | None
    if_received_today: Deadline | None
    bad_days: list[date]
    new_cert: Serial | None
    agencies_open: int
    warnings: list[str]


class Client(One):
    state: Said
    representative: str | None
    phone: str | None
    companies_of_representative: int


class Dossiers(Document):
    """`safetok dossier list`."""

    file: str | None
    dossiers: list[Client]
    failed: int
    columns_ignored: list[str]
    ignored_sheets: list[str]
