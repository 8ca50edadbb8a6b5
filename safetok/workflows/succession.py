"""Which certificate follows which, and whether one is news that agencies and the client must hear of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from safetok.domain.renewal import FRUITLESS
from safetok.domain.times import show_date
from safetok.domain.validity import Validity, validity
from safetok.errors import CertificateRevoked, PersonNeeded
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate
    from safetok.workflows.context import Context


def predecessor(context: Context, new: Certificate) -> Certificate | None:
    """The certificate that `new` followed: by the renewal that brought it, by what was adopted, else the company's one before
    on the same token.
    """
    from safetok.domain.companies import company_of
    from safetok.store.appearances import Appearances
    from safetok.store.inventory import Inventory
    from safetok.store.journal import Journal

    inventory = Inventory(context.database)
    renewal = Journal(context.database).renewed_from(new.sha256)
    if renewal is not None:
        return inventory.parse(renewal.old_certificate)
    replaced = Appearances(context.database).replaced_by(new.sha256)
    if replaced is not None and (found := inventory.certificate(replaced)) is not None:
        return found
    tokens = {one.token_serial for one in inventory.by_serial(new.serial) if one.token_serial}
    beside = [one.certificate for token in tokens for one in inventory.certificates(token)]
    return before(context, [one for one in beside if company_of(one) == company_of(new) and not one.is_ca], new)


def before(context: Context, certificates: Iterable[Certificate], new: Certificate) -> Certificate | None:
    """The one among a company's certificates that `new` follows; one whose renewal came to nothing was never in use."""
    from safetok.domain import certificates as known

    return known.before([one for one in certificates if not _failed(context, one)], new)


def successor(context: Context, certificate: Certificate) -> Certificate | None:
    """The newest certificate that has taken this one's place, also over others between them; None where there is none.

    One on another token that nobody has yet said to replace it, and one whose renewal failed, are none.
    """
    from safetok.domain.companies import company_of
    from safetok.store.appearances import Appearances
    from safetok.store.inventory import Inventory

    unsaid = {one.sha256 for one in Appearances(context.database).waiting() if one.replaced_token}
    family = {
        one.certificate.sha256: one.certificate
        for one in Inventory(context.database).by_company(company_of(certificate))
    }
    line, found = {certificate.sha256}, None
    for one in sorted(family.values(), key=lambda one: (one.not_before, one.not_after)):
        if one.not_before <= certificate.not_before or one.sha256 in unsaid or _failed(context, one):
            continue
        followed = predecessor(context, one)
        if followed is not None and followed.sha256 in line:
            line.add(one.sha256)
            found = one
    return found


def _failed(context: Context, certificate: Certificate) -> bool:
    """Whether it came by a renewal that did not end well: the CA took it back, or it was not believed; unless a person has taken
    it over since.
    """
    from safetok.store.appearances import Appearances
    from safetok.store.journal import Journal

    renewal = Journal(context.database).renewed_from(certificate.sha256)
    fruitless = renewal is not None and renewal.state in FRUITLESS
    return fruitless and Appearances(context.database).settled(certificate.sha256) != "adopted"


def check_news(context: Context, new: Certificate, old: Certificate | None) -> None:
    """What goes to the client says that agencies must learn a new certificate: raise where that is not so."""
    from safetok.store.registrations import Registrations

    serial, name = new.serial, new.subject_name
    plain = _("The files of this certificate alone: safetok export --cert {serial}").format(serial=serial)
    check_in_use(context, new, plain=plain)
    if old is None and not Registrations(context.database).list(certificate=new.sha256):
        raise PersonNeeded(
            _(
                "Certificate {serial} of {name} follows no other that safetok knows: there is nothing new to tell."
            ).format(serial=serial, name=name),
            code="nothing_new",
            hint=_(
                "To top it up: safetok renew. Topped up elsewhere already: safetok certs adopt --cert {serial}. {plain}"
            ).format(serial=serial, plain=plain),
        )


def check_in_use(context: Context, certificate: Certificate, *, plain: str = "") -> None:
    """Raise CertificateRevoked or PersonNeeded (`superseded`, `certificate_expired`) where no agency can be told to take it;
    `plain` is what can be done with it all the same.
    """
    from safetok.store.answers import Answers

    serial, name = certificate.serial, certificate.subject_name
    state = validity(certificate, context.now(), Answers(context.database).revocation(certificate.sha256))
    if state in {Validity.REVOKED, Validity.SUSPENDED}:
        text = (
            _("Certificate {serial} of {name} is REVOKED: no agency can be told to take it.")
            if state is Validity.REVOKED
            else _("Certificate {serial} of {name} is SUSPENDED: no agency can be told to take it.")
        )
        raise CertificateRevoked(text.format(serial=serial, name=name), code=f"certificate_{state}", hint=plain)
    later = successor(context, certificate)
    if later is not None:
        raise PersonNeeded(
            _("Certificate {serial} of {name} is an old one: {new} has taken its place.").format(
                serial=serial, name=name, new=later.serial
            ),
            code="superseded",
            hint=_("For the new one: --cert {new}. {plain}").format(new=later.serial, plain=plain).strip(),
            data={"new_serial": later.serial},
        )
    if state is Validity.EXPIRED:
        raise PersonNeeded(
            _("Certificate {serial} of {name} expired on {day}: no agency can be told to take it.").format(
                serial=serial, name=name, day=show_date(certificate.not_after)
            ),
            code="certificate_expired",
            hint=_("Top it up: safetok renew. {plain}").format(plain=plain).strip(),
        )
