"""The flags every command takes, before or after its name, and what they said this time."""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import field
from typing import TYPE_CHECKING, Any

from safetok.errors import UsageError
from safetok.locale import DEFAULT, LANGUAGES, Language, _, later, set_language
from safetok.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from typer.core import TyperOption


@dataclass(slots=True, kw_only=True)
class Flags:
    """The global flags of one run, filled while the command line is read."""

    json: bool = False
    quiet: bool = False
    verbose: int = 0
    log_file: Path | None = None
    timeout: float | None = None  # seconds
    lang: Language | None = None
    non_interactive: bool = False
    module: str | None = None
    dry_run: bool = False  # the command's own flag: nothing is written, no log either
    command: list[str] = field(default_factory=list)  # as the envelope names it


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOption:
    """One global flag as help shows it; `value` is the placeholder of what it takes, empty for a switch."""

    names: tuple[str, ...]
    value: str = ""
    help: str

    @property
    def field(self) -> str:
        return self.names[0].lstrip("-").replace("-", "_")


GLOBAL_OPTIONS = (
    GlobalOption(names=("--json",), help=later("Answer in JSON on stdout: one envelope, for scripts.")),
    GlobalOption(names=("--quiet", "-q"), help=later("Only the answer, no remarks.")),
    GlobalOption(names=("--verbose", "-v"), help=later("Say on stderr what is being done; -vv says more.")),
    GlobalOption(
        names=("--log-file",), value="FILE", help=later("Write what is being done to FILE (never a PIN or a key).")
    ),
    GlobalOption(names=("--timeout",), value="SECONDS", help=later("How long to wait for an answer over the network.")),
    GlobalOption(names=("--lang",), value="vi|en", help=later("Vietnamese or English; SAFETOK_LANG says it for good.")),
    GlobalOption(names=("--non-interactive",), help=later("Never ask: what needs a person ends with exit status 11.")),
    GlobalOption(
        names=("--module",),
        value="FILE",
        help=later("The PKCS#11 driver to use instead of those found; also SAFETOK_MODULE."),
    ),
)
HELP = GlobalOption(names=("--help", "-h"), help=later("Show this help."))

_flags: ContextVar[Flags] = ContextVar("flags")


def flags() -> Flags:
    """The flags of this run."""
    try:
        return _flags.get()
    except LookupError:
        return begin(())


def begin(argv: Sequence[str]) -> Flags:
    """Fresh flags for a run. What must hold before the command line is understood, or when it never is (the language of help
    texts, JSON, where a failure is logged), is looked up in `argv` at once.
    """
    given = list(argv)
    if "--" in given:
        given = given[: given.index("--")]
    found = Flags(json="--json" in given, verbose=2 if "-vv" in given else 0)
    said = _value_of("--lang", given)
    found.lang = _known(said)
    if log_file := _value_of("--log-file", given):
        found.log_file = _path(log_file)
    set_language(found.lang or _known(os.environ.get("SAFETOK_LANG", "").strip().lower()[:2]) or _settled() or DEFAULT)
    _flags.set(found)
    return found


def _known(code: str) -> Language | None:
    return next((language for language in LANGUAGES if language == code), None)


def _settled() -> Language | None:
    """The language of settings.toml, when nothing nearer says one; a file that cannot be read is complained of later."""
    from safetok.errors import UsageError
    from safetok.store import paths

    try:
        file = paths.home(os.environ).settings
        if not file.is_file():
            return None
    except (OSError, UsageError):
        return None
    import tomllib

    try:
        return _known(str(tomllib.loads(file.read_text("utf-8-sig")).get("language")))
    except (OSError, ValueError):
        return None


def _value_of(name: str, words: Sequence[str]) -> str:
    for at, word in enumerate(words):
        if word.startswith(f"{name}="):
            return word[len(name) + 1 :]
        if word == name and at + 1 < len(words):
            return words[at + 1]
    return ""


def typer_options() -> list[TyperOption]:
    """The global flags as typer options that note what they were given and are not passed on to commands."""
    from typer.core import TyperOption

    options = []
    for option in GLOBAL_OPTIONS:
        counted = option.field == "verbose"
        options.append(
            TyperOption(
                param_decls=list(option.names),
                type=str if option.value else None,
                is_flag=None if option.value or counted else True,
                count=counted,
                default=None if option.value else (0 if counted else False),
                metavar=option.value or None,
                expose_value=False,
                callback=_note,
                help=option.help,
                show_default=False,
            )
        )
    return options


def _note(_context: Any, parameter: Any, value: Any) -> Any:
    if value:
        name = str(parameter.name)
        setattr(flags(), name, _READERS[name](value) if name in _READERS else value)
    return value


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:  # noqa: PLR2004  (a day; nan fails too)
        raise UsageError(_("--timeout takes a number of seconds: {value} is none.").format(value=text))
    return seconds


def _language(text: str) -> Language:
    if language := _known(text):
        set_language(language)
        return language
    raise UsageError(_("--lang takes vi or en: {value} is neither.").format(value=text))


_READERS: dict[str, Callable[[str], Any]] = {"log_file": _path, "timeout": _seconds, "lang": _language}
