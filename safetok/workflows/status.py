"""One look at everything: tokens, certificates, what is due, agencies, timers; no network and no login."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from safetok.domain.agencies import is_24h, over, standing
from safetok.domain.times import show_instant
from safetok.errors import SafetokError, Unexpected
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows import tokens as token_views
from safetok.workflows.due import due
from safetok.workflows.overview import RegistrationView, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safetok.domain.certificates import Certificate
    from safetok.domain.tokens import Reading
    from safetok.workflows.adopt import Appeared
    from safetok.workflows.context import Context
    from safetok.workflows.overview import Due
    from safetok.workflows.tokens import TokenView


def status(context: Context, *, refresh: bool = False) -> Status:
    """One look. With `refresh` the CA and its revocation services are asked first; what could not be asked is in `problems`.

    On a full disk nothing of the look is kept: it is shown all the same, and that is a problem among the others.
    """
    try:
        return _look(context, refresh=refresh)
    except Unexpected as error:
        if error.code != "state_disk_full":
            raise
        context.only_read()
        found = _look(context, refresh=False)
        return replace(found, problems=(*found.problems, error))


def _look(context: Context, *, refresh: bool) -> Status:
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
    under_way = frozenset[str]()
    if unfinished:
        from safetok.workflows.renew import alone

        under_way = frozenset(renewal.id for renewal in unfinished if alone.under_way(context, renewal))
    found = Status(
        now=context.now(),
        reading=reading,
        tokens=token_views.views(context, reading),
        registrations=registrations(context),
        appeared=_appeared(context),
        not_opened=_not_opened(context),
        unfinished=unfinished,
        under_way=under_way,
        names={r.old_serial: inventory.parse(r.old_certificate).subject_name for r in unfinished if r.old_certificate},
        problems=tuple(problems),
    )
    return replace(found, due=(*_dossiers_due(context), *due(found)), token_came=_token_came(context, found.tokens))


def _dossiers_due(context: Context) -> tuple[Due, ...]:
    """What open dossiers ask for; most people have none, and pay nothing for it."""
    from safetok.store.dossiers import Dossiers

    if not Dossiers(context.database).list():
        return ()
    from safetok.workflows import dossier_deadlines

    return dossier_deadlines.due(context)


def _token_came(context: Context, tokens: Sequence[TokenView]) -> str:
    if len(tokens) != 1 or not tokens[0].empty:
        return ""
    from safetok.workflows.dossier_choice import token_came

    return token_came(context, tokens[0].info.serial)


def _appeared(context: Context) -> tuple[Appeared, ...]:
    from safetok.store.appearances import Appearances

    if not Appearances(context.database).waiting():
        return ()
    from safetok.workflows.adopt import appeared

    return appeared(context)


def _not_opened(context: Context) -> tuple[Certificate, ...]:
    from safetok.store.appearances import Appearances

    if not Appearances(context.database).dismissed():
        return ()
    from safetok.workflows.adopt import not_opened

    return not_opened(context)


def registrations(context: Context) -> tuple[RegistrationView, ...]:
    """Every registration of a certificate in use, in the order opened."""
    from safetok.store.registrations import Registrations

    store = Registrations(context.database)
    rows = store.list()
    if not rows:
        return ()
    from safetok.knowledge import load
    from safetok.store.answers import Answers
    from safetok.store.inventory import Inventory

    titles = {agency.name: agency.title for agency in (*load.agencies(), *store.agencies_added())}
    hashes, now = {row.certificate_sha256 for row in rows}, context.now()
    known, heard = Inventory(context.database).known(hashes), Answers(context.database).revocations(hashes)
    ended = {sha256: over(known.get(sha256), heard.get(sha256), now) for sha256 in hashes}
    return tuple(
        RegistrationView(
            registration=row,
            title=titles.get(row.agency, row.agency),
            name=known[row.certificate_sha256].subject_name
            if row.certificate_sha256 in known
            else row.mst or row.certificate,
            standing=standing(row, now, ended[row.certificate_sha256]),
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
        from safetok.workflows.due_groups import grouped

        first = grouped(found.due)[0]
        return Next(state=first.code, text=first.text, command=first.command, more=len(found.due) - first.count)
    if found.problems and (not found.tokens or any(failure.named for failure in found.failed)):
        problem = found.problems[0]
        command = "safetok doctor" if found.failed or problem.code == "no_driver" else "safetok tokens --wait 60"
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
    empty = next((token for token in found.tokens if token.empty), None)
    if empty is not None and len(found.tokens) == 1:
        text = _(
            "The USB token {serial} holds no certificate. If it has just come from LCS, that is normal: do not type a PIN."
        )
        return Next(state="no_certificate", text=text.format(serial=empty.info.serial), command=found.token_came)
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
