"""Merges the Vietnamese catalogue fragments into the one compiled catalogue, and lists what has no Vietnamese yet.

usage: python .ci/messages.py [--check]     (--check writes nothing and fails when the compiled file is not current or not complete)
"""

from __future__ import annotations

import ast
import io
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

PACKAGE = Path(__file__).resolve().parent.parent / "safetok"
VIETNAMESE = PACKAGE / "locale" / "vi"
SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)  # the same file whenever it is made
COMPILED = VIETNAMESE / "LC_MESSAGES" / "safetok.mo"


def merged() -> tuple[Catalog, list[str]]:
    """One catalogue of all fragments, and what is wrong with them."""
    catalogue, wrong = Catalog(locale="vi"), []
    for fragment in sorted(VIETNAMESE.glob("*.po")):
        with fragment.open("rb") as file:
            for message in read_po(file, locale="vi"):
                if not message.id or not message.string:
                    continue
                earlier = catalogue.get(message.id)
                if earlier is not None and earlier.string != message.string:
                    wrong.append(f"{fragment.name}: another Vietnamese stands elsewhere for {message.id!r}")
                catalogue.add(message.id, message.string)
    return catalogue, wrong


def used() -> dict[str, str]:
    """Every message id in the code, with the place it stands at."""
    found: dict[str, str] = {}
    for name, line, message, _comments, _context in extract_from_dir(
        PACKAGE, [("**.html", "jinja2")], keywords={"_": None}
    ):
        found.setdefault(message if isinstance(message, str) else message[0], f"{name}:{line}")
    for file in sorted(PACKAGE.rglob("*.py")):
        for message, line in called(file.read_text("utf-8")):
            found.setdefault(message, f"{file.relative_to(PACKAGE)}:{line}")
    return found


def called(source: str) -> list[tuple[str, int]]:
    """The message ids of Python source with their lines: by its syntax tree, for Babel sees none inside an f-string."""
    return [
        (node.args[0].value, node.lineno)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"_", "later"}
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


def main() -> int:
    """1 when `--check` found something, else 0."""
    catalogue, wrong = merged()
    wrong += [
        f"{place}: no Vietnamese for {message!r}" for message, place in used().items() if message not in catalogue
    ]
    buffer = io.BytesIO()
    catalogue.creation_date = catalogue.revision_date = SOME_DAY
    write_mo(buffer, catalogue)
    if "--check" in sys.argv:
        if not COMPILED.exists() or COMPILED.read_bytes() != buffer.getvalue():
            wrong.append("the compiled catalogue is not current: run python .ci/messages.py")
    else:
        COMPILED.parent.mkdir(parents=True, exist_ok=True)
        COMPILED.write_bytes(buffer.getvalue())
    print("\n".join(wrong), file=sys.stderr)
    return 1 if "--check" in sys.argv and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
