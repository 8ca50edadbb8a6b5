from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_night_with_kills_and_broken_rows_renews_each_good_token_once() -> None:
    """Killed with and without its workers, a CA that is busy, ten broken rows: every good row once, every other by its reason."""
    script = Path(__file__).with_name("fleet_night.py")
    done = subprocess.run(
        [sys.executable, str(script), "--tokens", "8", "--kills", "2", "--busy", "1"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    told = json.loads(done.stdout)
    assert told["wrong"] == []
    assert (told["issued"], told["states"]["done"], sum(told["broken"].values())) == (8, 8, 10)
    assert [kill["how"] for kill in told["killed"]] == ["alone", "both"]
    assert done.returncode == 0
