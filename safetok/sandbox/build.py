"""Making a sandbox from nothing: the CAs, the subscribers' certificates, the settings, and one token for each story."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import tomli_w
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from safetok.locale import _
from safetok.sandbox import pki as pki_module
from safetok.sandbox import process, profile, softhsm
from safetok.sandbox.books import Entry, write_register
from safetok.sandbox.pki import LCS, SAFE_NEW, SAFE_OLD, Pki, SubscriberKey
from safetok.sandbox.places import Places, write_private
from safetok.sandbox.softhsm import Bench
from safetok.sandbox.stories import Story, new_end, owed_end, stories
from safetok.store.paths import private_folder

AUTHORITIES = {"safe-ca": (SAFE_NEW, SAFE_OLD), "lcs-ca": (LCS,)}
STANDS_SINCE = timedelta(days=10)  # how long ago the suspended one was suspended, the revoked one revoked
PARALLEL = 4  # tokens in the making at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token of the sandbox, as `up --json` lists it."""

    serial: str
    label: str
    kind: str
    pin: str
    contract_end: str | None  # a day, ISO; None where nobody states it
    story: str


@dataclass(frozen=True, slots=True)
class Holder:
    """A story with the key and the certificates made for it; the second certificate is the vendor's window's."""

    story: Story
    key: SubscriberKey | None
    certificates: tuple[x509.Certificate, ...]


def build(places: Places, module: Path, now: datetime, say: Callable[[str], None]) -> tuple[Token, ...]:
    """Fill an empty folder. The CA is not started here. Raises DriverFailed when SoftHSM's tools do."""
    for folder in (places.ca, places.home, places.tokens, places.staging):
        private_folder(folder)
    softhsm.write_config(places.softhsm, places.tokens)
    process.choose_port(places)
    say(_("Making the keys and certificates of the CA and of every company…"))
    told = stories(now)
    keys = iter(pki_module.rsa_keys(len(AUTHORITIES) + 2 + sum(story.key == "RSA" for story in told)))
    pki = pki_module.create(process.base_url(places), owed_end(now), [next(keys) for _ca in range(4)])
    pki_module.save(pki, places.ca)
    holders = tuple(_holder(story, pki, keys, now) for story in told)
    write_register(places.ca, tuple(entry for holder in holders for entry in entries(holder, now)))
    _write_settings(places, module)
    say(_("Making {n} USB tokens in software…").format(n=len(holders)))
    with ThreadPoolExecutor(PARALLEL) as pool:
        serials = list(pool.map(lambda holder: _make(holder, places, module), holders))
    for holder in holders:
        Bench(places.staging / holder.story.name, module).move_to(places.tokens)
    places.staging.rmdir()
    return tuple(_token(holder.story, serial) for holder, serial in zip(holders, serials, strict=True))


def _token(story: Story, serial: str) -> Token:
    return Token(
        serial=serial,
        label=story.label,
        kind=story.kind,
        pin=story.pin,
        contract_end=story.contract_end.isoformat() if story.contract_end else None,
        story=story.name,
    )


def _holder(story: Story, pki: Pki, keys: Iterator[rsa.RSAPrivateKey], now: datetime) -> Holder:
    if story.key is None:
        return Holder(story, None, ())
    key: SubscriberKey = next(keys) if story.key == "RSA" else ec.generate_private_key(ec.SECP256R1())
    name = profile.subject(
        story.authority, story.company, uids=story.uids, email=story.email, street=story.street, province=story.province
    )
    extensions = profile.first_extensions(story.authority, key.public_key(), story.email)

    def issued(issuer: str, start: datetime, end: datetime) -> x509.Certificate:
        return profile.issue(
            pki.issuers[issuer],
            pki.base,
            name=name,
            key=key.public_key(),
            extensions=extensions,
            not_before=start,
            not_after=end,
        )

    first = issued(story.issuer, story.not_before, story.not_after)
    if not story.topped_up or story.contract_end is None:
        return Holder(story, key, (first,))
    return Holder(story, key, (first, issued(SAFE_NEW, now, new_end(story.contract_end))))


def entries(holder: Holder, now: datetime) -> Iterator[Entry]:
    """What the CA's register says of each of its certificates."""
    story = holder.story
    for number, certificate in enumerate(holder.certificates):
        yield Entry(
            serial=profile.serial_text(certificate),
            issuer=SAFE_NEW if number else story.issuer,
            subject=certificate.subject.rfc4514_string(),
            der=profile.der(certificate),
            not_after=certificate.not_valid_after_utc,
            standing=story.standing,
            since=now - STANDS_SINCE if story.standing != "good" else None,
            reason={"good": "", "suspended": "certificateHold", "revoked": "privilegeWithdrawn"}[story.standing],
            offer=story.offer,
            problem=story.problem,
            contract_number=story.contract_number,
            contract_end=story.contract_end,
            dossier=story.dossier,
            missing=story.missing,
        )


def _make(holder: Holder, places: Places, module: Path) -> str:
    """One token alone on its bench: initialised, the key imported, the certificates written; its serial."""
    story, bench = holder.story, Bench(places.staging / holder.story.name, module)
    serial = bench.initialise(story.label, story.pin)
    if holder.key is None:
        return serial
    cka_id = x509.SubjectKeyIdentifier.from_public_key(holder.key.public_key()).digest
    bench.put_key(holder.key, cka_id=cka_id, label=story.company, pin=story.pin, token=serial)
    for number, certificate in enumerate(holder.certificates):
        if number:  # the vendor's window wrote it after safetok had seen the token with the old one alone
            _look(bench, places, module)
        bench.put_certificate(profile.der(certificate), cka_id=cka_id, label=story.company, pin=story.pin)
    return serial


def _look(bench: Bench, places: Places, module: Path) -> None:
    """What a company did with safetok before it went to the vendor's window: look at its token once."""
    environment = {**bench.environment(), "SAFETOK_HOME": str(places.home), "SAFETOK_MODULE": str(module)}
    softhsm.run([sys.executable, "-P", "-m", "safetok", "tokens", "list", "--json"], environment)


def _write_settings(places: Places, module: Path) -> None:
    """The sandbox's settings.toml: its driver, both authorities with the CA's URLs, and labels that tell V1 from V2."""
    url = process.base_url(places)

    def pem(name: str) -> str:
        return str(places.ca / f"{name}.pem")

    authorities = {
        name: {
            "url": f"{url}/.well-known/cmp",
            "offers_url": url,
            "issuers": [pem(issuer) for issuer in issuers],
            "anchors": [pem(pki_module.ROOT)],
            "private_addresses": True,
        }
        for name, issuers in AUTHORITIES.items()
    }
    kinds = [
        {"kind": kind, "label": f"SAFE-CA {kind} *", "reason": _("the sandbox's label says {kind}").format(kind=kind)}
        for kind in ("V1", "V2")
    ]
    settings = {"drivers": {"modules": [str(module)]}, "kinds": kinds, "authorities": authorities}
    write_private(places.settings, tomli_w.dumps(settings).encode())
