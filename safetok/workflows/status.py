"""One look at everything: tokens, certificates, what is due, agencies, timers; no network and no login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from safetok.domain.agencies import Standing, is_24h, standing
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.times import show_instant
from safetok.domain.validity import Validity
from safetok.errors import NotChecked, SafetokError
from safetok.locale import _
from safetok.workflows import tokens as token_views
from safetok.workflows.due import Due, due

if TYPE_CHECKING:
    from safetok.domain.agencies import Registration
    from safetok.domain.renewal import Renewal
    from safetok.domain.tokens import DriverFailure, Reading
    from safetok.workflows.adopt import Appeared
    from safetok.workflows.context import Context
    from safetok.workflows.tokens import TokenView


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationView:
    """One certificate at one agency, with the agency's title, the company's name and where it stands now."""

    registration: Registration
    title: str
    name: str
    standing: Standing
    parts: tuple[tuple[str, str], ...] = ()  # the agency's services that are updated one by one: short name and title

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        row = self.registration
        return {
            "agency": row.agency,
            "mst": row.mst,
            "cert": row.certificate,
            "state": self.standing,
            "updated_at": row.updated_at,
            "until": row.until,
            "title": self.title,
            "name": self.name,
            "reason": row.reason,
            "parts": [{"part": part, "updated_at": at} for part, at in row.parts],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything `status` shows, and what could not be looked at (`problems`). `names` are companies by certificate serial."""

    now: datetime
    reading: Reading
    tokens: tuple[TokenView, ...]
    registrations: tuple[RegistrationView, ...]
    appeared: tuple[Appeared, ...]
    unfinished: tuple[Renewal, ...]
    names: Mapping[str, str]
    problems: tuple[SafetokError, ...]
    due: tuple[Due, ...] = field(default=())

    @property
    def timers(self) -> tuple[RegistrationView, ...]:
        """The 24 hours that are running."""
        return tuple(view for view in self.registrations if view.standing == "waiting")

    @property
    def failed(self) -> tuple[DriverFailure, ...]:
        return self.reading.failed

    def checked(self) -> list[SafetokError]:
        """What `--check` finds, beside `problems`: everything due, and certificates whose revocation could not be checked."""
        found = [one.error() for one in self.due]
        for token in self.tokens:
            for view in token.certificates:
                known = view.revocation
                if view.state is Validity.EXPIRED or not view.current or known is None:
                    continue  # nobody answers for an expired one; one never asked about says so itself
                if known.answer is RevocationAnswer.UNKNOWN:
                    text = _("The revocation of {serial} could not be checked ({why}); do not take it as good.")
                    found.append(
                        NotChecked(
                            text.format(serial=view.certificate.serial, why=known.reason), token=token.info.serial
                        )
                    )
        return found

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "tokens": [token.data() for token in self.tokens],
            "registrations": [view.data() for view in self.registrations],
            "timers": [{key: value for key, value in view.data().items() if key in _TIMER} for view in self.timers],
            "drivers_failed": [
                {"driver": failure.driver, "code": failure.code, "detail": failure.detail} for failure in self.failed
            ],
            "due": [one.data() for one in self.due],
            "new_certificates": [
                {
                    "cert": one.new.serial,
                    "replaces": one.old.serial,
                    "mst": one.new.mst,
                    "token": one.token_serial,
                    "asked": one.asked,
                    "seen_at": one.seen_at,
                }
                for one in self.appeared
            ],
            "renewals": [
                {
                    "renewal_id": renewal.id,
                    "token": renewal.token_serial,
                    "old_serial": renewal.old_serial,
                    "mst": renewal.mst,
                    "state": renewal.state,
                    "hold": renewal.hold,
                    "check_after": renewal.check_after,
                    "updated_at": renewal.updated_at,
                }
                for renewal in self.unfinished
            ],
        }


_TIMER = ("agency", "mst", "cert", "updated_at", "until")


def status(context: Context, *, refresh: bool = False) -> Status:
    """One look. With `refresh` the CA and its revocation services are asked first; what could not be asked is in `problems`."""
    reading = token_views.look(context)
    problems = token_views.problems(reading)
    if refresh:
        from safetok.workflows.refresh import refresh as ask

        context.prompter.say(_("Asking the CAs about offers and revocation…"))
        problems += ask(context)
    return told(context, reading, problems)


def told(context: Context, reading: Reading, problems: list[SafetokError]) -> Status:
    """What the store and a reading say together."""
    from safetok.store.inventory import Inventory
    from safetok.store.journal import Journal

    inventory = Inventory(context.database)
    unfinished = tuple(Journal(context.database).unfinished())
    found = Status(
        now=context.now(),
        reading=reading,
        tokens=token_views.views(context, reading),
        registrations=registrations(context),
        appeared=_appeared(context),
        unfinished=unfinished,
        names={r.old_serial: inventory.parse(r.old_certificate).subject_name for r in unfinished if r.old_certificate},
        problems=tuple(problems),
    )
    return replace(found, due=(*_dossiers_due(context), *due(found)))


def _dossiers_due(context: Context) -> tuple[Due, ...]:
    """What open dossiers ask for; most people have none, and pay nothing for it."""
    from safetok.store.dossiers import Dossiers

    if not Dossiers(context.database).list():
        return ()
    from safetok.workflows import dossier_deadlines

    return dossier_deadlines.due(context)


def _appeared(context: Context) -> tuple[Appeared, ...]:
    from safetok.store.appearances import Appearances

    if not Appearances(context.database).waiting():
        return ()
    from safetok.workflows.adopt import appeared

    return appeared(context)


def registrations(context: Context) -> tuple[RegistrationView, ...]:
    """Every registration of a certificate in use, in the order opened."""
    from safetok.store.registrations import Registrations

    store = Registrations(context.database)
    rows = store.list()
    if not rows:
        return ()
    from safetok.knowledge import load
    from safetok.store.inventory import Inventory

    titles = {agency.name: agency.title for agency in (*load.agencies(), *store.agencies_added())}
    inventory, names, now = Inventory(context.database), dict[str, str](), context.now()
    for row in rows:
        if row.certificate_sha256 not in names:
            known = inventory.certificate(row.certificate_sha256)
            names[row.certificate_sha256] = known.subject_name if known else row.mst or row.certificate
    return tuple(
        RegistrationView(
            registration=row,
            title=titles.get(row.agency, row.agency),
            name=names[row.certificate_sha256],
            standing=standing(row, now),
        )
        for row in rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """Where things stand in one sentence, and the one command to go on with."""

    state: str  # a stable word: the code of what is due, or no_token, waiting, nothing_due
    text: str
    command: str
    more: int = 0  # further things that are due

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {"state": self.state, "message": self.text, "command": self.command, "more": self.more}


def next_step(found: Status) -> Next:
    """One state and one next command."""
    if found.due:
        first = found.due[0]
        return Next(state=first.code, text=first.text, command=first.command, more=len(found.due) - 1)
    if found.problems and (not found.tokens or found.failed):
        problem = found.problems[0]
        command = "safetok tokens" if found.failed else "safetok tokens --wait 60"
        return Next(state=problem.code, text=problem.message, command=command)
    if found.timers:
        timer = min(found.timers, key=lambda view: view.registration.until or found.now)
        until = show_instant(timer.registration.until) if timer.registration.until else ""
        text = (
            _("{agency}, {name}: waiting for the 24h00 until {until}.")
            if is_24h(timer.registration)
            else _("{agency}, {name}: waiting until {until}.")
        )
        return Next(
            state="waiting",
            text=text.format(agency=timer.title, name=timer.name, until=until),
            command="safetok agencies remind",
        )
    empty = next((token for token in found.tokens if not token.certificates), None)
    if empty is not None and len(found.tokens) == 1:
        text = _(
            "The USB token {serial} holds no certificate. If it has just come from LCS, that is normal: do not type a PIN."
        )
        return Next(
            state="no_certificate", text=text.format(serial=empty.info.serial), command="safetok dossier token-received"
        )
    soonest = min(
        (view for token in found.tokens for view in token.certificates if view.current),
        key=lambda view: view.certificate.not_after,
        default=None,
    )
    text = _("Nothing is due.")
    if soonest is not None:
        text = _("Nothing is due. The certificate of {name} has {count} days left.").format(
            name=soonest.certificate.subject_name, count=soonest.days_left
        )
    return Next(state="nothing_due", text=text, command="safetok status")
