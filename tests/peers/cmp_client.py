"""One CMP transaction as safetok does it, against `openssl cmp -port`; prints one JSON object. Run without a network.

usage: python cmp_client.py FOLDER KIND SECRET implicit|explicit|reject [server arguments]

FOLDER holds what the test wrote: old.der, old.key, new.key (PEM, absent: same key), issuer.der, ca.pem, ca.key.
The server listens on every address, so this runs inside a network namespace that has nothing but loopback.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from safetok.ca.cmp.answers import Answer, Issued, Waiting, read_answer
from safetok.ca.cmp.endpoint import Endpoint
from safetok.ca.cmp.protection import SigningKey
from safetok.ca.cmp.requests import build_confirmation, build_poll, build_request, sender_nonce_of
from safetok.ca.cmp.transport import send
from safetok.domain.authorities import RequestKind
from safetok.domain.certificates import parse
from safetok.domain.times import parse_rfc3339, system_clock
from safetok.errors import SafetokError
from safetok.net import Http

PORT = 18081  # in a network namespace of its own: nobody else is there
MOST_POLLS = 10


def main(folder: Path, kind: RequestKind, ending: str, server: list[str]) -> None:
    command = ["openssl", "cmp", "-port", str(PORT), "-srv_cert", str(folder / "ca.pem"), "-srv_key"]
    command += [str(folder / "ca.key"), "-srv_trusted", str(folder / "ca.pem"), *server]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as peer:
        assert peer.stdout is not None
        if not any("ACCEPT" in line for line in peer.stdout):
            raise SystemExit(f"openssl did not start: {peer.wait()}")
        result: dict[str, Any] = {}
        try:
            transaction(folder, kind, ending, result)
        except SafetokError as error:
            result |= {"error": type(error).__name__, "code": error.code, "message": error.message}
        peer.terminate()
        result["server"] = peer.stdout.read()
    sys.stdout.write(json.dumps(result, default=str))


def transaction(folder: Path, kind: RequestKind, ending: str, result: dict[str, Any]) -> None:
    """Request, poll as long as told to, confirm or reject; `result` tells what was sent, and how each answer read."""
    old, issuer = parse((folder / "old.der").read_bytes()), parse((folder / "issuer.der").read_bytes())
    old_key = cast("SigningKey", load_pem_private_key((folder / "old.key").read_bytes(), None))
    same = not (folder / "new.key").exists()
    new_key = old_key if same else cast("SigningKey", load_pem_private_key((folder / "new.key").read_bytes(), None))
    new_spki = new_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    endpoint = Endpoint(
        url=f"http://127.0.0.1:{PORT}/",
        issuers=(issuer,),
        implicit_confirm=ending == "implicit",
        request=kind,
        pss="PSS" in os.environ,
    )
    http, now = Http(timeout=5), system_clock()
    common: dict[str, Any] = {"old": old, "old_key": old_key, "endpoint": endpoint, "now": now, "random": os.urandom}
    wanted = parse_rfc3339("2028-06-30T16:59:59Z")
    opening = build_request(kind, new_spki=new_spki, new_key=new_key, not_after=wanted, **common)
    said: list[dict[str, Any]] = []
    sent: list[str] = []
    result |= {"old": old.serial, "said": said, "sent": sent}

    def ask(der: bytes, nonces: set[bytes]) -> Answer:
        sent.append(der.hex())
        raw = send(http, endpoint, der)
        answer = read_answer(
            raw,
            endpoint=endpoint,
            transaction_id=opening.transaction_id,
            nonces=frozenset(nonces),
            old=old,
            at=system_clock(),
        )
        told = {name: getattr(answer, name) for name in getattr(answer, "__dataclass_fields__", ())}
        said.append({"is": type(answer).__name__, **{k: v for k, v in told.items() if not isinstance(v, bytes)}})
        return answer

    answer = ask(opening.der, {opening.sender_nonce})
    while isinstance(answer, Waiting) and len(sent) < MOST_POLLS:
        der, nonce = build_poll(
            transaction_id=opening.transaction_id,
            recip_nonce=answer.server_nonce,
            cert_req_id=answer.cert_req_id,
            **common,
        )
        answer = ask(der, {nonce, opening.sender_nonce})
    if isinstance(answer, Issued):
        result |= {"certificate": answer.certificate.hex(), "spki": new_spki.hex()}
        if not answer.implicit:
            der = build_confirmation(
                certificate=answer.certificate,
                accept=ending != "reject",
                fail_info="badCertTemplate" if ending == "reject" else "",
                transaction_id=opening.transaction_id,
                recip_nonce=answer.server_nonce,
                cert_req_id=answer.cert_req_id,
                **common,
            )
            ask(der, {sender_nonce_of(der)})
    http.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), cast("RequestKind", sys.argv[2]), sys.argv[3], sys.argv[4:])
