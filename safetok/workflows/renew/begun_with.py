"""What a renewal in progress keeps of its beginning, whatever the command that carries it on names now."""

from __future__ import annotations

from safetok.domain.renewal import ENDS, Renewal
from safetok.domain.times import show_date, show_day
from safetok.locale import _
from safetok.workflows.renew.request import RenewRequest


def kept(renewal: Renewal, request: RenewRequest) -> str:
    """One sentence on what was named now and is not taken; empty where nothing differs, or nothing of it is to come."""
    if renewal.state in ENDS:
        return ""
    what = []
    if any(day not in {None, renewal.contract_end} for day in (request.contract_end, request.confirm_contract_end)):
        day = show_day(renewal.contract_end) if renewal.contract_end else _("not stated")
        what.append(_("contract's end {day}").format(day=day))
    if request.min_not_after not in {None, renewal.min_not_after}:
        floor = show_date(renewal.min_not_after) if renewal.min_not_after else _("none asked for")
        what.append(_("earliest end {day}").format(day=floor))
    if request.new_key and renewal.key_plan == "same":
        what.append(_("the same key"))
    if not what:
        return ""
    return _(
        "The renewal in progress keeps what it was begun with: {what}. What is named otherwise now is not taken."
    ).format(what=", ".join(what))
