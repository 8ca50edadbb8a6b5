"""How a renewal ends: registrations opened with its last commit, files handed over."""

from __future__ import annotations

from typing import Any

from safetok.domain import certificates
from safetok.domain.renewal import State
from safetok.errors import SafetokError
from safetok.locale import _
from safetok.log import note
from safetok.workflows.renew.run import Run


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
