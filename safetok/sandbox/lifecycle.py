"""The life of a sandbox: made once, found again, taken away whole, and nothing else with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from safetok.domain.times import parse_rfc3339, rfc3339, show_date
from safetok.errors import TokenHeld, UsageError
from safetok.locale import _
from safetok.sandbox import process
from safetok.sandbox.build import Token, build
from safetok.sandbox.pki import ROOT
from safetok.sandbox.places import Places, find, read_json, write_json
from safetok.sandbox.softhsm import module as softhsm_module
from safetok.sandbox.stories import owed_end
from safetok.store.paths import private_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A sandbox that is up: what `sandbox up --json` tells."""

    home: Path
    module: Path
    ca_url: str
    anchor: Path
    tokens: tuple[Token, ...]

    def exports(self) -> dict[str, str]:
        """The environment in which safetok, and any PKCS#11 program, works in the sandbox."""
        return {
            "SAFETOK_HOME": str(self.home),
            "SAFETOK_MODULE": str(self.module),
            "SOFTHSM2_CONF": str(Places(self.home.parent).softhsm),
        }


def up(now: datetime, say: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Sandbox:
    """The sandbox of this environment, made when there is none, its CA running.

    Raises UsageError: `softhsm_missing`; `folder_in_use`, `folder_unusable` for where it would live; `sandbox_unknown`.
    CaUnreachable and DriverFailed when a part of it does not come up.
    """
    places = find(environ)
    module = softhsm_module()
    if "#" in str(places.folder):
        raise UsageError(
            _("SoftHSM cannot work in {folder}: # begins a comment in its configuration.").format(folder=places.folder),
            code="folder_unusable",
            hint=_("Set SAFETOK_HOME to another folder."),
        )
    with _alone(places):
        made = _made(places)
        if made is None:
            _clear(places)
            write_json(places.marker, {"complete": False})
            tokens = build(places, module, now, say)
            made = {
                "complete": True,
                "module": str(module),
                "until": rfc3339(owed_end(now)),
                "tokens": [asdict(token) for token in tokens],
            }
            write_json(places.marker, made)
        elif (ended := parse_rfc3339(made["until"])) < now:
            say(
                _(
                    "This sandbox is old: its owed certificates ended on {day}. For fresh ones: sandbox down, then up."
                ).format(day=show_date(ended))
            )
        process.start(places)
        return Sandbox(
            home=places.home,
            module=Path(made["module"]),
            ca_url=process.base_url(places),
            anchor=places.ca / f"{ROOT}.pem",
            tokens=tuple(Token(**token) for token in made["tokens"]),
        )


def down(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Stop the CA and remove what `up` made; the folder, or None when there is no sandbox."""
    places = find(environ)
    if not places.marker.is_file():
        return None
    with _alone(places):
        process.stop(places)
        _remove(places)
    with suppress(OSError):  # somebody's own file stands in it: then the folder stays
        places.folder.rmdir()
    return places.folder


def _made(places: Places) -> dict[str, Any] | None:
    marker = read_json(places.marker)
    if not isinstance(marker, dict) or not marker.get("complete"):
        return None
    if not {"module", "until", "tokens"} <= marker.keys() or read_json(places.ca / "ca.json") is None:
        raise UsageError(
            _("The sandbox in {folder} is not whole, or another version of safetok made it.").format(
                folder=places.folder
            ),
            code="sandbox_unknown",
            hint=_("For a new one: safetok sandbox down, then safetok sandbox up."),
        )
    return marker


def _clear(places: Places) -> None:
    """Make room: what an `up` that was cut short left is taken away, what is not ours is refused."""
    if places.marker.is_file():
        process.stop(places)
        _remove(places)
        return
    others = [entry for entry in places.folder.iterdir() if entry != places.lock]
    if others:
        raise UsageError(
            _("The folder {folder} holds something that is no sandbox of safetok.").format(folder=places.folder),
            code="folder_in_use",
            hint=_("Move it aside, or set SAFETOK_HOME to another folder."),
        )


def _remove(places: Places) -> None:
    """Remove what `up` makes, the marker last: a `down` cut short can be run again."""
    for path in places.made:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    """One `up` or `down` at a time. Raises TokenHeld (`sandbox_busy`) when another is at work."""
    private_folder(places.folder)
    descriptor = os.open(places.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _lock(descriptor):
            raise TokenHeld(
                _("Another `safetok sandbox` is at work here; try again when it is done."), code="sandbox_busy"
            )
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # no SoftHSM sandbox is promised there
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
