"""What a short command leaves unloaded: nothing, until something of it is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from safetok.sparing import Spared


@pytest.fixture
def spared(monkeypatch: pytest.MonkeyPatch) -> Spared:
    """`colorsys`, which nothing else here imports, spared."""
    made = Spared("colorsys")
    monkeypatch.setitem(sys.modules, "colorsys", made)
    return made


def test_a_spared_module_is_the_real_one_as_soon_as_it_is_used(spared: Spared) -> None:
    """An import alone loads nothing; a look into it does, and what it has not is no attribute as ever."""
    import colorsys

    assert colorsys is spared
    assert "rgb_to_hsv" not in vars(spared)
    assert colorsys.rgb_to_hsv(1, 0, 0) == (0, 1, 1)
    assert sys.modules["colorsys"] is not spared
    assert sys.modules["colorsys"].rgb_to_hsv is colorsys.rgb_to_hsv
    assert not hasattr(colorsys, "no_such_thing")


def test_threads_that_ask_at_once_all_get_it(spared: Spared) -> None:
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
    assert done.stderr.splitlines()[-1] == ("Spared" if sys.version_info < (3, 12) else "module")


def _told(code: str) -> str:
    """What a new process prints that has spared what a command spares."""
    begin = "from safetok.sparing import spare; spare(); import sys\n"
    done = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_urllib3_and_cryptography_import_in_vain_is_left_until_it_is_asked_for() -> None:
    """Neither needs it for anything a command does; whoever asks (keyring looks for back ends) gets the real one."""
    code = (
        "import urllib3, cryptography.x509, cryptography.hazmat.primitives.serialization\n"
        "assert 'zipfile' not in sys.modules\n"
        "assert sys.version_info >= (3, 12) or 'ast' not in sys.modules\n"
        "import importlib.metadata\n"
        "assert importlib.metadata.version('urllib3') == urllib3.__version__\n"
        "assert importlib.metadata is sys.modules['importlib.metadata']\n"
        "assert importlib.metadata.entry_points(group='keyring.backends') is not None\n"
        "from importlib.metadata import PackageNotFoundError, version\n"
        "try:\n    version('no-such-thing')\nexcept PackageNotFoundError:\n    print('not found')\n"
        "import inspect\nprint(inspect.signature(lambda a, b=1: 0))\n"
        "import dataclasses\nprint(dataclasses.make_dataclass('A', ['x'])(1).x)\n"
    )
    assert _told(code) == "not found\n(a, b=1)\n1\n"


def test_the_patterns_of_libraries_work_as_if_they_had_been_compiled() -> None:
    """Addresses of every kind, names in RFC 4514's form; a source line in a traceback; and `re.compile` is left as it was."""
    code = (
        "import re, traceback\nbefore = re.compile\n"
        "from urllib3.util import parse_url, url\nfrom cryptography import x509\n"
        "from cryptography.x509 import name\n"
        "assert re.compile is before and isinstance(re.compile('a'), re.Pattern)\n"
        "for text in ('http://[fe80::1%25eth0]:80/a%zz?b#c', 'HTTPS://u:p@Ví-dụ.vn/', 'http://1.2.3.4:5/'):\n"
        "    try:\n        print(parse_url(text).url)\n    except Exception as error:\n        print(type(error).__name__)\n"
        "print(x509.Name.from_rfc4514_string('CN=A\\\\, B+O=#0c0141,C=VN').rfc4514_string())\n"
        "try:\n    x509.Name.from_rfc4514_string('=')\nexcept ValueError:\n"
        "    print('raise ValueError' in traceback.format_exc() or 'from_rfc4514' in traceback.format_exc())\n"
        "print(url._IPV4_RE.pattern == url._IPV4_RE.pattern, bool(url._IPV4_RE.match('1.2.3.4')), url.__spec__.name)\n"
        "print(type(name._RFC4514NameParser._OID_RE).__name__)\n"
    )
    plain = subprocess.run([sys.executable, "-c", "import sys\n" + code], capture_output=True, text=True, check=False)
    assert plain.returncode == 0, plain.stderr
    *same, kind = _told(code).splitlines()
    assert same == plain.stdout.splitlines()[:-1]
    assert (kind, plain.stdout.splitlines()[-1]) == ("_Pattern", "Pattern"), "nobody has been spared anything"
