"""What goes to the CA and what comes back: the stored bytes are sent, the answer is stored before it is acted on."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from safetok.domain import certificates
from safetok.domain.authorities import Validity
from safetok.domain.renewal import Hold, State
from safetok.domain.times import show_instant
from safetok.errors import CaUnreachable, CaWait, NotTrusted, PersonNeeded, SafetokError, UsageError
from safetok.locale import _
from safetok.workflows.renew.confirming import signed_confirmation
from safetok.workflows.renew.keys import request_anew
from safetok.workflows.renew.run import Held, Run, no_answer, not_now, token_step

if TYPE_CHECKING:
    from safetok.ca.cmp.answers import Issued, Refused, Waiting


FRESH = timedelta(minutes=2)  # a message that went out so soon after it was signed is refused for the clock's sake


def send_request(run: Run) -> None:
    """REQUESTED: the stored message, the same bytes however often; `sent_count` is committed before each send."""
    if not run.renewal.request:
        request_anew(run)
    if run.sent_with_commit:
        run.sent_with_commit = False  # counts for this one send
    else:
        run.update(sent_count=run.renewal.sent_count + 1)
    renewal = run.renewal
    nonces = frozenset({renewal.sender_nonce})
    _ask(run, renewal.request, nonces, times=renewal.sent_count)


def poll(run: Run) -> None:
    """PENDING: not before checkAfter; then a signed pollReq. One that nobody answered goes out again as it was, without a PIN:
    the certificate may have been in the answer that was lost.
    """
    from safetok.ca.cmp.requests import build_poll

    renewal, context = run.renewal, run.context
    if (due := renewal.waits_until(context.now())) is not None:
        raise _come_back(due)
    if renewal.check_after is not None and context.now() < renewal.check_after:
        run.update(check_after=None)  # written down by a clock that was ahead: that wait is over, whatever happens next
    times = renewal.sent_count
    if renewal.poll:
        times += 1
    else:
        session = run.session()
        with token_step(run, _("asking for the result")):
            der, nonce = build_poll(
                old=run.old,
                old_key=session.private_key(run.old.spki),
                transaction_id=renewal.transaction_id,
                recip_nonce=renewal.server_nonce,
                endpoint=run.endpoint,
                cert_req_id=renewal.cert_req_id,
                now=context.now(),
                random=context.random,
            )
        run.update(poll=der, poll_nonce=nonce)
    _ask(run, run.renewal.poll, frozenset({run.renewal.poll_nonce, renewal.sender_nonce}), times=times)


def _ask(run: Run, message: bytes, nonces: frozenset[bytes], *, times: int) -> None:
    """Send a request or a question after it, and take what comes back to the state it means. `times`: how often it went out."""
    from safetok.ca.cmp.answers import Issued, Refused, Waiting, read_answer
    from safetok.ca.cmp.transport import send

    _ = run.anchors  # a file of this computer that cannot be read stops it here, and is nothing the CA did
    try:
        raw = send(run.context.http, run.endpoint, message)
        answer = read_answer(
            raw,
            endpoint=run.endpoint,
            transaction_id=run.renewal.transaction_id,
            nonces=nonces,
            old=run.old,
            at=run.context.now(),
            expect="certificate",
        )
    except CaWait as error:
        raise no_answer(error) from error
    except CaUnreachable as error:
        raise (no_answer(error) if error.went_out else _not_sent(run, error, times)) from error
    if isinstance(answer, Issued):
        _issued(run, raw, answer)
    elif isinstance(answer, Waiting):
        _waiting(run, answer)
    else:
        assert isinstance(answer, Refused)
        _refused(run, answer, times)


def _not_sent(run: Run, error: CaUnreachable, times: int) -> Held:
    """No connection came about: what the CA never had is no sending, and leaves no doubt behind."""
    renewal = run.renewal
    if renewal.state is State.PENDING:
        if times == renewal.sent_count:
            run.update(poll=b"")
        return no_answer(error)
    run.update(sent_count=renewal.sent_count - 1)
    if run.renewal.sent_count:
        return no_answer(error)
    return Held(
        Hold.CA_UNREACHABLE,
        CaUnreachable(
            _(
                "The request could not be sent ({why}). Nothing was asked for yet; the old certificate is intact."
            ).format(why=error.message.rstrip(".")),
            code=error.code,
            hint=_("Check the network, then: safetok renew --resume"),
        ),
    )


def verify_stored(run: Run) -> None:
    """ISSUED on resume: the stored answer is verified again, at the time it was received."""
    from safetok.ca.cmp.answers import Issued, read_answer

    renewal = run.renewal
    assert renewal.received_at is not None
    answer = read_answer(
        renewal.answer,
        endpoint=run.endpoint,
        transaction_id=renewal.transaction_id,
        nonces=frozenset({renewal.sender_nonce, renewal.poll_nonce}),
        old=run.old,
        at=renewal.received_at,
    )
    assert isinstance(answer, Issued)
    try:
        verified = _verified(run, answer, renewal.received_at)
    except NotTrusted as wrong:
        _distrust(run, answer, wrong)
    else:
        run.advance(State.VERIFIED, **verified)


def _issued(run: Run, raw: bytes, answer: Issued) -> None:
    """The answer is stored, and what its verification said with it: nothing outside happens between the two.

    One that is not to be trusted is stored before the token signs its rejection, which may need a PIN that is not there.
    """
    now = run.context.now()
    stored: dict[str, Any] = {
        "answer": raw,
        "received_at": now,
        "confirm_by": answer.confirm_by,
        "cert_req_id": answer.cert_req_id,
        "certificate": answer.certificate,
        "server_nonce": answer.server_nonce,
    }
    try:
        verified = _verified(run, answer, now)
    except NotTrusted as wrong:
        run.advance(State.ISSUED, **stored)
        _distrust(run, answer, wrong)
    else:
        run.advance((State.ISSUED, State.VERIFIED), **stored, **verified)


def _verified(run: Run, answer: Issued, received_at: datetime) -> dict[str, Any]:
    """What VERIFIED brings. Raises NotTrusted, also for what is no certificate at all."""
    from safetok.trust.answer import verify_answer

    renewal = run.renewal
    issuers, anchors = run.issuers, run.anchors
    try:
        new = certificates.parse(answer.certificate)
    except UsageError as error:
        raise NotTrusted(error.message, code=error.code, hint=error.hint) from error
    chain = verify_answer(
        new,
        old=run.old,
        spki=renewal.spki,
        issuers=issuers,
        anchors=anchors,
        extra=answer.extra,
        requested_not_after=renewal.requested_not_after,
        validity=validity_of(run),
        min_not_after=renewal.min_not_after,
        at=received_at,
    )
    return {"chain": tuple(c.der for c in chain[1:]), "receipt": _implicit(run, answer)}


def _distrust(run: Run, answer: Issued, wrong: SafetokError) -> None:
    """UNTRUSTED, with the certConf that rejects it."""
    fail_info = str(wrong.data.get("fail_info", "badDataFormat"))  # not even a certificate
    rejecting = signed_confirmation(run, answer.certificate, accept=False, fail_info=fail_info)
    run.advance(State.UNTRUSTED, reason=wrong.message, confirmation=rejecting)


def validity_of(run: Run) -> Validity:
    """`exact` or `ca`: the authority's word, else exact with an offer and ca without; p10cr cannot ask for a date."""
    if run.authority.request == "p10cr":
        return "ca"
    return run.authority.validity or ("exact" if run.renewal.contract_end_by == "offer" else "ca")


def _implicit(run: Run, answer: Issued) -> str:
    """Implicit confirmation counts only when the authority was told to give it; granted unasked, certConf is still sent."""
    return "implicit" if answer.implicit and run.authority.implicit_confirm else ""


def _waiting(run: Run, answer: Waiting) -> None:
    """PENDING until checkAfter. A first `waiting` names no time (RFC 9810 section 5.3.22): it is asked after at once."""
    due = run.context.now() + timedelta(seconds=answer.check_after)
    changes: dict[str, Any] = {"check_after": due, "server_nonce": answer.server_nonce, "poll": b""}
    changes["cert_req_id"] = answer.cert_req_id
    asked_before = run.renewal.state is State.PENDING
    if asked_before:
        run.update(**changes)
    else:
        run.advance(State.PENDING, **changes)
    if asked_before or answer.check_after > 0:
        raise _come_back(due, answer.text)


def _refused(run: Run, answer: Refused, times: int) -> None:
    """A refusal under the CA's signature ends a request sent once; after that it may be the echo of one that worked."""
    said = answer.said
    off = answer.fail_info == ("badTime",)
    late = off and run.renewal.state is State.REQUESTED  # no later time makes these bytes good
    if off and not late and times > run.renewal.sent_count:
        run.update(poll=b"", sent_count=times)  # nor these: the next question is a new one, and the doubt stays
        return
    if late and times == 1:
        signed = run.renewal.first_sent_at
        run.update(request=b"", sent_count=0)
        if signed is not None and run.context.now() - signed > FRESH:
            return  # it lay here while the CA could not be reached: its age is what is wrong, not the clock
        raise Held(
            Hold.CA_UNREACHABLE,
            CaUnreachable(
                _(
                    "The CA did not take the request: it finds the clock of this computer too far from its own ({why})."
                ).format(why=said.rstrip(".")),
                code="clock_off",
                hint=_(
                    "Set the date, time and time zone of this computer, then: safetok renew --resume. Nothing was issued; the "
                    "old certificate is intact."
                ),
            ),
        )
    if answer.temporary and not late:
        if times == run.renewal.sent_count:  # answered, and none was lost before it: the next one is a new one
            run.update(poll=b"")
        raise not_now(said)
    if times == 1:
        run.advance(State.REJECTED, reason=said, cleaned=run.renewal.key_plan == "same")
        return
    raise Held(
        Hold.ANSWER_LOST,
        PersonNeeded(
            _("The CA refuses a request that was sent {n} times: {why}. The certificate may have been issued.").format(
                n=times, why=said.rstrip(".")
            ),
            code="answer_lost",
            hint=_(
                "Give the CA this transaction number: {id}. Only if it has issued nothing by it: safetok renew --new-request"
            ).format(id=run.renewal.transaction_id.hex().upper()),
        ),
    )


def _come_back(due: datetime, text: str = "") -> Held:
    message = _("The CA is still working on it. Come back at {when}.").format(when=show_instant(due))
    return Held(
        Hold.PENDING,
        CaWait(
            f"{message} {text}".strip(), hint=_("Then: safetok renew --resume"), data={"check_after": due.isoformat()}
        ),
    )
