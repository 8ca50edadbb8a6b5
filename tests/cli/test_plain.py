from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PLAIN = [
    [],
    ["--json"],
    ["-q"],
    ["status"],
    ["status", "--json"],
    ["--json", "status"],
    ["status", "-q", "--quiet"],
    ["status", "--check"],
    ["--non-interactive", "status", "--check", "--json", "--check"],
    ["status", "--refresh", "--json"],
    ["batch", "run", "nowhere.plan.json"],
    ["--json", "batch", "-q", "run", "nowhere.plan.json", "--jobs", "64"],
    ["batch", "run", "--jobs", "1", "--non-interactive", "nowhere.plan.json", "--json"],
]
TYPERS = [
    ["--check"],
    ["--check", "status"],
    ["status", "status"],
    ["status", "--nothing"],
    ["status", "--help"],
    ["status", "-v"],
    ["status", "-qv"],
    ["status", "--", "--json"],
    ["status", "--lang", "en"],
    ["--json", "--check", "status"],
    ["stauts"],
    ["tokens"],
    ["batch", "run"],
    ["batch", "run", "--jobs", "2"],
    ["batch", "run", "--jobs", "0", "nowhere.plan.json"],
    ["batch", "run", "--jobs", "65", "nowhere.plan.json"],
    ["batch", "run", "nowhere.plan.json", "--jobs"],
    ["batch", "run", "--jobs", "--json", "2", "nowhere.plan.json"],
    ["batch", "run", "nowhere.plan.json", "other.plan.json"],
    ["batch", "run", "nowhere.plan.json", "--rate", "5"],
    ["batch", "resume"],
]
CODE = """
import sys
from safetok.cli import app, plain
if sys.argv[1] == "typer":
    plain.plain = lambda argv: None
code = app.main(sys.argv[2:])
sys.stdout.flush()
print("typer" in sys.modules, code, file=sys.stderr)
"""


def said(way: str, argv: list[str], home: Path) -> tuple[str, str, bool]:
    """stdout, stderr and whether typer was loaded; instants and what they count are levelled."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("SAFETOK_", "SOFTHSM2_"))}
    environ |= {"SAFETOK_HOME": str(home), "SAFETOK_MODULE": "/usr/lib/softhsm/libsofthsm2.so"}
    environ["SOFTHSM2_CONF"] = str(home / "softhsm2.conf")
    done = subprocess.run(
        [sys.executable, "-c", CODE, way, *argv], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    *chatter, last = done.stderr.splitlines()
    loaded, code = last.split()
    level = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+Z]+")
    return level.sub("", done.stdout), level.sub("", "\n".join([*chatter, code])), loaded == "True"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "softhsm2.conf").write_text(
        f"directories.tokendir = {tmp_path / 'tokens'}\nobjectstore.backend = file\n"
    )
    (tmp_path / "tokens").mkdir()
    return tmp_path


@pytest.mark.parametrize("argv", PLAIN, ids=" ".join)
def test_a_plain_line_is_understood_as_typer_would(argv: list[str], home: Path) -> None:
    """The same bytes on both outputs and the same exit status as by typer, which is not loaded."""
    out, err, loaded = said("plain", argv, home)
    assert not loaded
    assert (out, err, True) == said("typer", argv, home)


@pytest.mark.parametrize("argv", TYPERS, ids=" ".join)
def test_everything_else_is_typer_s(argv: list[str], home: Path) -> None:
    """Own options before the command, unknown ones, help, values, anything twice: typer says what it is."""
    out, err, loaded = said("plain", argv, home)
    assert loaded
    assert (out, err, True) == said("typer", argv, home)
