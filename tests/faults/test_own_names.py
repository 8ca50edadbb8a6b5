"""Tokens that name new keys themselves: the pair is found again where that is possible, and else nothing is destroyed."""

from __future__ import annotations

import pytest
import support_judge as judge
from kill_matrix import ROUTES, Story
from support_gate import Event, Hold
from support_stage import Stage


def _killed_after_the_key(stage: Stage, **traits: str) -> Story:
    """A renewal with a new key, killed with its worker when the key was just made."""
    story, hold = Story(ROUTES["new"], stage.case("ec-owed")), Hold()
    story.case.simulator.steer(**traits)

    def decide(event: Event) -> Hold | str:
        if event.name == "C_GenerateKeyPair end":
            hold.event = event
            return hold
        return "go"

    stage.gate.begin(decide)
    run = story.case.start(*next(iter(story.commands())))
    assert not run.ends_or(hold.seen)
    run.kill(worker=True)
    run.wait()
    hold.let_go()
    stage.zygote.settle()
    assert len(judge.Token(story.case).of("Private Key")) == 2
    return story


def test_an_id_of_the_token_s_own_is_kept_for_the_certificate(stage: Stage) -> None:
    """CKA_ID set by the token: the certificate gets it too, and the pair is whole for every other program."""
    story = Story(ROUTES["new"], stage.case("ec-owed"))
    story.case.simulator.steer(own_id="yes", own_label="yes", gate=None)
    assert story.case.start(*next(iter(story.commands())), gated=False).wait() == 0
    assert story.faults(None) == []
    story.case.close()


def test_a_label_is_enough_to_find_the_pair(stage: Stage) -> None:
    """Killed with the key made, CKA_ID set by the token, the label kept: the pair is adopted, no second one is made."""
    story = _killed_after_the_key(stage, own_id="yes")
    assert [status for status, _run in story.recover(again=True)] == [0, 0]
    assert story.faults(None) == []
    story.case.close()


def test_without_id_and_label_a_person_decides(stage: Stage) -> None:
    """Killed with the key made and none of its names kept: 11, the key is named, none is destroyed or made."""
    story = _killed_after_the_key(stage, own_id="yes", own_label="yes")
    ((status, run),) = story.recover(again=True)
    assert (status, run.codes()) == (11, ["key_unclear"])
    assert "container" in str(run.envelope())
    assert len(judge.Token(story.case).of("Private Key")) == 2
    assert judge.old_is_whole(story.case) == []
    assert story.case.ledger == []
    story.case.close()


@pytest.mark.parametrize("way", ["truncate 100", "truncate 0"])
def test_a_write_cut_short_is_written_again(stage: Stage, way: str) -> None:
    """The token took a part of the certificate and said it was well: it holds, and the next run leaves one whole certificate."""
    story = Story(ROUTES["same"], stage.case("v1-owed"))
    story.case.simulator.steer(gate=None, faults=[f"C_CreateObject 1 {way}"])
    assert story.case.start(*next(iter(story.commands())), gated=False).wait() == 10
    assert [status for status, _run in story.recover(again=True)] == [0, 0]
    assert story.faults(None) == []
    story.case.close()
