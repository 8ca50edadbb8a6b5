"""What is known of a certificate without network or PIN: its standing, its key, its programme, what CAs last said of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.domain.certificates import same_serial
from safetok.domain.companies import company_of, plain_mst
from safetok.domain.tokens import KeyPresence, StoredCertificate, TokenReading
from safetok.domain.validity import Validity, days_left, validity
from safetok.errors import NoToken, PersonNeeded, SeveralTokens
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.campaign import CampaignVerdict
    from safetok.domain.certificates import Certificate
    from safetok.domain.offers import PublicOffer
    from safetok.domain.revocation import Revocation
    from safetok.domain.tokens import Reading
    from safetok.workflows.context import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """One certificate and everything known of it. `token` is "" and `key` None for one that is on no token that is in."""

    certificate: Certificate
    token: str
    current: bool  # the one of its holder to sign with, on this token
    state: Validity
    days_left: int
    key: KeyPresence | None
    key_by_id_only: bool
    authority: Authority | None
    campaign: CampaignVerdict
    contract_end: date | None
    revocation: Revocation | None
    offer: PublicOffer | None
    offer_checked_at: datetime | None
    refused: str = ""  # what the token itself was told of the offer, as long as it holds
    dossier_open: bool = False  # where papers are missing: whether its dossier has been begun
    in_progress: bool = False  # whether what would be done by the dates is the work of a renewal that is not finished

    @property
    def bad(self) -> bool:
        """Whether it is revoked or suspended."""
        return self.state in {Validity.REVOKED, Validity.SUSPENDED}

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        certificate, revocation = self.certificate, self.revocation
        return {
            "serial": certificate.serial,
            "serial_decimal": certificate.serial_decimal,
            "subject": certificate.subject,
            "name": certificate.subject_name,
            "mst": certificate.mst,
            "personal_id": certificate.personal_id,
            "issuer": certificate.issuer,
            "authority": self.authority.name if self.authority else None,
            "not_before": certificate.not_before,
            "not_after": certificate.not_after,
            "days_left": self.days_left,
            "state": self.state,
            "current": self.current,
            "key": self.key,
            "key_by_id_only": self.key_by_id_only,
            "key_type": f"{certificate.key_type} {certificate.key_bits}",
            "sha256": certificate.sha256,
            "contract_end": self.contract_end,
            "revocation": {
                "answer": revocation.answer if revocation else "unknown",
                "reason": revocation.reason if revocation else _("not asked yet"),
                "checked_at": revocation.checked_at if revocation else None,
                "since": revocation.since if revocation else None,
            },
            "campaign": {
                "answer": self.campaign.answer,
                "reasons": self.campaign.reasons,
                "conditions": [{"name": c.name, "holds": c.holds, "text": c.text} for c in self.campaign.conditions],
            },
            "offer": {
                "exists": self.offer.exists,
                "checked_at": self.offer_checked_at,
                "refused": self.refused or None,
            }
            if self.offer
            else None,
        }


class Views:
    """Builds views of certificates from the store's answers; opens no driver and no connection."""

    def __init__(self, context: Context) -> None:
        from safetok.knowledge import load

        self._context = context
        self._now = context.now()
        self._campaigns = load.campaigns()
        self._authorities: dict[bytes, Authority | None] = {}

    def of_tokens(self, readings: Iterable[TokenReading]) -> Iterator[tuple[CertificateView, ...]]:
        """Each token's certificates, CA certificates left out: each holder's current one first, then older ones."""
        shown = [
            (reading, [stored for stored in reading.certificates if not stored.certificate.is_ca])
            for reading in readings
        ]
        said = _Said.of(
            self._context,
            [stored.certificate for _reading, own in shown for stored in own],
            [reading.info.serial for reading, _own in shown],
        )
        for reading, own in shown:
            yield self._of_token(reading.info.serial, own, said)

    def _of_token(self, token: str, own: list[StoredCertificate], said: _Said) -> tuple[CertificateView, ...]:
        here = [stored.certificate for stored in own]
        chosen, beside = current_ones(here), [*said.with_them.get(token, ()), *here]
        views = [
            self._view(
                stored.certificate,
                token=token,
                current=stored.certificate.sha256 in chosen,
                stored=stored,
                beside=beside,
                said=said,
            )
            for stored in own
        ]
        return tuple(sorted(views, key=lambda v: (not v.current, v.certificate.subject_name, -v.days_left)))

    def of_none(self, certificates: Sequence[Certificate], chosen: Collection[str]) -> tuple[CertificateView, ...]:
        """Certificates that are on no token that is in, seen together; `chosen` are the SHA-256 of the current ones."""
        said = _Said.of(self._context, certificates, [])
        return tuple(
            self._view(one, current=one.sha256 in chosen, beside=certificates, said=said) for one in certificates
        )

    def _view(
        self,
        certificate: Certificate,
        *,
        said: _Said,
        current: bool,
        beside: Sequence[Certificate],
        token: str = "",
        stored: StoredCertificate | None = None,
    ) -> CertificateView:
        """One certificate; `beside` are others that are or were with it."""
        from safetok.domain.campaign import CampaignAnswer

        authority = self._authority(certificate)
        revocation = said.revocations.get(certificate.sha256)
        offered = said.offers.get(certificate.sha256)
        contract_end = said.contract_ends.get(certificate.sha256)
        refused, dossier_open = self._refused(certificate, offered[0]) if offered else ("", False)
        campaign = self._judge(certificate, authority, contract_end, self._same_holder(certificate, beside))
        return CertificateView(
            certificate=certificate,
            token=token,
            current=current,
            state=validity(certificate, self._now, revocation),
            days_left=days_left(certificate, self._now),
            key=stored.key if stored else None,
            key_by_id_only=stored.key_by_id_only if stored else False,
            authority=authority,
            campaign=campaign,
            contract_end=contract_end,
            revocation=revocation,
            offer=offered[0] if offered else None,
            offer_checked_at=offered[1] if offered else None,
            refused=refused,
            dossier_open=dossier_open,
            in_progress=campaign.answer is CampaignAnswer.DONE and certificate.der in self._under_way,
        )

    @cached_property
    def _under_way(self) -> frozenset[bytes]:
        """The certificates of unfinished renewals, old and new."""
        from safetok.store.journal import Journal

        unfinished = Journal(self._context.database).unfinished()
        return frozenset(der for one in unfinished for der in (one.old_certificate, one.certificate) if der)

    def _refused(self, certificate: Certificate, offer: PublicOffer) -> tuple[str, bool]:
        """The CA's refusal of an offer, and whether a dossier has been begun about it. Papers that the CA has received by what was
        recorded are missing no more: it may be asked again.
        """
        if offer.refused != "dossier_missing":
            return offer.refused, False
        from safetok.domain.dossier import is_about
        from safetok.store.dossiers import Dossiers

        mst = plain_mst(certificate.mst or "")
        theirs = Dossiers(self._context.database).list(mst=mst)
        dossiers = [one for one in theirs if is_about(one, mst, certificate.serial)]
        if any(one.record("lcs-received") for one in dossiers):
            return "", False
        return offer.refused, any(not one.finished for one in dossiers)

    def _authority(self, certificate: Certificate) -> Authority | None:
        """The certificate's CA, looked up once for each issuer."""
        from safetok.store.settings import authority_of

        if certificate.issuer_der not in self._authorities:
            self._authorities[certificate.issuer_der] = authority_of(certificate, self._context.settings)
        return self._authorities[certificate.issuer_der]

    def _same_holder(self, certificate: Certificate, beside: Sequence[Certificate]) -> tuple[Certificate, ...]:
        """The holder's other certificates by the same CA that are or were on this token. A company may well have two tokens, each
        with a certificate that is owed time: what is on the other one settles nothing here.
        """
        own, authority = holder(certificate), self._authority(certificate)
        found = {
            other.sha256: other
            for other in beside
            if other.sha256 != certificate.sha256
            and not other.is_ca
            and holder(other) == own
            and self._authority(other) == authority
        }
        return tuple(found.values())

    def _judge(
        self,
        certificate: Certificate,
        authority: Authority | None,
        contract_end: date | None,
        others: tuple[Certificate, ...],
    ) -> CampaignVerdict:
        from safetok.domain.campaign import judge
        from safetok.domain.times import vietnamese_day

        name = authority.name if authority else None
        campaign = next((c for c in self._campaigns if c.authority == name), self._campaigns[0])
        return judge(
            certificate,
            campaign,
            contract_end=contract_end,
            today=vietnamese_day(self._now),
            authority_name=name,
            others=others,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What the store says of certificates (by SHA-256), asked for all of them at once."""

    revocations: Mapping[str, Revocation]
    offers: Mapping[str, tuple[PublicOffer, datetime]]
    contract_ends: Mapping[str, date]  # what a person stated, else what the renewal that brought it confirmed
    with_them: Mapping[str, Sequence[Certificate]]  # all that are or were on their tokens, by token serial

    @classmethod
    def of(cls, context: Context, certificates: Iterable[Certificate], serials: Iterable[str]) -> _Said:
        from safetok.store.answers import Answers
        from safetok.store.inventory import Inventory
        from safetok.store.journal import Journal

        answers, inventory = Answers(context.database), Inventory(context.database)
        hashes = {one.sha256: one for one in certificates}
        return cls(
            revocations=answers.revocations(hashes),
            offers=answers.offers(hashes),
            contract_ends=Journal(context.database).contract_ends(hashes) | inventory.contract_ends(hashes),
            with_them=inventory.ever_on(serials, hashes),
        )


def holder(certificate: Certificate) -> tuple[str, str | None]:
    """Whose it is: the company, and the person where it is a person's certificate in that company."""
    return company_of(certificate), certificate.personal_id


def current_ones(certificates: Iterable[Certificate]) -> set[str]:
    """The SHA-256 of each holder's certificate to sign with."""
    from safetok.domain.certificates import current

    holders: dict[tuple[str, str | None], list[Certificate]] = {}
    for certificate in certificates:
        holders.setdefault(holder(certificate), []).append(certificate)
    chosen = (current(group) for group in holders.values())
    return {one.sha256 for one in chosen if one is not None}


def listing(context: Context, reading: Reading) -> tuple[CertificateView, ...]:
    """Every certificate on every token that is in, token by token."""
    return tuple(view for views in Views(context).of_tokens(reading.tokens) for view in views)


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name too long for the disk is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def names_a_file(which: str) -> bool:
    """Whether a word names a file: one that exists, or that looks like a path and cannot be a serial."""
    path = Path(which)
    return is_file(path) or path.suffix.lower() in {".cer", ".crt", ".pem", ".der", ".p7b", ".p7c"} or "/" in which


def from_file(context: Context, path: Path) -> tuple[CertificateView, ...]:
    """The certificates in a PEM, DER or PKCS#7 file; no driver is opened. Raises UsageError `bad_certificate_file`."""
    from safetok.store.pem import load_pem

    found = load_pem(path)
    own = [one for one in found if not one.is_ca] or list(found)
    return Views(context).of_none(own, current_ones(own))


def by_serial(context: Context, reading: Reading, serial: str) -> tuple[CertificateView, ...]:
    """The certificate of that serial (or, for a token's serial, its current ones): on a token that is in, else as last seen.

    Raises NoToken (`no_such_certificate`).
    """
    from safetok.store.inventory import Inventory

    here = listing(context, reading)
    kept = Inventory(context.database).by_serial(serial)
    wanted = {one.certificate.sha256 for one in kept} | {
        view.certificate.sha256 for view in here if same_serial(serial, view.certificate)
    }
    if found := tuple(view for view in here if view.certificate.sha256 in wanted):
        return found
    if found := tuple(view for view in here if view.token == serial.strip() and view.current):
        return found
    if kept:
        return Views(context).of_none([kept[0].certificate], ())
    raise NoToken(
        _("No certificate {serial} is on a token that is in, nor was one ever seen.").format(serial=serial),
        code="no_such_certificate",
        hint=_("`safetok certs list` shows what is there; a file is shown with `safetok certs show FILE`."),
    )


def the_one(views: tuple[CertificateView, ...], reading: Reading) -> CertificateView:
    """The only current certificate. Raises SeveralTokens (4) when there are more, PersonNeeded (11) when there is none,
    DriverFailed (17) when a token could not be read.
    """
    found = [view for view in views if view.current]
    if len(found) > 1:
        raise SeveralTokens(
            _("{count} certificates are there: name one by its serial.").format(count=len(found)),
            hint=_("`safetok certs list` shows them."),
            data={
                "choices": [{"token": v.token, "cert": v.certificate.serial, "mst": v.certificate.mst} for v in found]
            },
        )
    if not found:
        if any(token.unread or token.unreadable for token in reading.tokens):
            from safetok.workflows.nothing_found import nothing_on

            raise nothing_on(reading.tokens)
        raise PersonNeeded(
            _("The USB token holds no certificate."),
            code="not_activated",
            hint=_("If it has just come from LCS, not being activated yet is normal: do not type a PIN."),
        )
    return found[0]
