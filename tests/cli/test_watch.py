from __future__ import annotations

import json
import os
import plistlib
import shlex
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support_cli import Cli
from support_issued import issued
from support_tokens import MadeToken, SoftHsm
from support_watch import WAIT, Watching, many_insertions, ready

from safetok.cli import conformance
from safetok.errors import NoToken
from safetok.workflows.watch import watch
from safetok.workflows.watch_unit import unit


@pytest.fixture
def cli(softhsm: SoftHsm, tmp_path: Path) -> Cli:
    """The command line with this test's driver and a home of its own."""
    return Cli(
        {
            "SAFETOK_HOME": str(tmp_path / "home"),
            "SAFETOK_MODULE": os.environ["SAFETOK_MODULE"],
            "SOFTHSM2_CONF": str(softhsm.configuration),
            "PYTHONUNBUFFERED": "1",
        }
    )


def pulled(token: MadeToken) -> Path:
    """Take the token out of SoftHSM's sight; returns where it lies."""
    aside = token.folder.parent.parent / "out" / token.folder.name
    aside.parent.mkdir(exist_ok=True)
    return token.folder.rename(aside)


def plugged(token: MadeToken) -> None:
    """Put it in again."""
    (token.folder.parent.parent / "out" / token.folder.name).rename(token.folder)


def test_a_token_announces_itself_and_nobody_logs_in(
    cli: Cli, simulator: Any, make_token: Callable[..., MadeToken], rsa_key: Any
) -> None:
    """Plugged in, pulled out, plugged in again: each is one line that fits its schema; there is no login, no open session."""
    token = make_token("Kho A", certificates=[issued(rsa_key)])
    pulled(token)
    running = Watching(cli, "--json", env=simulator.environment)
    end = time.monotonic() + WAIT
    while not simulator.count("C_GetSlotList"):  # the first look, which finds none
        assert time.monotonic() < end
    plugged(token)
    came = running.event()
    assert came["data"]["event"] == "inserted"
    assert came["data"]["serial"] == token.serial
    assert came["data"]["company"] == "CÔNG TY TNHH THỬ NGHIỆM"
    assert [one["serial"] for one in came["data"]["token"]["certificates"]] == ["54010108096D8A02E2F22CE98BD7168E"]
    assert [one["code"] for one in came["data"]["due"]] == ["contract_end_unknown"]
    pulled(token)
    went = running.event()["data"]
    assert (went["event"], went["serial"], went["token"]) == ("removed", token.serial, None)
    plugged(token)
    assert running.event()["data"]["event"] == "inserted"
    status, err = running.end(signal.SIGINT)
    assert status == 0, err
    assert "Traceback" not in err
    assert simulator.count("C_Login") == 0
    assert simulator.count("C_OpenSession") == simulator.count("C_CloseSession")


def test_people_read_what_came_and_what_is_due(cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any) -> None:
    """A grey V1 is announced with its certificate, what is due and the command, and the notice's hint for its own program."""
    token = make_token("Kho A", certificates=[issued(rsa_key)])
    assert cli("tokens", "set-kind", token.serial, "v1").status == 0
    running = Watching(cli)
    told = running.until("không tự mở như V2")
    assert "ĐANG CẮM: CÔNG TY TNHH THỬ NGHIỆM · MST 0106324653" in told
    assert token.serial in told
    assert "54010108096D8A02E2F22CE98BD7168E" in told
    assert "→ safetok status" in told
    pulled(token)
    assert "đã rút ra" in running.until(f"(Token ID {token.serial})")
    status, err = running.end(signal.SIGTERM)
    assert (status, "mã PIN" in err) == (0, True)


def test_a_token_whose_coming_is_recorded_is_announced_with_its_dossier(
    cli: Cli, make_token: Callable[..., MadeToken]
) -> None:
    """Not activated yet, plugged in after its arrival was written down: never the command that would begin the three days anew."""
    token = make_token("Mới nhận")
    begin = ("dossier", "start", "--case", "revoked", "--mst", "0106324653", "--one")
    assert cli(*begin).status == 0
    assert cli("dossier", "token-received", "--token", token.serial).status == 0
    running = Watching(cli)
    assert "dossier token-received" not in running.until("→ safetok dossier show")
    running.end(signal.SIGTERM)


@pytest.mark.parametrize("left_aside", [False, True])
def test_a_terminal_that_is_closed_ends_it_unless_that_is_left_aside(
    cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any, *, left_aside: bool
) -> None:
    """SIGHUP is its ordinary end; behind nohup it goes on, and Ctrl-C or SIGTERM ends it."""
    token = make_token("Kho A", certificates=[issued(rsa_key)])
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if left_aside else signal.SIG_DFL)
    try:
        running = Watching(cli, "--json")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert running.event()["data"]["event"] == "present"
    if left_aside:
        running.process.send_signal(signal.SIGHUP)
        pulled(token)
        assert running.event()["data"]["event"] == "removed"
    assert running.end(signal.SIGTERM if left_aside else signal.SIGHUP)[0] == 0


def test_a_certificate_that_comes_while_the_token_stays_in(
    cli: Cli, make_token: Callable[..., MadeToken], softhsm: SoftHsm, rsa_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's program writes a new certificate: it is announced as a change, with what is due for it."""
    from support_tokens import add_certificate

    token = make_token("Kho A", certificates=[issued(rsa_key)])
    with ready(cli, monkeypatch) as (context, clock):
        found = watch(context, poll=1, sleep=clock.sleep)
        assert next(found).what == "present"
        new = issued(rsa_key, serial=0x54010108AAAA, start=datetime(2026, 11, 1, tzinfo=UTC), days_left=700)
        add_certificate(softhsm, token, new)
        event = next(found)
        assert event.what == "changed"
        assert [one.code for one in event.due] == ["new_certificate"]
        found.close()


def test_hundreds_of_insertions_leave_nothing_behind(
    cli: Cli, make_token: Callable[..., MadeToken], ec_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every one is announced, by one worker; files, processes and memory stay what they were after the first few."""
    token = make_token("Kho A", certificates=[issued(ec_key)])
    many_insertions(cli, monkeypatch, pull=lambda: pulled(token), plug=lambda: plugged(token))


def test_one_that_cannot_be_read_yet_is_announced_when_it_can(
    cli: Cli, simulator: Any, make_token: Callable[..., MadeToken], rsa_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token whose sessions fail just after it was plugged in is not announced as empty: it is looked at again."""
    make_token("Kho A", certificates=[issued(rsa_key)])
    simulator.steer(faults=["C_OpenSession 1 return DEVICE_ERROR"])
    with ready(cli, monkeypatch) as (context, clock):
        monkeypatch.setenv("SAFETOK_MODULE", str(simulator.module))
        found = watch(context, poll=1, sleep=clock.sleep)
        event = next(found)
        assert event.company == "CÔNG TY TNHH THỬ NGHIỆM"
        found.close()
    assert [call.answer for call in simulator.calls() if call.function == "C_OpenSession"][:2] == [0x30, 0]


def test_a_hook_is_told_of_an_insertion(cli: Cli, make_token: Callable[..., MadeToken], tmp_path: Path) -> None:
    """A program in the folder of hooks is run once for each insertion, with the event on its standard input."""
    token = make_token("Kho A")
    hooks = tmp_path / "home" / "hooks"
    hooks.mkdir(parents=True, mode=0o700)
    hook = hooks / "note"
    hook.write_text(f"#!/bin/sh\ncat >> {tmp_path}/told\n")
    hook.chmod(0o700)
    running = Watching(cli, "--json")
    assert running.event()["data"]["event"] == "present"
    pulled(token)
    assert running.event()["data"]["event"] == "removed"
    plugged(token)
    assert running.event()["data"]["event"] == "inserted"
    end = time.monotonic() + WAIT
    while not (tmp_path / "told").exists() or not (tmp_path / "told").read_text():
        assert time.monotonic() < end
    assert running.end(signal.SIGINT)[0] == 0
    (told,) = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert (told["event"], told["data"]["serial"]) == ("inserted", token.serial)


def test_without_a_driver_there_is_nothing_to_watch(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no driver could ever show a token, it says so and ends 3 instead of waiting for ever."""
    with ready(cli, monkeypatch) as (context, clock):
        monkeypatch.setattr("safetok.tokens.drivers._discovered", lambda *_a: iter(()))
        monkeypatch.delenv("SAFETOK_MODULE")
        with pytest.raises(NoToken) as caught:
            next(watch(context, sleep=clock.sleep))
    assert caught.value.code == "no_driver"


HARD = {"SAFETOK_HOME": '/nhà của "tôi"/100%/$x'}


def test_units_keep_odd_names_whole() -> None:
    """A home with spaces, quotes, percent and dollar signs comes through systemd's, launchd's and Windows' quoting."""
    linux = unit("linux", HARD, command=["/opt/a b/safetok"], words=["watch"])
    assert r'Environment="SAFETOK_HOME=/nhà của \"tôi\"/100%%/$x"' in linux.text
    assert 'ExecStart="/opt/a b/safetok" "watch"' in linux.text
    mac = plistlib.loads(unit("macos", HARD, command=["/opt/a b/safetok"], words=["watch"]).text.encode())
    assert mac["ProgramArguments"] == ["/opt/a b/safetok", "watch"]
    assert mac["EnvironmentVariables"] == HARD
    windows = unit("windows", {"SAFETOK_HOME": r"C:\a b"}, command=[r"C:\a b\safetok.exe"], words=["watch"])
    assert '"C:\\a b\\safetok.exe" watch' in windows.text
    assert 'set "SAFETOK_HOME=C:\\a b"' in windows.text
    shop = unit("windows", {}, command=[r"C:\A&B\safetok.exe"], words=["watch"])
    assert '"C:\\A&B\\safetok.exe" watch' in shop.text, "cmd.exe would begin another command at &"


def test_the_unit_is_printed_for_this_system(cli: Cli) -> None:
    """`--unit` prints file, lines and commands, opens no driver, and in JSON fits its schema."""
    said = cli("watch", "--unit")
    assert said.status == 0
    assert "WantedBy=default.target" in said.out
    assert "systemctl --user enable --now safetok-watch" in said.out
    document = cli.json("watch", "--unit", "--refresh")
    conformance.check(document.envelope)
    line = next(row for row in document.data["text"].splitlines() if row.startswith("ExecStart="))
    assert shlex.split(line.removeprefix("ExecStart="))[-2:] == ["watch", "--refresh"]
