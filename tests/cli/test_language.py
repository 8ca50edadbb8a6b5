from __future__ import annotations

import importlib.util
import re
import string
import unicodedata
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages.catalog import Catalog

from safetok.cli.help import PLACEHOLDERS

MESSAGES = Path(__file__).parents[2] / ".ci" / "messages.py"

# The few that are the same in both languages: names, and words the agencies' own pages leave in English.
SAME_IN_BOTH = {
    "PIN",
    "MST",
    "{mst}",
    "{name} · Token ID {serial}",
    "{name} · Serial {serial}",
    "{certificate}: {message}",
}


@pytest.fixture(scope="module")
def messages() -> ModuleType:
    """The script that merges the fragments of the Vietnamese catalogue."""
    found = importlib.util.spec_from_file_location("messages", MESSAGES)
    assert found
    assert found.loader
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def catalogue(messages: ModuleType) -> Catalog:
    merged, wrong = messages.merged()
    assert wrong == []
    return merged


@pytest.fixture(scope="module")
def used(messages: ModuleType) -> dict[str, str]:
    """Every message in the code, and where it stands."""
    return dict(messages.used())


def fields(text: str) -> list[str]:
    """The names between braces, each as often as it stands."""
    return sorted(name for _text, name, _spec, _conversion in string.Formatter().parse(text) if name is not None)


def test_every_message_has_its_vietnamese(catalogue: Catalog, used: dict[str, str]) -> None:
    """Every message of the program has a Vietnamese that differs from its English, but for a listed few."""
    missing = []
    for message, place in used.items():
        entry = catalogue.get(message)
        if entry is None or (entry.string == message and message not in SAME_IN_BOTH):
            missing.append((place, message))
    assert missing == []


def test_no_vietnamese_stands_alone(catalogue: Catalog, used: dict[str, str]) -> None:
    """The catalogue holds nothing that the program never says."""
    assert [entry.id for entry in catalogue if entry.id and entry.id not in used] == []


def test_both_languages_have_the_same_fields(catalogue: Catalog) -> None:
    """A message and its Vietnamese name the same fields, so neither can fail to be filled in."""
    assert [entry.id for entry in catalogue if entry.id and {*fields(entry.id)} != {*fields(entry.string)}] == []


def test_both_languages_name_the_same_commands(catalogue: Catalog) -> None:
    """Commands between backquotes are the same in both languages, but for placeholders: people copy them."""
    quoted, word = re.compile(r"`([^`]*)`"), re.compile(r"\b[A-Z]{2,}\b")

    def commands(text: str, *, placeholders: bool) -> list[str]:
        said = {name: catalogue.get(name).string for name in PLACEHOLDERS}
        return sorted(
            word.sub(lambda found: said.get(found[0], found[0]), command) if placeholders else command
            for command in quoted.findall(text)
        )

    differing = [
        entry.id
        for entry in catalogue
        if entry.id
        and commands(entry.string, placeholders=False)
        not in (commands(entry.id, placeholders=False), commands(entry.id, placeholders=True))
    ]
    assert differing == []


def test_every_placeholder_of_help_is_vietnamese() -> None:
    """What an option takes is named in Vietnamese, but for what is the same in both languages."""
    same = {"MST", "TOKEN", "CA", "ID", "N", "URL"}
    sources = "".join(file.read_text("utf-8") for file in (MESSAGES.parents[1] / "safetok" / "cli").glob("*.py"))
    named = {word for text in re.findall(r'metavar="([A-Z|]+)"', sources) for word in text.split("|")}
    assert named - {*PLACEHOLDERS} - same == set()


def test_vietnamese_is_written_in_one_way(catalogue: Catalog) -> None:
    """Every Vietnamese text is composed (NFC), so that it is found, aligned and folded to ASCII alike."""
    assert [e.id for e in catalogue if e.id and unicodedata.normalize("NFC", e.string) != e.string] == []


# Words the notices do not use: the first is the paid renewal, the others are loose names for things that have one.
AVOIDED = {
    "chứng chỉ": "chứng thư số",
    "số sê-ri": "số Serial",
    "đăng ký CTS": "cập nhật CTS với cơ quan",
    "tái cấp": "cấp bù thời hạn",
    "đại lý": "trung gian bán hàng",
}


def test_the_words_are_the_notices_own(catalogue: Catalog) -> None:
    """No Vietnamese text uses a word where the notices have another."""
    assert [(word, e.id) for e in catalogue for word in AVOIDED if e.id and word in e.string.lower()] == []


def test_a_message_inside_another_string_is_found(messages: ModuleType) -> None:
    """A message id is found wherever `_()` stands, in an f-string too, and nothing else is taken for one."""
    assert messages.called("f\"{one} {_('Two.')}\"; later('Three'); _(four); later(5)") == [("Three", 1), ("Two.", 1)]


def test_the_compiled_catalogue_is_current(
    messages: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The catalogue that is shipped is the one the fragments make."""
    monkeypatch.setattr("sys.argv", ["messages.py", "--check"])
    assert messages.main() == 0, capsys.readouterr().err
