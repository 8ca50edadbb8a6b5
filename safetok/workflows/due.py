"""What a person should do next, and by which command: from tokens, certificates, renewals and registrations as they stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from safetok.domain.agencies import is_24h
from safetok.domain.authorities import PinPolicy
from safetok.domain.campaign import CampaignAnswer
from safetok.domain.companies import company_of, other_person
from safetok.domain.renewal import Hold
from safetok.domain.times import show_date, show_day, show_instant
from safetok.domain.tokens import PinState
from safetok.domain.validity import Validity
from safetok.errors import (
    ExitStatus,
)
from safetok.locale import _
from safetok.workflows.overview import Due
from safetok.workflows.tokens import pin_needs_care

if TYPE_CHECKING:
    from safetok.domain.renewal import Renewal
    from safetok.workflows.adopt import Appeared
    from safetok.workflows.certs import CertificateView
    from safetok.workflows.overview import RegistrationView, Status
    from safetok.workflows.tokens import TokenView


AFTERWARDS = "safetok status"  # what to run once the vendor's own program has done it
_ENDING = {Validity.EXPIRING, Validity.EXPIRED}
LCS = "lcs-ca"  # whose notice of 20/03/2024 speaks of suspended certificates and invoices


def due(status: Status) -> tuple[Due, ...]:
    """Everything to do, the most pressing first."""
    several = len(status.tokens) > 1
    unfinished = {(renewal.token_serial, renewal.old_serial) for renewal in status.unfinished}
    brought = {
        renewal.certificate for renewal in status.unfinished
    }  # what each is about to make of them it says itself
    found = [one for renewal in status.unfinished for one in _renewal(renewal, status)]
    for token in status.tokens:
        found += _pin(token)
    arrived = {one.new.sha256 for one in status.appeared}
    found += [_appeared(one) for one in status.appeared]
    for token in status.tokens:
        if token.info.readable_only:  # it cannot be chosen by a serial, so there is no command to name
            continue
        for view in token.certificates:
            one = view.certificate
            if view.current and (token.info.serial, one.serial) not in unfinished and one.der not in brought:
                renew = _renew(view, token, several=several)
                found += _certificate(view, renew=renew, arrived=one.sha256 in arrived)
    found += registrations_due(status.registrations)
    return tuple(sorted(found, key=lambda one: _ORDER.index(one.code)))


_ORDER = (
    "renewal_unfinished",
    "certificate_revoked",
    "certificate_suspended",
    "pin_locked",
    "pin_final_try",
    "new_certificate",
    "waits_for_mail",
    "dossier_missing",
    "offer",
    "owed",
    "ask_the_ca",
    "contract_end_unknown",
    "contract_over",
    "expired",
    "expiring",
    "due_check",
    "rejected",
    "registrations_open",
)


def _renewal(renewal: Renewal, status: Status) -> Iterator[Due]:
    if renewal.id in status.under_way or (renewal.hold is Hold.PENDING and renewal.waits_until(status.now) is not None):
        return
    name = status.names.get(renewal.old_serial) or renewal.old_serial
    if renewal.by_mail:
        text = _("The request of {name} (Token ID {token}) waits for the certificate that the CA sends by mail.")
        yield Due(
            code="waits_for_mail",
            text=text.format(name=name, token=renewal.token_serial),
            command=_("safetok certs install FILE"),
            token=renewal.token_serial,
            cert=renewal.old_serial,
            name=name,
            mst=renewal.mst,
        )
        return
    hold = renewal.hold
    if hold is Hold.NEED_TOKEN and any(token.info.serial == renewal.token_serial for token in status.tokens):
        hold = None  # it is in again
    text = _("The top-up of {name} is not finished (Token ID {token}): {why}.")
    yield Due(
        code="renewal_unfinished",
        text=text.format(name=name, token=renewal.token_serial, why=_hold(hold)),
        command="safetok renew --resume",
        token=renewal.token_serial,
        cert=renewal.old_serial,
        name=name,
        mst=renewal.mst,
    )


def _hold(hold: Hold | None) -> str:
    words = {
        Hold.NEED_TOKEN: _("it needs its token"),
        Hold.NEED_PIN: _("it needs the PIN"),
        Hold.NEED_SPACE: _("the token has no space left"),
        Hold.NEED_WRITE: _("the token could not be written"),
        Hold.CA_UNREACHABLE: _("the CA could not be reached"),
        Hold.ANSWER_LOST: _("the CA's answer was lost"),
        Hold.PENDING: _("the CA said to come back later"),
    }
    return words[hold] if hold else _("it was interrupted")


def _pin(token: TokenView) -> Iterator[Due]:
    state, serial = token.info.pin_state, token.info.serial
    authority = next((view.authority for view in token.certificates if view.authority), None)
    counted = token.tries >= (authority.pin_policy if authority else PinPolicy()).tries - 1
    if not pin_needs_care(state) and not counted:
        return
    command = f"safetok contacts {authority.name}" if authority else "safetok contacts"
    whose = f"{token.company} (Token ID {serial})" if token.company else f"Token ID {serial}"
    if state is PinState.LOCKED:
        text = _("The PIN of the USB token is locked. Token ID {serial}.").format(serial=serial)
        if authority and authority.contacts.unlock:
            text = _("The PIN of the USB token is locked. Token ID {serial}. {ca}: {how}.").format(
                serial=serial, ca=authority.title, how=authority.contacts.unlock
            )
        yield Due(
            code="pin_locked",
            text=text,
            command=command,
            exit_status=ExitStatus.PIN_LOCKED,
            token=serial,
            name=whose,
        )
    else:
        text = _("THERE MAY BE ONLY ONE TRY LEFT for the PIN of token {serial}. One more wrong PIN locks it.")
        if state is not PinState.FINAL_TRY:
            text = _(
                "THERE MAY BE ONLY ONE TRY LEFT for the PIN of token {serial}: safetok counted {n} that failed, and tries no "
                "more. Ask the person who holds the PIN; whoever is certain of it adds --force-last-try."
            )
        yield Due(
            code="pin_final_try",
            text=text.format(serial=serial, n=token.tries),
            command=command,
            exit_status=ExitStatus.PIN_LOCKED,
            token=serial,
            name=whose,
        )


def _appeared(appeared: Appeared) -> Due:
    new, old = appeared.new, appeared.old
    text = _("A new certificate of {name} is there: Serial {old} -> {new}, valid until {day}.")
    return Due(
        code="new_certificate",
        text=text.format(name=new.subject_name, old=old.serial, new=new.serial, day=show_date(new.not_after)),
        command="safetok certs adopt",
        token=appeared.token_serial,
        cert=new.serial,
        name=new.subject_name,
        mst=new.mst,
    )


def _renew(view: CertificateView, token: TokenView, *, several: bool) -> str:
    """The command that tops this certificate up and no other: of this token, of this company, of this person."""
    words = ["safetok renew", *([f"--serial {view.token}"] if several else [])]
    own = view.certificate
    beside = [one.certificate for one in token.certificates if one.current]
    if any(company_of(one) == company_of(own) and other_person(one, own) for one in beside):
        words.append(f"--cert {own.serial}")
    elif len(token.companies) > 1:
        words.append(f"--mst {mst}" if (mst := view.certificate.mst) else f"--cert {view.certificate.serial}")
    return " ".join(words)


def _certificate(view: CertificateView, *, renew: str, arrived: bool) -> Iterator[Due]:
    """One current certificate: at most one thing to do for it."""
    if view.bad:
        yield _not_good(view)
    elif view.refused and not arrived:
        yield from _refused(view, renew)
    elif not arrived:
        yield from _to_top_up(view, renew)


def _to_top_up(view: CertificateView, renew: str) -> Iterator[Due]:
    certificate, answer = view.certificate, view.campaign.answer
    name, day = certificate.subject_name, show_date(certificate.not_after)
    ends = view.state in _ENDING
    asked = view.offer is not None
    may_ask = not asked and view.authority is not None and bool(view.authority.offers_url)
    call = _call(view)
    remark = ""
    if view.offer is not None and view.offer.exists:
        code, command = "offer", renew
        text = _(
            "There is a top-up offer for {name}. The contract end is shown after the PIN and the acceptance."
        ).format(name=name)
    elif answer is CampaignAnswer.YES and not asked:
        code, command, remark = "owed", *_way(view, renew)
        text = _("The certificate of {name} ends on {day} and is owed time: contract until {end}.").format(
            name=name, day=day, end=show_day(view.contract_end) if view.contract_end else ""
        )
    elif ends and may_ask:
        code, command = "ask_the_ca", renew
        text = _("The certificate of {name} ends on {day}; {ca} has not been asked yet whether time is owed.")
        text = text.format(name=name, day=day, ca=view.authority.title if view.authority else "")
    elif answer is CampaignAnswer.UNKNOWN and ends:
        stating = _("{renew} --contract-end DD/MM/YYYY").format(renew=renew)
        code, command, remark = "contract_end_unknown", *((call, "") if asked else _way(view, stating))
        text = _(
            "The certificate of {name} ends on {day}. Issued before 06/02/2025, contract end not known: read the contract."
        ).format(name=name, day=day)
    elif answer is CampaignAnswer.OVER and ends:
        code, command, text = "contract_over", call, _over(view)
    elif view.state is Validity.EXPIRED:
        code, command = "expired", call
        text = _("The certificate of {name} expired on {day}.").format(name=name, day=day)
    elif view.state is Validity.EXPIRING:
        code, command = "expiring", call
        text = _("The certificate of {name} ends on {day}: {count} days left.").format(
            name=name, day=day, count=view.days_left
        )
    else:
        return
    yield Due(
        code=code,
        text=text,
        command=command,
        token=view.token,
        cert=certificate.serial,
        name=name,
        mst=certificate.mst,
        remark=remark,
    )


def _refused(view: CertificateView, renew: str) -> Iterator[Due]:
    """An offer that the CA has refused to the token itself."""
    certificate, authority = view.certificate, view.authority
    if view.refused == "contract_over":
        if view.state not in _ENDING:
            return
        code, command, text = "contract_over", _call(view), _over(view)
    else:
        code, command = "dossier_missing", _call(view)
        text = _("{ca} holds the top-up of {name} back: the dossier (on paper) is not complete. Once it is: {renew}")
        text = text.format(name=certificate.subject_name, ca=authority.title if authority else "", renew=renew)
        if authority is not None and authority.dossier_lookup:
            step = "show" if view.dossier_open else "start --case papers-missing"
            command = f"safetok dossier {step} --cert {certificate.serial}"
    yield Due(
        code=code,
        text=text,
        command=command,
        token=view.token,
        cert=certificate.serial,
        name=certificate.subject_name,
        mst=certificate.mst,
    )


def _call(view: CertificateView) -> str:
    """Whom to ask about a certificate; of an unknown CA, what the certificate itself says."""
    return (
        f"safetok contacts {view.authority.name}" if view.authority else f"safetok certs show {view.certificate.serial}"
    )


def _way(view: CertificateView, renew: str) -> tuple[str, str]:
    """The command that tops up, and what is said beside it: where no endpoint is published, the vendor's program does it."""
    if view.authority is None or view.authority.has_endpoint:
        return renew, ""
    from safetok.knowledge import load

    return AFTERWARDS, load.notices()["manager"].text


def _over(view: CertificateView) -> str:
    name = view.certificate.subject_name
    if view.contract_end is None:
        text = _("The contract of {name} is over: no time is left to top up. To go on, the service is renewed.")
        return text.format(name=name)
    text = _("The contract of {name} ended on {day}: no time is left to top up. To go on, the service is renewed.")
    return text.format(name=name, day=show_day(view.contract_end))


def _not_good(view: CertificateView) -> Due:
    revocation, name = view.revocation, view.certificate.subject_name
    day = show_date(revocation.since) if revocation and revocation.since else "?"
    if view.state is Validity.REVOKED:
        code = "certificate_revoked"
        text = _(
            "The certificate of {name} was REVOKED on {day}: it can never be restored. safetok does not top it up."
        )
    else:
        code = "certificate_suspended"
        text = _("The certificate of {name} is SUSPENDED since {day}. Do not sign with it.")
    remark = ""
    if view.authority is not None and view.authority.name == LCS:
        from safetok.knowledge import load

        remark = load.notices()["lcs_invoices"].text
    return Due(
        code=code,
        text=text.format(name=name, day=day),
        command=f"safetok contacts {view.authority.name}" if view.authority else "safetok contacts",
        exit_status=ExitStatus.REVOKED,
        token=view.token,
        cert=view.certificate.serial,
        name=name,
        remark=remark,
    )


def registrations_due(registrations: tuple[RegistrationView, ...]) -> Iterator[Due]:
    """Each timer that is over and each rejection by itself; what is open, together for each certificate."""
    still_open: dict[str, list[RegistrationView]] = {}
    for view in registrations:
        row = view.registration
        which = f" --cert {row.certificate}"
        if view.standing == "due_check":
            text = (
                _("{agency}, {name}: the 24h00 are over ({until}). Check there, then record accepted or reject.")
                if is_24h(row)
                else _("{agency}, {name}: the wait is over ({until}). Check there, then record accepted or reject.")
            )
            yield Due(
                code="due_check",
                text=text.format(agency=view.title, name=view.name, until=show_instant(row.until) if row.until else ""),
                command=f"safetok agencies accepted {row.agency}{which}",
                cert=row.certificate,
                name=view.name,
            )
        elif view.standing == "rejected":
            text = _("{agency} rejected the certificate of {name}.")
            if row.reason:
                text = _("{agency} rejected the certificate of {name}: {reason}")
            yield Due(
                code="rejected",
                text=text.format(agency=view.title, name=view.name, reason=row.reason),
                command=f"safetok agencies list{which}",
                exit_status=ExitStatus.REGISTRATIONS_OPEN,
                cert=row.certificate,
                name=view.name,
            )
        elif view.standing == "open":
            still_open.setdefault(row.certificate, []).append(view)
    for serial, views in still_open.items():
        text = _("{name}: {count} agencies do not know the new certificate {serial} yet (mandatory).")
        yield Due(
            code="registrations_open",
            text=text.format(name=views[0].name, count=len(views), serial=serial),
            command=f"safetok agencies list --cert {serial}",
            exit_status=ExitStatus.REGISTRATIONS_OPEN,
            cert=serial,
            name=views[0].name,
            mst=views[0].registration.mst,
        )
