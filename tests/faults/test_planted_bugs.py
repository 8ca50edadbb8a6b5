"""Tests of the test: three bugs planted on purpose, each of which the kill matrix must turn red."""

from __future__ import annotations

import pytest
from kill_matrix import ROUTES, Matrix
from support_stage import Stage

WRITES = "C_CreateObject"


@pytest.mark.parametrize(
    ("plant", "route", "mode", "found"),
    [
        ("no_look", "same", "both", "certificates"),
        ("late_answer", "forgetful", "both", "lost, with the new certificate on the token"),
        ("lock_in_parent", "same", "overtaken", "certificates"),
    ],
)
def test_a_planted_bug_turns_the_matrix_red(stage: Stage, plant: str, route: str, mode: str, found: str) -> None:
    """No look before the write; the answer stored after it; the token's lock not held by the worker: each is found, and only so."""
    matrix = Matrix(stage, ROUTES[route], plant=plant)
    around = [place for place, name in enumerate(matrix.names) if name.startswith(WRITES)]
    gaps = [(place, m) for place, m in matrix.gaps() if place in around and m == mode]
    planted = [matrix.kill(place, m) for place, m in gaps]
    assert any(found in " ".join(kill.wrong) for kill in planted), planted
    honest = Matrix(stage, ROUTES[route])
    assert not any(honest.kill(place, m).wrong for place, m in gaps if place < len(honest.names))
