"""The kill matrix with other faults: the token pulled out, the driver crashing, requests and answers of the CA lost on the way."""

from __future__ import annotations

import pytest
from kill_matrix import ROUTES
from support_matrices import Faults
from support_stage import Stage

SHARDS = 2


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("route", ["new"])
def test_the_token_pulled_out_at_every_call(stage: Stage, route: str, shard: int) -> None:
    """Pulled before or after any driver call, put in again, carried on: the end is that of an undisturbed renewal."""
    matrix = Faults(stage, ROUTES[route])
    kills = [matrix.spoil(place, "remove") for place in matrix.pulls()[shard::SHARDS]]
    assert kills
    assert not any(kill.wrong for kill in kills), "\n".join(kill.line() for kill in kills if kill.wrong)


@pytest.mark.parametrize("route", ["same", "forgetful"])
def test_each_answer_of_the_ca_lost(stage: Stage, route: str) -> None:
    """A request that never arrives, an answer that is lost or cut in half: asked again, and issued once."""
    matrix = Faults(stage, ROUTES[route])
    kills = [matrix.spoil(place, word) for place, word in matrix.losses()]
    assert kills
    assert not any(kill.wrong for kill in kills), "\n".join(kill.line() for kill in kills if kill.wrong)


def test_the_driver_crashes_at_every_call_that_changes_something(stage: Stage) -> None:
    """A segfault before or after each login, signature, key and write: told as the driver's failure, and carried on."""
    matrix = Faults(stage, ROUTES["new"])
    places = [place for place in matrix.pulls() if matrix.events[place].changes]
    kills = [matrix.spoil(place, "crash") for place in places]
    assert kills
    assert not any(kill.wrong for kill in kills), "\n".join(kill.line() for kill in kills if kill.wrong)
    assert {kill.statuses[0] for kill in kills} <= {0, 17}  # 0: the last logout, when all is done
