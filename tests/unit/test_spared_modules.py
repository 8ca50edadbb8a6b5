"""What a short command leaves unloaded: nothing, until something of it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from safetok.__main__ import _Spared


@pytest.fixture
def spared(monkeypatch: pytest.MonkeyPatch) -> _Spared:
    """`colorsys`, which nothing else here imports, spared."""
    made = _Spared("colorsys")
    monkeypatch.setitem(sys.modules, "colorsys", made)
    return made


def test_a_spared_module_is_the_real_one_as_soon_as_it_is_used(spared: _Spared) -> None:
    """An import alone loads nothing; a look into it does, and what it has not is no attribute as ever."""
    import colorsys

    assert colorsys is spared
    assert "rgb_to_hsv" not in vars(spared)
    assert colorsys.rgb_to_hsv(1, 0, 0) == (0, 1, 1)
    assert sys.modules["colorsys"] is not spared
    assert sys.modules["colorsys"].rgb_to_hsv is colorsys.rgb_to_hsv
    assert not hasattr(colorsys, "no_such_thing")


def test_threads_that_ask_at_once_all_get_it(spared: _Spared) -> None:
    """Whoever comes second waits for the first."""
    begin, got = threading.Barrier(8), []

    def ask() -> None:
        begin.wait()
        got.append(spared.hsv_to_rgb)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len({*got}) == 1


def test_status_does_without_inspect(tmp_path: Path) -> None:
    """`safetok status` comes to its answer and never asks for it; from Python 3.12 on `dataclasses` does."""
    driver = tmp_path / "driver.so"
    driver.write_bytes(b"no driver")
    code = (
        "import atexit, sys; from safetok.__main__ import main; sys.argv = ['safetok', 'status', '--json']\n"
        "atexit.register(lambda: print(type(sys.modules['inspect']).__name__, file=sys.stderr)); main()"
    )
    env = {**os.environ, "SAFETOK_HOME": str(tmp_path / "home"), "SAFETOK_MODULE": str(driver)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["exit_code"] == done.returncode == 17, done.stderr
    assert done.stderr.splitlines()[-1] == ("_Spared" if sys.version_info < (3, 12) else "module")
