"""Many tokens at once: one token is made by SoftHSM's own tools, the others are copies with their own serial and certificate."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import tomli_w
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from safetok.domain.times import system_clock
from safetok.sandbox import pki as pki_module
from safetok.sandbox import process, profile, softhsm
from safetok.sandbox.books import Entry, write_register
from safetok.sandbox.pki import SAFE_NEW, SAFE_OLD
from safetok.sandbox.places import Places, write_json, write_private
from safetok.sandbox.softhsm import Bench
from safetok.sandbox.stories import owed_end
from safetok.store.paths import private_folder

PIN = "12345678"
CONTRACT_END = date(2028, 6, 30)
_WEIGHTS = (31, 29, 23, 19, 17, 13, 7, 5, 3)  # of the check digit


@dataclass
class Fleet:
    """A CA, `count` tokens that are owed a renewal, and a home; `serials` and `msts` in the same order."""

    folder: Path
    module: Path
    serials: list[str] = field(default_factory=list)
    msts: list[str] = field(default_factory=list)
    ca_url: str = ""

    @property
    def places(self) -> Places:
        return Places(self.folder)

    @property
    def environ(self) -> dict[str, str]:
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith(("SAFETOK_", "SOFTHSM2_", "PYTHON"))},
            "SAFETOK_HOME": str(self.places.home),
            "SAFETOK_MODULE": str(self.module),
            "SOFTHSM2_CONF": str(self.places.softhsm),
            "SAFETOK_LANG": "en",
        }

    def start(self) -> None:
        process.start(self.places)

    def stop(self) -> None:
        process.stop(self.places)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write_list(
        self, path: Path, rows: Sequence[int] | None = None, *, pin: str = "file:pin.txt", **extra: str
    ) -> Path:
        """A list of these tokens as Excel saves one, with the PIN in a file beside it."""
        chosen = range(len(self.serials)) if rows is None else rows
        heads = ["Token ID", "MST", "Ngày kết thúc hợp đồng", "Đã ký hết", "Nguồn PIN", *extra]
        lines = [";".join(heads)]
        for n in chosen:
            line = [self.serials[n], self.msts[n], f"{CONTRACT_END:%d/%m/%Y}", "có", pin, *extra.values()]
            lines.append(";".join(line))
        path.write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
        secret = path.parent / "pin.txt"
        if not secret.exists():
            write_private(secret, f"{PIN}\n".encode())
        return path


@contextmanager
def kept_fleet(count: int) -> Iterator[Fleet]:
    """So many tokens that are owed a renewal and their CA, in a folder of their own beside a copy of it; see `as_made`."""
    made = make_fleet(Path(tempfile.mkdtemp(prefix="safetok-fleet-", dir="/dev/shm")), count)
    shutil.copytree(made.folder, _kept(made))
    yield made
    shutil.rmtree(_kept(made))


@contextmanager
def as_made(fleet: Fleet) -> Iterator[Fleet]:
    """A kept fleet before anything was done with it, its CA running."""
    shutil.rmtree(fleet.folder, ignore_errors=True)
    shutil.copytree(_kept(fleet), fleet.folder)
    fleet.start()
    yield fleet
    fleet.stop()


def _kept(fleet: Fleet) -> Path:
    return fleet.folder.with_name(f"{fleet.folder.name}.kept")


def tax_codes(count: int) -> list[str]:
    """So many tax codes with a right check digit; a number whose digit would be ten is nobody's."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        digits = f"019{number:06d}"
        check = 10 - sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True)) % 11
        if check < 10:
            found.append(f"{digits}{check}")
        number += 1
    return found


def make_fleet(folder: Path, count: int, *, offers: bool = True) -> Fleet:
    """Build it; the CA is not started yet."""
    places, module, now = Places(folder), softhsm.module(), system_clock()
    for part in (places.ca, places.home, places.tokens, places.staging):
        private_folder(part)
    write_json(places.marker, {"complete": True})
    softhsm.write_config(places.softhsm, places.tokens)
    process.choose_port(places)
    keys: list[rsa.RSAPrivateKey] = pki_module.rsa_keys(5)
    pki = pki_module.create(process.base_url(places), owed_end(now), keys[:4])
    pki_module.save(pki, places.ca)
    key = keys[4]

    def issued(number: int) -> x509.Certificate:
        name = profile.subject(
            "safe-ca",
            f"CÔNG TY TNHH SỐ {number:05d}",
            uids=(f"MST:{codes[number]}",),
            email=f"ketoan@{number:05d}.example",
            street="Số 1 đường Thực Hành",
            province="TP.Hồ Chí Minh",
        )
        return profile.issue(
            pki.issuers[SAFE_OLD],
            pki.base,
            name=name,
            key=key.public_key(),
            extensions=profile.first_extensions("safe-ca", key.public_key(), f"ketoan@{number:05d}.example"),
            not_before=now - timedelta(days=400),
            not_after=owed_end(now),
        )

    codes = tax_codes(count)
    certificates = [issued(number) for number in range(count)]
    write_register(
        places.ca,
        tuple(
            Entry(
                serial=profile.serial_text(certificate),
                issuer=SAFE_OLD,
                subject=certificate.subject.rfc4514_string(),
                der=profile.der(certificate),
                not_after=certificate.not_valid_after_utc,
                offer=True,
                contract_number=f"HD-{number:05d}",
                contract_end=CONTRACT_END,
                dossier="complete",
            )
            for number, certificate in enumerate(certificates)
        ),
    )
    bench = Bench(places.staging / "template", module)
    first = bench.initialise("SAFE-CA V2 fleet", PIN)
    cka_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest
    bench.put_key(key, cka_id=cka_id, label="key", pin=PIN, token=first)
    bench.put_certificate(profile.der(certificates[0]), cka_id=cka_id, label="cert", pin=PIN)
    (template,) = (bench.folder / "tokens").iterdir()
    serials = [_copy(template, first, certificates[0], one, places.tokens) for one in certificates]
    shutil.rmtree(places.staging)
    url = process.base_url(places)
    authority = {
        "url": f"{url}/.well-known/cmp",
        "issuers": [str(places.ca / f"{SAFE_NEW}.pem"), str(places.ca / f"{SAFE_OLD}.pem")],
        "anchors": [str(places.ca / f"{pki_module.ROOT}.pem")],
        "private_addresses": True,
    } | ({"offers_url": url} if offers else {})
    settings = {"drivers": {"modules": [str(module)]}, "authorities": {"safe-ca": authority}}
    write_private(places.settings, tomli_w.dumps(settings).encode())
    return Fleet(folder, module, serials, codes, url)


def _copy(template: Path, first: str, old: x509.Certificate, new: x509.Certificate, tokens: Path) -> str:
    """A copy of the template under a new serial (16 characters, as SoftHSM writes them) with another certificate in it."""
    serial = secrets.token_hex(8)
    target = tokens / f"{secrets.token_hex(4)}-{secrets.token_hex(2)}-{serial[:4]}-{serial[4:8]}-{serial[8:]}"[:36]
    swaps = [(first.encode(), serial.encode())]
    swaps += [(profile.der(old), profile.der(new)), (old.subject.public_bytes(), new.subject.public_bytes())]
    swaps += [(_serial(old), _serial(new))]
    target.mkdir(mode=0o700)
    for file in template.iterdir():
        content = file.read_bytes()
        for before, after in swaps:
            assert len(before) == len(after), "a copy must be as long as its template"
            content = content.replace(before, after)
        (target / file.name).write_bytes(content)
        (target / file.name).chmod(0o600)
    return serial


def _serial(certificate: x509.Certificate) -> bytes:
    number = certificate.serial_number
    return number.to_bytes(number.bit_length() // 8 + 1, "big")
