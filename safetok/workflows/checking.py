"""One check of many certificates: the path to the anchors and the revocation state of each, with nothing good on doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.domain.times import show_date
from safetok.errors import NotChecked, SafetokError
from safetok.locale import _
from safetok.records import dataclass
from safetok.trust import aia, crl
from safetok.trust.revocation import check
from safetok.trust.trace import Trace, trace
from safetok.workflows.check import ask_now, not_checked, revoked
from safetok.workflows.patience import Patience

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from safetok.domain.authorities import Authority
    from safetok.domain.certificates import Certificate
    from safetok.net import Http
    from safetok.workflows.check_entries import Meant
    from safetok.workflows.context import Context

_BAD = {RevocationAnswer.SUSPENDED, RevocationAnswer.REVOKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one certificate came to. `answer` is the conclusion: good only with a path to an anchor on which no CA is in doubt."""

    certificate: Certificate
    token: str
    authority: Authority | None
    answer: Revocation
    said: RevocationAnswer  # what the certificate's own issuer said, whatever the path is worth
    path: Trace
    cas: tuple[
        tuple[Certificate, Revocation], ...
    ]  # those between the certificate and the anchor that name a place to ask
    asked_at: datetime
    settings_file: Path

    @property
    def in_force(self) -> bool:
        """Whether it is in force: else its path is for a moment at which it was, or will be."""
        return self.certificate.not_before <= self.asked_at <= self.certificate.not_after

    @property
    def error(self) -> SafetokError | None:
        """CertificateRevoked (13) or NotChecked (18) for what is not good."""
        if self.answer.answer is RevocationAnswer.GOOD:
            return None
        if self.answer.answer in _BAD:
            error: SafetokError = revoked(self.certificate, self.authority, self.answer)
        else:
            error = not_checked(self.answer)
            if self.said is RevocationAnswer.GOOD:  # all that is missing is trust in who said so
                error = NotChecked(error.message, code="no_path" if not self.path.anchored else "ca_in_doubt")
            if self.path.code == "no_anchors":
                error.hint = _(
                    'Name the certificate of the national root (rootca.gov.vn) in {file}: anchors = ["root.pem"] under '
                    "[authorities.{name}]."
                ).format(file=self.settings_file, name=self.authority.name if self.authority else "…")
        error.token = self.token or None
        return error

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        certificate, answer, path = self.certificate, self.answer, self.path
        return {
            "serial": certificate.serial,
            "name": certificate.subject_name,
            "mst": certificate.mst,
            "issuer": certificate.issuer,
            "sha256": certificate.sha256,
            "token": self.token or None,
            "authority": self.authority.name if self.authority else None,
            "answer": answer.answer,
            "reason": answer.reason,
            "since": answer.since,
            "checked_at": answer.checked_at,
            "source": answer.source,
            "said": self.said,
            "path": {
                "anchored": path.anchored,
                "code": path.code,
                "reason": path.reason,
                "at": path.at,
                "in_force": self.in_force,
                "anchor": path.chain[-1].subject if path.anchored else None,
                "cas": [self._ca(ca) for ca in path.chain[1:]],
            },
        }

    def _ca(self, ca: Certificate) -> dict[str, Any]:
        answer = next((answer for one, answer in self.cas if one == ca), None)
        return {
            "name": ca.subject_name,
            "subject": ca.subject,
            "serial": ca.serial,
            "sha256": ca.sha256,
            "not_after": ca.not_after,
            "answer": answer.answer if answer else None,
            "reason": answer.reason if answer else "",
        }


class Checking:
    """Checks certificates one after the other. Servers out of reach, CAs fetched and CAs asked about are remembered."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._http = cast("Http", Patience(context.http))
        self._fetched: dict[bytes, tuple[bytes, ...]] = {}  # by the issuer's name
        self._cas: dict[str, Revocation] = {}  # by SHA-256
        self._everyone = tuple(path for one in context.settings.authorities.values() for path in one.anchors)

    def check(self, meant: Meant) -> Checked:
        """Ask now. Raises UsageError (`bad_certificate_file`) for a file of the settings that cannot be read."""
        from safetok.store.settings import authority_of

        certificate, now = meant.certificate, self._context.now()
        authority = authority_of(certificate, self._context.settings) or self._of_ca(certificate)
        path = self._path(certificate, authority, meant.along)
        answer = ask_now(
            self._context, certificate, authority, http=self._http, issuers=path.chain[1:2] or (certificate,)
        )
        cas = self._above(path, authority)
        return Checked(
            certificate=certificate,
            token=meant.token,
            authority=authority,
            answer=_concluded(answer, path, cas),
            said=answer.answer,
            path=path,
            cas=cas,
            asked_at=now,
            settings_file=self._context.settings.home.settings,
        )

    def _of_ca(self, certificate: Certificate) -> Authority | None:
        """The authority whose own issuing CA or anchor a CA's certificate is."""
        if not certificate.is_ca:
            return None
        everyone = self._context.settings.authorities.values()
        return next((one for one in everyone if certificate in _loaded((*one.issuers, *one.anchors))), None)

    def _path(self, certificate: Certificate, authority: Authority | None, along: Sequence[bytes]) -> Trace:
        """By what is at hand; what AIA leads to is fetched only where that is not enough.

        The anchors are the authority's; one that names none ends its paths at the issuing CAs it names, and certificates
        of nobody's may end at any authority's anchor.
        """
        issuers = _loaded(authority.issuers) if authority else ()
        anchors = _loaded(authority.anchors) if authority else ()
        anchors = anchors or issuers or _loaded(self._everyone)
        above = [*(ca.der for ca in issuers), *along, *self._fetched.get(certificate.issuer_der, ())]
        found = trace(certificate, pool=above, anchors=anchors, now=self._context.now())
        if found.anchored or certificate.issuer_der in self._fetched or not anchors:
            return found
        fetched: list[bytes] = []
        for start in dict.fromkeys((certificate, found.chain[-1])):
            fetched += aia.fetch_issuers(start, http=self._http, private_addresses=_private(authority))
        self._fetched[certificate.issuer_der] = tuple(fetched)
        return trace(certificate, pool=[*above, *fetched], anchors=anchors, now=self._context.now())

    def _above(self, path: Trace, authority: Authority | None) -> tuple[tuple[Certificate, Revocation], ...]:
        """What is said of each CA between the certificate and the anchor; one that names no place to ask is left out."""
        if not path.anchored:
            return ()
        found = []
        for ca, issuer in zip(path.chain[1:-1], path.chain[2:], strict=True):
            if not _names_a_place(ca) or self._context.now() > ca.not_after:
                continue
            if ca.sha256 not in self._cas:
                self._cas[ca.sha256] = check(
                    ca,
                    issuers=[issuer],
                    http=self._http,
                    now=self._context.now(),
                    private_addresses=_private(authority),
                    cache=self._context.settings.home.cache / "crl",
                    random=self._context.random,
                )
            found.append((ca, self._cas[ca.sha256]))
        return tuple(found)


def _concluded(answer: Revocation, path: Trace, cas: Sequence[tuple[Certificate, Revocation]]) -> Revocation:
    """The issuer's word, unless it is `good` and something above it is in doubt."""
    if answer.answer is not RevocationAnswer.GOOD:
        return answer
    reason = ""
    if not path.anchored:
        reason = _("no path to a root that safetok trusts: {why}").format(why=path.reason)
    for ca, said in cas:
        if said.answer in _BAD:
            reason = _("the certificate of {ca} above it has itself been revoked or suspended since {day}").format(
                ca=ca.subject_name, day=show_date(said.since) if said.since else "?"
            )
            break
        if said.answer is RevocationAnswer.UNKNOWN:
            reason = reason or _("whether the certificate of {ca} above it is revoked: {why}").format(
                ca=ca.subject_name, why=said.reason.rstrip(".")
            )
    return replace(answer, answer=RevocationAnswer.UNKNOWN, reason=reason) if reason else answer


def _loaded(paths: Sequence[Path]) -> tuple[Certificate, ...]:
    from safetok.store.settings import load_pem

    return tuple(ca for path in dict.fromkeys(paths) for ca in load_pem(path))


def _private(authority: Authority | None) -> bool:
    return authority.private_addresses if authority else False


def _names_a_place(ca: Certificate) -> bool:
    from cryptography.x509.oid import AuthorityInformationAccessOID

    certificate = ca.x509()
    return bool(aia.urls(certificate, AuthorityInformationAccessOID.OCSP) or crl.urls(certificate))
