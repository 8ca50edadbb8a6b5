from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from safetok.cli import commands
from safetok.cli.declared import COMMANDS
from safetok.errors import SEVERAL_AT_ONCE, ExitStatus
from safetok.store.paths import home
from safetok.store.setting_values import _AUTHORITY_KEYS
from safetok.store.settings import load

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_two_commands_are_two_blocks_of_one_line() -> None:
    """README names the demo and the tests, one line each, under one heading."""
    found = blocks(section("Two commands"))
    assert [block.count("\n") for block in found] == [1, 1]
    assert "safetok sandbox demo" in found[0]
    assert "pytest" in found[1]
    assert README.count("\n## Two commands\n") == 1


@pytest.mark.parametrize("heading", ["Trạng thái kết thúc", "Exit statuses"])
def test_readme_lists_every_exit_status(heading: str) -> None:
    """Both tables of exit statuses are those of the program, in its order, and so is the order among several."""
    listed = [int(number) for number in re.findall(r"^\| (\d+) \|", section(heading), re.MULTILINE)]
    assert listed == [status.value for status in ExitStatus]
    assert ", ".join(str(status.value) for status in SEVERAL_AT_ONCE) in section(heading)


def test_both_languages_promise_the_same() -> None:
    """Neither half of README has a command or a promise that the other lacks."""
    vietnamese, english = (
        (
            re.findall(r"^\| `safetok", section(table), re.MULTILINE),
            re.findall(r"^\d+\. ", section(promises), re.MULTILINE),
        )
        for table, promises in (("Các lệnh", "Cam kết"), ("Commands", "Promises"))
    )
    assert vietnamese == english


@pytest.mark.parametrize("heading", ["Các lệnh", "Commands"])
def test_readme_names_every_command(heading: str) -> None:
    """Both tables of commands name every command of the program and everything under it."""
    named = {word for code in re.findall(r"`([^`]+)`", section(heading)) for word in code.split()}
    wanted = set(COMMANDS) | {
        name
        for group, entry in COMMANDS.items()
        if entry.group
        for name in commands.load(group, entry).commands  # type: ignore[attr-defined]
    }
    assert wanted - named == set()


def test_pictures_of_readme_exist() -> None:
    """Every picture that README shows is in the repository."""
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert [name for name in shown if not (ROOT / name).is_file()] == []


def test_links_inside_readme_lead_somewhere() -> None:
    """Every link to a heading of README finds it."""
    headings = {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        for title in re.findall(
            r"^#+ (.+)$", re.sub(r"^```.*?^```", "", README, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
        )
    }
    assert [link for link in re.findall(r"\]\(#([^)]+)\)", README) if link not in headings] == []


def test_settings_of_readme_are_taken(tmp_path: Path) -> None:
    """The settings that README shows, every key of them, are what safetok reads."""
    (example,) = re.findall(r"^```toml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for name in re.findall(r"\w[\w-]*\.pem", example):
        (tmp_path / name).touch()
    (tmp_path / "settings.toml").write_text(example, encoding="utf-8")
    settings = load(home({"SAFETOK_HOME": str(tmp_path)}), {})
    assert settings.modules == ("/usr/lib/hang/driver.so",)
    assert settings.kind_rules[0].label == "KT-*"
    assert settings.authorities["my-ca"].request == "kur"
    shown = set(tomllib.loads(example)["authorities"]["my-ca"])
    assert set(_AUTHORITY_KEYS) - shown <= {
        "issuer_names",
        "dossier_lookup",
        "acceptance",
    }  # rare: for resellers and CAs


def test_lock_covers_every_dependency_with_hashes() -> None:
    """requirements.lock pins everything pyproject.toml asks for, with hashes, and names no index."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["dependency-groups"]["build"],
    ]
    names = [re.match(r"[A-Za-z0-9_.-]+", line)[0].lower().replace("_", "-") for line in wanted]
    assert [name for name in names if name not in pinned] == []
    entries = re.split(r"\n(?=[a-z0-9-]+==)", lock)[1:]
    assert [entry.split("\n", 1)[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock


def test_second_opinions_are_locked_apart_and_agree() -> None:
    """requirements-peers.lock pins the extra `peers`, as requirements.lock does what both hold; GPL code is in it alone."""
    pinned = {
        name: dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.lock", "requirements-peers.lock")
    }
    ours, theirs = pinned["requirements.lock"], pinned["requirements-peers.lock"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [re.match(r"[a-z0-9-]+", line)[0] for line in project["optional-dependencies"]["peers"]]
    assert [name for name in wanted if name not in theirs or name in ours] == []
    assert {name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]} == set()
    lock = (ROOT / "requirements-peers.lock").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=[a-z0-9-]+==)", lock)[1:]
    assert [entry.split("\n", 1)[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_wheel_carries_all_data(tmp_path: Path) -> None:
    """An installed safetok has its knowledge, catalogues and schemas: every file of the package is in the wheel."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "safetok").rglob("*") if path.is_file()}
    assert {name for name in files if "__pycache__" not in name} <= packed


def test_changelog_names_this_version() -> None:
    """CHANGELOG.md has a heading for what is not released yet, newest first."""
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
