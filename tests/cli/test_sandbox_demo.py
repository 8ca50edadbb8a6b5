from __future__ import annotations

import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest
from support_cli import Cli


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="safetok-demo-test-", dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_the_demo_plays_to_its_end_and_leaves_nothing(temporary: Path) -> None:
    """Every step ends with 0, each command is shown, and neither a file nor the CA is left. On a console without Vietnamese the
    commands' own words lose their marks, too.
    """
    said = Cli({"TMPDIR": str(temporary), "LC_ALL": "C"})("sandbox", "demo", timeout=300)
    assert said.status == 0, said.out + said.err
    assert "HOAN TAT CAP BU" in said.out
    assert said.out.isascii()
    for command in (
        "sandbox up",
        "tokens",
        "status",
        "renew",
        "agencies list",
        "agencies done",
        "agencies remind",
        "export",
    ):
        assert f"safetok {command}" in said.out
    assert list(temporary.iterdir()) == []


def test_other_programs_find_what_the_demo_renewed(temporary: Path) -> None:
    """pkcs11-tool sees two certificates on each renewed token, and the CA's ledger has both new serials confirmed."""
    said = Cli({"TMPDIR": str(temporary)}).json("sandbox", "demo", "--keep", timeout=300)
    assert said.status == 0, said.out + said.err
    inside = Cli(said.data["environment"])
    try:
        tokens = {token["story"]: token for token in inside.json("sandbox", "up").data["tokens"]}
        with urllib.request.urlopen(f"{inside.json('sandbox', 'up').data['ca_url']}/ledger", timeout=10) as answer:
            ledger = answer.read().decode()
        for story in ("v1-owed", "v2-owed"):
            listed = subprocess.run(
                [
                    "pkcs11-tool", "--module", said.data["environment"]["SAFETOK_MODULE"], "--token-label",
                    tokens[story]["label"], "-O", "--type", "cert",
                ],
                env=inside.environment(), capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            serials = [line.split()[-1] for line in listed.splitlines() if line.strip().startswith("serial:")]
            assert len(serials) == 2
            assert sum(f'"serial": "{serial}"' in ledger for serial in serials) == 1
        assert ledger.count('"confirmed"') == 2
    finally:
        assert inside("sandbox", "down").status == 0
