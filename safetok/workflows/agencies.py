"""What a person records about agencies: done, accepted, reject, skip, add, undo; and what is still to do. No driver is opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from safetok.domain import registrations as moves
from safetok.domain.agencies import Agency, Registration, RegistrationState, standing
from safetok.errors import SafetokError, UsageError
from safetok.locale import _
from safetok.workflows import known
from safetok.workflows.known import Selection
from safetok.workflows.status import RegistrationView

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate
    from safetok.store.registrations import Registrations
    from safetok.workflows.context import Context

Move = Literal["done", "accepted", "reject", "skip", "undo"]

LARGEST_NAME = 40
_TIMER = ("agency", "mst", "cert", "updated_at", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Registrations as they stand, by certificate in the order opened; `certificates` are those of the inventory, by SHA-256."""

    now: datetime
    views: tuple[RegistrationView, ...]
    certificates: dict[str, Certificate]

    def checked(self) -> list[SafetokError]:
        """What `--check` finds: 24 hours over (14), agencies open or rejected (15)."""
        from safetok.workflows.due import registrations_due

        return [one.error() for one in registrations_due(self.views)]

    def data(self) -> dict[str, Any]:
        """What scripts read (architecture, section 8)."""
        return {
            "registrations": [view.data() for view in self.views],
            "timers": [
                {key: value for key, value in view.data().items() if key in _TIMER}
                for view in self.views
                if view.standing == "waiting"
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What was recorded, and what its person should be warned of."""

    now: datetime
    move: str
    views: tuple[RegistrationView, ...]
    warnings: tuple[str, ...] = ()
    waits: bool = False  # of an agency just added

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {"registrations": [view.data() for view in self.views], "warnings": self.warnings}


def all_agencies(store: Registrations) -> dict[str, Agency]:
    """The notice's seven, then those a person added, by name."""
    from safetok.knowledge import load

    return {agency.name: agency for agency in (*load.agencies(), *store.agencies_added())}


def listing(context: Context, selection: Selection) -> Listing:
    """Registrations that fit; none where safetok knows the company but nothing was opened for it.

    Raises UsageError for a company, token or certificate never seen.
    """
    store = _store(context)
    rows = _rows(context, store, selection)
    views, certificates = _views(context, store, rows)
    return Listing(now=context.now(), views=views, certificates=certificates)


def record(
    context: Context,
    move: Move,
    names: Sequence[str],
    selection: Selection,
    *,
    at: str | None = None,
    reason: str = "",
) -> Recorded:
    """Record one word for every agency named, of one certificate, in one commit.

    Raises UsageError (`no_such_agency`, `no_registrations`, `future_time`, `bad_time`, `not_updated`, `nothing_to_undo`) and
    SeveralTokens (`several_companies`) before anything is written.
    """
    store, now = _store(context), context.now()
    agencies = all_agencies(store)
    wanted = [_agency(name, agencies) for name in names]
    rows = _chosen(context, store, selection)
    moment = moves.parse_at(at, now) if at is not None else now
    certificate = _certificate(context, rows[0])
    warnings: list[str] = []
    after: list[Registration] = []
    with context.database.transaction():
        for agency in wanted:
            row = next((one for one in rows if one.agency == agency.name), None) or _missing(
                store, rows[0], agency, now
            )
            if move == "undo":
                after.append(_undo(store, row, certificate))
                continue
            if move == "done":
                moved = moves.done(
                    row, agency, at=moment, now=now, issued_at=certificate.not_before if certificate else None
                )
            elif move == "accepted":
                moved = moves.accepted(row, now=now)
            elif move == "reject":
                moved = moves.rejected(row, reason=reason)
            else:
                moved = moves.skipped(row)
            warnings += [f"{agency.title}: {moved.warning}"] if moved.warning else []
            after.append(store.change(row, moved.registration, now=now, what=move))
            _remember(store, row, certificate, moved.registration.state is not RegistrationState.UNUSED)
    views, _known = _views(context, store, after)
    return Recorded(now=now, move=move, views=views, warnings=tuple(warnings))


def add(
    context: Context, name: str, selection: Selection, *, title: str = "", waits: bool = False, url: str = ""
) -> Recorded:
    """Add an agency of the company's own; `waits` is the 24-hour rule, for another e-invoice provider. It is opened for the
    certificate in use and for those that follow. Repeating it changes its title or rule.

    Raises UsageError `bad_name`, `agency_exists` (one of the notice's), and as `record`.
    """
    from safetok.knowledge import load

    store, now = _store(context), context.now()
    short = _short(name)
    if short in {agency.name for agency in load.agencies()}:
        raise UsageError(
            _("{name} is one of the agencies of the notice: it is in the list already.").format(name=short),
            code="agency_exists",
        )
    added = store.agencies_added()
    known_as = next((one for one in added if one.name == short), None)
    agency = Agency(
        name=short,
        title=title.strip() or (known_as.title if known_as else name.strip()),
        wait_hours=24 if waits else 0,
        url=url.strip() or (known_as.url if known_as else ""),
        order=known_as.order if known_as else max((one.order for one in added), default=100) + 1,
        added=True,
    )
    rows = _chosen(context, store, selection)
    certificate = _certificate(context, rows[0])
    with context.database.transaction():
        store.add_agency(agency)
        for row in {one.certificate_sha256: one for one in rows}.values():
            _missing(store, row, agency, now)
        store.set_used(_company(rows[0], certificate), short, used=True)
    fresh = [one for one in store.list(certificate=rows[0].certificate_sha256) if one.agency == short]
    views, _known = _views(context, store, fresh)
    return Recorded(now=now, move="add", views=views, waits=waits)


def _store(context: Context) -> Registrations:
    from safetok.store.registrations import Registrations

    return Registrations(context.database)


def _rows(context: Context, store: Registrations, selection: Selection) -> list[Registration]:
    """The rows that fit; what was named must be known to the inventory or have rows."""
    if selection.cert:
        rows = store.list(certificate=selection.cert, token=selection.serial, mst=selection.mst)
        if rows:
            return rows
        kept = known.kept(context, selection)
        return [row for sha256 in {one.certificate.sha256 for one in kept} for row in store.list(certificate=sha256)]
    rows = store.list(mst=selection.mst, token=selection.serial)
    if not rows and not selection.empty:
        known.kept(context, selection)
    return rows


def _chosen(context: Context, store: Registrations, selection: Selection) -> list[Registration]:
    """The rows of one certificate; where several fit, a person chooses."""
    rows = _rows(context, store, selection)
    if not rows:
        raise UsageError(
            _("No list of agencies is open there."),
            code="no_registrations",
            hint=_("A renewal opens it; for a certificate renewed elsewhere: safetok certs adopt"),
        )
    certificates = dict.fromkeys(row.certificate_sha256 for row in rows)
    if len(certificates) > 1:
        choices = [one for one in (_certificate(context, row) for row in _firsts(rows)) if one is not None]
        chosen = known.one_only(context, choices, data="companies")
        rows = [row for row in rows if row.certificate_sha256 == chosen.sha256]
    return rows


def _firsts(rows: Iterable[Registration]) -> list[Registration]:
    return list({row.certificate_sha256: row for row in reversed(list(rows))}.values())[::-1]


def _certificate(context: Context, row: Registration) -> Certificate | None:
    from safetok.store.inventory import Inventory

    return Inventory(context.database).certificate(row.certificate_sha256)


def _company(row: Registration, certificate: Certificate | None) -> str:
    from safetok.domain.companies import company_of

    return company_of(certificate) if certificate is not None else row.mst


def _remember(store: Registrations, row: Registration, certificate: Certificate | None, used: bool) -> None:
    """What a company uses is kept only where it says something new: an agency is used until a person says otherwise."""
    company = _company(row, certificate)
    if used != store.used(company).get(row.agency, True):
        store.set_used(company, row.agency, used)


def _undo(store: Registrations, row: Registration, certificate: Certificate | None) -> Registration:
    before, _what = store.undo(row)
    _remember(store, before, certificate, before.state is not RegistrationState.UNUSED)
    return before


def _missing(store: Registrations, like: Registration, agency: Agency, now: datetime) -> Registration:
    """A row for an agency that this certificate's list does not have yet."""
    row = Registration(
        agency=agency.name,
        mst=like.mst,
        certificate=like.certificate,
        certificate_sha256=like.certificate_sha256,
        state=RegistrationState.OPEN,
        opened_at=now,
    )
    store.put([row])
    return row


def _views(
    context: Context, store: Registrations, rows: Iterable[Registration]
) -> tuple[tuple[RegistrationView, ...], dict[str, Certificate]]:
    from safetok.store.inventory import Inventory

    inventory, now, agencies = Inventory(context.database), context.now(), all_agencies(store)
    certificates: dict[str, Certificate] = {}
    views = []
    for row in rows:
        if row.certificate_sha256 not in certificates:
            found = inventory.certificate(row.certificate_sha256)
            if found is not None:
                certificates[row.certificate_sha256] = found
        certificate = certificates.get(row.certificate_sha256)
        views.append(
            RegistrationView(
                registration=row,
                title=agencies[row.agency].title if row.agency in agencies else row.agency,
                name=certificate.subject_name if certificate else row.mst or row.certificate,
                standing=standing(row, now),
            )
        )
    return tuple(views), certificates


def _agency(name: str, agencies: dict[str, Agency]) -> Agency:
    found = agencies.get(name.strip().lower()) or agencies.get(_letters(name))
    if found is None:
        raise UsageError(
            _("There is no agency {name}.").format(name=name),
            code="no_such_agency",
            hint=_("Known: {names}. Another one: safetok agencies add NAME").format(names=", ".join(agencies)),
        )
    return found


def _short(name: str) -> str:
    """The name to type later: lower-case ASCII of what a person wrote ("Hóa đơn MISA" -> "hoa-don-misa")."""
    short = _letters(name)
    if not short or len(short) > LARGEST_NAME:
        raise UsageError(
            _("{name} is no name for an agency: letters and digits, at most {most}.").format(
                name=name, most=LARGEST_NAME
            ),
            code="bad_name",
        )
    return short


def _letters(name: str) -> str:
    import unicodedata

    plain = unicodedata.normalize("NFD", name.strip().lower().replace("đ", "d"))
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in plain if not unicodedata.combining(c)).split()
    return "-".join(words)
