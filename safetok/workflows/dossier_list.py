"""Many dossiers in one table, the most urgent first: those recorded here, or a reseller's own list of clients from a file."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from safetok.domain import dossier as papers
from safetok.domain.dossier import Dossier, Record, Said, Situation
from safetok.domain.times import parse_day, vietnamese_day
from safetok.errors import ExitStatus, SafetokError, UsageError
from safetok.locale import _, why
from safetok.workflows import agencies
from safetok.workflows.agency_rules import working
from safetok.workflows.dossier_choice import LCS
from safetok.workflows.dossier_view import View, dossier_data, view

if TYPE_CHECKING:
    from safetok.domain.working_days import WorkingCalendar
    from safetok.workflows.context import Context

LARGEST_FILE = 5 << 20
LARGEST_ROWS = 20_000
LARGEST_CELL = 400

# Heads as people write them, without marks, by what they mean.
_HEADS = {
    "mst": ("mst", "ma so thue", "tax code"),
    "name": ("name", "ten", "ten cong ty", "cong ty", "don vi", "company"),
    "certificate": ("cert", "serial", "so serial", "so serial cts", "cts", "certificate"),
    "issued": ("issued", "ngay cap", "hieu luc tu", "not before"),
    "representative": ("representative", "nguoi dai dien", "nguoi dai dien phap luat", "dai dien"),
    "phone": ("phone", "dien thoai", "so dien thoai"),
    "state": ("state", "tinh trang", "trang thai", "ho so", "tinh trang ho so"),
    "token-received": ("token received", "nhan token", "ngay nhan token"),
    "sent": ("sent", "gui ho so", "ngay gui", "da gui"),
    "lcs-received": ("lcs received", "lcs nhan", "lcs nhan ho so", "ngay lcs nhan"),
    "activated": ("activated", "kich hoat", "ngay kich hoat"),
}
_STATES: dict[str, Said] = {
    **{word: word for word in get_args(Said)},
    "day du": "complete",
    "du": "complete",
    "chua day du": "missing",
    "thieu": "missing",
    "tam dung": "suspended",
    "thu hoi": "revoked",
    "da thu hoi": "revoked",
    "bi thu hoi": "revoked",
    "khong ro": "unknown",
    "": "unknown",
}
_DAYS = ("token-received", "sent", "lcs-received", "activated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One row: the dossier it comes to, what was said of its papers, and who represents it, with how many companies that is."""

    view: View
    state: Said
    representative: str = ""
    phone: str = ""
    companies: int = 1

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        assert self.view.dossier is not None
        return dossier_data(self.view.dossier, self.view.urgency, self.view.window) | {
            "state": self.state,
            "representative": self.representative or None,
            "phone": self.phone or None,
            "companies_of_representative": self.companies,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Every row, the most urgent first, and the rows that could not be read."""

    now: datetime
    clients: tuple[Client, ...]
    errors: tuple[SafetokError, ...] = ()
    file: str = ""

    @property
    def exit_status(self) -> ExitStatus:
        return ExitStatus.PARTLY if self.errors else ExitStatus.DONE

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "file": self.file or None,
            "dossiers": [client.data() for client in self.clients],
            "failed": len(self.errors),
        }


def listed(context: Context, *, file: Path | None = None) -> Clients:
    """Dossiers recorded here, or the clients of a CSV file (nothing of it is kept). Raises UsageError `bad_list`."""
    calendar = working(context)
    if file is None:
        from safetok.store.dossiers import Dossiers

        newest = {(one.mst, one.certificate): one for one in Dossiers(context.database).list()}
        clients = [Client(view=view(context, one), state=_said_state(one)) for one in newest.values()]
        return Clients(now=context.now(), clients=_sorted(clients, calendar))
    clients, errors = [], list[SafetokError]()
    for number, row in _rows(file):
        try:
            clients.append(_client(context, row))
        except UsageError as error:
            error.message = _("Row {number}: {why}").format(number=number, why=error.message)
            errors.append(error)
    shared = Counter(_person(one) for one in clients if _person(one))
    clients = [replace(one, companies=max(1, shared[_person(one)])) for one in clients]
    return Clients(now=context.now(), clients=_sorted(clients, calendar), errors=tuple(errors), file=str(file))


def _said_state(one: Dossier) -> Said:
    said = one.record("said")
    state = said.said.get("state", "unknown") if said else "unknown"
    return next((known for known in get_args(Said) if known == state), "unknown")


def _person(client: Client) -> str:
    """A representative by name and phone; the same name with another phone is another person."""
    if not client.representative:
        return ""
    return f"{agencies.letters(client.representative)}/{''.join(filter(str.isdigit, client.phone))}"


def _sorted(clients: list[Client], calendar: WorkingCalendar) -> tuple[Client, ...]:
    order = ("revoked", "suspended", "missing", "unknown", "complete")

    def key(client: Client) -> tuple[Any, ...]:
        found = client.view.dossier
        assert found is not None
        first, day, situation, mst = papers.sort_key(found, calendar, client.view.today)
        return first, day, order.index(client.state), situation, mst

    return tuple(sorted(clients, key=key))


def _client(context: Context, row: dict[str, str]) -> Client:
    now = context.now()
    words = agencies.letters(row.get("state", "")).replace("-", " ")
    if words not in _STATES:
        raise _bad_row(_("{text} is no state of a dossier.").format(text=row.get("state", "")[:40]))
    state = _STATES[words]
    mst = "".join(row.get("mst", "").split())
    if not mst:
        raise _bad_row(_("it names no tax code"))
    days = {step: _row_day(row.get(step, ""), vietnamese_day(now)) for step in _DAYS}
    records = [Record(step=step, day=day, at=now, said={}) for step, day in days.items() if day is not None]
    situation: Situation = "papers-missing"
    if state in {"suspended", "revoked"}:
        situation = "revoked" if state == "revoked" else "suspended"
    restoration = situation != "papers-missing" or days["token-received"] is not None
    if state == "complete" and not restoration and days["lcs-received"] is None:
        records.append(Record(step="lcs-received", day=vietnamese_day(now), at=now, said={}))
    issued = _row_day(row.get("issued", ""), None)
    found = Dossier(
        id="",
        authority=LCS,
        mst=mst,
        name=row.get("name", "") or mst,
        certificate="".join(row.get("certificate", "").split()).upper(),
        token="",
        situation=situation,
        path="restoration" if restoration else "ordinary",
        several=False,
        started_at=now,
        certificate_since=issued,
        records=tuple(records),
    )
    return Client(
        view=view(context, found), state=state, representative=row.get("representative", ""), phone=row.get("phone", "")
    )


def _row_day(text: str, latest: date | None) -> date | None:
    if not text.strip():
        return None
    day = parse_day(text)
    if day is None or (latest is not None and day > latest):
        raise _bad_row(_("{text} is no day that has come (31/12/2026).").format(text=text[:40]))
    return day


def _bad_row(why: str) -> UsageError:
    return UsageError(why, code="bad_row")


def _rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows by what their heads mean, with their line numbers."""
    try:
        with file.open("rb") as source:
            data = source.read(LARGEST_FILE + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise _bad(file, why(error)) from error
    except UnicodeDecodeError as error:
        raise _bad(file, _("it is not UTF-8 text; save it as CSV UTF-8")) from error
    if len(data) > LARGEST_FILE:
        raise _bad(file, _("it is larger than {most} MB").format(most=LARGEST_FILE >> 20))
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise _bad(file, _("it cannot be read")) from error
    if len(rows) > LARGEST_ROWS:
        raise _bad(file, _("it has more than {most} rows").format(most=LARGEST_ROWS))
    heads = [agencies.letters(cell).replace("-", " ") for cell in rows[0]] if rows else []
    places = {name: heads.index(word) for name, words in _HEADS.items() for word in words if word in heads}
    if "mst" not in places:
        raise _bad(file, _("no column is called mst"))
    found = []
    for number, row in enumerate(rows[1:], 2):
        values = {
            name: " ".join(row[at].split())[:LARGEST_CELL] if at < len(row) else "" for name, at in places.items()
        }
        if any(values.values()):
            found.append((number, values))
    return found


def _bad(file: Path, why: str) -> UsageError:
    return UsageError(_("The list {file} is not used: {why}.").format(file=file, why=why), code="bad_list")
