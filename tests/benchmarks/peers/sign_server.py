"""`POST /sign` of renew_shell.sh: a PEM request in, a DER certificate out; nothing is checked and nothing kept."""

from __future__ import annotations

import datetime as dt
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

KEY = rsa.generate_private_key(65537, 2048)
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Benchmark CA")])


class Handler(BaseHTTPRequestHandler):
    """One request, one certificate; Nagle is off and the answer is one write."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def do_POST(self) -> None:
        """Sign what comes."""
        request = x509.load_pem_x509_csr(self.rfile.read(int(self.headers["Content-Length"])))
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder(NAME, request.subject, request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + dt.timedelta(days=365))
            .sign(KEY, hashes.SHA256())
            .public_bytes(serialization.Encoding.DER)
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(certificate)))
        self.end_headers()
        self.wfile.write(certificate)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: it is measured."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
