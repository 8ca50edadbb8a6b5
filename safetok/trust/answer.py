"""May this new certificate be written to the token: every check on a CA's answer that its content must pass.

Protection, transactionID and nonce are the protocol's and are checked before, in ca.cmp; its own revocation is not asked
for, because responders lag behind issuing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import SignatureAlgorithmOID

from safetok.domain.certificates import Certificate
from safetok.domain.times import last_usable_day, show_day, show_instant
from safetok.errors import NotTrusted
from safetok.locale import _
from safetok.trust.bundle import UNREADABLE, readable
from safetok.trust.path import build_path, signed_by

FAIL_INFO = {
    "wrong_key": "badCertTemplate",
    "wrong_subject": "badCertTemplate",
    "same_serial": "incorrectData",
    "not_later": "badCertTemplate",
    "too_late": "badCertTemplate",
    "begins_late": "badCertTemplate",
    "not_as_confirmed": "badCertTemplate",
    "below_floor": "badCertTemplate",
    "unreadable": "badDataFormat",
    "is_ca": "unacceptedExtension",
    "key_usage": "unacceptedExtension",
    "weak_key": "badAlg",
    "weak_signature": "badAlg",
    "foreign_issuer": "wrongAuthority",
    "no_path": "signerNotTrusted",
}
"""The PKIFailureInfo (RFC 9810 5.2.3) that a rejecting certConf gives for each code."""

CLOCKS = timedelta(days=1)  # how far this computer's clock may be behind the CA's
RSA_BITS = 2048
EC_BITS = 256

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
_CA_USAGES = {"key_cert_sign", "crl_sign"}
_PURE_EDDSA = {SignatureAlgorithmOID.ED25519, SignatureAlgorithmOID.ED448}
_DER = serialization.Encoding.DER


def verify_answer(
    new: Certificate,
    *,
    old: Certificate,
    spki: bytes,
    issuers: Sequence[Certificate],
    anchors: Sequence[Certificate],
    extra: Sequence[bytes],
    requested_not_after: datetime | None,
    validity: Literal["exact", "ca"],
    min_not_after: datetime | None,
    at: datetime,
) -> tuple[Certificate, ...]:
    """The chain of `new` (first) to an anchor, when it is what was asked for; `at` is when it was received.

    `issuers` are the authority's issuing CAs: one of them must have made the signature, since every CA of the country chains
    to the same anchors. `extra` is what the CA sent along, believed in nothing. `validity` "exact": the last usable day must be
    the requested one; "ca": the requested date is a wish. Raises NotTrusted with one code of FAIL_INFO and the failInfo
    of a rejecting certConf as `data["fail_info"]`.
    """
    try:
        subject = new.x509()
        _check_identity(new, subject, old, spki)
        _check_dates(new, old, requested_not_after if validity == "exact" else None, min_not_after, at)
        _check_extensions(subject, old.x509())
        _check_strength(new, subject)
        return _check_issuer(new, subject, issuers=issuers, anchors=anchors, extra=extra, at=at)
    except UNREADABLE as error:
        raise _refused("unreadable", _("The new certificate's extensions cannot be read.")) from error


def _refused(code: str, message: str) -> NotTrusted:
    return NotTrusted(
        message,
        code=code,
        hint=_("The old certificate is untouched. Ask the CA, and quote this message."),
        data={"fail_info": FAIL_INFO[code]},
    )


def _check_identity(new: Certificate, subject: x509.Certificate, old: Certificate, spki: bytes) -> None:
    if new.spki != spki:
        raise _refused("wrong_key", _("The new certificate is for another key than the one on this USB Token."))
    if subject.subject != old.x509().subject:
        raise _refused(
            "wrong_subject",
            _("The new certificate is for another subject: {new}, not {old}.").format(new=new.subject, old=old.subject),
        )
    if new.serial == old.serial:
        raise _refused(
            "same_serial", _("The new certificate has the serial of the old one: {serial}.").format(serial=new.serial)
        )


def _check_dates(
    new: Certificate, old: Certificate, exactly: datetime | None, floor: datetime | None, at: datetime
) -> None:
    if new.not_after <= max(old.not_after, at):
        raise _refused(
            "not_later",
            _("The new certificate ends at {new}: not later than the old one ({old}), or already over.").format(
                new=show_instant(new.not_after), old=show_instant(old.not_after)
            ),
        )
    if new.not_before > max(old.not_after, at + CLOCKS):
        raise _refused(
            "begins_late",
            _("The new certificate begins at {new}, after the old one has ended ({old}).").format(
                new=show_instant(new.not_before), old=show_instant(old.not_after)
            ),
        )
    if exactly is not None and last_usable_day(new.not_after) != last_usable_day(exactly):
        raise _refused(
            "not_as_confirmed",
            _("The new certificate's last day is {new}, but {confirmed} was confirmed.").format(
                new=show_day(last_usable_day(new.not_after)), confirmed=show_day(last_usable_day(exactly))
            ),
        )
    if floor is not None and new.not_after < floor:
        raise _refused(
            "below_floor",
            _("The new certificate ends at {new}, before the earliest end asked for ({floor}).").format(
                new=show_instant(new.not_after), floor=show_instant(floor)
            ),
        )


def _check_extensions(subject: x509.Certificate, old: x509.Certificate) -> None:
    try:
        is_ca = subject.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    if is_ca:
        raise _refused("is_ca", _("The new certificate is a CA's certificate, not a subscriber's."))
    allowed, needed = _usages(subject), _usages(old)
    if allowed is None:
        return
    missing = {"digital_signature"} - allowed if needed is None else needed - allowed
    if missing or allowed & _CA_USAGES:
        raise _refused(
            "key_usage",
            _("The new certificate may not be used for all that the old one may (KeyUsage), or claims a CA's rights."),
        )


def _usages(certificate: x509.Certificate) -> set[str] | None:
    """What KeyUsage allows; None when there is no such extension, which allows everything (RFC 5280 4.2.1.3)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    return {name for name in _USAGES if getattr(usage, name)}


def _check_strength(new: Certificate, subject: x509.Certificate) -> None:
    enough = {"RSA": RSA_BITS, "EC": EC_BITS}.get(new.key_type)
    if enough is None or new.key_bits < enough:
        raise _refused(
            "weak_key",
            _("The new certificate's key is too weak: {type} {bits} bits.").format(
                type=new.key_type, bits=new.key_bits
            ),
        )
    if subject.signature_algorithm_oid in _PURE_EDDSA:
        return
    if not isinstance(subject.signature_hash_algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        raise _refused(
            "weak_signature", _("The CA signed the new certificate with an outdated algorithm (SHA-2 is needed).")
        )


def _check_issuer(
    new: Certificate,
    subject: x509.Certificate,
    *,
    issuers: Sequence[Certificate],
    anchors: Sequence[Certificate],
    extra: Sequence[bytes],
    at: datetime,
) -> tuple[Certificate, ...]:
    makers = [issuer for issuer in issuers if signed_by(subject, issuer.x509())]
    if not makers:
        raise _refused(
            "foreign_issuer",
            _("The new certificate was issued by {issuer}, which is none of this CA's issuing certificates.").format(
                issuer=new.issuer_name
            ),
        )
    ends = max(maker.not_after for maker in makers)
    if new.not_after > ends:
        raise _refused(
            "too_late",
            _("The new certificate ends at {new}, after the CA's own certificate ({issuer}).").format(
                new=show_instant(new.not_after), issuer=show_instant(ends)
            ),
        )
    # Certificates of the issuer's name that came along are left out: the path goes through one we were told of.
    above = [other.der for other in issuers if other.subject_der != new.issuer_der]
    along = [link.public_bytes(_DER) for link in readable(extra) if link.subject != subject.issuer]
    try:
        return build_path(
            new,
            intermediates=[*(maker.der for maker in makers), *above, *along],
            anchors=anchors,
            # A CA's clock may run ahead of this computer's: a certificate that begins in a moment is asked about then.
            at=max(at, new.not_before),
        )
    except NotTrusted as error:
        raise _refused("no_path", error.message) from error
