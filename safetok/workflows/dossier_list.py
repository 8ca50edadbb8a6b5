"""Many dossiers in one table, the most urgent first: those recorded here, or a reseller's own list of clients from a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from safetok.domain import dossier as papers
from safetok.domain.cells import typed
from safetok.domain.companies import plain_mst
from safetok.domain.dossier import Dossier, Record, Said, Situation
from safetok.domain.times import vietnamese_day
from safetok.errors import ExitStatus, SafetokError, UsageError
from safetok.records import dataclass
from safetok.workflows import dossier_clients
from safetok.workflows.agency_names import letters
from safetok.workflows.agency_rules import working
from safetok.workflows.dossier_choice import LCS, dossiers
from safetok.workflows.dossier_view import View, dossier_data, view

if TYPE_CHECKING:
    from safetok.domain.working_days import WorkingCalendar
    from safetok.workflows.context import Context

_PHONE = 9  # digits of a Vietnamese number after its 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One row: the dossier it comes to, what was said of its papers, and who represents it, with how many companies that is."""

    view: View
    state: Said
    representative: str = ""
    phone: str = ""
    companies: int = 1

    @property
    def mst(self) -> str:
        assert self.view.dossier is not None
        return self.view.dossier.mst

    @property
    def person(self) -> str:
        """Its representative by name and phone; the same name with another phone is another person. A phone is the same with 0,
        with +84 and without either, as a spreadsheet leaves a number.
        """
        if not self.representative:
            return ""
        return f"{letters(self.representative)}/{''.join(filter(str.isdigit, self.phone))[-_PHONE:]}"

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
    """Every row, the most urgent first, the rows that could not be read, the columns that mean nothing to safetok, and the
    workbook's sheets that were not read.
    """

    now: datetime
    clients: tuple[Client, ...]
    errors: tuple[SafetokError, ...] = ()
    file: str = ""
    ignored: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()

    @property
    def exit_status(self) -> ExitStatus:
        return ExitStatus.PARTLY if self.errors else ExitStatus.DONE

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "file": self.file or None,
            "dossiers": [client.data() for client in self.clients],
            "failed": len(self.errors),
            "columns_ignored": self.ignored,
            "ignored_sheets": self.sheets,
        }


def listed(context: Context, *, file: Path | None = None) -> Clients:
    """Dossiers recorded here, or the clients of a CSV or XLSX file (nothing of it is kept), with what was recorded here of them.

    Raises UsageError `bad_list`, `xlsx_missing`.
    """
    calendar = working(context)
    newest = papers.newest(dossiers(context).list())
    if file is None:
        kept = [Client(view=view(context, one), state=_said_state(one)) for one in newest]
        return Clients(now=context.now(), clients=_sorted(kept, calendar))
    found = dossier_clients.read(file)
    recorded = [one for one in newest if not one.finished]
    clients, errors = [], list[SafetokError]()
    for row in found.rows:
        try:
            clients.append(_client(context, row, recorded))
        except UsageError as error:
            errors.append(error)
    shared = Counter(person for person, _mst in {(one.person, one.mst) for one in clients} if person)
    clients = [_called_first(context, one, shared[one.person]) for one in clients]
    return Clients(
        now=context.now(),
        clients=_sorted(clients, calendar),
        errors=tuple(errors),
        file=str(file),
        ignored=found.ignored,
        sheets=found.sheets,
    )


def _called_first(context: Context, client: Client, companies: int) -> Client:
    """A client whose representative stands for others in the list too: before anything is uploaded LCS is called."""
    found = client.view.dossier
    if companies <= 1 or found is None:
        return client
    if found.path == "restoration" and not found.records:
        return replace(client, companies=companies, view=view(context, replace(found, several=True)))
    return replace(client, companies=companies)


def _said_state(one: Dossier) -> Said:
    """What the look-up page last said, else the case it was begun for while that can still hold."""
    said = one.record("said")
    if said is not None:
        return next((known for known in get_args(Said) if known == said.said.get("state")), "unknown")
    if one.situation != "papers-missing":
        return one.situation
    return "unknown" if one.record("lcs-received") else "missing"


def _sorted(clients: list[Client], calendar: WorkingCalendar) -> tuple[Client, ...]:
    order = ("revoked", "suspended", "missing", "unknown", "complete")

    def key(client: Client) -> tuple[Any, ...]:
        found = client.view.dossier
        assert found is not None
        first, day, situation, mst = papers.sort_key(found, calendar, client.view.today)
        return first, day, order.index(client.state), situation, mst

    return tuple(sorted(clients, key=key))


def _client(context: Context, row: dossier_clients.Row, recorded: Sequence[Dossier]) -> Client:
    """One row as a dossier; where one of that company (and of the certificate, where the row names one) is open here, the steps
    recorded there are taken over.
    """
    now, mst, state = context.now(), row.mst, row.state
    today = vietnamese_day(now)
    days = {step: row.day(step, latest=today) for step in dossier_clients.DAYS}
    records = [Record(step=step, day=day, at=now, said={}) for step, day in days.items() if day is not None]
    serial = "".join(typed(row.text("certificate")).split()).upper()
    there = next((one for one in reversed(recorded) if papers.is_about(one, plain_mst(mst), serial)), None)
    if there is not None:
        known = {one.step for one in there.records}
        found = replace(
            there,
            name=row.text("name") or there.name,
            certificate=there.certificate or serial,
            records=(*there.records, *(one for one in records if one.step in there.steps and one.step not in known)),
        )
        state = state if row.text("state") else _said_state(there)
    else:
        found = _of_row(row, mst, serial, state, records, now)
    return Client(
        view=view(context, found), state=state, representative=row.text("representative"), phone=row.text("phone")
    )


def _of_row(
    row: dossier_clients.Row, mst: str, serial: str, state: Said, records: list[Record], now: datetime
) -> Dossier:
    """The dossier that a row alone comes to."""
    steps = {one.step for one in records}
    situation: Situation = "papers-missing"
    if state in {"suspended", "revoked"}:
        situation = "revoked" if state == "revoked" else "suspended"
    restoration = situation != "papers-missing" or bool(steps & {"token-received", "activated"})
    if state == "complete" and not restoration and "lcs-received" not in steps:
        records = [*records, Record(step="lcs-received", day=vietnamese_day(now), at=now, said={})]
    return Dossier(
        id="",
        authority=LCS,
        mst=mst,
        name=row.text("name") or mst,
        certificate=serial,
        token="",
        situation=situation,
        path="restoration" if restoration else "ordinary",
        several=False,
        started_at=now,
        certificate_since=row.day("issued", latest=None),
        records=tuple(records),
    )
