"""The door: the shortest way to an answer, before anything is imported that the command does not need."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process and exit with its status."""
    argv = sys.argv[1:]
    if argv == ["--version"]:
        from safetok import __version__

        print(f"safetok {__version__}")  # noqa: T201  (nothing else is loaded for this)
        return
    from safetok.cli.app import main as run

    sys.exit(run(argv))


if __name__ == "__main__":
    main()
