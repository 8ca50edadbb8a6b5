from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from support_ca import counting, secret, subscriber
from support_trust import NOW

from safetok.ca import proof, shapes
from safetok.ca.offers import ask_with_proof
from safetok.domain.authorities import Authority
from safetok.net import Response

FOLDER = Path(shapes.__file__).parent / "schemas"


def test_the_shipped_schemas_are_current() -> None:
    """What a CA's builder reads is what safetok decodes with."""
    stale = [name for name, content in shapes.schemas().items() if (FOLDER / name).read_bytes() != content]
    assert stale == [], f"run: {sys.executable} -m safetok.ca.shapes {FOLDER}"
    assert {path.name for path in FOLDER.iterdir()} == {*shapes.schemas()}


def test_what_is_signed_has_the_shape_that_is_shipped() -> None:
    """The claims of a proof are those of the schema: no more, no fewer, each as it says."""

    class Wire:
        body = b""

        def ca(self, _method: str, _url: str, *, body: bytes, **_how: Any) -> Response:
            self.body = body
            return Response(status=200)

    wire = Wire()
    how: dict[str, Any] = {"path": "/v1/offers", "purpose": "offer", "now": NOW, "random": counting()}
    authority = Authority(name="x", title="X", offers_url="https://x")
    ask_with_proof(wire, authority, subscriber(), secret(), **how)  # type: ignore[arg-type]
    claims, _certificate = proof.verify(wire.body)
    schema = json.loads((FOLDER / "proof.json").read_bytes())["$defs"]["Claims"]
    assert {*claims} == {*schema["properties"]} == {*schema["required"]}
    assert claims["statement"] == schema["properties"]["statement"]["const"]
    assert claims["purpose"] in schema["properties"]["purpose"]["enum"]
    for name in ("certID", "time"):
        assert re.search(schema["properties"][name]["pattern"], claims[name])
