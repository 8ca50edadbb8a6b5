"""What the report for a support line hides: every name that is known, however many, and nothing that only looks like one."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path
from typing import Any

import pytest

from safetok.workflows import doctor_bundle
from safetok.workflows.doctor import Examination

NOTHING = Examination(findings=(), drivers=(), reading=None)


@pytest.fixture
def redaction(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`redaction(["a name"], …)`: what hides these names, one list for each certificate, on a computer of its own name."""
    monkeypatch.setattr(doctor_bundle, "discreet", lambda text: text)  # secrets of this process have tests of their own
    monkeypatch.setattr(socket, "gethostname", lambda: "may-ke-toan")
    monkeypatch.setattr(getpass, "getuser", lambda: "thu-quy")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/thu-quy"))

    def made(*names: list[str]) -> Any:
        monkeypatch.setattr(doctor_bundle, "_certificates", lambda *_: range(len(names)))
        monkeypatch.setattr(doctor_bundle, "_names", lambda number: names[number])
        return doctor_bundle._Redaction(None, NOTHING)  # type: ignore[arg-type]

    return made


def test_names_are_hidden_as_words_of_their_own(redaction: Any) -> None:
    """The longest that begins there; also as JSON writes it; within another word it is another word."""
    hide = redaction(["CÔNG TY AN"], ["CÔNG TY AN BÌNH", 'QUÁN "SEN"'])
    assert hide("CÔNG TY AN, CÔNG TY AN BÌNH; CÔNG TY ANH") == "<name 1>, <name 2>; CÔNG TY ANH"
    assert hide('QUÁN "SEN", QUÁN \\"SEN\\"') == "<name 2>, <name 2>"


def test_names_that_run_into_each_other_leave_no_end(redaction: Any) -> None:
    """Of two that share a word nothing of either is left."""
    assert redaction(["Nguyễn Văn An"], ["An Bình Phú"])("[Nguyễn Văn An Bình Phú]") == "[<name 1>]"


def test_thousands_of_names_are_looked_for_at_once(redaction: Any) -> None:
    """An office of a thousand clients, whose tokens are in: only what begins as a name is held against the names."""
    hide = redaction(*([f"CÔNG TY SỐ {n} HÀ NỘI", f"Nguyễn Văn {n}", f"MST:{n:010}"] for n in range(1000)))
    lines = [f'"serial": "{n:016x}", "label": "tok {n}", "issuer": "SAFE-CA"' for n in range(5000)]
    hidden = hide("\n".join([*lines, "CÔNG TY SỐ 999 HÀ NỘI"])).split("\n")
    assert [line for line, was in zip(hidden, [*lines, "<name 1000>"], strict=True) if line != was] == []
    assert not {"ser", "lab", "tok", "iss", "SAF"} & hide._beginning.keys()
