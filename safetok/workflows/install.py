"""`certs install FILE`: a certificate that came by mail, checked like a CA's answer, written beside the old one and proven."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from safetok.domain.companies import company_of
from safetok.domain.renewal import ENDS, Renewal, State
from safetok.domain.times import show_date
from safetok.errors import NoToken, NotTrusted, PersonNeeded, SeveralTokens, UsageError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows.context import free_space
from safetok.workflows.csr import authority_known
from safetok.workflows.pins import PinSource, log_in
from safetok.workflows.pulled_out import no_token_once_pulled_out
from safetok.workflows.renew.choose import unfinished_of
from safetok.workflows.renew.engine import carry_on
from safetok.workflows.renew.ready import fit_to_write
from safetok.workflows.renew.request import RenewRequest, RenewResult
from safetok.workflows.renew.start import ended, resume_one, run_of

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.certificates import Certificate
    from safetok.domain.tokens import Reading
    from safetok.tokens.tokens import Tokens
    from safetok.workflows.context import Context

_PAST_WAITING = {State.VERIFIED, State.WRITTEN, State.PROVEN, State.ACKNOWLEDGED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a certificate belongs: a token, the certificate it follows, and the renewal that asked for it, if it was safetok's."""

    token_serial: str
    old: Certificate
    renewal: Renewal | None


def install(
    context: Context,
    file: Path,
    *,
    pin: PinSource,
    serial: str | None = None,
    min_not_after: datetime | None = None,
) -> RenewResult:
    """Write the certificate in `file` (PEM, DER, PKCS#7, the CA's own certificates may be with it) to the token with its key.

    The file is checked before any PIN, by every check of a CA's answer; a file that fails changes nothing, and a request
    that waits goes on waiting. Then: written beside the old one, read back byte for byte, a test signature, registrations
    opened. One that is on the token already is proven and its renewal finished; without one there is nothing to do.
    Raises UsageError (2), NoToken (3), SeveralTokens (4), NotTrusted (10), PersonNeeded (11: `authority_unknown`,
    `no_ca_certificates`, `renewal_running`), and what logging in and writing raise.
    """
    from safetok.store.appearances import Appearances
    from safetok.store.inventory import Inventory
    from safetok.store.pem import load_pem
    from safetok.workflows.check import after_renewal

    found = load_pem(file)
    with context.tokens() as tokens:
        reading = tokens.read(session_follows=True)
        if not context.dry_run:
            Inventory(context.database).record(reading, context.now())
        new, place = _find_place(context, found, reading, serial)
        request = RenewRequest(pin=pin)
        if place.renewal is not None and place.renewal.state in _PAST_WAITING:
            if place.renewal.certificate != new.der:
                raise _running(place.renewal)
            if context.dry_run:
                return _result(place, new, "WOULD_INSTALL", _would())
            result = resume_one(context, place.renewal, request, tokens)
            after_renewal(context, result)
            return result
        if place.renewal is None and _is_there(reading, place.token_serial, new):
            said = _("This certificate is on the token already, and nothing is left to install.")
            if Appearances(context.database).waiting(sha256=new.sha256):
                said = _("This certificate is on the token already. Take it over with: safetok certs adopt")
            return _result(place, new, "NOTHING_DUE", said)
        authority = authority_known(place.old, context.settings)
        floor = min_not_after or (place.renewal.min_not_after if place.renewal else None)
        chain = _verify(context, new, place, authority, found=found, floor=floor)
        free_space(context)
        _tell(context, new, place)
        if context.dry_run:
            return _result(place, new, "WOULD_INSTALL", _would())
        result = _write(context, tokens, place, authority, request=request, chain=chain)
    after_renewal(context, result)
    return result


def _find_place(
    context: Context, found: tuple[Certificate, ...], reading: Reading, serial: str | None
) -> tuple[Certificate, Place]:
    """Which of the certificates in the file belongs to which token: by a request that waits, else by the key on a token."""
    from safetok.store.journal import Journal

    own = [one for one in found if not one.is_ca]
    if not own:
        raise UsageError(
            _("The file holds certificates of CAs only, none of a subscriber."), code="no_subscriber_certificate"
        )
    waiting = [r for r in Journal(context.database).unfinished(serial) if r.state not in ENDS]
    for renewal in waiting:
        for one in own:
            if renewal.route == "csr" and renewal.spki == one.spki:
                return one, Place(token_serial=renewal.token_serial, old=_parsed(renewal), renewal=renewal)
    places = [
        (one, Place(token_serial=token, old=old, renewal=None))
        for one in own
        for token, old in _by_key(context, reading, one)
    ]
    if serial is not None:
        places = [(one, place) for one, place in places if place.token_serial == serial.strip()]
    if not places:
        raise NoToken(
            _("No USB token plugged in holds a certificate with this one's key ({name}, serial {serial}).").format(
                name=own[0].subject_name, serial=own[0].serial
            ),
            code="key_not_in",
            hint=_("Plug in the right token. A key made elsewhere can only be finished where it was asked for."),
        )
    if len({place.token_serial for _one, place in places}) > 1:
        raise SeveralTokens(
            _("{n} USB tokens hold this certificate's key.").format(n=len(places)),
            hint=_("Choose one with --serial. Nothing was done."),
            data={"choices": [{"token": place.token_serial, "cert": one.serial} for one, place in places]},
        )
    one, place = max(places, key=lambda pair: pair[0].not_after)
    running = unfinished_of(context, place.token_serial, place.old, ended_too=False)
    if running is not None:
        raise _running(running)
    return one, place


def _running(renewal: Renewal) -> PersonNeeded:
    return PersonNeeded(
        _("A renewal of this token is unfinished ({id}).").format(id=renewal.id),
        code="renewal_running",
        hint=_("First finish it: safetok certs install FILE, with the file of its own request")
        if renewal.by_mail
        else _("First finish it: safetok renew --resume"),
        token=renewal.token_serial,
    )


def _by_key(context: Context, reading: Reading, new: Certificate) -> list[tuple[str, Certificate]]:
    """Each token plugged in that holds, or once held, a certificate of the same key, and the latest that `new` may follow."""
    from safetok.store.inventory import Inventory

    inventory = Inventory(context.database)
    found: list[tuple[str, Certificate]] = []
    for token in reading.tokens:
        if token.info.readable_only:
            continue
        seen = [s.certificate for s in token.certificates]
        seen += [kept.certificate for kept in inventory.certificates(token.info.serial)]
        same = [one for one in seen if one.spki == new.spki and not one.is_ca]
        before = [one for one in same if one.sha256 != new.sha256] or same
        if before:
            own = [one for one in before if company_of(one) == company_of(new)] or before
            found.append((token.info.serial, max(own, key=lambda one: (one.not_before, one.not_after))))
    return found


def _is_there(reading: Reading, token_serial: str, new: Certificate) -> bool:
    return any(
        stored.certificate.sha256 == new.sha256
        for token in reading.tokens
        if token.info.serial == token_serial
        for stored in token.certificates
    )


def _verify(
    context: Context,
    new: Certificate,
    place: Place,
    authority: Authority,
    *,
    found: tuple[Certificate, ...],
    floor: datetime | None,
) -> tuple[Certificate, ...]:
    from safetok.trust.answer import verify_answer
    from safetok.workflows.renew.believing import ca_certificates

    issuers, anchors = ca_certificates(context, authority)
    try:
        return verify_answer(
            new,
            old=place.old,
            spki=place.renewal.spki if place.renewal else place.old.spki,
            issuers=issuers,
            anchors=anchors,
            extra=[one.der for one in found if one.sha256 != new.sha256],
            requested_not_after=None,
            validity="ca",
            min_not_after=floor,
            at=context.now(),
        )
    except NotTrusted as error:
        error.token = place.token_serial
        error.data["authority"] = authority.name
        raise


def _write(
    context: Context,
    tokens: Tokens,
    place: Place,
    authority: Authority,
    *,
    request: RenewRequest,
    chain: tuple[Certificate, ...],
) -> RenewResult:
    """Log in, put what was verified into the journal, and carry on from there like any renewal."""
    from safetok.store.journal import Journal

    journal, now, new = Journal(context.database), context.now(), chain[0]
    with no_token_once_pulled_out(), tokens.session(place.token_serial) as session:
        fit_to_write(session, authority)
        log_in(context, session, request.pin, name=new.subject_name, authority=authority)
        session.private_key(new.spki)
        with context.database.transaction():
            row = place.renewal or journal.create(_row(context, place, authority, new))
            states = [State.ISSUED, State.VERIFIED]
            if row.state in {State.CONFIRMED, State.KEY_MADE}:
                states.insert(0, State.REQUESTED)
            row = journal.advance(
                row,
                states,
                now=now,
                hold=None,
                reason="",
                spki=new.spki,
                certificate=new.der,
                chain=tuple(link.der for link in chain[1:]),
                received_at=now,
            )
        run = run_of(context, row, request, tokens)
        run.lend(session)
        return ended(context, carry_on(run))


def _row(context: Context, place: Place, authority: Authority, new: Certificate) -> Renewal:
    """A certificate that the CA sent without a request of safetok's: same key, nothing asked for."""
    now, identity = context.now(), context.random(4).hex()
    return Renewal(
        id=identity,
        token_serial=place.token_serial,
        authority=authority.name,
        state=State.CONFIRMED,
        created_at=now,
        updated_at=now,
        route="csr",
        old_certificate=place.old.der,
        old_serial=place.old.serial,
        mst=new.mst,
        spki=new.spki,
        key_label=f"safetok {identity}",
    )


def _tell(context: Context, new: Certificate, place: Place) -> None:
    say = context.prompter.say
    say(_("Company: {name}").format(name=new.subject_name))
    say(f"MST: {new.mst or '?'}")
    say(f"Token ID: {place.token_serial}")
    say(
        _("Serial {old} -> {new}, valid {start} to {end}").format(
            old=place.old.serial, new=new.serial, start=show_date(new.not_before), end=show_date(new.not_after)
        )
    )


def _would() -> str:
    return _("Dry run: the certificate passed every check and would be written. Nothing was written, no PIN was used.")


def _result(place: Place, new: Certificate, state: str, said: str) -> RenewResult:
    return RenewResult(
        token=place.token_serial,
        state=state,
        name=new.subject_name,
        old_serial=place.old.serial,
        new_serial=new.serial,
        not_before=new.not_before,
        not_after=new.not_after,
        renewal_id=place.renewal.id if place.renewal else None,
        reasons=(said,),
    )


def _parsed(renewal: Renewal) -> Certificate:
    from safetok.domain.certificates import parse

    return parse(renewal.old_certificate)
