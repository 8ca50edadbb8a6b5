"""The kit's pages in a real browser: what a person clicks, prints and reads on a phone."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from support_browser import Browser
from support_kit import HOSTILE, NOW, OLD_SERIAL, SERIAL, kit, own_agency, registration

from safetok.domain.acceptance import Acceptance
from safetok.domain.agencies import Agency, RegistrationState
from safetok.domain.times import show_instant
from safetok.locale import set_language
from safetok.reports.kit import Kit
from safetok.reports.page import page
from safetok.reports.record import record


@pytest.fixture(autouse=True)
def _vietnamese() -> None:
    set_language("vi")


def opened(browser: Browser, folder: Path, made: Kit, write: object = page, *, width: int = 1000) -> Path:
    """The page of a kit in a browser that remembers nothing of it."""
    file = folder / "kit.html"
    file.write_text(write(made), "utf-8")  # type: ignore[operator]
    browser.size(width, 800, phone=width < 500)
    browser.open(file)
    browser.run("localStorage.clear()")
    browser.open(file)
    return file


def clipboard(browser: Browser) -> str:
    """What was copied, as pasting gives it."""
    browser.run(
        "(() => { const area = document.createElement('textarea'); area.id = 'paste';"
        "document.body.append(area); area.focus(); })()"
    )
    browser.ask("Input.dispatchKeyEvent", type="keyDown", key="v", code="KeyV", modifiers=2, commands=["paste"])
    browser.ask("Input.dispatchKeyEvent", type="keyUp", key="v", code="KeyV", modifiers=2)
    pasted = browser.run(
        "(() => { const area = document.getElementById('paste'); const text = area.value; area.remove(); return text; })()"
    )
    return str(pasted)


def timer(browser: Browser, agency: str) -> str:
    return str(browser.run(f"document.querySelector('#agency-{agency} .timer').textContent"))


def test_every_button_copies_exactly_its_value(browser: Browser, tmp_path: Path) -> None:
    """A click on Chép beside a value puts that value, no more and no less, on the clipboard, and says so."""
    opened(browser, tmp_path, kit())
    for selector, value in (
        ("#agency-etax dl button", "0106324653-QL"),
        ("#agency-vnaccs dl button:nth-of-type(2)", OLD_SERIAL),
        ("#agency-vnaccs dl button:nth-of-type(3)", SERIAL),
        ("section dl button:nth-of-type(2)", "CÔNG TY TNHH HOÀNG MAI"),
    ):
        browser.click(selector)
        browser.wait(f"document.querySelector({json.dumps(selector)}).textContent === 'Đã chép'")
        assert clipboard(browser) == value
    browser.click("#agency-ixhd .row button")
    browser.wait("document.querySelector('#agency-ixhd .row button').textContent === 'Đã chép'")
    assert clipboard(browser).replace("\r", "").startswith("<CTS>\n  <STT>1</STT>\n  <TTChuc>")
    assert browser.complaints == []


def test_copying_works_where_the_clipboard_is_denied(browser: Browser, tmp_path: Path) -> None:
    """A browser without the clipboard interface copies by selection all the same."""
    opened(browser, tmp_path, kit())
    browser.run("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    browser.click("#agency-etax dl button")
    browser.wait("document.querySelector('#agency-etax dl button').textContent === 'Đã chép'")
    assert clipboard(browser) == "0106324653-QL"


def test_a_tick_starts_the_24_hours_and_stays(browser: Browser, tmp_path: Path) -> None:
    """Ticking customs shows the end of its 24h00 and the command that records it; opened again, it is still there."""
    file = opened(browser, tmp_path, kit())
    assert timer(browser, "vnaccs") == "chưa cập nhật"
    assert browser.run("document.getElementById('progress').textContent") == "Đã cập nhật 0/7 cơ quan"
    browser.click("#agency-vnaccs input[type=checkbox]")
    at = browser.run("document.querySelector('#agency-vnaccs input[type=datetime-local]').value")
    day = "/".join(reversed(at[:10].split("-")))
    for _again in range(2):
        assert timer(browser, "vnaccs").startswith(f"đã cập nhật {at[11:]} ")
        assert f"Đủ 24h00 lúc {at[11:]} " in timer(browser, "vnaccs")
        assert browser.run("document.querySelector('#agency-vnaccs .tell code').textContent") == (
            f'safetok agencies done vnaccs --cert {SERIAL} --at "{at[11:]} {day}"'
        )
        assert browser.run("document.getElementById('progress').textContent") == "Đã cập nhật 1/7 cơ quan"
        browser.open(file)
    browser.click("#agency-vnaccs input[type=checkbox]")
    assert timer(browser, "vnaccs") == "chưa cập nhật"


def test_the_time_of_the_update_can_be_changed(browser: Browser, tmp_path: Path) -> None:
    """A time a day ago says that the 24h00 are over; weekday and day are Vietnam's, whatever the computer's zone."""
    browser.ask("Emulation.setTimezoneOverride", timezoneId="America/New_York")
    opened(browser, tmp_path, kit())
    browser.click("#agency-v5 input[type=checkbox]")
    browser.run(
        "(() => { const at = document.querySelector('#agency-v5 input[type=datetime-local]'); at.value = '2025-11-24T16:05';"
        "at.dispatchEvent(new Event('change')); })()"
    )
    assert timer(browser, "v5") == (
        "đã cập nhật 16:05 T2 24/11/2025. Đã đủ 24h00 lúc 16:05 T3 25/11/2025: kiểm tra xem đã được chấp nhận chưa"
    )
    browser.ask("Emulation.setTimezoneOverride", timezoneId="")


def test_both_halves_of_the_tax_portal_count(browser: Browser, tmp_path: Path) -> None:
    """The tax portal is updated with its second service, and no wait is stated for it."""
    opened(browser, tmp_path, kit())
    browser.click("#agency-etax label:nth-of-type(1) input")
    assert timer(browser, "etax") == "mới cập nhật 1/2 dịch vụ"
    browser.click("#agency-etax label:nth-of-type(2) input")
    assert timer(browser, "etax").startswith("đã cập nhật ")
    assert "24h00" not in timer(browser, "etax")


def test_clearing_goes_back_to_what_safetok_recorded(browser: Browser, tmp_path: Path) -> None:
    """After a question, the page's own ticks are gone; what was recorded in safetok stays."""
    row = registration("vnaccs", RegistrationState.UPDATED, updated_at=NOW, until=NOW + timedelta(hours=24))
    file = opened(browser, tmp_path, kit(registrations=[row]))
    browser.click("#agency-tvan input[type=checkbox]")
    browser.click("#agency-vnaccs input[type=checkbox]")
    assert [timer(browser, name) for name in ("tvan", "vnaccs")][1] == "chưa cập nhật"
    browser.run("window.confirm = () => true")
    browser.click("#clear")
    for _again in range(2):
        assert timer(browser, "tvan") == "chưa cập nhật"
        assert timer(browser, "vnaccs").startswith(f"đã cập nhật {show_instant(NOW)}. Đủ 24h00")
        browser.open(file)


def test_what_safetok_recorded_is_shown(browser: Browser, tmp_path: Path) -> None:
    """Registrations come ticked with their time; accepted, rejected, unused say so; only a wait of 24 hours is called that."""
    at = NOW - timedelta(hours=3)
    own = Agency(name="own", title="Hóa đơn riêng", acceptance=Acceptance(rule="working_days", amount=1), order=101)
    rows = [
        registration("vnaccs", RegistrationState.UPDATED, updated_at=at, until=at + timedelta(hours=24)),
        registration("v5", RegistrationState.ACCEPTED, updated_at=at, until=at + timedelta(hours=24)),
        registration("ixhd", RegistrationState.REJECTED, updated_at=at, reason="<b>sai</b>"),
        registration("ivan", RegistrationState.UNUSED),
        registration("own", RegistrationState.UPDATED, updated_at=at, until=at + timedelta(hours=40)),
    ]
    opened(browser, tmp_path, kit(registrations=rows, added=[own]))
    assert timer(browser, "vnaccs").startswith(
        f"đã cập nhật {show_instant(at)}. Đủ 24h00 lúc {show_instant(rows[0].until)} (còn 2"
    )
    assert (timer(browser, "v5"), timer(browser, "ixhd")) == ("được chấp nhận", "bị từ chối")
    assert timer(browser, "own").startswith(
        f"đã cập nhật {show_instant(at)}. Được chấp nhận từ {show_instant(rows[4].until)}"
    )
    assert "<b>sai</b>" in browser.run("document.querySelector('#agency-ixhd .note').textContent")
    assert browser.run("document.querySelector('#agency-ivan')") is None
    assert "Đơn vị không sử dụng: BHXH (I-VAN iBHXH)" in " ".join(str(browser.run("document.body.innerText")).split())


@pytest.mark.parametrize("write", [page, record])
def test_nothing_is_asked_of_the_network_and_hostile_names_stay_text(
    browser: Browser, tmp_path: Path, write: object
) -> None:
    """Markup, quotes, direction marks and script links in names and added agencies run nothing, load nothing, and are shown."""
    own = own_agency(HOSTILE, "javascript:window.hacked=3")
    file = opened(browser, tmp_path, kit(name=HOSTILE, confirmed_by=HOSTILE.splitlines()[0], added=[own]), write)
    assert [url for url in browser.requests if not url.startswith("data:image/svg+xml")] == [file.as_uri()]
    assert browser.complaints == []
    assert browser.run("window.hacked") is None
    assert browser.run("document.images.length") == 0
    text = browser.run("document.body.innerText")
    assert "<script>window.hacked=1</script><img src=x onerror=window.hacked=2>" in text
    assert "{{7*7}}\\u202egpj.\\u2066\\u001b[31m\\u000a" in text
    assert not {"\u202e", "\u2066", "\x1b"} & set(text)
    assert browser.run("[...document.links].every((one) => one.protocol === 'https:')")
    assert browser.run("document.querySelectorAll('script').length") == (1 if write is page else 0)


def test_the_policy_stops_what_gets_in(browser: Browser, tmp_path: Path) -> None:
    """Even markup put into the file by somebody else neither runs nor asks the network."""
    file = tmp_path / "bent.html"
    bent = page(kit()).replace(
        "<header>", "<script>window.hacked=1</script><img src='https://example.invalid/x.png'><header>"
    )
    file.write_text(bent, "utf-8")
    browser.open(file)
    assert browser.run("window.hacked") is None
    assert any("Content Security Policy" in said for said in browser.complaints)
    assert browser.blocked == {"https://example.invalid/x.png": "csp"}
    assert {url for url in browser.requests if url.startswith("http")} == {*browser.blocked}


@pytest.mark.parametrize("write", [page, record])
def test_it_is_readable_at_phone_width(browser: Browser, tmp_path: Path, write: object) -> None:
    """At 360 pixels nothing is wider than the screen, no part reaches out of it, and no letter is tiny."""
    opened(
        browser, tmp_path, kit(name="C" * 90, added=[own_agency("H" * 90, f"https://{'h' * 90}.vn")]), write, width=360
    )
    assert browser.run("document.documentElement.scrollWidth") == 360
    out = browser.run(
        "[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > 360.5)"
        ".map((one) => one.outerHTML.slice(0, 80))"
    )
    assert out == []
    assert (
        browser.run(
            "Math.min(...[...document.querySelectorAll('body *')].filter((one) => one.innerText?.trim())"
            ".map((one) => parseFloat(getComputedStyle(one).fontSize)))"
        )
        >= 12
    )


@pytest.mark.parametrize(("write", "pages"), [(page, 4), (record, 1)])
def test_it_prints_on_few_pages_of_a4(browser: Browser, tmp_path: Path, write: object, pages: int) -> None:
    """The record is one A4 page, the agencies' page at most four; buttons are not printed, every value is."""
    opened(browser, tmp_path, kit(), write)
    paper = tmp_path / "kit.pdf"
    paper.write_bytes(browser.paper())
    info = subprocess.run(["pdfinfo", paper], capture_output=True, text=True, check=True).stdout
    assert "(A4)" in info
    assert int(info.split("Pages:")[1].split()[0]) <= pages
    words = subprocess.run(["pdftotext", "-layout", paper, "-"], capture_output=True, text=True, check=True).stdout
    assert "CÔNG TY TNHH HOÀNG MAI" in words
    assert OLD_SERIAL in words
    assert SERIAL in words
    assert "Chép" not in words
