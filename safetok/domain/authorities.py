"""A CA as safetok knows it: whose certificates are its own, where it answers, and whom to call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from safetok.domain.certificates import Certificate
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.domain.acceptance import Acceptance

RequestKind = Literal["kur", "p10cr", "cr"]
Validity = Literal["exact", "ca"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PinPolicy:
    """What a CA says of its PINs: a mismatch asks once, it never refuses by itself."""

    min_length: int | None = None
    max_length: int | None = None
    tries: int = 3  # assumed where nothing is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Contacts:
    """How to reach a CA, as its notice prints it; `unlock` is the way to unlock a PIN."""

    lines: tuple[str, ...] = ()
    hotline: str = ""
    unlock: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """One CA: shipped facts of knowledge/authorities.toml with the user's settings laid over them.

    Certificates are files (`*.pem`), read where they are used. An empty `url` means that no endpoint is known.
    """

    name: str  # key in settings: "safe-ca"
    title: str  # "SAFE-CA"
    issuer_names: tuple[str, ...] = ()  # issuer CN prefixes from knowledge; only used where `issuers` is empty
    issuers: tuple[Path, ...] = ()
    protocol: Literal["cmp"] = "cmp"
    request: RequestKind = "kur"
    url: str = ""
    offers_url: str = ""
    anchors: tuple[Path, ...] = ()
    signer: Path | None = None
    recipient: str = ""
    tls_ca: Path | None = None
    profile: str = ""
    validity: Validity | None = None  # None: `exact` with offers, `ca` without
    implicit_confirm: bool = False
    pss: bool = False  # the CA wants RSASSA-PSS of RSA keys, not PKCS#1 v1.5
    renew_expired: bool = False
    private_addresses: bool = False
    pin_policy: PinPolicy = field(default_factory=PinPolicy)
    contacts: Contacts = field(default_factory=Contacts)
    acceptance: Mapping[str, Acceptance] = field(default_factory=dict)  # this CA's word on agencies, by their names
    dossier_lookup: str = ""  # the page where a person looks a dossier up

    @property
    def has_endpoint(self) -> bool:
        return bool(self.url)


def belongs(certificate: Certificate, authority: Authority, issuer_subjects: tuple[bytes, ...]) -> bool:
    """Whether a certificate is this authority's: its issuer name is one of its issuing CAs' subjects (`issuer_subjects`,
    the DER names of `authority.issuers`); only where none is configured, a CN prefix that knowledge states.
    """
    if issuer_subjects:
        return certificate.issuer_der in issuer_subjects
    return certificate.issuer_name.startswith(authority.issuer_names) if authority.issuer_names else False
