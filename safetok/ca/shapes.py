"""The offers service as JSON Schemas (2020-12), for whoever builds a CA's end of it: schemas/*.json are written from here.

    python -m safetok.ca.shapes FOLDER

What safetok reads is the types that it decodes with; what it sends is the claims that a proof is signed over.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from safetok.ca import dossier, offers, problems, proof

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PRIVATE = re.compile(r'(?<=["/])_(?=[A-Z])')  # our types' names begin so, the schemas' do not
_KINDS = ["contract-over", "dossier-missing", "not-owed", "bad-proof", "certificate-revoked"]


class Claims(msgspec.Struct):
    """What the token signs (attached CMS SignedData, RFC 5652) to ask for an offer or about a dossier."""

    aud: str  # the exact address it is sent to
    purpose: Literal["offer", "dossier"]
    certID: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$")]  # noqa: N815  (RFC 9773 section 4.1)
    nonce: str  # base64url of 16 bytes, taken once
    time: Annotated[str, msgspec.Meta(pattern=r"Z$")]  # RFC 3339, at most five minutes off
    statement: str


def schemas() -> dict[str, bytes]:
    """The files, by name."""
    problem: dict[str, Any] = {
        "title": "Problem",
        "description": "A problem document (RFC 9457); other members and types are allowed and shown as text.",
        "type": "object",
        "properties": {
            "type": {"type": "string", "examples": [problems.PREFIX + kind for kind in _KINDS]},
            "title": {"type": "string"},
            "detail": {"type": "string"},
            "status": {"type": "integer"},
            "contract_end": {"type": "string", "format": "date", "description": "with contract-over"},
            "missing": {"type": "array", "items": {"type": "string"}, "description": "with dossier-missing"},
        },
        "required": ["type"],
    }
    claims = msgspec.json.schema(Claims)
    claims["$defs"]["Claims"]["properties"]["statement"]["const"] = proof.STATEMENT
    found = {
        "public-offer": msgspec.json.schema(offers._Public),
        "private-offer": msgspec.json.schema(offers._Private),
        "dossier": msgspec.json.schema(dossier._Dossier),
        "proof": claims,
        "problem": problem,
    }
    texts = {n: json.dumps({"$schema": _DIALECT, **s}, indent=2, ensure_ascii=False) for n, s in found.items()}
    return {f"{name}.json": (_PRIVATE.sub("", text) + "\n").encode() for name, text in texts.items()}


if __name__ == "__main__":
    for _name, _content in schemas().items():
        (Path(sys.argv[1]) / _name).write_bytes(_content)
