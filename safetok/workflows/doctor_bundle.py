"""The report for a support line: what `doctor` found and what it ran on; no PIN, and no names unless they are asked for."""

from __future__ import annotations

import getpass
import io
import json
import os
import platform
import re
import socket
import sys
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetok import __version__
from safetok.domain.times import rfc3339
from safetok.errors import SafetokError, UsageError
from safetok.locale import _, language, why
from safetok.log import discreet

if TYPE_CHECKING:
    from safetok.domain.certificates import Certificate
    from safetok.workflows.context import Context
    from safetok.workflows.doctor import Examination

_LIBRARIES = ("cryptography", "python-pkcs11", "asn1crypto", "urllib3", "keyring", "typer", "rich", "msgspec")
_SHORTEST = 3
_NUMBER = re.compile(r"(?<![0-9A-Fa-f-])\d{10}(?:-?\d{2,3})?(?![0-9A-Fa-f])")  # a tax code or a personal number


def write(context: Context, examination: Examination, file: Path, *, names: bool) -> Path:
    """Write the report (a zip of one JSON and one text file, readable by its owner alone) and return its whole path.

    Token IDs, certificate serials and driver paths stay in, for the support line needs them. Companies, people, tax codes,
    mail addresses, token labels, notes, this computer's and its user's name are replaced, unless `names`. Raises UsageError
    (`file_exists`, `file_not_written`).
    """
    report = _report(context, examination)
    document = json.dumps(report, ensure_ascii=False, indent=1)
    text = "\n".join(
        f"[{one['grade']}] {one['code']}: {one['message']}" + (f"\n    -> {one['step']}" if one["step"] else "")
        for one in report["findings"]
    )
    hide = discreet if names else _Redaction(context, examination)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("doctor.json", hide(document))
        packed.writestr("doctor.txt", hide(f"safetok {__version__}, {report['at']}\n\n{text}\n"))
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(handle, "wb") as opened:  # noqa: PTH123
                opened.write(content.getvalue())
        except OSError:
            with suppress(OSError):
                file.unlink()  # half of it is no report
            raise
    except FileExistsError as error:
        raise UsageError(
            _("{file} is there already, with other content. Nothing was written.").format(file=file),
            code="file_exists",
            hint=_("Name another file."),
        ) from error
    except OSError as error:
        raise UsageError(
            _("{file} could not be written: {why}.").format(file=file, why=why(error)),
            code="file_not_written",
            hint=_("Name another file."),
        ) from error
    return file.absolute()


def _report(context: Context, examination: Examination) -> dict[str, Any]:
    """Nothing is taken over whole: each field is named here."""
    return {
        "safetok": __version__,
        "at": rfc3339(context.now()),
        "language": language(),
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "home": str(context.settings.home.state),
        "findings": [one.data() for one in examination.findings],
        "drivers": [{"path": one.path, "source": one.source} for one in examination.drivers],
        "tokens": _tokens(examination),
        "authorities": [
            {"name": one.name, "endpoint": one.has_endpoint, "offers": bool(one.offers_url), "request": one.request}
            for one in context.settings.authorities.values()
        ],
        "renewals": _renewals(context),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _tokens(examination: Examination) -> list[dict[str, Any]]:
    return [
        {
            "serial": token.info.serial,
            "manufacturer": token.info.manufacturer,
            "model": token.info.model,
            "firmware": token.info.firmware,
            "hardware": token.info.hardware,
            "pin_state": token.info.pin_state,
            "pin_min": token.info.pin_min,
            "pin_max": token.info.pin_max,
            "pin_pad": token.info.pin_pad,
            "write_protected": token.info.write_protected,
            "free_public": token.info.free_public,
            "readable_only": token.info.readable_only,
            "unreadable": token.unreadable,
            "drivers": token.info.drivers,
            "certificates": [
                {
                    "serial": stored.certificate.serial,
                    "issuer": stored.certificate.issuer_name,
                    "not_before": rfc3339(stored.certificate.not_before),
                    "not_after": rfc3339(stored.certificate.not_after),
                    "key": stored.key,
                    "key_type": f"{stored.certificate.key_type} {stored.certificate.key_bits}",
                }
                for stored in token.certificates
            ],
        }
        for token in (examination.reading.tokens if examination.reading else ())
    ]


def _renewals(context: Context) -> list[dict[str, Any]]:
    """The last ways, state by state; what a CA said is left out."""
    from safetok.store.journal import Journal

    try:
        journal = Journal(context.database)
        return [
            {
                "id": renewal.id,
                "token": renewal.token_serial,
                "authority": renewal.authority,
                "way": [
                    {"at": rfc3339(event.at), "state": event.state, "hold": event.hold}
                    for event in journal.events(renewal.id)
                ],
            }
            for renewal in journal.all(limit=10)
        ]
    except SafetokError:  # a state that cannot be read is a finding already
        return []


class _Redaction:
    """Replaces what names somebody: everything known of companies and people, whatever looks like a tax code, this computer."""

    def __init__(self, context: Context, examination: Examination) -> None:
        words: dict[str, str] = {}
        for number, certificate in enumerate(_certificates(context, examination), 1):
            for text in _names(certificate):
                words.setdefault(text, f"<name {number}>")
        for token in examination.reading.tokens if examination.reading else ():
            words.setdefault(token.info.label, "<label>")
        words[socket.gethostname()] = "<computer>"
        with suppress(RuntimeError):  # a user without a home folder
            words[str(Path.home())] = "~"
        with suppress(OSError, KeyError):
            words[getpass.getuser()] = "<user>"
        # By how it begins: an office knows thousands of names, and each would else be looked for through the whole report.
        self._beginning: dict[str, list[tuple[str, str]]] = {}
        for text, instead in sorted(words.items(), key=lambda pair: len(pair[0]), reverse=True):
            for form in {text, json.dumps(text, ensure_ascii=False)[1:-1]} if len(text) >= _SHORTEST else ():
                self._beginning.setdefault(form[:_SHORTEST], []).append((form, instead))
        self._kept = _kept(examination)

    def __call__(self, text: str) -> str:
        hidden, shown, at = [], 0, 0
        while at < len(text):
            end, instead = self._named(text, at)
            if not instead:
                at += 1
                continue
            hidden += [text[shown:at], instead]
            while (at := at + 1) < end:  # names that run into each other are hidden to the end of the last
                end = max(end, self._named(text, at)[0])
            shown = at
        hidden.append(text[shown:])
        return discreet(_NUMBER.sub(lambda found: found[0] if found[0] in self._kept else "<number>", "".join(hidden)))

    def _named(self, text: str, at: int) -> tuple[int, str]:
        """Where the longest name that begins here, as a word of its own, ends, and what stands for it; 0 and nothing for none."""
        for form, instead in self._beginning.get(text[at : at + _SHORTEST], ()):
            end = at + len(form)
            if text.startswith(form, at) and not _letter(text[at - 1 : at]) and not _letter(text[end : end + 1]):
                return end, instead
        return 0, ""


def _letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _kept(examination: Examination) -> set[str]:
    """Numbers that look like tax codes and are none: Token IDs and serials."""
    kept: set[str] = set()
    for token in examination.reading.tokens if examination.reading else ():
        kept.add(token.info.serial)
        kept |= {stored.certificate.serial for stored in token.certificates}
    return kept


def _certificates(context: Context, examination: Examination) -> Iterable[Certificate]:
    from safetok.store.inventory import Inventory

    seen: dict[str, Certificate] = {}
    for token in examination.reading.tokens if examination.reading else ():
        seen |= {stored.certificate.sha256: stored.certificate for stored in token.certificates}
    with suppress(SafetokError):
        seen |= {kept.certificate.sha256: kept.certificate for kept in Inventory(context.database).everything()}
    return [one for one in seen.values() if not one.is_ca]


def _names(certificate: Certificate) -> list[str]:
    """Every value of the subject, and what its UIDs hold."""
    found = [certificate.subject_name, certificate.mst or "", certificate.personal_id or ""]
    found += [uid.partition(":")[2] for uid in certificate.uids]
    found += [str(one.value) for one in certificate.x509().subject if one.rfc4514_attribute_name != "C"]
    return [text for text in found if text]
