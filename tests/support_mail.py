"""A company with one token and a CA that works by mail, for the tests of requests and certificates in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from support_trust import DAY, NOW, ca, ca_false, issue, key, name, places, usage

from safetok.domain.authorities import Authority
from safetok.domain.certificates import Certificate
from safetok.errors import PersonNeeded
from safetok.store.paths import home
from safetok.store.settings import Settings
from safetok.workflows.context import Context

SUBJECT = name("CÔNG TY TNHH MỘT THÀNH VIÊN A", "MST:0106324653")
USAGE = usage("digital_signature", "content_commitment")
ROOT = ca("Vietnam National Root CA")
ISSUER = ca("SAFE-CA 2024", "Vietnam National Root CA", ends=NOW + 1100 * DAY)
OLD = issue(
    SUBJECT, "SAFE-CA 2024", key("company"), key("SAFE-CA 2024"), [ca_false(), USAGE, *places()], ends=NOW + 20 * DAY
)


def answer(**bent: Any) -> Certificate:
    """The certificate that the CA sends, with something bent."""
    public, signer = bent.pop("public", key("company")), bent.pop("signer", key("SAFE-CA 2024"))
    given = {"begins": NOW, "ends": NOW + 400 * DAY, **bent}
    return issue(SUBJECT, "SAFE-CA 2024", public, signer, [ca_false(), USAGE], **given)


def answer_to(request: Path, **bent: Any) -> Certificate:
    """The certificate for the key and the subject in a request file, whose own signature holds."""
    csr = x509.load_pem_x509_csr(request.read_bytes())
    assert csr.is_signature_valid

    class Public:
        def public_key(self) -> Any:
            return csr.public_key()

    given = {"begins": NOW, "ends": NOW + 400 * DAY, **bent}
    return issue(csr.subject, "SAFE-CA 2024", Public(), key("SAFE-CA 2024"), [ca_false(), USAGE], **given)  # type: ignore[arg-type]


@dataclass
class Nobody:
    """A prompter that keeps what it was told and answers nothing."""

    interactive: bool = False
    told: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.told.append(text)

    def warn(self, text: str) -> None:
        self.told.append(text)

    def confirm(self, question: str, *, default: bool = False) -> bool:  # noqa: ARG002
        raise PersonNeeded(question)

    def line(self, question: str) -> str:
        raise PersonNeeded(question)

    def pin(self, question: str) -> str:
        raise PersonNeeded(question)

    def choose(self, question: str, options: Sequence[str]) -> int:  # noqa: ARG002
        raise PersonNeeded(question)


def surroundings(folder: Path, web: object, *, now: Callable[[], datetime] = lambda: NOW, **given: Any) -> Context:
    """A context with its home in `folder`, SAFE-CA's certificates in the settings, and `web` as the network."""
    for file, certificate in (("ca.pem", ISSUER), ("root.pem", ROOT)):
        (folder / file).write_bytes(certificate.x509().public_bytes(Encoding.PEM))
    authority = Authority(name="safe-ca", title="SAFE-CA", issuers=(folder / "ca.pem",), anchors=(folder / "root.pem",))
    authorities = given.pop("authorities", {"safe-ca": authority})
    settings = Settings(home=home({"SAFETOK_HOME": str(folder / "home")}), authorities=authorities)
    context = Context(settings=settings, prompter=Nobody(), clock=now, random=lambda n: bytes(range(1, n + 1)), **given)
    context._http = web  # type: ignore[assignment]
    return context
