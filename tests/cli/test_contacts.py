from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

import safetok.knowledge
from safetok.cli import app

NOTICE_SAFE_CA = [
    "services@ts24.com.vn",
    "support@ts24.com.vn",
    "https://web.ts24.com.vn/tro-giup",
    "Hotline CSKH: (028)-3866-4188 (Nhấn phím 1) hoặc",
    "Hotline hỗ trợ: 1900 6154",
    "sales@ts24.com.vn",
    "https://www.facebook.com/TS24official",
]
NOTICE_LCS_CA = ["Hotline 1900 4525 – 1900 4533", "https://tracuu.lcs-ca.vn", "19004525"]


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAFETOK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SAFETOK_LANG", raising=False)


def test_every_line_stands_as_in_the_notice(capsys: pytest.CaptureFixture[str]) -> None:
    """`contacts` prints each line of both notices whole, one a line, in either language."""
    shipped = tomllib.loads((Path(safetok.knowledge.__file__).parent / "authorities.toml").read_text("utf-8"))
    for language in ("vi", "en"):
        assert app.main(["contacts", "--lang", language]) == 0
        told = capsys.readouterr().out.splitlines()
        for authority in shipped["authorities"].values():
            assert [line for line in authority["lines"] if line not in told] == []
        assert [part for part in (*NOTICE_SAFE_CA, *NOTICE_LCS_CA) if not any(part in line for line in told)] == []


@pytest.mark.parametrize("name", ["lcs-ca", "LCS-CA"])
def test_one_ca_can_be_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A CA is named by its settings key or its title, and only its lines are printed."""
    assert app.main(["contacts", name]) == 0
    told = capsys.readouterr().out
    assert "1900 4525" in told
    assert "1900 6154" not in told


def test_json_has_the_same_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """--json gives lines, hotline, way to unlock and source of each CA."""
    assert app.main(["contacts", "--json"]) == 0
    authorities = {row["name"]: row for row in json.loads(capsys.readouterr().out)["data"]["authorities"]}
    assert authorities["safe-ca"]["contacts"]["hotline"] == "1900 6154"
    assert "kinhdoanh@safecert.com.vn" in authorities["safe-ca"]["contacts"]["unlock"]
    assert authorities["lcs-ca"]["contacts"]["lines"][0].endswith("để được tư vấn hướng dẫn.")
    assert all(row["contacts"]["source"] for row in authorities.values())


def test_a_ca_nobody_knows_is_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown name ends 2 and says which there are; its control characters are written out."""
    assert app.main(["contacts", "x\x1b[31m"]) == 2
    told = capsys.readouterr().err
    assert "x\\x1b[31m" in told
    assert "safe-ca, lcs-ca" in told


def test_a_ca_of_the_users_own_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Contacts written into settings.toml are printed like the shipped ones."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "settings.toml").write_text(
        '[authorities.other]\ntitle = "OTHER-CA"\ncontacts = { lines = ["Gọi 1900 0000"], hotline = "1900 0000" }\n',
        "utf-8",
    )
    assert app.main(["contacts", "other"]) == 0
    assert "Gọi 1900 0000" in capsys.readouterr().out


def test_the_source_is_told_in_the_language(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the lines were read is said in the reader's language."""
    app.main(["contacts"])
    assert "Nguồn: thông báo của TS24" in capsys.readouterr().out
    app.main(["contacts", "--lang", "en"])
    assert "Source: notice of TS24" in capsys.readouterr().out


def test_broken_settings_do_not_hide_whom_to_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a settings.toml that cannot be read the shipped lines are shown, and the file and the line at fault."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "settings.toml").write_text("timeout = 3\n[[[x\n", "utf-8")
    assert app.main(["contacts"]) == 0
    told = capsys.readouterr()
    assert "1900 6154" in told.out
    assert "settings.toml, dòng 2" in told.err
