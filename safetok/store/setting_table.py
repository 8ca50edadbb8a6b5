"""One table of settings.toml: how its values are read, and the one sentence for a value that cannot be used."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any, NoReturn

from safetok.errors import UsageError
from safetok.locale import _, why


@dataclasses.dataclass(frozen=True)
class Table:
    """One table of the file, and the dotted key it stands under."""

    file: Path
    key: str
    values: Mapping[str, Any]

    def only(self, known: Collection[str]) -> None:
        """Refuse a key nobody reads: a misspelt one would be silently without effect."""
        for name in self.values:
            if name not in known:
                self.refuse(name, _("there is no such setting"))

    def table(self, name: str) -> Table:
        """A table below this one; an empty one where there is none."""
        found = self.values.get(name, {})
        if not isinstance(found, dict):
            self.refuse(name, _("a table is expected"))
        return Table(self.file, self._under(name), found)

    def tables(self, name: str) -> list[Table]:
        """An array of tables, `[[name]]`."""
        found = self.values.get(name, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            self.refuse(name, _("tables in double brackets are expected"))
        return [Table(self.file, f"{self._under(name)}[{at}]", one) for at, one in enumerate(found, 1)]

    def text(self, name: str, default: str = "") -> str:
        found = self.values.get(name, default)
        if not isinstance(found, str):
            self.refuse(name, _("text in quotes is expected"))
        return found

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        found = self.values.get(name, list(default))
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            self.refuse(name, _("a list of texts is expected"))
        return tuple(found)

    def yes(self, name: str, default: bool = False) -> bool:
        found = self.values.get(name, default)
        if not isinstance(found, bool):
            self.refuse(name, _("true or false is expected"))
        return found

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        found = self.values.get(name, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not least <= found <= most:
            self.refuse(name, _("a number from {least} to {most} is expected").format(least=least, most=most))
        return float(found)

    def whole(self, name: str, default: int | None, *, least: int) -> int | None:
        found = self.values.get(name, default)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int) or found < least:
            self.refuse(name, _("a whole number of at least {least} is expected").format(least=least))
        return found

    def one_of(self, name: str, choices: Collection[str], default: str | None = None) -> str | None:
        found = self.values.get(name, default)
        if found is not None and found not in choices:
            self.refuse(name, _("one of these is expected: {choices}").format(choices=", ".join(choices)))
        return None if found is None else str(found)

    def file_of(self, name: str, text: str) -> Path:
        """A file named in the settings: relative to their folder. It must be there."""
        path = self.file.parent / self.expanded(name, text)
        try:
            there = path.is_file()
        except OSError as error:
            self.refuse(name, why(error), shown=str(path))
        if not there:
            self.refuse(name, _("there is no such file"), shown=str(path))
        return path

    def expanded(self, name: str, text: str) -> Path:
        """What may be a file's name, with `~` filled in."""
        if any(sign in text for sign in "\b\t\n\f\r"):  # what TOML makes of \b, \t, \n… in double quotes
            example = "'C:\\Windows\\System32\\driver.dll'"
            self.refuse(name, _("a path of Windows stands in single quotes, {example}").format(example=example))
        try:
            path = Path(text).expanduser()
        except RuntimeError:  # of a user that this computer does not have
            path = None
        if path is None or not text or "\0" in text:
            self.refuse(name, _("there is no such file"), shown=_shown(text))
        return path

    def refuse(self, name: str, why: str, *, shown: str | None = None) -> NoReturn:
        value = shown if shown is not None else _shown(self.values[name]) if name in self.values else _("(not given)")
        raise UsageError(
            _("{file}: {key} = {value}: {why}.").format(file=self.file, key=self._under(name), value=value, why=why),
            code="bad_settings",
            hint=_("Correct that line, or move the file aside."),
            data={"file": str(self.file), "key": self._under(name)},
        )

    def _under(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name


def _shown(value: object) -> str:
    text = _toml(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004  (one line)


def _toml(value: object) -> str:
    """A value as the file has it, near enough to be found there."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_toml(one)}' for key, one in value.items())}}}"
    return str(value)
