"""Renewals that wait: carry them on, list them, give one up."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from safetok.domain import certificates
from safetok.domain.companies import plain_mst
from safetok.domain.renewal import ENDS, Hold, Renewal, State
from safetok.domain.times import rfc3339
from safetok.errors import (
    CaUnreachable,
    CaWait,
    NoToken,
    PersonNeeded,
    SafetokError,
    SeveralTokens,
    UsageError,
)
from safetok.locale import _
from safetok.log import note
from safetok.workflows.history import state_word
from safetok.workflows.renew.alone import alone, under_way
from safetok.workflows.renew.request import RenewRequest, RenewResult, result_of
from safetok.workflows.renew.run import Held, Run
from safetok.workflows.renew.start import renew, resume_one, run_of

if TYPE_CHECKING:
    from safetok.workflows.context import Context

_BEFORE_REQUEST = {State.PLANNED, State.ACCEPTED, State.CONFIRMED, State.KEY_MADE}
_MAY_BE_ISSUED = {State.REQUESTED, State.PENDING}
_REJECTABLE = {State.ISSUED, State.VERIFIED, State.WRITTEN, State.PROVEN}


def resume(context: Context, request: RenewRequest) -> tuple[list[RenewResult], list[SafetokError]]:
    """Carry every unfinished renewal on, or those of the token, company or certificate named. One that waits stops no other.

    Raises SeveralTokens (`one_pin_several_tokens`): a PIN that was given belongs to one token, and is not tried on another.
    """
    from safetok.workflows.check import after_renewal

    done: list[RenewResult] = []
    failed: list[SafetokError] = []
    waiting = _named(context, request)
    tokens = {renewal.token_serial for renewal in waiting}
    if request.pin.given and len(tokens) > 1:
        raise SeveralTokens(
            _("{n} tokens have unfinished renewals, and one PIN was given: it is tried on none of them.").format(
                n=len(tokens)
            ),
            code="one_pin_several_tokens",
            hint=_("Name its token with --serial."),
            data={"choices": [{"token": serial} for serial in sorted(tokens)]},
        )
    for renewal in waiting:
        try:
            if request.new_request:
                done.append(renew(context, dataclasses.replace(request, serial=renewal.token_serial, mst=renewal.mst)))
            else:
                done.append(resume_one(context, renewal, request))
        except SafetokError as error:
            failed.append(error)
    after_renewal(context, *done)
    return done, failed


def listed(context: Context, request: RenewRequest | None = None) -> list[dict[str, Any]]:
    """The unfinished renewals, or those of the token, company or certificate named, oldest first, JSON-ready."""
    found = [(_row(renewal), under_way(context, renewal)) for renewal in _named(context, request)]
    return [{**row, "reason": _("another safetok is at work on it")} if busy else row for row, busy in found]


def _named(context: Context, request: RenewRequest | None) -> list[Renewal]:
    from safetok.store.journal import Journal

    if request is None:
        return Journal(context.database).unfinished()
    found = Journal(context.database).unfinished(request.serial.strip() if request.serial is not None else None)
    if request.mst is not None:
        asked = plain_mst(request.mst)
        found = [one for one in found if plain_mst(one.mst or "") == asked]
    if request.cert is not None:
        found = [
            one for one in found if any(certificates.same_serial(request.cert, each) for each in _certificates(one))
        ]
    return found


def _certificates(renewal: Renewal) -> list[certificates.Certificate]:
    return [certificates.parse(der) for der in (renewal.old_certificate, renewal.certificate) if der]


def _row(renewal: Renewal) -> dict[str, Any]:
    old = certificates.parse(renewal.old_certificate)
    return {
        **result_of(renewal).data(),
        "name": old.subject_name,
        "mst": renewal.mst,
        "route": renewal.route,
        "hold": renewal.hold.value if renewal.hold else None,
        "reason": renewal.reason,
        "created_at": rfc3339(renewal.created_at),
        "check_after": rfc3339(renewal.check_after) if renewal.check_after else None,
        "transaction_id": renewal.transaction_id.hex().upper() or None,
    }


def abandon(context: Context, identity: str, request: RenewRequest, *, force: bool) -> RenewResult:
    """Give one renewal up: free before it was requested; with `force` once it was; a rejecting certConf first once issued.

    With `force` a renewal whose token is lost for good, or whose CA never takes its last word, is closed as it stands.
    Raises UsageError (`unknown_renewal`), PersonNeeded (`may_have_been_issued`, `too_late_to_abandon`), NoToken.
    """
    from safetok.store.journal import Journal
    from safetok.workflows.renew.engine import carry_on, explained

    found = [r for r in Journal(context.database).unfinished() if r.id == identity]
    if not found:
        raise UsageError(
            _("No unfinished renewal is called {id}.").format(id=identity),
            code="unknown_renewal",
            hint=_("See them: safetok renew --list"),
        )
    renewal = found[0]
    over = renewal.state in ENDS and force
    _may_be_given_up(renewal, force=force)
    run = run_of(context, renewal, request)
    try:
        with alone(run):
            run.renewal = renewal  # what was judged above: one that another run has moved meanwhile is refused
            if over:
                _close(run)
            else:
                _give_up(run, force=force)
        return result_of(run.renewal if run.renewal.finished else carry_on(run))
    except Held as held:
        raise explained(run.renewal, _or_for_good(held.error, identity)) from held
    except NoToken as error:
        _or_for_good(error, identity)
        raise
    finally:
        run.close()


def _or_for_good(error: SafetokError, identity: str) -> SafetokError:
    """What to do when the token that is missing never comes back, or the CA has not heard that it is to be given up."""
    if isinstance(error, NoToken):
        lost = _("If the token is lost for good: {command}").format(
            command=f"safetok renew --abandon {identity} --force"
        )
        error.add_hint(lost)
    if isinstance(error, CaUnreachable | CaWait):
        error.hint = _(
            "It is not given up yet: the CA must hear of it. Later again: safetok renew --abandon {id}"
        ).format(id=identity)
    return error


def _may_be_given_up(renewal: Renewal, *, force: bool) -> None:
    if renewal.by_mail and not force:
        raise PersonNeeded(
            _(
                "The request was written to a file: the CA may issue a certificate by it. It is given up only with --force."
            ),
            code="may_have_been_issued",
            hint=_("When the CA's file comes: safetok certs install FILE"),
            token=renewal.token_serial,
        )
    if _may_be_issued(renewal) and not force:
        raise PersonNeeded(
            _("The request was sent: a certificate may have been issued. It is given up only with --force."),
            code="may_have_been_issued",
            hint=_("First try: safetok renew --resume"),
            token=renewal.token_serial,
        )
    if renewal.state not in _BEFORE_REQUEST | _MAY_BE_ISSUED | _REJECTABLE and not (renewal.state in ENDS and force):
        raise PersonNeeded(
            _("This renewal is too far to be given up: {state}.").format(
                state=state_word(renewal.state, renewal.route)
            ),
            code="too_late_to_abandon",
            hint=_("Finish it: safetok renew --resume"),
            token=renewal.token_serial,
        )


def _may_be_issued(renewal: Renewal) -> bool:
    return renewal.state in _MAY_BE_ISSUED and renewal.sent_count > 0  # 0: the CA never had it, or refused it unseen


def _give_up(run: Run, *, force: bool) -> None:
    """ABANDONED, after the CA has taken back what it issued; with `force` a token that is not in is not waited for to say so."""
    from safetok.workflows.renew.confirming import take_back

    renewal, left = run.renewal, False
    reason = _("given up; a certificate may have been issued") if _may_be_issued(renewal) else _("given up")
    if renewal.state in _REJECTABLE and renewal.route == "cmp":
        try:
            run.session()
        except Held as held:
            if held.hold is not Hold.NEED_TOKEN or not force:
                raise
            reason = _("given up without its token; the CA was not told")
            left = renewal.state is not State.ISSUED  # the certificate may be on it
        else:
            take_back(run)
    run.advance(State.ABANDONED, reason=reason, cleaned=renewal.key_plan == "same" and not left)


def _close(run: Run) -> None:
    """An end whose clean-up cannot be done is written down as over. What can be done now, is."""
    from safetok.workflows.renew import cleaning, confirming

    if run.renewal.finished:
        return
    if run.renewal.state is State.UNTRUSTED:
        try:
            confirming.send_confirmation(run)
        except Held as held:
            note(f"renewal {run.renewal.id}: closed, though the CA was not told: {held.error.code}")
    try:
        cleaning.clean(run)
    except Held as held:
        if held.hold not in {Hold.NEED_TOKEN, Hold.CA_UNREACHABLE, Hold.PENDING}:
            raise
        run.update(cleaned=True, hold=None)
