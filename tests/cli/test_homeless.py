"""A user without a home folder, and files in the settings that cannot even be looked at: a sentence each, no traceback."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
from support_agencies import followed
from support_cli import Cli


@pytest.mark.parametrize(
    "words", [(), ("status",), ("doctor",), ("contacts",), ("agencies", "list"), ("sandbox", "up")]
)
def test_a_user_without_a_home_folder_is_told(words: tuple[str, ...]) -> None:
    """A container's or a service's user: 2 and SAFETOK_HOME as the next step, no traceback."""
    cli = Cli({"SAFETOK_HOME": "~a-user-of-no-system/x"})
    said = cli.json(*words)
    assert (said.status, said.codes) == (2, ["no_home"])
    assert "SAFETOK_HOME" in said.envelope["errors"][0]["hint"]
    assert "Traceback" not in cli(*words).err


@pytest.mark.parametrize("name", ["~a-user-of-no-system/ca.pem", "x" * 300 + ".pem"])
def test_a_file_in_the_settings_that_cannot_be_looked_at_is_named(tmp_path: Path, name: str) -> None:
    """A home of nobody, a name too long for the disk (or a folder that may not be entered): 2, with the key and the name."""
    (tmp_path / "settings.toml").write_text(f'[authorities.x]\nissuers = ["{name}"]\n', encoding="utf-8")
    said = Cli({"SAFETOK_HOME": str(tmp_path)}).json("agencies", "list")
    assert (said.status, said.codes) == (2, ["bad_settings"])
    (error,) = said.envelope["errors"]
    assert "authorities.x.issuers" in error["message"]
    assert name in error["message"]


def test_a_hook_runs_for_a_user_without_a_home_folder(tmp_path: Path) -> None:
    """What a hook is told of is recorded and told all the same; its HOME is the root then."""
    cli = followed(tmp_path)
    folder = Path(cli.env["SAFETOK_HOME"]) / "hooks"
    folder.mkdir(mode=0o700)
    (folder / "note").write_text(f"#!/bin/sh\necho $HOME > {tmp_path}/said\n")
    (folder / "note").chmod(0o700)
    with patch.object(Path, "home", side_effect=RuntimeError("Could not determine home directory.")):
        assert cli.json("agencies", "done", "vnaccs").status == 0
    assert (tmp_path / "said").read_text() == "/\n"
