"""Which token and which of its certificates a command is about: one that fits is taken, of several the person chooses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safetok.domain.certificates import Certificate, parse, same_serial
from safetok.domain.companies import company_of, plain_mst
from safetok.domain.renewal import ENDS, Renewal
from safetok.domain.times import show_date
from safetok.domain.tokens import KeyPresence, Reading, StoredCertificate, TokenReading
from safetok.errors import DriverFailed, NoToken, SeveralTokens
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows.nothing_found import nothing_on

if TYPE_CHECKING:
    from safetok.workflows.context import Context


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """One token, its certificate to sign with, and the newer one that stands beside it, if any."""

    token: TokenReading
    stored: StoredCertificate
    newer: StoredCertificate | None = None

    @property
    def certificate(self) -> Certificate:
        return self.stored.certificate


def unfinished_of(
    context: Context, token_serial: str, certificate: Certificate, *, ended_too: bool = True
) -> Renewal | None:
    """The renewal under way of this certificate's company on this token: the one to carry on with, whichever of the company's
    certificates it began from. A token may hold several companies'. Without `ended_too` none that only waits to be cleaned up.
    """
    from safetok.store.journal import Journal

    waiting = [one for one in Journal(context.database).unfinished(token_serial) if ended_too or one.state not in ENDS]
    return next((one for one in waiting if company_of(parse(one.old_certificate)) == company_of(certificate)), None)


def choose(context: Context, reading: Reading, *, serial: str | None, cert: str | None, mst: str | None) -> Chosen:
    """The token and certificate meant. Raises NoToken (3), SeveralTokens (4), DriverFailed (17) and, for a token without a
    certificate, PersonNeeded (11, `not_activated`).
    """
    tokens = [t for t in reading.tokens if serial is None or t.info.serial == serial.strip()]
    if not tokens:
        raise no_token(reading, serial)
    if serial is not None and not tokens[0].certificates:
        raise nothing_on(tokens)
    found = [c for token in tokens for c in _candidates(token) if _fits(c, cert, mst)]
    if not found:
        if (cert is None and mst is None) or any(token.unread for token in tokens):
            raise nothing_on(tokens)
        raise NoToken(
            _("No token plugged in holds that certificate."),
            code="certificate_not_in",
            hint=_("See what is plugged in: safetok certs list"),
        )
    if len(found) == 1:
        return found[0]
    if not context.prompter.interactive:
        raise SeveralTokens(
            _("{n} certificates fit and none was chosen.").format(n=len(found)),
            hint=_("Choose one with --serial (the token's), --mst or --cert. Nothing was done."),
            data={"choices": [_choice_data(c) for c in found]},
        )
    in_ = len({c.token.info.serial for c in found})
    question = (
        _("{n} USB tokens are plugged in. Choose the company (safetok opens only the token chosen):").format(n=in_)
        if in_ > 1
        else _("{count} certificates fit. Which one?").format(count=len(found))
    )
    return found[context.prompter.choose(question, [_choice_text(c) for c in found])]


def _candidates(token: TokenReading) -> Sequence[Chosen]:
    """One for each company on a token: its latest certificate; an earlier one of the same company is not asked about."""
    latest: dict[str, StoredCertificate] = {}
    for stored in sorted(
        (s for s in token.certificates if not s.certificate.is_ca),
        key=lambda s: (s.key is not KeyPresence.ABSENT, s.certificate.not_before, s.certificate.not_after),
    ):
        latest[company_of(stored.certificate)] = stored
    chosen = [Chosen(token=token, stored=stored) for stored in latest.values()]
    for stored in token.certificates:
        newest = latest.get(company_of(stored.certificate))
        if newest is not None and newest is not stored:
            chosen.append(Chosen(token=token, stored=stored, newer=newest))
    return chosen


def _fits(chosen: Chosen, cert: str | None, mst: str | None) -> bool:
    if cert is not None:
        return same_serial(cert, chosen.certificate)
    if chosen.newer is not None:
        return False
    return mst is None or plain_mst(chosen.certificate.mst or "") == plain_mst(mst)


def _choice_text(chosen: Chosen) -> str:
    certificate = chosen.certificate
    return _("{name} · MST {mst} · Token ID {serial} · until {day}").format(
        name=certificate.subject_name,
        mst=certificate.mst or "?",
        serial=chosen.token.info.serial,
        day=show_date(certificate.not_after),
    )


def _choice_data(chosen: Chosen) -> dict[str, str | None]:
    return {"token": chosen.token.info.serial, "cert": chosen.certificate.serial, "mst": chosen.certificate.mst}


def no_token(reading: Reading, serial: str | None) -> NoToken | DriverFailed:
    """The error where no token, or not the one named, is in."""
    from safetok.workflows import tokens as token_views

    if serial is not None:
        return NoToken(
            _("Token {serial} is not plugged in.").format(serial=serial),
            code="token_not_in",
            hint=_("Plug in the right token, then run it again; see which are in: safetok tokens"),
            token=serial,
        )
    if reading.failed and not reading.drivers:
        return token_views.driver_failed(reading.failed[0], reading)
    return token_views.no_token(reading)
