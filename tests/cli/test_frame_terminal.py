from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import support_frame

SAFE = r"Đã sẵn sàng?\x1b[2J\nHOÀN TẤT [c/K]"  # the trial's first question holds an escape sequence and a line break
TRIAL = Path(support_frame.__file__)
PIN = "12345678"


class Terminal:
    """A pseudo-terminal with the program on it, and what it has shown."""

    def __init__(self, words: list[str], env: dict[str, str], *, out: int | None, err: int | None) -> None:
        self.ours, theirs = pty.openpty()
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, str(TRIAL), *words],
            stdin=theirs,
            stdout=theirs if out is None else out,
            stderr=theirs if err is None else err,
            env={**os.environ, "SAFETOK_LANG": "vi", "TERM": "xterm", "COLUMNS": "100", **env},
            start_new_session=True,
            preexec_fn=lambda: _control(theirs),  # noqa: PLW1509  (no thread runs in this test)
        )
        os.close(theirs)

    def until(self, text: str) -> None:
        """Read until `text` is shown."""
        end = time.monotonic() + 20
        while text not in self.shown:
            assert time.monotonic() < end, f"{text!r} was not shown in: {self.shown!r}"
            if not self._read():
                assert text in self.shown, f"{text!r} was not shown in: {self.shown!r}"

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def answer(self, question: str, text: str) -> None:
        self.until(question)
        self.shown = self.shown.split(question, 1)[1]
        self.type(f"{text}\n")

    def end(self) -> int:
        """Read to the end; returns the exit status."""
        while self._read():
            pass
        os.close(self.ours)
        return self.process.wait(20)

    def _read(self) -> bool:
        if not select.select([self.ours], [], [], 20)[0]:
            return False
        try:
            said = os.read(self.ours, 65536)
        except OSError:  # the other end is closed
            return False
        self.shown += said.decode("utf-8", "replace")
        return bool(said)


def _control(terminal: int) -> None:
    """Make it the new session's own terminal, so that /dev/tty and Ctrl-C mean it."""
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command line on a terminal; ends it when the test does."""
    begun: list[Terminal] = []

    def go(*words: str, out: int | None = None, err: int | None = None, **env: str) -> Terminal:
        terminal = Terminal(list(words), {"SAFETOK_HOME": str(tmp_path / "home"), **env}, out=out, err=err)
        begun.append(terminal)
        return terminal

    yield go
    for terminal in begun:
        if terminal.process.poll() is None:
            terminal.process.send_signal(signal.SIGKILL)
            terminal.process.wait(20)


def test_everything_can_be_asked_and_the_pin_is_never_shown(start: Start) -> None:
    """Questions take Vietnamese answers, ask again for others, and the PIN typed appears nowhere on the screen."""
    terminal = start("trial", "ask")
    terminal.answer(SAFE, "gì cơ")
    terminal.answer("Xin trả lời [c/K].", "CÓ")
    terminal.answer("Mở danh sách? [C/k]", "")
    terminal.answer("Ngày kết thúc:", "  31/12/2027 ")
    everything = terminal.shown
    terminal.answer("Mã PIN:", PIN)
    terminal.until("2) Hai")
    terminal.answer("Enter trống để dừng:", "3")
    terminal.answer("Enter trống để dừng:", "2")
    assert terminal.end() == 0
    assert "{'ready': True, 'open': True, 'day': '31/12/2027', 'pin': 8, 'chosen': 1}" in terminal.shown
    assert PIN not in everything + terminal.shown


def test_questions_leave_stdout_to_the_answer(start: Start) -> None:
    """With --json every question and remark is on the terminal and stdout holds the envelope alone."""
    reading, writing = os.pipe()
    terminal = start("trial", "ask", "--json", out=writing)
    os.close(writing)
    terminal.answer("Đã sẵn sàng?", "c")
    terminal.answer("Mở danh sách?", "k")
    terminal.answer("Ngày kết thúc:", "")
    terminal.answer("Mã PIN:", PIN)
    terminal.answer("Enter trống để dừng:", "1")
    with os.fdopen(reading, encoding="utf-8") as told:
        document = json.load(told)
    assert terminal.end() == 0
    assert document["data"] == {"ready": True, "open": False, "day": "", "pin": 8, "chosen": 0}


def test_questions_are_seen_when_stderr_goes_to_a_file(start: Start, tmp_path: Path) -> None:
    """With stderr redirected a question still appears on the terminal, so that nobody waits before an empty screen."""
    with (tmp_path / "err").open("wb") as file:
        terminal = start("trial", "ask", err=file.fileno())
        terminal.answer(SAFE, "")
        terminal.until("Mở danh sách?")
        terminal.type("\x03")
        assert terminal.end() == 130
    assert "Đã sẵn sàng" not in (tmp_path / "err").read_text("utf-8")


@pytest.mark.parametrize("step", ["Đã sẵn sàng?", "Mã PIN:"])
def test_ctrl_c_stops_with_130_and_gives_the_echo_back(start: Start, step: str) -> None:
    """Ctrl-C at a question, also at the PIN's, ends 130 with a sentence and the terminal echoes again."""
    import termios

    terminal = start("trial", "ask")
    if step != "Đã sẵn sàng?":
        terminal.answer("Đã sẵn sàng?", "c")
        terminal.answer("Mở danh sách?", "c")
        terminal.answer("Ngày kết thúc:", "")
    terminal.until(step)
    terminal.type("\x03")
    terminal.until("Đã dừng theo yêu cầu.")
    assert termios.tcgetattr(terminal.ours)[3] & termios.ECHO
    assert terminal.end() == 130
    assert "Traceback" not in terminal.shown


@pytest.mark.parametrize("step", ["Đã sẵn sàng?", "Ngày kết thúc:", "Mã PIN:", "Enter trống để dừng:"])
@pytest.mark.parametrize("left_alone", [False, True])
def test_a_terminal_that_is_closed_ends_the_run_in_order(start: Start, step: str, *, left_alone: bool) -> None:
    """At any question: SIGHUP is 130, with its envelope where that still arrives. Where it is left aside (nohup, a shell's disown)
    nobody answers any more: a no, an empty line, a stop; the answer and its status stand, and it never waits for ever.
    """
    reading, writing = os.pipe()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if left_alone else signal.SIG_DFL)
    try:
        terminal = start("trial", "ask", "--json", out=writing)
    finally:
        signal.signal(signal.SIGHUP, before)
    os.close(writing)
    for question, text in (("Đã sẵn sàng?", "c"), ("Mở danh sách?", "c"), ("Ngày kết thúc:", ""), ("Mã PIN:", PIN)):
        if question == step:
            break
        terminal.answer(question, text)
    terminal.until(step)
    os.close(terminal.ours)
    with os.fdopen(reading, encoding="utf-8") as told:
        document = json.load(told)
    no_pin = left_alone and step in {"Đã sẵn sàng?", "Ngày kết thúc:"}
    assert terminal.process.wait(20) == document["exit_code"] == (11 if no_pin else 130)
    assert [one["code"] for one in document["errors"]] == ["pin_would_show" if no_pin else "interrupted"]


def test_a_closed_input_is_a_no(start: Start) -> None:
    """Ctrl-D at a question is a no, never its default, and at a choice it stops."""
    terminal = start("trial", "ask")
    terminal.answer("Đã sẵn sàng?", "c")
    terminal.until("Mở danh sách? [C/k]")
    terminal.type("\x04")
    terminal.answer("Ngày kết thúc:", "")
    terminal.answer("Mã PIN:", "")
    terminal.until("Enter trống để dừng:")
    terminal.type("\n")
    assert terminal.end() == 130


def test_non_interactive_asks_nothing_on_a_terminal(start: Start) -> None:
    """--non-interactive on a terminal ends 11 at the first question."""
    terminal = start("trial", "ask", "--non-interactive")
    assert terminal.end() == 11
    assert "[c/K]" not in terminal.shown


def test_a_terminal_without_vietnamese_is_asked_in_ascii(start: Start) -> None:
    """On an ASCII console questions lose their marks and answers are still understood."""
    terminal = start("trial", "ask", PYTHONIOENCODING="ascii")
    terminal.answer(r"Da san sang?\x1b[2J\nHOAN TAT [c/K]", "có")
    terminal.until("Mo danh sach? [C/k]")
    terminal.type("\x03")
    assert terminal.end() == 130


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_terminal_gets_tables_that_fit(start: Start, width: int) -> None:
    """On a terminal a long name is folded, not cut, and its control characters never act."""
    terminal = start("trial", "list", COLUMNS=str(width), NO_COLOR="1")
    assert terminal.end() == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", terminal.shown)
    assert max(map(len, shown.splitlines())) <= width
    assert r"\x1b[31m\u202e" in "".join(shown.split())
    assert "\x1b" not in shown


def test_remarks_are_broken_between_words(start: Start) -> None:
    """On a terminal a long remark is laid out to its width, no word broken."""
    terminal = start("trial", "ask", COLUMNS="50")
    terminal.until("Đã sẵn sàng?")
    remark = terminal.shown.split("!")[0].splitlines()
    assert len(remark) > 2
    assert all(len(line) <= 50 for line in remark)
    assert {word for line in remark for word in line.split()} == {"lời", "dẫn"}
    terminal.type("\x03")
    assert terminal.end() == 130


def test_a_pin_in_another_encoding_is_not_guessed(start: Start) -> None:
    """Bytes that are no UTF-8 are refused before a try is spent, instead of being sent as something else."""
    terminal = start("trial", "ask", "--json")
    terminal.answer("Đã sẵn sàng?", "c")
    terminal.answer("Mở danh sách?", "c")
    terminal.answer("Ngày kết thúc:", "")
    terminal.until("Mã PIN:")
    os.write(terminal.ours, b"1234\xe9\n")
    assert terminal.end() == 2
    assert "pin_unreadable" in terminal.shown
