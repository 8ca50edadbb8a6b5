"""What happened: each renewal's way, state by state, with its times, what it waited for and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetok.domain.renewal import Route, State
from safetok.domain.times import rfc3339
from safetok.errors import SafetokError, UsageError
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.domain.renewal import Renewal
    from safetok.store.inventory import Inventory
    from safetok.store.journal import Event, Journal
    from safetok.workflows.context import Context

SHOWN = 20  # without --limit or --all


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One renewal and its way; `new_serial` is empty while there is no certificate."""

    renewal: Renewal
    name: str
    new_serial: str
    way: tuple[Event, ...]

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        renewal = self.renewal
        return {
            "renewal_id": renewal.id,
            "token": renewal.token_serial,
            "name": self.name,
            "mst": renewal.mst,
            "authority": renewal.authority,
            "old_serial": renewal.old_serial,
            "new_serial": self.new_serial or None,
            "contract_end": renewal.contract_end,
            "state": renewal.state,
            "hold": renewal.hold,
            "reason": "" if renewal.state is State.DONE else renewal.reason,  # a hold's outlives it
            "finished": renewal.finished,
            "created_at": rfc3339(renewal.created_at),
            "updated_at": rfc3339(renewal.updated_at),
            "way": [
                {"at": rfc3339(event.at), "state": event.state, "hold": event.hold, "reason": event.reason}
                for event in self.way
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The newest first. `whole`: whether nothing older was left out; `one`: it was asked for by its id; `of_all`: no token or
    company was named.
    """

    renewals: tuple[Told, ...]
    whole: bool
    one: bool = False
    of_all: bool = True

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {"renewals": [told.data() for told in self.renewals], "whole": self.whole}


def history(
    context: Context, *, identity: str | None, serial: str | None, mst: str | None, limit: int | None
) -> History:
    """The renewals that fit, at most `limit` (None: all of them), or the one of that id. Opens no driver.

    Raises UsageError (`no_such_renewal`).
    """
    from safetok.store.inventory import Inventory
    from safetok.store.journal import Journal

    journal, inventory = Journal(context.database), Inventory(context.database)
    if identity is not None:
        found = [_named(journal, identity)]
    else:
        found = journal.all(
            token_serial=serial.strip() if serial else None,
            mst=mst or None,
            limit=None if limit is None else limit + 1,
        )
    shown = found if limit is None else found[:limit]
    told = tuple(
        Told(
            renewal=renewal,
            name=_name(inventory, renewal.old_certificate) or renewal.old_serial,
            new_serial=_serial(inventory, renewal.certificate),
            way=tuple(journal.events(renewal.id)),
        )
        for renewal in shown
    )
    return History(renewals=told, whole=len(shown) == len(found), one=identity is not None, of_all=not (serial or mst))


def _named(journal: Journal, identity: str) -> Renewal:
    try:
        return journal.get(identity)
    except UsageError as error:
        error.hint = _("`safetok history` shows those there were, with their ids.")
        raise


def unfinished_remark(context: Context, about: set[str]) -> str:
    """One sentence on renewals that wait, for a command that was about something else; empty when there is none, or another run is
    at work on them.

    `about`: the ids of those that the command has spoken of itself.
    """
    from safetok.store.inventory import Inventory
    from safetok.store.journal import Journal
    from safetok.workflows.renew.alone import under_way

    unfinished = [one for one in Journal(context.database).unfinished() if one.id not in about]
    waiting = [one for one in unfinished if not under_way(context, one)]
    if not waiting:
        return ""
    first = next((one for one in waiting if not one.by_mail), waiting[0])
    name = _name(Inventory(context.database), first.old_certificate) or first.old_serial
    if first.by_mail:
        return _(
            "{name}, Token ID {serial}: a request waits for the CA's file. When it has come: safetok certs install FILE"
        ).format(name=name, serial=first.token_serial)
    if len(waiting) > 1:
        return _(
            "{n} renewals are unfinished, the oldest for {name}, Token ID {serial}. Carry on: safetok renew --resume"
        ).format(n=len(waiting), name=name, serial=first.token_serial)
    return _("A renewal is unfinished: {name}, Token ID {serial}: {state}. Carry on: safetok renew --resume").format(
        name=name, serial=first.token_serial, state=state_word(first.state)
    )


def _name(inventory: Inventory, der: bytes) -> str:
    try:
        return inventory.parse(der).subject_name if der else ""
    except SafetokError:
        return ""


def _serial(inventory: Inventory, der: bytes) -> str:
    try:
        return inventory.parse(der).serial if der else ""
    except SafetokError:
        return ""


def state_word(state: State, route: Route = "cmp") -> str:
    """A state in words, and its name for those who ask support about it. By mail safetok itself tells the CA nothing."""
    words = {
        "PLANNED": _("planned"),
        "ACCEPTED": _("accepted by the person"),
        "CONFIRMED": _("confirmed by the person"),
        "KEY_MADE": _("new key made on the token"),
        "REQUESTED": _("asked for at the CA"),
        "PENDING": _("the CA asks to wait"),
        "ISSUED": _("the CA has answered"),
        "VERIFIED": _("the new certificate is checked"),
        "WRITTEN": _("written to the token"),
        "PROVEN": _("read back, test signature made"),
        "ACKNOWLEDGED": _("the CA knows that it arrived"),
        "DONE": _("complete"),
        "DECLINED": _("declined by the person"),
        "REJECTED": _("refused by the CA"),
        "UNTRUSTED": _("answer not trusted, refused"),
        "LAPSED": _("taken back by the CA"),
        "ABANDONED": _("given up"),
    }
    by_mail = {
        "REQUESTED": _("request made; waits for the CA's file"),
        "ACKNOWLEDGED": _("recorded as arrived"),
    }
    word = by_mail.get(state.value) if route == "csr" else None
    return f"{word or words[state.value]} ({state.value})"
