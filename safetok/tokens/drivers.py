"""Which driver files there are: named by the user, else settings, p11-kit's module files and the known drivers, each once.

Nothing is loaded here.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from safetok.errors import UsageError
from safetok.locale import _
from safetok.log import note
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.knowledge.facts import KnownDriver

Source = Literal["flag", "environment", "settings", "p11-kit", "known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverFile:
    """One driver: its real path, its file name for people, and how it was found."""

    path: str
    name: str
    source: Source

    @property
    def named(self) -> bool:
        """Whether the user named it; else it was found."""
        return self.source in {"flag", "environment", "settings"}


_FIELD = re.compile(r"\s*([A-Za-z0-9._-]+)\s*:\s*(.*?)\s*")
_NO_TOKENS = ("p11-kit-proxy", "libp11-kit.", "p11-kit-trust")  # every module over again, or no token at all


def find_drivers(
    *,
    module: str | None,
    configured: Sequence[str],
    known: Sequence[KnownDriver],
    environ: Mapping[str, str],
) -> tuple[DriverFile, ...]:
    """The drivers to load, in the order found. `module` (the flag), else SAFETOK_MODULE, replaces every other way; a file it
    names that does not exist raises UsageError (`no_such_module`). Settings' drivers are kept though missing: the reading
    reports them. Discovery leaves out what shows no tokens of its own: trust-policy modules and p11-kit-proxy.
    """
    named: tuple[tuple[str | None, Source], ...] = ((module, "flag"), (environ.get("SAFETOK_MODULE"), "environment"))
    for path, source in named:
        if path:
            if not os.path.isfile(path):  # noqa: PTH113  (strings all the way: the worker is given one)
                raise UsageError(
                    _("There is no driver file {path}.").format(path=path),
                    code="no_such_module",
                    hint=_("Give the whole path of the driver with --module or SAFETOK_MODULE."),
                )
            return _noted((_file(path, source),))
    found = {file.path: file for file in reversed([*_discovered(configured, known, environ)])}
    return _noted(tuple(found[path] for path in reversed(found)))


def _noted(files: tuple[DriverFile, ...]) -> tuple[DriverFile, ...]:
    for file in files:
        note(f"driver {file.path} ({file.source})", detail=True)
    if not files:
        note("no driver found")
    return files


def _file(path: str, source: Source) -> DriverFile:
    real = os.path.realpath(os.path.expanduser(path))  # noqa: PTH111
    return DriverFile(path=real, name=os.path.basename(real), source=source)  # noqa: PTH119


def _discovered(
    configured: Sequence[str], known: Sequence[KnownDriver], environ: Mapping[str, str]
) -> Iterator[DriverFile]:
    for path in configured:
        yield _file(path, "settings")
    for path in p11_kit_modules(environ):
        if (file := _file(path, "p11-kit")) and not _shows_no_tokens(path, file.name):
            yield file
    for driver in known:
        for path in driver.paths(environ):
            if os.path.isfile(path):  # noqa: PTH113
                yield _file(path, "known")


def _shows_no_tokens(path: str, real_name: str) -> bool:
    return os.path.basename(path).startswith(_NO_TOKENS) or real_name.startswith(_NO_TOKENS)  # noqa: PTH119


def p11_kit_modules(environ: Mapping[str, str]) -> Iterator[str]:
    """Paths named by `*.module` files (pkcs11.conf(5)), those that exist; a user's file lies over the system's of that name."""
    if sys.platform == "win32":
        return
    configuration: dict[str, dict[str, str]] = {}
    for folder in _module_folders(environ):
        try:
            names = sorted(entry for entry in os.listdir(folder) if entry.endswith(".module"))  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            configuration.setdefault(name, {}).update(_fields(os.path.join(folder, name)))  # noqa: PTH118
    for fields in configuration.values():
        path = fields.get("module", "")
        if not path or fields.get("remote") or fields.get("trust-policy", "no").lower() == "yes":
            continue
        if not _meant_for_us(fields):
            continue
        for folder in ("",) if os.path.isabs(path) else _library_folders():  # noqa: PTH117
            if os.path.isfile(whole := os.path.join(folder, path)):  # noqa: PTH113, PTH118
                yield whole
                break


def _module_folders(environ: Mapping[str, str]) -> Iterator[str]:
    prefixes = ("", "/usr/local", "/opt/homebrew") if sys.platform == "darwin" else ("",)
    for prefix in prefixes:
        yield f"{prefix or '/usr'}/share/p11-kit/modules"
        yield f"{prefix}/etc/pkcs11/modules"
    home = environ.get("HOME", "")
    settings = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    if settings:
        yield f"{settings}/pkcs11/modules"


def _library_folders() -> tuple[str, ...]:
    """Where a relative `module:` is looked for: each distribution builds one folder into p11-kit."""
    architecture = getattr(sys.implementation, "_multiarch", "")
    return (
        *((f"/usr/lib/{architecture}/pkcs11",) if architecture else ()),
        "/usr/lib64/pkcs11",
        "/usr/lib/pkcs11",
        "/usr/local/lib/pkcs11",
        "/opt/homebrew/lib/pkcs11",
    )


def _fields(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            lines = file.read(1 << 16).splitlines()
    except OSError:
        return {}
    return {
        found[1]: found[2] for line in lines if not line.lstrip().startswith("#") and (found := _FIELD.fullmatch(line))
    }


def _meant_for_us(fields: Mapping[str, str]) -> bool:
    programs = {key: re.split(r"[,\s]+", fields[key].strip()) for key in ("enable-in", "disable-in") if key in fields}
    if "enable-in" in programs:
        return "safetok" in programs["enable-in"]
    return "safetok" not in programs.get("disable-in", ())
