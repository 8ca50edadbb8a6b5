"""Holds envelopes to the types of documents/, and writes the JSON Schemas that are shipped, with the list of error codes.

usage: python -m safetok.cli.conformance FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from safetok.cli.documents import (
    Document,
    Envelope,
    Version,
    agencies,
    batch,
    certificates,
    dossier,
    renewals,
    sandbox,
    settings,
    status,
    tokens,
)
from safetok.cli.envelope import FORMAT
from safetok.cli.error_codes import CODES
from safetok.domain.dossier import STEPS as DOSSIER_STEPS
from safetok.errors import ExitStatus

CODES_FILE = "error-codes.json"

# By command, as the envelope names it; several where a command answers in several ways.
DATA: dict[str, tuple[type[Document], ...]] = {
    "": (status.Next,),
    "version": (Version,),
    "status": (status.Status,),
    "tokens list": (tokens.Tokens,),
    "tokens set-kind": (tokens.KindSet,),
    "tokens note": (tokens.NoteKept,),
    "certs list": (certificates.Certificates,),
    "certs show": (certificates.Certificates,),
    "certs check": (certificates.Checked,),
    "certs adopt": (certificates.Adopted,),
    "certs install": (renewals.Renewal,),
    "certs prune": (certificates.Prune,),
    "renew": (renewals.Renewal, renewals.Renewals, renewals.Resumed),
    "export": (certificates.Exported, certificates.Message),
    "agencies list": (agencies.Agencies,),
    "agencies when": (agencies.Filings,),
    "agencies import": (agencies.Imported,),
    "agencies hooks": (agencies.Hooks,),
    "agencies remind": (agencies.Agencies, agencies.Unit),
    **dict.fromkeys(
        ("agencies done", "agencies accepted", "agencies reject", "agencies skip", "agencies add", "agencies undo"),
        (agencies.Recorded,),
    ),
    "dossier list": (dossier.Dossiers,),
    **dict.fromkeys(
        (f"dossier {word}" for word in ("start", "show", "record", "undo", *DOSSIER_STEPS)), (dossier.Dossier,)
    ),
    "contacts": (settings.Contacts,),
    "config": (settings.Config,),
    **dict.fromkeys(("pin store", "pin forget", "pin change"), (tokens.Pin,)),
    "pin import": (tokens.PinsImported,),
    "history": (renewals.History,),
    "doctor": (settings.Doctor,),
    "watch": (status.Happened, status.AtLogin),
    "batch plan": (batch.BatchPlan,),
    **dict.fromkeys(("batch run", "batch resume"), (batch.BatchRun,)),
    "batch report": (batch.BatchReport,),
    "sandbox up": (sandbox.Sandbox,),
    "sandbox down": (sandbox.Removed,),
    "sandbox demo": (sandbox.Demo,),
}


def check(document: dict[str, Any]) -> None:
    """Raise ValueError, saying where, when an envelope is not what its type says; an error's `data` may hold anything."""
    envelope = msgspec.convert(document, Envelope)
    ExitStatus(envelope.exit_code)
    if unlisted := [error.code for error in envelope.errors if error.code not in CODES]:
        raise ValueError(f"{envelope.command}: not in error_codes.py: {', '.join(unlisted)}")
    if envelope.status == "error":
        return
    complaints = []
    for kind in DATA[" ".join(envelope.command)]:
        try:
            msgspec.convert(document["data"], kind)
        except msgspec.ValidationError as error:
            complaints.append(f"{kind.__name__}: {error}")
        else:
            return
    raise ValueError(f"{envelope.command}: " + "; ".join(complaints))


def schemas() -> dict[str, bytes]:
    """The files of schemas/: one a command (JSON Schema 2020-12), named as the command with dashes, and the error codes."""
    of_commands = {
        f"{command.replace(' ', '-') or 'safetok'}.json": _schema(command, kinds) for command, kinds in DATA.items()
    }
    return {**of_commands, CODES_FILE: _codes()}


def _codes() -> bytes:
    """What `errors[].code` can be, a line each: the exit statuses of a run with this error alone, and what it means."""
    lines = [
        f'  "{code}": {json.dumps({"exit_codes": statuses, "meaning": meaning}, ensure_ascii=False)}'
        for code, (statuses, meaning) in CODES.items()
    ]
    head = (
        '{\n "title": "What `code` can be in the `errors` of an envelope; a code never changes once it is published",\n'
    )
    return (head + ' "codes": {\n' + ",\n".join(lines) + "\n }\n}\n").encode()


def _schema(command: str, kinds: tuple[type[Document], ...]) -> bytes:
    (envelope, *data), parts = msgspec.json.schema_components([Envelope, *kinds])
    for part in parts.values():
        part.pop("additionalProperties", None)
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"safetok {command} --json".replace("  ", " "),
        "$ref": envelope["$ref"],
        "if": {"properties": {"status": {"const": "error"}}},
        "else": {"properties": {"data": data[0] if len(data) == 1 else {"anyOf": data}}},
        "$defs": parts,
    }
    assert parts["Envelope"]["properties"]["safetok"] == {"enum": [FORMAT]}
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def main() -> None:
    """Write the schemas into the folder named."""
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, content in schemas().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
