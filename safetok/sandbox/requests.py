"""What a subscriber asks the sandbox CA for: key, subject and date out of a kur, cr or p10cr, and proof of the key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from safetok.ca.cmp import der
from safetok.ca.cmp.elements import (
    INTEGER,
    OID,
    SEQUENCE,
    Element,
    Fields,
    dotted,
    element,
    elements,
    instant,
    integer,
    whole_bytes,
)
from safetok.ca.cmp.messages import Message
from safetok.ca.cmp.names import OLD_CERT_ID
from safetok.ca.cmp.protection import verifies
from safetok.sandbox.messages import MALFORMED, P10_REQUEST, Refusal

SubscriberPublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
RSA_BITS = 2048
_VALIDITY, _SUBJECT, _PUBLIC_KEY = 0xA4, 0xA5, 0xA6  # of a CertTemplate, RFC 4211 section 5; subject alone is explicit
_NOT_AFTER, _SIGNATURE, _DIRECTORY_NAME = 0xA1, 0xA1, 0xA4
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One certificate asked for; its key's possession is proven."""

    request_id: int
    key: SubscriberPublicKey
    not_after: datetime | None  # an instant, where the request names one


def read_wish(received: Message, old: x509.Certificate) -> Wish:
    """What the opening message asks for, checked against the certificate it renews.

    Raises Refusal: badDataFormat, badPOP, badCertId, badCertTemplate.
    """
    try:
        if received.kind == "p10cr":
            return _from_csr(received.body.der, old)
        return _from_template(received.body, old)
    except MALFORMED as error:
        raise Refusal("badDataFormat", "Không đọc được yêu cầu cấp chứng thư số.") from error


def _from_csr(request: bytes, old: x509.Certificate) -> Wish:
    csr = x509.load_der_x509_csr(request)
    if not csr.is_signature_valid:
        raise Refusal("badPOP", "Chữ ký của yêu cầu PKCS#10 không đúng.")
    _same_subject(csr.subject.public_bytes(), old)
    return Wish(request_id=P10_REQUEST, key=_usable(csr.public_key(), old), not_after=None)


def _from_template(body: Element, old: x509.Certificate) -> Wish:
    """CertReqMessages with one CertReqMsg, RFC 4211 section 3."""
    messages = elements(body.content)
    if len(messages) != 1:
        raise Refusal("badRequest", "Mỗi giao dịch chỉ xin một chứng thư số.")
    message = Fields(messages[0])
    asked, proof = message.take(SEQUENCE), message.maybe(_SIGNATURE)  # regInfo may follow: nothing hangs on it
    request = Fields(asked)
    number, template, controls = integer(request.take(INTEGER)), request.take(SEQUENCE), request.maybe(SEQUENCE)
    request.end()
    given = {field.tag: field for field in elements(template.content)}
    if _SUBJECT not in given or _PUBLIC_KEY not in given:
        raise Refusal("badCertTemplate", "Yêu cầu thiếu khóa công khai hoặc tên thuê bao.")
    _same_subject(element(given[_SUBJECT].content, SEQUENCE).der, old)
    key = _usable(_public_key(der.sequence(given[_PUBLIC_KEY].content)), old)
    _proven(asked, proof, key)
    _names_old(controls, old)
    return Wish(request_id=number, key=key, not_after=_not_after(given.get(_VALIDITY)))


def _not_after(validity: Element | None) -> datetime | None:
    """OptionalValidity: notBefore and notAfter, each a Time behind an explicit tag."""
    if validity is None:
        return None
    said = {field.tag: field for field in elements(validity.content)}
    return instant(element(said[_NOT_AFTER].content)) if _NOT_AFTER in said else None


def _proven(request: Element, popo: Element | None, key: SubscriberPublicKey) -> None:
    """POPOSigningKey over the CertRequest (RFC 4211 section 4.1); a template with subject and key leaves poposkInput out."""
    if popo is None:
        raise Refusal("badPOP", "Yêu cầu không chứng minh quyền sở hữu khóa.")
    proof = elements(popo.content)
    algorithm, signature = proof if len(proof) == 2 else (None, None)  # noqa: PLR2004  (three with a poposkInput)
    if not algorithm or not signature or not verifies(key, algorithm.der, whole_bytes(signature), request.der):
        raise Refusal("badPOP", "Chữ ký chứng minh quyền sở hữu khóa không đúng.")


def same_name(general: bytes, name: x509.Name) -> bool:
    """Whether a GeneralName is this directory name."""
    found = element(general)
    return found.tag == _DIRECTORY_NAME and _same(element(found.content, SEQUENCE).der, name.public_bytes())


def _names_old(controls: Element | None, old: x509.Certificate) -> None:
    for control in elements(controls.content) if controls else ():
        fields = Fields(control)
        kind, value = dotted(fields.take(OID).content), fields.rest()
        if kind != OLD_CERT_ID or value is None:
            continue
        named = Fields(value)
        issuer, serial = named.any(), integer(named.take(INTEGER))
        named.end()
        if not same_name(issuer.der, old.issuer) or serial != old.serial_number:
            raise Refusal("badCertId", "oldCertID không phải chứng thư số đã ký yêu cầu.")


def _same_subject(asked: bytes, old: x509.Certificate) -> None:
    if not _same(asked, old.subject.public_bytes()):
        raise Refusal("badCertTemplate", "Tên thuê bao khác với chứng thư số đang có.")


def _usable(key: object, old: x509.Certificate) -> SubscriberPublicKey:
    """RSA of at least 2048 bits or a NIST curve, and the type of the old key: cấp bù changes no token."""
    if (
        isinstance(key, rsa.RSAPublicKey)
        and isinstance(old.public_key(), rsa.RSAPublicKey)
        and key.key_size >= RSA_BITS
    ):
        return key
    if (
        isinstance(key, ec.EllipticCurvePublicKey)
        and isinstance(old.public_key(), ec.EllipticCurvePublicKey)
        and isinstance(key.curve, _CURVES)
    ):
        return key
    raise Refusal("badCertTemplate", "Loại hoặc độ dài khóa không được chấp nhận.")


def _public_key(spki: bytes) -> object:
    try:
        return serialization.load_der_public_key(spki)
    except UnsupportedAlgorithm as error:
        raise Refusal("badCertTemplate", "Loại khóa không được chấp nhận.") from error


def _same(one: bytes, other: bytes) -> bool:
    """Whether two DER Names are the same: byte for byte, as honest ones are, else as RFC 5280 section 7.1 says."""
    return one == other or bool(asn1_x509.Name.load(one) == asn1_x509.Name.load(other))
