"""The ASN.1 of CMP (RFC 9810) and of the certificate requests inside it (RFC 4211) as trees of objects, for faults that change
something in a message, and for tests that compare what safetok reads and writes as bytes.

Certificates, names and public keys are opaque here: a CA may send keys and extensions that nobody here knows, and one of
them must not make the message unreadable; and a subject must come back byte for byte as it was issued. Whoever needs to
look inside parses with `cryptography` and skips what that cannot read. The same holds for algorithm parameters and for
the values of generalInfo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from asn1crypto import core

from safetok.ca.cmp.names import FAIL_INFO
from safetok.ca.cmp.protection import SigningKey, algorithm_for, protect


class OpaqueSequence(core.Sequence):  # type: ignore[misc]
    """Any SEQUENCE, kept as the bytes that came: `.untag().dump()` gives them back, nothing inside is parsed."""

    def dump(self, force: bool = False) -> bytes:  # noqa: ARG002  (the base class's signature)
        """The bytes as they came, also when asked to encode anew: asn1crypto takes a length that ends in 0x80 (128, 384, …)
        for an indefinite one, and would encode a SEQUENCE without fields as an empty one.
        """
        return bytes(core.Asn1Value.dump(self))


class GeneralName(core.Choice):  # type: ignore[misc]
    """RFC 5280 section 4.2.1.6; only directoryName is ever looked at."""

    _alternatives: ClassVar = [
        ("otherName", OpaqueSequence, {"implicit": 0}),
        ("rfc822Name", core.IA5String, {"implicit": 1}),
        ("dNSName", core.IA5String, {"implicit": 2}),
        ("x400Address", OpaqueSequence, {"implicit": 3}),
        ("directoryName", OpaqueSequence, {"explicit": 4}),
        ("ediPartyName", OpaqueSequence, {"implicit": 5}),
        ("uniformResourceIdentifier", core.IA5String, {"implicit": 6}),
        ("iPAddress", core.OctetString, {"implicit": 7}),
        ("registeredID", core.ObjectIdentifier, {"implicit": 8}),
    ]


class AlgorithmIdentifier(core.Sequence):  # type: ignore[misc]
    """An OID and its parameters, not interpreted (protection.py knows what they mean)."""

    _fields: ClassVar = [("algorithm", core.ObjectIdentifier), ("parameters", core.Any, {"optional": True})]


class PKIFreeText(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.UTF8String


class InfoTypeAndValue(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [("infoType", core.ObjectIdentifier), ("infoValue", core.Any, {"optional": True})]


class GeneralInfo(core.SequenceOf):  # type: ignore[misc]
    _child_spec = InfoTypeAndValue


class PKIHeader(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("pvno", core.Integer),
        ("sender", GeneralName),
        ("recipient", GeneralName),
        ("messageTime", core.GeneralizedTime, {"explicit": 0, "optional": True}),
        ("protectionAlg", AlgorithmIdentifier, {"explicit": 1, "optional": True}),
        ("senderKID", core.OctetString, {"explicit": 2, "optional": True}),
        ("recipKID", core.OctetString, {"explicit": 3, "optional": True}),
        ("transactionID", core.OctetString, {"explicit": 4, "optional": True}),
        ("senderNonce", core.OctetString, {"explicit": 5, "optional": True}),
        ("recipNonce", core.OctetString, {"explicit": 6, "optional": True}),
        ("freeText", PKIFreeText, {"explicit": 7, "optional": True}),
        ("generalInfo", GeneralInfo, {"explicit": 8, "optional": True}),
    ]


# --- requests: CRMF, RFC 4211 (implicit tags) ---


class Time(core.Choice):  # type: ignore[misc]
    """RFC 5280 section 4.1."""

    _alternatives: ClassVar = [("utcTime", core.UTCTime), ("generalTime", core.GeneralizedTime)]


class OptionalValidity(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("notBefore", Time, {"explicit": 0, "optional": True}),
        ("notAfter", Time, {"explicit": 1, "optional": True}),
    ]


class CertTemplate(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("version", core.Integer, {"implicit": 0, "optional": True}),
        ("serialNumber", core.Integer, {"implicit": 1, "optional": True}),
        ("signingAlg", AlgorithmIdentifier, {"implicit": 2, "optional": True}),
        ("issuer", OpaqueSequence, {"explicit": 3, "optional": True}),
        ("validity", OptionalValidity, {"implicit": 4, "optional": True}),
        ("subject", OpaqueSequence, {"explicit": 5, "optional": True}),
        ("publicKey", OpaqueSequence, {"implicit": 6, "optional": True}),
        ("issuerUID", core.OctetBitString, {"implicit": 7, "optional": True}),
        ("subjectUID", core.OctetBitString, {"implicit": 8, "optional": True}),
        ("extensions", OpaqueSequence, {"implicit": 9, "optional": True}),
    ]


class AttributeTypeAndValue(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [("type", core.ObjectIdentifier), ("value", core.Any)]


class Controls(core.SequenceOf):  # type: ignore[misc]
    _child_spec = AttributeTypeAndValue


class CertId(core.Sequence):  # type: ignore[misc]
    """The value of the oldCertID control, RFC 4211 section 6.5."""

    _fields: ClassVar = [("issuer", GeneralName), ("serialNumber", core.Integer)]


class CertRequest(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("certReqId", core.Integer),
        ("certTemplate", CertTemplate),
        ("controls", Controls, {"optional": True}),
    ]


class POPOSigningKey(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("poposkInput", core.Sequence, {"implicit": 0, "optional": True}),
        ("algorithmIdentifier", AlgorithmIdentifier),
        ("signature", core.OctetBitString),
    ]


class ProofOfPossession(core.Choice):  # type: ignore[misc]
    _alternatives: ClassVar = [
        ("raVerified", core.Null, {"implicit": 0}),
        ("signature", POPOSigningKey, {"implicit": 1}),
        ("keyEncipherment", core.Any, {"explicit": 2}),
        ("keyAgreement", core.Any, {"explicit": 3}),
    ]


class CertReqMsg(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("certReq", CertRequest),
        ("popo", ProofOfPossession, {"optional": True}),
        ("regInfo", Controls, {"optional": True}),
    ]


class CertReqMessages(core.SequenceOf):  # type: ignore[misc]
    _child_spec = CertReqMsg


# --- answers: RFC 9810 section 5.3 (explicit tags) ---


class PKIFailureInfo(core.BitString):  # type: ignore[misc]
    _map: ClassVar = dict(enumerate(FAIL_INFO))


class PKIStatusInfo(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("status", core.Integer),
        ("statusString", PKIFreeText, {"optional": True}),
        ("failInfo", PKIFailureInfo, {"optional": True}),
    ]


class Certificates(core.SequenceOf):  # type: ignore[misc]
    _child_spec = OpaqueSequence


class CertOrEncCert(core.Choice):  # type: ignore[misc]
    _alternatives: ClassVar = [
        ("certificate", OpaqueSequence, {"explicit": 0}),
        ("encryptedCert", OpaqueSequence, {"explicit": 1}),
    ]


class CertifiedKeyPair(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("certOrEncCert", CertOrEncCert),
        ("privateKey", OpaqueSequence, {"explicit": 0, "optional": True}),
        ("publicationInfo", OpaqueSequence, {"explicit": 1, "optional": True}),
    ]


class CertResponse(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("certReqId", core.Integer),
        ("status", PKIStatusInfo),
        ("certifiedKeyPair", CertifiedKeyPair, {"optional": True}),
        ("rspInfo", core.OctetString, {"optional": True}),
    ]


class CertResponses(core.SequenceOf):  # type: ignore[misc]
    _child_spec = CertResponse


class CertRepMessage(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("caPubs", Certificates, {"explicit": 1, "optional": True}),
        ("response", CertResponses),
    ]


class CertStatus(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("certHash", core.OctetString),
        ("certReqId", core.Integer),
        ("statusInfo", PKIStatusInfo, {"optional": True}),
        ("hashAlg", AlgorithmIdentifier, {"explicit": 0, "optional": True}),
    ]


class CertConfirmContent(core.SequenceOf):  # type: ignore[misc]
    _child_spec = CertStatus


class PollReq(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [("certReqId", core.Integer)]


class PollReqContent(core.SequenceOf):  # type: ignore[misc]
    _child_spec = PollReq


class PollRep(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("certReqId", core.Integer),
        ("checkAfter", core.Integer),  # seconds
        ("reason", PKIFreeText, {"optional": True}),
    ]


class PollRepContent(core.SequenceOf):  # type: ignore[misc]
    _child_spec = PollRep


class ErrorMsgContent(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("pKIStatusInfo", PKIStatusInfo),
        ("errorCode", core.Integer, {"optional": True}),
        ("errorDetails", PKIFreeText, {"optional": True}),
    ]


class PKIBody(core.Choice):  # type: ignore[misc]
    """Every body of RFC 9810 section 5.1.2 by its tag; those that neither side here speaks stay opaque."""

    _alternatives: ClassVar = [
        ("ir", CertReqMessages, {"explicit": 0}),
        ("ip", CertRepMessage, {"explicit": 1}),
        ("cr", CertReqMessages, {"explicit": 2}),
        ("cp", CertRepMessage, {"explicit": 3}),
        ("p10cr", OpaqueSequence, {"explicit": 4}),
        ("popdecc", OpaqueSequence, {"explicit": 5}),
        ("popdecr", OpaqueSequence, {"explicit": 6}),
        ("kur", CertReqMessages, {"explicit": 7}),
        ("kup", CertRepMessage, {"explicit": 8}),
        ("krr", OpaqueSequence, {"explicit": 9}),
        ("krp", OpaqueSequence, {"explicit": 10}),
        ("rr", OpaqueSequence, {"explicit": 11}),
        ("rp", OpaqueSequence, {"explicit": 12}),
        ("ccr", OpaqueSequence, {"explicit": 13}),
        ("ccp", OpaqueSequence, {"explicit": 14}),
        ("ckuann", OpaqueSequence, {"explicit": 15}),
        ("cann", OpaqueSequence, {"explicit": 16}),
        ("rann", OpaqueSequence, {"explicit": 17}),
        ("crlann", OpaqueSequence, {"explicit": 18}),
        ("pkiconf", core.Null, {"explicit": 19}),
        ("nested", OpaqueSequence, {"explicit": 20}),
        ("genm", GeneralInfo, {"explicit": 21}),
        ("genp", GeneralInfo, {"explicit": 22}),
        ("error", ErrorMsgContent, {"explicit": 23}),
        ("certConf", CertConfirmContent, {"explicit": 24}),
        ("pollReq", PollReqContent, {"explicit": 25}),
        ("pollRep", PollRepContent, {"explicit": 26}),
    ]


class PKIMessage(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [
        ("header", PKIHeader),
        ("body", PKIBody),
        ("protection", core.OctetBitString, {"explicit": 0, "optional": True}),
        ("extraCerts", Certificates, {"explicit": 1, "optional": True}),
    ]


def sign_message(
    header: PKIHeader, body: PKIBody, key: SigningKey, *, extra_certs: Sequence[bytes] = (), pss: bool = False
) -> bytes:
    """`protect` of a header and a body as trees, with the header's protectionAlg set."""
    header["protectionAlg"] = AlgorithmIdentifier.load(algorithm_for(key, pss=pss))
    return protect(bytes(header.dump()), bytes(body.dump()), key, extra_certs=extra_certs, pss=pss)


def directory_name(name: bytes) -> GeneralName:
    """The GeneralName for a DER `Name`, kept as it was encoded."""
    return GeneralName(name="directoryName", value=opaque(name))


def opaque(der: bytes) -> OpaqueSequence:
    """A certificate, name or public key (all are SEQUENCEs) to put into a message as it is."""
    return cast("OpaqueSequence", OpaqueSequence.load(der, strict=True))


def fail_info(names: frozenset[str] | set[str]) -> PKIFailureInfo:
    """PKIFailureInfo with these bits set."""
    return PKIFailureInfo(set(names))
