"""django-ca as a CA of its own on 127.0.0.1: `python django_ca_server.py FOLDER PORT`.

Makes a CA, a responder's certificate and a certificate in each state, prints them as one JSON object (PEM), and serves OCSP
and CRLs until stdin ends.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import types
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

warnings.simplefilter("ignore")
PLACE, PORT = Path(sys.argv[1]), int(sys.argv[2])
STORAGE = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(PLACE)}}

from django.conf import settings  # noqa: E402

settings.configure(
    SECRET_KEY="none",
    ALLOWED_HOSTS=["127.0.0.1"],
    USE_TZ=True,
    ROOT_URLCONF="peer_urls",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(PLACE / "django-ca.db")}},
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_object_actions", "django_ca"],
    STORAGES=dict.fromkeys(("default", "staticfiles", "django-ca"), STORAGE),
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    CA_DEFAULT_HOSTNAME=f"127.0.0.1:{PORT}",
    CA_USE_CELERY=False,
    CA_ENABLE_ACME=False,
)
urls: Any = types.ModuleType("peer_urls")
sys.modules["peer_urls"] = urls

import django  # noqa: E402

django.setup()

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402
from django_ca.constants import ReasonFlags  # noqa: E402
from django_ca.models import Certificate, CertificateAuthority  # noqa: E402
from django_ca.profiles import profiles  # noqa: E402

urls.urlpatterns = [path("django_ca/", include("django_ca.urls"))]
STATES = {
    "good": None,
    "hold": ReasonFlags.certificate_hold,
    "superseded": ReasonFlags.superseded,
    "compromised": ReasonFlags.key_compromise,
    "unknown": None,
}


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        pass


def main() -> None:
    call_command("migrate", verbosity=0)
    ca = made_ca()
    options = ca.key_backend.use_model.model_validate({}, context={"ca": ca, "backend": ca.key_backend}, strict=True)
    ca.generate_ocsp_key(options)
    told = {"ca": ca.pub.pem}
    for state, reason in STATES.items():
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{state}.example")])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name)
        signed = csr.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        made = Certificate.objects.create_cert(
            ca, options, signed, profiles["webserver"], subject=name, not_after=timedelta(days=30)
        )
        told[state] = made.pub.pem
        if reason is not None:
            made.revoke(reason)
        if state == "unknown":
            made.delete()
    ca.generate_crls(options, force=True)  # an empty one was made with the CA
    with make_server("127.0.0.1", PORT, get_wsgi_application(), handler_class=Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(json.dumps(told), flush=True)  # noqa: T201
        sys.stdin.read()
        server.shutdown()


def made_ca() -> CertificateAuthority:
    """It names its serial on stdout, which is not the place."""
    words = ["--key-type=EC", "--elliptic-curve=secp256r1", "Peer", "CN=Peer CA,O=Peer,C=VN"]
    with contextlib.redirect_stdout(sys.stderr):
        call_command("init_ca", *words)
    return CertificateAuthority.objects.get()


main()
