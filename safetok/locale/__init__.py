"""Which words a person sees: Vietnamese unless English was asked for, by gettext catalogues beside this file.

Message ids are English sentences with `{name}` fields. `_()` looks one up in the language in force; the catalogue is read
at the first look-up, so a command that prints nothing pays nothing. `later()` marks one that is looked up where it is
shown: help texts, which stand at module level, before the language is known.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal, cast

Language = Literal["vi", "en"]
LANGUAGES: tuple[Language, ...] = ("vi", "en")
DEFAULT: Language = "vi"

_chosen: list[Language] = []


def set_language(language: Language | None) -> None:
    """Make `language` the one in force for this process; None goes back to the environment, then Vietnamese."""
    _chosen[:] = [language] if language else []


def language() -> Language:
    """The language in force: the one set, else SAFETOK_LANG, else Vietnamese."""
    if _chosen:
        return _chosen[0]
    asked = os.environ.get("SAFETOK_LANG", "").strip().lower()[:2]
    return next((code for code in LANGUAGES if code == asked), DEFAULT)


@cache
def _catalogue(code: Language) -> dict[str, str]:
    if code == "en":
        return {}
    import gettext

    path = Path(__file__).parent / code / "LC_MESSAGES" / "safetok.mo"
    with path.open("rb") as file:
        translations = gettext.GNUTranslations(file)
    return cast("dict[str, str]", translations._catalog)  # type: ignore[attr-defined]


def _(message: str) -> str:
    """`message` in the language in force; the English itself where the catalogue lacks it."""
    return _catalogue(language()).get(message, message)


def later(message: str) -> str:
    """`message` as it is, marked for the catalogue: whoever shows it passes it through `_()`."""
    return message


OPERATING_SYSTEM_SAYS = (  # what OSError.strerror is on every platform, where no catalogue of the system's own is at hand
    later("No such file or directory"),
    later("Permission denied"),
    later("File exists"),
    later("Not a directory"),
    later("Is a directory"),
    later("No space left on device"),
    later("Read-only file system"),
    later("Operation not permitted"),
    later("File name too long"),
)


def why(error: OSError) -> str:
    """What the operating system says of `error`, in the language in force where that is known."""
    return _(error.strerror) if error.strerror else str(error)
