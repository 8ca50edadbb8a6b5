from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from support_trust import DAY, NOW, ca, ca_false, ca_true, issue, key, name, rsa_key, usage, with_sha1

from safetok.domain.certificates import Certificate, parse
from safetok.domain.times import end_of_day, last_usable_day
from safetok.errors import ExitStatus, NotTrusted
from safetok.trust.answer import FAIL_INFO, verify_answer

SUBJECT = name("CÔNG TY TNHH MỘT THÀNH VIÊN A", "MST:0106324653")
USAGE = usage("digital_signature", "content_commitment", "key_encipherment")
ROOT = ca("Vietnam National Root CA")
OLD_CA = ca("SAFE-CA 2020", "Vietnam National Root CA", ends=NOW + 20 * DAY)
NEW_CA = ca("SAFE-CA 2024", "Vietnam National Root CA", ends=NOW + 1100 * DAY)
OLD = issue(
    SUBJECT, "SAFE-CA 2020", key("leaf"), key("SAFE-CA 2020"), [ca_false(), USAGE], serial=77, ends=NOW + 20 * DAY
)
END = end_of_day(last_usable_day(NOW + 400 * DAY))


def renewed(**bent: Any) -> Certificate:
    """What the CA should answer, with something bent."""
    subject, issuer, public, signer = (
        bent.pop(field, usual)
        for field, usual in (
            ("subject", SUBJECT),
            ("issuer", "SAFE-CA 2024"),
            ("public", key("leaf")),
            ("signer", key("SAFE-CA 2024")),
        )
    )
    extensions = bent.pop("extensions", [ca_false(), USAGE])
    return issue(subject, issuer, public, signer, extensions, **{"begins": NOW, "ends": END, **bent})


def verify(new: Certificate, **bent: Any) -> tuple[Certificate, ...]:
    given: dict[str, Any] = {
        "old": OLD,
        "spki": OLD.spki,
        "issuers": [OLD_CA, NEW_CA],
        "anchors": [ROOT],
        "extra": [],
        "requested_not_after": END,
        "validity": "exact",
        "min_not_after": None,
        "at": NOW,
    }
    return verify_answer(new, **{**given, **bent})


def code(new: Certificate, **bent: Any) -> str:
    with pytest.raises(NotTrusted) as error:
        verify(new, **bent)
    assert error.value.exit_status is ExitStatus.NOT_TRUSTED
    assert error.value.hint
    assert error.value.data == {"fail_info": FAIL_INFO[error.value.code]}
    return error.value.code


def test_what_was_asked_for_is_accepted() -> None:
    """Same key, same subject, new serial, the confirmed day, one of the CA's issuers: the chain comes back."""
    new = renewed()
    assert verify(new) == (new, NEW_CA, ROOT)


def test_another_key_is_refused() -> None:
    """A certificate for a key that is not on the token is not written."""
    assert code(renewed(public=key("somebody"))) == "wrong_key"


def test_a_new_key_is_the_one_asked_for() -> None:
    """After `--new-key` the new public key is expected, and the old one is wrong."""
    new = renewed(public=key("new leaf"))
    assert verify(new, spki=new.spki)[0] == new
    assert code(renewed(), spki=new.spki) == "wrong_key"


@pytest.mark.parametrize(
    "subject",
    [
        name("CÔNG TY TNHH MỘT THÀNH VIÊN B", "MST:0106324653"),
        name("CÔNG TY TNHH MỘT THÀNH VIÊN A", "MST:0106323762"),
        x509.Name(list(reversed(list(SUBJECT)))),
    ],
    ids=["name", "MST", "order"],
)
def test_another_subject_is_refused(subject: x509.Name) -> None:
    """Another name, another tax code, or the same in another order is not the same company's certificate."""
    assert code(renewed(subject=subject)) == "wrong_subject"


def test_the_old_serial_is_refused() -> None:
    """A renewal whose serial did not change is none."""
    assert code(renewed(serial=77)) == "same_serial"


@pytest.mark.parametrize("validity", ["exact", "ca"])
def test_it_must_end_later(validity: str) -> None:
    """The same end as the old one, whatever was requested, is no renewal."""
    assert code(renewed(ends=OLD.not_after), requested_not_after=OLD.not_after, validity=validity) == "not_later"


def test_one_that_is_already_over_is_refused() -> None:
    """For an expired certificate, a later end that is past as well gives nothing to sign with."""
    old = issue(SUBJECT, "SAFE-CA 2020", key("leaf"), key("SAFE-CA 2020"), [USAGE], ends=NOW - 10 * DAY)
    past = renewed(begins=NOW - 20 * DAY, ends=NOW - DAY)
    assert code(past, old=old, requested_not_after=None, validity="ca") == "not_later"


def test_another_day_than_confirmed_is_refused_only_where_it_binds() -> None:
    """Validity "exact" holds the CA to the confirmed day; with "ca" the day is a wish."""
    new = renewed(ends=END - 3 * DAY)
    assert code(new) == "not_as_confirmed"
    assert verify(new, validity="ca")[0] == new
    assert code(renewed(ends=END + DAY)) == "not_as_confirmed"


@pytest.mark.parametrize("shift", [timedelta(seconds=1), timedelta(seconds=-59), timedelta(hours=-20)])
def test_the_same_last_day_in_vietnam_is_as_confirmed(shift: timedelta) -> None:
    """Midnight, 23:59:00 or 03:59 of the confirmed Vietnamese day: all of them are that day."""
    assert verify(renewed(ends=END + shift))


def test_a_script_s_floor_binds() -> None:
    """`--min-not-after` refuses what ends before it, also where the CA decides."""
    assert code(renewed(), validity="ca", min_not_after=END + timedelta(seconds=1)) == "below_floor"
    assert verify(renewed(), validity="ca", min_not_after=END)


@pytest.mark.parametrize("validity", ["exact", "ca"])
def test_it_must_not_outlive_its_ca(validity: str) -> None:
    """A certificate that ends after its issuer's own is refused."""
    late = NEW_CA.not_after + DAY
    assert code(renewed(ends=late), requested_not_after=late, validity=validity) == "too_late"
    assert verify(renewed(ends=NEW_CA.not_after), requested_not_after=NEW_CA.not_after)


def test_it_must_begin_before_the_old_one_ends() -> None:
    """A beginning that leaves days without a certificate is refused; one at the old one's end is not."""
    assert code(renewed(begins=OLD.not_after + timedelta(seconds=1))) == "begins_late"
    assert verify(renewed(begins=OLD.not_after))


def test_after_an_expired_one_a_day_ahead_is_a_clock_s_difference() -> None:
    """Where the old certificate is over, a beginning within a day is the CA's clock; a later one is refused."""
    old = issue(SUBJECT, "SAFE-CA 2020", key("leaf"), key("SAFE-CA 2020"), [ca_false(), USAGE], ends=NOW - DAY)
    assert verify(renewed(begins=NOW + DAY), old=old)
    assert code(renewed(begins=NOW + DAY + timedelta(seconds=1)), old=old) == "begins_late"


def test_a_ca_re_issued_with_the_same_key_counts_with_its_latest_end() -> None:
    """Two certificates of one issuing key: the later one bounds, in whatever order they are configured."""
    early = ca("SAFE-CA 2024", "Vietnam National Root CA", ends=NOW + 100 * DAY)
    for issuers in ([early, NEW_CA], [NEW_CA, early]):
        assert verify(renewed(), issuers=issuers)


def test_a_ca_s_certificate_is_refused() -> None:
    """CA:TRUE would let the token's holder make certificates: never a subscriber's."""
    assert code(renewed(extensions=[ca_true(), USAGE])) == "is_ca"


@pytest.mark.parametrize(
    "new_usage",
    [
        usage("digital_signature", "key_encipherment"),
        usage("content_commitment", "key_encipherment"),
        usage("digital_signature", "content_commitment", "key_encipherment", "key_cert_sign"),
        usage("digital_signature", "content_commitment", "key_encipherment", "crl_sign"),
    ],
)
def test_key_usage_is_not_narrower_and_not_a_ca_s(new_usage: tuple[x509.ExtensionType, bool]) -> None:
    """What the old certificate may do the new one may too, and nothing that is a CA's."""
    assert code(renewed(extensions=[ca_false(), new_usage])) == "key_usage"


def test_wider_or_absent_key_usage_is_no_reason_to_refuse() -> None:
    """More rights, or no KeyUsage at all, is not narrower; from none, signing must remain."""
    wide = usage("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    assert verify(renewed(extensions=[wide]))
    assert verify(renewed(extensions=[]))
    bare = issue(SUBJECT, "SAFE-CA 2020", key("leaf"), key("SAFE-CA 2020"), ends=NOW + 20 * DAY)
    assert verify(renewed(extensions=[usage("digital_signature")]), old=bare)
    assert code(renewed(extensions=[usage("key_encipherment")]), old=bare) == "key_usage"


def test_extensions_that_cannot_be_read_are_refused() -> None:
    """An extension of broken DER is no ground to believe anything."""
    broken = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.19"), b"\xff\xff")
    assert code(renewed(extensions=[(broken, True)])) == "unreadable"


@pytest.mark.parametrize("weak", [rsa_key("weak", 1024), ec.generate_private_key(ec.SECP224R1())], ids=["rsa", "ec"])
def test_a_weak_key_is_refused(weak: Any) -> None:
    """RSA below 2048 and EC below 256 bits are refused even for the key that was asked for."""
    new = renewed(public=weak)
    assert code(new, spki=new.spki) == "weak_key"


def test_an_unknown_kind_of_key_is_refused() -> None:
    """Neither RSA nor EC: not what a Vietnamese token holds."""
    new = renewed(public=ed25519.Ed25519PrivateKey.generate())
    assert code(new, spki=new.spki) == "weak_key"


def test_sha1_is_refused() -> None:
    """A signature over SHA-1 can be forged."""
    signer = rsa_key("SAFE-CA RSA")
    issuer = issue(
        "SAFE-CA RSA", "Vietnam National Root CA", signer, key("Vietnam National Root CA"), [ca_true()], ends=END
    )
    new = renewed(issuer="SAFE-CA RSA", signer=signer)
    assert verify(new, issuers=[issuer])
    assert (
        code(parse(with_sha1(new.der, new.x509().tbs_certificate_bytes, signer)), issuers=[issuer]) == "weak_signature"
    )


def test_another_ca_of_the_country_is_refused() -> None:
    """A chain to the national root proves nothing: the issuer must be one of this authority's."""
    other = ca("OTHER-CA", "Vietnam National Root CA")
    new = renewed(issuer="OTHER-CA", signer=key("OTHER-CA"))
    assert code(new, extra=[other.der]) == "foreign_issuer"
    assert verify(new, issuers=[other])


def test_the_ca_s_name_without_its_key_is_refused() -> None:
    """Another CA that calls itself SAFE-CA, with a chain of its own sent along, is foreign."""
    twin = ca("SAFE-CA 2024", "Vietnam National Root CA", who="twin")
    assert code(renewed(signer=key("twin")), extra=[twin.der]) == "foreign_issuer"


def test_a_broken_signature_is_refused() -> None:
    """One bit of the signature turned makes a stranger's certificate."""
    der = bytearray(renewed().der)
    der[-1] ^= 1
    assert code(parse(bytes(der))) == "foreign_issuer"


def test_no_path_to_the_anchors_is_refused() -> None:
    """One of the CA's issuers that no anchor vouches for is not enough."""
    assert code(renewed(), anchors=[ca("Other Root")]) == "no_path"
    assert code(renewed(), anchors=[]) == "no_path"


def test_an_issuer_that_is_over_makes_no_path() -> None:
    """The path is asked about at the time of receipt."""
    root = ca("Vietnam National Root CA", ends=NOW - DAY)
    assert code(renewed(), anchors=[root]) == "no_path"


def test_what_comes_along_helps_the_path_and_can_not_replace_the_issuer() -> None:
    """extraCerts supply links above the issuer; certificates of the issuer's own name are not taken from there."""
    top = ca("TOP", "Vietnam National Root CA")
    issuer = ca("SAFE-CA 2024", "TOP")
    new = renewed()
    assert verify(new, issuers=[issuer], extra=[b"nonsense", top.der]) == (new, issuer, top, ROOT)
    assert code(new, issuers=[issuer]) == "no_path"
    assert code(new, issuers=[issuer], extra=[NEW_CA.der]) == "no_path"


def test_the_ca_s_clock_may_run_ahead() -> None:
    """A certificate that begins two minutes from now is not refused for that."""
    begins: datetime = NOW + timedelta(minutes=2)
    assert verify(renewed(begins=begins))
