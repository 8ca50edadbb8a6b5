"""The sandbox CA over HTTP on 127.0.0.1: which path is whose, and the way it is stopped.

Nagle is off and head and body leave in one write: without that each answer costs 40 ms. Nothing is written for a GET, so a
dry run finds every file as it was. Run as `python -P -m safetok.sandbox.server FOLDER`; it says `ready` once it listens.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import os
import signal
import sys
import threading
import time
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cryptography.hazmat.primitives import serialization

from safetok.domain.times import Clock, system_clock
from safetok.sandbox import pki as pki_module
from safetok.sandbox.books import Books
from safetok.sandbox.faults import HUGE, Faults
from safetok.sandbox.issuing import CmpService, Policy
from safetok.sandbox.offers import OfferService, Reply, problem
from safetok.sandbox.places import Places, read_json
from safetok.sandbox.status import StatusService

HOST = "127.0.0.1"
FOLDER_SECONDS = 2.0  # between two looks at the folder
LEDGER_SECONDS = 0.5  # between two copies of the ledger
DRIP_SECONDS = 0.05  # between two bytes of an answer that a fault slows down
LARGEST = 1 << 20  # bytes of a request
CMP = "application/pkixcmp"
CMP_PATH = "/.well-known/cmp"
OCSP = "application/ocsp-response"


class Authority:
    """The CA behind the paths: every service on one set of books."""

    def __init__(self, places: Places, clock: Clock = system_clock) -> None:
        facts = read_json(places.ca / "ca.json")
        self.clock = clock
        self.port = int(facts["port"])
        self.secret = str(facts["secret"])
        self.pki = pki_module.load(places.ca, base_url(self.port))
        self.books = Books(places.ca, places.ledger)
        policy = Policy(
            confirm_wait=timedelta(seconds=facts["confirm_wait"]), answer_after=timedelta(seconds=facts["answer_after"])
        )
        self.faults = Faults(places.ca / "faults.json", self.pki)
        self.cmp = CmpService(self.pki, self.books, policy, self.faults)
        self.offers = OfferService(self.pki, self.books, self.clock())
        self.status = StatusService(self.pki, self.books)
        self._facts = places.ca / "ca.json"
        self.root_bundle = (places.ca / f"{pki_module.ROOT}.p7b").read_bytes()

    def stands(self) -> bool:
        """Whether the folder is still there."""
        return self._facts.exists()

    def copy_ledger(self) -> None:
        """Bring the ledger's file up to date."""
        self.books.copy_ledger()

    def get(self, path: str) -> Reply:
        """What a GET answers; it changes nothing."""
        now = self.clock()
        head, _slash, rest = path.lstrip("/").partition("/")
        if path == "/ledger":
            with self.books.lock:
                self.books.settle(now)
                return Reply(body=self.books.ledger())
        if path.startswith("/v1/renewal-info/"):
            return self.offers.public(unquote(path.removeprefix("/v1/renewal-info/")), now)
        if head == "ocsp":
            return self._ocsp_get(rest, now)
        if head == "crl":
            crl = self.status.crl(rest.removesuffix(".crl"), now)
            return Reply(type="application/pkix-crl", body=crl) if crl else _not_found()
        if head == "aia":
            return self._aia(rest)
        return _not_found()

    def post(self, path: str, body: bytes) -> Reply:
        """What a POST answers."""
        now = self.clock()
        if path == CMP_PATH or path.startswith(f"{CMP_PATH}/"):
            return self.faults.deliver(body, lambda raw: self._cmp(raw, now))
        if path == "/ocsp":
            return Reply(type=OCSP, body=self.status.ocsp(body, now))
        if path == "/v1/offers":
            return self.offers.private(body, now)
        if path == "/v1/dossiers":
            return self.offers.dossier(body, now)
        return _not_found()

    def _cmp(self, raw: bytes, now: datetime) -> Reply:
        readable, answer = self.cmp.answer(raw, now)
        return Reply(status=200 if readable else 400, type=CMP, body=answer)

    def _ocsp_get(self, text: str, now: datetime) -> Reply:
        try:
            request = base64.b64decode(unquote(text), validate=True)
        except (binascii.Error, ValueError):
            request = b""
        return Reply(type=OCSP, body=self.status.ocsp(request, now))

    def _aia(self, name: str) -> Reply:
        if name == f"{pki_module.ROOT}.p7b":
            return Reply(type="application/pkcs7-mime", body=self.root_bundle)
        issuer = self.pki.issuers.get(name.removesuffix(".cer"))
        if issuer is None:
            return _not_found()
        return Reply(type="application/pkix-cert", body=issuer.certificate.public_bytes(serialization.Encoding.DER))


class Server(ThreadingHTTPServer):
    """One thread a connection, loopback only."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self._look_again = self._copy_again = 0.0
        super().__init__((HOST, authority.port), Handler)

    def service_actions(self) -> None:
        """Copy the ledger; end when the folder was removed by hand: without its books this CA is nobody's."""
        now = time.monotonic()
        if now >= self._copy_again:
            self._copy_again = now + LEDGER_SECONDS
            with contextlib.suppress(OSError):
                self.authority.copy_ledger()
        if now >= self._look_again:
            self._look_again = now + FOLDER_SECONDS
            if not self.authority.stands():
                threading.Thread(target=self.shutdown).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke concerns nobody else; what we did wrong ourselves goes to the log."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Reads one request, asks the authority, writes the answer in one piece."""

    protocol_version = "HTTP/1.1"
    server_version = "safetok-sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    timeout = 60  # seconds a connection may stay silent

    @property
    def authority(self) -> Authority:
        server = self.server
        if not isinstance(server, Server):
            raise TypeError(server)
        return server.authority

    def do_GET(self) -> None:
        """Answer a GET."""
        self._send(self.authority.get(self.path.partition("?")[0]))

    def do_POST(self) -> None:
        """Answer a POST, or stop."""
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST:
            self.close_connection = True
            self._send(problem(413 if length > LARGEST else 411, "malformed", "Độ dài yêu cầu không hợp lệ."))
            return
        body = self.rfile.read(length)
        path = self.path.partition("?")[0]
        if path != "/shutdown":
            self._send(self.authority.post(path, body))
        elif hmac.compare_digest(body, self.authority.secret.encode()):
            self._send(Reply(status=204))
            threading.Thread(target=self.server.shutdown).start()
        else:
            self._send(problem(403, "malformed", "Không được phép."))

    def _send(self, reply: Reply) -> None:
        if reply.manner == "cut":
            self.close_connection = True
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.type)
        self.send_header("Content-Length", str(HUGE if reply.manner == "huge" else len(reply.body)))
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        if reply.manner:
            self._badly(reply)
            return
        self.wfile.write(reply.body)
        self.wfile.flush()

    def _badly(self, reply: Reply) -> None:
        """A fault: far too much, or a byte now and then, for as long as somebody listens."""
        self.close_connection = True
        if reply.manner == "huge":
            for _chunk in range(HUGE >> 16):
                self.wfile.write(bytes(1 << 16))
            return
        for byte in reply.body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(DRIP_SECONDS)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (http.server's name)
        """Nothing: what happened is in the ledger."""


def base_url(port: int) -> str:
    """The CA's URL, without a slash at its end."""
    return f"http://{HOST}:{port}"


def _not_found() -> Reply:
    return problem(404, "not-found", "Không có địa chỉ này.")


def main() -> None:
    """Serve until asked to stop; on a signal too, the books are always whole."""
    places = Places(Path(sys.argv[1]))
    with Server(Authority(places)) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        print("ready", flush=True)  # noqa: T201  (to `up`, over the pipe it reads)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)  # lets go of the pipe, and leaves no number for a socket to take
        os.close(nowhere)
        server.serve_forever(poll_interval=0.05)
        server.authority.copy_ledger()


if __name__ == "__main__":
    main()
