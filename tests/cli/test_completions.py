from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from safetok.cli import completions
from safetok.cli.globals import begin
from safetok.locale import set_language

FOLDER = Path(__file__).parents[2] / "completions"


@pytest.fixture(scope="module")
def written() -> Iterator[dict[str, bytes]]:
    """What the program writes now."""
    begin(("--lang", "vi"))
    yield completions.scripts()
    set_language(None)


@pytest.fixture
def sealed(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH holds no program but a `safetok` that leaves a trace when it is started."""
    trap = tmp_path / "bin" / "safetok"
    trap.parent.mkdir()
    trap.write_text(f"#!/bin/sh\necho started > '{tmp_path}/started'\n", "ascii")
    trap.chmod(0o755)
    return {"PATH": str(trap.parent), "HOME": str(tmp_path), "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def program(name: str) -> str:
    """Where a shell is; the tests need it, and say so."""
    found = shutil.which(name)
    assert found, f"{name} is not installed"
    return found


def bash(line: str, env: dict[str, str]) -> set[str]:
    """What bash offers after `line`, its last word being completed."""
    words = line.split(" ")
    script = (
        f"source '{FOLDER}/safetok.bash'; COMP_WORDS=({' '.join(repr(word) for word in words)}); "
        f'COMP_CWORD={len(words) - 1}; _safetok; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(
        [program("bash"), "--norc", "-c", script], env=env, capture_output=True, text=True, check=True, timeout=30
    )
    return set(done.stdout.split())


def fish(line: str, env: dict[str, str]) -> set[str]:
    """What fish offers after `line`."""
    done = subprocess.run(
        [program("fish"), "--no-config", "-c", f"source '{FOLDER}/safetok.fish'; complete -C '{line}'"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return {row.split("\t")[0] for row in done.stdout.splitlines()}


def zsh(line: str, offered: set[str], env: dict[str, str]) -> str:
    """Type `line` and a tab into an interactive zsh, twice (the first time is another way), until all of `offered` is listed;
    returns what was missing, empty when nothing was.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(program("zsh"), ["zsh", "-f", "-i"], env)  # noqa: S606
    try:
        begun = f"fpath=('{FOLDER}' $fpath); autoload -Uz compinit; compinit -D -u; PS1=''; print ready$((1 + 1))\n"
        missing = [
            _type(terminal, begun, {"ready2"}),
            _type(terminal, f"{line}\t", offered),
            _type(terminal, f"\x15: next$((1 + 1))\r{line}\t", offered),
        ]
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return " ".join(word for words in missing for word in words)


def _type(terminal: int, text: str, wanted: set[str]) -> set[str]:
    """Type, and read until every wanted word was said; returns those that were not within ten seconds."""
    os.write(terminal, text.encode())
    said, end = b"", time.monotonic() + 10
    while wanted - set(said.decode("utf-8", "replace").split()) and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                said += os.read(terminal, 65536)
            except OSError:
                break
    return wanted - set(said.decode("utf-8", "replace").split())


def test_the_scripts_are_current(written: dict[str, bytes]) -> None:
    """completions/ holds what the program would write now."""
    stale = [name for name, content in written.items() if (FOLDER / name).read_bytes() != content]
    assert stale == [], f"run: {sys.executable} -m safetok.cli.completions completions"
    assert {path.name for path in FOLDER.iterdir()} == {*written}


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("safetok.bash", ["bash", "-n"]),
        ("_safetok", ["zsh", "-n"]),
        ("safetok.fish", ["fish", "--no-execute"]),
    ],
)
def test_the_shell_itself_accepts_its_script(shell: str, words: list[str]) -> None:
    """Each script passes its own shell's syntax check."""
    done = subprocess.run([*words, str(FOLDER / shell)], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


OFFERS = [
    ("safetok t", {"tokens"}),
    ("safetok tokens ", {"list", "note", "set-kind"}),
    ("safetok --json agencies a", {"accepted", "add"}),
    ("safetok contacts l", {"lcs-ca"}),
    ("safetok --lang ", {"vi", "en"}),
    ("safetok --lang en sandbox d", {"demo", "down"}),
    ("safetok renew --conf", {"--confirm-contract-end"}),
    ("safetok agencies done v", {"vnaccs", "v5"}),
    ("safetok agencies skip tvan e", {"etax"}),
    ("safetok export --hthuc ", {"1", "2", "3"}),
    ("safetok dossier start --case r", {"revoked"}),
    ("safetok dossier record s", {"suspended"}),
    ("safetok dossier uploaded l", {"licence"}),
]


@pytest.mark.parametrize("shell", [bash, fish], ids=["bash", "fish"])
@pytest.mark.parametrize(("line", "offered"), OFFERS, ids=[line for line, _offered in OFFERS])
def test_completing_offers_what_follows_and_starts_nothing(
    shell: object, line: str, offered: set[str], sealed: dict[str, str], tmp_path: Path
) -> None:
    """bash and fish offer exactly what may follow, with no program in reach, and start none."""
    assert shell(line, sealed) == offered  # type: ignore[operator]
    assert not (tmp_path / "started").exists()


def test_zsh_offers_what_follows_and_starts_nothing(sealed: dict[str, str], tmp_path: Path) -> None:
    """zsh offers a group's commands and the options of every command, also the second time."""
    assert zsh("safetok tokens ", {"list", "note", "set-kind"}, sealed) == ""
    assert zsh("safetok agencies done v", {"vnaccs", "v5"}, sealed) == ""
    assert zsh("safetok agencies done tvan v", {"vnaccs", "v5"}, sealed) == ""
    assert zsh("safetok dossier start --case ", {"papers-missing", "suspended", "revoked"}, sealed) == ""
    assert zsh("safetok --l", {"--lang", "--log-file"}, sealed) == ""
    assert not (tmp_path / "started").exists()


def test_completing_knows_a_value_from_a_command(sealed: dict[str, str]) -> None:
    """The word after an option that takes a value is not taken for a command, and no value is offered where none is known."""
    assert bash("safetok --timeout tokens s", sealed) >= {"status", "sandbox"}
    assert bash("safetok --timeout ", sealed) == set()
    assert bash("safetok --lang = e", sealed) == {"en"}


def test_powershell_reads_the_script_as_utf8(written: dict[str, bytes]) -> None:
    """The PowerShell script opens with a byte-order mark, without which Windows PowerShell 5 garbles Vietnamese."""
    text = written["safetok.ps1"].decode("utf-8")
    assert text.startswith("\ufeff")
    assert text.count("{") == text.count("}")
    assert text.count("@(") <= text.count(")")
