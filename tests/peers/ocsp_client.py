"""Asks an `openssl ocsp` responder about certificates, as safetok does; prints one JSON object. Run without a network.

usage: python ocsp_client.py FOLDER PORT [responder arguments]     (FOLDER: index.txt, ca.der, and one *.leaf a certificate)

The responder listens on every address, so this runs inside a network namespace that has nothing but loopback.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from safetok.domain.certificates import parse
from safetok.domain.times import system_clock
from safetok.net import Http
from safetok.trust.revocation import check


def main(folder: Path, port: str, more: list[str]) -> None:
    command = [
        "openssl",
        "ocsp",
        "-port",
        port,
        "-index",
        str(folder / "index.txt"),
        "-CA",
        str(folder / "ca.pem"),
        *more,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as responder:
        assert responder.stdout is not None
        line = next((line for line in responder.stdout if "ACCEPT" in line or "waiting" in line), "")
        found: dict[str, list[str]] = {"responder": [line.strip()]}
        http = Http(timeout=5)
        for file in sorted(folder.glob("*.leaf")):
            for post in (True, False):
                answer = check(
                    parse(file.read_bytes()),
                    issuers=[parse((folder / "ca.der").read_bytes())],
                    http=http,
                    now=system_clock(),
                    private_addresses=True,
                    post=post,
                )
                found.setdefault(file.stem, []).append(f"{answer.answer} {answer.reason}".strip())
        responder.terminate()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
