"""Reminders that reach people where they look: a calendar file, a desktop notification, and how to have them come by themselves."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.errors import UsageError
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate
    from safetok.reports.calendar import Entry
    from safetok.workflows.agencies import Listing
    from safetok.workflows.context import Context
    from safetok.workflows.overview import RegistrationView

LINES = 8  # of a notification
PATIENCE = 5.0  # seconds for the session bus
REMIND_AT = ("08:30", "13:30")  # when the printed units look, Vietnamese office days


def write_calendar(context: Context, listing: Listing, path: Path) -> Path:
    """Write the calendar of a listing and of open dossiers to `path`, in place of an older one.

    Raises UsageError `file_exists` (anything else is there), `not_a_file`, `file_not_written`.
    """
    from safetok.reports import calendar
    from safetok.reports.files import write_file
    from safetok.workflows.replacing import is_calendar, refuse_to_replace

    refuse_to_replace(path, _("Name another file."), unless=is_calendar)
    return write_file(path, calendar.write(entries(context, listing), context.now()))


def entries(context: Context, listing: Listing) -> list[Entry]:
    """A to-do for each agency of each company, an event for each wait, and each dossier's deadline."""
    from safetok.workflows.dossier_deadlines import calendar_entries

    return agency_entries(context, listing) + replaced_entries(context, listing) + calendar_entries(context)


def agency_entries(context: Context, listing: Listing) -> list[Entry]:
    """What a listing alone gives: a to-do for each agency, an event for each wait."""
    return [entry for _view, entry in _entries_of(context, listing.views, listing.certificates)]


def replaced_entries(context: Context, listing: Listing) -> list[Entry]:
    """What an earlier file may have put into a calendar for a certificate of these companies that another has replaced since:
    done where it was accepted, else taken away.
    """
    from safetok.domain.agencies import RegistrationState
    from safetok.domain.companies import company_of
    from safetok.store.registrations import Registrations
    from safetok.workflows.agencies import key, views_of

    store = Registrations(context.database)
    listed = {key(row) for row in store.list()} | {key(view.registration) for view in listing.views}
    rows = [row for row in store.list(superseded=True) if key(row) not in listed]
    views, certificates = views_of(context, store, rows)
    companies = {company_of(one) for one in listing.certificates.values()}
    theirs = {sha256 for sha256, one in certificates.items() if company_of(one) in companies}
    found: list[Entry] = []
    for view, entry in _entries_of(
        context, [one for one in views if one.registration.certificate_sha256 in theirs], certificates
    ):
        accepted = view.registration.state is RegistrationState.ACCEPTED
        standing = entry.standing if accepted else "cancelled"
        found.append(dataclasses.replace(entry, standing=standing, sequence=entry.sequence + 1))
    return found


def _entries_of(
    context: Context, views: Iterable[RegistrationView], certificates: Mapping[str, Certificate]
) -> Iterator[tuple[RegistrationView, Entry]]:
    """Each row's entries beside it; `certificates` by SHA-256."""
    from safetok.store.registrations import Registrations
    from safetok.workflows.agency_names import all_agencies
    from safetok.workflows.agency_rules import rule_of

    store = Registrations(context.database)
    acts, agencies = store.acts(), all_agencies(store)
    for view in views:
        row = view.registration
        changes, last = acts.get((row.certificate_sha256, row.agency), (0, row.opened_at))
        agency, certificate = agencies.get(row.agency), certificates.get(row.certificate_sha256)
        waits = agency is not None and rule_of(context, agency, certificate).waits
        for entry in _entries(view, changes, last, waits=waits):
            yield view, entry


def _entries(view: RegistrationView, changes: int, last: datetime, *, waits: bool) -> list[Entry]:
    """One row's to-do, and the end of its wait, or where that agency `waits` and the update was taken back its cancelling."""
    from safetok.knowledge import load
    from safetok.reports.calendar import Entry

    row = view.registration
    who = f"{view.name} (MST {row.mst})" if row.mst else view.name
    ended = view.standing in {"expired", "revoked"}  # one imported before goes out of the calendar
    said = [who, _("New serial {serial}").format(serial=row.certificate)]
    steps = [f"{number}. {step.text}" for number, step in enumerate(load.agency_steps(row.agency), 1)]
    found = []
    if view.standing != "unused" or changes:
        to_do = view.standing in {"open", "rejected"}
        found.append(
            Entry(
                uid=_uid(row.certificate_sha256, row.agency, "todo"),
                kind="todo",
                at=row.opened_at + timedelta(days=1) if not row.updated_at else row.updated_at,
                title=_("Update the certificate at {agency}: {name}").format(agency=view.title, name=view.name),
                lines=(*said, *steps),
                changed=last,
                sequence=changes + ended,
                standing="open" if to_do else "cancelled" if ended or view.standing == "unused" else "done",
            )
        )
    if row.until is not None:
        over = view.standing in {"accepted", "rejected"}
        found.append(
            Entry(
                uid=_uid(row.certificate_sha256, row.agency, "wait"),
                kind="event",
                at=row.until,
                title=_("The wait is over, check at {agency}: {name}").format(agency=view.title, name=view.name),
                lines=(*said, _("Then: safetok agencies accepted {agency}").format(agency=row.agency)),
                changed=last,
                sequence=changes + ended,
                standing="cancelled" if ended else "done" if over else "open",
            )
        )
    elif waits and changes and view.standing in {"open", "unused"}:  # one imported before may stand in a calendar
        found.append(
            Entry(
                uid=_uid(row.certificate_sha256, row.agency, "wait"),
                kind="event",
                at=last,
                title=_("Taken back: {agency}, {name}").format(agency=view.title, name=view.name),
                lines=tuple(said),
                changed=last,
                sequence=changes,
                standing="cancelled",
            )
        )
    return found


def _uid(*parts: str) -> str:
    """The same for the same thing, for ever, and nobody else's."""
    import uuid

    return f"{uuid.uuid5(uuid.NAMESPACE_URL, 'urn:safetok:' + '/'.join(parts))}@safetok"


def pressing(listing: Listing) -> list[str]:
    """One line for each company and kind of thing to do, what is most pressing first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for standing in ("due_check", "rejected", "open"):
        for view in listing.views:
            if view.standing == standing and (listing.overdue_after is None or listing.overdue(view)):
                groups.setdefault((standing, view.name), []).append(view.title)
    words = {
        "due_check": _("{name}: the wait is over, check at {agencies}"),
        "rejected": _("{name}: rejected by {agencies}"),
        "open": _("{name}: not yet updated at {agencies}"),
    }
    return [words[what].format(name=name, agencies=", ".join(titles)) for (what, name), titles in groups.items()]


def notify(context: Context, listing: Listing, environ: Mapping[str, str]) -> bool:
    """Show what is to do, and dossiers' deadlines, on the desktop; False when there is nothing to show.

    Raises UsageError `no_session_bus` where there is no desktop to show it on.
    """
    from safetok.workflows.dossier_deadlines import pressing as pressing_dossiers

    lines = [*pressing_dossiers(context), *pressing(listing)]
    if not lines:
        return False
    shown = lines[:LINES]
    if len(lines) > LINES:
        shown.append(_("and {count} more").format(count=len(lines) - LINES))
    _send(_("Certificates: {count} things to do").format(count=len(lines)), "\n".join(shown), environ)
    return True


def _send(title: str, text: str, environ: Mapping[str, str]) -> None:
    """One notification over the session bus (org.freedesktop.Notifications); its body is markup, so what is text is escaped."""
    from html import escape

    from safetok.reports.fields import plain_line

    hint = _("On Windows, macOS or a server use --ics, or the exit status of `safetok agencies remind --check`.")
    if not sys.platform.startswith("linux") or not environ.get("DBUS_SESSION_BUS_ADDRESS"):
        raise UsageError(_("There is no desktop session to notify: no session bus."), code="no_session_bus", hint=hint)
    from jeepney import DBusAddress, new_method_call
    from jeepney.io.blocking import open_dbus_connection

    address = DBusAddress(
        "/org/freedesktop/Notifications",
        bus_name="org.freedesktop.Notifications",
        interface="org.freedesktop.Notifications",
    )
    body = "\n".join(escape(plain_line(line), quote=False) for line in text.split("\n"))
    message = new_method_call(
        address, "Notify", "susssasa{sv}i", ("safetok", 0, "dialog-warning", title, body, [], {}, -1)
    )
    try:
        with open_dbus_connection(bus=environ["DBUS_SESSION_BUS_ADDRESS"]) as connection:
            reply = connection.send_and_get_reply(message, timeout=PATIENCE)
    except (OSError, ValueError, TimeoutError, RuntimeError) as error:
        raise UsageError(
            _("The desktop could not be notified: {why}.").format(why=error), code="no_session_bus", hint=hint
        ) from error
    if reply.header.message_type.name != "method_return":
        raise UsageError(
            _("The desktop could not be notified: {why}.").format(why=reply.body[0] if reply.body else "?"),
            code="no_session_bus",
            hint=hint,
        )


def tell_due(context: Context, listing: Listing) -> None:
    """Hooks learn of waits that are over and of dossiers' deadlines: once each, however often this runs."""
    from safetok.workflows.dossier_deadlines import tell_deadlines
    from safetok.workflows.hooks import tell

    for view in listing.views:
        row = view.registration
        if view.standing == "due_check" and row.until is not None:
            tell(context, "wait_over", f"{row.certificate_sha256}/{row.agency}/{row.until.isoformat()}", view.data())
    tell_deadlines(context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """How to have it run by itself: files for systemd (name and content), a cron line, a command for Windows."""

    command: str
    systemd: dict[str, str]
    cron: str
    windows: str

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {"command": self.command, "systemd": self.systemd, "cron": self.cron, "windows": self.windows}


def unit(environ: Mapping[str, str]) -> Unit:
    """Units that look twice a day, for this installation and this home: also at weekends, when 24 hours end and some work."""
    program = [sys.executable, "-m", "safetok"]
    looking = [*program, "agencies", "remind"]
    told = [*looking, "--notify", "--hooks", "--quiet"]
    mailed = [*looking, "--hooks", "--quiet"]  # cron mails what is printed
    home = environ.get("SAFETOK_HOME", "").strip()
    home = os.path.abspath(home) if home else ""  # noqa: PTH100  (resolve() would follow a link the user chose)
    kept = {"SAFETOK_HOME": home, "SAFETOK_LANG": environ.get("SAFETOK_LANG", "").strip()}
    kept = {name: value for name, value in kept.items() if value}
    env = "".join(f"Environment={_systemd(f'{name}={value}')}\n" for name, value in kept.items())
    service = (
        "[Unit]\nDescription=safetok: agencies and deadlines\n\n[Service]\nType=oneshot\n"
        f"{env}ExecStart={' '.join(_systemd(word).replace('$', '$$') for word in told)}\n"
    )
    times = "".join(f"OnCalendar=*-*-* {at}:00 {_zone()}\n" for at in REMIND_AT)
    timer = (
        f"[Unit]\nDescription=safetok: agencies and deadlines\n\n[Timer]\n{times}Persistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    prefix = "".join(f"{name}={shlex.quote(value)} " for name, value in kept.items())
    line = f"{prefix}{shlex.join(mailed)}".replace("%", r"\%")  # cron ends a command at a bare %
    window = " ".join(rf"\"{word}\"" if " " in word else word for word in looking)
    window = "".join(rf"set \"{name}={value}\"&& " for name, value in kept.items()) + window
    return Unit(
        command=shlex.join(told),
        systemd={"safetok-remind.service": service, "safetok-remind.timer": timer},
        cron=f"30 {','.join(str(int(at[:2])) for at in REMIND_AT)} * * * {line}",
        windows=f'schtasks /Create /TN "safetok remind" /SC DAILY /ST {REMIND_AT[0]} /TR "cmd /k {window}"',
    )


def _zone() -> str:
    from safetok.reports.calendar import ZONE

    return ZONE


def _systemd(word: str) -> str:
    """One word of a unit file: specifiers and quotes mean themselves."""
    safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{safe}"' if any(c in safe for c in " \t'\"") else safe
