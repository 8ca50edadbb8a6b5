"""A user without a home folder: one sentence, no traceback."""

from __future__ import annotations

import pytest
from support_cli import Cli


@pytest.mark.parametrize(
    "words", [(), ("status",), ("doctor",), ("contacts",), ("agencies", "list"), ("sandbox", "up")]
)
def test_a_user_without_a_home_folder_is_told(words: tuple[str, ...]) -> None:
    """A container's or a service's user: 2 and SAFETOK_HOME as the next step, no traceback."""
    cli = Cli({"SAFETOK_HOME": "~a-user-of-no-system/x"})
    said = cli.json(*words)
    assert (said.status, said.codes) == (2, ["home_unusable"])
    assert "SAFETOK_HOME" in said.envelope["errors"][0]["hint"]
    assert "Traceback" not in cli(*words).err
