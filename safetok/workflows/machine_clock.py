"""Whether this computer's clock can be believed, by what safetok has already recorded with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from safetok.domain.times import show_instant
from safetok.errors import PersonNeeded
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.workflows.context import Context

AHEAD = timedelta(minutes=5)


def seen_later(context: Context) -> datetime | None:
    """The latest moment recorded, where the clock now stands before it; None where nothing contradicts the clock."""
    from safetok.store.inventory import Inventory
    from safetok.store.journal import Journal

    seen = [token.last_seen for token in Inventory(context.database).tokens()]
    seen += [renewal.updated_at for renewal in Journal(context.database).all(limit=1)]
    latest = max(seen, default=None)
    return latest if latest is not None and latest > context.now() + AHEAD else None


def stands_before(now: datetime, then: datetime) -> str:
    """The sentence that says so."""
    return _("The computer's clock ({now}) stands before what safetok has already recorded ({then}).").format(
        now=show_instant(now), then=show_instant(then)
    )


def how_to_set() -> str:
    """What to do about a wrong clock."""
    return _("Set the clock by the network (Linux: `sudo timedatectl set-ntp true`), then run it again.")


def check_clock(context: Context, issued_at: datetime | None) -> None:
    """Before the clock is taken for the moment of an update: PersonNeeded (`clock_wrong`) where it stands before the certificate
    was issued or before what was recorded.
    """
    from safetok.domain.registrations import EARLIEST

    now = context.now()
    if issued_at is not None and now < issued_at - EARLIEST:
        text = _("The computer's clock ({now}) stands before this certificate was issued ({issued}).")
        raise PersonNeeded(
            text.format(now=show_instant(now), issued=show_instant(issued_at)), code="clock_wrong", hint=how_to_set()
        )
    then = seen_later(context)
    if then is not None:
        raise PersonNeeded(
            stands_before(now, then),
            code="clock_wrong",
            hint=_("{set} If it is right: give the moment of the update with --at.").format(set=how_to_set()),
        )
