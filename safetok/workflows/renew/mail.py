"""The steps of a renewal whose CA works by mail: a request in a file, a certificate in a file, no endpoint in between."""

from __future__ import annotations

from collections.abc import Callable

from safetok.domain.renewal import Hold, State
from safetok.errors import CaWait
from safetok.locale import _
from safetok.workflows.renew import cleaning, ending, keys, writing
from safetok.workflows.renew.run import Held, Run, token_step


def prepare(run: Run) -> None:
    """CONFIRMED: the same key, or a new pair as the row plans it; then the request. A half-made pair is found or made anew."""
    renewal = run.renewal
    if renewal.key_plan == "same":
        _request_into(run, spki=run.old.spki)
        return
    run.advance(State.KEY_MADE, spki=keys.planned_key(run))
    build_request(run)


def build_request(run: Run) -> None:
    """KEY_MADE: the request for the key in the row."""
    _request_into(run, spki=run.renewal.spki)


def wait(run: Run) -> None:
    """REQUESTED: only a person with the CA's file can carry it on."""
    raise Held(
        Hold.PENDING,
        CaWait(
            _("The request {id} waits for the CA's certificate.").format(id=run.renewal.id),
            code="waits_for_mail",
            hint=_(
                "When the CA has sent it: safetok certs install FILE. To give it up: "
                "safetok renew --abandon {id} --force"
            ).format(id=run.renewal.id),
        ),
    )


def acknowledge(run: Run) -> None:
    """PROVEN: nobody waits for a confirmation; DONE and the open registrations are one commit, the files follow."""
    with run.context.database.transaction():
        ending.complete(run, through=(State.ACKNOWLEDGED, State.DONE), receipt="mail")
    ending.hand_over(run)


def _request_into(run: Run, *, spki: bytes) -> None:
    """A PKCS#10 request (RFC 2986) with the old certificate's subject as it is encoded there, signed by the key it is for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    session, context = run.session(), run.context
    with token_step(run, _("signing the request")):
        builder = x509.CertificateSigningRequestBuilder().subject_name(run.old.x509().subject)
        request = builder.sign(session.private_key(spki), hashes.SHA256())
    run.advance(
        State.REQUESTED,
        spki=spki,
        request=request.public_bytes(serialization.Encoding.DER),
        sent_count=1,
        first_sent_at=context.now(),
    )


STEPS: dict[State, Callable[[Run], None]] = {
    State.CONFIRMED: prepare,
    State.KEY_MADE: build_request,
    State.REQUESTED: wait,
    State.VERIFIED: writing.write_and_prove,
    State.WRITTEN: writing.prove_again,
    State.PROVEN: acknowledge,
    State.ACKNOWLEDGED: ending.finish,
    State.ABANDONED: cleaning.clean,
}
