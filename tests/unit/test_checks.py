from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "tests" / "CHECKS.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| message |"))
]
CHECKING = ["ca", "ca/cmp", "trust", "net"]  # folders of safetok whose codes are names of checks

# Codes that tell of a way taken, not of a check that failed.
NO_CHECKS = {"certificate_revoked"}


def codes() -> set[str]:
    found: set[str] = set()
    for folder in CHECKING:
        for path in (ROOT / "safetok" / folder).glob("*.py"):
            found |= set(re.findall(r'code="([a-z_0-9]+)"', path.read_text(encoding="utf-8")))
    return found - NO_CHECKS


def fail_infos() -> set[str]:
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "safetok" / "sandbox").glob("*.py"))
    return {name for source in sources for name in re.findall(r'Refusal\(\s*"([A-Za-z]+)"', source)}


def verdicts() -> set[str]:
    from safetok.trust.answer import FAIL_INFO

    return set(FAIL_INFO)


def obstacles() -> set[str]:
    """Why a path to an anchor may lack, as scripts are told."""
    from typing import get_args, get_type_hints

    from safetok.cli.documents.certificates import PathToAnchor

    return {*get_args(get_type_hints(PathToAnchor)["code"])} - {""}


@pytest.mark.parametrize("test", sorted({row[5] for row in ROWS}))
def test_every_test_named_in_the_table_exists(test: str) -> None:
    """File and function, by its exact name, with a docstring that says what it promises."""
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    named = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert name in named
    assert ast.get_docstring(named[name])


def test_every_row_is_whole() -> None:
    """Message, field, check and test in each; a source is an RFC with its section, or a rule of ours."""
    for row in ROWS:
        assert len(row) == 6, row
        message, field, check, source, _says, test = row
        assert message, row
        assert field, row
        assert check, row
        assert test.startswith("tests/"), row
        assert re.fullmatch(r"(RFC \d+( [A-Z0-9][A-Za-z0-9. ,]*)?(, (RFC )?[A-Z0-9. ]+)*)?", source), source


def test_no_check_is_missing_from_the_table() -> None:
    """Every code with which a check refuses, and every failInfo of the sandbox CA, has its row."""
    said = {row[4] for row in ROWS}
    assert codes() | fail_infos() | verdicts() | obstacles() <= said
