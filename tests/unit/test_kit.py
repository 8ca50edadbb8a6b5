from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support_kit import HOSTILE, NOW, OLD_SERIAL, SERIAL, fields, kit, own_agency, registration

from safetok.domain.acceptance import Acceptance
from safetok.domain.agencies import Registration, RegistrationState
from safetok.domain.times import VIETNAM, show_instant
from safetok.knowledge import load
from safetok.locale import set_language
from safetok.reports.einvoice import Row, as_hthuc, rows_of, text_file, xml_file
from safetok.reports.fields import plain_line
from safetok.reports.kit import message
from safetok.reports.kit_files import kit_files
from safetok.reports.page import copyable, page, values
from safetok.reports.record import record


@pytest.fixture(autouse=True)
def vietnamese() -> None:
    set_language("vi")


def test_the_row_is_what_the_declaration_wants() -> None:
    """Elements, order, lengths and local times without offset are those of the tax authority's format."""
    row = ET.fromstring(Row(hthuc=1, fields=fields()).xml())  # noqa: S314  (our own)
    start = NOW.astimezone(VIETNAM)
    assert row.tag == "CTS"
    assert [child.tag for child in row] == ["STT", "TTChuc", "Seri", "TNgay", "DNgay", "HThuc"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", row.findtext("TNgay") or "")
    assert (row.findtext("Seri"), row.findtext("HThuc")) == (SERIAL, "1")
    assert (row.findtext("TNgay") or "")[:4] in {str(start.year), str(start.year - 1)}
    long = ET.fromstring(Row(hthuc=1, fields=fields("A" * 60, name="Ủ" * 600)).xml())  # noqa: S314
    assert (len(long.findtext("TTChuc") or ""), len(long.findtext("Seri") or "")) == (400, 40)


def test_the_knowledge_states_the_same_form() -> None:
    """The columns and choices that knowledge states are those the row has."""
    guide = load.agency_guide("ixhd")
    assert guide is not None
    row = Row(hthuc=3, fields=fields())
    assert [column.column for column in guide.form] == [element for element, _heading, _value in row.columns()]
    assert row.name in next(column.choices for column in guide.form if column.column == "HThuc")


@pytest.mark.parametrize(
    ("hthuc", "expected"),
    [
        (None, [(1, SERIAL), (2, SERIAL), (3, OLD_SERIAL)]),
        (1, [(1, SERIAL), (3, OLD_SERIAL)]),
        (2, [(2, SERIAL), (3, OLD_SERIAL)]),
        (3, [(3, OLD_SERIAL)]),
    ],
)
def test_rows_by_the_users_choice(hthuc: int | None, expected: list[tuple[int, str]]) -> None:
    """Nobody has settled 1 or 2 for a top-up: both are offered until the user chooses; 3 is for the old serial alone."""
    rows = rows_of(fields(), fields(OLD_SERIAL), as_hthuc(hthuc))
    assert [(row.hthuc, row.fields.serial) for row in rows] == expected
    assert all(ET.fromstring(xml_file(row)).tag == "DSCTSSDung" for row in rows)  # noqa: S314
    assert "hỏi nhà cung cấp hóa đơn" in text_file(rows)
    with pytest.raises(ValueError, match="4"):
        as_hthuc(4)


def test_hostile_names_are_text_in_the_xml() -> None:
    """Markup, an end of CDATA and control characters in a CA's name stay the text of one element."""
    tree = ET.fromstring(xml_file(Row(hthuc=1, fields=fields(name=HOSTILE))))  # noqa: S314
    assert [one.tag for one in tree.iter()] == ["DSCTSSDung", "CTS", "STT", "TTChuc", "Seri", "TNgay", "DNgay", "HThuc"]
    assert tree.findtext("CTS/TTChuc") == f"{plain_line(HOSTILE)} CA"


class Reader(HTMLParser):
    """Tags, attributes and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


PLAIN_TAGS = [tag for tag, _attributes in read(page(kit())).tags]
LINES = len(message(kit()).splitlines())


@pytest.mark.parametrize("write", [page, record])
def test_a_hostile_name_adds_no_element(write: object) -> None:
    """A page for a hostile name has the same elements and attributes as one for a plain name."""
    plain, hostile = (read(write(kit(name=name))) for name in ("CÔNG TY", HOSTILE))  # type: ignore[operator]
    assert [(tag, sorted(attributes)) for tag, attributes in hostile.tags] == [
        (tag, sorted(attributes)) for tag, attributes in plain.tags
    ]
    assert "window.hacked=1" in hostile.text


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_any_name_stays_text(rest: str) -> None:
    """Whatever a certificate and its CA call themselves: the same elements, one XML element of text, no more lines to send."""
    said = f"A{rest}"
    assert [tag for tag, _attributes in read(page(kit(name=said))).tags] == PLAIN_TAGS
    tree = ET.fromstring(xml_file(Row(hthuc=2, fields=fields(name=said))))  # noqa: S314
    assert tree.findtext("CTS/TTChuc") == f"{plain_line(said)} CA"[:400]
    assert len(message(kit(name=said)).splitlines()) == LINES


@pytest.mark.parametrize("write", [page, record])
def test_only_our_own_style_and_script_are_allowed(write: object) -> None:
    """The policy names the digests of what is in the file, and nothing else may load, run or be sent."""
    html = write(kit())  # type: ignore[operator]
    policy = next(
        attributes["content"]
        for tag, attributes in read(html).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        expected = [f"'sha256-{b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in inside]
        assert [allowed[directive]] == (expected or ["'none'"])
    assert (allowed["default-src"], allowed["base-uri"], allowed["form-action"]) == ("'none'",) * 3
    assert not re.search(r"\s(style|on\w+|src|srcset)=", html)


def test_only_web_addresses_become_links() -> None:
    """An added agency's address that is no http(s) one is not made a link."""
    links = [
        attributes["href"]
        for tag, attributes in read(page(kit(added=[own_agency("A", "javascript:x")]))).tags
        if tag == "a"
    ]
    assert links
    assert all(link and link.startswith("https://") for link in links)


def test_what_looks_like_a_formula_is_copied_as_text() -> None:
    """A value that a spreadsheet would calculate gets the apostrophe that stops it; every other is copied as it is."""
    assert [copyable(value) for value in ("=1+1", "@x", "+1", "-1")] == ["'=1+1", "'@x", "'+1", "'-1"]
    assert copyable("CÔNG TY =1") == "CÔNG TY =1"


def test_the_message_says_what_is_left_to_do() -> None:
    """Old and new serial, every agency left, the 24h00 of customs and invoices alone, and never a PIN."""
    told = message(
        kit(
            registrations=[
                registration("etax", RegistrationState.ACCEPTED, updated_at=NOW),
                registration("v5", RegistrationState.UNUSED),
            ]
        )
    )
    assert told.splitlines()[0] == "Kính gửi CÔNG TY TNHH HOÀNG MAI (MST 0106324653),"
    assert f"- Số Serial CTS cũ: {OLD_SERIAL}\n- Số Serial CTS mới: {SERIAL}\n" in told
    assert "cấp bù thời hạn" in told
    assert [line for line in told.splitlines() if re.match(r"\d\. ", line)] == [
        "1. Thuế (T-VAN TaxOnline)",
        "2. BHXH (I-VAN iBHXH)",
        "3. BHXH (Cổng thông tin điện tử - BHXH Việt Nam)",
        "4. iXHD (Đăng ký thay đổi 01/ĐKTĐ-HĐĐT)",
        "5. Hải quan (VNACCS)",
    ]
    assert "iXHD (Đăng ký thay đổi 01/ĐKTĐ-HĐĐT), Hải quan (VNACCS): sau 24h00 tính từ thời điểm cập nhật" in told
    assert "Không gửi mã PIN" in told


def test_what_is_updated_is_told_as_waiting_not_as_to_do() -> None:
    """An agency already updated has no number; its own moment and the end of its 24h00 are told; all updated, nothing must be."""
    updated = [
        registration("etax", RegistrationState.UPDATED, updated_at=NOW),
        registration("vnaccs", RegistrationState.UPDATED, updated_at=NOW, until=NOW + timedelta(hours=24)),
    ]
    told = message(kit(registrations=updated)).splitlines()
    numbered = [line for line in told if re.match(r"\d\. ", line)]
    assert len(numbered) == 5
    assert not [line for line in numbered if "Kê khai" in line or "VNACCS" in line]
    at, until = show_instant(NOW), show_instant(NOW + timedelta(hours=24))
    assert f"- Hải quan (VNACCS): cập nhật lúc {at}; đủ 24h00 lúc {until}" in told
    assert [line for line in told if line.endswith(f": cập nhật lúc {at}")]
    assert not [line for line in told if "VNACCS" in line and "sau 24h00 tính từ" in line]
    every = [registration(one.name, RegistrationState.UPDATED, updated_at=NOW) for one in load.agencies()]
    whole = message(kit(registrations=every))
    assert "phải cập nhật" not in whole
    assert "Tất cả các cơ quan đã chấp nhận" not in whole


def test_the_message_for_a_certificate_that_came_otherwise() -> None:
    """Without a renewal of ours nothing says top-up; with all accepted nothing is left to do; without an old one none is named."""
    told = message(
        kit(
            renewed=None,
            old=None,
            registrations=[
                registration(one.name, RegistrationState.ACCEPTED, updated_at=NOW) for one in load.agencies()
            ],
        )
    )
    assert "cấp bù" not in told
    assert "Serial CTS cũ" not in told
    assert "Tất cả các cơ quan đã chấp nhận CTS mới." in told


def test_a_hostile_name_cannot_write_lines_into_the_message() -> None:
    """A line break or direction mark in a name is written out."""
    assert len(message(kit(name=HOSTILE)).splitlines()) == len(message(kit()).splitlines())


def test_the_record_tells_who_confirmed_or_leaves_room() -> None:
    """With a name it is printed; the contract's end says who stated it; what was updated is filled in."""
    told = read(
        record(
            kit(
                confirmed_by="Nguyễn Văn A",
                registrations=[registration("v5", RegistrationState.ACCEPTED, updated_at=NOW)],
            )
        )
    ).text
    assert "BIÊN BẢN GHI NHẬN CẤP BÙ THỜI HẠN CHỨNG THƯ SỐ" in told
    assert "Nguyễn Văn A" in told
    assert "30/06/2028, theo thông báo cấp bù thời hạn của nơi cấp" in told
    assert "được chấp nhận" in told
    assert "Người xác nhận" in read(record(kit())).text
    half = read(record(kit(registrations=[registration("etax", parts=(("khai", NOW),))]))).text
    assert f"Khai thuế điện tử: {show_instant(NOW)}" in half
    assert f"Nộp thuế điện tử: {show_instant(NOW)}" not in half


@pytest.mark.parametrize("language", ["vi", "en"])
def test_what_a_client_reads_names_no_command(language: str) -> None:
    """Who gets the kit need not have safetok: no step, need, message or record tells them to run it."""
    set_language(language)
    told = [message(kit()), read(record(kit())).text.replace("safetok's journal", "").replace("nhật ký safetok", "")]
    for agency in load.agencies():
        guide = load.agency_guide(agency.name)
        assert guide is not None
        told += [*(step.text for step in guide.steps), *guide.needs, guide.effective]
    assert not [text for text in told if "safetok" in text]


def test_every_step_stands_with_its_source() -> None:
    """The page has each agency's steps, every one with where it was read, and the day on which they were."""
    told = read(page(kit())).text
    for agency in load.agencies():
        assert all(step.text in told for step in load.agency_steps(agency.name))
    assert told.count("Nguồn: ") >= sum(len(load.agency_steps(one.name)) for one in load.agencies())
    assert "notice" not in told
    assert "đọc ngày 21/11/2026" in told


def test_no_e_invoice_files_where_none_is_used() -> None:
    """A company that does not issue e-invoices gets no row for the declaration; the same kit is written the same twice."""
    made = kit(registrations=[registration("ixhd", RegistrationState.UNUSED)])
    assert [name.split("_", 1)[1] for name in kit_files(made, "x")] == ["co-quan.html", "bien-ban.html", "zalo.txt"]
    assert kit_files(made, "x") == kit_files(made, "x")


def test_english_pages_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same page in English, marked as such."""
    set_language("en")
    assert '<html lang="en">' in page(kit())
    assert "Update the new certificate at the agencies (mandatory)" in page(kit())


KEEP = "Giữ CTS cũ trong USB Token cho đến khi cập nhật xong"
ALL_ACCEPTED = "Tất cả các cơ quan đã chấp nhận CTS mới."


def _all(state: RegistrationState, **but: RegistrationState) -> list[Registration]:
    states = {one.name: but.get(one.name, state) for one in load.agencies()}
    return [registration(name, one, updated_at=NOW) for name, one in states.items()]


def test_what_was_refused_is_to_be_updated_again() -> None:
    """The client is told of it as of what is still to do."""
    told = message(kit(registrations=_all(RegistrationState.ACCEPTED, bhxh=RegistrationState.REJECTED)))
    assert [line for line in told.splitlines() if re.match(r"\d\. ", line)] == [
        f"1. {next(one.title for one in load.agencies() if one.name == 'bhxh')}"
    ]
    assert ALL_ACCEPTED not in told


def test_that_every_agency_has_accepted_is_said_only_where_one_has() -> None:
    """A company that uses none of them has nothing accepted."""
    assert ALL_ACCEPTED in message(kit(registrations=_all(RegistrationState.ACCEPTED, v5=RegistrationState.UNUSED)))
    assert ALL_ACCEPTED not in message(kit(registrations=_all(RegistrationState.UNUSED)))


def test_the_old_certificate_is_kept_while_customs_waits() -> None:
    """Updated there and not accepted yet: a refusal would want the old one again; once it is accepted nothing is said of it."""
    waits = _all(RegistrationState.ACCEPTED, vnaccs=RegistrationState.UPDATED)
    assert KEEP in message(kit(registrations=waits))
    assert KEEP not in message(kit(registrations=_all(RegistrationState.ACCEPTED)))


def test_only_a_wait_of_24_hours_is_called_so() -> None:
    """An agency whose rule is another is to be updated like the rest, without the notice's 24h00."""
    whole = kit()
    other = Acceptance(rule="hours", amount=48)
    bent = tuple(replace(card, rule=other) if card.agency.name == "v5" else card for card in whole.cards)
    for shown, expected in ((whole, True), (replace(whole, cards=bent), False)):
        (line,) = [one for one in message(shown).splitlines() if "sau 24h00" in one]
        assert ("Hải quan (V5)" in line) is expected
        assert "Hải quan (VNACCS)" in line


def test_what_is_not_known_is_no_empty_field_to_copy() -> None:
    """A certificate without a tax code, and one that follows none: their lines are left out of every agency's values."""
    bare = kit(old=None, new=replace(fields(), mst=""))
    for card in bare.cards:
        assert all(value for _label, value in values(bare, card))
    assert "–QL" not in page(bare)
    assert '<bdi class="number-value"></bdi>' not in page(bare)


def test_a_record_without_the_moment_of_receipt_leaves_it_out() -> None:
    """A renewal by mail has none."""
    whole = kit()
    assert whole.renewed is not None
    by_mail = replace(whole, renewed=replace(whole.renewed, received_at=None))
    assert "Nhận CTS mới" in record(whole)
    assert "Nhận CTS mới" not in record(by_mail)
