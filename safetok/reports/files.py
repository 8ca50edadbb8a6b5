"""Certificates as files: PEM, DER, chain, PKCS#7, under names that are safe everywhere; what is there is never overwritten."""

from __future__ import annotations

import base64
import errno
import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from safetok.domain.certificates import Certificate
from safetok.errors import UsageError
from safetok.locale import _, why

_UNSAFE = re.compile(r"[^0-9A-Za-z-]+")
LONGEST = 60


def stem(certificate: Certificate) -> str:
    """`0106324653_5401…`: the tax code and the serial, letters, digits and dashes alone, whatever the certificate says."""
    mst = _UNSAFE.sub("", certificate.mst or "")[:LONGEST] or "no-mst"
    return f"{mst}_{certificate.serial[:LONGEST]}"


def certificate_files(certificate: Certificate, chain: Sequence[Certificate]) -> dict[str, bytes]:
    """Name and content: the certificate as PEM and DER (`.cer`, what portals take), its chain (leaf first) as PEM and PKCS#7."""
    name = stem(certificate)
    whole = [certificate, *(one for one in chain if one.sha256 != certificate.sha256)]
    return {
        f"{name}.pem": pem(certificate.der),
        f"{name}.cer": certificate.der,
        f"{name}_chain.pem": b"".join(pem(one.der) for one in whole),
        f"{name}.p7b": pkcs7(whole),
    }


def pem(der: bytes) -> bytes:
    """RFC 7468: 64 characters a line."""
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode("ascii"), 64))
    return f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n".encode("ascii")


def pkcs7(certificates: Sequence[Certificate]) -> bytes:
    """A certificates-only SignedData, DER (RFC 5652 section 5)."""
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.hazmat.primitives.serialization import pkcs7 as writer

    return writer.serialize_certificates([one.x509() for one in certificates], Encoding.DER)


def write_all(folder: Path, files: Mapping[str, bytes], *, replace: bool = False, hint: str = "") -> list[Path]:
    """Write every file, each whole or not at all; one already there with the same content stays as it is.

    Without `replace`, UsageError `file_exists` before anything is written when one is there with other content; and where not all
    could be written, none is left.
    Raises UsageError `folder_unusable` when the folder cannot be written to, `not_a_file` as `write_file`. `hint` names the
    options of the caller's command.
    """
    made: list[Path] = []
    new_folder = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        differing = [name for name, content in files.items() if _differs(folder / name, content)]
        for name in differing:
            if not (folder / name).is_symlink():
                plain_file(folder / name)
        if differing and not replace:
            raise UsageError(
                _("{file} is there already, with other content. Nothing was written.").format(
                    file=folder / differing[0]
                ),
                code="file_exists",
                hint=hint,
            )
        for name, content in files.items():
            if name in differing or not (folder / name).exists():
                write_whole(folder / name, content)
                made.append(folder / name)
    except OSError as error:
        if not replace:
            _take_back(made, folder if new_folder else None)
        raise UsageError(
            _("The folder {folder} cannot be used: {why}.").format(folder=folder, why=why(error)),
            code="folder_unusable",
            hint=_more_room(error) or hint,
        ) from error
    return [folder / name for name in files]


def _take_back(made: Sequence[Path], folder: Path | None) -> None:
    """Half of what belongs together misleads whoever finds it."""
    with suppress(OSError):
        for path in made:
            path.unlink()
        if folder is not None:
            folder.rmdir()


def _more_room(error: OSError) -> str:
    """The next step on a full disk; empty for any other failure."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return _("Free some space on the disk, then run the command again.") if full else ""


def write_file(path: Path, content: bytes) -> Path:
    """Write the one file a person named, whole or not at all, in place of one that is there; a link is followed.

    Raises UsageError `not_a_file`, and `file_not_written` where its folder does not exist or cannot be written to.
    """
    try:
        file = Path(os.path.realpath(path))
        plain_file(file)
        if not file.parent.is_dir():
            raise UsageError(
                _("The folder of {file} does not exist.").format(file=path),
                code="file_not_written",
                hint=_("Give another name, or make the folder first."),
            )
        write_whole(file, content)
    except OSError as error:
        hint = _("Name another file.")
        if isinstance(error, PermissionError):  # Windows lets nobody replace what Excel has open
            hint = _("If it is open in another program, Excel say, close it there; or name another file.")
        raise UsageError(
            _("{file} could not be written: {why}.").format(file=path, why=why(error)),
            code="file_not_written",
            hint=_more_room(error) or hint,
        ) from error
    return path


def plain_file(path: Path) -> None:
    """Raise UsageError `not_a_file` for a folder, a device, a pipe or a socket: what is written whole or not at all takes the
    place of what is there, and a device must not be lost so.
    """
    if path.exists() and not path.is_file():
        raise UsageError(
            _("{file} is a folder.").format(file=path)
            if path.is_dir()
            else _("{file} is not a plain file (a device, a pipe or a socket).").format(file=path),
            code="not_a_file",
            hint=_("Name another file."),
        )


def _differs(path: Path, content: bytes) -> bool:
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return True
    return path.is_file() and path.read_bytes() != content


def write_whole(path: Path, content: bytes) -> None:
    """Into a file beside it first, then under its name in one step; a link under that name is replaced, not followed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.unlink(missing_ok=True)  # left by a killed run of the same number, as in a container
        with partial.open("xb") as file:
            file.write(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
