"""The new certificate goes beside the old one, is read back byte for byte, and must verify a signature of the token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.domain import certificates
from safetok.domain.certificates import Certificate
from safetok.domain.renewal import State
from safetok.domain.revocation import RevocationAnswer
from safetok.domain.tokens import StoredCertificate, TokenReading
from safetok.errors import NotTrusted
from safetok.locale import _
from safetok.tokens.proof import signs_for
from safetok.workflows.renew import confirming
from safetok.workflows.renew.run import Run, token_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from safetok.tokens.tokens import Session


def write_and_prove(run: Run) -> None:
    """VERIFIED: look first, then write; read back and test-sign; the confirmation is signed in the same open session."""
    renewal = run.renewal
    if _lapsed(run):
        return
    session = run.session()
    key_id = _key_id(run, session)
    with token_step(run, _("writing the certificate")):
        stored = session.place_certificate(renewal.certificate, cka_id=key_id, label=renewal.key_label)
    _prove(run, session, stored, through=(State.WRITTEN, State.PROVEN))


def prove_again(run: Run) -> None:
    """WRITTEN on resume: read back and test-sign again."""
    if not _lapsed(run):
        session = run.session()
        with token_step(run, _("reading the certificate back")):
            stored = session.certificates()
        _prove(run, session, stored, through=(State.PROVEN,))


def _prove(run: Run, session: Session, stored: tuple[StoredCertificate, ...], *, through: tuple[State, ...]) -> None:
    """`stored`: what the token holds, read just now."""
    from safetok.store.inventory import Inventory

    renewal = run.renewal
    new = certificates.parse(renewal.certificate)
    with token_step(run, _("reading the certificate back")):
        prove(session, new, stored, random=run.context.random)
        reading = TokenReading(info=session.last_info, certificates=stored)
    confirmation = b""
    if renewal.receipt != "implicit" and renewal.route == "cmp":
        confirmation = confirming.signed_confirmation(run, renewal.certificate, accept=True)
    with run.context.database.transaction():
        run.advance(through, confirmation=confirmation)
        Inventory(run.context.database).record(reading, run.context.now())


def prove(
    session: Session, new: Certificate, stored: tuple[StoredCertificate, ...], *, random: Callable[[int], bytes]
) -> None:
    """The token gave back the same bytes, and its key signs what the new certificate verifies.

    Raises NotTrusted (`write_failed`, `test_signature`).
    """
    if all(one.certificate.der != new.der for one in stored):
        raise NotTrusted(
            _("The certificate just written does not read back. The old one is intact."),
            code="write_failed",
            hint=_("Carry on with: safetok renew --resume"),
        )
    if not signs_for(session.private_key(new.spki), new.x509().public_key(), random=random):
        raise NotTrusted(
            _("The token's key and the new certificate do not belong together. The old certificate is intact."),
            code="test_signature",
            hint=_(
                "Try once more: safetok renew --resume. If it stays so, call the CA: the new certificate is not confirmed."
            ),
        )


def _key_id(run: Run, session: Session) -> bytes:
    """CKA_ID of the key the certificate is for, so that other programs pair the two."""
    renewal = run.renewal
    if renewal.key_plan == "new":
        return renewal.key_id
    with token_step(run, _("looking for the key")):
        if key_id := session.key_id(renewal.spki):
            return key_id
        old = session.find_certificate(renewal.old_certificate)
    return old.cka_id if old is not None else b""


def _lapsed(run: Run) -> bool:
    """Whether the CA has taken the certificate back while it waited past the time to confirm."""
    renewal = run.renewal
    if renewal.confirm_by is None or run.context.now() < renewal.confirm_by:
        return False
    if confirming.new_status(run) is not RevocationAnswer.REVOKED:
        return False
    run.advance(
        State.LAPSED,
        reason=_("it waited longer than the CA allows before its confirmation; ask for a new one."),
    )
    return True
