"""The kill matrix: a renewal killed in every gap between two things it does, then carried on and judged by other programs.

    python -m tests.faults.kill_matrix [--random 500] [--seed 1] [--route same|new|mail|forgetful] [--report FILE]

Without `--random`: every gap in every mode, those before two routes part once. The gaps come from evidence: one run that nobody
kills is watched at the gate (driver calls, commits and CA requests in one order), and after each event stands a gap. Calls of the
driver that only look change nothing that outlives the process, and a row of signatures uses the key and changes nothing: each such
row is one event. The random kills fall anywhere, also among the looks and, by a delay, inside a call, a commit or the CA's work.
Modes:

    parent     SIGKILL to safetok alone; its worker ends what it has in hand, as in a closed terminal
    both       SIGKILL to safetok and its worker, as in a power cut
    overtaken  as parent, and while the worker is still inside its call another safetok comes

The report has a line a kill: route, gap, mode, the journal's state at death, the exit statuses afterwards, the verdict. A gap that
was not hit fails. What SoftHSM itself does when it is killed inside one of its own writes is told apart and counted: a token that
it lost, and a bare object, without a name or a value, that it left.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).parents[1]))

import support_judge as judge
from support_gate import Event, Hold
from support_stage import Case, Run, Stage

Mode = Literal["parent", "both", "overtaken"]
MODES: tuple[Mode, ...] = ("parent", "both", "overtaken")
SIGNS, LOOK = "C_Sign", "look"
WRITING = {"C_Login", "C_CreateObject", "C_GenerateKeyPair", "C_DestroyObject", "C_Logout", "C_SetPIN"}
ANSWER = "POST:/.well-known/cmp/keyupdate"
HELD, LOST = 16, 11  # exit statuses: another run holds the token; a person must act


@dataclass(frozen=True)
class Route:
    """One way to a new certificate."""

    name: str
    story: str
    new_key: bool = False
    mail: bool = False
    forgetful: bool = False
    begins: str = ""  # the first event in which it differs from the route of the same key


ROUTES = {
    route.name: route
    for route in (
        Route("same", "v1-owed"),
        Route("new", "ec-owed", new_key=True, begins="POST:/v1/offers begin"),
        Route("mail", "ec-owed", new_key=True, mail=True),
        Route("forgetful", "v1-owed", forgetful=True, begins=f"{ANSWER} begin"),  # the CA does not repeat an answer
    )
}


@dataclass
class Points:
    """Gives each event that opens a gap its place; None for the others. `looks`: a row of calls that only look counts too."""

    looks: bool = False
    names: list[str] = field(default_factory=list)
    _what: str = ""
    _row: set[str] = field(default_factory=set)

    def place(self, event: Event) -> int | None:
        what = event.what if event.changes else LOOK
        name = f"{what} {event.phase}"
        if what == LOOK and not self.looks:
            return None
        if what != self._what:
            self._what, self._row = what, set()
        elif what == LOOK or (what == SIGNS and name in self._row):
            return None
        self._row.add(name)
        self.names.append(name)
        return len(self.names) - 1


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it."""

    route: str
    gap: str
    mode: str
    state: str
    statuses: tuple[int, ...]
    wrong: tuple[str, ...] = ()
    softhsm: bool = False  # the token was lost by SoftHSM's own write
    bare: bool = False  # SoftHSM left a bare object of a call that was cut short

    def line(self) -> str:
        verdict = "SoftHSM's own loss" if self.softhsm else "; ".join(self.wrong) or "good"
        statuses = " ".join(map(str, self.statuses))
        return f"{self.route:10} {self.gap:48} {self.mode:10} {self.state:14} {statuses:12} {verdict}"


@dataclass
class Story:
    """The commands of one route on one case, in order; the same again is what a person does after a fault."""

    route: Route
    case: Case
    mailed: bytes | None = None
    torn: bool = False  # the worker was killed inside a call that writes

    @property
    def request(self) -> Path:
        return self.case.folder / "request.pem"

    def commands(self) -> Iterator[list[str]]:
        """What a person types from the start. The CA's mail comes between the two of the mail route."""
        company = self.case.company
        key = ["--new-key"] if self.route.new_key else []
        if not self.route.mail:
            yield [
                *("renew", "--serial", company.serial, "--yes", "--confirm-contract-end", company.contract_end),
                *("--pin-stdin", *key),
            ]
            return
        if judge.state_at_death(self.case) in {"-", "CONFIRMED", "KEY_MADE", "REQUESTED"}:
            yield ["renew", "--serial", company.serial, "--csr", str(self.request), "--pin-stdin", *key]
        if self.mailed is None:
            self.mailed = self.case.stage.by_mail(self.request)
        file = self.case.folder / "new.pem"
        file.write_bytes(self.mailed)
        yield ["certs", "install", str(file), "--pin-stdin"]

    def recover(self, *, again: bool) -> list[tuple[int, Run]]:
        """Carry on what is unfinished; then (`again`, or when nothing was) the same command, which must find nothing to do."""
        self.case.simulator.steer(gate=None)
        done: list[tuple[int, Run]] = []
        if not self.route.mail:
            run = self.case.start("renew", "--resume", "--pin-stdin", gated=False)
            done.append((run.wait(), run))
            if done[0][0] or not (again or judge.state_at_death(self.case) == "-"):
                return done
        for words in self.commands():
            run = self.case.start(*words, gated=False)
            done.append((run.wait(), run))
            if done[-1][0]:
                return done
        return done

    def faults(self, agencies: int | None) -> list[str]:
        """What the judge has against the end."""
        return judge.done(self.case, new_key=self.route.new_key, mailed=self.mailed, agencies=agencies, torn=self.torn)


class Matrix:
    """The kills of one route on one stage."""

    def __init__(self, stage: Stage, route: Route, *, plant: str = "") -> None:
        self.stage, self.route, self.plant = stage, route, plant
        self.names: list[str] = []
        self.raw = self.raw_changes = 0
        self.agencies: int | None = None
        self._record()

    def _case(self, *, looks: bool = False) -> Story:
        case = self.stage.case(self.route.story, forgetful=self.route.forgetful, plant=self.plant, looks=looks)
        return Story(self.route, case)

    def _record(self) -> None:
        """One run that nobody kills: its gaps, and that it is good as it is."""
        story, points = self._case(looks=True), Points()

        def decide(event: Event) -> str:
            points.place(event)
            self.raw += 1
            self.raw_changes += event.changes
            return "go"

        self.stage.gate.begin(decide)
        for words in story.commands():
            run = story.case.start(*words)
            assert run.wait() == 0, run.errors()
        story.case.stage.zygote.settle()
        wrong = story.faults(None)
        assert not wrong or self.plant, wrong
        self.names = points.names
        self.agencies = len(judge.query(story.case, "SELECT 1 FROM registrations"))
        story.case.close()

    def gaps(self) -> list[tuple[int, Mode]]:
        """Every gap in every mode that it has; overtaken only where the worker is inside a call."""
        found: list[tuple[int, Mode]] = []
        for place, name in enumerate(self.names):
            inside = name.startswith("C_") and name.endswith("begin") and not name.startswith("C_Logout")
            found += [(place, mode) for mode in MODES if mode != "overtaken" or inside]
        if self.route.begins:  # until then it is the route of the same key
            found = [(place, mode) for place, mode in found if place >= self.names.index(self.route.begins)]
        return found

    def kill(self, place: int, mode: Mode) -> Kill:
        """Kill in this gap, carry on, judge."""
        story, points, hold = self._case(), Points(), Hold()
        strayed: list[str] = []

        def decide(event: Event) -> Hold | str:
            if hold.event is not None:
                return "go"
            at = points.place(event)
            if at is not None and self.names[at : at + 1] != points.names[at:]:
                strayed.append(points.names[at])
            if at == place:
                hold.event = event
                return hold
            return "go"

        self.stage.gate.begin(decide)
        if not self._run_until(story, hold):
            return self._unhit(story, place, mode, f"not hit: {strayed or 'it ended before'}")
        killed = story.case.runs[-1]
        killed.kill(worker=mode == "both")
        killed.wait()
        state = judge.state_at_death(story.case)
        statuses = [self._overtake(story)] if mode == "overtaken" else []
        self._release(hold)
        wrong = [f"strayed: {strayed}"] if strayed else []
        return self._carry_on(story, self._gap(place), mode, state, statuses, wrong, may_lose=self._may_lose(place))

    def kill_at_random(self, chance: random.Random) -> Kill:
        """Kill after any event whatever (every other time one that changes something), at once or a little later, wherever the
        run is by then.
        """
        all_events = chance.random() < 0.5
        nth = chance.randrange(1, self.raw if all_events else self.raw_changes)
        delay = chance.choice([0.0, chance.uniform(0, 0.004), chance.uniform(0, 0.02)])
        mode: Mode = chance.choice(["parent", "both"])
        count = 0

        def due(event: Event) -> bool:
            nonlocal count
            count += all_events or event.changes
            return count == nth

        return self._kill_later(due, str(nth), delay, mode)

    def kill_inside(self, call: str, delay: float) -> Kill:
        """Kill it with its worker `delay` seconds after this call of the driver began."""
        return self._kill_later(lambda event: (event.what, event.phase) == (call, "begin"), "", delay, "both")

    def _kill_later(self, due: Callable[[Event], bool], name: str, delay: float, mode: Mode) -> Kill:
        """Kill `delay` seconds after the first event that is due, wherever the run is by then; carry on, judge."""
        story, hold = self._case(looks=True), Hold()

        def decide(event: Event) -> Hold | str:
            if hold.event is None and due(event):
                hold.event = event
                return hold
            return "go"

        self.stage.gate.begin(decide)
        if not self._run_until(story, hold):
            return self._unhit(story, 0, mode, "the run was shorter than the recorded one")
        assert hold.event is not None
        killed = story.case.runs[-1]
        if delay:
            hold.let_go()
            time.sleep(delay)
        killed.kill(worker=mode == "both")
        killed.wait()
        last = self.stage.gate.trace[-1]
        state = judge.state_at_death(story.case)
        self._release(hold)
        gap = f"{name} {hold.event.name} +{delay * 1000:.1f} ms, last {last.name}".lstrip()
        story.torn = mode == "both" and last.what in WRITING and last.phase == "begin"
        if story.torn and judge.old_is_whole(story.case):
            story.case.close()
            return Kill(self.route.name, gap, mode, state, (), softhsm=True)
        may_lose = self.route.forgetful and state == "REQUESTED"
        return self._carry_on(story, gap, mode, state, [], [], may_lose=may_lose)

    def _run_until(self, story: Story, hold: Hold) -> bool:
        """Go through the commands until the gate holds one of them back; whether it did."""
        for words in story.commands():
            run = story.case.start(*words)
            if not run.ends_or(hold.seen):
                return True
            run.wait()
        return hold.seen.is_set()

    def _overtake(self, story: Story) -> int:
        """Another run, while the worker of the killed one is still inside its call."""
        words = next(iter(story.commands()))
        return story.case.start(*words, gated=False).wait()

    def _release(self, hold: Hold) -> None:
        """Let the held event go and wait until nothing of the run is left, at the CA too."""
        hold.let_go()
        self.stage.zygote.settle()
        event, until = hold.event, time.monotonic() + 30
        if event is not None and not event.pid and event.phase == "begin":
            trace = self.stage.gate.trace
            since = next((at for at, one in enumerate(trace) if one is event), 0)
            while not any(e.what == event.what and e.phase == "end" for e in trace[since:]):
                assert time.monotonic() < until, event
                time.sleep(0.002)

    def _carry_on(
        self, story: Story, gap: str, mode: str, state: str, statuses: list[int], wrong: list[str], *, may_lose: bool
    ) -> Kill:
        ended = story.recover(again=mode != "parent")
        statuses += [status for status, _run in ended]
        last_status, last = ended[-1]
        if last_status == LOST and may_lose and last.codes() == ["answer_lost"]:
            wrong += judge.old_is_whole(story.case) + self._lost(story, last)
        elif last_status:
            wrong += [f"ended {last_status} {last.codes()}: {last.errors()[-300:]}", *story.faults(self.agencies)]
        else:
            wrong += story.faults(self.agencies)
        bare = story.torn and not wrong and bool(judge.Token(story.case).torn)
        story.case.close()
        return Kill(self.route.name, gap, mode, state, tuple(statuses), tuple(wrong), bare=bare)

    def _lost(self, story: Story, run: Run) -> list[str]:
        """An answer lost at a CA that does not repeat it: one issue, unconfirmed, and the transaction is told."""
        rows = [(row["state"], row["transaction"].upper()) for row in story.case.ledger]
        if len(judge.Token(story.case).of("Certificate")) != 1:
            return ["lost, with the new certificate on the token"]
        said = str(run.envelope())
        if len(rows) != 1 or rows[0][0] != "issued" or rows[0][1] not in said:
            return [f"lost, with the ledger {rows}"]
        return []

    def _may_lose(self, place: int) -> bool:
        """Only while the answer is on its way and its commit not done may a CA that does not repeat it lose it for good."""
        if not self.route.forgetful:
            return False
        first = self.names.index(f"{ANSWER} begin")
        stored = self.names.index("commit end", first)
        return first <= place < stored

    def _gap(self, place: int) -> str:
        after = self.names[place + 1] if place + 1 < len(self.names) else "the end"
        return f"{place:2} {self.names[place]} | {after}".replace("/.well-known/cmp", "")

    def _unhit(self, story: Story, place: int, mode: str, why: str) -> Kill:
        story.case.close()
        return Kill(self.route.name, self._gap(place), mode, "?", (), (why,))


def report(kills: list[Kill]) -> str:
    """The lines, and what they come to."""
    by_state = Counter((kill.mode, kill.state) for kill in kills)
    bad = [kill for kill in kills if kill.wrong]
    lines = [kill.line() for kill in kills]
    lines += ["", *(f"{count:5} {mode} in {state}" for (mode, state), count in sorted(by_state.items()))]
    lost, bare = sum(kill.softhsm for kill in kills), sum(kill.bare for kill in kills)
    lines += [
        "",
        f"{len(kills)} kills: {len(kills) - len(bad) - lost} good, {len(bad)} bad, {lost} lost by SoftHSM itself",
        f"{bare} of the good beside a bare object that SoftHSM left",
    ]
    return "\n".join(lines) + "\n"


def _kills(matrices: list[Matrix], wanted: int, chance: random.Random) -> Iterator[Kill]:
    if wanted:
        yield from (chance.choice(matrices).kill_at_random(chance) for _n in range(wanted))
    else:
        yield from (matrix.kill(place, mode) for matrix in matrices for place, mode in matrix.gaps())


def main() -> int:
    """Run what the command line asks for; 1 when any kill went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", type=int, default=0, metavar="N", help="N random kills instead of every gap")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--route", choices=ROUTES, action="append")
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder goes
    folder = Path(tempfile.mkdtemp(prefix="safetok-kill-", dir="/dev/shm"))
    stage = Stage(folder)
    began = time.monotonic()
    try:
        matrices = [Matrix(stage, ROUTES[name]) for name in given.route or ROUTES]
        chance = random.Random(given.seed)
        kills = []
        for kill in _kills(matrices, given.random, chance):
            kills.append(kill)
            print(kill.line(), file=sys.stderr, flush=True)  # noqa: T201  (it takes minutes: each as it comes)
    finally:
        stage.close()
        shutil.rmtree(folder, ignore_errors=True)
    text = f"{report(kills)}{time.monotonic() - began:.0f} s, seed {given.seed}, tokens on /dev/shm\n"
    if given.report:
        given.report.write_text(text)
    sys.stdout.write(text)
    return int(any(kill.wrong for kill in kills))


if __name__ == "__main__":
    sys.exit(main())
