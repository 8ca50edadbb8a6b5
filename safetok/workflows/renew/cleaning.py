"""A renewal that brings nothing: what was asked for is taken back, and what it brought to the token is taken off it."""

from __future__ import annotations

from safetok.domain import certificates
from safetok.domain.renewal import Hold, State
from safetok.domain.revocation import RevocationAnswer
from safetok.errors import CaWait, PersonNeeded
from safetok.locale import _
from safetok.workflows.renew import confirming
from safetok.workflows.renew.run import Held, Run, token_step


def reject(run: Run) -> None:
    """UNTRUSTED: the rejecting certConf is sent until the CA has it, answers under its signature, or the time is over."""
    if run.context.now() < confirming.awaited_until(run.renewal):
        confirming.send_confirmation(run)
    clean(run)


def clean(run: Run) -> None:
    """Destroy what this renewal brought to the token: its new key pair, if it made one, and its certificate, if that came so
    far; never anything else, and no pair whose certificate has come onto the token another way. Repeatable. Raises PersonNeeded
    (`certificate_stands`) where the CA does not take back what was given up while its token was out: then nothing is destroyed.
    """
    renewal = run.renewal
    pair, there = renewal.key_plan == "new" and bool(renewal.key_id), _is_there(run)
    if there and renewal.state is State.ABANDONED and renewal.route == "cmp":
        _give_back(run)
    if pair or there:
        session = run.session()
        doing = _("removing the unused key") if pair else _("removing the certificate that was taken back")
        with token_step(run, doing):
            if renewal.certificate:
                session.destroy_certificate(renewal.certificate, renewal.key_label)
            if pair and session.needs(renewal.spki, but=renewal.certificate):
                run.context.prompter.warn(
                    _("A certificate on the token is for the key made in this renewal: that key stays.")
                )
            elif pair:
                session.destroy_keys(renewal.key_id, spki=renewal.spki, but=renewal.certificate)
    run.update(cleaned=True)


def _is_there(run: Run) -> bool:
    """LAPSED, or ABANDONED: whether the certificate came as far as the token, where every later look would take it for the
    company's newest. Seen without a PIN.
    """
    if run.renewal.state not in {State.LAPSED, State.ABANDONED} or not run.renewal.certificate:
        return False
    session = run.opened()
    with token_step(run, _("removing the certificate that was taken back")):
        return session.has_begun(run.renewal.certificate, run.renewal.key_label)


def _give_back(run: Run) -> None:
    """The CA hears only now that the certificate was given up; one that it has heard to be confirmed stands, and stays."""
    try:
        confirming.take_back(run)
    except PersonNeeded as error:
        if error.code != "too_late_to_abandon":
            raise
        if confirming.new_status(run) is not RevocationAnswer.GOOD:
            raise Held(
                Hold.PENDING,
                CaWait(
                    _(
                        "The CA has not said that it takes the new certificate back, and its status cannot be checked now."
                    ),
                    code="receipt_unseen",
                    hint=_("Both certificates are on the token. Later: safetok renew --resume"),
                ),
            ) from error
        run.update(cleaned=True)
        serial = certificates.parse(run.renewal.certificate).serial
        raise PersonNeeded(
            _("The CA does not take the new certificate {serial} back: it stands, and stays on the token.").format(
                serial=serial
            ),
            code="certificate_stands",
            hint=_("Take it over with: safetok certs adopt --cert {serial}").format(serial=serial),
            token=run.renewal.token_serial,
        ) from error
