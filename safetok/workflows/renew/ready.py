"""What must hold before a PIN is asked for: the CA is there, and the token could take a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetok.domain.authorities import Authority
from safetok.errors import CaUnreachable, NotTrusted
from safetok.locale import _
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
