from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from safetok.domain.notices import before_renewal
from safetok.knowledge import load
from safetok.locale import set_language

NOTICE_V1_LINK = (
    "https://www.safecert.com.vn/en_US/knowsystem/cks-huong-dan-thu-tuc-cap-lai-thiet-bi-luu-tru-khoa-bi-mat-18"
)


@pytest.fixture(autouse=True)
def vietnamese() -> None:
    set_language("vi")


def tables() -> dict[str, dict[str, Any]]:
    return {path.stem: tomllib.loads(path.read_text("utf-8")) for path in load.FOLDER.glob("*.toml")}


def test_the_seven_agencies_in_the_notices_order_and_words() -> None:
    """The list people are to work through is the notice's, word for word."""
    assert [(a.name, a.title) for a in load.agencies()] == [
        ("tvan", "Thuế (T-VAN TaxOnline)"),
        ("etax", "Kê khai & Nộp thuế (thuedientu.gdt.gov.vn)"),
        ("ivan", "BHXH (I-VAN iBHXH)"),
        ("bhxh", "BHXH (Cổng thông tin điện tử - BHXH Việt Nam)"),
        ("ixhd", "iXHD (Đăng ký thay đổi 01/ĐKTĐ-HĐĐT)"),
        ("vnaccs", "Hải quan (VNACCS)"),
        ("v5", "Hải quan (V5)"),
    ]
    assert [a.order for a in load.agencies()] == [1, 2, 3, 4, 5, 6, 7]


def test_only_customs_and_invoices_wait() -> None:
    """The notice states 24 hours for Customs and invoices and for nothing else."""
    assert {a.name: a.wait_hours for a in load.agencies() if a.wait_hours} == {"ixhd": 24, "vnaccs": 24, "v5": 24}


def test_every_agency_has_steps_with_sources() -> None:
    """Each agency tells what a person does there, each step with where it was read; etax has its two halves."""
    for agency in load.agencies():
        steps = load.agency_steps(agency.name)
        assert steps
        assert all(step.text and step.source for step in steps)
    guide = load.agency_guide("etax")
    assert guide is not None
    assert guide.parts == ("Khai thuế điện tử", "Nộp thuế điện tử")
    assert load.agency_steps("mine") == ()


def test_the_invoice_declaration_row() -> None:
    """The row of 01/ĐKTĐ-HĐĐT has its columns, limits and the three forms of registration."""
    guide = load.agency_guide("ixhd")
    assert guide is not None
    assert [c.column for c in guide.form] == ["STT", "TTChuc", "Seri", "TNgay", "DNgay", "HThuc"]
    assert next(c.maximum for c in guide.form if c.column == "Seri") == 40
    assert next(c.choices for c in guide.form if c.column == "HThuc") == ("1 Thêm mới", "2 Gia hạn", "3 Ngừng sử dụng")


def test_authorities_are_as_the_notices_state_them() -> None:
    """Contacts stand as printed, PINs of SAFE-CA are 6 to 8, and no endpoint is claimed."""
    found = load.authorities()
    safe, lcs = found["safe-ca"], found["lcs-ca"]
    assert "Hotline CSKH: (028)-3866-4188 (Nhấn phím 1) hoặc" in safe.contacts.lines
    assert "Facebook: https://www.facebook.com/TS24official" in safe.contacts.lines
    assert (safe.pin_policy.min_length, safe.pin_policy.max_length, safe.pin_policy.tries) == (6, 8, 3)
    assert "kinhdoanh@safecert.com.vn" in safe.contacts.unlock
    assert lcs.contacts.hotline == "1900 4525 – 1900 4533"
    assert lcs.dossier_lookup == "https://tracuu.lcs-ca.vn"
    assert not safe.has_endpoint
    assert not lcs.has_endpoint


def test_the_contact_lines_stand_in_the_notices() -> None:
    """Every line and hotline is whole and ends without stray blanks."""
    for authority in load.authorities().values():
        assert authority.contacts.lines
        assert all(line == line.strip() and line for line in authority.contacts.lines)
        assert any(authority.contacts.hotline.split(" – ")[0] in line for line in authority.contacts.lines)


def test_laying_settings_over_authorities_changes_no_fact() -> None:
    """The table handed out is the caller's own."""
    load.authorities().clear()
    assert set(load.authorities()) == {"safe-ca", "lcs-ca"}


def test_the_campaign_of_the_notice() -> None:
    """The programme's four days are the notice's."""
    (campaign,) = load.campaigns()
    assert (campaign.authority, campaign.issued_before, campaign.contract_end_after) == (
        "safe-ca",
        date(2025, 2, 6),
        date(2025, 11, 27),
    )
    assert (campaign.ca_from, campaign.ca_until) == (date(2024, 12, 3), date(2029, 12, 3))


def test_drivers_by_system_and_bitness() -> None:
    """SAFE-CA's names are looked for where this bitness keeps its libraries, with variables of the environment."""
    safe = next(d for d in load.drivers("windows", 32) if d.maker == "SAFE-CA")
    assert safe.paths({"SYSTEMROOT": r"D:\Win"})[0] == r"D:\Win\SysWOW64\safe-ca.dll"
    assert safe.paths({})[0] == r"C:\Windows\SysWOW64\safe-ca.dll"
    bkav = next(d for d in load.drivers("windows", 64) if d.maker == "BKAV-CA")
    assert r"C:\Program Files\Bkav Corporation\BkavCA Token Manager\st3csp11.dll" in bkav.paths({})
    fpt = next(d for d in load.drivers("linux", 32) if d.maker == "FPT-CA")
    assert "/usr/lib/fptca_v4.so" in fpt.paths({})
    mac = next(d for d in load.drivers("macos", 64) if d.maker == "Viettel-CA")
    assert "/Applications/Viettel-CA Token Manager V6.0.app/Contents/MacOS/viettel-ca_v6.dylib" in mac.paths({})


def test_no_driver_is_a_csp_shell_or_a_guess() -> None:
    """Files beside a driver that export no PKCS#11, proxies and guessed names are not in the list."""
    names = {n for on in ("windows", "linux", "macos") for d in load.drivers(on, 64) for n in d.names}  # type: ignore[arg-type]
    assert not {n for n in names if n.endswith(("_s.dll", "_v2_csp.dll"))}
    assert not names & {"libvnpt-pkcs11.so", "libsafe-pkcs11.so", "libbkav-pkcs11.so", "p11-kit-proxy.so"}


def test_every_driver_has_its_source() -> None:
    """A name without a source is not shipped."""
    assert all(driver["sources"] and driver["names"] for driver in tables()["drivers"]["drivers"])


def test_the_three_notes_before_a_renewal() -> None:
    """The notes come in the notice's order, the V1 one only for a V1 with its whole link, then: sign everything first."""
    v2 = before_renewal(load.notices(), v1=False, safe_ca=True)
    v1 = before_renewal(load.notices(), v1=True, safe_ca=True)
    assert len(v2) + 1 == len(v1)
    assert v1[1].startswith("(1) Số Serial CTS sẽ thay đổi")
    assert "24h00" in v1[2]
    assert NOTICE_V1_LINK + " " in v1[3]
    assert "V1 vẫn cấp bù được" in v1[3]
    assert "Ký hết hóa đơn" in v1[4]
    assert "MỘT nơi" in v1[-1]


@pytest.mark.parametrize(
    ("day", "certain"),
    [
        (date(2026, 9, 2), True),
        (date(2026, 9, 1), False),
        (date(2027, 2, 6), True),
        (date(2027, 2, 7), True),
        (date(2027, 2, 4), False),
        (date(2027, 2, 9), False),
        (date(2026, 4, 26), True),
        (date(2030, 1, 1), True),
    ],
)
def test_holidays(day: date, certain: bool) -> None:
    """Days that are off each year are certain; those that the yearly decision may add are listed as such."""
    assert load.holidays()[day].certain is certain


def test_ordinary_days_are_no_holidays() -> None:
    """An ordinary working day is not in the table."""
    assert date(2026, 11, 23) not in load.holidays()


def _texts(value: Any, place: str) -> Iterator[tuple[str, dict[str, str]]]:
    if isinstance(value, dict):
        if set(value) <= {"vi", "en"} and value:
            yield place, value
        for key, inner in value.items():
            yield from _texts(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{index}]")


def test_every_text_is_in_both_languages() -> None:
    """What is said in Vietnamese is said in English, and differs."""
    for name, table in tables().items():
        for place, text in _texts(table, name):
            assert set(text) == {"vi", "en"}, place
            assert text["vi"] != text["en"], place


def test_english_when_english_is_in_force() -> None:
    """The language in force at the call decides, also after a call in the other one."""
    assert load.agencies()[5].title == "Hải quan (VNACCS)"
    set_language("en")
    assert load.agencies()[5].title == "Customs (VNACCS)"


def test_agencies_load_no_drivers() -> None:
    """Each file is read only when it is asked for."""
    code = (
        "from safetok.knowledge import load; seen = []\n"
        "import tomllib; original = tomllib.load\n"
        "def spy(file): seen.append(file.name.rsplit('/', 1)[-1]); return original(file)\n"
        "tomllib.load = spy; load.agencies(); load.agencies(); print(seen)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "['agencies.toml']"
