from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from support_mail import ISSUER, OLD, ROOT, surroundings
from support_trust import AIA_URL, CRL_URL, DAY, NOW, OCSP_URL, Web, ca, ca_true, issue, key, places, usage
from test_trust_crl import crl, entry
from test_trust_ocsp import responder

from safetok.domain.authorities import Authority
from safetok.domain.certificates import Certificate
from safetok.domain.revocation import RevocationAnswer
from safetok.errors import ExitStatus
from safetok.workflows.check_entries import Meant
from safetok.workflows.checking import Checked, Checking

GOOD, REVOKED, SUSPENDED, UNKNOWN = (
    RevocationAnswer.GOOD,
    RevocationAnswer.REVOKED,
    RevocationAnswer.SUSPENDED,
    RevocationAnswer.UNKNOWN,
)
ROOT_CRL = "http://root.example.vn/root.crl"
ASKED_ABOUT = ca(
    "SAFE-CA 2024",
    "Vietnam National Root CA",
    extensions=(ca_true(), usage("key_cert_sign", "crl_sign"), *places(None, ROOT_CRL)),
    serial=99,
)


def says(
    of: Certificate = OLD, status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD, reason: Any = None, **more: Any
) -> Any:
    since = NOW - 3 * DAY if status is ocsp.OCSPCertStatus.REVOKED else None
    return responder(of=of, issuer=ISSUER, signer=ISSUER, status=status, reason=reason, since=since, **more)


def checked(
    folder: Path,
    pages: dict[str, Any],
    *,
    certificate: Certificate = OLD,
    along: tuple[Certificate, ...] = (),
    issuer: Certificate | None = None,
    web: Web | None = None,
    **settings: Any,
) -> Checked:
    context = surroundings(folder, web or Web(pages))
    if issuer is not None:
        (folder / "ca.pem").write_bytes(issuer.x509().public_bytes(Encoding.PEM))
    if settings:
        authority = replace(context.settings.authorities["safe-ca"], **settings)
        context.settings = replace(context.settings, authorities={"safe-ca": authority})
    found = Checking(context).check(Meant(certificate=certificate, along=tuple(one.der for one in along)))
    context.close()
    return found


def test_good_needs_a_path_and_says_it(tmp_path: Path) -> None:
    """The issuer's word and a path to the anchor: good, no error, the CAs named up to the anchor."""
    found = checked(tmp_path, {OCSP_URL: says()})
    assert found.answer.answer is GOOD
    assert found.error is None
    path = found.data()["path"]
    assert (path["anchored"], path["in_force"], path["anchor"]) == (True, True, ROOT.subject)
    assert [one["name"] for one in path["cas"]] == ["SAFE-CA 2024", "Vietnam National Root CA"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"anchors": (), "issuers": (), "issuer_names": ("SAFE-CA",)}, "no_anchors"),
        ({"anchors": (Path("other.pem"),)}, "no_issuer"),
    ],
    ids=["no root was told", "another root"],
)
def test_without_a_path_nothing_is_good(tmp_path: Path, settings: dict[str, Any], code: str) -> None:
    """A rightly signed "good" of a CA that leads to no anchor is unknown (18); what the CA said is told beside it."""
    (tmp_path / "other.pem").write_bytes(ca("Other Root").x509().public_bytes(Encoding.PEM))
    settings = {
        name: tuple(tmp_path / v for v in value) if name == "anchors" else value for name, value in settings.items()
    }
    leaf = issue(OLD.x509().subject, "SAFE-CA 2024", key("company"), key("SAFE-CA 2024"), places(issuer=AIA_URL))
    found = checked(tmp_path, {OCSP_URL: says(leaf), AIA_URL: ISSUER.der}, certificate=leaf, **settings)
    assert (found.answer.answer, found.said, found.path.code) == (UNKNOWN, GOOD, code)
    assert found.path.reason in found.answer.reason
    assert found.error is not None
    assert (found.error.exit_status, found.error.code) == (ExitStatus.NOT_CHECKED, "no_path")
    assert ("settings.toml" in found.error.hint) is (code == "no_anchors")


@pytest.mark.parametrize(("reason", "expected"), [(None, REVOKED), (x509.ReasonFlags.certificate_hold, SUSPENDED)])
def test_bad_news_needs_no_path(tmp_path: Path, reason: Any, expected: RevocationAnswer) -> None:
    """A revocation or suspension announced by the issuer's key is told as such, path or not."""
    revoked = says(status=ocsp.OCSPCertStatus.REVOKED, reason=reason)
    (tmp_path / "other.pem").write_bytes(ca("Other Root").x509().public_bytes(Encoding.PEM))
    found = checked(tmp_path, {OCSP_URL: revoked}, anchors=(tmp_path / "other.pem",))
    assert found.answer.answer is expected
    assert not found.path.anchored
    assert found.error is not None
    assert found.error.exit_status is ExitStatus.REVOKED


def test_an_authority_without_anchors_ends_at_its_own_issuing_ca(tmp_path: Path) -> None:
    """The settings name the issuing CA and no root: that CA is trusted because it is named, and the path ends there."""
    found = checked(tmp_path, {OCSP_URL: says()}, anchors=())
    assert found.answer.answer is GOOD
    assert [one["name"] for one in found.data()["path"]["cas"]] == ["SAFE-CA 2024"]


def test_a_certificate_of_no_known_ca_may_end_at_any_anchor(tmp_path: Path) -> None:
    """Nobody's certificate, whose CA AIA leads to: its path may end at the root that another authority names."""
    other = ca("OTHER-CA", "Vietnam National Root CA")
    leaf = issue("B", "OTHER-CA", key("b"), key("OTHER-CA"), places(issuer=AIA_URL))
    answer = responder(of=leaf, issuer=other, signer=other)
    found = checked(tmp_path, {OCSP_URL: answer, AIA_URL: other.der}, certificate=leaf)
    assert found.authority is None
    assert found.answer.answer is GOOD
    assert found.path.chain[-1] == ROOT


def test_the_file_s_own_ca_helps_and_is_not_trusted(tmp_path: Path) -> None:
    """A .p7b brings its issuing CA: with it there is a path; its own root is no anchor."""
    other = ca("OTHER-CA", "Vietnam National Root CA")
    leaf = issue("B", "OTHER-CA", key("b"), key("OTHER-CA"), places())
    answer = {OCSP_URL: responder(of=leaf, issuer=other, signer=other)}
    assert checked(tmp_path, answer, certificate=leaf, along=(other,)).answer.answer is GOOD
    own, under = ca("Own Root"), ca("OTHER-CA", "Own Root")
    assert checked(tmp_path, answer, certificate=leaf, along=(under, own)).path.code == "other_root"


def test_aia_is_asked_once_for_many(tmp_path: Path) -> None:
    """Certificates of one CA that is not at hand: it is fetched for the first of them only."""
    other = ca("OTHER-CA", "Vietnam National Root CA")
    leaves = [issue(str(n), "OTHER-CA", key("b"), key("OTHER-CA"), places(issuer=AIA_URL)) for n in range(3)]
    web = Web({AIA_URL: other.der})
    context = surroundings(tmp_path, web)
    checking = Checking(context)
    found = [checking.check(Meant(certificate=leaf)) for leaf in leaves]
    assert all(one.path.anchored for one in found)
    assert web.asked.count(("GET", AIA_URL)) == 1
    context.close()


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (crl(issuer="Vietnam National Root CA", signer=key("Vietnam National Root CA")), GOOD),
        (crl(entry(serial=99), issuer="Vietnam National Root CA", signer=key("Vietnam National Root CA")), UNKNOWN),
        (None, UNKNOWN),
    ],
    ids=["good", "revoked", "not reached"],
)
def test_a_ca_above_it_is_asked_about_too(tmp_path: Path, page: object, expected: RevocationAnswer) -> None:
    """Where the CA's certificate names a place to ask, a revoked CA, or one in doubt, makes nothing good."""
    pages = {OCSP_URL: says(), ROOT_CRL: page}
    found = checked(tmp_path, pages, issuer=ASKED_ABOUT)
    assert (found.answer.answer, found.said) == (expected, GOOD)
    (ca_said, root) = found.data()["path"]["cas"]
    assert root["answer"] is None
    assert ca_said["answer"] is (GOOD if expected is GOOD else UNKNOWN if page is None else REVOKED)
    if expected is UNKNOWN:
        assert found.error is not None
        assert found.error.code == "ca_in_doubt"
        assert "SAFE-CA 2024" in found.error.message


def test_an_expired_certificate_s_path_says_its_moment(tmp_path: Path) -> None:
    """Expired: unknown, and the path is of the certificate's last moment, not of now."""
    gone = issue("X", "SAFE-CA 2024", key("x"), key("SAFE-CA 2024"), places(), begins=NOW - 9 * DAY, ends=NOW - DAY)
    found = checked(tmp_path, {OCSP_URL: says(gone)}, certificate=gone)
    assert found.answer.answer is UNKNOWN
    path = found.data()["path"]
    assert (path["anchored"], path["in_force"], path["at"]) == (True, False, gone.not_after)


def test_nobody_reached_is_unknown(tmp_path: Path) -> None:
    """Offline: unknown (18) with the path that can be built from what is at hand, and nothing fetched for it."""
    web = Web({})
    found = checked(tmp_path, {}, web=web)
    assert (found.answer.answer, found.path.anchored) == (UNKNOWN, True)
    assert found.error is not None
    assert (found.error.exit_status, found.error.code) == (ExitStatus.NOT_CHECKED, "revocation_not_checked")
    assert web.asked == [("POST", OCSP_URL), ("GET", CRL_URL)]


@pytest.mark.parametrize("odd", ["http://[::1", "http://a]b/"])
def test_an_address_that_is_none_is_not_reached(tmp_path: Path, odd: str) -> None:
    """A stranger's file may name anything; it costs no more than its own answer, and a right address beside it is asked."""
    lost = issue("CONG TY A", "NOBODY", key("leaf"), key("NOBODY"), places(odd, odd, odd))
    assert checked(tmp_path, {}, certificate=lost).answer.answer is UNKNOWN
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url) for url in (odd, CRL_URL)], None, None, None)
    both = [*places(odd, None), (x509.CRLDistributionPoints([point]), False)]
    known = issue("CONG TY A", "SAFE-CA", key("leaf"), key("SAFE-CA"), both)
    files = {"issuers": (tmp_path / "ca.pem",), "anchors": (tmp_path / "ca.pem",)}
    found = checked(tmp_path, {CRL_URL: crl()}, certificate=known, issuer=ca("SAFE-CA"), **files)
    assert found.answer.answer is GOOD


def test_a_ca_s_own_certificate_in_a_file(tmp_path: Path) -> None:
    """An issuing CA's certificate belongs to the authority that names it; a root is its own path, and nobody answers for it."""
    found = checked(tmp_path, {}, certificate=ISSUER)
    assert found.authority == Authority(
        name="safe-ca", title="SAFE-CA", issuers=(tmp_path / "ca.pem",), anchors=(tmp_path / "root.pem",)
    )
    assert found.path.anchored
    root = checked(tmp_path, {}, certificate=ROOT)
    assert (root.path.anchored, root.answer.answer) == (True, UNKNOWN)
