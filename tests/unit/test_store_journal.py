"""The journal: what is committed is there, only the table's ways are open, and long histories cost nothing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from support_store import NOW, certificate, reading, renewal

from safetok.domain.registrations import registrations_for
from safetok.domain.renewal import ENDS, FOLLOWS, Hold, Renewal, State
from safetok.errors import Unexpected, UsageError
from safetok.knowledge import load
from safetok.store.answers import Answers
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.journal import Journal
from safetok.store.pins import PinLog
from safetok.store.registrations import Registrations


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "home" / "state.db") as opened:
        yield opened


def _filled(number: int = 1) -> Renewal:
    """A renewal with something in every field."""
    samples: dict[Any, Any] = {
        str: "văn bản",
        bytes: b"\x00\xff bytes",
        int: 3,
        bool: True,
        datetime: datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        date: date(2027, 12, 31),
    }
    values: dict[str, Any] = {}
    for name, kind in get_type_hints(Renewal).items():
        if name in {"id", "token_serial", "old_serial", "created_at", "updated_at", "authority"}:
            continue
        shown = str(kind)
        if name == "state":
            values[name] = State.CONFIRMED
        elif name == "hold":
            values[name] = Hold.NEED_PIN
        elif "Literal" in shown:
            values[name] = kind.__args__[-1] or kind.__args__[0]
        elif shown.startswith("tuple"):
            values[name] = (b"one", b"two") if "bytes" in shown else ("một", "hai")
        else:
            options = getattr(kind, "__args__", (kind,))
            values[name] = next(samples[option] for option in options if option in samples)
    return renewal(number, **values)


def test_every_field_comes_back_as_it_went(db: Database) -> None:
    """Whatever a renewal holds is read back equal, bytes and instants included."""
    kept = _filled()
    Journal(db).create(kept)
    assert Journal(db).get(kept.id) == kept
    empty = [f.name for f in dataclasses.fields(Renewal) if not getattr(kept, f.name)]
    assert empty == []


@pytest.mark.parametrize("start", list(State))
def test_only_the_ways_of_the_table_are_open(db: Database, start: State) -> None:
    """Any state may be followed by those that FOLLOWS names, and by no other."""
    journal = Journal(db)
    for number, end in enumerate(State):
        at = journal.create(renewal(number, state=start))
        if end in FOLLOWS[start]:
            assert journal.advance(at, end, now=NOW).state is end
        else:
            with pytest.raises(Unexpected) as refused:
                journal.advance(at, end, now=NOW)
            assert refused.value.code == "renewal_way"
            assert journal.get(at.id).state is start


def test_several_states_share_one_commit_and_every_one_is_an_event(db: Database) -> None:
    """Going through states at once leaves an event for each, and changes none when one of them is not open."""
    journal = Journal(db)
    at = journal.create(renewal())
    at = journal.advance(at, (State.REQUESTED, State.ISSUED), now=NOW + timedelta(seconds=1), answer=b"kup")
    assert [event.state for event in journal.events(at.id)] == [State.CONFIRMED, State.REQUESTED, State.ISSUED]
    with pytest.raises(Unexpected):
        journal.advance(at, (State.VERIFIED, State.DONE), now=NOW)
    assert journal.get(at.id) == at
    assert len(journal.events(at.id)) == 3


def test_a_failed_transaction_leaves_nothing(db: Database) -> None:
    """Steps inside one transaction are all there or none."""
    journal = Journal(db)
    at = journal.create(renewal())

    def fail() -> None:
        with db.transaction():
            journal.advance(at, State.REQUESTED, now=NOW)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert journal.get(at.id) == at


def test_what_was_committed_survives_another_process(db: Database, tmp_path: Path) -> None:
    """A renewal committed is seen by whoever opens the file next, without this one closing it."""
    Journal(db).create(renewal())
    with Database(db.path) as other:
        assert Journal(other).unfinished("54071505110001")[0].id == "r1"


def test_a_renewal_moved_by_another_run_is_not_moved_twice(db: Database) -> None:
    """Two runs holding the same renewal: the second is told, and changes nothing."""
    journal = Journal(db)
    seen = journal.create(renewal())
    journal.advance(seen, State.REQUESTED, now=NOW + timedelta(seconds=1))
    with pytest.raises(Unexpected) as refused:
        journal.update(seen, now=NOW, reason="late")
    assert refused.value.code == "renewal_changed"


def test_a_renewal_that_another_run_only_touched_is_not_moved_either(db: Database) -> None:
    """The state is the same, the row is not: what the other run wrote down there is not written over."""
    journal = Journal(db)
    seen = journal.create(renewal())
    touched = journal.update(seen, now=NOW + timedelta(seconds=1), sent_count=1)
    with pytest.raises(Unexpected) as refused:
        journal.advance(seen, State.REQUESTED, now=NOW + timedelta(seconds=2))
    assert refused.value.code == "renewal_changed"
    assert journal.get(seen.id) == touched


def test_each_field_changed_within_a_state_is_kept(db: Database) -> None:
    """Whichever field it is: what an update returns is what the next run reads."""
    journal = Journal(db)
    at = journal.create(renewal())
    whole = _filled()
    for name in (field.name for field in dataclasses.fields(Renewal)):
        if name in {"id", "state", "created_at", "updated_at"}:
            continue
        at = journal.update(at, now=at.updated_at + timedelta(seconds=1), **{name: getattr(whole, name)})
        assert journal.get(at.id) == at, name
    assert journal.renewed_from(hashlib.sha256(whole.certificate).hexdigest()) == at


def test_an_update_that_changes_nothing_still_finds_its_row(db: Database) -> None:
    """The same hold once more, in the same second: nothing is to be written, and one that another run has moved is refused."""
    journal = Journal(db)
    at = journal.create(renewal())
    assert journal.update(at, now=at.updated_at) == at == journal.get(at.id)
    journal.advance(at, State.REQUESTED, now=NOW + timedelta(seconds=1))
    with pytest.raises(Unexpected) as moved:
        journal.update(at, now=at.updated_at)
    assert moved.value.code == "renewal_changed"


def test_no_update_moves_a_state(db: Database) -> None:
    """Only `advance` does, by the table."""
    journal = Journal(db)
    at = journal.create(renewal())
    with pytest.raises(Unexpected) as refused:
        journal.update(at, now=NOW, state=State.DONE)
    assert refused.value.code == "renewal_way"
    assert journal.get(at.id) == at


def test_what_it_waited_for_is_over_with_the_next_state(db: Database) -> None:
    """Neither the hold nor its reason goes along, and of several states only the last one waits."""
    journal = Journal(db)
    at = journal.update(journal.create(renewal()), now=NOW, hold=Hold.NEED_TOKEN, reason="pulled out")
    at = journal.advance(at, State.REQUESTED, now=NOW)
    assert (at.hold, at.reason) == (None, "")
    assert journal.get(at.id) == at
    journal.advance(at, (State.ISSUED, State.VERIFIED), now=NOW, hold=Hold.NEED_SPACE, reason="full")
    waits = [(event.state, event.hold, event.reason) for event in journal.events(at.id)[-2:]]
    assert waits == [(State.ISSUED, None, ""), (State.VERIFIED, Hold.NEED_SPACE, "full")]


def test_each_sending_is_an_event_and_another_note_is_none(db: Database) -> None:
    """How often a message went out is seen in the history; the folder of the files is not a step of the way."""
    journal = Journal(db)
    at = journal.create(renewal())
    at = journal.update(at, now=NOW, sent_count=1)
    at = journal.update(at, now=NOW, sent_count=2)
    journal.update(at, now=NOW, kit="/folder")
    assert len(journal.events(at.id)) == 3


def test_finished_renewals_of_a_certificate_are_those_that_are_done(db: Database) -> None:
    """One that was given up renewed nothing, nor did one of another certificate or token."""
    journal = Journal(db)
    done = journal.create(renewal(state=State.DONE))
    for number, changes in enumerate(
        (
            {"state": State.ABANDONED},
            {"state": State.DONE, "old_serial": "01"},
            {"state": State.DONE, "token_serial": "x"},
        ),
        2,
    ):
        journal.create(renewal(**{"id": f"r{number}", **changes}))
    assert journal.done_with(done.token_serial, done.old_serial) == [done]


def test_the_unfinished_come_in_the_order_they_were_begun(db: Database) -> None:
    """Whatever chance made of their ids."""
    journal = Journal(db)
    for number, name in enumerate(("zz", "aa", "mm")):
        journal.create(renewal(id=name, old_serial=name, created_at=NOW + timedelta(seconds=number)))
    assert [one.id for one in journal.unfinished()] == ["zz", "aa", "mm"]


def test_no_second_renewal_of_a_certificate_under_way(db: Database) -> None:
    """A token's certificate has at most one renewal running; after its end another may start."""
    journal = Journal(db)
    first = journal.create(renewal())
    with pytest.raises(Unexpected) as refused:
        journal.create(renewal(id="r9"))
    assert refused.value.code == "renewal_running"
    journal.advance(first, State.ABANDONED, now=NOW)
    journal.create(renewal(id="r9"))
    assert [one.id for one in journal.unfinished()] == ["r1", "r9"]  # r1 has its clean-up outstanding


def test_a_hold_is_an_event_and_leaves_the_state(db: Database) -> None:
    """Why a renewal waits is kept with its time; the state stays."""
    journal = Journal(db)
    at = journal.update(journal.create(renewal()), now=NOW, hold=Hold.CA_UNREACHABLE, reason="time-out")
    assert (journal.get(at.id).state, journal.get(at.id).hold) == (State.CONFIRMED, Hold.CA_UNREACHABLE)
    assert journal.events(at.id)[-1].reason == "time-out"


def test_done_and_its_registrations_are_one_commit(db: Database) -> None:
    """DONE opens the new certificate's rows and sets the old one's aside, all together."""
    journal, registrations = Journal(db), Registrations(db)
    old, new = certificate(1), certificate(2, days=300)
    registrations.open_for(old, load.agencies(), NOW)
    at = journal.create(renewal(state=State.ACKNOWLEDGED, old_certificate=old.der, certificate=new.der))
    done = journal.finish(at, registrations.plan_for(new, load.agencies(), NOW), now=NOW)
    assert done.state is State.DONE
    assert journal.unfinished() == []
    assert {row.certificate for row in registrations.list(mst="0106324653")} == {new.serial}
    assert len(registrations.list(certificate=old.serial)) == 7
    assert journal.renewed_from(hashlib.sha256(new.der).hexdigest()) == done


def test_a_certificate_put_back_in_its_own_place_keeps_its_list(db: Database) -> None:
    """The CA gave the old certificate again: its rows are the current ones and do not step back."""
    journal, registrations = Journal(db), Registrations(db)
    same = certificate(1)
    at = journal.create(renewal(state=State.ACKNOWLEDGED, old_certificate=same.der, certificate=same.der))
    journal.finish(at, registrations.plan_for(same, load.agencies(), NOW), now=NOW)
    assert len(registrations.list(mst="0106324653")) == 7


def test_done_without_its_registrations_never_happens(db: Database) -> None:
    """When the rows cannot be written, the renewal is not DONE either."""
    journal = Journal(db)
    at = journal.create(renewal(state=State.ACKNOWLEDGED))
    rows = registrations_for(certificate(2), load.agencies(), {}, NOW)
    broken = [dataclasses.replace(one, certificate_sha256=None) for one in rows]  # type: ignore[arg-type]
    with pytest.raises(Unexpected):
        journal.finish(at, broken, now=NOW)
    assert journal.get(at.id).state is State.ACKNOWLEDGED


def test_ends_are_found_by_what_is_left_to_do(db: Database) -> None:
    """Unfinished are exactly those whose `finished` is False."""
    journal = Journal(db)
    for number, state in enumerate(State, 1):
        journal.create(renewal(number, state=state, cleaned=state in ENDS))
    assert {one.state for one in journal.unfinished()} == set(State) - set(ENDS)


def test_an_id_may_be_shortened_while_it_is_the_only_one(db: Database) -> None:
    """`get` takes a beginning of an id, and refuses none, two, or an empty one."""
    journal = Journal(db)
    journal.create(renewal(id="abc1", old_serial="abc1"))
    with pytest.raises(UsageError):
        journal.get("")
    journal.create(renewal(id="abd2", old_serial="abd2"))
    assert journal.get("abc").id == "abc1"
    journal.create(renewal(id="abc12", old_serial="longer"))
    assert journal.get("abc1").id == "abc1"
    for text in ("ab", "", "x", "abc%"):
        with pytest.raises(UsageError) as refused:
            journal.get(text)
        assert refused.value.code == "no_such_renewal"


def test_no_frequent_question_reads_a_whole_history(db: Database) -> None:
    """What `status`, `agencies` and a renewal ask is answered by an index on what is current, however long the history."""
    journal, inventory, registrations = Journal(db), Inventory(db), Registrations(db)
    at = journal.create(renewal())
    asked: list[str] = []
    connection = db._open()
    connection.set_trace_callback(asked.append)
    journal.unfinished()
    journal.unfinished("T1")
    journal.all(limit=20)
    journal.all(token_serial="T1", limit=20)
    journal.get("r1")
    journal.events("r1")
    journal.renewed_from("x")
    journal.contract_ends(["x", "y"])
    journal.update(at, now=NOW, reason="x")
    inventory.record(reading("T1", certificate(1)), NOW)
    inventory.record(reading("T1", certificate(1), certificate(2, days=390)), NOW + timedelta(days=1))
    inventory.appeared()
    inventory.certificates("T1")
    inventory.words(["T1"])
    inventory.contract_ends(["x"])
    inventory.ever_on(["T1", "T2"], {})
    Answers(db).offers(["x"])
    Answers(db).revocations(["x"])
    inventory.by_mst("0106324653")
    inventory.by_serial("AB")
    registrations.open_for(certificate(2), load.agencies(), NOW, replaces="x")
    registrations.list()
    for words in ({"mst": "1"}, {"certificate": "AB"}, {"token": "T1"}):
        registrations.list(**words)  # type: ignore[arg-type]
    PinLog(db).count("T1")
    connection.set_trace_callback(None)
    few = (
        "renewals_unfinished",
        "registrations_current",
        "appearances_waiting",
        "renewals_time",
    )  # read whole, or to a limit
    for question in {one for one in asked if one.startswith(("SELECT", "UPDATE", "INSERT"))}:
        for step in db.rows(f"EXPLAIN QUERY PLAN {question}"):
            detail = step["detail"]
            assert not detail.startswith("SCAN") or any(name in detail for name in few), f"{detail}: {question}"


@pytest.mark.parametrize("lines", [1, 7, 20, 41])
def test_a_killed_run_leaves_what_it_had_committed(tmp_path: Path, lines: int) -> None:
    """SIGKILL at any moment: everything a run had reported as kept is there, and a renewal's state is its last event's."""
    path = tmp_path / "home" / "state.db"
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\nfrom support_store import NOW, renewal\nfrom safetok.domain.renewal import State\n"
        "from safetok.store.database import Database\nfrom safetok.store.journal import Journal\n"
        "db = Database(Path(sys.argv[1])); journal = Journal(db); n = 0\n"
        "while True:\n"
        "    n += 1; at = journal.create(renewal(n)); print(n, at.state, flush=True)\n"
        "    for step in (State.REQUESTED, State.ISSUED, (State.VERIFIED, State.WRITTEN)):\n"
        "        at = journal.advance(at, step, now=NOW, answer=b'a' * 5000); print(n, at.state, flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(path), str(Path(__file__).parents[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        told = [running.stdout.readline().split() for _line in range(lines)]
        running.kill()
    with Database(path) as db:
        journal = Journal(db)
        kept = {one.id: one for one in journal.all()}
        order = list(State)
        for number, state in told:
            assert order.index(kept[f"r{number}"].state) >= order.index(State(state))
        for one in kept.values():
            assert journal.events(one.id)[-1].state is one.state


def test_a_row_of_an_older_safetok_is_read(db: Database) -> None:
    """One that keeps the field `notes`, which nobody filled, comes back as what it is; an unknown field is a damaged row."""
    made = Journal(db).create(renewal())
    (row,) = db.rows("SELECT rest FROM renewals")
    db.run("UPDATE renewals SET rest = ?", (json.dumps({**json.loads(row["rest"]), "notes": []}),))
    assert Journal(db).all() == [made]
    db.run("UPDATE renewals SET rest = ?", (json.dumps({**json.loads(row["rest"]), "of_tomorrow": []}),))
    with pytest.raises(Unexpected) as refused:
        Journal(db).all()
    assert refused.value.code == "state_damaged"
