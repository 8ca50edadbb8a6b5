from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_only_our_errors_come_out_of_any_decoder() -> None:
    """20,000 mutations of what a CA sends: an answer or errors of ours, and they alone reach 95 % of the decoders' lines."""
    script = Path(__file__).with_name("fuzz.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["foreign"] == []
    assert told["mutations"] >= 20_000
    assert len(told["unreached"]) <= 0.05 * told["lines"], told["unreached"]
