"""What must hold before a PIN is asked for: the CA is there, and the token could take a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.domain.authorities import Authority
from safetok.domain.companies import company_of
from safetok.domain.renewal import Renewal
from safetok.errors import CaUnreachable, NotTrusted, PersonNeeded
from safetok.locale import _
from safetok.workflows.renew.choose import Chosen, unfinished_of
from safetok.workflows.renew.eligibility import Eligible

if TYPE_CHECKING:
    from safetok.tokens.tokens import Session
    from safetok.workflows.context import Context

NEEDED_ON_TOKEN = 4096  # bytes: a certificate with its attributes; RSA key pairs need less than twice that


def reachable(context: Context, eligible: Eligible) -> None:
    """Before a PIN is asked for: does the CA answer at all? Any HTTP status will do; an offer has shown it already."""
    if eligible.offered:
        return
    try:
        context.http.ca("GET", eligible.authority.url, tls_ca=eligible.authority.tls_ca)
    except CaUnreachable as error:
        raise CaUnreachable(
            _("{ca} cannot be reached. No PIN was asked for, nothing was changed.").format(ca=eligible.authority.title),
            hint=_("Check the network and run it again later. ({why})").format(why=error.message),
            data={"authority": eligible.authority.name},
        ) from error


def nothing_meanwhile(context: Context, chosen: Chosen, *, lost: Renewal | None = None) -> None:
    """Called with the token held: what it was when it was read still stands. While a person read and answered, another run may
    have renewed this certificate, or begun to. Raises PersonNeeded (`renewed_meanwhile`, `renewal_running`).
    """
    from safetok.store.inventory import Inventory

    token, old = chosen.token, chosen.certificate
    running = unfinished_of(context, token.info.serial, old, ended_too=False)
    if running is not None and (lost is None or running.id != lost.id):
        raise PersonNeeded(
            _("A renewal of this token is unfinished ({id}).").format(id=running.id),
            code="renewal_running",
            hint=_("First finish it: safetok renew --resume"),
            token=token.info.serial,
        )
    read = {stored.certificate.sha256 for stored in token.certificates}
    newer = (
        kept.certificate
        for kept in Inventory(context.database).certificates(token.info.serial, gone=False)
        if kept.certificate.sha256 not in read and not token.unreadable
    )
    for one in newer:
        if company_of(one) == company_of(old) and one.not_before > old.not_before:
            raise PersonNeeded(
                _("Meanwhile a new certificate has come onto this token ({serial}). Nothing was done.").format(
                    serial=one.serial
                ),
                code="renewed_meanwhile",
                hint=_("No PIN was used. See what it holds now: safetok status"),
                token=token.info.serial,
                data={"new_serial": one.serial},
            )


def fit_to_write(session: Session, authority: Authority) -> None:
    """Raise NotTrusted (`write_protected`, `no_space`) for a token that could not take a certificate, before any PIN."""
    info = session.last_info
    if info.write_protected:
        raise NotTrusted(
            _("The USB token {serial} is write-protected: a new certificate cannot be written.").format(
                serial=info.serial
            ),
            code="write_protected",
            hint=_("No PIN was used. Ask {ca}.").format(ca=authority.title),
            token=info.serial,
        )
    if info.free_public is not None and info.free_public < NEEDED_ON_TOKEN:
        raise NotTrusted(
            _("The USB token {serial} has too little free memory for a second certificate ({n} bytes).").format(
                serial=info.serial, n=info.free_public
            ),
            code="no_space",
            hint=_("Nothing is deleted by itself. No PIN was used."),
            token=info.serial,
        )
