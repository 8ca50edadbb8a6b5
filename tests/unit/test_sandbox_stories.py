from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from support_sandbox import BASE, NOW, certificate, pki, told

from safetok.domain.mst import verdict
from safetok.domain.times import last_usable_day, vietnamese_day
from safetok.sandbox import pki as pki_module
from safetok.sandbox.pki import LCS, SAFE_NEW, SAFE_OLD
from safetok.sandbox.places import Places, find
from safetok.sandbox.stories import new_end, owed_end, stories

OWED = ("v1-owed", "v2-owed", "ec-owed", "beyond-ca-end", "contract-over", "end-unknown", "already-topped-up")
NAMES = [story.name for story in stories(NOW)]


def test_the_stories_are_those_of_the_contract_with_scripts() -> None:
    """Thirteen, each once, each with its own PIN of six to eight digits, its own valid tax code and a label a token can hold."""
    assert set(NAMES) == {
        *OWED, "not-owed", "expired-owed", "suspended", "revoked", "dossier-missing", "not-activated",
    }  # fmt: skip
    told_now = stories(NOW)
    for distinct in ("name", "pin", "mst", "label", "company"):
        assert len({getattr(story, distinct) for story in told_now}) == len(told_now)
    for story in told_now:
        assert verdict(story.mst) == "valid"
        assert story.pin.isdigit()
        assert 6 <= len(story.pin) <= 8
        assert len(story.label.encode()) <= 32


@pytest.mark.parametrize(
    "now", [NOW, datetime(2026, 12, 31, 16, 59, 59, tzinfo=UTC), datetime(2027, 2, 28, 20, tzinfo=UTC)]
)
def test_dates_are_relative_to_now_as_the_contract_says(now: datetime) -> None:
    """Owed ones: from 01/06/2024, 20 days left, under an issuer ending that day; only expired-owed keeps 27/11/2025."""
    soon = vietnamese_day(now) + timedelta(days=20)
    for story in stories(now):
        if story.name in OWED:
            assert vietnamese_day(story.not_before) == date(2024, 6, 1)
            assert last_usable_day(story.not_after) == soon
    assert owed_end(now) == next(s for s in stories(now) if s.name == "v1-owed").not_after
    assert last_usable_day(told("expired-owed").not_after) == date(2025, 11, 27)
    over = next(s for s in stories(now) if s.name == "contract-over").contract_end
    assert over is not None
    assert date(2025, 11, 27) < over < vietnamese_day(now)


def test_a_contract_beyond_the_new_ca_is_capped_by_209_days() -> None:
    """30/06/2030 against 03/12/2029."""
    story = told("beyond-ca-end")
    assert story.contract_end == date(2030, 6, 30)
    assert last_usable_day(new_end(story.contract_end)) == date(2029, 12, 3)
    assert (story.contract_end - date(2029, 12, 3)).days == 209


@pytest.mark.parametrize("name", [name for name in NAMES if name != "not-activated"])
def test_certificates_are_shaped_like_the_real_ones(name: str) -> None:
    """UID MST, key usage, extended usage, SAN, 16-byte serial, AIA, OCSP and CDP at the sandbox."""
    story, cert = told(name), certificate(name)
    assert cert.serial_number.bit_length() == 16 * 8 - 1
    uids = [a.value for a in cert.subject.get_attributes_for_oid(NameOID.USER_ID)]
    assert uids[0] == f"MST:{story.mst}"
    assert cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == story.company
    usage = cert.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.content_commitment
    assert usage.value.key_encipherment is (story.key == "RSA")
    access = cert.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    urls = {d.access_method: d.access_location.value for d in access}
    assert urls[AuthorityInformationAccessOID.OCSP] == f"{BASE}/ocsp"
    assert urls[AuthorityInformationAccessOID.CA_ISSUERS] == f"{BASE}/aia/{story.issuer}.cer"
    points = cert.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name[0].value == f"{BASE}/crl/{story.issuer}.crl"
    san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.RFC822Name) == [story.email]
    cert.verify_directly_issued_by(pki().issuers[story.issuer].certificate)


def test_the_issuers_are_like_the_notices(tmp_path: Path) -> None:
    """The new one is valid from 03/12/2024 to 03/12/2029, the old one ends with the owed certificates; kept and read back."""
    issuers = {name: issuer.certificate for name, issuer in pki().issuers.items()}
    assert vietnamese_day(issuers[SAFE_NEW].not_valid_before_utc) == date(2024, 12, 3)
    assert last_usable_day(issuers[SAFE_NEW].not_valid_after_utc) == date(2029, 12, 3)
    assert issuers[SAFE_OLD].not_valid_after_utc == owed_end(NOW)
    assert set(issuers) == {SAFE_OLD, SAFE_NEW, LCS}
    for cert in issuers.values():
        cert.verify_directly_issued_by(pki().root.certificate)
    pki_module.save(pki(), tmp_path)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {0o600}
    assert pki_module.load(tmp_path, BASE).issuers[LCS].certificate == issuers[LCS]


def test_a_sandbox_is_found_again_under_its_own_exports(tmp_path: Path) -> None:
    """SAFETOK_HOME of a sandbox names that sandbox, never one inside it; any other home gets its own."""
    outer = find({"SAFETOK_HOME": str(tmp_path)})
    assert outer == Places(tmp_path / "sandbox")
    outer.home.mkdir(parents=True)
    assert find({"SAFETOK_HOME": str(outer.home)}) == Places(outer.home / "sandbox")
    outer.marker.write_text("{}")
    assert find({"SAFETOK_HOME": str(outer.home)}) == outer
