"""Is a certificate revoked or suspended, as its CA says now: asked before a renewal and by `--refresh`, and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.times import show_date
from safetok.errors import CertificateRevoked, NotChecked, SafetokError
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.certificates import Certificate
    from safetok.net import Http
    from safetok.workflows.context import Context
    from safetok.workflows.renew.request import RenewResult

LCS = "lcs-ca"  # whose notice of 20/03/2024 speaks of suspended certificates and invoices

_BAD = {RevocationAnswer.SUSPENDED, RevocationAnswer.REVOKED}


def ask_now(
    context: Context,
    certificate: Certificate,
    authority: Authority | None,
    *,
    http: Http | None = None,
    issuers: Sequence[Certificate] = (),
    fresh: bool = False,
) -> Revocation:
    """What OCSP or the CA's list says now, kept in the store. A dry run asks by GET and keeps nothing. With `fresh` no list counts
    that was fetched before.

    "Could not check" never takes the place of a suspension or revocation that the CA has announced before, nor does a list that
    is older than that: the earlier answer comes back then, with its own `checked_at`; so does the responder's "I do not know
    this certificate" where only a list, which names no good ones, is at hand. `issuers` are CA certificates at hand beside the
    authority's. Never raises for doubt.
    """
    from safetok.store.answers import Answers
    from safetok.store.settings import load_pem
    from safetok.trust.revocation import check

    answers = Answers(context.database)
    answer = check(
        certificate,
        issuers=[*(ca for path in authority.issuers for ca in load_pem(path)), *issuers] if authority else issuers,
        http=http or context.http,
        now=context.now(),
        private_addresses=authority.private_addresses if authority else False,
        cache=None if context.dry_run else context.settings.home.cache / "crl",
        fresh=fresh,
        random=context.random,
        post=not context.dry_run,
    )
    earlier = answers.revocation(certificate.sha256)
    if earlier is not None and _still_holds(earlier, answer):
        return earlier
    if not context.dry_run:
        answers.put_revocation(certificate.sha256, answer)
    return answer


def _still_holds(earlier: Revocation, answer: Revocation) -> bool:
    """Whether the CA's earlier word stands: a revocation while nobody answers, or beside a word that is older; "I do not know it"
    beside a mere list.
    """
    if answer.answer is RevocationAnswer.UNKNOWN:
        return earlier.answer in _BAD
    if earlier.produced_at is not None and answer.produced_at is not None and answer.produced_at < earlier.produced_at:
        return earlier.answer in _BAD
    disowned = earlier.answer is RevocationAnswer.UNKNOWN and earlier.source == "ocsp"
    return disowned and answer.answer is RevocationAnswer.GOOD and answer.source == "crl"


def before_renewal(context: Context, certificate: Certificate, authority: Authority | None) -> Revocation:
    """Go on only with a certificate that is neither revoked nor suspended. Could-not-check warns: the CA decides.

    Raises CertificateRevoked (13; codes `certificate_revoked`, `certificate_suspended`).
    """
    answer = ask_now(context, certificate, authority)
    if answer.answer in _BAD:
        raise revoked(certificate, authority, answer)
    if answer.answer is RevocationAnswer.UNKNOWN:
        context.prompter.warn(not_checked(answer).message)
    return answer


def after_renewal(context: Context, *results: RenewResult) -> None:
    """Ask for the old certificate of each renewal that is done once more, where its CA answered for it before: it may revoke it as
    it issues the new one, and agencies that have not learned the new one are signed for with the old. Warns of a revocation; no
    answer is no failure, and Ctrl-C ends the questions alone: what is done is told.
    """
    from safetok.domain.renewal import State
    from safetok.store.inventory import Inventory
    from safetok.store.journal import Journal

    with suppress(KeyboardInterrupt):
        for result in results:
            if result.state == State.DONE.value and result.renewal_id is not None:
                renewal = Journal(context.database).get(result.renewal_id)
                old = Inventory(context.database).parse(renewal.old_certificate)
                _once_more(context, old, context.settings.authorities.get(renewal.authority))


def _once_more(context: Context, old: Certificate, authority: Authority | None) -> None:
    from safetok.store.answers import Answers

    heard = Answers(context.database).revocation(old.sha256)
    if heard is None or heard.answer is not RevocationAnswer.GOOD:
        return
    try:
        answer = ask_now(context, old, authority, fresh=True)
    except SafetokError:  # the renewal is done, whatever hinders the question
        return
    if answer.answer in _BAD:
        context.prompter.warn(
            _("{ca} has taken the old certificate {serial} back: nothing is signed with it any more.").format(
                ca=authority.title if authority else old.issuer_name, serial=old.serial
            )
        )


def revoked(certificate: Certificate, authority: Authority | None, answer: Revocation) -> CertificateRevoked:
    """The refusal for a revoked or suspended certificate, in the words of the notices."""
    since = show_date(answer.since) if answer.since else "?"
    suspended = answer.answer is RevocationAnswer.SUSPENDED
    if suspended:
        message = _("The certificate has been SUSPENDED since {day}.").format(day=since)
        hint = _("Do not sign with this certificate; call {hotline}.").format(hotline=_hotline(authority))
    else:
        message = _(
            "The certificate was REVOKED on {day}: it can never be restored. safetok does not top it up."
        ).format(day=since)
        hint = _("Ask your CA what to do next: {hotline}.").format(hotline=_hotline(authority))
    if authority is not None and authority.name == LCS:
        from safetok.knowledge import load

        if not suspended:
            hint = _("LCS-CA: see its plan to go on: `safetok dossier show`; or call {hotline}.").format(
                hotline=_hotline(authority)
            )
        message = f"{message} {load.notices()['lcs_invoices'].text}"
    data = {
        "serial": certificate.serial,
        "answer": answer.answer.value,
        "reason": answer.reason,
        "since": answer.since.isoformat() if answer.since else None,
    }
    return CertificateRevoked(
        message,
        code="certificate_suspended" if suspended else "certificate_revoked",
        hint=hint,
        data=data | ({"authority": authority.name} if authority else {}),
    )


def not_checked(answer: Revocation) -> NotChecked:
    """What is said when nothing is known: never that the certificate is good."""
    return NotChecked(
        _("The revocation state could not be checked ({why}); do not take the certificate for valid.").format(
            why=answer.reason.rstrip(".")
        ),
        code="revocation_not_checked",
    )


def _hotline(authority: Authority | None) -> str:
    return (authority.contacts.hotline if authority else "") or _("your CA's hotline")
