from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from support_cli import Cli
from support_inside import Inside
from support_pins import command_line
from support_store import NOW, reading, renewal

from safetok.cli import conformance
from safetok.domain.certificates import parse
from safetok.domain.renewal import Hold, State
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.journal import Journal
from safetok.tokens.locks import TokenLock, held
from safetok.workflows.context import Context

HOUR = timedelta(hours=1)


@pytest.fixture
def cli(tmp_path: Path, softhsm: Any) -> Inside:
    return Inside(command_line(tmp_path / "home", softhsm.surroundings).env)


@pytest.fixture
def journal(cli: Inside, tmp_path: Path) -> Iterator[Journal]:
    (tmp_path / "home").mkdir(mode=0o700)
    with Database(tmp_path / "home" / "state.db") as state:
        yield Journal(state)


@pytest.fixture
def old(make_certificate: Any, ec_key: Any) -> bytes:
    return make_certificate(ec_key).public_bytes(Encoding.DER)


def test_a_renewal_s_way_is_told_step_by_step(cli: Inside, journal: Journal, old: bytes) -> None:
    """Each state with its time, what it waited for and why, for people and as data."""
    at = journal.create(renewal(1, old_certificate=old, mst="0100109106"))
    at = journal.advance(at, State.REQUESTED, now=NOW + HOUR)
    at = journal.update(at, now=NOW + 2 * HOUR, hold=Hold.CA_UNREACHABLE, reason="mất mạng")
    journal.advance(at, State.ISSUED, now=NOW + 3 * HOUR, reason="")
    said = cli.json("history")
    conformance.check(said.envelope)
    (told,) = said.data["renewals"]
    assert (told["name"], told["state"], told["finished"]) == ("CÔNG TY TNHH THỬ NGHIỆM", "ISSUED", False)
    assert [(step["state"], step["hold"], step["reason"]) for step in told["way"]] == [
        ("CONFIRMED", None, ""),
        ("REQUESTED", None, ""),
        ("REQUESTED", "CA_UNREACHABLE", "mất mạng"),
        ("ISSUED", None, ""),
    ]
    assert told["way"][1]["at"] == "2026-11-23T10:05:00Z"
    shown = cli("history").out
    for words in ("CÔNG TY TNHH THỬ NGHIỆM", "17:05", "asked for at the CA", "mất mạng", "not finished", "--resume"):
        assert words in shown, shown


def test_what_a_renewal_waited_for_is_no_reason_once_it_is_done(cli: Inside, journal: Journal, old: bytes) -> None:
    """A finished renewal that went well has no reason, whatever held it on the way; one that was refused keeps its own."""
    for number, state in enumerate((State.DONE, State.REJECTED), 1):
        journal.create(renewal(number, state=state, reason="mất mạng", old_certificate=old, certificate=old))
    reasons = {one["state"]: one["reason"] for one in cli.json("history").data["renewals"]}
    assert reasons == {"DONE": "", "REJECTED": "mất mạng"}


def test_unfinished_renewals_are_listed_with_their_states_in_words(cli: Inside, journal: Journal, old: bytes) -> None:
    """`renew --list` says a state as `history` does; scripts read its bare name."""
    journal.create(renewal(1, state=State.REQUESTED, old_certificate=old))
    assert "asked for at the CA (REQUESTED)" in " ".join(cli("renew", "--list", env={"COLUMNS": "200"}).out.split())
    assert cli.json("renew", "--list").data["renewals"][0]["state"] == "REQUESTED"


def test_one_is_found_by_the_beginning_of_its_id_and_by_token_or_company(
    cli: Inside, journal: Journal, old: bytes
) -> None:
    """`history ID`, `--serial`, `--mst`; an unknown id is 2."""
    for number, mst in ((1, "0100109106"), (2, "0106324653")):
        journal.create(renewal(number, id=f"ab{number}", old_certificate=old, mst=mst))
    assert [one["renewal_id"] for one in cli.json("history", "ab2").data["renewals"]] == ["ab2"]
    assert [one["renewal_id"] for one in cli.json("history", "--mst", "0100109106").data["renewals"]] == ["ab1"]
    serial = journal.get("ab1").token_serial
    assert [one["renewal_id"] for one in cli.json("history", "--serial", serial).data["renewals"]] == ["ab1"]
    journal.create(renewal(3, id="ac3", old_certificate=old, mst="0100109106-029"))
    from_chats = ("\u200b0100109106-029\ufeff", "０１００１０９１０６-029")
    for written in ("0100109106-029", "0100109106029", "0100109106 029", "0100109106–029", *from_chats):
        assert [one["renewal_id"] for one in cli.json("history", "--mst", written).data["renewals"]] == ["ac3"], written
    assert cli.json("history", "--limit", "99999999999999999999").codes == ["usage"]  # more than the database can count
    unknown = cli.json("history", "x")
    assert (unknown.status, unknown.codes) == (2, ["no_such_renewal"])
    assert "safetok history" in unknown.envelope["errors"][0]["hint"]
    for words in (("--mst", "1"), ("--serial", "x")):
        assert "No renewal fits" in cli("history", *words).out


def test_an_empty_history_says_so_and_makes_nothing(cli: Inside, tmp_path: Path) -> None:
    """On a fresh machine: 0, one sentence, and no folder made."""
    said = cli("history")
    assert said.status == 0
    assert "Nothing has been renewed" in said.out
    assert not (tmp_path / "home").exists()


def fill(state: Database, old: bytes, count: int) -> None:
    """Finished renewals as the journal keeps them, written at once."""
    journal = Journal(state)
    journal.create(renewal(0, state=State.DONE, old_certificate=old, certificate=old, request=old, mst="0100109106"))
    with state.transaction():
        row = state.row("SELECT * FROM renewals")
        names = [name for name in row.keys() if name not in {"id", "token_serial", "created_at"}]  # noqa: SIM118  (a Row iterates its values)
        state.run(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "  # noqa: S608
            f"INSERT INTO renewals (id, token_serial, created_at, {', '.join(names)}) "
            "SELECT printf('m%08d', i), printf('T%06d', i % 1000), strftime('%Y-%m-%dT%H:%M:%S+00:00', 1700000000 + i * 60, "
            f"'unixepoch'), {', '.join(names)} FROM n, renewals WHERE id = 'r0'",
            (count,),
        )
        state.run(
            "INSERT INTO renewal_events (renewal, at, state, hold, reason) SELECT id, created_at, state, NULL, '' FROM renewals"
        )


def test_a_long_history_is_as_quick_as_a_short_one(cli: Inside, journal: Journal, old: bytes, tmp_path: Path) -> None:
    """With 20,000 renewals, the newest twenty and one token's come in little more than the time of a history of twenty."""

    def took(*words: str) -> float:
        best = 9.0
        for _again in range(3):
            began = time.perf_counter()
            assert cli.json("history", *words).status == 0
            best = min(best, time.perf_counter() - began)
        return best

    fill(journal._db, old, 20)
    short = took()
    fill_more = journal._db
    fill_more.run("DELETE FROM renewals")
    fill(fill_more, old, 20_000)
    assert took() < short * 4 + 0.1
    assert took("--serial", "T000007") < short * 4 + 0.1
    assert cli.json("history").data["whole"] is False
    assert len(cli.json("history", "--limit", "5").data["renewals"]) == 5


def test_whoever_stops_a_renewal_is_told_how_it_goes_on(
    cli: Inside, journal: Journal, old: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after the second confirmation: 130, and the next command, for the journal has it; where nothing is kept, no more."""

    def ctrl_c(context: Context, *_given: object) -> None:
        Journal(context.database).unfinished()
        raise KeyboardInterrupt

    monkeypatch.setattr("safetok.workflows.renew.unfinished.resume", ctrl_c)
    before = cli("renew", "--resume")
    Inventory(journal._db).record(reading("T9", parse(old)), NOW)
    journal.create(renewal(1, old_certificate=old))
    after = cli("renew", "--resume")
    assert (before.status, after.status) == (130, 130)
    assert "A renewal is unfinished" not in before.err
    assert "safetok renew --resume" in after.err


COMMANDS = (
    ["tokens"],
    ["certs", "list"],
    ["agencies", "list"],
    ["renew", "--serial", "NOT-IN"],
    ["tokens", "note", "T9", "x"],
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_whoever_meets_an_unfinished_renewal_says_so(
    cli: Inside, journal: Journal, old: bytes, words: list[str]
) -> None:
    """On stderr, after the answer or the error, with the company, the token and the next command; not with -q."""
    Inventory(journal._db).record(reading("T9", parse(old)), NOW)
    journal.create(renewal(1, old_certificate=old))
    said = cli(*words)
    assert (
        "A renewal is unfinished: CÔNG TY TNHH THỬ NGHIỆM, Token ID 54071505110001: confirmed by the person (CONFIRMED)"
        in said.err
    )
    assert "safetok renew --resume" in said.err
    assert "A renewal is unfinished" not in cli(*words, "-q").err
    document = cli.json(*words)
    assert "A renewal is unfinished" not in document.out
    journal.create(renewal(2, old_certificate=old))
    assert "2 renewals are unfinished" in cli(*words).err


def test_a_renewal_that_another_run_is_at_work_on_is_not_unfinished(
    cli: Inside, journal: Journal, old: bytes, tmp_path: Path
) -> None:
    """Nobody is told to carry on what is under way in another window; once that one was killed, everybody is again."""
    row = journal.create(renewal(1, old_certificate=old))
    said = "Carry on: safetok renew --resume"
    holds = (
        "import sys; from safetok.tokens.locks import TokenLock; "
        f"held = TokenLock({str(tmp_path / 'home' / 'locks')!r}, {f'renewal of {row.token_serial}'!r}, '1'); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        assert said not in cli("agencies", "list").err
        assert "renewal_unfinished" not in [one["code"] for one in cli.json("doctor", "--offline").data["findings"]]
        assert "renewal_unfinished" not in [one["code"] for one in cli.json("status").data["due"]]
        assert cli.json("renew", "--list").data["renewals"][0]["reason"] == "another safetok is at work on it"
        other.kill()
    for _twice in range(2):
        assert said in cli("agencies", "list").err
    assert "renewal_unfinished" in [one["code"] for one in cli.json("status").data["due"]]
    assert cli.json("renew", "--list").data["renewals"][0]["reason"] == ""


def test_what_this_run_holds_is_not_freed_by_a_look(tmp_path: Path) -> None:
    """Record locks belong to the process: opened and closed once more, one would be lost to the next that comes."""
    ours = TokenLock(str(tmp_path), "T1", "1")
    assert not held(str(tmp_path), "T1")
    takes = f"from safetok.tokens.locks import TokenLock; TokenLock({str(tmp_path)!r}, 'T1', '2')"
    refused = subprocess.run([sys.executable, "-c", takes], capture_output=True, text=True, check=False)
    assert "Held" in refused.stderr
    ours.release()
    assert subprocess.run([sys.executable, "-c", takes], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("words", [["status"], ["history"], ["renew", "--list"], ["contacts"]], ids=" ".join)
def test_commands_that_show_it_or_open_no_state_do_not_repeat_it(
    cli: Cli, journal: Journal, old: bytes, words: list[str]
) -> None:
    """Where the answer itself tells of it, or the state was never opened, nothing is added."""
    journal.create(renewal(1, old_certificate=old))
    assert "Carry on: safetok renew --resume" not in cli(*words).err
