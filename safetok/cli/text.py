"""How text reaches a console: untrusted characters made visible, and Vietnamese marks dropped where the console has none."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TextIO, cast

# C0 and C1 controls, lone surrogates, and everything that moves, hides or turns text around it.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_ASCII = str.maketrans(
    {
        "đ": "d",
        "Đ": "D",
        "–": "-",
        "—": "-",
        "→": "->",
        "·": "-",
        "•": "*",
        "…": "...",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
        "✓": "OK",
        "✗": "X",
        "»": ">",
        "≥": ">=",
        "≤": "<=",
        "\u00a0": " ",
    }
)
_ERRORS = "safetok_marks_fall_away"


def visible(text: str, *, lines: bool = False) -> str:
    """`text` with control, direction and zero-width characters written out (as hex escapes); line breaks stay only with `lines`."""
    if not _UNSAFE.search(text):
        return text

    def name(found: re.Match[str]) -> str:
        character = found[0]
        if lines and character == "\n":
            return character
        code = ord(character)
        short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
        return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")  # noqa: PLR2004

    return _UNSAFE.sub(name, text)


def without_marks(text: str) -> str:
    """`text` in ASCII that a Vietnamese reader still reads: "Đã cập nhật" becomes "Da cap nhat"."""
    import unicodedata

    plain = unicodedata.normalize("NFD", text.translate(_ASCII))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return plain.translate(_ASCII).encode("ascii", "replace").decode("ascii")


def _fall_away(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return without_marks(error.object[error.start : error.end]), error.end


def prepare(stream: TextIO | None) -> None:
    """Make writing to `stream` never fail for want of a character, and plain ASCII where the locale asked for (LC_ALL=C)."""
    if stream is None or not hasattr(stream, "reconfigure"):
        return
    codecs.register_error(_ERRORS, _fall_away)
    asked = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE")
    ascii_only = asked in {"C", "POSIX"} and "PYTHONIOENCODING" not in os.environ
    stream.reconfigure(encoding="ascii" if ascii_only else None, errors=_ERRORS)


@contextmanager
def unheard() -> Iterator[None]:
    """What cannot be said on stderr (a full disk, a reader that has gone, a terminal that was closed) is left unsaid: the answer
    and the exit status stand.
    """
    try:
        yield
    except OSError:
        to_nowhere(sys.stderr)


def to_nowhere(stream: TextIO) -> None:
    """What is still on its way there would be complained of once more at the end, and make the exit status."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def fitted(text: str, stream: TextIO) -> str:
    """`text` as `stream` will show it, so that columns can be measured."""
    if text.isascii():
        return text
    encoding = getattr(stream, "encoding", None) or "utf-8"
    codecs.register_error(_ERRORS, _fall_away)
    return text.encode(encoding, _ERRORS).decode(encoding)


def speaks_unicode(stream: TextIO) -> bool:
    """Whether `stream` can carry any character."""
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-").startswith("utf")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at `stream`."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def quoted(path: object) -> str:
    """A path as it is typed into a shell: in quotes where a bare one would be several words or something else."""
    text = str(path)
    if not re.search(r"[\s\"'`$&|;<>()*?\[\]{}!#~\\]", text):
        return text
    if os.name == "nt":
        return f'"{text}"' if re.search(r"[\s&|;<>()\[\]{}`$!#~']", text) else text
    import shlex

    return shlex.quote(text)


def columns(stream: TextIO | None = None) -> int:
    """The width to lay text out for: COLUMNS, else the terminal's, else 80; never more than 200."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return min(int(told), 200)
    try:
        width = os.get_terminal_size(cast("TextIO", stream or sys.stdout).fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 80
    return min(width or 80, 200)


def wrapped(text: str, width: int, *, indent: int = 0, after: str = "") -> list[str]:
    """`text` in lines of at most `width` columns, all but the first indented. A longer word stays whole, unless it holds one of
    the characters `after`: then it may be broken behind them (a subject's name, from comma to comma). A command of safetok's is
    one word: what is copied from the screen is all of it.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _pieces(paragraph, width - indent, after):
            room = width - (indent if lines else 0)
            if line and len(line) + len(word.rstrip()) > room:
                lines.append(" " * (indent if lines else 0) + line.rstrip())
                line = word
            else:
                line += word
        lines.append(" " * (indent if lines else 0) + line.rstrip())
    return lines


def _pieces(paragraph: str, width: int, after: str) -> list[str]:
    """The words and commands of a paragraph, a space behind each; one longer than `width` in its parts."""
    found: list[str] = []
    for word in _words(paragraph):
        if after and len(word) > width:
            found += re.findall(rf"[^{re.escape(after)}]*[{re.escape(after)}]|[^{re.escape(after)}]+", word)
            found[-1] += " "
        else:
            found.append(f"{word} ")
    return found


def _words(paragraph: str) -> list[str]:
    return [found[0] for found in _word().finditer(paragraph)]


@cache
def _word() -> re.Pattern[str]:
    """A word, or a whole command: `safetok certs show 5401…`, with or without its arrow or backquotes; in a sentence it ends
    where prose begins again.
    """
    from safetok.cli.declared import COMMANDS

    alone = "|".join(COMMANDS)
    groups = "|".join(name for name, entry in COMMANDS.items() if entry.group)
    value = r"[0-9A-Za-z][0-9A-Za-z/_-]*"
    end = r"(?![^\s.,;:)])"
    return re.compile(
        rf"`safetok [^`]*`\S*|(?:→ )?\(?safetok (?:(?:{groups}) [a-z][a-z-]*|(?:{alone})){end}(?: [a-z0-9]+(?= --))?"
        rf"(?: (?:--[a-z-]+(?: {value})?|[0-9A-Z][0-9A-Za-z/_-]*|TỆP|NGÀY|MÃ|TÊN){end})*[.,;:)]*|\S+"
    )
