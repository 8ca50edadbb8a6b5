"""Completion scripts for four shells, written from the command tree: static, so completing starts no process and no driver.

usage: python -m safetok.cli.completions FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from safetok.cli.completions_bash_zsh import bash, zsh
from safetok.cli.completions_fish_powershell import fish, powershell
from safetok.cli.completions_tree import tree
from safetok.cli.globals import begin


def scripts() -> dict[str, bytes]:
    """The files of the completions folder. The PowerShell one opens with a BOM: Windows PowerShell 5 reads no UTF-8 without."""
    nodes = tree()
    return {
        "safetok.bash": bash(nodes).encode(),
        "_safetok": zsh(nodes).encode(),
        "safetok.fish": fish(nodes).encode(),
        "safetok.ps1": powershell(nodes).encode("utf-8-sig"),
    }


def main() -> None:
    """Write the scripts in Vietnamese, the language of the program's users, into the folder named."""
    begin(("--lang", "vi"))
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, content in scripts().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
