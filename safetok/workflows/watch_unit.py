"""How the operating system starts `safetok watch` at log-in: the file or command for systemd, launchd or Windows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.knowledge.facts import System

LABEL = "safetok-watch"
KEPT = ("SAFETOK_HOME", "SAFETOK_MODULE", "SAFETOK_LANG", "SOFTHSM2_CONF")  # what decides which tokens and which state


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """`text` goes into `file` (empty where there is none); `commands` start it, now and at every log-in."""

    system: System
    file: str
    text: str
    commands: tuple[str, ...]
    remark: str

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {"system": self.system, "file": self.file or None, "text": self.text, "commands": self.commands}


def program() -> tuple[str, ...]:
    """How this very safetok is started."""
    beside = Path(sys.executable).with_name("safetok.exe" if os.name == "nt" else "safetok")
    found = str(beside) if beside.is_file() else shutil.which("safetok")
    return (found,) if found else (sys.executable, "-m", "safetok")


def unit(system: System, environ: Mapping[str, str], *, command: Sequence[str], words: Sequence[str]) -> Unit:
    """The unit that runs `command` with `words` in an environment that names the same settings and driver as this one."""
    env = {name: environ[name] for name in KEPT if environ.get(name)}
    makers = {"linux": _systemd, "macos": _launchd, "windows": _windows}
    return makers[system]([*command, *words], env)


def _systemd(words: list[str], env: Mapping[str, str]) -> Unit:
    r"""systemd.service(5): a word in double quotes; `%` and `$` are doubled, `\\` and `"` escaped."""

    def quoted(text: str, *, dollar: bool = True) -> str:
        text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
        return f'"{text.replace("$", "$$") if dollar else text}"'

    lines = [
        "[Unit]",
        "Description=safetok watch",
        "",
        "[Service]",
        *(f"Environment={quoted(f'{name}={value}', dollar=False)}" for name, value in env.items()),
        f"ExecStart={' '.join(quoted(word) for word in words)}",
        "Restart=on-failure",
        "RestartSec=30",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ]
    return Unit(
        system="linux",
        file=f"~/.config/systemd/user/{LABEL}.service",
        text="\n".join(lines),
        commands=("systemctl --user daemon-reload", f"systemctl --user enable --now {LABEL}"),
        remark=_("What it announces is read with: journalctl --user -f -u {name}").format(name=LABEL),
    )


def _launchd(words: list[str], env: Mapping[str, str]) -> Unit:
    """launchd.plist(5)."""
    import plistlib

    about: dict[str, Any] = {
        "Label": LABEL,
        "ProgramArguments": words,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "StandardOutPath": str(Path.home() / "Library" / "Logs" / f"{LABEL}.log"),
        "StandardErrorPath": str(Path.home() / "Library" / "Logs" / f"{LABEL}.log"),
    }
    if env:
        about["EnvironmentVariables"] = dict(env)
    file = f"~/Library/LaunchAgents/{LABEL}.plist"
    return Unit(
        system="macos",
        file=file,
        text=plistlib.dumps(about).decode(),
        commands=(f"launchctl bootstrap gui/$(id -u) {file}",),
        remark=_("What it announces is read with: tail -f {file}").format(file=f"~/Library/Logs/{LABEL}.log"),
    )


def _word(word: str) -> str:
    """In quotes where cmd.exe would read it as more than one word, or as more than one command."""
    told = subprocess.list2cmdline([word])
    return f'"{told}"' if told[:1] != '"' and any(letter in told for letter in "&|<>^()@,;=") else told


def _windows(words: list[str], env: Mapping[str, str]) -> Unit:
    """A start script in the user's own start-up folder: a console window that shows what is announced."""
    lines = [
        "@echo off",
        "chcp 65001 >nul",
        *(f'set "{name}={value.replace("%", "%%")}"' for name, value in env.items()),
        " ".join(_word(word) for word in words).replace("%", "%%"),
        "",
    ]
    file = rf"%APPDATA%\Microsoft\Windows\Start Menu\Programs\Startup\{LABEL}.cmd"
    return Unit(
        system="windows",
        file=file,
        text="\r\n".join(lines),
        commands=(f'"{file}"',),
        remark=_("What it announces is shown in its window; closing the window ends it."),
    )
