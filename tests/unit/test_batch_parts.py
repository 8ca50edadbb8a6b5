from __future__ import annotations

import csv
import io
import os
import stat
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock, patch

import openpyxl
import pytest

from safetok.cli.batch_progress import teller
from safetok.domain.plan import Plan, PlanRow, RowResult, RowState, Verdict
from safetok.domain.tokens import PinState
from safetok.errors import (
    CaUnreachable,
    CaWait,
    DriverFailed,
    NoToken,
    NotTrusted,
    PersonNeeded,
    PinRefused,
    PinWrong,
    SafetokError,
    UsageError,
)
from safetok.reports import batch as reports
from safetok.store import paths
from safetok.store.pins import PinLog
from safetok.store.settings import Settings
from safetok.tokens.pin_guard import PinGuard
from safetok.workflows.batch import plan_file, results, rows
from safetok.workflows.batch.course import Event
from safetok.workflows.batch.hands import GLANCES, Hands
from safetok.workflows.batch.pins import PinSources, file_of
from safetok.workflows.batch.planning import spread, working_days
from safetok.workflows.batch.queue import Queue, Task
from safetok.workflows.batch.quiet import Quiet
from safetok.workflows.batch.rows import comes_back_after
from safetok.workflows.context import Context

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.fixture
def context(tmp_path: Path) -> Any:
    home = paths.home({"SAFETOK_HOME": str(tmp_path / "home")})
    made = Context(settings=Settings(home=home, authorities={}), prompter=Quiet(), clock=lambda: NOW, random=bytes)
    yield made
    made.close()


def row(number: int = 2, **more: Any) -> PlanRow:
    return replace(
        PlanRow(row=number, verdict=Verdict.RENEW, token=f"t{number}", contract_end=date(2027, 12, 31)), **more
    )


def plan(context: Context, *rows: PlanRow) -> Plan:
    settings = plan_file.settings_hash(context.settings, ())
    return Plan(id="1f", made_at=NOW, manifest="/x/list.csv", folder="/x", settings=settings, rows=rows)


def test_a_plan_is_private_and_comes_back_as_it_was(context: Context, tmp_path: Path) -> None:
    """What was planned is what is read, from a file that only its owner can read."""
    made, path = plan(context, row(agencies=("vnaccs",), day=date(2026, 11, 24))), tmp_path / "p.json"
    plan_file.write(context, made, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert plan_file.read(context, path) == made


@pytest.mark.parametrize(("before", "after"), [("2027-12-31", "2028-12-31"), ('"t2"', '"t9"'), ("keyring", "env:X")])
def test_a_plan_that_was_changed_is_refused(context: Context, tmp_path: Path, before: str, after: str) -> None:
    """A date raised by hand, another token, another PIN source: the seal no longer holds."""
    path = tmp_path / "p.json"
    plan_file.write(context, plan(context, row()), path)
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(UsageError) as refused:
        plan_file.read(context, path)
    assert refused.value.code == "plan_changed"


def test_a_plan_that_others_can_write_is_refused(context: Context, tmp_path: Path) -> None:
    """A plan file with open permissions is not used."""
    path = tmp_path / "p.json"
    plan_file.write(context, plan(context, row()), path)
    path.chmod(0o644)
    with pytest.raises(UsageError) as refused:
        plan_file.read(context, path)
    assert refused.value.code == "plan_open"


def test_a_link_laid_in_a_shared_folder_leads_nowhere(context: Context, tmp_path: Path) -> None:
    """Under the name of the half-written plan, which others can foresee: what it leads to is not touched."""
    path, theirs = tmp_path / "p.json", tmp_path / "precious"
    theirs.write_text("mine")
    (tmp_path / f".p.json.{os.getpid()}").symlink_to(theirs)
    plan_file.write(context, plan(context, row()), path)
    assert (theirs.read_text(), path.is_symlink()) == ("mine", False)
    assert {one.name for one in tmp_path.iterdir()} == {"p.json", "precious", "home"}


@pytest.mark.parametrize("left", [b"", b"short", bytes(64)])
def test_a_seal_that_a_power_cut_left_short_seals_nothing(context: Context, tmp_path: Path, left: bytes) -> None:
    """It is made anew before it is used: a plan that anybody could have sealed with it is refused as changed."""
    seal = context.settings.home.ensure().state / "batch" / "seal"
    seal.parent.mkdir(mode=0o700)
    path = tmp_path / "p.json"
    with patch.object(plan_file, "_key", lambda _context: left):
        plan_file.write(context, plan(context, row()), path)
    seal.write_bytes(left)
    context.random = os.urandom
    with pytest.raises(UsageError) as refused:
        plan_file.read(context, path)
    assert refused.value.code == "plan_changed"
    assert (len(seal.read_bytes()), stat.S_IMODE(seal.stat().st_mode)) == (plan_file.KEY, 0o600)
    plan_file.write(context, plan(context, row()), path)
    assert plan_file.read(context, path) == plan(context, row())
    assert [file.name for file in seal.parent.iterdir()] == ["seal"]


@pytest.mark.parametrize("left", [None, b""])
def test_processes_that_begin_at_once_have_one_seal(tmp_path: Path, left: bytes | None) -> None:
    """Where there is none, or half of one, the first makes it and the others take that one."""
    home = paths.home({"SAFETOK_HOME": str(tmp_path / "home")})
    folder = home.ensure().state / "batch"
    folder.mkdir(mode=0o700)
    if left is not None:
        (folder / "seal").write_bytes(left)
    at_once, keys = threading.Barrier(4), list[bytes]()
    kept, looked = plan_file._kept, threading.local()

    def together(path: Path) -> bytes:
        found = kept(path)
        if not hasattr(looked, "once"):  # everybody has seen that there is none before anybody goes on
            looked.once = True
            at_once.wait(10)
        return found

    def take() -> None:
        own = Context(settings=Settings(home=home, authorities={}), prompter=Quiet(), random=os.urandom)
        keys.append(plan_file._key(own))
        own.close()

    with patch.object(plan_file, "_kept", together):
        threads = [threading.Thread(target=take) for _number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert keys == [(folder / "seal").read_bytes()] * 4


def test_a_seal_is_on_the_disk_before_it_has_its_name(context: Context) -> None:
    """Its bytes first, then the folder that names it: a power cut leaves a whole seal or none."""
    seal = context.settings.home.state / "batch" / "seal"
    named: list[bool] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        named.append(seal.exists())
        real(descriptor)

    with patch("os.fsync", fsync):
        plan_file._key(context)
    assert named == [False, True]


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"seal": 1}'])
def test_what_is_no_plan_is_said_to_be_none(context: Context, tmp_path: Path, text: str) -> None:
    """Any other file ends with a sentence, never with a traceback."""
    path = tmp_path / "p.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(UsageError):
        plan_file.read(context, path)


def test_days_take_so_many_rows_and_keep_groups_together() -> None:
    """--per-day 2: rows of a group follow each other, two a day; rows that are not run have no day."""
    rows = [row(2, group="b"), row(3, group="a"), row(4, group="a"), row(5, verdict=Verdict.REFUSED), row(6, group="b")]
    found = spread(rows, 2, date(2026, 11, 23), lambda day: day + timedelta(days=1))
    assert {r.row: r.day for r in found} == {
        2: date(2026, 11, 24),
        3: date(2026, 11, 23),
        4: date(2026, 11, 23),
        5: None,
        6: date(2026, 11, 24),
    }


def test_the_first_day_is_one_on_which_offices_work() -> None:
    """A plan made on a Sunday begins on Monday; one made on a working day begins that day."""
    sunday = datetime(2026, 11, 22, 3, tzinfo=UTC)
    first, following = working_days(sunday)
    assert (first, following(date(2026, 11, 27))) == (date(2026, 11, 23), date(2026, 11, 30))
    assert working_days(sunday + timedelta(days=2))[0] == date(2026, 11, 24)


def test_one_token_is_never_worked_on_twice_at_once() -> None:
    """Two companies on one token: the second row waits for the first to end."""
    queue = Queue(patience=10)
    first, second = Task(row=row(2), token="t"), Task(row=row(3), token="t")
    queue.put(first)
    queue.put(second)
    assert queue.take() is first
    taken: list[Task | None] = []
    waiting = threading.Thread(target=lambda: taken.append(queue.take()))
    waiting.start()
    assert queue.idle(9) == 0
    queue.done(first, answered=True)
    waiting.join(5)
    assert taken == [second]


def test_a_busy_ca_is_left_alone_longer_each_time_and_given_up_after_the_patience() -> None:
    """Without a Retry-After the pauses grow; when the row's patience is over it is put back no more."""
    now = [100.0]
    queue = Queue(patience=5, clock=lambda: now[0])
    task, pauses = Task(row=row(), token="t"), []
    queue.put(task)
    assert queue.take() is task
    while (pause := queue.again(task, 0.0)) is not None:
        pauses.append(pause)
        now[0] += pause
        assert queue.take() is task
    assert pauses == sorted(pauses)
    assert len(pauses) >= 3


def test_a_ca_that_stays_down_keeps_no_hundred_rows_waiting() -> None:
    """The patience is for all rows together: after it the others are tried once each, without a pause, and the run ends."""
    now, tried = [0.0], []
    queue = Queue(patience=300, clock=lambda: now[0])
    for number in range(100):
        queue.put(Task(row=row(number), token=f"t{number}"))
    while len({*tried}) < 100 or queue.idle(9):
        while not queue.idle(9):
            now[0] += 1
        task = queue.take()
        assert task is not None
        tried.append(task.row.row)
        if queue.again(task, 0.0) is None:
            queue.done(task, answered=False)
    assert now[0] < 2 * 300
    assert queue.take() is None


def test_a_retry_after_is_obeyed_to_the_second() -> None:
    """The CA's own word on when to come back is taken."""
    now = [0.0]
    queue = Queue(patience=100, clock=lambda: now[0])
    task = Task(row=row(), token="t")
    queue.put(task)
    assert queue.take() is task
    assert queue.again(task, 7.0) == 7.0
    assert queue.idle(9) == 0
    now[0] = 7.0
    assert queue.take() is task


def test_after_a_failure_one_row_alone_tries_whether_the_ca_is_back() -> None:
    """Rows that were under way together count as one failure; then a single one goes first, and the rest follow its success."""
    now = [0.0]
    queue = Queue(patience=100, clock=lambda: now[0])
    tasks = [Task(row=row(n), token=f"t{n}") for n in (2, 3, 4)]
    for task in tasks:
        queue.put(task)
    taken = [queue.take(), queue.take()]
    assert [queue.again(task, 0.0) for task in taken if task] == [0.5, 0.5]
    now[0] = 0.5
    probe = queue.take()
    assert probe is not None
    assert queue.idle(9) == 0
    queue.done(probe, answered=True)
    assert (queue.idle(9), queue.idle(1)) == (2, 1)


def test_a_closed_queue_gives_nothing_out() -> None:
    """After a stop no row is begun."""
    queue = Queue(patience=1)
    queue.put(Task(row=row(), token="t"))
    queue.close()
    assert queue.take() is None


def test_rows_that_wait_for_their_ca_wait_here_in_turn() -> None:
    """A CA that is busy is asked by nobody until it said; a rate spreads rows over a minute; what waits here is known."""
    now = [0.0]
    queue = Queue(patience=100, rate=6, clock=lambda: now[0])
    first, second = Task(row=row(2), token="a"), Task(row=row(3), token="b")
    queue.put(first)
    queue.put(second)
    assert queue.take() is first
    assert (queue.idle(9), queue.holds(2), queue.holds(3)) == (0, False, True)
    queue.hold(first, 30)
    queue.done(first, answered=True)
    now[0] = 29.0
    assert queue.idle(9) == 0
    now[0] = 30.0
    assert queue.take() is second


def test_a_row_that_ends_twice_is_counted_once_on_the_screen() -> None:
    """A token pulled out and put in again ends its row twice: the bar counts rows, and never more than there are."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with (
        patch.dict(os.environ, {"TERM": "xterm"}),
        patch.object(sys, "stderr", stream),
        teller(None) as tell,
    ):
        tell(Event(name="begin", data={"rows": 2, "of": 2}))
        for state in (RowState.WAITING, RowState.DONE):
            result = RowResult(row=2, state=state, message="why")
            tell(Event(name="row_end", data={"name": "A"}, row=row(), result=result))
    shown = stream.getvalue()
    assert "1/2" in shown
    assert "2/2" not in shown


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (CaWait("busy", data={"retry_after": 7}), 7.0),
        (CaWait("later", data={"check_after": "2026-11-23T09:00:05+00:00"}), 5.0),
        (CaWait("later", data={"check_after": "2026-11-23T08:00:00+00:00"}), 0.0),
        (CaUnreachable("away"), 0.0),
        (NoToken("away"), None),
    ],
)
def test_a_row_comes_back_when_its_ca_said(error: SafetokError, seconds: float | None) -> None:
    """In so many seconds, at an instant, as soon as the queue thinks fit, or not by time alone."""
    assert comes_back_after(error, NOW) == seconds


@pytest.mark.parametrize("ask", ["confirm", "line", "pin", "choose"])
def test_a_question_in_a_batch_is_refused_with_its_words(ask: str) -> None:
    """Nobody is there: 11, and what would have been asked."""
    with pytest.raises(PersonNeeded) as refused:
        getattr(Quiet(), ask)(*["Ready, or   not: ", ()][: 2 if ask == "choose" else 1])
    assert (refused.value.code, refused.value.exit_status) == ("nobody_to_ask", 11)
    assert "Ready, or not" in refused.value.message


def test_reasons_are_told_as_sentences() -> None:
    """Half sentences and whole ones do not run into each other."""
    assert results.sentences(("not of SAFE-CA", "It is done.", "")) == "Not of SAFE-CA. It is done."


def test_a_full_token_is_told_what_makes_room() -> None:
    """no_space before the PIN, and while writing: the same next step, once."""
    for hint in ("Nothing is deleted.", "Old certificates can be removed: safetok certs prune"):
        told = rows.failed(row(), NotTrusted("full", code="no_space", hint=hint), token="t2", now=NOW)
        assert told.message.count("safetok certs prune") == 1


def secret(folder: Path, name: str = "pin.txt", text: str = "12345678\n") -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_a_pin_file_lies_below_the_list_and_is_private(tmp_path: Path) -> None:
    """A link that leads out of the folder, and a file that others can read, are refused."""
    folder, outside = tmp_path / "lists", secret(tmp_path, "outside.txt")
    folder.mkdir()
    (folder / "link.txt").symlink_to(outside)
    open_one = secret(folder, "open.txt")
    open_one.chmod(0o644)
    assert file_of(folder, f"file:{secret(folder).name}").name == "pin.txt"
    for name, code in (("link.txt", "pin_file"), ("open.txt", "pin_file_open"), ("none.txt", "pin_file")):
        with pytest.raises(UsageError) as refused:
            file_of(folder, f"file:{name}")
        assert refused.value.code == code


def fail(context: Context, source: Any, token: str) -> None:
    """A login with this source that did not open the token."""
    log = PinLog(context.database)
    log.finish(log.begin(token, source.purpose("given"), NOW), "wrong")
    source.settled(token, opened=False)


def test_a_pin_file_for_several_tokens_stops_at_its_first_wrong_answer(context: Context, tmp_path: Path) -> None:
    """One wrong answer: no other token is tried, in this run or the next, until the file has changed."""
    path = secret(tmp_path)
    rows = [row(2, pin_source="file:pin.txt"), row(3, pin_source="file:pin.txt")]
    sources = PinSources(context, rows, tmp_path, environ={})
    first = sources.of("file:pin.txt")
    assert first.take(context, "t2", "")[0] == "12345678"
    fail(context, first, "t2")
    for again in (sources, PinSources(context, rows, tmp_path, environ={})):
        with pytest.raises(PersonNeeded) as refused:
            again.of("file:pin.txt").take(context, "t3", "")
        assert refused.value.code == "pin_source_stopped"
    path.write_text("87654321\n")
    changed = PinSources(context, rows, tmp_path, environ={}).of("file:pin.txt")
    assert changed.take(context, "t3", "")[0] == "87654321"
    changed.release()


def test_a_login_cut_short_stops_no_pin_file(context: Context, tmp_path: Path) -> None:
    """A run killed between the PIN and the token's answer: the next may use the file, on that token and on the others; the try
    stays counted. A wrong answer before it still stops the file.
    """
    secret(tmp_path)
    rows = [row(2, pin_source="file:pin.txt"), row(3, pin_source="file:pin.txt")]
    log, source = PinLog(context.database), PinSources(context, rows, tmp_path, environ={}).of("file:pin.txt")
    log.begin("t2", source.purpose("given"), NOW)
    for token in ("t2", "t3"):
        next_run = PinSources(context, rows, tmp_path, environ={}).of("file:pin.txt")
        assert next_run.take(context, token, "")[0] == "12345678"
        next_run.release()
    assert log.count("t2") == 1
    fail(context, source, "t3")
    log.begin("t2", source.purpose("given"), NOW)
    with pytest.raises(PersonNeeded) as refused:
        PinSources(context, rows, tmp_path, environ={}).of("file:pin.txt").take(context, "t4", "")
    assert refused.value.code == "pin_source_stopped"


@pytest.mark.parametrize(
    ("error", "stops_it_here", "stops_all"),
    [
        (DriverFailed("pulled", code="token_removed"), False, False),
        (DriverFailed("crash", code="crashed"), False, False),
        (DriverFailed("d", code="pkcs11", data={"ckr": "DEVICE_ERROR"}), False, False),
        (PinRefused("expired", code="pin_expired"), True, False),
        (PinRefused("locked"), True, False),
        (DriverFailed("g", code="pkcs11", data={"ckr": "GENERAL_ERROR"}), True, True),
        (PinWrong("wrong"), True, True),
    ],
)
def test_only_an_answer_on_the_pin_stops_its_source(
    context: Context, tmp_path: Path, error: SafetokError, stops_it_here: bool, stops_all: bool
) -> None:
    """A token that went away, crashed or is locked says nothing of a PIN that serves others, too; every try stays counted, but for
    one that the token did not take: its PIN must be changed first.
    """
    secret(tmp_path)
    rows = [row(2, pin_source="file:pin.txt"), row(3, pin_source="file:pin.txt")]
    log, source = PinLog(context.database), PinSources(context, rows, tmp_path, environ={}).of("file:pin.txt")
    log.finish(log.begin("t2", source.purpose("given"), NOW), "ok")

    def login() -> None:
        raise error

    source.take(context, "t2", "")
    unchanged = Mock(pin_state=PinState.OK)
    session = Mock(serial="t2", info=unchanged)
    with pytest.raises(SafetokError):
        PinGuard(log, lambda: NOW)._counted(session, source.purpose("given"), login, before=unchanged)
    source.settled("t2", opened=False)
    for token, stops in (("t2", stops_it_here or stops_all), ("t3", stops_all)):
        again = PinSources(context, rows, tmp_path, environ={}).of("file:pin.txt")
        if stops:
            with pytest.raises(PersonNeeded):
                again.take(context, token, "")
        else:
            again.take(context, token, "")
            again.release()
    assert log.count("t2") == (error.code != "pin_expired")


def test_a_variable_that_failed_on_a_token_is_not_tried_on_it_again(context: Context, tmp_path: Path) -> None:
    """The next run leaves it alone, unless somebody says that it was put right; a variable leaves the environment at once."""
    rows = [row(2, pin_source="env:SAFETOK_PIN_A")]
    environ = {"SAFETOK_PIN_A": "12345678", "PATH": "/bin"}
    sources = PinSources(context, rows, tmp_path, environ=environ)
    assert environ == {"PATH": "/bin"}
    source = sources.of("env:SAFETOK_PIN_A")
    source.take(context, "t2", "")
    fail(context, source, "t2")
    again = PinSources(context, rows, tmp_path, environ={"SAFETOK_PIN_A": "12345678"})
    with pytest.raises(PersonNeeded) as refused:
        again.of("env:SAFETOK_PIN_A").take(context, "t2", "")
    assert refused.value.code == "pin_source_failed"
    right = PinSources(context, rows, tmp_path, changed=True, environ={"SAFETOK_PIN_A": "1"})
    assert right.of("env:SAFETOK_PIN_A").take(context, "t2", "")[0] == "1"


CELLS = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "0100109106", "line\nbreak", "CÔNG TY; LTD", '"q"', ""]
STEERING = "ai\x1b[31m\u202e\x9b2J"  # colours, turns and clears a terminal
WRITTEN_OUT = r"ai\u001b[31m\u202e\u009b2J"


def test_a_report_as_csv_is_never_calculated() -> None:
    """No cell begins as a formula does, tax codes keep their zeros, and a CSV reader gives every cell back."""
    content = reports.comma_separated(["A"] * len(CELLS), [CELLS])
    assert content.startswith(b"\xef\xbb\xbf")
    read = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))[1]
    assert len(read) == len(CELLS)
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in read)
    assert read[5] == "'0100109106"
    assert read[7] == "CÔNG TY; LTD"


@pytest.mark.parametrize("serial", ["00000000000012e5", "1234567890123e45", "12E4", "540101084542470543743428"])
def test_a_serial_that_reads_as_a_number_stays_text(serial: str) -> None:
    """A spreadsheet would make a power of ten of digits with an e between them, small or capital, and round the long ones."""
    content = reports.comma_separated(["A"], [[serial], ["3414fb139665e9e5"], ["2028"]]).decode("utf-8-sig")
    assert content.split("\r\n")[1:4] == [f"'{serial}", "3414fb139665e9e5", "2028"]


def test_a_report_steers_no_terminal() -> None:
    """Control and direction characters of the list are written out in the CSV (it goes to the screen too) and in the workbook."""
    assert WRITTEN_OUT in reports.comma_separated(["A"], [[STEERING]]).decode("utf-8-sig")
    content = reports.workbook(["A"], [[STEERING]])
    assert openpyxl.load_workbook(io.BytesIO(content)).active["A2"].value == WRITTEN_OUT


def test_a_report_as_a_workbook_holds_text_alone() -> None:
    """Every cell of the workbook is a string with what the row said, control characters written out."""
    content = reports.workbook(["A"] * len(CELLS), [[*CELLS[:-1], "bell\x07"]])
    cells = next(iter(openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(min_row=2)))
    assert {cell.data_type for cell in cells} == {"s"}
    assert cells[0].value == CELLS[0]
    assert cells[-1].value == r"bell\u0007"


def test_hands_are_added_for_rows_that_wait_and_not_for_a_first_one_that_loads() -> None:
    """A first row of a fifth of a second, while its worker starts, is no slow token; one of half a second is, and so are rows that
    take long one after the other. A process that is busy itself gets none.
    """
    idle = SimpleNamespace(
        options=SimpleNamespace(jobs=16),
        queue=SimpleNamespace(idle=lambda most: most),
        context=SimpleNamespace(database=None),
    )

    def more(*, begun: float = 0.0, took: tuple[float, ...] = (), worked: float = 0.0) -> int:
        hands = Hands(cast("Any", idle), cast("Any", None), cast("Any", None))
        hands._threads = [threading.current_thread()] * 2
        now = time.monotonic()
        hands._begun = {"T1": now - begun}
        hands._ended, hands._took = len(took), sum(took)
        hands._looks.extend((now - 1 + n / 10, time.process_time() - worked) for n in range(GLANCES))
        return hands._more()

    assert more(begun=0.2) == 0
    assert more(begun=0.5) == 2
    assert more(begun=0.5, worked=0.9) == 0
    assert more(took=(0.3, 0.2)) == 0, "the first row of each hand"
    assert more(took=(0.3, 0.2, 0.03, 0.03, 0.03, 0.03, 0.03)) == 0
    assert more(took=(0.2, 0.2, 0.2, 0.2)) == 2
