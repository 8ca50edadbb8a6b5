"""The worklist that staff fill in: written from the registrations, and read back into them row by row."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.domain import registrations as moves
from safetok.domain.agencies import Registration, RegistrationState
from safetok.domain.times import show_date, show_instant, vietnamese_time
from safetok.errors import ExitStatus, SafetokError, UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows import agencies
from safetok.workflows.agency_names import all_agencies, letters
from safetok.workflows.agency_rules import rule_of, working
from safetok.workflows.overview import RegistrationView
from safetok.workflows.replacing import refuse_to_replace

if TYPE_CHECKING:
    from safetok.domain.agencies import Agency
    from safetok.reports.worklist import Filled
    from safetok.store.registrations import Registrations
    from safetok.workflows.agencies import Listing
    from safetok.workflows.context import Context

# What staff write in the result column, in either language and without marks.
_RESULTS = {
    "accepted": RegistrationState.ACCEPTED,
    "chap nhan": RegistrationState.ACCEPTED,
    "duoc chap nhan": RegistrationState.ACCEPTED,
    "da chap nhan": RegistrationState.ACCEPTED,
    "ok": RegistrationState.ACCEPTED,
    "rejected": RegistrationState.REJECTED,
    "tu choi": RegistrationState.REJECTED,
    "bi tu choi": RegistrationState.REJECTED,
    "unused": RegistrationState.UNUSED,
    "not used": RegistrationState.UNUSED,
    "khong su dung": RegistrationState.UNUSED,
    "khong dung": RegistrationState.UNUSED,
}


# The column that a refusal is about.
_COLUMN = {
    "bad_time": "done_at",
    "future_time": "done_at",
    "before_issue": "done_at",
    "not_updated": "done_at",
    "settled_already": "done_at",
    "later_update": "done_at",
    "bad_result": "result",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a filled-in worklist came to: rows recorded, rows that said what was known already, and rows that could not be used.
    Notes that are not kept are among the warnings; `sheets`: the workbook's others, which were not read.
    """

    now: datetime
    file: str
    views: tuple[RegistrationView, ...]
    unchanged: int
    errors: tuple[SafetokError, ...]
    warnings: tuple[str, ...]
    sheets: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def exit_status(self) -> ExitStatus:
        return ExitStatus.PARTLY if self.errors else ExitStatus.DONE

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "file": self.file,
            "recorded": len(self.views),
            "unchanged": self.unchanged,
            "failed": len(self.errors),
            "registrations": [view.data() for view in self.views],
            "warnings": self.warnings,
            "ignored_sheets": self.sheets,
            "dry_run": self.dry_run,
        }


def write_sheet(
    context: Context, listing: Listing, path: Path, words: Callable[[RegistrationView], str], *, force: bool = False
) -> Path:
    """Write the worklist of a listing to `path`; `words` says where a registration stands.

    Raises UsageError `file_exists` (whatever is there may hold what staff filled in; not with `force`), `not_a_file`,
    `file_not_written`, `xlsx_missing`.
    """
    from safetok.reports import worklist
    from safetok.reports.fields import fields_of
    from safetok.reports.files import write_file

    known = all_agencies(agencies.store_of(context))
    rows = []
    for view in listing.views:
        row = view.registration
        certificate = listing.certificates.get(row.certificate_sha256)
        fields = fields_of(certificate) if certificate else None
        old = listing.old.get(agencies.key(row))
        values: dict[str, str | datetime | None] = {
            "mst": row.mst,
            "company": view.name,
            "agency": row.agency,
            "title": view.title,
            "serial": row.certificate,
            "issuer": fields.issuer_name if fields else "",
            "valid_from": fields.valid_from if fields else None,
            "valid_to": fields.valid_to if fields else None,
            "old_serial": old.serial if old else "",
            "url": known[row.agency].url if row.agency in known else "",
            "state": words(view),
            "done_at": row.updated_at,
            "result": _(worklist.RESULTS[row.state.value]) if row.state.value in worklist.RESULTS else "",
            "note": row.reason,
            "key": row.certificate_sha256,
        }
        rows.append(worklist.Row(values=values))
    if not force:
        hint = _(
            "Take what was filled in: safetok agencies import. Then name another file, or replace it with --force."
        )
        refuse_to_replace(path, hint, unless=lambda _path: False)
    return write_file(path, worklist.write(rows))


def import_sheet(context: Context, path: Path, *, dry_run: bool = False) -> Imported:
    """Record what staff filled in, XLSX or saved as CSV, in one commit; then hooks are told. A row that cannot be used is told and
    stops no other; repeating a file changes nothing, and an empty cell undoes nothing.

    Raises UsageError `bad_worklist`, `xlsx_missing`.
    """
    store = agencies.store_of(context)
    filled, unread = _filled(path)
    with context.database.transaction():
        imported, told = _import(context, store, path, filled, dry_run=dry_run)
        if not dry_run:
            for _what, row in told:
                agencies.remember(context, store, row)
    if not dry_run:
        for what, row in told:
            agencies.tell_hooks(context, what, agencies.views_of(context, store, [row])[0])
    return replace(imported, sheets=unread)


def _import(
    context: Context, store: Registrations, path: Path, filled: list[Filled], *, dry_run: bool
) -> tuple[Imported, list[tuple[str, Registration]]]:
    """What came of each row, and each step for the hooks. The caller holds the transaction."""
    rows = {agencies.key(row): row for row in store.list(superseded=True)}
    current = {agencies.key(row) for row in store.list()}
    known = all_agencies(store)
    changed: list[Registration] = []
    updated: list[tuple[str, Registration]] = []  # beside where the row stands
    told: list[tuple[str, Registration]] = []
    errors: list[SafetokError] = []
    warnings: list[str] = []
    unchanged = 0
    for one in filled:
        where = _("Row {number}").format(number=one.number)
        try:
            row = _row_of(one, rows)
            where = f"{where}, {_company(context, row)}, {known[row.agency].title}"
            steps = _steps(context, one, row, known[row.agency])
        except UsageError as error:
            errors.append(_of_sheet(error, where))
            continue
        lost = _not_kept(context, one, row)
        warnings += [f"{where}: {text}" for text in lost]
        if not steps:
            unchanged += not lost
            continue
        if agencies.key(row) not in current:
            text = _("recorded for serial {serial}, which a newer one has replaced: that one must be updated there too")
            warnings.append(f"{where}: {text.format(serial=row.certificate)}")
        for what, moved in steps:
            warnings += [f"{where}: {text}" for text in (moved.warning, moved.replaced) if text]
            if not dry_run:
                store.change(rows[agencies.key(row)], moved.registration, now=context.now(), what=what)
            rows[agencies.key(row)] = moved.registration
            told.append((what, moved.registration))
        changed.append(rows[agencies.key(row)])
        updated += [(where, rows[agencies.key(row)])] if any(what == "done" for what, _moved in steps) else []
    views, _certificates = agencies.views_of(context, store, changed)
    ended = {agencies.key(view.registration) for view in views if view.standing in {"expired", "revoked"}}
    warnings += [f"{where}: {agencies.of_no_use(row)}" for where, row in updated if agencies.key(row) in ended]
    imported = Imported(
        now=context.now(),
        file=str(path),
        views=views,
        unchanged=unchanged,
        errors=tuple(errors),
        warnings=tuple(warnings),
        dry_run=dry_run,
    )
    return imported, told


def _filled(path: Path) -> tuple[list[Filled], tuple[str, ...]]:
    """The rows that staff filled in, and the workbook's other sheets."""
    from safetok.reports import worklist
    from safetok.workflows import sheets

    try:
        sheet = sheets.read(path)
    except UsageError as error:
        if error.code == "xlsx_missing":
            raise
        raise UsageError(error.message, code="bad_worklist", hint=error.hint) from error
    try:
        return list(worklist.filled(sheet.cells, sheet.epoch)), sheet.unread
    except ValueError as error:
        raise UsageError(
            _("{file} is not a worklist of safetok: the first, hidden row is missing.").format(file=path.name),
            code="bad_worklist",
            hint=sheets.in_first_sheet(sheet, _("Fill in the file that `safetok agencies list --xlsx FILE` made.")),
        ) from error


def _company(context: Context, row: Registration) -> str:
    certificate = agencies.certificate_of(context, row)
    return certificate.subject_name if certificate else row.mst or row.certificate


def _of_sheet(error: UsageError, where: str) -> UsageError:
    """A refusal as whoever filled the sheet in reads it: its row and column, and what to write there."""
    from safetok.reports import worklist

    if column := _COLUMN.get(error.code):
        title = next(title for name, title, _width in worklist.COLUMNS if name == column)
        where = _("{where}, column {column}").format(where=where, column=_(title))
    error.message = f"{where}: {error.message}"
    if error.code in {"bad_time", "future_time", "before_issue"}:
        error.hint = _("Write it as 23/11/2026 16:05, in Vietnamese time.")
    elif error.code == "not_updated":
        error.hint = _("Fill in when the update was made, in the same row.")
    return error


def _not_kept(context: Context, one: Filled, row: Registration) -> list[str]:
    """What is to be said of cells that nothing holds: a note that is no reason of a refusal, a time beside "not used"."""
    result, at = _result(one.result), None
    found = []
    if one.note and result is not RegistrationState.REJECTED and one.note != _as_written(row.reason):
        found.append(_("the note is not kept, only that of a refusal is: {note}").format(note=one.note[:200]))
    if result is RegistrationState.UNUSED:
        with suppress(UsageError):  # "-" or "không" is no time
            at = _moment(context, one)
    if at is not None and not _recorded_then(row, at):
        text = _("it says not used, so the update at {at} is not recorded; was it made, leave the result empty")
        found.append(text.format(at=show_instant(at)))
    return found


def _moment(context: Context, one: Filled) -> datetime | None:
    return moves.parse_at(one.done_at, context.now()) if isinstance(one.done_at, str) else one.done_at


def _recorded_then(row: Registration, at: datetime) -> bool:
    """Whether its update is recorded for that minute: no more is shown."""
    return row.updated_at is not None and abs((at - row.updated_at).total_seconds()) < 60  # noqa: PLR2004


def _row_of(one: Filled, rows: dict[tuple[str, str], Registration]) -> Registration:
    if row := rows.get((one.key.lower(), one.agency)):
        return row
    found = [row for row in rows.values() if row.certificate == one.serial.upper() and row.agency == one.agency]
    if len(found) != 1:
        raise UsageError(
            _("{agency} and serial {serial} are not in the list of safetok.").format(
                agency=one.agency[:40], serial=one.serial[:60]
            ),
            code="no_such_registration",
        )
    return found[0]


def _steps(context: Context, one: Filled, row: Registration, agency: Agency) -> list[tuple[str, moves.Moved]]:
    """What the filled-in cells say beyond what is recorded, in order; nothing where they say what is known."""
    now = context.now()
    steps: list[tuple[str, moves.Moved]] = []
    result = _result(one.result)
    certificate = agencies.certificate_of(context, row)
    if result is RegistrationState.UNUSED:
        return [("skip", moves.skipped(row))] if row.state is not RegistrationState.UNUSED else []
    at = _moment(context, one)
    if at is not None and not _recorded_then(row, at):
        rule = rule_of(context, agency, certificate)
        if result is None:
            _not_settled(row, at)
            if rule.to_the_hour and vietnamese_time(at).time() == time():  # what a cell makes of a day alone
                raise UsageError(
                    _("{day} has no time of day, from which the wait here is counted.").format(day=show_date(at)),
                    code="bad_time",
                )
        moved = moves.done(
            row,
            agency,
            at=at,
            now=now,
            issued_at=certificate.not_before if certificate else None,
            rule=rule,
            calendar=working(context),
        )
        if row.state is RegistrationState.ACCEPTED and row.updated_at is not None:
            text = _("the time of the update changes from {before} to {at}").format(
                before=show_instant(row.updated_at), at=show_instant(at)
            )
            text = ". ".join(one for one in (moved.warning, text) if one)
            moved = replace(moved, warning=text, replaced="")
        steps.append(("done", moved))
        row = moved.registration
    if result is RegistrationState.ACCEPTED and row.state is not result:
        steps.append(("accepted", moves.accepted(row, now=now)))
    elif result is RegistrationState.REJECTED and (
        row.state is not result or (one.note and _as_written(row.reason) != one.note)
    ):
        steps.append(("reject", moves.rejected(row, reason=one.note)))
    return steps


def _not_settled(row: Registration, at: datetime) -> None:
    """Raise UsageError where another time beside an empty result would undo what an agency said: its acceptance, or its refusal of
    that or a later update (`settled_already`); or would end a wait sooner, as a sheet from before does (`later_update`).
    """
    from safetok.reports import worklist

    last = max((row.updated_at or at, *(made for _part, made in row.parts)))
    if at < last and row.state not in {RegistrationState.ACCEPTED, RegistrationState.REJECTED}:
        raise UsageError(
            _("a later update, at {last}, is recorded; the earlier time ({at}) does not take its place.").format(
                last=show_instant(last), at=show_instant(at)
            ),
            code="later_update",
            hint=_(
                "Was the later one not made, take it back first: safetok agencies undo {agency} --cert {serial}"
            ).format(agency=row.agency, serial=row.certificate),
        )
    refused = row.state is RegistrationState.REJECTED and row.updated_at is not None and at < row.updated_at
    if row.state is RegistrationState.ACCEPTED or refused:
        raise UsageError(
            _("recorded as {result}; another time alone ({at}) does not undo that.").format(
                result=_(worklist.RESULTS[row.state.value]), at=show_instant(at)
            ),
            code="settled_already",
            hint=_(
                "Fill in the result too; or take it back first: safetok agencies undo {agency} --cert {serial}"
            ).format(agency=row.agency, serial=row.certificate),
        )


def _as_written(reason: str) -> str:
    """A reason as it stands in a worklist: controls written out, on one line, as it comes back from there."""
    from safetok.reports.fields import plain_line

    return " ".join(plain_line(reason).split())


def _result(text: str) -> RegistrationState | None:
    if not text.strip():
        return None
    words = letters(text).replace("-", " ")
    if words not in _RESULTS:
        raise UsageError(
            _("{text} is no result: leave it empty, or write accepted, rejected or unused.").format(text=text[:40]),
            code="bad_result",
        )
    return _RESULTS[words]
