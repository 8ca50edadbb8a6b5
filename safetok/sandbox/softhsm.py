"""SoftHSM tokens made with its own tools: each is built alone in a token folder of its own, then moved beside the others.

A token folder is read whole by every process that opens it, so building apart keeps `up` linear, lets tokens be made at
the same time, and shows nobody a half-made one. The PINs on these command lines are the sandbox's own, printed by `up`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from safetok.errors import DriverFailed, UsageError
from safetok.locale import _
from safetok.sandbox.pki import SubscriberKey

SO_PIN = "87654321"
SECONDS = 30  # for one call of a tool

_MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    r"C:\SoftHSM2\lib\softhsm2-x64.dll",
)


@dataclass(frozen=True, slots=True)
class Bench:
    """A token folder with one token on it, and the tools to fill it."""

    folder: Path
    module: Path

    @property
    def config(self) -> Path:
        """What SOFTHSM2_CONF names."""
        return self.folder / "softhsm2.conf"

    def environment(self) -> dict[str, str]:
        """The environment in which PKCS#11 programs see this token alone."""
        return {**os.environ, "SOFTHSM2_CONF": str(self.config)}

    def initialise(self, label: str, pin: str) -> str:
        """Make the one token of this folder; its serial."""
        tokens = self.folder / "tokens"
        tokens.mkdir(parents=True)
        write_config(self.config, tokens)
        self._run("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", pin)
        shown = self._run("softhsm2-util", "--show-slots")
        serials = (line.partition(":")[2].strip() for line in shown.splitlines() if "Serial number" in line)
        return next(serial for serial in serials if serial)

    def put_key(self, key: SubscriberKey, *, cka_id: bytes, label: str, pin: str, token: str) -> None:
        """Import a key pair: private and public object under one CKA_ID."""
        file = self.folder / "key.pem"
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(key.private_bytes(*form))
        try:
            self._run(
                "softhsm2-util", "--import", str(file), "--serial", token, "--label", label, "--id", cka_id.hex(),
                "--pin", pin,
            )  # fmt: skip
        finally:
            file.unlink()

    def put_certificate(self, der: bytes, *, cka_id: bytes, label: str, pin: str) -> None:
        """Write a certificate beside its key."""
        file = self.folder / "certificate.der"
        file.write_bytes(der)
        self._run(
            "pkcs11-tool", "--module", str(self.module), "--login", "--pin", pin, "--write-object", str(file),
            "--type", "cert", "--id", cka_id.hex(), "--label", label,
        )  # fmt: skip
        file.unlink()

    def move_to(self, tokens: Path) -> None:
        """Hand the finished token over to the folder everybody reads."""
        for token in (self.folder / "tokens").iterdir():
            token.rename(tokens / token.name)
        shutil.rmtree(self.folder)

    def _run(self, *command: str) -> str:
        return run(command, self.environment())


def module() -> Path:
    """SoftHSM's PKCS#11 library. Raises UsageError (`softhsm_missing`) when it or one of the two tools is not installed."""
    found = next((Path(path) for path in _MODULES if Path(path).is_file()), None)
    if found is None or not shutil.which("softhsm2-util") or not shutil.which("pkcs11-tool"):
        raise UsageError(
            _("The sandbox needs SoftHSM and OpenSC, which are not installed."),
            code="softhsm_missing",
            hint=_("On Debian or Ubuntu: apt install softhsm2 opensc"),
        )
    return found.resolve()


def write_config(path: Path, tokens: Path) -> None:
    """SoftHSM's configuration for one token folder."""
    path.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
        encoding="utf-8",
    )


def run(command: Sequence[str], environment: dict[str, str]) -> str:
    """Run one tool to its end; what it printed. Raises DriverFailed (`softhsm_failed`) with its own words otherwise."""
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as error:
        words = getattr(error, "stderr", b"") or b""
        raise DriverFailed(
            _("A token of the sandbox could not be made: {tool}: {reason}").format(
                tool=command[0], reason=" ".join(words.decode(errors="replace").split()) or type(error).__name__
            ),
            code="softhsm_failed",
        ) from error
    return done.stdout.decode(errors="replace")
