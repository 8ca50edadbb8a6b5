"""Certificates in files: PEM, DER or PKCS#7, and their names without parsing the rest."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from safetok.domain.certificates import Certificate, parse
from safetok.errors import UsageError
from safetok.locale import _, why

LARGEST = 4 << 20  # bytes; a file of certificates is a few kilobytes

_BEGIN = re.compile(rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE|PKCS7|CMS)-----")
_PKCS7 = {b"PKCS7", b"CMS"}


def load_pem(path: Path) -> tuple[Certificate, ...]:
    """Every certificate in a PEM, DER or PKCS#7 file, in its order. Raises UsageError `bad_certificate_file`."""
    try:
        seen = path.stat()
    except OSError:
        return _loaded(path, 0, 0, 0)  # says why it cannot be read
    return _loaded(path, seen.st_mtime_ns, seen.st_size, seen.st_ino)


@lru_cache(maxsize=256)
def _loaded(path: Path, _changed: int, _size: int, _inode: int) -> tuple[Certificate, ...]:
    """Read once for as long as the file stays what it is: a batch asks for the same few with every row."""
    ders = read_ders(path)
    try:
        return tuple(parse(der) for der in ders)
    except UsageError as error:
        raise _bad(path) from error


def read_ders(path: Path) -> tuple[bytes, ...]:
    """The DER of every certificate in the file. Raises UsageError `bad_certificate_file` when there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(
            _("The file {file} cannot be read: {why}.").format(file=path, why=why(error)),
            code="bad_certificate_file",
            hint=_put_another_there(),
        ) from error
    try:
        found = _ders(_unmarked(data)) if len(data) <= LARGEST else ()
    except (ValueError, IndexError) as error:
        raise _bad(path) from error
    if not found:
        raise _bad(path)
    return found


def _unmarked(data: bytes) -> bytes:
    """What an editor or PowerShell kept as UTF-16 or behind a byte order mark, without it. Raises ValueError for half of UTF-16."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16").encode()
    return data.removeprefix(b"\xef\xbb\xbf")


@lru_cache(maxsize=256)
def subjects(path: Path) -> tuple[bytes, ...]:
    """The DER subject names of the certificates in a file: enough to tell whose CA it is, without loading `cryptography`."""
    try:
        return tuple(subject_of(der) for der in read_ders(path))
    except (ValueError, IndexError) as error:
        raise _bad(path) from error


def subject_of(der: bytes) -> bytes:
    """The subject field of a certificate, DER (RFC 5280 section 4.1). ValueError or IndexError when it is no certificate."""
    _, tbs_start, _ = _element(der, 0)
    _, at, _ = _element(der, tbs_start)
    tag, _, end = _element(der, at)
    if tag == 0xA0:  # noqa: PLR2004  ([0] version, absent in v1)
        at = end
    for _field in ("serialNumber", "signature", "issuer", "validity"):
        at = _element(der, at)[2]
    tag, _, end = _element(der, at)
    if tag != 0x30:  # noqa: PLR2004  (SEQUENCE: a Name)
        raise ValueError(tag)
    return der[at:end]


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag, first byte of the content, first byte after it (X.690; low tag numbers, definite lengths)."""
    tag, length, at = der[at], der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(der[at : at + count], "big"), at + count
    if at + length > len(der):
        raise ValueError(length)
    return tag, at, at + length


def _ders(data: bytes) -> tuple[bytes, ...]:
    blocks = list(_blocks(data))
    if not blocks:
        return _one(data)
    found: list[bytes] = []
    for label, body in blocks:
        der = base64.b64decode(b"".join(body.split()), validate=True)
        found += _from_pkcs7(der) if label in _PKCS7 else (der,)
    return tuple(found)


def _blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The label and the text of each block of certificates (RFC 7468); one without an end is passed over, each end sought once."""
    endless: set[bytes] = set()
    at = 0
    while (begun := _BEGIN.search(data, at)) is not None:
        label, at = begun[1], begun.end()
        end = -1 if label in endless else data.find(b"-----END " + label + b"-----", at)
        if end < 0:
            endless.add(label)
            continue
        yield label, data[at:end]
        at = end


def _one(data: bytes) -> tuple[bytes, ...]:
    """DER: a PKCS#7 starts with an object identifier, a certificate with a sequence; some portals hand out bare Base64."""
    if data[:1] != b"\x30":
        data = base64.b64decode(b"".join(data.split()), validate=True)
    _, content, end = _element(data, 0) if len(data) > 4 else (0, 0, 0)  # noqa: PLR2004
    if not end:
        return ()
    return _from_pkcs7(data) if data[content] == 0x06 else (data[:end],)  # noqa: PLR2004  (OBJECT IDENTIFIER)


def _from_pkcs7(data: bytes) -> tuple[bytes, ...]:
    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

    return tuple(one.public_bytes(Encoding.DER) for one in pkcs7.load_der_pkcs7_certificates(data))


def _bad(path: Path) -> UsageError:
    return UsageError(
        _("The file {file} holds no certificate that safetok can read.").format(file=path),
        code="bad_certificate_file",
        hint=_put_another_there(),
    )


def _put_another_there() -> str:
    return _("It must be a certificate as PEM, DER or PKCS#7; put the right file there, then run it again.")
