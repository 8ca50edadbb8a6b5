"""From a list to a plan: each row checked against tokens, certificates, revocation, offers and the journal. No PIN is used."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from safetok.domain.companies import plain_mst
from safetok.domain.manifest import Wanted
from safetok.domain.plan import Plan, PlanRow, Verdict
from safetok.domain.renewal import State
from safetok.domain.times import show_day, vietnamese_day
from safetok.domain.tokens import KeyPresence, Reading, TokenReading, nearly
from safetok.errors import CaUnreachable, CaWait, CertificateRevoked, NoToken, PinRefused, SafetokError, UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows import sheets
from safetok.workflows.batch import plan_file
from safetok.workflows.batch.course import another_is_in
from safetok.workflows.batch.quiet import Quiet
from safetok.workflows.batch.results import carried_on, sentences
from safetok.workflows.renew.choose import Chosen, choose, unfinished_of
from safetok.workflows.renew.eligibility import NothingDue, assess
from safetok.workflows.renew.request import RenewRequest

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate
    from safetok.domain.renewal import Renewal
    from safetok.workflows.context import Context

AT_ONCE = 6  # rows looked at together: most of the time is a CA's answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The plan, where it lies, and what of the list was not read: columns, and a workbook's other sheets; its rows that the
    workbook hides, which are planned all the same.
    """

    plan: Plan
    file: Path
    ignored: tuple[str, ...]
    sheets: tuple[str, ...] = ()
    hidden: tuple[int, ...] = ()


@dataclass(kw_only=True)
class _Tokens:
    """What is plugged in, by serial and by company; `named`: the Token IDs that the list's rows name."""

    reading: Reading
    named: frozenset[str]
    by_serial: dict[str, TokenReading] = field(default_factory=dict)
    by_mst: dict[str, list[TokenReading]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for token in self.reading.tokens:
            self.by_serial.setdefault(token.info.serial, token)
            for mst in {plain_mst(s.certificate.mst or "") for s in token.certificates if not s.certificate.is_ca}:
                self.by_mst.setdefault(mst, []).append(token)

    def fitting(self, token: str | None, mst: str | None) -> Reading:
        """The tokens a row may mean."""
        if token is not None:
            found = [self.by_serial[token]] if token in self.by_serial else []
        else:
            found = self.by_mst.get(plain_mst(mst or ""), [])
        return Reading(tokens=tuple(found), failed=self.reading.failed, drivers=self.reading.drivers)


def plan(context: Context, file: Path, *, out: Path | None = None, per_day: int | None = None) -> Planned:
    """Read the list, check every row and write the plan. Raises UsageError for a list or a file that cannot be used."""
    from safetok.domain import manifest as lists
    from safetok.store.inventory import Inventory

    sheet = sheets.read(file)
    try:
        manifest = lists.read(sheet.cells, epoch=sheet.epoch)
    except UsageError as error:
        if error.code in {"manifest_columns", "manifest_empty"}:
            error.hint = sheets.in_first_sheet(sheet, error.hint)
        raise
    with context.tokens() as tokens:
        reading = tokens.read()
    Inventory(context.database).record(reading, context.now())
    found = _Tokens(reading=reading, named=frozenset(row.token for row in manifest.rows if row.token))
    rows = _checked(context, manifest.rows, found, file.absolute().parent)
    if per_day is not None:
        rows = spread(rows, per_day, *working_days(context.now()))
    made = Plan(
        id=context.random(8).hex(),
        made_at=context.now(),
        manifest=str(file.absolute()),
        folder=str(file.absolute().parent),
        settings=plan_file.settings_hash(context.settings, (row.authority for row in rows)),
        rows=tuple(rows),
    )
    path = out or file.parent / f"{file.stem}.plan.json"
    plan_file.write(context, made, path)
    hidden = tuple(row.row for row in rows if row.row in sheet.hidden)
    return Planned(plan=made, file=path, ignored=manifest.ignored, sheets=sheet.unread, hidden=hidden)


def spread(rows: Iterable[PlanRow], per_day: int, first: date, following: Callable[[date], date]) -> list[PlanRow]:
    """At most `per_day` renewals a day from `first` on, the rows of a group one after the other; `following` gives the next day."""
    if per_day < 1:
        raise UsageError(_("--per-day takes a number from 1 on."), code="bad_number")
    given = list(rows)
    wanted = sorted((row for row in given if row.runs), key=lambda row: (row.group, row.row))
    days: dict[int, date] = {}
    day, used = first, 0
    for row in wanted:
        if used == per_day:
            day, used = following(day), 0
        days[row.row] = day
        used += 1
    return [replace(row, day=days[row.row]) if row.row in days else row for row in given]


def working_days(now: datetime) -> tuple[date, Callable[[date], date]]:
    """The first day on which somebody can follow at the agencies, and what comes after a day."""
    from safetok.knowledge import load

    calendar = load.working_calendar()
    return calendar.on_or_after(vietnamese_day(now)), calendar.after


def _checked(context: Context, wanted: Iterable[Wanted], tokens: _Tokens, folder: Path) -> list[PlanRow]:
    from safetok.net import Http

    agencies = _agency_names(context)

    def one(row: Wanted) -> PlanRow:
        own = replace(context, prompter=Quiet(), _http=Http(timeout=context.timeout or context.settings.timeout))
        try:
            return _check(own, row, tokens, agencies, folder)
        except SafetokError:
            raise
        except Exception as error:  # noqa: BLE001  (one row never takes the others with it)
            from safetok.workflows.batch.rows import unforeseen

            met = unforeseen(error)
            return replace(_unjudged(row), verdict=Verdict.NOT_READY, code=met.code, reason=met.message)
        finally:
            own.http.close()

    _ = context.database  # opened once, before several hands use it
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        rows = list(pool.map(one, wanted))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C waits for no CA
    return _once_each(rows)


def _once_each(rows: list[PlanRow]) -> list[PlanRow]:
    """A certificate that two rows mean is renewed by neither, even where one of them keeps it back."""
    first: dict[str, PlanRow] = {}
    twice: dict[int, int] = {}
    for row in rows:
        if row.certificate:
            other = first.setdefault(row.certificate, row)
            if other is not row:
                twice[row.row], twice[other.row] = other.row, row.row
    return [
        replace(
            row,
            verdict=Verdict.REFUSED,
            code="row_twice",
            reason=_("Row {row} means the same certificate.").format(row=twice[row.row]),
        )
        if row.row in twice and row.runs
        else row
        for row in rows
    ]


def _check(context: Context, wanted: Wanted, tokens: _Tokens, agencies: frozenset[str], folder: Path) -> PlanRow:
    row = _unjudged(wanted)
    if wanted.problems:
        return replace(row, code="bad_cell", reason=" ".join(str(problem) for problem in wanted.problems))
    if strange := [name for name in wanted.agencies or () if name not in agencies]:
        reason = _("Row {row}, column {column}").format(row=wanted.row, column="co_quan")
        known = ", ".join(sorted(agencies))
        unknown = _("no agency is called so; known: {names}").format(names=known)
        return replace(row, code="bad_cell", reason=f"{reason}: {', '.join(strange)!r}: {unknown}.")
    try:
        chosen = choose(
            context, tokens.fitting(wanted.token, wanted.mst), serial=wanted.token, cert=None, mst=wanted.mst
        )
    except NoToken as error:
        return _not_in(context, row, wanted, error, tokens, folder)
    except SafetokError as error:
        return replace(row, verdict=Verdict.NOT_READY, code=error.code, reason=f"{error.message} {error.hint}".strip())
    row = _about(context, row, chosen.certificate, chosen.token.info.serial)
    if chosen.token.info.readable_only:
        return replace(row, code="token_without_serial", reason=_("This token has no serial of its own."))
    return _judged(context, row, wanted, chosen, folder)


def _unjudged(wanted: Wanted) -> PlanRow:
    """A row as the list has it: refused, until something speaks for it."""
    return PlanRow(
        row=wanted.row,
        verdict=Verdict.REFUSED,
        token=wanted.token,
        mst=wanted.mst,
        name=wanted.name,
        contract_end=wanted.contract_end,
        new_key=wanted.new_key,
        pin_source=wanted.pin_source,
        agencies=wanted.agencies,
        group=wanted.group,
        confirmed_by=wanted.confirmed_by,
    )


def _judged(context: Context, row: PlanRow, wanted: Wanted, chosen: Chosen, folder: Path) -> PlanRow:
    """What the renewal's own checks say, then what a row of a list must have beyond them."""
    unfinished = unfinished_of(context, chosen.token.info.serial, chosen.certificate)
    if unfinished is not None and wanted.signed:
        return replace(_from(row, unfinished), verdict=Verdict.RENEW, reason=carried_on(unfinished))
    request = RenewRequest(
        serial=row.token, contract_end=row.contract_end, confirm_contract_end=row.contract_end, yes=True
    )
    assert isinstance(context.prompter, Quiet)
    try:
        found = assess(context, chosen, request)
    except CertificateRevoked as error:
        return replace(row, code=error.code, reason=f"{error.message} {error.hint}".strip())
    except (CaUnreachable, CaWait) as error:
        row = replace(row, verdict=Verdict.UNCHECKED, code=error.code, reason=f"{error.message} {error.hint}".strip())
    except SafetokError as error:
        return replace(row, verdict=Verdict.NOT_READY, code=error.code, reason=f"{error.message} {error.hint}".strip())
    else:
        if isinstance(found, NothingDue):
            return _nothing_due(context, row, found)
        row = replace(row, verdict=Verdict.RENEW, reason=" ".join(context.prompter.warnings))
    lacking = _unfit(context, row, chosen) or _lacking(context, row, wanted, folder)
    if lacking is not None:
        return replace(row, verdict=Verdict.NOT_READY, code=lacking[0], reason=lacking[1])
    return row


def _nothing_due(context: Context, row: PlanRow, found: NothingDue) -> PlanRow:
    """A row that needs nothing. Where safetok itself renewed it, it stands in the plan with the certificate it had before: the
    report says from which to which, and when.
    """
    from safetok.store.journal import Journal

    row = replace(row, verdict=Verdict.NOTHING_DUE, reason=sentences(found.reasons))
    renewal = Journal(context.database).renewed_from(found.chosen.certificate.sha256)
    return _from(row, renewal) if renewal is not None and renewal.state is State.DONE else row


def _from(row: PlanRow, renewal: Renewal) -> PlanRow:
    """The row of the certificate that this renewal began with."""
    sha256 = hashlib.sha256(renewal.old_certificate).hexdigest()
    return replace(row, certificate=sha256, old_serial=renewal.old_serial)


def _unfit(context: Context, row: PlanRow, chosen: Chosen) -> tuple[str, str] | None:
    """Why this token can only be renewed by hand, or not here: a code and a sentence."""
    from safetok.workflows.batch.pins import next_step
    from safetok.workflows.pins import guard_for

    authority = context.settings.authorities.get(row.authority)
    try:
        guard_for(context, authority, force_last_try=False).check(chosen.token.info)
    except PinRefused as error:
        return error.code, f"{error.message} {next_step(error)}".strip()
    if chosen.token.info.pin_pad:
        return "pin_pad", _("This token's PIN is typed on its own keypad: renew it by hand.")
    if chosen.stored.key is KeyPresence.ABSENT:
        return "key_absent", _("The key of this certificate is not on the token: it cannot be renewed here.")
    return None


def _lacking(context: Context, row: PlanRow, wanted: Wanted, folder: Path) -> tuple[str, str] | None:
    """What the row must still say, or have, before it may run with nobody there, be its token in or not: a code and a sentence."""
    from safetok.store.inventory import Inventory

    if row.contract_end is None:
        return "contract_end_unknown", _("The contract's end is not in the list: it is the second confirmation.")
    if row.contract_end < vietnamese_day(context.now()):
        ended = _("The contract ended on {day}: no time is left to top up.").format(day=show_day(row.contract_end))
        return "contract_over", ended
    if not wanted.signed:
        return "not_signed", _("Not marked as signed (da_ky_het): sign what is pending with the old certificate first.")
    stated = Inventory(context.database).contract_end(row.certificate)
    if stated is not None and row.contract_end > stated:
        return "contract_end_differs", _(
            "The list says the contract ends on {day}; it was stated as {stated} before. Compare it with the contract, and "
            "state it once by hand: safetok renew --contract-end"
        ).format(day=show_day(row.contract_end), stated=show_day(stated))
    return _no_pin(row, folder)


def _no_pin(row: PlanRow, folder: Path) -> tuple[str, str] | None:
    """Whether there is a PIN where the row says; none is tried. A keyring is not opened for a plan."""
    if row.pin_source.startswith("file:"):
        from safetok.workflows.batch.pins import file_of

        try:
            file_of(folder, row.pin_source)
        except SafetokError as error:
            return error.code, f"{error.message} {error.hint}".strip()
    return None


def _not_in(context: Context, row: PlanRow, wanted: Wanted, error: NoToken, tokens: _Tokens, folder: Path) -> PlanRow:
    """A token that is not plugged in: what is known of it, so that it can be called by name when it is wanted."""
    from safetok.store.inventory import Inventory

    if row.token is not None and row.token in tokens.by_serial:
        reason = _("The token {serial} holds no certificate of MST {mst}.").format(serial=row.token, mst=row.mst)
        return replace(row, code=error.code, reason=reason)
    inventory = Inventory(context.database)
    kept = inventory.certificates(row.token, gone=False) if row.token else inventory.by_mst(row.mst or "")
    known = [one for one in kept if not one.certificate.is_ca and (one.token_serial or row.token)]
    fitting = [one for one in known if row.mst is None or plain_mst(one.certificate.mst or "") == row.mst]
    if row.token is not None and (meant := nearly(row.token, tokens.by_serial)):
        reason = _(
            "No token has this Token ID, but {serial} is plugged in: is it that one? Copy it from: safetok tokens"
        )
        return replace(row, verdict=Verdict.NOT_READY, code="token_misspelt", reason=reason.format(serial=meant))
    if fitting and len({one.token_serial for one in fitting}) == 1:
        newest = max(fitting, key=lambda one: (one.certificate.not_before, one.certificate.not_after))
        row = _about(context, row, newest.certificate, newest.token_serial)
    lacking, away = _lacking(context, row, wanted, folder), _("Not plugged in.")
    of_company = [token.info.serial for token in tokens.by_mst.get(plain_mst(row.mst or ""), [])]
    if others := [serial for serial in of_company if row.mst and serial not in tokens.named]:
        away = f"{away} {another_is_in(others)}"
    if lacking is not None:
        return replace(row, verdict=Verdict.NOT_READY, code=lacking[0], reason=f"{away} {lacking[1]}")
    return replace(row, verdict=Verdict.NOT_IN, code=error.code, reason=away)


def _about(context: Context, row: PlanRow, certificate: Certificate, token: str) -> PlanRow:
    from safetok.store.settings import authority_of

    authority = authority_of(certificate, context.settings)
    return dataclasses.replace(
        row,
        token=token,
        mst=row.mst or certificate.mst,
        name=certificate.subject_name,
        certificate=certificate.sha256,
        old_serial=certificate.serial,
        authority=authority.name if authority else "",
    )


def _agency_names(context: Context) -> frozenset[str]:
    from safetok.knowledge import load
    from safetok.store.registrations import Registrations

    known = (*load.agencies(), *Registrations(context.database).agencies_added())
    return frozenset(agency.name for agency in known)
