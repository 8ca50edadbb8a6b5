from __future__ import annotations

import io
import json
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetok.cli import text
from safetok.cli.envelope import encoded, plain
from safetok.cli.render import Column, Screen, Toned, _width
from safetok.domain.tokens import Kind

SERIAL = "54010101A1B2C3D4E5F60718293A4B5C"
NAME = "CÔNG TY TNHH MỘT THÀNH VIÊN THƯƠNG MẠI DỊCH VỤ XUẤT NHẬP KHẨU ĐẠI PHÁT TÂN BÌNH"
HEADS = [
    Column("MST"),
    Column("Tên đơn vị", wrap=True),
    Column("Số Serial CTS"),
    Column("Còn lại", right=True),
    Column("Trạng thái"),
]
ROWS = [
    ["0100109106", NAME, SERIAL, 20, Toned("sắp hết hạn", "warn")],
    ["0312345678-001", "CÔNG TY A", SERIAL[::-1], 312, None],
]


class Console(io.TextIOWrapper):
    """A stream of a given encoding that keeps what was written, as text."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.kept = io.BytesIO()
        super().__init__(self.kept, encoding=encoding, write_through=True)

    def raw(self) -> str:
        return self.kept.getvalue().decode(self.encoding)

    def text(self) -> str:
        """Without the attributes a terminal is given (NO_COLOR leaves bold and dim)."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.raw())


def drawn(*, width: int = 80, terminal: bool = True, encoding: str = "utf-8") -> tuple[Screen, Console]:
    """A screen of a given kind, and its console."""
    console = Console(encoding)
    text.prepare(console)
    return Screen(console, width=width, terminal=terminal), console


@pytest.fixture(autouse=True)
def _no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("LC_ALL", raising=False)


@pytest.mark.parametrize("width", range(50, 201, 10))
def test_a_table_is_never_cut_and_never_too_wide(width: int) -> None:
    """At every width all of every cell is there, no line is longer than the console, and serials stay whole."""
    screen, console = drawn(width=width)
    screen.table(HEADS, ROWS)
    told = console.text()
    assert max(_width(line.rstrip()) for line in told.splitlines()) <= width
    assert "…" not in told
    assert SERIAL in told
    assert SERIAL[::-1] in told
    for part in NAME.split():
        assert part in told


def test_a_narrow_console_gets_cards() -> None:
    """Where the columns do not fit, each row is a card: its first cell, then the others named, as many a line as fit."""
    screen, console = drawn(width=60)
    screen.table(HEADS, ROWS)
    lines = console.text().splitlines()
    assert lines[0] == "0100109106"
    assert lines[-4:] == [
        "0312345678-001",
        "  Tên đơn vị: CÔNG TY A",
        f"  Số Serial CTS: {SERIAL[::-1]}",
        "  Còn lại: 312",
    ]
    assert "  Còn lại: 20  Trạng thái: sắp hết hạn" in lines
    assert f"  Số Serial CTS: {SERIAL}" in lines
    assert console.text().count("Trạng thái") == 1


def test_a_card_of_a_numbered_row_says_what_the_number_is() -> None:
    """A number as heading has its column's name before it."""
    screen, console = drawn(width=40)
    screen.table([Column("Dòng", right=True), Column("Tên đơn vị"), Column("Số Serial CTS")], [[7, NAME, SERIAL]])
    assert console.text().splitlines()[0] == "Dòng 7"


def test_a_wide_console_gets_a_table() -> None:
    """Where the columns fit, there is one head and one line a row."""
    screen, console = drawn(width=200)
    screen.table(HEADS, ROWS)
    lines = console.text().splitlines()
    assert len(lines) == 4
    assert lines[0].split() == ["MST", "Tên", "đơn", "vị", "Số", "Serial", "CTS", "Còn", "lại", "Trạng", "thái"]


def test_what_is_piped_is_plain_aligned_and_uncut() -> None:
    """Off a terminal a table is lines of aligned columns without frames or colours, however long."""
    screen, console = drawn(width=80, terminal=False)
    screen.table(HEADS, ROWS)
    head, first, second = console.text().splitlines()
    assert NAME in first
    assert len(first) > 80
    assert first.index(SERIAL) == second.index(SERIAL[::-1]) == head.index("Số Serial")
    assert "\x1b" not in console.raw()


def test_colours_follow_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR takes colours away from a terminal; without it a warning has one."""
    screen, console = drawn()
    screen.notice("sắp hết hạn", "warn")
    assert "\x1b[3" not in console.raw()
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm-256color")
    screen, console = drawn()
    screen.notice("sắp hết hạn", "warn")
    assert "\x1b[33m" in console.raw()


EVIL = "A[bold red]B[/] :smile: \x1b]0;title\x07\x9b31m\r\n\u202eC\u2066\ud800"
SHOWN = r"A[bold red]B[/] :smile: \x1b]0;title\x07\x9b31m\r\n\u202eC\u2066\ud800"


@pytest.mark.parametrize("terminal", [True, False])
def test_untrusted_text_is_shown_not_obeyed(terminal: bool) -> None:
    """Markup, emoji names, control, direction characters and line breaks of a value are written out in every layout."""
    for width in (60, 200):
        screen, console = drawn(width=width, terminal=terminal)
        screen.table([Column("Tên"), Column("MST")], [[EVIL, "1"]])
        screen.pairs([("Tên", EVIL)])
        screen.items([EVIL])
        screen.title(EVIL)
        told = "".join(console.text().split())
        assert told.count("".join(SHOWN.split())) == 4
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\r"} & set(console.text())


@given(st.text())
def test_nothing_a_name_holds_reaches_the_console_raw(name: str) -> None:
    """No text whatever puts a control, direction or zero-width character, or a line break, on the console."""
    told = text.visible(name)
    assert all(letter.isprintable() or letter in "\u00a0\u3000" or ord(letter) > 0x7F for letter in told)
    assert not set(told) & set("\n\r\t\x1b\x9b\u202e\u2028\u200b\ufeff")


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"])))
def test_no_console_raises(said: str) -> None:
    """Whatever is said can be written to an ASCII console and to a Windows code page."""
    for encoding in ("ascii", "cp1258", "cp437"):
        screen, _console = drawn(terminal=False, encoding=encoding)
        screen.line(said)
        screen.table([Column(said)], [[said]])


@pytest.mark.parametrize("terminal", [True, False])
def test_ascii_is_readable(terminal: bool) -> None:
    """Without Vietnamese on the console the marks fall away, icons and frames become ASCII, columns stay aligned."""
    screen, console = drawn(width=200, terminal=terminal, encoding="ascii")
    screen.table(HEADS, ROWS)
    screen.notice("Đã cập nhật → xong…", "good", hint="Hải quan – V5")
    told = console.text()
    assert told.isascii()
    assert "?" not in told
    assert "CONG TY TNHH MOT THANH VIEN" in told
    assert "OK Da cap nhat -> xong..." in told
    assert "Hai quan - V5" in told
    assert (
        len({line.index(serial) for line in told.splitlines() for serial in (SERIAL, SERIAL[::-1]) if serial in line})
        == 1
    )


def test_pairs_stand_under_each_other() -> None:
    """Values start in one column, a None is left out, long ones go on under themselves."""
    screen, console = drawn(width=40)
    screen.pairs([("MST", "0100109106"), ("Tên đơn vị", NAME), ("Trống", None), ("Còn lại", 0)])
    lines = console.text().splitlines()
    assert lines[0] == "MST:        0100109106"
    assert lines[-1] == "Còn lại:    0"
    assert all(line.startswith(" " * 12) for line in lines[2:-1])
    assert max(map(len, lines)) <= 40


def test_empty_tables_say_so() -> None:
    """A table without rows says the sentence it was given and draws no head."""
    screen, console = drawn()
    screen.table(HEADS, [], empty="Chưa thấy USB Token.")
    assert console.text() == "Chưa thấy USB Token.\n"


def test_json_holds_what_python_holds() -> None:
    """Dates, instants, bytes, enums, sets, paths and dataclasses are encoded, each in one way."""
    value = {
        "at": datetime(2026, 11, 23, 9, 5, 0, 123456, tzinfo=UTC),
        "day": date(2027, 12, 31),
        "id": b"\x01\xff",
        "kind": Kind.V1,
        "set": {"b", "a"},
        "path": Path("/x"),
        "tone": Toned("x", "good"),
        Kind.V2: (None, True, 1, 1.5),
    }
    assert plain(value) == {
        "at": "2026-11-23T09:05:00Z",
        "day": "2027-12-31",
        "id": "01ff",
        "kind": "V1",
        "set": ["a", "b"],
        "path": "/x",
        "tone": {"text": "x", "tone": "good"},
        "V2": [None, True, 1, 1.5],
    }
    with pytest.raises(TypeError):
        plain(object())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_is_always_parsed_and_never_steers(value: object) -> None:
    """Any text comes back from the JSON as it was, but for lone surrogates, and no control character is in it raw."""
    for ascii_only in (True, False):
        told = encoded(plain(value), ascii_only=ascii_only)
        told.encode("utf-8")
        assert not {"\x1b", "\x7f", "\x9b", "\u202e"} & set(told)
        if "\\ud" not in told and "?" not in told:
            assert json.loads(told) == value


def test_wrapping_keeps_words() -> None:
    """Prose is wrapped between words; a word longer than the line stays whole."""
    assert text.wrapped("một hai ba", 7) == ["một hai", "ba"]
    assert text.wrapped("x" * 30, 10) == ["x" * 30]
    assert text.wrapped("a b\nc", 20, indent=2) == ["a b", "  c"]


@pytest.mark.parametrize(
    "command",
    [
        "safetok renew --resume",
        "→ safetok status",
        "safetok dossier start --case papers-missing --cert 5401",
        "safetok agencies accepted vnaccs --cert 54010108FDDDDDE895F413FE35AA0A75.",
        "safetok certs install TỆP",
        "`safetok tokens --wait 60`.",
        "(safetok status)",
    ],
)
def test_a_command_is_not_broken(command: str) -> None:
    """Whatever the width, a command stands on one line, to be copied whole; the prose around it is broken as ever."""
    said = f"Còn dở dang, làm tiếp: {command} rồi xem lại sau"
    for width in range(10, 90):
        lines = text.wrapped(said, width)
        assert sum(command in line for line in lines) == 1
        assert " ".join(lines) == said


def test_what_safetok_does_is_no_command() -> None:
    """Prose about safetok is broken like any other."""
    assert text.wrapped("safetok nhận CTS mới", 14) == ["safetok nhận", "CTS mới"]


def test_a_long_value_is_broken_behind_its_commas() -> None:
    """A subject that is longer than its line goes on in the value's column, broken behind a comma; nothing of it is lost."""
    subject = "emailAddress=ketoan@cong-ty.example,UID=MST:0199900025,CN=CÔNG TY CỔ PHẦN THỰC PHẨM AN NHIÊN"
    screen, console = drawn(width=50)
    screen.pairs([("Chủ thể", subject)])
    lines = console.text().splitlines()
    assert lines[0] == "Chủ thể: emailAddress=ketoan@cong-ty.example,"
    assert max(map(len, lines)) <= 50
    assert "".join("".join(lines).removeprefix("Chủ thể:").split()) == "".join(subject.split())


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("terminal", [True, False])
def test_tables_of_one_screen_have_the_same_columns(width: int, terminal: bool) -> None:
    """Tables that are told of each other's rows begin each column at the same place, whatever each of them holds."""
    heads = [Column("Cơ quan", wrap=True), Column("Tên ngắn"), Column("Trạng thái", wrap=True)]
    rows = [
        ["Hải quan (VNACCS)", "vnaccs", "chờ đủ 24h00"],
        [NAME, "etax", "chưa cập nhật xong; còn: Nộp thuế điện tử"],
    ]
    screen, console = drawn(width=width, terminal=terminal)
    layout = screen.layout(heads, rows)
    for row in rows:
        screen.table(heads, [row], layout=layout)
    told = [line for line in console.text().splitlines() if "Tên ngắn" in line or "vnaccs" in line or "etax" in line]
    assert len({line.index(word) for line in told for word in ("Tên ngắn", "vnaccs", "etax") if word in line}) == 1
    assert len({line.index(word) for line in told for word in ("Trạng", "chờ", "chưa") if word in line}) == 1


def test_words_are_kept_whole_before_lines_are_saved() -> None:
    """A column is given what its longest word needs before another one is given more than it needs."""
    heads = [Column("Cơ quan", wrap=True), Column("Tên ngắn"), Column("Trạng thái", wrap=True)]
    rows = [["Kê khai & Nộp thuế (thuedientu.gdt.gov.vn)", "etax", "chưa cập nhật " * 20]]
    screen, console = drawn(width=64)
    screen.table(heads, rows)
    assert "(thuedientu.gdt.gov.vn)" in console.text()
    assert max(map(len, console.text().splitlines())) <= 64


def test_a_path_in_a_next_step_can_be_typed_as_it_stands() -> None:
    """A path of several words stands in quotes; a plain one, also a Vietnamese one, does not."""
    assert text.quoted("danh-sách/tháng 11.csv") == "'danh-sách/tháng 11.csv'"
    assert text.quoted(Path("danh-sách.csv")) == "danh-sách.csv"
