"""One row of a plan on one token: checked again as if it had never been, then renewed by the same steps as by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from safetok.domain.plan import PlanRow, RowResult, RowState
from safetok.domain.renewal import State
from safetok.domain.times import show_day, vietnamese_day
from safetok.domain.tokens import Reading
from safetok.errors import (
    CaUnreachable,
    CaWait,
    ExitStatus,
    Interrupted,
    NoToken,
    PersonNeeded,
    PinRefused,
    SafetokError,
    Unexpected,
)
from safetok.locale import _
from safetok.log import note
from safetok.workflows.batch.pins import PinSources, next_step
from safetok.workflows.pulled_out import no_token_once_pulled_out
from safetok.workflows.renew.choose import Chosen, choose, unfinished_of
from safetok.workflows.renew.request import RenewRequest, RenewResult
from safetok.workflows.renew.start import renew_chosen

if TYPE_CHECKING:
    from safetok.domain.renewal import Renewal
    from safetok.domain.tokens import TokenReading
    from safetok.tokens.tokens import Tokens
    from safetok.workflows.context import Context

# a token is held by another run for as long as that works on it; the worker of a killed one may be that
_WAITING = {
    *(ExitStatus.CA_UNREACHABLE, ExitStatus.CA_WAIT, ExitStatus.NO_TOKEN),
    *(ExitStatus.HELD, ExitStatus.INTERRUPTED),
}


def load_ahead() -> None:
    """Import what every row takes, while the tokens are being looked at: a first row that loads it is taken for a slow one."""
    from safetok import net
    from safetok.ca.cmp import answers, requests, transport  # noqa: F401
    from safetok.domain import dossier, notices  # noqa: F401
    from safetok.knowledge import load
    from safetok.net import strict  # noqa: F401
    from safetok.store import answers as kept_answers  # noqa: F401
    from safetok.tokens import keys, pin_guard  # noqa: F401
    from safetok.trust import answer, revocation  # noqa: F401
    from safetok.workflows import adopt, check, history  # noqa: F401

    net.load_ahead()
    load.agencies()


def run_row(
    context: Context,
    tokens: Tokens,
    token: TokenReading,
    row: PlanRow,
    pins: PinSources,
    *,
    kit: bool = False,
    ca_answered: bool = False,
) -> RenewResult:
    """Renew one row's certificate. Raises whatever `renew` raises, and PersonNeeded (`plan_row_changed`,
    `contract_end_differs`) where the token no longer holds what was planned.
    """
    pin = pins.of(row.pin_source)
    request = RenewRequest(
        pin=pin,
        serial=token.info.serial,
        new_key=row.new_key,
        yes=True,
        contract_end=row.contract_end,
        confirm_contract_end=row.contract_end,
        kit=kit,
        ca_answered=ca_answered,
    )
    again = _("Plug the RIGHT token {serial} in again, then: safetok batch resume").format(serial=token.info.serial)
    try:
        chosen = choose(context, Reading(tokens=(token,)), serial=token.info.serial, cert=None, mst=row.mst or None)
        left = unfinished_of(context, token.info.serial, chosen.certificate)
        if left is None:
            _as_planned(context, row, chosen)
            _use_agencies(context, row, chosen)
        with no_token_once_pulled_out(again):
            result = renew_chosen(context, tokens, chosen, request)
    finally:
        pin.release()
    if left is None or result.state != State.ABANDONED.value:
        return result
    # What was given up is cleaned away: its own is still to come.
    return run_row(context, tokens, _without(context, token, left), row, pins, kit=kit)


def _without(context: Context, token: TokenReading, given_up: Renewal) -> TokenReading:
    """The token as it is now: a certificate of the renewal that was given up has gone from it."""
    from safetok.store.inventory import Inventory

    stored = tuple(one for one in token.certificates if one.certificate.der != given_up.certificate)
    if len(stored) < len(token.certificates):
        token = replace(token, certificates=stored)
        Inventory(context.database).record(token, context.now())
    return token


def _as_planned(context: Context, row: PlanRow, chosen: Chosen) -> None:
    """The certificate is the one planned, and the date no later than what is known of it here."""
    from safetok.store.inventory import Inventory

    if row.contract_end is None:
        raise PersonNeeded(
            _("The contract's end is not in the plan: nobody has confirmed it."), code="contract_end_unknown"
        )
    if row.contract_end < vietnamese_day(context.now()):
        raise PersonNeeded(
            _("The contract ended on {day}: no time is left to top up.").format(day=show_day(row.contract_end)),
            code="contract_over",
            token=chosen.token.info.serial,
        )
    certificate = chosen.certificate
    if row.certificate and certificate.sha256 != row.certificate:
        raise PersonNeeded(
            _("The certificate on this token is no longer the one that was planned ({old}; now {new}).").format(
                old=row.old_serial, new=certificate.serial
            ),
            code="plan_row_changed",
            hint=_("Make the plan again: safetok batch plan FILE"),
            token=chosen.token.info.serial,
        )
    stated = Inventory(context.database).contract_end(certificate.sha256)
    if stated is not None and row.contract_end > stated:
        raise PersonNeeded(
            _(
                "The plan says the contract ends on {day}, and {stated} is known here: a plan never raises a date."
            ).format(day=show_day(row.contract_end), stated=show_day(stated)),
            code="contract_end_differs",
            hint=_("Compare it with the contract."),
            token=chosen.token.info.serial,
        )


def _use_agencies(context: Context, row: PlanRow, chosen: Chosen) -> None:
    """Remember which agencies this company uses, where the list says so."""
    if row.agencies is None:
        return
    from safetok.domain.companies import company_of
    from safetok.knowledge import load
    from safetok.store.registrations import Registrations

    registrations = Registrations(context.database)
    company = company_of(chosen.certificate)
    before = registrations.used(company)
    wanted = {
        agency.name: agency.name in row.agencies for agency in (*load.agencies(), *registrations.agencies_added())
    }
    if any(before.get(name) is not used for name, used in wanted.items()):
        with context.database.transaction():
            for name, used in wanted.items():
                registrations.set_used(company, name, used)


def failed(row: PlanRow, error: SafetokError, *, token: str | None, now: datetime) -> RowResult:
    """The row's result where it ended with an error: a rest that a later run carries on, or a failure."""
    waits = error.exit_status in _WAITING
    return RowResult(
        row=row.row,
        state=RowState.WAITING if waits else RowState.FAILED,
        token=token or row.token,
        at=now,
        code=error.code,
        message=f"{error.message} {_next_step(row, error)}".strip(),
        exit_status=int(error.exit_status),
        renewal_id=str(error.data.get("renewal_id") or ""),
    )


def unforeseen(error: Exception) -> Unexpected:
    """What a row ends with that met what nobody foresaw; the log has the whole of it."""
    note("unforeseen", detail=True, error=error)
    text = _("Something safetok did not foresee happened ({kind}). What it had written down is kept.")
    return Unexpected(text.format(kind=type(error).__name__))


def _next_step(row: PlanRow, error: SafetokError) -> str:
    """What to do next, where a row of a list takes another way than a renewal by hand."""
    if isinstance(error, Interrupted):
        return ""  # told once, for all rows
    if error.code in {"pin_profile", "pin_refused_locally"}:
        text = _("Put it right in {source}.")
        if error.code == "pin_profile":
            text = _("Put it right in {source}; a PIN that really is so is given by hand: safetok renew --pin-as-is")
        return text.format(source=row.pin_source)
    if isinstance(error, PinRefused):
        return next_step(error)
    if error.code == "no_space":
        removed = _("Old certificates can be removed: safetok certs prune")
        return error.hint if "safetok certs prune" in error.hint else f"{error.hint} {removed}"
    if error.code == "contract_end_differs":
        return _("Compare it with the contract, put the list right and make the plan again.")
    return error.hint


def comes_back_after(error: SafetokError, now: datetime) -> float | None:
    """Seconds until asking again makes sense; None where time alone changes nothing."""
    if not isinstance(error, CaUnreachable | CaWait) or isinstance(error, Interrupted | NoToken):
        return None
    if (seconds := error.data.get("retry_after")) is not None:
        return float(seconds)
    if (due := error.data.get("check_after")) is not None:
        return max(0.0, (datetime.fromisoformat(str(due)) - now).total_seconds())
    return 0.0
