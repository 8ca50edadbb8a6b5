from __future__ import annotations

from pathlib import Path

from support_inside import Inside


def test_config_shows_what_is_in_force_and_makes_nothing(tmp_path: Path) -> None:
    """`config` names the files and the CAs with their endpoints, and a home that is not there stays so."""
    home = tmp_path / "home"
    said = Inside({"SAFETOK_HOME": str(home)}).json("config")
    assert said.status == 0
    assert said.data["settings_file"] == str(home / "settings.toml")
    assert said.data["settings_file_exists"] is False
    assert {a["name"]: a["url"] for a in said.data["authorities"]}["safe-ca"] is None
    assert not home.exists()


def test_config_reads_the_file(tmp_path: Path) -> None:
    """What settings.toml says is what `config` shows, to people too."""
    (tmp_path / "settings.toml").write_text('timeout = 7\n[drivers]\nmodules = ["/opt/x.so"]\n')
    inside = Inside({"SAFETOK_HOME": str(tmp_path)})
    assert inside.json("config").data["timeout"] == 7
    assert "/opt/x.so" in inside("config").out
    assert "không công bố" in inside("config").out


def test_what_is_in_force_is_the_flag_s_else_the_environment_s_else_the_file_s(tmp_path: Path) -> None:
    """`config` named the file's drivers and wait also where a variable or a flag takes their place."""
    (tmp_path / "settings.toml").write_text('timeout = 7\n[drivers]\nmodules = ["/opt/x.so"]\n')
    inside = Inside({"SAFETOK_HOME": str(tmp_path), "SAFETOK_MODULE": "/opt/y.so"})
    assert inside.json("config").data["modules"] == ["/opt/y.so"]
    given = inside.json("config", "--module", "/opt/z.so", "--timeout", "3").data
    assert (given["modules"], given["timeout"]) == (["/opt/z.so"], 3)
    assert "/opt/y.so" in inside("config").out


def test_a_name_that_only_looks_like_the_ca_s_is_seen(tmp_path: Path) -> None:
    """A letter of another script in a server's name: what is truly asked stands beside it."""
    (tmp_path / "settings.toml").write_text('[authorities.safe-ca]\nurl = "https://s\u0430fe-ca.vn/cmp"\n', "utf-8")
    inside = Inside({"SAFETOK_HOME": str(tmp_path)})
    assert "xn--sfe-ca-3nf.vn" in "".join(inside("config").out.split())
    assert inside.json("config").data["authorities"][0]["url"] == "https://s\u0430fe-ca.vn/cmp"
