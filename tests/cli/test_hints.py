"""What stands under an error: a command to be copied gets an arrow, and no sentence is taken for one."""

from __future__ import annotations

import ast
from pathlib import Path

import safetok
from safetok.cli.commands import root
from safetok.locale import _, set_language


def _hints() -> set[str]:
    """Every sentence that the source gives as `hint`, as written there."""
    found = set()
    for path in Path(safetok.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                found |= {
                    part.value
                    for part in ast.walk(node.value)
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    return found


def test_a_hint_that_begins_with_the_program_s_name_is_a_command() -> None:
    """In both languages: "safetok removes only…" had got the arrow of a command."""
    top = root()
    commands = set(top.list_commands(top.make_context("safetok", [], resilient_parsing=True)))
    try:
        for language in ("en", "vi"):
            set_language(language)
            told = [_(hint) for hint in _hints() if _(hint).startswith("safetok ")]
            assert [hint for hint in told if not {*hint.split()[1:2]} <= commands] == []
    finally:
        set_language(None)
