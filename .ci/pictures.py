"""Makes README's pictures: the real commands, run in the sandbox under a terminal of 80 and of 120 columns, as SVG by rich.

usage: .venv/bin/python .ci/pictures.py      (needs what `sh .ci/install dev` installs; writes .ci/pictures/*.svg)
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from dataclasses import dataclass
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

PICTURES = Path(__file__).resolve().parent / "pictures"
SAFETOK = str(Path(sys.executable).with_name("safetok"))
WIDTHS = (80, 120)
# a picture in a page loads no font: take those a system has
LOOK = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code", "Noto Sans Mono, DejaVu Sans Mono, Menlo, Consolas"
)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One sandbox: the environment its own `--env` prints, and its tokens as `--json` tells them, by story."""

    environ: dict[str, str]
    tokens: dict[str, dict[str, str]]


def sandbox_up(folder: Path) -> Sandbox:
    """A sandbox that lives in `folder`; raises CalledProcessError."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "SAFETOK_HOME": str(folder / "safetok"),
    }

    def up(flag: str) -> str:
        return subprocess.run(
            [SAFETOK, "sandbox", "up", flag], env=environ, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    told = json.loads(up("--json"))["data"]
    environ |= dict(
        word.split("=", 1) for line in up("--env").splitlines() for word in shlex.split(line) if "=" in word
    )
    return Sandbox(environ, {token["story"]: token for token in told["tokens"]})


def terminal(command: list[str], environ: dict[str, str], width: int, answers: list[tuple[str, str]]) -> str:
    """What `command` shows on a terminal of `width` columns. Each answer is typed once its prompt's pattern appears."""
    pid, master = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        os.execvpe(command[0], command, environ)  # noqa: S606  (this is the child of a fork)
    shown, seen, waiting = b"", 0, list(answers)
    with contextlib.suppress(OSError):  # Linux ends a terminal whose last user left with EIO
        while select.select([master], [], [], 120)[0] and (read := os.read(master, 65536)):
            shown += read
            if waiting and re.search(waiting[0][0], shown[seen:].decode(errors="replace")):
                seen = len(shown)
                os.write(master, f"{waiting.pop(0)[1]}\n".encode())
    os.close(master)
    os.waitpid(pid, 0)
    return shown.decode().replace("\r\n", "\n")


def picture(name: str, command: str, shown: str, width: int, folder: Path = PICTURES) -> None:
    """One SVG of a terminal's output in `folder`, with the command that made it above."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text(f"$ {command}", style="bold"))
    colours_only = re.sub(r"\x1b\[[0-9;?]*[A-Za-ln-z]|\x1b\][^\x07]*\x07", "", shown)
    for line in Text.from_ansi(colours_only).split("\n", allow_blank=False):
        for row in line.divide(range(width, len(line), width)):  # a terminal breaks anywhere, not between words
            console.print(row, no_wrap=True)
    folder.mkdir(exist_ok=True)
    svg = console.export_svg(title="safetok", theme=DIMMED_MONOKAI, code_format=LOOK, unique_id=f"{name}-{width}")
    # each line is clipped to its own height, which takes the upper marks off Ổ and Ẩ and, on the last one, the foot of g
    svg = re.sub(r' clip-path="url\(#[\w-]+-(line-\d+|clip-terminal)\)"', "", svg)
    (folder / f"{name}-{width}.svg").write_text(svg, encoding="utf-8")


def draw(width: int) -> None:
    """All pictures of one width, in a sandbox of their own."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        sandbox = sandbox_up(Path(folder))
        owed = sandbox.tokens["v2-owed"]

        def show(name: str, command: str, *answers: tuple[str, str]) -> None:
            words = [SAFETOK, *shlex.split(command)[1:]]
            shown = terminal(words, sandbox.environ, width, list(answers))
            picture(name, command, shown.replace(folder, "/home/ke-toan"), width)

        try:
            refresh = [SAFETOK, "status", "--refresh"]
            subprocess.run(refresh, env=sandbox.environ, check=False, capture_output=True)  # 13: one is revoked
            show("status", "safetok status")
            day = "/".join(reversed(owed["contract_end"].split("-")))
            show(
                "renew",
                f"safetok renew --serial {owed['serial']}",
                (r"\[c/K\]", "c"),
                (r"không\s+hiện\):", owed["pin"]),
                (r"\[c/K\]", "c"),
                (r"để\s+dừng:", day),
            )
            for command in (["done", "etax"], ["done", "vnaccs"], ["accepted", "etax"]):
                subprocess.run(
                    [SAFETOK, "agencies", *command, "--serial", owed["serial"]],
                    env=sandbox.environ,
                    check=True,
                    capture_output=True,
                )
            show("remind", "safetok agencies remind")
        finally:
            subprocess.run([SAFETOK, "sandbox", "down"], env=sandbox.environ, check=False, stdout=subprocess.DEVNULL)


def main() -> int:
    """Draws every picture anew; 0."""
    for width in WIDTHS:
        draw(width)
    return 0


if __name__ == "__main__":
    sys.exit(main())
