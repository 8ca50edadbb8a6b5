"""What a cell of a spreadsheet says, however it is written there: text, numbers that were text, and what a formula left behind."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime

Cell = str | int | float | bool | date | datetime | None

SHORTENED = re.compile(r"\d[.,]\d+[eE]\+?\d+|\d+E\+\d+")  # 1,23E+15; a hex serial may hold an e
_DIGITS_KEPT = 15  # of a number in a spreadsheet
_FAILED = re.compile(
    r"#(N/A|GETTING_DATA|[A-Z][A-Z0-9/_]*[!?]|#+)|Err:\d+"
)  # in place of what a formula should have found


def as_text(cell: Cell) -> str:
    """A cell as text; a whole number without the point a spreadsheet gives it."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip().strip("\u00a0").strip()


def typed(text: str) -> str:
    """A number, a serial or a day as keys type it: full-width digits and other dashes as plain ones, nothing that no eye sees,
    and no apostrophe before it, with which spreadsheets and safetok's own CSV mark text.
    """
    seen = (letter for letter in unicodedata.normalize("NFKC", text) if unicodedata.category(letter) != "Cf")
    return (
        "".join("-" if unicodedata.category(letter) == "Pd" else letter for letter in seen).strip().lstrip("'").strip()
    )


def failed(cell: Cell) -> bool:
    """Whether a formula found nothing: `#N/A` stands where its value should."""
    return isinstance(cell, str) and _FAILED.fullmatch(cell.strip()) is not None


def rounded(cell: Cell) -> bool:
    """Whether a spreadsheet holds this as a number, of which it keeps fifteen digits."""
    return isinstance(cell, int | float) and abs(cell) >= 10**_DIGITS_KEPT


def plain(text: str) -> str:
    """A header or a word as it is compared: no marks, lower case, `_` between words."""
    return re.sub(r"[^0-9a-z]+", "_", without_marks(text).casefold()).strip("_")


def without_marks(text: str) -> str:
    """Vietnamese letters without their marks."""
    letters = unicodedata.normalize("NFD", text.replace("Đ", "D").replace("đ", "d"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
