"""How a renewal ends: registrations opened with its last commit, files handed over; or our own key destroyed."""

from __future__ import annotations

from typing import Any

from safetok.domain import certificates
from safetok.domain.renewal import Hold, State
from safetok.domain.revocation import RevocationAnswer
from safetok.errors import CaWait, PersonNeeded, SafetokError
from safetok.locale import _
from safetok.log import note
from safetok.workflows.renew.run import Held, Run, token_step


def finish(run: Run) -> None:
    """ACKNOWLEDGED: DONE and the open registrations are one commit; the files follow and can be made again."""
    with run.context.database.transaction():
        complete(run)
    hand_over(run)


def complete(run: Run, *, through: tuple[State, ...] = (State.DONE,), **changes: Any) -> None:
    """On to DONE, `through` what lies before it, and one registration at each agency the company uses. The caller holds the
    transaction.
    """
    from safetok.knowledge import load
    from safetok.store.inventory import Inventory
    from safetok.store.registrations import Registrations

    context = run.context
    registrations = Registrations(context.database)
    new = certificates.parse(run.renewal.certificate)
    rows = registrations.plan_for(new, (*load.agencies(), *registrations.agencies_added()), context.now())
    inventory = Inventory(context.database)
    inventory.put_certificate(new, context.now())
    inventory.set_contract_end(new.sha256, run.renewal.contract_end, context.now())
    run.renewal = run.journal.finish(run.renewal, rows, now=context.now(), through=through, cleaned=True, **changes)


def hand_over(run: Run) -> None:
    """Export both certificates and the fields the agencies ask for. A failure is told, and never undoes the renewal."""
    if not run.kit:
        return
    from safetok.workflows.export import write_kit

    try:
        kit = write_kit(run.context, run.renewal)
        with run.context.database.transaction(durable=False):  # the files can be made again
            run.update(kit=str(kit))
    except (SafetokError, OSError) as error:
        run.context.prompter.warn(
            _("The renewal is done; its files could not be written ({why}). Make them with: safetok export").format(
                why=error
            )
        )
    tell_issued(run)


def keep_beside(run: Run, error: SafetokError) -> None:
    """A certificate that the token does not take is saved as files, which `error` names: it waits there, and nothing is lost."""
    from safetok.reports.files import certificate_files, stem, write_all

    new = certificates.parse(run.renewal.certificate)
    chain = [certificates.parse(der) for der in run.renewal.chain]
    folder = run.context.settings.home.state / "export" / stem(new)
    try:
        written = write_all(folder, certificate_files(new, chain), replace=True)
    except SafetokError as failed:
        note(f"renewal {run.renewal.id}: the certificate could not be saved: {failed.code}")
        return
    error.add_hint(
        _("The new certificate is saved: {file}. Carry on with: safetok renew --resume").format(file=written[0])
    )


def tell_issued(run: Run) -> None:
    """Hooks learn of the new certificate; none of them can undo it."""
    from safetok.workflows.hooks import tell

    renewal = run.renewal
    new = certificates.parse(renewal.certificate)
    tell(
        run.context,
        "issued",
        renewal.id,
        {
            "renewal_id": renewal.id,
            "token": renewal.token_serial,
            "mst": new.mst,
            "name": new.subject_name,
            "old_serial": renewal.old_serial,
            "new_serial": new.serial,
            "not_after": new.not_after,
            "contract_end": renewal.contract_end,
            "kit": renewal.kit or None,
        },
    )


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
    from safetok.workflows.renew.confirming import new_status, take_back

    try:
        take_back(run)
    except PersonNeeded as error:
        if error.code != "too_late_to_abandon":
            raise
        if new_status(run) is not RevocationAnswer.GOOD:
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
