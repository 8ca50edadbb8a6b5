from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from asn1crypto import parser
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyasn1.codec.der import decoder, encoder
from pyasn1_alt_modules import rfc4211, rfc5280, rfc9480
from support_ca import ENDPOINT, issuer, opening, renewed, secret, subscriber, within
from support_cmp_second import body, decode
from support_trust import DAY, NOW, issue, key, rsa_key

from safetok.ca.cmp.endpoint import Endpoint
from safetok.ca.cmp.protection import verify_message
from safetok.ca.cmp.requests import build_confirmation, build_poll, build_request, sender_nonce_of
from safetok.domain.times import VIETNAM
from safetok.errors import NoAnswer

PSS = "1.2.840.113549.1.1.10"

NEW = ec.generate_private_key(ec.SECP384R1())


def spki(of: Any) -> bytes:
    return of.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[no-any-return]


def verify(public_key: Any, signature: bytes, data: bytes) -> None:
    """By `cryptography` alone: raises when it does not hold."""
    if isinstance(public_key, rsa.RSAPublicKey):
        public_key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    else:
        digest = hashes.SHA256() if public_key.curve.key_size == 256 else hashes.SHA384()
        public_key.verify(signature, data, ec.ECDSA(digest))


def check_protection(der: bytes, public_key: Any) -> None:
    """The protection holds over what the second decoder takes as the protected part."""
    message = decode(der)
    part = rfc9480.ProtectedPart()
    part["header"], part["body"] = message["header"], message["body"]
    verify(public_key, message["protection"].asOctets(), encoder.encode(part))


def check_form(der: bytes, *, kind: str, old: Any = None) -> Any:
    """What every message of ours carries (RFC 9483 section 3.1), as the second decoder sees it."""
    old = old or subscriber()
    message = decode(der)
    header = message["header"]
    assert encoder.encode(header["sender"]["directoryName"][0]) == old.subject_der
    assert encoder.encode(header["recipient"]["directoryName"][0]) == old.issuer_der
    ski = old.x509().extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert bytes(header["senderKID"]) == ski
    assert len(bytes(header["transactionID"])) == len(bytes(header["senderNonce"])) == 16
    assert str(header["messageTime"]) == "20261122030000Z"
    assert encoder.encode(message["extraCerts"][0]) == old.der
    assert message["body"].getName() == kind
    check_protection(der, old.x509().public_key())
    return message


@pytest.mark.parametrize("key_type", ["EC", "RSA"])
def test_kur_with_the_same_key(key_type: str) -> None:
    """The old subject, the old key, the date asked for, oldCertID; no issuer, no serial; proof by that key."""
    old = subscriber(key_type)
    sent = opening(old=old, old_key=secret(key_type), new_spki=old.spki, new_key=secret(key_type))
    message = check_form(sent.der, kind="kur", old=old)
    assert int(message["header"]["pvno"]) == 2
    assert bytes(message["header"]["transactionID"]) == sent.transaction_id
    assert bytes(message["header"]["senderNonce"]) == sent.sender_nonce
    assert not message["header"]["recipNonce"].isValue
    assert not message["header"]["generalInfo"].isValue
    (request,) = message["body"]["kur"]
    template = request["certReq"]["certTemplate"]
    assert int(request["certReq"]["certReqId"]) == 0
    present = {name for name in template if template[name].isValue}
    assert present == {"subject", "publicKey", "validity"}
    assert encoder.encode(template["subject"][0]) == old.subject_der
    assert template["publicKey"]["subjectPublicKey"].isValue
    assert bytes.fromhex(encoder.encode(template["publicKey"]).hex()[4:]) in old.spki
    assert not template["validity"]["notBefore"].isValue
    assert str(template["validity"]["notAfter"]["utcTime"]) == "271227030000Z"
    (control,) = request["certReq"]["controls"]
    assert str(control["type"]) == "1.3.6.1.5.5.7.5.1.5"
    old_id, rest = decoder.decode(bytes(control["value"]), asn1Spec=rfc4211.CertId())
    assert rest == b""
    assert int(old_id["serialNumber"]) == int(old.serial, 16)
    assert encoder.encode(old_id["issuer"]["directoryName"][0]) == old.issuer_der
    signed = encoder.encode(request["certReq"])
    verify(old.x509().public_key(), request["popo"]["signature"]["signature"].asOctets(), signed)


def test_kur_with_a_new_key() -> None:
    """The new key is in the template and proves itself; the old key protects the message."""
    sent = opening(new_spki=spki(NEW), new_key=NEW)
    message = check_form(sent.der, kind="kur")
    (request,) = message["body"]["kur"]
    popo = request["popo"]["signature"]
    assert str(popo["algorithmIdentifier"]["algorithm"]) == "1.2.840.10045.4.3.3"  # P-384 signs with SHA-384
    verify(NEW.public_key(), popo["signature"].asOctets(), encoder.encode(request["certReq"]))
    assert str(message["header"]["protectionAlg"]["algorithm"]) == "1.2.840.10045.4.3.2"


def test_cr_names_no_old_certificate() -> None:
    """cr asks for a further certificate: the same template, no oldCertID (RFC 9483 section 4.1.2)."""
    (request,) = check_form(opening("cr").der, kind="cr")["body"]["cr"]
    assert not request["certReq"]["controls"].isValue
    assert request["certReq"]["certTemplate"]["subject"].isValue


def csr_in(message: Any) -> x509.CertificateSigningRequest:
    tagged = encoder.encode(message["body"]["p10cr"])
    return x509.load_der_x509_csr(parser.parse(tagged)[4])  # without the tag of the body


def test_p10cr_is_a_request_that_others_verify() -> None:
    """The PKCS#10 inside has the old subject byte for byte and verifies by `cryptography`; it has no place for a date."""
    message = check_form(opening("p10cr", new_spki=spki(NEW), new_key=NEW).der, kind="p10cr")
    csr = csr_in(message)
    assert csr.is_signature_valid
    assert csr.subject.public_bytes() == subscriber().subject_der
    assert csr.public_key() == NEW.public_key()
    with_rsa = opening("p10cr", new_spki=spki(rsa_key("new")), new_key=rsa_key("new")).der
    assert csr_in(decode(with_rsa)).is_signature_valid


def test_dates_are_written_as_certificates_write_them() -> None:
    """UTCTime to 2049, GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5), UTC, whole seconds; absent when not asked."""
    wanted = {
        datetime(2049, 12, 31, 23, 59, 59, 999, tzinfo=UTC): ("utcTime", "491231235959Z"),
        datetime(2050, 1, 1, 6, 59, 59, tzinfo=VIETNAM): ("utcTime", "491231235959Z"),
        datetime(2050, 1, 1, 7, 0, 0, tzinfo=VIETNAM): ("generalTime", "20500101000000Z"),
    }
    for instant, expected in wanted.items():
        (request,) = body(opening(not_after=instant).der)[1]
        chosen = request["certReq"]["certTemplate"]["validity"]["notAfter"]
        assert (chosen.getName(), str(chosen.getComponent())) == expected
    (request,) = body(opening(not_after=None).der)[1]
    assert not request["certReq"]["certTemplate"]["validity"]["notAfter"].isValue


def test_the_endpoint_s_wishes_are_in_the_opening_only() -> None:
    """Implicit confirmation, certProfile and the configured recipient; nothing of generalInfo in later messages."""
    recipient = x509.Name.from_rfc4514_string("CN=SAFE-CA CMP,C=VN").public_bytes()
    endpoint = replace(ENDPOINT, implicit_confirm=True, profile="bù-hạn", recipient=recipient)
    header = decode(opening(endpoint=endpoint).der)["header"]
    info = {str(i["infoType"]): bytes(i["infoValue"]) for i in header["generalInfo"]}
    assert info["1.3.6.1.5.5.7.4.13"] == b"\x05\x00"
    profile, rest = decoder.decode(info["1.3.6.1.5.5.7.4.21"])
    assert [str(p) for p in profile] == ["bù-hạn"]
    assert (rest, len(info)) == (b"", 2)
    assert encoder.encode(header["recipient"]["directoryName"][0]) == recipient
    later, _nonce = build_poll(**within(endpoint=endpoint))
    assert not decode(later)["header"]["generalInfo"].isValue


def test_the_chain_follows_the_own_certificate() -> None:
    """extraCerts: our own first, then the CA that issued it, no other of the authority's."""
    endpoint = replace(ENDPOINT, issuers=(issuer("OTHER"), issuer()))
    extra = decode(opening(endpoint=endpoint).der)["extraCerts"]
    assert [encoder.encode(c) for c in extra] == [subscriber().der, issuer().der]


def test_a_certificate_without_ski_sends_no_sender_kid() -> None:
    """senderKID is the SKI or nothing (RFC 9483 section 3.1)."""
    old = issue("CTY", "SAFE-CA", secret(), key("SAFE-CA"))
    header = decode(opening(old=old, new_spki=old.spki).der)["header"]
    assert not header["senderKID"].isValue


def test_a_poll_asks_for_the_transaction() -> None:
    """pollReq repeats the transaction and the CA's nonce, with a fresh one of ours and the right certReqId."""
    der, nonce = build_poll(**within())
    message = check_form(der, kind="pollReq")
    assert bytes(message["header"]["transactionID"]) == b"T" * 16
    assert bytes(message["header"]["recipNonce"]) == b"S" * 16
    assert bytes(message["header"]["senderNonce"]) == nonce == sender_nonce_of(der)
    assert [int(entry["certReqId"]) for entry in message["body"]["pollReq"]] == [0]
    p10 = replace(ENDPOINT, request="p10cr")
    for given, number in ((within(endpoint=p10), -1), (within(cert_req_id=-1), -1), (within(), 0)):
        assert int(body(build_poll(**given)[0])[1][0]["certReqId"]) == number


def confirmation(certificate: bytes, *, accept: bool = True, **bent: Any) -> Any:
    der = build_confirmation(certificate=certificate, accept=accept, **within(**bent))
    message = check_form(der, kind="certConf")
    assert bytes(message["header"]["senderNonce"]) == sender_nonce_of(der)
    assert bytes(message["header"]["recipNonce"]) == b"S" * 16
    return message


def digest(der: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    hashing = hashes.Hash(algorithm)
    hashing.update(der)
    return hashing.finalize()


def test_accepting_says_nothing_but_the_hash() -> None:
    """certHash with the hash of the certificate's own signature; no status, no hashAlg, pvno 2."""
    for algorithm in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        new = issue("CTY", "SAFE-CA", secret(), key("SAFE-CA"), algorithm=algorithm)
        message = confirmation(new.der)
        (status,) = message["body"]["certConf"]
        assert bytes(status["certHash"]) == digest(new.der, algorithm)
        assert int(status["certReqId"]) == 0
        assert not status["statusInfo"].isValue
        assert not status["hashAlg"].isValue
        assert int(message["header"]["pvno"]) == 2


def test_a_pss_signed_certificate_is_hashed_with_its_own_hash() -> None:
    """RSASSA-PSS names its hash in the parameters."""
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).serial_number(5)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + DAY).public_key(NEW.public_key())
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    der = builder.sign(rsa_key("SAFE"), hashes.SHA384(), rsa_padding=pss).public_bytes(Encoding.DER)
    (status,) = confirmation(der)["body"]["certConf"]
    assert bytes(status["certHash"]) == digest(der, hashes.SHA384())


@pytest.mark.parametrize(
    ("signer", "algorithm", "oid"),
    [
        (ed25519.Ed25519PrivateKey.generate(), hashes.SHA512(), "2.16.840.1.101.3.4.2.3"),
        (ed448.Ed448PrivateKey.generate(), hashes.SHAKE256(64), "2.16.840.1.101.3.4.2.12"),
    ],
    ids=["Ed25519", "Ed448"],
)
def test_a_certificate_signed_with_eddsa_needs_hash_alg(signer: Any, algorithm: hashes.HashAlgorithm, oid: str) -> None:
    """hashAlg and pvno 3 (RFC 9481 section 3.3); both left out for a CA that refused them."""
    der = eddsa(signer)
    message = confirmation(der)
    (status,) = message["body"]["certConf"]
    assert bytes(status["certHash"]) == digest(der, algorithm)
    assert str(status["hashAlg"]["algorithm"]) == oid
    assert int(message["header"]["pvno"]) == 3
    plain = confirmation(der, hash_alg=False)
    assert not plain["body"]["certConf"][0]["hashAlg"].isValue
    assert int(plain["header"]["pvno"]) == 2


def eddsa(signer: Any) -> bytes:
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([])).serial_number(5)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + DAY).public_key(NEW.public_key())
    return builder.sign(signer, None).public_bytes(Encoding.DER)


def test_rejecting_says_why() -> None:
    """Status rejection with one failInfo and a text."""
    message = confirmation(renewed().der, accept=False, fail_info="badCertTemplate", text="không đúng", cert_req_id=-1)
    (status,) = message["body"]["certConf"]
    info = status["statusInfo"]
    assert int(info["status"]) == 2
    assert [str(text) for text in info["statusString"]] == ["không đúng"]
    assert [place for place, bit in enumerate(info["failInfo"]) if bit] == [19]
    assert int(status["certReqId"]) == -1


@pytest.mark.parametrize("what", ["nonsense", "of version 49"])
def test_what_is_no_certificate_can_be_rejected(what: str) -> None:
    """A CA that issues something unreadable is told so, with SHA-256 over what it sent."""
    later = renewed().der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020130"), 1)
    junk = bytes.fromhex("30030101ff") if what == "nonsense" else later
    message = confirmation(junk, accept=False, fail_info="badDataFormat")
    (status,) = message["body"]["certConf"]
    assert bytes(status["certHash"]) == digest(junk, hashes.SHA256())
    assert str(status["hashAlg"]["algorithm"]) == "2.16.840.1.101.3.4.2.1"


def test_nothing_is_sent_twice() -> None:
    """Every message takes its nonce from the randomness given; the same randomness gives the same message."""
    rsa_old = subscriber("RSA")
    given: dict[str, Any] = {
        "old": rsa_old,
        "old_key": secret("RSA"),
        "new_spki": rsa_old.spki,
        "new_key": secret("RSA"),
    }
    assert opening(**given) == opening(**given)
    one, other = opening(), build_request("kur", **{**request_args(), "random": lambda n: b"\xa5" * n})
    assert one.transaction_id != one.sender_nonce
    assert one.transaction_id != other.transaction_id


def request_args() -> dict[str, Any]:
    return {
        "old": subscriber(),
        "old_key": secret(),
        "new_spki": subscriber().spki,
        "new_key": secret(),
        "not_after": None,
        "endpoint": ENDPOINT,
        "now": NOW,
    }


def test_sender_nonce_of_nonsense_is_an_error_of_ours() -> None:
    """A damaged journal row says so."""
    with pytest.raises(NoAnswer):
        sender_nonce_of(b"junk")


@pytest.mark.parametrize("kind", ["kur", "cr", "p10cr"])
def test_an_authority_may_want_pss_of_rsa_keys(kind: Any) -> None:
    """Protection and proof of possession are RSASSA-PSS then, by RSA keys alone; what follows is protected so too."""
    endpoint = Endpoint(url="https://ca.example", request=kind, pss=True)
    old = subscriber("RSA")
    given = {"endpoint": endpoint, "old": old, "old_key": secret("RSA")}
    der = opening(kind=kind, new_spki=old.spki, new_key=secret("RSA"), **given).der
    assert verify_message(der, secret("RSA").public_key())
    message = decode(der)
    assert str(message["header"]["protectionAlg"]["algorithm"]) == PSS
    if kind == "p10cr":
        assert csr_in(message).is_signature_valid
        assert csr_in(message).signature_algorithm_oid.dotted_string == PSS
    else:
        proof = message["body"][kind][0]["popo"]["signature"]
        assert str(proof["algorithmIdentifier"]["algorithm"]) == PSS
        secret("RSA").public_key().verify(
            proof["signature"].asOctets(),
            encoder.encode(message["body"][kind][0]["certReq"]),
            padding.PSS(padding.MGF1(hashes.SHA256()), 32),
            hashes.SHA256(),
        )
    by_ec = decode(opening(kind=kind, endpoint=endpoint).der)
    assert str(by_ec["header"]["protectionAlg"]["algorithm"]) != PSS
    later, _nonce = build_poll(
        **given, transaction_id=b"t" * 16, recip_nonce=b"n" * 16, now=NOW, random=lambda n: b"r" * n
    )
    assert str(decode(later)["header"]["protectionAlg"]["algorithm"]) == PSS


def test_times_and_names_survive_the_second_decoder() -> None:
    """The subject comes back byte for byte, whatever string types the CA once used."""
    rdn = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "CONG TY", _type=x509.name._ASN1Type.PrintableString),
            x509.NameAttribute(x509.NameOID.LOCALITY_NAME, "Đà Nẵng", _type=x509.name._ASN1Type.BMPString),
        ]
    )
    old = issue(rdn, "SAFE-CA", secret(), key("SAFE-CA"))
    (request,) = body(opening(old=old, new_spki=old.spki).der)[1]
    assert encoder.encode(request["certReq"]["certTemplate"]["subject"][0]) == old.subject_der
    decoded, _rest = decoder.decode(old.subject_der, asn1Spec=rfc5280.Name())
    assert decoded.isValue
