"""What a plan says of each row before anything is done, and what a run does with a row that is no longer what was planned."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from support_batch import token_folder
from support_fleet import CONTRACT_END, PIN, Fleet
from support_inside import Inside
from support_simulator import Simulator
from support_tokens import run

from safetok.domain.times import system_clock
from safetok.errors import UsageError
from safetok.net import Http, Response
from safetok.sandbox import process
from safetok.sandbox.places import read_json, write_json
from safetok.store.database import Database
from safetok.store.inventory import Inventory
from safetok.store.paths import home
from safetok.workflows.batch import planning, results, rows

TOKENS = 5
END = f"{CONTRACT_END:%d/%m/%Y}"


@pytest.fixture
def cli(fleet: Fleet) -> Inside:
    """The program in this process."""
    given = {name: value for name, value in fleet.environ.items() if name.startswith(("SAFETOK_", "SOFTHSM2_"))}
    return Inside(given)


def listed(fleet: Fleet, *lines: str, extra: str = "") -> Path:
    """A list of these rows as Excel saves one, the PIN in a file beside it."""
    path = fleet.write_list(fleet.folder / "list.csv", [])
    heads = path.read_text("utf-8-sig").strip() + (f";{extra}" if extra else "")
    path.write_text("\r\n".join([heads, *lines]), encoding="utf-8-sig")
    return path


def row(fleet: Fleet, number: int, **changed: str) -> str:
    """One token's line, with some cells otherwise."""
    cells = {
        "token": fleet.serials[number],
        "mst": fleet.msts[number],
        "end": END,
        "signed": "có",
        "pin": "file:pin.txt",
    }
    return ";".join({**cells, **changed}.values())


def planned(cli: Inside, path: Path, *words: str) -> list[dict[str, Any]]:
    said = cli.json("batch", "plan", str(path), *words)
    assert said.status in {0, 12}, said.out
    found: list[dict[str, Any]] = said.data["rows"]
    return found


def codes(rows_: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(one["planned"], one["code"]) for one in rows_]


def ran(cli: Inside, fleet: Fleet, *words: str) -> tuple[int, list[dict[str, Any]]]:
    said = cli.json("batch", "run", str(fleet.folder / "list.plan.json"), *words)
    return said.status, said.data.get("rows", []) if said.data else []


# --- planning ------------------------------------------------------------------------------------------------------------


def test_each_row_is_told_what_keeps_it_back(cli: Inside, fleet: Fleet) -> None:
    """A certificate meant twice, an agency nobody knows, a company that is not on the token, a PIN file that is not there."""
    path = listed(
        fleet,
        row(fleet, 0),
        row(fleet, 0, token=""),
        row(fleet, 1) + ";hải quan mới",
        row(fleet, 2, mst=fleet.msts[3]),
        row(fleet, 4, pin="file:none.txt"),
        extra="Cơ quan",
    )
    said = cli.json("batch", "plan", str(path))
    found = said.data["rows"]
    assert [one["code"] for one in found] == ["row_twice", "row_twice", "bad_cell", "certificate_not_in", "pin_file"]
    errors = said.envelope["errors"]
    assert [(one["code"], one["token"]) for one in errors] == [(one["code"], one["token"]) for one in found]
    assert all(each["message"] in one["message"] for each, one in zip(found, errors, strict=True))
    assert "vnaccs" in found[2]["message"]
    assert fleet.msts[3] in found[3]["message"]
    assert ran(cli, fleet) == (0, []), "none of them is begun"


def test_a_row_that_is_kept_back_says_what_to_do(cli: Inside, fleet: Fleet) -> None:
    """A PIN file that others can read, a certificate that is revoked, a contract that is over: each with its next step, and the
    plan of which no row can be run says what comes next. No PIN is used.
    """
    (fleet.folder / "open.txt").write_text(PIN)
    (fleet.folder / "open.txt").chmod(0o644)
    process.stop(fleet.places)
    register = fleet.places.ca / "register.json"
    entries = read_json(register)
    entries[1] |= {"standing": "revoked", "since": entries[1]["not_after"], "reason": "keyCompromise"}
    write_json(register, entries)
    fleet.start()
    path = listed(fleet, row(fleet, 0, pin="file:open.txt"), row(fleet, 1), row(fleet, 2, end="30/06/2026"))
    found = planned(cli, path)
    assert codes(found) == [
        ("not_ready", "pin_file_open"),
        ("refused", "certificate_revoked"),
        ("not_ready", "contract_over"),
    ]
    assert "chmod 600 open.txt" in found[0]["message"]
    assert "Ask your CA" in found[1]["message"]
    assert "30/06/2026" in found[2]["message"]
    said = cli("batch", "plan", str(path))
    assert f"safetok batch plan {path}" in said.out
    assert "safetok batch run" not in said.out


def test_a_contract_that_ended_since_the_plan_costs_no_pin(
    cli: Inside, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last day passes between the plan and its run: the row says so, and the token is not logged in to."""
    planned(cli, listed(fleet, row(fleet, 0)))
    monkeypatch.setattr(rows, "vietnamese_day", lambda _now: date(2028, 7, 1))
    status, after = ran(cli, fleet)
    assert (status, [one["code"] for one in after]) == (12, ["contract_over"])
    assert cli.json("status").data["tokens"][0]["pin_tries_spent"] == 0
    assert cli.json("history").data["renewals"] == []


def test_a_list_behind_a_cover_sheet_is_asked_for(cli: Inside, fleet: Fleet) -> None:
    """A workbook whose first sheet is no list: the refusal names that sheet, the only one that is read."""
    book = openpyxl.Workbook()
    book.active.title = "Bìa"
    book.active.append(["Danh sách token"])
    book.create_sheet("Token").append(["Token ID"])
    path = fleet.folder / "list.xlsx"
    book.save(path)
    said = cli.json("batch", "plan", str(path))
    assert (said.status, said.codes) == (2, ["manifest_columns"])
    assert "(Bìa)" in said.envelope["errors"][0]["hint"]


def test_rows_that_a_filter_hides_are_planned_and_named(cli: Inside, fleet: Fleet) -> None:
    """Whoever filtered the list may mean what is shown: which hidden rows are in the plan is said, to people and to programs."""
    book = openpyxl.Workbook()
    for line in (["Token ID", "contract_end"], *([serial, "31/12/2027"] for serial in fleet.serials)):
        book.active.append(line)
    path = fleet.folder / "list.xlsx"
    book.save(path)
    assert cli.json("batch", "plan", str(path)).data["hidden_rows"] == []
    for number in (1, 2, 3):
        book.active.row_dimensions[number].hidden = True
    book.save(path)
    said = cli.json("batch", "plan", str(path))
    assert (said.data["hidden_rows"], len(said.data["rows"])) == ([2, 3], TOKENS)
    assert "rows 2, 3." in " ".join(cli("batch", "plan", str(path)).out.split())


@pytest.mark.parametrize(
    "words", [("--rate", "nan"), ("--rate", "inf"), ("--patience", "nan"), ("--jitter", "inf")], ids=" ".join
)
def test_what_is_no_number_is_refused(cli: Inside, fleet: Fleet, words: tuple[str, str]) -> None:
    """`nan` passes every lower bound: 2, before the plan is looked at."""
    said = cli.json("batch", "run", str(fleet.folder / "none.json"), *words)
    bounded = "--jitter" in words
    assert (said.status, said.codes) == (2, ["usage" if bounded else "bad_number"])


def test_one_absurd_answer_of_the_ca_stops_no_plan_and_no_status(
    cli: Inside, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suggested window before the calendar begins is no answer about that one certificate; the others have theirs."""
    asked: list[str] = []
    real = Http.ca

    def ca(self: Http, method: str, url: str, **how: Any) -> Response:
        asked.append(url)
        if url != asked[0]:
            return real(self, method, url, **how)
        window = {"start": "0001-01-01T00:00:00+07:00", "end": "2027-01-01T00:00:00Z"}
        return Response(status=200, body=json.dumps({"offer": True, "suggestedWindow": window}).encode())

    monkeypatch.setattr(Http, "ca", ca)
    path = listed(fleet, *[row(fleet, number) for number in range(TOKENS)])
    said = cli.json("batch", "plan", str(path))
    assert said.status == 18
    assert sorted(one["planned"] for one in said.data["rows"]) == ["not_checked", *["renew"] * (TOKENS - 1)]
    asked.clear()
    said = cli.json("status", "--refresh")
    assert (said.status, said.codes, len(said.data["tokens"])) == (8, ["unreadable"], TOKENS)


def test_a_list_whose_name_is_no_text_is_planned(cli: Inside, fleet: Fleet) -> None:
    """A name of other bytes than UTF-8 (an old disk, another system): the plan beside it is written, sealed and read as any."""
    path, pins = listed(fleet, row(fleet, 0)), fleet.folder / "pin.txt"
    folder = fleet.folder / os.fsdecode(b"th\xe1ng 11")
    folder.mkdir()
    other = path.rename(folder / os.fsdecode(b"danh s\xe1ch.csv"))
    shutil.copy(pins, folder)
    assert codes(planned(cli, other)) == [("renew", None)]
    plan = other.with_suffix(".plan.json")
    assert json.loads(plan.read_text("utf-8"))["folder"] == str(folder)
    report = cli.json("batch", "report", str(plan))
    assert (report.status, len(report.data["rows"])) == (0, 1), report.out
    done = cli.json("batch", "run", str(plan))
    assert (done.status, [one["state"] for one in done.data["rows"]]) == (0, ["done"]), done.out
    assert cli.json("batch", "report").status == 0, "the plan run last is found again"


def test_a_token_that_is_away_is_planned_by_what_is_known_of_it(cli: Inside, fleet: Fleet) -> None:
    """Seen before and not in now: its company's name is in the plan; without the contract's end it is not ready either."""
    assert cli("status").status in {0, 14}
    for number in (0, 1):
        token_folder(fleet, number).rename(fleet.folder / f"away-{number}")
    found = planned(cli, listed(fleet, row(fleet, 0, token=""), row(fleet, 1, end="")))
    assert codes(found) == [("not_plugged_in", "no_token"), ("not_ready", "contract_end_unknown")]
    assert found[0]["token"] == fleet.serials[0]
    assert found[0]["name"]


def test_what_is_not_signed_is_never_run(cli: Inside, fleet: Fleet) -> None:
    """Not plugged in while the plan is made: a row not marked as signed, or without its PIN file, is not ready; nor does another
    row of the same token that says it is signed make it so.
    """
    for number in (0, 1):
        token_folder(fleet, number).rename(fleet.folder / token_folder(fleet, number).name)
    path = listed(
        fleet,
        row(fleet, 0, signed="chưa"),
        row(fleet, 1, pin="file:none.txt"),
        row(fleet, 2),
        row(fleet, 2, token="", signed="chưa"),
    )
    found = planned(cli, path)
    assert codes(found) == [
        ("not_ready", "not_signed"),
        ("not_ready", "pin_file"),
        ("refused", "row_twice"),
        ("not_ready", "not_signed"),
    ]
    for folder in fleet.folder.glob("*-*-*-*"):
        folder.rename(fleet.places.tokens / folder.name)
    assert ran(cli, fleet) == (0, [])


def test_a_day_later_than_the_one_stated_before_is_stopped(cli: Inside, fleet: Fleet) -> None:
    """A list never raises a contract's end: in the plan, and in a run of a plan that was made before."""
    path = listed(fleet, row(fleet, 0))
    assert codes(planned(cli, path)) == [("renew", None)]
    with Database(home(cli.env).database) as db:
        sha256 = Inventory(db).certificates(fleet.serials[0])[0].certificate.sha256
        Inventory(db).set_contract_end(sha256, date(2027, 6, 30), system_clock())
    status, after = ran(cli, fleet)
    assert (status, [one["code"] for one in after]) == (12, ["contract_end_differs"])
    assert codes(planned(cli, path)) == [("not_ready", "contract_end_differs")]


def test_a_day_of_a_list_that_was_never_run_stands_against_no_other(cli: Inside, fleet: Fleet) -> None:
    """A check states nothing: a slip in an earlier list does not refuse the list put right."""
    planned(cli, listed(fleet, row(fleet, 0, end="30/06/2027")))
    assert codes(planned(cli, listed(fleet, row(fleet, 0)))) == [("renew", None)]
    assert ran(cli, fleet)[0] == 0


def test_a_day_that_the_ca_contradicts_is_put_right_in_the_list(cli: Inside, fleet: Fleet) -> None:
    """A slip of the pen, a year too early: the row says what to do, and the list put right is renewed."""
    path = listed(fleet, row(fleet, 0, end="30/06/2027"))
    planned(cli, path)
    status, after = ran(cli, fleet)
    assert (status, after[0]["code"]) == (12, "contract_end_differs")
    assert "make the plan again" in after[0]["message"]
    again = cli("batch", "run", str(path.with_suffix(".plan.json"))).out
    assert ("then run the plan again" in again, f"safetok batch plan {path}" in again) == (False, True)
    path = listed(fleet, row(fleet, 0))
    assert codes(planned(cli, path)) == [("renew", None)]
    assert ran(cli, fleet)[0] == 0


def test_a_token_that_was_replaced_is_named_by_the_one_that_is_in(cli: Inside, fleet: Fleet) -> None:
    """The list has the lost token's ID: the company's other token, which is in, is named with what to change in the list; not
    where that one has a row of its own.
    """
    lost = row(fleet, 0, token="00ff00ff00ff00ff")
    (found,) = planned(cli, listed(fleet, lost))
    assert (found["planned"], fleet.serials[0] in found["message"]) == ("not_plugged_in", True)
    status, (after,) = ran(cli, fleet)
    assert (status, after["code"], fleet.serials[0] in after["message"]) == (12, "token_not_in", True)
    found = planned(cli, listed(fleet, lost, row(fleet, 0)))[0]
    assert fleet.serials[0] not in found["message"]


def test_a_token_id_that_is_nearly_one_plugged_in_is_asked_about(cli: Inside, fleet: Fleet) -> None:
    """Other case, spaces: the row is not ready and names the token it may mean; nothing is guessed."""
    serials = [fleet.serials[0].upper(), f" {fleet.serials[1][:4]} {fleet.serials[1][4:]}"]
    found = planned(cli, listed(fleet, *(row(fleet, n, token=serial, mst="") for n, serial in enumerate(serials))))
    assert codes(found) == [("not_ready", "token_misspelt")] * 2
    assert [fleet.serials[n] in found[n]["message"] for n in (0, 1)] == [True, True]


def test_a_ca_that_is_down_or_has_revoked_is_known_before_a_pin_is_used(cli: Inside, fleet: Fleet) -> None:
    """Revoked: refused. Away: not checked, and a row that lacks something of its own is not ready. Nobody logs in."""
    process.stop(fleet.places)
    path = listed(fleet, row(fleet, 0), row(fleet, 1, signed=""))
    assert codes(planned(cli, path)) == [("not_checked", "ca_unreachable"), ("not_ready", "not_signed")]
    register = fleet.places.ca / "register.json"
    entries = read_json(register)
    entries[0] |= {"standing": "revoked", "since": entries[0]["not_after"], "reason": "keyCompromise"}
    write_json(register, entries)
    fleet.start()
    assert codes(planned(cli, path))[0] == ("refused", "certificate_revoked")


def test_what_is_renewed_or_under_way_is_said_in_the_plan(cli: Inside, fleet: Fleet) -> None:
    """Done: nothing due. Unfinished: it is carried on, also where the list names no day; ended by hand meanwhile: it is done."""
    write_json(fleet.places.ca / "faults.json", [{"name": "cut", "on": "kur"}])
    path = listed(fleet, row(fleet, 0), row(fleet, 1), row(fleet, 2))
    planned(cli, path)
    status, after = ran(cli, fleet, "--jobs", "1", "--patience", "0.1")
    assert status == 12
    assert sorted(one["state"] for one in after) == ["done", "done", "waiting"]
    (waiting,) = [one["row"] - 2 for one in after if one["state"] == "waiting"]
    again = planned(cli, listed(fleet, *(row(fleet, n, end="") for n in range(3))))
    assert [one["planned"] for one in again] == ["renew" if n == waiting else "nothing_due" for n in range(3)]
    assert "asked for at the CA (REQUESTED)" in again[waiting]["message"]
    stands = cli.json("batch", "report", str(path.with_suffix(".plan.json"))).data["rows"][waiting]
    assert (stands["state"], stands["code"], stands["exit_status"]) == ("waiting", "unfinished", 130)
    assert stands["message"]
    assert cli("renew", "--resume", "--pin-stdin", stdin=f"{PIN}\n").status == 0
    assert ran(cli, fleet) == (0, [])


def test_what_was_given_up_is_cleaned_away_and_the_row_is_renewed(cli: Inside, fleet: Fleet) -> None:
    """A renewal of the token was given up and its new key is still there: the run removes it and makes the row's own renewal. The
    row had been called "nothing due", and no later run took it.
    """
    path = listed(fleet, row(fleet, 0))
    write_json(fleet.places.ca / "faults.json", [{"name": "cut", "on": "kur", "processed": False}])
    words = ["--serial", fleet.serials[0], "--yes", "--confirm-contract-end", END, "--pin-file"]
    sent = cli.json("renew", *words, str(fleet.folder / "pin.txt"), "--new-key")
    assert (sent.status, sent.data["state"]) == (8, "REQUESTED")
    left = cli.json("renew", "--abandon", sent.data["renewal_id"], "--force")
    assert (left.status, left.data["state"]) == (11, "ABANDONED"), "its key stays until somebody gives the PIN"
    planned(cli, path)
    ran = cli.json("batch", "run", str(fleet.folder / "list.plan.json"))
    assert (ran.status, [one["state"] for one in ran.data["rows"]]) == (0, ["done"])
    assert cli.json("renew", "--list").data["renewals"] == []


def test_what_was_given_up_may_have_come_as_far_as_the_token(cli: Inside, fleet: Fleet) -> None:
    """Its certificate was newest there when the run looked; once it is removed the row is about the one that was planned."""
    path = listed(fleet, row(fleet, 0))
    write_json(fleet.places.ca / "faults.json", [{"name": "cut", "on": "certConf", "processed": False}])
    words = ["--serial", fleet.serials[0], "--yes", "--confirm-contract-end", END, "--pin-file"]
    sent = cli.json("renew", *words, str(fleet.folder / "pin.txt"), "--new-key")
    assert (sent.status, sent.data["state"]) == (8, "PROVEN")
    place = token_folder(fleet, 0)
    away = shutil.move(place, fleet.folder / "away")
    left = cli.json("renew", "--abandon", sent.data["renewal_id"], "--force")
    assert (left.status, left.data["state"]) == (3, "ABANDONED")
    shutil.move(away, place)
    old = planned(cli, path)[0]["old_serial"]
    ran = cli.json("batch", "run", str(fleet.folder / "list.plan.json"))
    assert [(one["code"], one["old_serial"]) for one in ran.data["rows"]] == [("done", old)]
    there = [one["serial"] for one in cli.json("certs", "list").data["certificates"] if one["mst"] == fleet.msts[0]]
    assert {*there} == {old, ran.data["rows"][0]["new_serial"]}


def test_a_plan_made_again_keeps_what_the_night_has_done(cli: Inside, fleet: Fleet) -> None:
    """Rows that safetok has renewed have nothing due; the new plan's report still says from which serial to which, and when."""
    path = listed(fleet, row(fleet, 0), row(fleet, 1))
    before = [one["old_serial"] for one in planned(cli, path)]
    after = ran(cli, fleet)[1]
    again = planned(cli, path)
    assert [(one["planned"], one["old_serial"]) for one in again] == [("nothing_due", serial) for serial in before]
    told = cli.json("batch", "report", str(fleet.folder / "list.plan.json")).data["rows"]
    assert [(one["state"], one["old_serial"], one["new_serial"]) for one in told] == [
        ("done", old, one["new_serial"]) for old, one in zip(before, after, strict=True)
    ]
    table = fleet.folder / "report.csv"
    assert cli("batch", "report", str(fleet.folder / "list.plan.json"), "--out", str(table)).status == 0
    assert all(line.split(";")[-1] for line in table.read_text("utf-8-sig").splitlines()[1:]), "when"


def test_a_pin_pad_is_for_a_person(cli: Inside, fleet: Fleet, simulator_module: Path) -> None:
    """A token with a keypad of its own cannot be renewed with nobody there."""
    simulator = Simulator(simulator_module, fleet.folder / "simulator.conf")
    simulator.steer(forward=fleet.module, tokens={fleet.serials[0]: {"pin_pad": "yes"}})
    cli.env = {**cli.env, **simulator.environment}
    assert codes(planned(cli, listed(fleet, row(fleet, 0), row(fleet, 1)))) == [
        ("not_ready", "pin_pad"),
        ("renew", None),
    ]


def test_a_plan_made_while_the_ca_was_away_is_run_when_it_is_back(cli: Inside, fleet: Fleet) -> None:
    """18: nothing is wrong with the rows, nothing is known of them either. A run checks each again, and waits where it must."""
    process.stop(fleet.places)
    path = listed(fleet, row(fleet, 0), row(fleet, 1))
    said = cli.json("batch", "plan", str(path))
    assert (said.status, codes(said.data["rows"])) == (18, [("not_checked", "ca_unreachable")] * 2)
    plan = said.data["plan"]
    away = cli.json("batch", "run", plan, "--patience", "0")
    assert (away.status, away.data["states"]) == (12, {"waiting": 2})
    register = fleet.places.ca / "register.json"
    entries = read_json(register)
    entries[1] |= {"standing": "revoked", "since": entries[1]["not_after"], "reason": "keyCompromise"}
    write_json(register, entries)
    fleet.start()
    back = cli.json("batch", "run", plan)
    assert (back.status, [(one["state"], one["code"]) for one in back.data["rows"]]) == (
        12,
        [("done", "done"), ("failed", "certificate_revoked")],
    )


def test_a_key_that_is_elsewhere_and_a_blank_number_are_not_ready(cli: Inside, fleet: Fleet) -> None:
    """The certificate's key is not on the token; a token's number is blank: each named, nothing begun."""
    tool = ("pkcs11-tool", "--module", str(fleet.module), "--slot-index", "0", "--login", "--pin", PIN)
    others = [token_folder(fleet, n) for n in range(1, TOKENS)]
    for folder in others:
        folder.rename(fleet.folder / folder.name)
    with_conf = ("env", f"SOFTHSM2_CONF={fleet.places.softhsm}")
    for kind in ("privkey", "pubkey"):
        run(*with_conf, *tool, "--delete-object", "--type", kind, "--label", "key")
    run(*with_conf, *tool, "--keypairgen", "--key-type", "EC:prime256v1", "--id", "77", "--label", "other")
    for folder in others:
        (fleet.folder / folder.name).rename(folder)
    file = token_folder(fleet, 1) / "token.object"
    file.write_bytes(file.read_bytes().replace(fleet.serials[1].encode(), b" " * 16))
    found = planned(cli, listed(fleet, row(fleet, 0), row(fleet, 1, token="")))
    assert codes(found) == [("not_ready", "key_absent"), ("refused", "token_without_serial")]


def test_so_many_a_working_day(cli: Inside, fleet: Fleet) -> None:
    """--per-day 2 puts two rows on each working day; --per-day 0 is refused."""
    path = listed(fleet, *(row(fleet, n) for n in range(5)))
    days = [date.fromisoformat(one["day"]) for one in planned(cli, path, "--per-day", "2")]
    assert [days.count(day) for day in sorted(set(days))] == [2, 2, 1]
    assert all(day.isoweekday() < 6 for day in days)
    said = cli.json("batch", "plan", str(path), "--per-day", "0")
    assert (said.status, said.codes) == (2, ["bad_number"])


def test_what_is_the_same_for_every_token_is_said_once(cli: Inside, fleet: Fleet) -> None:
    """The nightly look with the CA down: a person reads one line with how often, a script every error."""
    process.stop(fleet.places)
    said = cli("status", "--check", "--refresh")
    assert said.status == 14
    unchecked = [line for line in said.err.splitlines() if "could not be checked" in line]
    assert len(unchecked) == 1
    assert f"({TOKENS} times)" in unchecked[0]
    assert cli.json("status", "--check", "--refresh").codes.count("revocation_not_checked") == TOKENS


# --- running -------------------------------------------------------------------------------------------------------------


def test_a_certificate_cut_short_by_its_ca_s_own_end_says_so(cli: Inside, fleet: Fleet) -> None:
    """A contract that goes beyond the CA's own certificate: done, with how many days are missing, in the run and in the report."""
    process.stop(fleet.places)
    register = fleet.places.ca / "register.json"
    entries = read_json(register)
    entries[0] |= {"contract_end": "2030-06-30"}
    write_json(register, entries)
    fleet.start()
    planned(cli, listed(fleet, row(fleet, 0, end="30/06/2030"), row(fleet, 1)))
    status, after = ran(cli, fleet)
    short = after[0]["shortfall_days"]
    assert (status, [one["state"] for one in after], after[1]["shortfall_days"]) == (0, ["done", "done"], 0)
    assert short > 100
    told = cli.json("batch", "report").data["rows"][0]
    assert (told["shortfall_days"], f"{short} days short" in told["message"]) == (short, True)


def test_a_company_s_agencies_are_those_of_the_list(cli: Inside, fleet: Fleet) -> None:
    """The column of agencies says which registrations are opened; a second list may say it again."""
    path = listed(fleet, row(fleet, 0) + ";vnaccs, etax", row(fleet, 1), extra="Cơ quan")
    planned(cli, path)
    assert ran(cli, fleet)[0] == 0
    opened = cli.json("agencies", "list", "--serial", fleet.serials[0]).data["registrations"]
    assert {one["agency"] for one in opened if one["state"] == "open"} == {"vnaccs", "etax"}
    everything = cli.json("agencies", "list", "--serial", fleet.serials[1]).data["registrations"]
    assert len(everything) == 7


def test_a_ca_that_wants_time_is_asked_again_when_it_said(cli: Inside, fleet: Fleet) -> None:
    """The CA answers after a second: the row waits for it, told as an event, and is done in the same run."""
    process.stop(fleet.places)
    facts = fleet.places.ca / "ca.json"
    facts.write_text(json.dumps({**json.loads(facts.read_bytes()), "answer_after": 1}))
    fleet.start()
    planned(cli, listed(fleet, row(fleet, 0)))
    said = cli.json("batch", "run", str(fleet.folder / "list.plan.json"))
    events = [json.loads(line) for line in said.err.splitlines() if line.startswith("{")]
    assert said.status == 0, said.err
    assert [one["code"] for one in events if one["event"] == "row_waits"] == ["ca_wait"]


def test_what_nobody_foresaw_costs_one_row(cli: Inside, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in one row is that row's failure, by its kind alone; the others are renewed."""
    real = rows.run_row

    def broken(context: Any, tokens: Any, token: Any, row_: Any, pins: Any, **more: Any) -> Any:
        if row_.row == 2:
            raise ZeroDivisionError(PIN)
        return real(context, tokens, token, row_, pins, **more)

    monkeypatch.setattr(rows, "run_row", broken)
    planned(cli, listed(fleet, row(fleet, 0), row(fleet, 1)))
    said = cli.json("batch", "run", str(fleet.folder / "list.plan.json"))
    assert said.status == 12
    assert [(one["state"], one["code"]) for one in said.data["rows"]] == [("failed", "unexpected"), ("done", "done")]
    assert "ZeroDivisionError" in said.data["rows"][0]["message"]
    assert PIN not in said.out + said.err


def test_what_nobody_foresaw_costs_one_row_of_a_plan(
    cli: Inside, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same while the list is checked: the row is not ready, by the exception's kind alone; the others are planned."""
    real = planning._check

    def broken(context: Any, wanted: Any, *more: Any) -> Any:
        if wanted.row == 2:
            raise ZeroDivisionError(PIN)
        return real(context, wanted, *more)

    monkeypatch.setattr(planning, "_check", broken)
    found = planned(cli, listed(fleet, row(fleet, 0), row(fleet, 1)))
    assert codes(found) == [("not_ready", "unexpected"), ("renew", None)]
    assert "ZeroDivisionError" in found[0]["message"]
    assert PIN not in str(found)


def test_ctrl_c_while_a_list_is_checked_waits_for_no_ca(fleet: Fleet) -> None:
    """A CA that takes connections and never answers: the plan is given up at once, not after its time-out."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = fleet.places.settings.read_text("utf-8")
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        fleet.places.settings.write_text(settings.replace(f'offers_url = "{fleet.ca_url}"', f'offers_url = "{url}"'))
        running = subprocess.Popen(
            [
                "env",
                "--default-signal=INT",
                sys.executable,
                "-m",
                "safetok",
                "batch",
                "plan",
                str(listed(fleet, row(fleet, 0))),
                "--timeout",
                "300",
            ],
            env=fleet.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        silent.settimeout(60)
        asked, _address = silent.accept()
        running.send_signal(signal.SIGINT)
        assert (running.communicate(timeout=30), running.returncode)[1] == 130
        asked.close()
    assert not (fleet.folder / "list.plan.json").exists()


def test_a_result_that_cannot_be_kept_ends_the_run(cli: Inside, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of results is full or gone: the run ends with 2 and says which file, and begins nothing more."""
    real = results.Results._append

    def full(self: results.Results, line: str) -> None:
        if line:
            raise UsageError("no room", code="plan_file", hint="?")
        real(self, line)

    monkeypatch.setattr(results.Results, "_append", full)
    planned(cli, listed(fleet, *(row(fleet, n) for n in range(4))))
    said = cli.json("batch", "run", str(fleet.folder / "list.plan.json"), "--jobs", "1")
    assert (said.status, said.codes) == (2, ["plan_file"])
    monkeypatch.undo()
    assert ran(cli, fleet)[0] == 0, "run again, all of it is done"


def test_a_worker_that_cannot_be_started_ahead_stops_no_row(
    cli: Inside, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second hand's worker is started early where the system allows it; where it does not, every row is done all the same."""
    asked = []

    def refused(**given: object) -> None:
        asked.append(given)
        raise BlockingIOError

    monkeypatch.setattr("safetok.tokens.process.prestart", refused)
    planned(cli, listed(fleet, *(row(fleet, n) for n in range(TOKENS))))
    assert ran(cli, fleet, "--jobs", "2")[0] == 0
    assert asked == [{"for_a_session": True}]


def test_a_second_hand_begins_while_rows_wait(
    cli: Inside, fleet: Fleet, monkeypatch: pytest.MonkeyPatch, simulator_module: Path
) -> None:
    """Slow tokens are worked on at once, as many as --jobs says."""
    simulator = Simulator(simulator_module, fleet.folder / "simulator.conf")
    simulator.steer(forward=fleet.module, latency={"C_Login": 300})
    cli.env = {**cli.env, **simulator.environment}
    names: set[str] = set()
    real = rows.run_row
    monkeypatch.setattr(rows, "run_row", lambda *a, **k: (names.add(threading.current_thread().name), real(*a, **k))[1])
    planned(cli, listed(fleet, *(row(fleet, n) for n in range(4))))
    assert ran(cli, fleet, "--jobs", "2")[0] == 0
    assert len(names) == 2
