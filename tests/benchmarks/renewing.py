"""The rows about renewing: safetok's batch beside a shell loop, on copies of the same tokens, put back before every run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support_fleet import PIN, Fleet, make_fleet

PEERS = Path(__file__).resolve().parent / "peers"
SAFETOK = str(Path(sys.executable).with_name("safetok"))


@dataclass
class Bench:
    """One fleet as it was made, and a copy of its tokens for the shell loop. The CA offers nothing in private: both sides send
    one request and get one certificate.
    """

    folder: Path
    count: int
    new_key: bool = False
    fleet: Fleet = field(init=False)

    def __post_init__(self) -> None:
        self.fleet = make_fleet(self.folder / "fleet", self.count, offers=False)
        kind = {"Khóa": "mới"} if self.new_key else {}
        path = self.fleet.write_list(self.fleet.folder / "list.csv", **kind)
        self.fleet.start()
        subprocess.run([SAFETOK, "batch", "plan", str(path)], env=self.fleet.environ, check=True, capture_output=True)
        self._stop()
        shutil.copytree(self.fleet.folder, self.folder / "kept")

    def _stop(self) -> None:
        from safetok.sandbox import process

        process.stop(self.fleet.places)

    def ours(self, *, jobs: int = 4, environ: dict[str, str] | None = None) -> float:
        """Seconds of `batch run` on the fleet as it was made; every row must be done."""
        self._stop()
        shutil.rmtree(self.fleet.folder)
        shutil.copytree(self.folder / "kept", self.fleet.folder)
        self.fleet.start()
        plan = str(self.fleet.folder / "list.plan.json")
        began = time.perf_counter()
        done = subprocess.run(
            [SAFETOK, "-q", "--json", "batch", "run", "--jobs", str(jobs), plan],
            env={**self.fleet.environ, **(environ or {})},
            check=False,
            capture_output=True,
        )
        took = time.perf_counter() - began
        self._stop()
        written = sum(bool(row["new_serial"]) for row in json.loads(done.stdout)["data"]["rows"])
        assert written == self.count, f"safetok renewed {written} of {self.count}: {done.stdout[-2000:]!r}"
        return took

    def peer(self, url: str, *, count: int | None = None, at_once: int = 1) -> float:
        """Seconds of the shell loop on `count` tokens; two at once take separate token folders."""
        wanted = count or self.count
        parts = [self._copy(part, at_once) for part in range(at_once)]
        mode = "keygen" if self.new_key else "reissue"
        before = [_certificates(conf) for conf in parts]
        began = time.perf_counter()
        running = [
            subprocess.Popen(
                [str(PEERS / "renew_shell.sh"), mode, str(wanted), PIN, url, str(self.fleet.module)],
                env={**self.fleet.environ, "SOFTHSM2_CONF": str(conf)},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for conf in parts
        ]
        said = [one.communicate()[1] for one in running]
        took = time.perf_counter() - began
        changed = sum(len(_certificates(conf) - old) for conf, old in zip(parts, before, strict=True))
        assert changed == wanted, f"the loop wrote {changed} of {wanted}: {said!r}"
        return took

    def _copy(self, part: int, parts: int) -> Path:
        """A configuration over a fresh copy of every `parts`-th token."""
        folder = self.folder / f"peer{part}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for token in sorted((self.folder / "kept" / "tokens").iterdir())[part::parts]:
            shutil.copytree(token, folder / "tokens" / token.name)
        conf = folder / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n")
        return conf


def _certificates(conf: Path) -> set[bytes]:
    """The contents of every object file that holds a certificate, by which a new one is told from an old one."""
    files = (conf.parent / "tokens").rglob("*.object")
    return {
        content
        for content in (file.read_bytes() for file in files)
        if b"\x55\x04\x03" in content and b"\x30\x82" in content
    }


@contextmanager
def signing_ca() -> Iterator[str]:
    """The URL of the benchmark's own `POST /sign`."""
    server = subprocess.Popen([sys.executable, str(PEERS / "sign_server.py")], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}/sign"
    finally:
        server.terminate()
        server.wait()


def raw_keys(count: int, module: Path) -> float:
    """Seconds that two processes need for `count` bare keys in SoftHSM's own libcrypto."""
    command = [sys.executable, str(PEERS / "raw_keys.py"), str(count // 2), str(module)]
    began = time.perf_counter()
    running = [subprocess.Popen(command) for _process in range(2)]
    assert not any(one.wait() for one in running)
    return time.perf_counter() - began
