"""Whatever stands at the ends of the program: a console without Vietnamese, a reader that leaves, nothing at all, a full disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import support_frame

TRIAL = Path(support_frame.__file__)


def process(*words: str, env: dict[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a command line in a process of its own, without a terminal."""
    return subprocess.run(
        [sys.executable, str(TRIAL), *words],
        env={**os.environ, "SAFETOK_LANG": "vi", **(env or {})},
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "cp1252"}], ids=str
)
def test_a_console_without_vietnamese_still_reads(env: dict[str, str]) -> None:
    """Where the console has no Vietnamese the marks fall away, and nothing is an exception."""
    done = process("trial", "fail", env=env)
    assert done.returncode == 8
    if env.get("PYTHONIOENCODING") != "cp1252":
        assert done.stderr.splitlines()[0] == "X Khong ket noi duoc SAFE-CA."
    shown = process("trial", "list", env=env)
    assert shown.returncode == 0
    assert "[bold]DAI PH" in shown.stdout or "ĐẠI PHÁT" in shown.stdout
    document = json.loads(process("trial", "fail", "--json", env=env).stdout)
    assert document["errors"][0]["message"] == "Không kết nối được SAFE-CA."


def test_a_reader_that_leaves_is_no_error() -> None:
    """`safetok … | head -1` ends quietly."""
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' '{TRIAL}' trial long | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["dòng", "0"]
    assert done.stderr == ""


def test_the_version_for_a_reader_that_leaves_is_no_error() -> None:
    """`safetok --version` ends 0 and says nothing when nobody reads it."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "safetok", "--version"], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_a_terminal_nothing_is_asked() -> None:
    """With stdin no terminal every question is status 11 at once, and stdin is not read."""
    done = process("trial", "ask", "--json", stdin="c\nc\n")
    document = json.loads(done.stdout)
    assert (done.returncode, document["errors"][0]["code"]) == (11, "nobody_to_ask")
    assert "Đã sẵn sàng?" in document["errors"][0]["message"]
    assert "lời dẫn" in done.stderr
    assert "lời dẫn" not in process("trial", "ask", "-q").stderr
    assert "cảnh báo" in process("trial", "ask", "-q").stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(closed: str, tmp_path: Path) -> None:
    """With any standard stream closed a command ends as it would, without a traceback."""
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m safetok contacts --json {closed}"],
        env={**os.environ, "SAFETOK_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "status"),
    [(["fail"], 8), (["partly"], 17), (["warned"], 0), (["ask"], 11), (["stop"], 130), (["nosuch"], 2)],
)
@pytest.mark.parametrize("json_too", [False, True])
def test_errors_that_cannot_be_written_leave_the_status(words: list[str], status: int, *, json_too: bool) -> None:
    """`2>/dev/full`: what cannot be said is left unsaid; the answer and the exit status are what they are."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, str(TRIAL), "trial", *words, *(["--json"] if json_too else [])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == status
    if json_too:
        assert json.loads(done.stdout)["exit_code"] == status


def test_a_log_and_errors_that_cannot_be_written_leave_the_status() -> None:
    """The remark that the log is given up cannot be said either."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, str(TRIAL), "trial", "fail", "--log-file", "/dev/full", "-v"]
        assert subprocess.run(command, stdout=full, stderr=full, check=False, timeout=60).returncode == 8


def test_ctrl_c_where_python_drops_it_comes_again() -> None:
    """Raised within a callback, as while a module is imported, it would be lost with a traceback on the screen: it is neither."""
    code = """
import os, signal, time, weakref
from safetok.cli import stops

class Thing: pass

stops.hold_back()
stops.heed()
thing = Thing()
watched = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
try:
    del thing
    time.sleep(10)
except KeyboardInterrupt:
    print("stopped")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (run.stdout, run.stderr) == ("stopped\n", "")


@pytest.mark.parametrize(("name", "kept"), [("SIGINT", False), ("SIGTERM", False), ("SIGHUP", False), ("SIGHUP", True)])
def test_a_stop_while_the_program_is_loaded_is_answered(name: str, *, kept: bool) -> None:
    """Ctrl-C in the first moments: 130 and one envelope, no traceback; one that is ignored (nohup) stops nothing."""
    script = f"""
import os, signal, sys
from safetok import __main__ as door

class Early:
    def find_spec(self, module, *_given):
        if module == "safetok.cli.app":
            os.kill(os.getpid(), signal.{name})

if {kept} or "{name}" != "SIGINT":  # whatever the tests themselves were started with
    signal.signal(signal.{name}, signal.SIG_IGN if {kept} else signal.SIG_DFL)
sys.meta_path.insert(0, Early())
sys.argv = ["safetok", "contacts", "--json"]
door.main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    document = json.loads(done.stdout)
    assert done.stderr == ""
    assert done.returncode == document["exit_code"] == (0 if kept else 130)
    assert [one["code"] for one in document["errors"]] == ([] if kept else ["interrupted"])


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], ["contacts"], ["contacts", "--json"], ["nosuch", "--json"]], ids=" ".join
)
def test_output_that_cannot_be_written_is_told(words: list[str]) -> None:
    """A full disk behind a redirection: 1 and a sentence, never a traceback."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "safetok", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
