"""The last word to the CA: the certConf, accepting or rejecting, and what decides when the CA does not answer it."""

from __future__ import annotations

from datetime import datetime, timedelta

from safetok.domain import certificates
from safetok.domain.renewal import Hold, Renewal, State
from safetok.domain.revocation import RevocationAnswer
from safetok.errors import CaUnreachable, CaWait, PersonNeeded
from safetok.locale import _
from safetok.workflows.renew import ending
from safetok.workflows.renew.run import Held, Run, no_answer, not_now, token_step

UNNAMED = timedelta(
    days=7
)  # how long a CA that names no time to confirm, or none to come, is told that or what is confirmed
_TOO_OLD = ("badTime",)


def signed_confirmation(
    run: Run, certificate: bytes, *, accept: bool, fail_info: str = "", hash_alg: bool = True
) -> bytes:
    """The certConf for this certificate, signed by the old key while the session is open (or opened for it)."""
    from safetok.ca.cmp.requests import build_confirmation

    renewal, context = run.renewal, run.context
    with token_step(run, _("signing the confirmation")):
        return build_confirmation(
            old=run.old,
            old_key=run.session().private_key(run.old.spki),
            certificate=certificate,
            accept=accept,
            fail_info=fail_info,
            hash_alg=hash_alg,
            transaction_id=renewal.transaction_id,
            recip_nonce=renewal.server_nonce,
            endpoint=run.endpoint,
            cert_req_id=renewal.cert_req_id,
            now=context.now(),
            random=context.random,
        )


def confirm(run: Run) -> None:
    """PROVEN: the stored certConf, again and again until the CA says it has it. Needs neither token nor PIN, but for a CA that
    finds its time too old, or does not know its form: it is signed anew.

    While the CA only cannot take it now, and its time is not over, the certificate's status says nothing yet: it is good until
    the CA takes back what was never confirmed.
    """
    from safetok.ca.cmp.answers import Confirmed, Refused

    if run.renewal.receipt == "implicit":
        _acknowledged(run, "implicit")
        return
    answer = send_confirmation(run)
    if isinstance(answer, Refused):
        too_old, names_hash = answer.fail_info == _TOO_OLD, _names_its_hash(run.renewal.confirmation)
        if names_hash or too_old:
            signed = signed_confirmation(run, run.renewal.certificate, accept=True, hash_alg=names_hash and too_old)
            run.update(confirmation=signed)
            answer = send_confirmation(run)
    if isinstance(answer, Refused) and answer.temporary and run.context.now() < awaited_until(run.renewal):
        raise not_now(answer.said)
    if isinstance(answer, Confirmed):
        _acknowledged(run, "seen")
        return
    _by_status(run)


def _names_its_hash(confirmation: bytes) -> bool:
    """Whether it carries hashAlg (RFC 9810 section 5.3.18), and with it pvno 3, which an older CA does not know."""
    from safetok.ca.cmp.messages import read_message
    from safetok.ca.cmp.names import PVNO_3

    return read_message(confirmation).header.pvno == PVNO_3


def send_confirmation(run: Run, der: bytes = b"") -> object:
    """Send the stored certConf, or `der`, and read what comes back. Raises Held (CA_UNREACHABLE) when nothing usable does."""
    from safetok.ca.cmp.answers import Confirmed, read_answer
    from safetok.ca.cmp.requests import sender_nonce_of
    from safetok.ca.cmp.transport import send

    message, sent = der or run.renewal.confirmation, run.context.now()
    try:
        raw = send(run.context.http, run.endpoint, message)
        answer = read_answer(
            raw,
            endpoint=run.endpoint,
            transaction_id=run.renewal.transaction_id,
            nonces=frozenset({sender_nonce_of(message)}),
            old=run.old,
            at=run.context.now(),
            expect="confirmation",
        )
    except (CaUnreachable, CaWait) as error:
        if not der and (isinstance(error, CaWait) or error.went_out):
            _sent(run, sent)
        raise no_answer(error) from error
    if not der and not isinstance(answer, Confirmed):
        _sent(run, sent)
    return answer


def _sent(run: Run, at: datetime) -> None:
    """Write down when the CA may first have had the stored certConf."""
    if run.renewal.confirmation_sent_at is None:
        run.update(confirmation_sent_at=at)


def _by_status(run: Run) -> None:
    """The CA did not confirm: the new certificate's own status decides, not the reason it gave."""
    revocation = new_status(run)
    if revocation is RevocationAnswer.GOOD:
        _acknowledged(run, "seen")
    elif revocation is RevocationAnswer.SUSPENDED:  # it may be lifted; a key that was destroyed does not come back
        raise Held(
            Hold.PENDING,
            CaWait(
                _("The CA has suspended the new certificate without confirming it."),
                code="new_suspended",
                hint=_("Ask the CA. Both certificates are on the token. Then: safetok renew --resume"),
            ),
        )
    elif revocation is RevocationAnswer.REVOKED:
        run.advance(State.LAPSED, reason=_("its confirmation came too late; the new certificate is revoked."))
    elif _has_no_status(run) and _sent_in_time(run.renewal):
        _acknowledged(run, "unseen")
    else:
        raise Held(
            Hold.PENDING,
            CaWait(
                _("The CA has not confirmed the new certificate, and its status cannot be checked now."),
                code="receipt_unseen",
                hint=_("Both certificates are on the token. Later: safetok renew --resume"),
            ),
        )


def new_status(run: Run) -> RevocationAnswer:
    """What OCSP or CRL says of the new certificate now."""
    from safetok.trust.revocation import check

    new = certificates.parse(run.renewal.certificate)
    return check(
        new,
        issuers=run.issuers,
        http=run.context.http,
        now=run.context.now(),
        private_addresses=run.authority.private_addresses,
    ).answer


def _acknowledged(run: Run, receipt: str) -> None:
    """The CA's word and the open registrations are one commit: nothing outside happens between them."""
    with run.context.database.transaction():
        ending.complete(run, through=(State.ACKNOWLEDGED, State.DONE), receipt=receipt)
    ending.hand_over(run)


def _sent_in_time(renewal: Renewal) -> bool:
    sent = renewal.confirmation_sent_at
    return sent is not None and (renewal.confirm_by is None or sent < renewal.confirm_by)


def _has_no_status(run: Run) -> bool:
    """Whether the new certificate names neither OCSP nor CRL: then nothing can ever be asked."""
    from cryptography.x509.oid import AuthorityInformationAccessOID

    from safetok.trust import aia, crl

    certificate = certificates.parse(run.renewal.certificate).x509()
    return not aia.urls(certificate, AuthorityInformationAccessOID.OCSP) and not crl.urls(certificate)


def awaited_until(renewal: Renewal) -> datetime:
    """How long the CA waits for its confirmation. A time that was over when it was given says that the clocks differ, and nothing
    of how long that is.
    """
    until, received = renewal.confirm_by, renewal.received_at
    assert received is not None
    return received + UNNAMED if until is None or until <= received else until


def take_back(run: Run) -> None:
    """On the way to ABANDONED: the CA is asked to undo what it issued, and says that it did. Nothing of the row changes before.

    Raises PersonNeeded (`too_late_to_abandon`) when the certificate stands, because it is confirmed already.
    """
    from safetok.ca.cmp.answers import Confirmed, Refused

    renewal = run.renewal
    answer = send_confirmation(run, signed_confirmation(run, renewal.certificate, accept=False, fail_info="badRequest"))
    if isinstance(answer, Refused) and answer.temporary:
        raise not_now(answer.said)
    if not isinstance(answer, Confirmed) and new_status(run) is not RevocationAnswer.REVOKED:
        raise PersonNeeded(
            _("The CA does not take the new certificate back: it stands, and this renewal cannot be given up."),
            code="too_late_to_abandon",
            hint=_("Finish it: safetok renew --resume"),
            token=renewal.token_serial,
        )
    with token_step(run, _("removing the certificate that was taken back")):  # it may be there before the row says so
        run.session().destroy_certificate(renewal.certificate, renewal.key_label)
