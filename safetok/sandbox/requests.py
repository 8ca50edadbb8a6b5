"""What a subscriber asks the sandbox CA for: key, subject and date out of a kur, cr or p10cr, and proof of the key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from safetok.ca.cmp.protection import verifies
from safetok.ca.cmp.structures import OLD_CERT_ID, CertId
from safetok.sandbox.messages import MALFORMED, P10_REQUEST, Received, Refusal

SubscriberPublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
RSA_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One certificate asked for; its key's possession is proven."""

    request_id: int
    key: SubscriberPublicKey
    not_after: datetime | None  # an instant, where the request names one


def read_wish(received: Received, old: x509.Certificate) -> Wish:
    """What the opening message asks for, checked against the certificate it renews.

    Raises Refusal: badDataFormat, badPOP, badCertId, badCertTemplate.
    """
    try:
        if received.kind == "p10cr":
            return _from_csr(received.content.untag().dump(), old)
        return _from_template(received.content, old)
    except MALFORMED as error:
        raise Refusal("badDataFormat", "Không đọc được yêu cầu cấp chứng thư số.") from error


def _from_csr(der: bytes, old: x509.Certificate) -> Wish:
    csr = x509.load_der_x509_csr(der)
    if not csr.is_signature_valid:
        raise Refusal("badPOP", "Chữ ký của yêu cầu PKCS#10 không đúng.")
    _same_subject(csr.subject.public_bytes(), old)
    return Wish(request_id=P10_REQUEST, key=_usable(csr.public_key(), old), not_after=None)


def _from_template(messages: Any, old: x509.Certificate) -> Wish:
    if len(messages) != 1:
        raise Refusal("badRequest", "Mỗi giao dịch chỉ xin một chứng thư số.")
    request = messages[0]["certReq"]
    template = request["certTemplate"]
    if isinstance(template["publicKey"], core.Void) or isinstance(template["subject"], core.Void):
        raise Refusal("badCertTemplate", "Yêu cầu thiếu khóa công khai hoặc tên thuê bao.")
    _same_subject(template["subject"].untag().dump(), old)
    key = _usable(_public_key(template["publicKey"].untag().dump()), old)
    _proven(messages[0], key)
    _names_old(request["controls"], old)
    return Wish(request_id=int(request["certReqId"].native), key=key, not_after=_not_after(template["validity"]))


def _not_after(validity: Any) -> datetime | None:
    if isinstance(validity, core.Void) or isinstance(validity["notAfter"], core.Void):
        return None
    instant = validity["notAfter"].native
    return instant if isinstance(instant, datetime) else None


def _proven(message: Any, key: SubscriberPublicKey) -> None:
    """POPOSigningKey over the CertRequest (RFC 4211 section 4.1); a template with subject and key leaves poposkInput out."""
    popo = message["popo"]
    if isinstance(popo, core.Void) or popo.name != "signature":
        raise Refusal("badPOP", "Yêu cầu không chứng minh quyền sở hữu khóa.")
    proof = popo.chosen
    signed = message["certReq"].dump()
    if not isinstance(proof["poposkInput"], core.Void) or not verifies(
        key, proof["algorithmIdentifier"], proof["signature"].native, signed
    ):
        raise Refusal("badPOP", "Chữ ký chứng minh quyền sở hữu khóa không đúng.")


def same_name(general: Any, name: x509.Name) -> bool:
    """Whether a GeneralName is this directory name."""
    if general.name != "directoryName":
        return False
    return _same(general.chosen.untag().dump(), name.public_bytes())


def _names_old(controls: Any, old: x509.Certificate) -> None:
    if isinstance(controls, core.Void):
        return
    for control in controls:
        if control["type"].dotted != OLD_CERT_ID:
            continue
        named = control["value"].parse(CertId)
        if not same_name(named["issuer"], old.issuer) or int(named["serialNumber"].native) != old.serial_number:
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
