"""Promises 1 to 3: whenever safetok is killed, nothing is lost, nothing is issued twice, and no key is left behind."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest
from kill_matrix import ROUTES, Kill, Matrix, report
from support_stage import Stage

SHARDS = 2  # of each route, for as many processes
SEED, RANDOM = 20261122, 60


@cache
def recorded(stage: Stage, route: str) -> Matrix:
    """A route's matrix, recorded once for all tests of a process."""
    return Matrix(stage, ROUTES[route])


def _good(kills: list[Kill], tmp_path: Path) -> None:
    text = report(kills)
    (tmp_path / "report.txt").write_text(text)
    assert kills
    assert not any(kill.wrong for kill in kills), "\n".join(kill.line() for kill in kills if kill.wrong)


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("route", ROUTES)
def test_killed_in_every_gap(stage: Stage, route: str, shard: int, tmp_path: Path) -> None:
    """SIGKILL in each gap between two driver calls, commits or CA requests, to safetok alone, with its worker, and overtaken."""
    matrix = recorded(stage, route)
    _good([matrix.kill(place, mode) for place, mode in matrix.gaps()[shard::SHARDS]], tmp_path)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_killed_at_random(stage: Stage, shard: int, tmp_path: Path) -> None:
    """Sixty seeded kills anywhere, between calls and inside them; 500 by `python -m tests.faults.kill_matrix --random 500`."""
    chance = random.Random(SEED + shard)
    matrices = [recorded(stage, route) for route in ROUTES]
    kills = [chance.choice(matrices).kill_at_random(chance) for _kill in range(RANDOM // SHARDS)]
    _good(kills, tmp_path)


def test_killed_inside_the_writing(stage: Stage, tmp_path: Path) -> None:
    """Killed with its worker while the token stores the certificate: what SoftHSM leaves of it is in nobody's way."""
    matrix = recorded(stage, "same")
    _good([matrix.kill_inside("C_CreateObject", step / 10_000) for step in range(8)], tmp_path)
