from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from support_trust import CRL_URL, DAY, NOW, Web, ca, ca_true, issue, key, name, places, rsa_key, usage, with_sha1

from safetok.domain.certificates import Certificate
from safetok.domain.revocation import Revocation, RevocationAnswer
from safetok.errors import NotChecked
from safetok.trust.crl import SKEW, ask, read, urls

ISSUER = ca("SAFE-CA")
LEAF = issue("CONG TY A", "SAFE-CA", key("leaf"), key("SAFE-CA"), places(ocsp=None), serial=4711)
SECOND = timedelta(seconds=1)
HOLD = (x509.CRLReason(x509.ReasonFlags.certificate_hold), False)


def scope(**bent: Any) -> tuple[x509.ExtensionType, bool]:
    """An issuing distribution point with one thing bent."""
    usual: dict[str, Any] = {
        "full_name": None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**{**usual, **bent}), True


def entry(*extensions: tuple[x509.ExtensionType, bool], serial: int = 4711) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - 3 * DAY)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.build()


def crl(
    *entries: x509.RevokedCertificate,
    issuer: str = "SAFE-CA",
    signer: Any = None,
    begins: datetime = NOW - DAY,
    ends: datetime = NOW + DAY,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    pem: bool = False,
) -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(name(issuer)).last_update(begins).next_update(ends)
    for one in entries:
        builder = builder.add_revoked_certificate(one)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(signer or key("SAFE-CA"), hashes.SHA256()).public_bytes(Encoding.PEM if pem else Encoding.DER)


def test_a_list_holds_to_its_last_second() -> None:
    """At nextUpdate itself it is current still."""
    assert verdict(crl(ends=NOW)).answer is RevocationAnswer.GOOD


def verdict(body: bytes, *, leaf: Certificate = LEAF, issuer: Certificate = ISSUER) -> Revocation:
    return read(body, leaf.x509(), issuer.x509(), now=NOW)


def doubt(body: bytes, **more: Any) -> str:
    with pytest.raises(NotChecked) as error:
        verdict(body, **more)
    return error.value.code


@pytest.mark.parametrize("pem", [False, True])
def test_a_certificate_that_a_complete_list_does_not_name_is_good(pem: bool) -> None:
    """DER or PEM (the national root's is served as PEM): not named is good, with the list's thisUpdate."""
    answer = verdict(crl(entry(serial=1), pem=pem))
    assert (answer.answer, answer.source, answer.produced_at) == (RevocationAnswer.GOOD, "crl", NOW - DAY)


def test_named_is_revoked_and_hold_is_suspended() -> None:
    """An entry revokes, with its reason and date; certificateHold suspends."""
    superseded = (x509.CRLReason(x509.ReasonFlags.superseded), False)
    for entries, expected, text in (
        ([entry()], RevocationAnswer.REVOKED, "unspecified"),
        ([entry(superseded)], RevocationAnswer.REVOKED, "superseded"),
        ([entry(HOLD)], RevocationAnswer.SUSPENDED, "certificateHold"),
    ):
        answer = verdict(crl(*entries))
        assert (answer.answer, answer.reason, answer.since) == (expected, text, NOW - 3 * DAY)


def test_a_lifted_hold_is_good() -> None:
    """removeFromCRL says that the suspension ended."""
    assert (
        verdict(crl(entry((x509.CRLReason(x509.ReasonFlags.remove_from_crl), False)))).answer is RevocationAnswer.GOOD
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "crl_malformed"),
        (b"<html>404</html>", "crl_malformed"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "crl_malformed"),
        (crl(issuer="OTHER-CA", signer=key("OTHER-CA")), "crl_indirect"),
        (crl(signer=key("thief")), "crl_not_signed"),
        (crl(ends=NOW - SECOND), "crl_stale"),
        (crl(begins=NOW + SKEW + SECOND), "crl_future"),
        (crl(extensions=(scope(indirect_crl=True),)), "crl_indirect"),
        (crl(extensions=(scope(only_contains_ca_certs=True),)), "crl_other_scope"),
        (crl(extensions=(scope(only_contains_attribute_certs=True),)), "crl_other_scope"),
        (crl(extensions=(scope(full_name=[x509.UniformResourceIdentifier("http://else")]),)), "crl_other_scope"),
        (crl(extensions=(scope(relative_name=name("x").rdns[0]),)), "crl_other_scope"),
        (crl(extensions=(scope(only_some_reasons=frozenset({x509.ReasonFlags.key_compromise})),)), "crl_other_scope"),
        (crl(extensions=((x509.DeltaCRLIndicator(1), True),)), "crl_delta"),
        (
            crl(extensions=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), True),)),
            "crl_not_understood",
        ),
        (crl(entry((x509.CertificateIssuer([x509.DirectoryName(name("OTHER"))]), True))), "crl_not_understood"),
    ],
    ids=[
        "empty", "web page", "broken PEM", "another CA's", "forged", "past", "future", "indirect", "CAs only",
        "attributes only", "another place", "relative place", "some reasons", "changes only", "unknown critical",
        "another's entry",
    ],
)  # fmt: skip
def test_any_doubt_about_the_list_is_no_answer(body: bytes, code: str) -> None:
    """A list that is not complete, current and the issuer's own never makes a certificate good."""
    assert doubt(body) == code


def test_a_list_of_some_reasons_can_still_revoke() -> None:
    """What such a list names is revoked; what it does not name is not good by it."""
    some = scope(only_some_reasons=frozenset({x509.ReasonFlags.certificate_hold}))
    assert verdict(crl(entry(HOLD), extensions=(some,))).answer is RevocationAnswer.SUSPENDED


def test_a_place_for_some_reasons_makes_nothing_good() -> None:
    """A list without a scope of its own, at a place that the certificate names for some reasons only: it can revoke."""
    point = x509.DistributionPoint(
        [x509.UniformResourceIdentifier(CRL_URL)], None, frozenset({x509.ReasonFlags.key_compromise}), None
    )
    extensions = [(x509.CRLDistributionPoints([point]), False)]
    leaf = issue("CONG TY A", "SAFE-CA", key("leaf"), key("SAFE-CA"), extensions, serial=4711)
    assert doubt(crl(), leaf=leaf) == "crl_other_scope"
    assert doubt(crl(extensions=(scope(only_contains_user_certs=True),)), leaf=leaf) == "crl_other_scope"
    assert verdict(crl(entry()), leaf=leaf).answer is RevocationAnswer.REVOKED


def test_a_list_for_subscribers_at_the_certificate_s_own_place_counts() -> None:
    """A partitioned list of user certificates at the address the certificate names is complete for it."""
    place = scope(only_contains_user_certs=True, full_name=[x509.UniformResourceIdentifier(CRL_URL)])
    assert verdict(crl(extensions=(place, (x509.CRLNumber(3), False)))).answer is RevocationAnswer.GOOD
    a_ca = issue("SUB", "SAFE-CA", key("SUB"), key("SAFE-CA"), [ca_true(), *places()])
    assert doubt(crl(extensions=(place,)), leaf=a_ca) == "crl_other_scope"


def test_a_ca_that_may_not_sign_lists_does_not() -> None:
    """KeyUsage without cRLSign: its list is not believed."""
    issuer = ca("SAFE-CA", extensions=(ca_true(), usage("key_cert_sign")))
    assert doubt(crl(), issuer=issuer) == "crl_not_signed"


def test_a_list_signed_over_sha1_is_not_believed() -> None:
    """The same list counts with SHA-256 and not with SHA-1."""
    signer = rsa_key("SAFE-CA RSA")
    issuer = issue("SAFE-CA", "SAFE-CA", signer, signer, [ca_true()])
    strong = crl(signer=signer)
    assert verdict(strong, issuer=issuer).answer is RevocationAnswer.GOOD
    weak = with_sha1(strong, x509.load_der_x509_crl(strong).tbs_certlist_bytes, signer)
    assert doubt(weak, issuer=issuer) == "crl_not_signed"


def test_only_http_places_of_the_issuer_itself_are_asked() -> None:
    """LDAP addresses and points of another CRL issuer are left out; three addresses at most."""
    uri = x509.UniformResourceIdentifier
    points = [
        x509.DistributionPoint([uri("ldap://x"), uri("http://a"), uri("HTTPS://b")], None, None, None),
        x509.DistributionPoint([uri("http://indirect")], None, None, [x509.DirectoryName(name("OTHER"))]),
        x509.DistributionPoint([uri(f"http://{n}") for n in range(9)], None, None, None),
    ]
    leaf = issue("X", "SAFE-CA", key("leaf"), key("SAFE-CA"), [(x509.CRLDistributionPoints(points), False)])
    assert urls(leaf.x509()) == ("http://a", "HTTPS://b", "http://0")
    assert urls(ISSUER.x509()) == ()


def asked(web: Web, cache: Path | None, now: datetime = NOW) -> Revocation:
    return ask(LEAF.x509(), ISSUER.x509(), CRL_URL, http=web, now=now, cache=cache)  # type: ignore[arg-type]


def test_a_list_is_fetched_once_until_its_next_update(tmp_path: Path) -> None:
    """With a cache folder the second question costs no network; after nextUpdate the list is fetched again."""
    web = Web({CRL_URL: crl()})
    asked(web, tmp_path / "crl")
    asked(web, tmp_path / "crl")
    assert len(web.asked) == 1
    web.pages = {CRL_URL: crl(entry(), begins=NOW + DAY, ends=NOW + 2 * DAY)}
    assert asked(web, tmp_path / "crl", NOW + DAY + SECOND).answer is RevocationAnswer.REVOKED
    assert len(web.asked) == 2


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    """No cache: every question is asked, nothing is written."""
    web = Web({CRL_URL: crl()})
    asked(web, None)
    asked(web, None)
    assert len(web.asked) == 2
    assert not list(tmp_path.iterdir())


def test_a_tampered_cache_is_not_believed(tmp_path: Path) -> None:
    """What is kept is checked like what is fetched: a forged or broken file is fetched anew."""
    web = Web({CRL_URL: crl(entry())})
    for forged in (crl(signer=key("thief")), b"", b"nonsense"):
        asked(web, tmp_path)
        for kept in tmp_path.iterdir():
            kept.write_bytes(forged)
        assert asked(web, tmp_path).answer is RevocationAnswer.REVOKED


def test_a_list_that_is_not_believed_is_not_kept(tmp_path: Path) -> None:
    """A forged list leaves no trace."""
    with pytest.raises(NotChecked):
        asked(Web({CRL_URL: crl(signer=key("thief"))}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    """The answer stands although the list cannot be kept."""
    (tmp_path / "file").write_text("in the way")
    assert asked(Web({CRL_URL: crl()}), tmp_path / "file").answer is RevocationAnswer.GOOD


def test_an_error_page_is_not_a_list() -> None:
    """HTTP 404 is not checked."""
    with pytest.raises(NotChecked) as error:
        asked(Web({CRL_URL: 404}), None)
    assert error.value.code == "crl_unreachable"
