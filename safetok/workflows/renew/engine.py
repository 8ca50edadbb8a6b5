"""Carries a renewal from the state its row holds to an end, or to a rest that a later run resumes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from safetok.domain.renewal import ENDS, Hold, Renewal, State
from safetok.errors import CaRefused, Interrupted, NotTrusted, PersonNeeded, SafetokError
from safetok.locale import _
from safetok.workflows.renew import cleaning, confirming, ending, keys, mail, sending, writing
from safetok.workflows.renew.alone import alone
from safetok.workflows.renew.request import result_of
from safetok.workflows.renew.run import Held, Run

STEPS: dict[State, Callable[[Run], None]] = {
    State.CONFIRMED: keys.prepare,
    State.KEY_MADE: keys.build_request,
    State.REQUESTED: sending.send_request,
    State.PENDING: sending.poll,
    State.ISSUED: sending.verify_stored,
    State.VERIFIED: writing.write_and_prove,
    State.WRITTEN: writing.prove_again,
    State.PROVEN: confirming.confirm,
    State.ACKNOWLEDGED: ending.finish,
    State.UNTRUSTED: cleaning.reject,
    State.REJECTED: cleaning.clean,
    State.LAPSED: cleaning.clean,
    State.ABANDONED: cleaning.clean,
}

_BESIDE_THE_TOKEN = {State.VERIFIED, State.WRITTEN}  # the new certificate is there, and not safely on the token
_NOT_YET_ANSWERED = {State.CONFIRMED, State.KEY_MADE, State.REQUESTED, State.PENDING}


def _stopped() -> Interrupted:
    return Interrupted(_("Stopped, as asked."), hint=_("Carry on with: safetok renew --resume"))


def carry_on(run: Run) -> Renewal:
    """Take step after step until nothing is left to do. A rest is written down and raised with its own exit status.

    Raises whatever the rest or the end means to the user: see `HOLD_EXITS` and `ENDS`; a renewal that reached DONE returns.
    """
    steps = mail.STEPS if run.renewal.route == "csr" else STEPS
    try:
        with alone(run):
            _step_by_step(run, steps)
    except Held as held:
        raise end_error(run.renewal) or explained(run.renewal, held.error) from held
    except SafetokError as error:
        raise explained(run.renewal, error) from error
    finally:
        run.close()
    ended = end_error(run.renewal)
    if ended is not None:
        raise ended
    return run.renewal


def _step_by_step(run: Run, steps: Mapping[State, Callable[[Run], None]]) -> None:
    try:
        while not run.renewal.finished:
            if run.renewal.state in _NOT_YET_ANSWERED and run.context.stopping():
                raise _stopped()
            steps[run.renewal.state](run)
    except Held as held:
        if held.hold in {Hold.NEED_SPACE, Hold.NEED_WRITE} and run.renewal.state in _BESIDE_THE_TOKEN:
            ending.keep_beside(run, held.error)
        ended = end_error(run.renewal)  # an end whose clean-up must wait is told as the end it is
        run.update(hold=held.hold, reason=run.renewal.reason if ended else held.error.message)
        raise


def end_error(renewal: Renewal) -> SafetokError | None:
    """What an end without a new certificate says, with its exit status; None for DONE, DECLINED and ABANDONED."""
    state = renewal.state
    if state not in ENDS or state in {State.DONE, State.DECLINED, State.ABANDONED}:
        return None
    kinds: dict[State, tuple[type[SafetokError], str, str]] = {
        State.REJECTED: (CaRefused, "ca_refused", _("The CA refused: {why}")),
        State.UNTRUSTED: (NotTrusted, "not_trusted", _("The CA's answer is not to be trusted: {why}")),
        State.LAPSED: (PersonNeeded, "lapsed", _("The CA has taken the new certificate back: {why}")),
    }
    kind, code, text = kinds[state]
    return explained(renewal, kind(text.format(why=renewal.reason), code=code, hint=_what_is_left(renewal)))


def _what_is_left(renewal: Renewal) -> str:
    """What the token holds after an end without a new certificate. Only one that was taken back may have been written."""
    if renewal.state is not State.LAPSED:
        return _("The old certificate is intact, nothing was written to the token.")
    if renewal.cleaned:
        return _("The old certificate is intact, nothing of the new one is left on the token. Ask again: safetok renew")
    return _(
        "The old certificate is intact. The one taken back may still be on token {serial}: safetok renew --resume "
        "removes it."
    ).format(serial=renewal.token_serial)


def explained(renewal: Renewal, error: SafetokError) -> SafetokError:
    """The error with what is known of the renewal it stopped."""
    error.token = error.token or renewal.token_serial
    error.data = {**result_of(renewal).data(), "authority": renewal.authority, **error.data}
    return error
