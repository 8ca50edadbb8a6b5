"""What a person records about agencies: done, accepted, reject, skip, add, undo; and what is still to do. No driver is opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from safetok.domain import registrations as moves
from safetok.domain.agencies import Agency, Registration, RegistrationState, over, standing
from safetok.domain.filings import Signing, parts_data
from safetok.errors import SafetokError, UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows import known
from safetok.workflows.agency_names import Wanted, all_agencies, as_a_whole, meant, short_name, wanted
from safetok.workflows.agency_rules import (
    for_no_agency,
    rule_of,
    signing_by_part,
    signing_of,
    told_of_no_agency,
    working,
)
from safetok.workflows.known import Selection
from safetok.workflows.machine_clock import check_clock
from safetok.workflows.overview import RegistrationView, not_opened_data

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate
    from safetok.store.registrations import Registrations
    from safetok.workflows.context import Context

Move = Literal["done", "accepted", "reject", "skip", "undo"]

_TIMER = ("agency", "mst", "cert", "updated_at", "until")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Registrations as they stand, by certificate in the order opened; `certificates` are those of the inventory, by SHA-256.

    `signing` says what to sign with today, `by_part` the same of services updated before the rest of their agency, `touched` when
    somebody last did something; all by certificate and agency.
    """

    now: datetime
    views: tuple[RegistrationView, ...]
    certificates: dict[str, Certificate]
    old: dict[tuple[str, str], Certificate]  # the one each agency knows, by `key`
    signing: dict[tuple[str, str], Signing]
    by_part: dict[tuple[str, str], dict[str, Signing]]
    touched: dict[tuple[str, str], datetime]
    not_opened: tuple[Certificate, ...] = ()  # a person said not to open their lists
    overdue_after: timedelta | None = None
    named: bool = False  # only those of one token, company or certificate were asked for

    def overdue(self, view: RegistrationView) -> bool:
        """Whether it is to do and nobody has touched it for longer than was allowed; never without `overdue_after`."""
        if self.overdue_after is None or view.standing not in {"open", "rejected", "due_check"}:
            return False
        row = view.registration
        since = max(row.opened_at, self.touched.get(key(row), row.opened_at))
        if view.standing == "due_check" and row.until is not None:
            since = max(since, row.until)
        return self.now - since > self.overdue_after

    def checked(self) -> list[SafetokError]:
        """What `--check` finds: 24 hours over (14), open or rejected (15); with `overdue_after`, of what nobody touched."""
        from safetok.workflows.due import registrations_due

        views = self.views if self.overdue_after is None else tuple(view for view in self.views if self.overdue(view))
        return [one.error() for one in registrations_due(views)]

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "registrations": [
                view.data()
                | {
                    "sign_with": self.signing[key(view.registration)].answer,
                    "sign_why": self.signing[key(view.registration)].why,
                    "sign_parts": parts_data(self.by_part.get(key(view.registration), {})),
                    "old_cert": self.old[of].serial if (of := key(view.registration)) in self.old else None,
                    "overdue": self.overdue(view),
                }
                for view in self.views
            ],
            "timers": [
                {key: value for key, value in view.data().items() if key in _TIMER}
                for view in self.views
                if view.standing == "waiting"
            ],
            "not_opened": not_opened_data(self.not_opened),
        }


def key(row: Registration) -> tuple[str, str]:
    """A registration's own key: the certificate's SHA-256 and the agency's name."""
    return row.certificate_sha256, row.agency


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


def listing(context: Context, selection: Selection, *, overdue: str | None = None) -> Listing:
    """Registrations that fit; none where safetok knows the company but nothing was opened for it.

    Raises UsageError for a company, token or certificate never seen, and for an `overdue` that is no length of time.
    """
    from safetok.workflows.adopt import not_opened

    overdue_after = moves.parse_age(overdue) if overdue is not None else None
    store = store_of(context)
    for rule, agency in for_no_agency(context).items():
        context.prompter.warn(told_of_no_agency(rule, agency))
    rows = _rows(context, store, selection)
    views, certificates = views_of(context, store, rows)
    old, signing = signing_of(context, rows, certificates)
    return Listing(
        now=context.now(),
        views=views,
        certificates=certificates,
        old=old,
        signing=signing,
        by_part=signing_by_part(context, rows, certificates),
        touched={row: last for row, (_changes, last) in store.acts().items()},
        not_opened=not_opened(context, selection),
        overdue_after=overdue_after,
        named=not selection.empty,
    )


def record(
    context: Context,
    move: Move,
    names: Sequence[str],
    selection: Selection,
    *,
    at: str | None = None,
    reason: str = "",
) -> Recorded:
    """Record one word for every agency named, of one certificate, in one commit; then hooks are told.

    Raises UsageError (`no_such_agency`, `whole_agency`, `no_registrations`, `future_time`, `before_issue`, `bad_time`,
    `not_updated`, `nothing_to_undo`), PersonNeeded (`clock_wrong`) and SeveralTokens (`several_companies`) before anything
    is written.
    """
    store, now = store_of(context), context.now()
    agencies = all_agencies(store)
    named = [wanted(name, agencies, now) for name in names]
    if move != "done":
        for name, one in zip(names, named, strict=True):
            as_a_whole(name, one, move)
    rows = _chosen(context, store, selection)
    moment = moves.parse_at(at, now) if at is not None else now
    if move == "done" and at is None and any(one.at is None for one in named):
        certificate = certificate_of(context, rows[0])
        check_clock(context, certificate.not_before if certificate else None)
    with context.database.transaction():
        rows = store.list(certificate=rows[0].certificate_sha256)  # another run may have recorded something meanwhile
        after, warnings = _record(context, store, move, named, rows, moment, reason)
    views, _known = views_of(context, store, after)
    tell_hooks(context, move, views)
    if move == "done" and any(view.standing in {"expired", "revoked"} for view in views):
        warnings.append(of_no_use(rows[0]))
    return Recorded(now=now, move=move, views=views, warnings=tuple(warnings))


def of_no_use(row: Registration) -> str:
    """What is said of an update recorded for a certificate that has come to its end."""
    text = _("Noted, but certificate {serial} has expired or was revoked: no agency takes it any more.")
    return text.format(serial=row.certificate)


def _record(
    context: Context,
    store: Registrations,
    move: Move,
    named: Sequence[Wanted],
    rows: list[Registration],
    moment: datetime,
    reason: str,
) -> tuple[list[Registration], list[str]]:
    now, certificate = context.now(), certificate_of(context, rows[0])
    after: dict[str, Registration] = {row.agency: row for row in rows}
    warnings: list[str] = []
    for one in named:
        agency = one.agency
        row = after.get(agency.name) or _missing(store, rows[0], agency, now)
        if move == "undo":
            after[agency.name] = _undo(store, row, certificate)
            continue
        if move == "done":
            moved = moves.done(
                row,
                agency,
                at=one.at or moment,
                now=now,
                issued_at=certificate.not_before if certificate else None,
                part=one.part,
                rule=rule_of(context, agency, certificate),
                calendar=working(context),
            )
        elif move == "accepted":
            moved = moves.accepted(row, now=now)
        elif move == "reject":
            moved = moves.rejected(row, reason=reason)
        else:
            moved = moves.skipped(row)
        warnings += [f"{agency.title}: {text}" for text in (moved.warning, moved.replaced) if text]
        after[agency.name] = store.change(row, moved.registration, now=now, what=move)
        _remember(store, row, certificate, moved.registration.state is not RegistrationState.UNUSED)
    return [after[name] for name in dict.fromkeys(one.agency.name for one in named)], warnings


def tell_hooks(context: Context, move: str, views: Iterable[RegistrationView]) -> None:
    """Hooks learn of updates and acceptances, after they are written down."""
    if move not in {"done", "accepted"}:
        return
    from safetok.workflows.hooks import tell

    for view in views:
        row = view.registration
        if move == "done" and row.updated_at is not None:
            tell(context, "updated", f"{row.certificate_sha256}/{row.agency}/{row.updated_at.isoformat()}", view.data())
        elif move == "accepted" and row.updated_at is not None:
            tell(
                context, "accepted", f"{row.certificate_sha256}/{row.agency}/{row.updated_at.isoformat()}", view.data()
            )


def add(
    context: Context, name: str, selection: Selection, *, title: str = "", waits: bool | None = None, url: str = ""
) -> Recorded:
    """Add an agency of the company's own; `waits` is the 24-hour rule, for another e-invoice provider. It is opened for the
    certificate in use and for those that follow. Repeating it changes what is given of its title, rule and address.

    Raises UsageError `bad_name`, `agency_exists` (one of the notice's), and as `record`.
    """
    from safetok.knowledge import load

    store, now = store_of(context), context.now()
    if own := meant(name, {agency.name: agency for agency in load.agencies()}):
        raise UsageError(
            _("{name} is one of the agencies of the notice: it is in the list already.").format(name=own.name),
            code="agency_exists",
            hint=_("Once updated there, record: safetok agencies done {name}").format(name=own.name),
        )
    short = short_name(name)
    added = store.agencies_added()
    known_as = next((one for one in added if one.name == short), None)
    hours = 24 if waits else known_as.wait_hours if known_as and waits is None else 0
    agency = Agency(
        name=short,
        title=title.strip() or (known_as.title if known_as else name.strip()),
        wait_hours=hours,
        url=url.strip() or (known_as.url if known_as else ""),
        order=known_as.order if known_as else max((one.order for one in added), default=100) + 1,
        added=True,
    )
    rows = _chosen(context, store, selection)
    certificate = certificate_of(context, rows[0])
    with context.database.transaction():
        store.add_agency(agency)
        for row in {one.certificate_sha256: one for one in rows}.values():
            _missing(store, row, agency, now)
        store.set_used(_company(rows[0], certificate), short, used=True)
    fresh = [one for one in store.list(certificate=rows[0].certificate_sha256) if one.agency == short]
    views, _known = views_of(context, store, fresh)
    return Recorded(now=now, move="add", views=views, waits=hours > 0)


def store_of(context: Context) -> Registrations:
    """The registrations of this run's state."""
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
        choices = [one for one in (certificate_of(context, row) for row in _firsts(rows)) if one is not None]
        chosen = known.one_only(context, choices, data="companies")
        rows = [row for row in rows if row.certificate_sha256 == chosen.sha256]
    return rows


def _firsts(rows: Iterable[Registration]) -> list[Registration]:
    return list({row.certificate_sha256: row for row in reversed(list(rows))}.values())[::-1]


def certificate_of(context: Context, row: Registration) -> Certificate | None:
    """The certificate a row is about, where the inventory has it."""
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


def remember(context: Context, store: Registrations, row: Registration) -> None:
    """Keep whether the company uses the agency, as the row now says."""
    _remember(store, row, certificate_of(context, row), row.state is not RegistrationState.UNUSED)


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


def views_of(
    context: Context, store: Registrations, rows: Iterable[Registration]
) -> tuple[tuple[RegistrationView, ...], dict[str, Certificate]]:
    """Rows as they are shown, and their certificates by SHA-256."""
    from safetok.store.answers import Answers
    from safetok.store.inventory import Inventory

    rows, now, agencies = tuple(rows), context.now(), all_agencies(store)
    hashes = {row.certificate_sha256 for row in rows}
    certificates = Inventory(context.database).known(hashes)
    heard = Answers(context.database).revocations(hashes)
    views = []
    for row in rows:
        certificate = certificates.get(row.certificate_sha256)
        views.append(
            RegistrationView(
                registration=row,
                title=agencies[row.agency].title if row.agency in agencies else row.agency,
                name=certificate.subject_name if certificate else row.mst or row.certificate,
                standing=standing(row, now, over(certificate, heard.get(row.certificate_sha256), now)),
                parts=agencies[row.agency].parts if row.agency in agencies else (),
            )
        )
    return tuple(views), certificates
