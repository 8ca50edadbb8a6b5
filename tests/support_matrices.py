"""The other two matrices on the same stage: the token pulled out instead of the process killed, and the CA's answers lost."""

from __future__ import annotations

import sys
from pathlib import Path

from support_gate import Event
from support_judge import state_at_death
from support_stage import Stage

sys.path.insert(0, str(Path(__file__).parent / "faults"))

from kill_matrix import ANSWER, LOST, Kill, Matrix, Points, Route, Story

UNEXPECTED = 1
WORDS = ("lost", "half")


class Faults(Matrix):
    """A matrix whose faults are words at the gate: the run ends by itself, and is carried on."""

    def __init__(self, stage: Stage, route: Route) -> None:
        self.events: list[Event] = []
        self.all_names: list[str] = []
        super().__init__(stage, route)
        self._record_looks()

    def _record_looks(self) -> None:
        """Once more, with every row of looks as an event of its own."""
        story, points = self._case(looks=True), Points(looks=True)

        def decide(event: Event) -> str:
            if points.place(event) is not None:
                self.events.append(event)
            return "go"

        self.stage.gate.begin(decide)
        for words in story.commands():
            assert story.case.start(*words).wait() == 0
        story.case.close()
        self.all_names = points.names

    def pulls(self) -> list[int]:
        """Every place where a driver call begins or ends, among them the first of each row of looks."""
        return [place for place, event in enumerate(self.events) if event.of_driver]

    def losses(self) -> list[tuple[int, str]]:
        """Every CA request: never arrived; and every answer: lost, and cut in half."""
        at_ca = [(place, event) for place, event in enumerate(self.events) if not event.pid]
        arrivals = [(place, "lost") for place, event in at_ca if event.phase == "begin"]
        return arrivals + [(place, word) for place, event in at_ca if event.phase == "end" for word in WORDS]

    def spoil(self, place: int, word: str) -> Kill:
        """Say `word` at this place (`remove`, `lost`, `half`), let the run end, make it good again, carry on, judge."""
        story, points, hit = self._case(looks=True), Points(looks=True), []

        def decide(event: Event) -> str:
            if hit:
                return "go"
            if points.place(event) != place:
                return "go"
            hit.append(event)
            return word

        self.stage.gate.begin(decide)
        statuses: list[int] = []
        wrong: list[str] = []
        for words in story.commands():
            run = story.case.start(*words)
            statuses.append(run.wait())
            if statuses[-1] == UNEXPECTED:
                wrong.append(f"unexpected: {run.codes()} {run.errors()[-300:]}")
            if statuses[-1]:
                break
        self.stage.zygote.settle()
        if not hit:
            wrong.append("not hit")
        elif hit[0].name != self.events[place].name:
            wrong.append(f"strayed: {hit[0].name}")
        state = state_at_death(story.case)
        story.case.simulator.plug()
        gap = f"{place:3} {self.all_names[place]}"
        may_lose = self.route.forgetful and ANSWER in gap
        return self._carry_on(story, gap, word, state, statuses, wrong, may_lose=may_lose)


__all__ = ["LOST", "Faults", "Story"]
