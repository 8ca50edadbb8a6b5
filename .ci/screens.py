"""Captures the screens a person sees, each as SVG and as PNG, at 80 and at 160 columns, to be looked at.

usage: .venv/bin/python .ci/screens.py FOLDER [NAME...]      (needs what `sh .ci/install dev` installs, chromium among it)
"""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from pictures import SAFETOK, Sandbox, picture, sandbox_up, terminal

from safetok.cli.text import visible

WIDTHS = (80, 160)
LEAST = 300  # a lower window shows less than it is asked for
RENEWING = ((r"\[c/K\]", "c"), (r"không\s+hiện\):", "{pin}"), (r"\[c/K\]", "c"), (r"để\s+dừng:", "{day}"))
Answers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Screen:
    """One command to capture; what is typed into it, what its environment has beside the sandbox's, and what runs unseen before."""

    name: str
    command: str
    answers: Answers = ()
    environ: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()


HOSTILE = "[bold red]A[/] \x1b[2J; =cmd()|'x'!A1 \u202elanh\u202c <script>alert(1)</script>"
# In this order: each screen sees what the ones before it left behind. `{v2-owed}` is the Token ID of that story.
SCREENS = (
    Screen("first-look", "safetok status"),
    Screen("status-many", "safetok status", before=("safetok status --refresh",)),
    Screen("bare", "safetok"),
    Screen("status-ascii", "safetok status", environ={"LC_ALL": "C"}),
    Screen("status-no-color", "safetok status", environ={"NO_COLOR": "1"}),
    Screen("remind-nothing", "safetok agencies remind"),
    Screen("renew", "safetok renew --serial {v2-owed}", answers=RENEWING),
    Screen("list-fresh", "safetok agencies list"),
    Screen("when", 'safetok agencies when --need "{soon}"'),
    Screen("done", 'safetok agencies done vnaccs etax:khai ixhd@"{yesterday}"'),
    Screen(
        "remind",
        "safetok agencies remind",
        before=("safetok agencies done tvan", "safetok agencies accepted tvan", "safetok agencies skip v5"),
    ),
    Screen("list", "safetok agencies list"),
    Screen("reject", 'safetok agencies reject ixhd --reason "{hostile}"'),
    Screen("add", 'safetok agencies add misa --title "Hóa đơn MISA {hostile}" --invoice --url https://meinvoice.vn'),
    Screen("list-hostile", "safetok agencies list"),
    Screen("hooks", "safetok agencies hooks"),
    Screen("unit", "safetok agencies remind --unit"),
    Screen("sheet", "safetok agencies list --xlsx {file}"),
    Screen("import", "safetok agencies import {file}"),
    Screen("import-bad", "safetok agencies import /etc/hostname"),
    Screen("ics", "safetok agencies remind --ics {folder}/lich.ics"),
    Screen("export-text", "safetok export --text --mst {mst}"),
    Screen("export-kit", "safetok export --kit {folder}/bo-ho-so --mst {mst}"),
    Screen("certs-check", "safetok certs check {v2-owed} {suspended} {revoked} {expired-owed} khong-co.cer"),
    Screen("history", "safetok history"),
    Screen("adopt", "safetok certs adopt", answers=((r"\[C/k\]", "c"),)),
    Screen("renew-v1", "safetok renew --serial {v1-owed}", answers=RENEWING),
    Screen("renew-beyond", "safetok renew --serial {beyond-ca-end}", answers=RENEWING),
    Screen("renew-ec", "safetok renew --serial {ec-owed}", answers=RENEWING),
    Screen("remind-many", "safetok agencies remind"),
    Screen("when-many", 'safetok agencies when vnaccs --need "{soon}"'),
    Screen("overdue", "safetok agencies list --overdue 1m"),
    Screen("status-after", "safetok status"),
    Screen("remind-ascii", "safetok agencies remind", environ={"LC_ALL": "C"}),
    Screen("remind-english", "safetok agencies remind", environ={"SAFETOK_LANG": "en"}),
    Screen("status-english", "safetok status", environ={"SAFETOK_LANG": "en"}),
)


def words_of(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    """What the fields of a command stand for."""
    from datetime import timedelta

    from safetok.domain.times import VIETNAM, system_clock

    now = system_clock().astimezone(VIETNAM)
    owed = sandbox.tokens["v2-owed"]
    return {
        **{story: token["serial"] for story, token in sandbox.tokens.items()},
        "soon": f"{now + timedelta(hours=30):%d/%m %H:%M}",
        "yesterday": f"{now - timedelta(hours=25):%d/%m %H:%M}",
        "hostile": HOSTILE,
        "file": str(folder / "viec.xlsx"),
        "folder": str(folder),
        "mst": owed.get("mst", "0199900025"),
    }


def filled(text: str, words: dict[str, str]) -> str:
    """`text` with its fields filled in; a brace that names no field stays."""
    return re.sub(r"\{([\w-]+)\}", lambda found: words.get(found[1], found[0]), text)


def spoken(command: str, words: dict[str, str]) -> list[str]:
    """The words of a command; fields are filled in after it was taken apart, so that what they hold needs no quotes."""
    return [SAFETOK, *(filled(word, words) for word in shlex.split(command)[1:])]


def photograph(folder: Path, name: str, width: int) -> None:
    """The PNG beside an SVG, as Chromium shows it."""
    svg = folder / f"{name}-{width}.svg"
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg.read_text("utf-8"))
    assert box is not None
    wide, high = (round(float(side)) for side in box.groups())
    with tempfile.TemporaryDirectory() as profile:
        page = Path(profile) / "page.html"  # a picture alone would be shrunk to a window's least height
        page.write_text(f'<body style="margin:0"><img src="{svg.as_uri()}" width="{wide}" height="{high}">', "utf-8")
        subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
                *(
                    f"--user-data-dir={profile}",
                    f"--window-size={wide},{max(high, LEAST)}",
                    "--default-background-color=00000000",
                ),
                f"--screenshot={svg.with_suffix('.png')}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )


def capture(folder: Path, width: int, wanted: set[str]) -> None:
    """Every screen at one width, in a sandbox of its own; pictures only of those wanted (all where none is named)."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        sandbox = sandbox_up(Path(place))
        words = words_of(sandbox, Path(place))
        contract = {token["serial"]: token for token in sandbox.tokens.values()}
        try:
            for screen in SCREENS:
                environ = sandbox.environ | screen.environ
                for unseen in screen.before:
                    subprocess.run(spoken(unseen, words), env=environ, check=False, capture_output=True)
                command = spoken(screen.command, words)
                token = contract.get(command[-1], {})
                secret = {
                    "pin": token.get("pin", ""),
                    "day": "/".join(reversed((token.get("contract_end") or "").split("-"))),
                }
                answers = [(pattern, filled(answer, secret)) for pattern, answer in screen.answers]
                shown = terminal(command, environ, width, answers)
                if wanted and screen.name not in wanted:
                    continue
                told = visible(shlex.join(["safetok", *command[1:]]).replace(place, "/home/ke-toan"))
                picture(screen.name, told, shown.replace(place, "/home/ke-toan"), width, folder)
                photograph(folder, screen.name, width)
        finally:
            with contextlib.suppress(OSError):
                subprocess.run(
                    [SAFETOK, "sandbox", "down"], env=sandbox.environ, check=False, stdout=subprocess.DEVNULL
                )


def main(arguments: list[str]) -> int:
    """Captures to the folder named; 0, or 2 without one."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        capture(folder, width, set(arguments[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
