"""What a CA is known by on this computer: its certificates and where it answers; without them no answer could be believed."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from safetok.domain.authorities import Authority
from safetok.domain.certificates import Certificate
from safetok.domain.times import show_instant
from safetok.errors import NotTrusted, PersonNeeded
from safetok.locale import _
from safetok.workflows.machine_clock import how_to_set

if TYPE_CHECKING:
    from safetok.ca.cmp.endpoint import Endpoint
    from safetok.workflows.context import Context


def ca_certificates(context: Context, authority: Authority) -> tuple[tuple[Certificate, ...], tuple[Certificate, ...]]:
    """The issuing CAs and the anchors that a new certificate is checked by. Raises PersonNeeded (`no_ca_certificates`) where the
    settings name none, UsageError (`bad_certificate_file`).
    """
    from safetok.store.settings import load_pem

    issuers = tuple(ca for path in authority.issuers for ca in load_pem(path))
    anchors = tuple(ca for path in authority.anchors for ca in load_pem(path))
    if not issuers or not anchors:
        raise PersonNeeded(
            _("safetok has no certificates of {ca} itself to check a new one by.").format(ca=authority.title),
            code="no_ca_certificates",
            hint=_(
                "Fetch them from the CA's own site and name the files in {file}: [authorities.{name}] issuers, anchors."
            ).format(file=context.settings.home.settings, name=authority.name),
            data={"authority": authority.name},
        )
    return issuers, anchors


def endpoint(authority: Authority, issuers: tuple[Certificate, ...]) -> Endpoint:
    """Where the CA answers and as whom. Raises UsageError for a `signer` file that cannot be used."""
    from safetok.ca.cmp.endpoint import endpoint_of
    from safetok.store.settings import load_pem

    signer = load_pem(authority.signer)[0] if authority.signer else None
    return endpoint_of(authority, issuers, signer)


_paths: dict[tuple[str, tuple[str, ...]], tuple[Certificate, ...]] = {}  # found in this run: a batch asks for every row


def _leads_up(issuer: Certificate, anchors: tuple[Certificate, ...], now: datetime) -> bool:
    """Whether a path from this issuer to these anchors was found before, and all of it is in force now."""
    path = _paths.get((issuer.sha256, tuple(anchor.sha256 for anchor in anchors)), ())
    return bool(path) and all(link.not_before <= now <= link.not_after for link in path)


def checkable(context: Context, authority: Authority) -> None:
    """An answer of this CA, and a new certificate in it, could be believed: what nobody could check is not asked for."""
    from safetok.trust.path import build_path

    issuers, anchors = ca_certificates(context, authority)
    endpoint(authority, issuers)
    now, helping = context.now(), [issuer.der for issuer in issuers]
    for issuer in issuers:
        if not issuer.not_before <= now <= issuer.not_after:
            continue
        if issuer in anchors or _leads_up(issuer, anchors, now):
            return
        with suppress(NotTrusted):
            path = build_path(issuer, intermediates=helping, anchors=anchors, at=now)
            _paths[issuer.sha256, tuple(anchor.sha256 for anchor in anchors)] = path
            return
    text = _("A new certificate of {ca} could not be checked: none of its issuing certificates leads to a root now.")
    hint = _("Put right what {file} names: [authorities.{name}] issuers, anchors. No PIN was asked for.").format(
        file=context.settings.home.settings, name=authority.name
    )
    if not any(issuer.not_before <= now <= issuer.not_after for issuer in issuers):
        text = _(
            "A new certificate of {ca} could not be checked: by this computer's clock ({now}) none of its issuing "
            "certificates is valid."
        )
        hint = _("{set} If it is right: {otherwise}").format(set=how_to_set(), otherwise=hint)
    raise PersonNeeded(
        text.format(ca=authority.title, now=show_instant(now)),
        code="no_path",
        hint=hint,
        data={"authority": authority.name},
    )
