"""The key the new certificate is for, and the request that is made with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetok.domain.renewal import State
from safetok.errors import PersonNeeded
from safetok.locale import _
from safetok.workflows.renew.run import Run, token_step

if TYPE_CHECKING:
    from safetok.ca.cmp.requests import Opening
    from safetok.tokens.tokens import TokenKey


def prepare(run: Run) -> None:
    """CONFIRMED: the offer must still stand; then the same key, or a new pair as the row plans it."""
    renewal, now = run.renewal, run.context.now()
    if renewal.offer_expires is not None and now >= renewal.offer_expires:
        run.advance(
            State.ABANDONED, cleaned=renewal.key_plan == "same", reason=_("The offer expired before it was used.")
        )
        raise PersonNeeded(
            _("The CA's offer expired before the request was sent. Nothing was requested."),
            code="offer_expired",
            hint=_("Run `safetok renew` again: the CA will make a new offer."),
        )
    if renewal.key_plan == "same":
        _requested(run, _signed_request(run, run.old.spki), spki=run.old.spki)
        return
    spki = planned_key(run)
    opening = _signed_request(run, spki)  # before the transaction: a token pulled out here leaves the row as it is
    with run.context.database.transaction():
        run.advance(State.KEY_MADE)
        _requested(run, opening, spki=spki)


def planned_key(run: Run) -> bytes:
    """The public key of the new pair that the row plans: what an interrupted run made, or made now.

    A token that gives new keys an ID of its own has it kept in the row, for the certificate and for a clean-up.
    """
    session, renewal = run.session(), run.renewal
    with token_step(run, _("making the key")):
        spki = _made_before(run)
        if spki is None:
            run.context.prompter.say(_("The token is making a new key; this may take a minute."))
            spki = session.generate(run.old.spki, cka_id=renewal.key_id, label=renewal.key_label)
            keys = session.keys()
            made = next((k for k in keys if k.spki == spki and k.private), None)
            if made is not None and made.cka_id and made.cka_id != renewal.key_id:
                run.update(key_id=made.cka_id)
    return spki


def build_request(run: Run) -> None:
    """KEY_MADE: a fresh message for the key in the row."""
    _requested(run, _signed_request(run, run.renewal.spki), spki=run.renewal.spki)


def _made_before(run: Run) -> bytes | None:
    """The pair an interrupted run made: found by CKA_ID, else label. A half-made one is destroyed; None: make one.

    Raises PersonNeeded (`key_unclear`) when the token changed the ID and kept no label: nothing is destroyed then.
    """
    session, renewal = run.session(), run.renewal
    stored = session.certificates()
    needed = {s.certificate.spki for s in stored}
    there = session.keys()
    keys = tuple(k for k in there if k.spki not in needed)
    named = [k for k in keys if k.cka_id == renewal.key_id]
    mine = named or [k for k in keys if k.label == renewal.key_label]
    whole = next((k for k in mine if k.private and k.spki is not None), None)
    if whole is not None and whole.spki is not None:
        if whole.cka_id != renewal.key_id:
            run.update(key_id=whole.cka_id)
        return whole.spki
    for half in mine:
        session.destroy_keys(half.cka_id, label=None if named else renewal.key_label)
    if not mine and not run.begun_here:
        _refuse_strangers(run, keys, {s.cka_id for s in stored})
    return None


def _refuse_strangers(run: Run, keys: tuple[TokenKey, ...], ids: set[bytes]) -> None:
    """Raise PersonNeeded (`key_unclear`) where a key is there that no certificate belongs to: it may be the one a cut-short run
    made, under a name that is the token's own.
    """
    strangers = [k for k in keys if k.private and k.cka_id not in ids]
    if strangers:
        raise PersonNeeded(
            _(
                "The token holds {n} keys without a certificate; one may be of this renewal. Nothing was removed."
            ).format(n=len(strangers)),
            code="key_unclear",
            hint=_("Ask the CA. To give this renewal up: safetok renew --abandon {id}").format(id=run.renewal.id),
            data={"keys": [{"id": k.cka_id.hex().upper(), "label": k.label} for k in strangers]},
        )


def _signed_request(run: Run, spki: bytes) -> Opening:
    from safetok.ca.cmp.requests import build_request as build

    session, renewal, context = run.session(), run.renewal, run.context
    with token_step(run, _("signing the request")):
        return build(
            run.authority.request,
            old=run.old,
            old_key=session.private_key(run.old.spki),
            new_spki=spki,
            new_key=session.private_key(spki),
            not_after=renewal.requested_not_after,
            endpoint=run.endpoint,
            now=context.now(),
            random=context.random,
        )


def request_anew(run: Run) -> None:
    """REQUESTED without a message, because the CA refused the time of the last one: another, with a transaction of its own."""
    opening = _signed_request(run, run.renewal.spki)
    run.update(**_message(run, opening))
    run.sent_with_commit = True


def _requested(run: Run, opening: Opening, *, spki: bytes) -> None:
    """Commit the message with the count of its first sending."""
    run.advance(State.REQUESTED, spki=spki, **_message(run, opening))
    run.sent_with_commit = True


def _message(run: Run, opening: Opening) -> dict[str, Any]:
    return {
        "request": opening.der,
        "transaction_id": opening.transaction_id,
        "sender_nonce": opening.sender_nonce,
        "sent_count": 1,
        "first_sent_at": run.context.now(),
    }
