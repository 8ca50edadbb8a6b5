"""Whom to call: the contact lines of the CAs, as their notices print them."""

from __future__ import annotations

from collections.abc import Mapping

from safetok.domain.authorities import Authority
from safetok.errors import UsageError
from safetok.locale import _


def contacts(authorities: Mapping[str, Authority], name: str | None = None) -> tuple[Authority, ...]:
    """The CAs that state how to reach them, or the one called `name` (its settings key or its title, in any case).

    Raises UsageError (`no_such_authority`) for a name that is none of them.
    """
    stating = tuple(a for a in authorities.values() if a.contacts.lines or a.contacts.hotline)
    if name is None:
        return stating
    wanted = name.strip().casefold()
    found = tuple(a for a in stating if wanted in {a.name.casefold(), a.title.casefold()})
    if not found:
        raise UsageError(
            _("safetok knows no contacts of {name}.").format(name=name),
            code="no_such_authority",
            hint=_("It knows those of: {names}.").format(names=", ".join(a.name for a in stating)),
        )
    return found
