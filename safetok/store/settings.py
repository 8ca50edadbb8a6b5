"""What the user chose in settings.toml, laid over what is known: drivers, language, rules for token kinds, authorities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok.domain.authorities import Authority, belongs
from safetok.domain.certificates import Certificate
from safetok.domain.kinds import KindRule
from safetok.errors import UsageError
from safetok.locale import LANGUAGES, Language, _, why
from safetok.log import note
from safetok.records import dataclass
from safetok.store.paths import Home, foreign
from safetok.store.pem import load_pem, subjects

if TYPE_CHECKING:
    from safetok.domain.acceptance import Acceptance
    from safetok.store.setting_table import Table

__all__ = ["Settings", "authority_of", "load", "load_pem"]

TIMEOUT = 20.0
LONGEST_TIMEOUT = 86_400.0  # a day, as for --timeout
_TOP = ("drivers", "language", "timeout", "kinds", "authorities", "agencies", "holidays", "office", "sandbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings in force: environment over file. `timeout` is seconds for one network question."""

    home: Home
    modules: tuple[str, ...] = ()
    language: Language | None = None
    kind_rules: tuple[KindRule, ...] = ()  # the user's first
    authorities: Mapping[str, Authority]
    timeout: float = TIMEOUT
    sandbox: Mapping[str, Any] | None = None
    agency_rules: Mapping[str, Acceptance] = field(default_factory=dict)  # the user's own, by the agency's name
    days_off: Mapping[date, bool | None] = field(default_factory=dict)  # laid over the list; None: worked all the same
    weekdays: frozenset[int] | None = None
    hours: tuple[tuple[time, time], ...] | None = None
    broken: UsageError | None = None  # why the file could not be used, where only what is shipped stands here


def load(home: Home, environ: Mapping[str, str]) -> Settings:
    """Read settings.toml where there is one. Raises UsageError `bad_settings` naming the file, the key and the value."""
    from safetok.knowledge import load as knowledge

    shipped, rules = knowledge.authorities(), knowledge.kind_rules()
    asked = environ.get("SAFETOK_LANG", "").strip().lower()[:2]
    table = _read(home.settings)
    chosen = next((code for code in LANGUAGES if code == asked), None)
    if table is None:
        return Settings(home=home, language=chosen, kind_rules=rules, authorities=shipped)
    from safetok.store.setting_values import authorities, kind_rules

    table.only(_TOP)
    drivers = table.table("drivers")
    drivers.only(("modules",))
    from_file = table.one_of("language", LANGUAGES)
    sandbox = table.table("sandbox").values
    return Settings(
        home=home,
        modules=tuple(str(drivers.expanded("modules", module)) for module in drivers.texts("modules")),
        language=chosen or next((code for code in LANGUAGES if code == from_file), None),
        kind_rules=(*kind_rules(table), *rules),
        authorities=authorities(table, shipped),
        timeout=table.number("timeout", TIMEOUT, least=0.1, most=LONGEST_TIMEOUT),
        sandbox=sandbox or None,
        **_rules(table),
    )


def shipped(home: Home, environ: Mapping[str, str], broken: UsageError) -> Settings:
    """The settings without a file that cannot be used, for commands that must work all the same."""
    from safetok.knowledge import load as knowledge

    asked = environ.get("SAFETOK_LANG", "").strip().lower()[:2]
    return Settings(
        home=home,
        language=next((code for code in LANGUAGES if code == asked), None),
        kind_rules=knowledge.kind_rules(),
        authorities=knowledge.authorities(),
        broken=broken,
    )


def _rules(table: Table) -> dict[str, Any]:
    """What the file says of agencies, holidays and office hours; most say nothing."""
    if not {"agencies", "holidays", "office"} & {*table.values}:
        return {}
    from safetok.store.rule_values import agency_rules, days_off, office

    weekdays, hours = office(table)
    return {
        "agency_rules": agency_rules(table),
        "days_off": days_off(table),
        "weekdays": weekdays,
        "hours": hours,
    }


def authority_of(certificate: Certificate, settings: Settings) -> Authority | None:
    """The authority whose issuing CA's name is this certificate's issuer; those with PEM files before those known by name alone.

    Raises UsageError `bad_certificate_file` when a file that settings.toml names cannot be read.
    """
    for with_files in (True, False):
        for authority in settings.authorities.values():
            if bool(authority.issuers) is not with_files:
                continue
            names = tuple(name for path in authority.issuers for name in subjects(path))
            if belongs(certificate, authority, names):
                return authority
    return None


def _read(path: Path) -> Table | None:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):  # no home at all: whoever needs one says so
        return None
    except OSError as error:
        raise UsageError(
            _("The file {file} cannot be read: {why}.").format(file=path, why=why(error)),
            code="bad_settings",
            hint=_("Make it readable for you, or set SAFETOK_HOME to another folder."),
        ) from error
    if foreign(path):
        raise UsageError(
            _("{path} cannot be used: {why}.").format(path=path, why=_("it belongs to somebody else")),
            code="bad_settings",
            hint=_("Move the file aside, or set SAFETOK_HOME to a folder of your own."),
        )
    import tomllib

    from safetok.store.setting_table import Table

    try:
        if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:  # what PowerShell 5 and Notepad's "Unicode" write
            data = data.decode("utf-16").encode()
        # With a line after it the last one has a number, too, where that is at fault.
        return Table(path, "", tomllib.loads(f"{data.decode('utf-8-sig')}\n"))
    except (ValueError, RecursionError) as error:
        note(f"{path}: {error}", detail=True)
        line = _line(error, data)
        text = (
            _("{file}, line {line}: this is not valid TOML.") if line else _("{file} is not valid TOML: it breaks off.")
        )
        hint = _("Correct that line, or move the file aside.")
        faulty = data.split(b"\n")[line - 1] if line else b""
        if isinstance(error, UnicodeDecodeError):
            hint = _("It is not UTF-8: open it in Notepad, save it with UTF-8 as its encoding.")
        elif any(mark.encode() in faulty for mark in "\u201c\u201d\u2018\u2019"):
            hint = _("Quotation marks must be the straight ones, \" or ', not those of a word processor.")
        elif b"\\" in faulty:
            hint = _("A path of Windows stands in single quotes: {example}").format(
                example="'C:\\Windows\\System32\\driver.dll'"
            )
        raise UsageError(text.format(file=path, line=line), code="bad_settings", hint=hint) from error


def _line(error: Exception, data: bytes) -> int | None:
    """The line at fault, as far as it is told; None for the end of the file."""
    if isinstance(error, UnicodeDecodeError):
        return data.count(b"\n", 0, error.start) + 1
    import re

    found = re.search(r"line (\d+)", str(error))
    return int(found[1]) if found else None
