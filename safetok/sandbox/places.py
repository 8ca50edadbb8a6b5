"""Where a sandbox lives, what stands in its folder, and how a run inside one finds it again."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetok.store import paths

MARKER = "sandbox.json"


@dataclass(frozen=True, slots=True)
class Places:
    """One sandbox's folder and the paths in it. Nothing is created by naming them."""

    folder: Path

    @property
    def marker(self) -> Path:
        """What `up` wrote: the tokens, the port, and whether it came to its end. Only a folder that has one is ours."""
        return self.folder / MARKER

    @property
    def lock(self) -> Path:
        """Held by the `up` or `down` at work."""
        return self.folder / "lock"

    @property
    def home(self) -> Path:
        """SAFETOK_HOME of whoever works in the sandbox."""
        return self.folder / "home"

    @property
    def settings(self) -> Path:
        return self.home / "settings.toml"

    @property
    def ledger(self) -> Path:
        """The copy of the CA's ledger."""
        return self.home / "ledger.json"

    @property
    def tokens(self) -> Path:
        """SoftHSM's token folder."""
        return self.folder / "tokens"

    @property
    def staging(self) -> Path:
        """Tokens in the making, each in a token folder of its own."""
        return self.folder / "staging"

    @property
    def softhsm(self) -> Path:
        return self.folder / "softhsm2.conf"

    @property
    def ca(self) -> Path:
        """Keys, certificates and books of the CA."""
        return self.folder / "ca"

    @property
    def made(self) -> tuple[Path, ...]:
        """Everything `up` makes, the marker last: what `down` may remove."""
        return (self.tokens, self.staging, self.ca, self.home, self.softhsm, self.lock, self.marker)


def find(environ: Mapping[str, str] = os.environ) -> Places:
    """The sandbox of this environment: the one whose exports are in force, else `$SAFETOK_HOME/sandbox`, else the data folder's."""
    home = paths.home(environ)
    around = Places(home.state.parent)
    if home.given and home.state == around.home and around.marker.is_file():
        return around
    return Places(home.sandbox)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file in one step, readable by its owner alone."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """`value` as JSON for people and programs, replaced in one step."""
    write_private(path, (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    """What `write_json` wrote; None when the file is missing or no JSON (a killed `up`, a hand at work)."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
