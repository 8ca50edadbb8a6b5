"""Every path that the tests of paths, answers and traces build is put before pyhanko-certvalidator too; both must agree."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import ModuleType

import pytest
import support_second_path as second

import safetok.trust.answer
import safetok.trust.trace
from safetok.domain.certificates import Certificate, parse
from safetok.errors import NotTrusted
from safetok.trust.path import build_path

UNIT = Path(__file__).resolve().parents[1] / "unit"


def _module(name: str) -> ModuleType:
    """A test module of another folder, as one of this folder."""
    spec = importlib.util.spec_from_file_location(f"again_{name}", UNIT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


PATHS, ANSWERS, TRACES = _module("test_trust_path"), _module("test_trust_answer"), _module("test_trust_trace")


@pytest.fixture(autouse=True)
def asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """`build_path` asks the other one too, and fails where they differ."""

    def both(
        certificate: Certificate, *, intermediates: Sequence[bytes], anchors: Sequence[Certificate], at: datetime
    ) -> tuple[Certificate, ...]:
        other = second.path(certificate, intermediates, anchors, at)
        try:
            chain = build_path(certificate, intermediates=intermediates, anchors=anchors, at=at)
        except NotTrusted:
            if other is not None:  # RFC 5280 asks no validity of an anchor; safetok does
                anchor = parse(other[-1])
                assert not anchor.not_before <= at <= anchor.not_after, "pyhanko finds a path where safetok finds none"
            raise
        assert other is not None, "safetok finds a path where pyhanko finds none"
        assert other[0] == chain[0].der
        assert other[-1] in [anchor.der for anchor in anchors]
        return chain

    monkeypatch.setattr(PATHS, "build_path", both)
    monkeypatch.setattr(safetok.trust.answer, "build_path", both)
    monkeypatch.setattr(safetok.trust.trace, "build_path", both)


# the other one is told to know no weak hash, and asks nothing of an anchor but its name and key (RFC 5280 section 6.1.1)
APART = ("outdated_hash", "anchor_too_may_sign")
for _name, _test in (*vars(PATHS).items(), *vars(ANSWERS).items(), *vars(TRACES).items()):
    if _name.startswith("test_") and not any(part in _name for part in APART):
        globals()[f"{_name}_by_two"] = _test
