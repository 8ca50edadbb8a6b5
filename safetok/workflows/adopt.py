"""A certificate that came by other means is taken over: its registrations open as after a renewal, the old one stays known."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from safetok.errors import PersonNeeded
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows import known
from safetok.workflows.known import Selection

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate
    from safetok.errors import SafetokError
    from safetok.workflows.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Appeared:
    """A new certificate and the one it seems to follow. `asked`: a person must say that it does."""

    new: Certificate
    old: Certificate
    token_serial: str
    replaced_token: str | None  # where the old one is or was, when that is another token
    asked: bool
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """One certificate taken over, or not (`opened` is False: the person said no)."""

    new: Certificate
    old: Certificate | None
    token_serial: str
    opened: bool
    agencies_open: int

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "token": self.token_serial,
            "mst": self.new.mst,
            "old_serial": self.old.serial if self.old else None,
            "new_serial": self.new.serial,
            "not_after": self.new.not_after,
            "adopted": self.opened,
            "agencies_open": self.agencies_open,
        }


def appeared(context: Context, selection: Selection | None = None, *, only: str | None = None) -> tuple[Appeared, ...]:
    """What waits to be taken over, the oldest first, or the certificate of the SHA-256 `only`; opens no driver."""
    from safetok.domain.agencies import over
    from safetok.store.answers import Answers
    from safetok.store.appearances import Appearances
    from safetok.store.inventory import Inventory

    inventory = Inventory(context.database)
    wanted = (
        {one.certificate.sha256 for one in known.kept(context, selection)}
        if selection is not None and not selection.empty
        else None
    )
    found, now = [], context.now()
    waiting = Appearances(context.database).waiting(sha256=only)
    heard = Answers(context.database).revocations(one.sha256 for one in waiting)
    for one in waiting:
        new = inventory.certificate(one.sha256)
        old = inventory.certificate(one.replaces) if one.replaces else None
        if new is None or old is None or (wanted is not None and one.sha256 not in wanted):
            continue
        if over(new, heard.get(one.sha256), now):  # no agency need learn of it any more
            continue
        found.append(
            Appeared(
                new=new,
                old=old,
                token_serial=one.token_serial,
                replaced_token=one.replaced_token,
                asked=one.asked,
                seen_at=one.seen_at,
            )
        )
    return tuple(found)


def adopt(context: Context, found: Appeared) -> int:
    """Open its registrations and remember that it was taken over, in one commit; returns how many agencies wait for a person.
    Repeating it changes nothing.
    """
    return open_agencies(context, found.new, found.old, found.token_serial)


def not_opened(context: Context, selection: Selection | None = None) -> tuple[Certificate, ...]:
    """Certificates in use whose list of agencies a person said not to open, the first said first; opens no driver."""
    from safetok.domain.agencies import over
    from safetok.store.answers import Answers
    from safetok.store.appearances import Appearances
    from safetok.store.inventory import Inventory
    from safetok.workflows.succession import successor

    refused = Appearances(context.database).dismissed()
    if not refused:
        return ()
    wanted = (
        {one.certificate.sha256 for one in known.kept(context, selection)}
        if selection is not None and not selection.empty
        else {*refused}
    )
    certificates, now = Inventory(context.database).known(refused), context.now()
    heard = Answers(context.database).revocations(refused)
    return tuple(
        one
        for one in (certificates[sha256] for sha256 in refused if sha256 in certificates and sha256 in wanted)
        if not over(one, heard.get(one.sha256), now) and successor(context, one) is None
    )


def dismiss(context: Context, found: Appeared) -> None:
    """A person said no: it is not asked about again, only named as one whose list was not opened."""
    from safetok.store.appearances import Appearances

    Appearances(context.database).settle(found.new.sha256, "dismissed", context.now(), token_serial=found.token_serial)


def adopt_all(
    context: Context, selection: Selection, *, yes: bool = False, unanswered: list[SafetokError] | None = None
) -> tuple[Adopted, ...]:
    """`certs adopt`: everything that appeared and fits, each with the person's yes (`yes` gives it beforehand).

    One that seems to replace another token's is taken over with `yes` when it was named, never by a bare `--yes`: whether a new
    token replaces an old one is for a person to say. A certificate named with `cert` or `serial` is taken over although it did
    not appear (it was there at safetok's first look).
    One that needs an answer, where nobody is there, stops no other: it is left waiting, and its PersonNeeded
    (`adoption_unconfirmed`) goes to `unanswered`. Raises the first of these where nothing was taken over, and for a certificate
    named that no agency should learn what `succession.check_in_use` raises.
    """
    chosen = appeared(context, selection)
    if not chosen and (selection.cert or selection.serial):
        return _named(context, selection)
    done: list[Adopted] = []
    asked: list[SafetokError] = []
    for one in chosen:
        try:
            opened = _agreed(context, one, yes=yes and (one.replaced_token is None or not selection.empty))
        except PersonNeeded as error:
            asked.append(error)
            continue
        count = adopt(context, one) if opened else 0
        if not opened:
            dismiss(context, one)
        done.append(
            Adopted(new=one.new, old=one.old, token_serial=one.token_serial, opened=opened, agencies_open=count)
        )
    if asked and not done:
        raise asked[0]
    if unanswered is not None:
        unanswered += asked
    return tuple(done)


def question(found: Appeared) -> str:
    """What a person is asked about it."""
    from safetok.domain.times import show_date

    values = {
        "name": found.new.subject_name,
        "old": found.old.serial,
        "new": found.new.serial,
        "day": show_date(found.new.not_after),
        "token": found.token_serial,
        "before": found.replaced_token or "",
    }
    if found.replaced_token:
        return _(
            "New certificate of {name} seen on Token ID {token}: serial {new}, valid to {day}. "
            "Does it replace serial {old} on Token ID {before}, and shall the list of agencies to update be opened?"
        ).format(**values)
    return _(
        "New certificate of {name} seen: serial {old} -> {new}, valid to {day}. Open the list of agencies to update?"
    ).format(**values)


def _agreed(context: Context, found: Appeared, *, yes: bool) -> bool:
    if yes:
        return True
    asked = question(found)
    if not context.prompter.interactive:
        raise PersonNeeded(
            asked,
            code="adoption_unconfirmed",
            hint=_("Say so with: safetok certs adopt --cert {serial} --yes").format(serial=found.new.serial),
            token=found.token_serial,
            data={"new_serial": found.new.serial, "old_serial": found.old.serial, "asked": found.asked},
        )
    return context.prompter.confirm(asked, default=found.replaced_token is None)


def _named(context: Context, selection: Selection) -> tuple[Adopted, ...]:
    """The current certificate of what was named; the one it follows is looked for on the same token only. Raises what
    `check_in_use` does: an old, expired or revoked one is nothing that agencies must learn.
    """
    from safetok.domain.certificates import current
    from safetok.domain.companies import company_of
    from safetok.store.inventory import Inventory
    from safetok.workflows.succession import before, check_in_use

    kept = known.kept(context, selection)
    new = current(one.certificate for one in kept)
    if new is None:
        return ()
    check_in_use(context, new)
    token = next((one.token_serial for one in kept if one.certificate.sha256 == new.sha256), "")
    here = [one.certificate for one in Inventory(context.database).certificates(token)] if token else []
    old = before(context, [one for one in here if company_of(one) == company_of(new) and not one.is_ca], new)
    return (
        Adopted(
            new=new, old=old, token_serial=token, opened=True, agencies_open=open_agencies(context, new, old, token)
        ),
    )


def open_agencies(context: Context, new: Certificate, old: Certificate | None, token_serial: str) -> int:
    """Open a certificate's registrations in place of the old one's; returns how many wait for a person. Repeatable."""
    from safetok.domain.agencies import RegistrationState
    from safetok.knowledge import load
    from safetok.store.inventory import Inventory
    from safetok.store.registrations import Registrations
    from safetok.workflows.hooks import tell

    store, now = Registrations(context.database), context.now()
    with context.database.transaction():
        rows = store.open_for(
            new, (*load.agencies(), *store.agencies_added()), now, replaces=old.sha256 if old else None
        )
        Inventory(context.database).mark_adopted(new.sha256, now, token_serial=token_serial)
    waiting = sum(row.state is RegistrationState.OPEN for row in rows)
    adopted = Adopted(new=new, old=old, token_serial=token_serial, opened=True, agencies_open=waiting)
    tell(context, "adopted", new.sha256, adopted.data())
    return waiting
