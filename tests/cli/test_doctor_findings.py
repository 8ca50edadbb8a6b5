from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support_cli import Cli
from support_inside import Inside
from support_issued import issued
from support_simulator import Simulator
from support_store import certificate, reading, renewal, token_info
from support_tokens import MadeToken, SoftHsm

from safetok.cli import conformance
from safetok.domain.tokens import KeyPresence, PinState, TokenReading
from safetok.store import pin_store
from safetok.store.database import Database
from safetok.store.journal import Journal
from safetok.store.paths import home
from safetok.tokens import drivers
from safetok.workflows import doctor, doctor_state


@pytest.fixture
def cli(softhsm: SoftHsm, tmp_path: Path) -> Cli:
    """The command line inside this process, with SoftHSM as its only driver and a home of its own."""
    return Inside(
        {
            "SAFETOK_HOME": str(tmp_path / "home"),
            **softhsm.surroundings,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "SHELL": "/bin/sh",
            "HOME": str(tmp_path),
        }
    )


def found(cli: Cli, *words: str, **more: Any) -> dict[str, dict[str, Any]]:
    """Each finding by its code; whatever is not right has one next step."""
    said = cli.json("doctor", "--offline", *words, **more)
    conformance.check(said.envelope)
    findings = said.data["findings"]
    for one in findings:
        assert one["grade"] == "good" or one["step"], one
        assert one["message"]
    assert said.status == (11 if any(one["grade"] == "bad" for one in findings) else 0)
    return {one["code"]: one for one in findings}


def test_no_driver_at_all(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer on which nothing is installed hears what to install or name, and that alone keeps safetok from working."""
    monkeypatch.setattr(drivers, "_discovered", lambda *_a: iter(()))
    told = found(cli, env={"SAFETOK_MODULE": ""})
    assert [code for code, one in told.items() if one["grade"] == "bad"] == ["no_driver"]
    assert "--module" in told["no_driver"]["step"]


def test_no_token(cli: Cli) -> None:
    """A driver without a token is a remark, with how to wait for one."""
    assert found(cli)["no_token"]["grade"] == "warn"


def test_an_unfinished_renewal_is_named_with_its_command(cli: Cli) -> None:
    """What the journal holds open is told with the token it waits for, and once."""
    with Database(home(cli.env).database) as db:
        Journal(db).create(renewal())
    told = found(cli)["renewal_unfinished"]
    assert (told["grade"], told["step"], told["about"]) == ("warn", "safetok renew --resume", renewal().token_serial)
    said = cli("doctor")
    assert (said.out + said.err).count("safetok renew --resume") == 1


def test_a_keyring_that_waits_for_a_person_is_called_locked(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A back end that asks somebody to unlock it does not hold the examination up."""
    unlocked = threading.Event()
    monkeypatch.setattr(pin_store, "get", lambda _serial: unlocked.wait())
    monkeypatch.setattr(doctor_state, "KEYRING_SECONDS", 0.01)
    try:
        assert found(cli)["keyring_locked"]["grade"] == "info"
    finally:
        unlocked.set()


def test_a_keyring_that_is_missing_is_no_hindrance(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one PINs are typed: a remark, and nothing bad."""
    monkeypatch.setattr("keyring.core._keyring_backend", None)  # one that a test before used is not asked
    assert found(cli)["keyring_unusable"]["grade"] == "info"


def test_a_disk_that_is_nearly_full(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal writes before and after the CA answers: too little room is bad beforehand."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1 << 20))
    assert found(cli)["no_space"]["grade"] == "bad"


def test_a_shell_that_could_complete(cli: Cli) -> None:
    """Where bash or fish look for completions and find none, the file and its place are named."""
    for shell in ("bash", "fish"):
        told = found(cli, env={"SHELL": f"/usr/bin/{shell}"})
        assert f"safetok.{shell}" in told["completions_missing"]["step"]
    assert "completions_missing" not in found(cli)


def test_a_ca_that_is_not_known(cli: Cli, make_token: Callable[..., MadeToken], rsa_key: Any) -> None:
    """A certificate of a CA that settings do not name: how to name it."""
    make_token("Kho A", certificates=[issued(rsa_key, issuer="LẠ-CA")], keys=[rsa_key])
    told = found(cli)["authority_unknown"]
    assert (told["about"], "[authorities." in told["step"]) == ("LẠ-CA", True)


def test_a_pin_that_is_locked(
    cli: Cli, simulator: Simulator, make_token: Callable[..., MadeToken], rsa_key: Any
) -> None:
    """What a token says of its own PIN is told without trying any: the last try as a warning, locked as bad."""
    token = make_token("Kho A", certificates=[issued(rsa_key)], keys=[rsa_key])
    simulator.steer(pin_tries=2)
    wrong = ("doctor", "--serial", token.serial, "--pin-stdin", "--force-last-try")
    assert cli(*wrong, stdin="97531086\n", env=simulator.environment).status == 5
    told = found(cli, env=simulator.environment)
    assert (told["pin_final_try"]["grade"], told["pin_final_try"]["about"]) == ("warn", token.serial)
    cli(*wrong, stdin="97531086\n", env=simulator.environment)
    logins = simulator.count("C_Login")
    told = found(cli, env=simulator.environment)
    assert (told["pin_locked"]["grade"], told["pin_locked"]["about"]) == ("bad", token.serial)
    assert simulator.count("C_Login") == logins


ONE: TokenReading = reading("T1", certificate(1)).tokens[0]
ODD = {
    "doubled_serial": replace(ONE, info=token_info("T1", readable_only=True)),
    "pin_final_try": replace(ONE, info=token_info("T1", pin_state=PinState.FINAL_TRY)),
    "pin_locked": replace(ONE, info=token_info("T1", pin_state=PinState.LOCKED)),
    "write_protected": replace(ONE, info=token_info("T1", write_protected=True)),
    "unreadable_certificates": replace(ONE, unreadable=2),
    "certificate_without_key": replace(
        ONE, certificates=tuple(replace(one, key=KeyPresence.ABSENT) for one in ONE.certificates)
    ),
    "no_certificate": replace(ONE, certificates=()),
}


@pytest.mark.parametrize("code", ODD)
def test_each_odd_token_is_one_finding_with_one_step(code: str) -> None:
    """What a token shows of itself without a PIN comes to exactly one finding, about that token, with what to do."""
    (one,) = doctor._token(ODD[code], came="safetok dossier start")
    assert (one.code, one.about) == (code, "T1")
    assert one.step
    assert "T1" in one.text


def test_a_token_in_order_is_no_finding() -> None:
    """Nothing is said of a token of which there is nothing to say."""
    assert list(doctor._token(ONE, came="")) == []


@pytest.mark.parametrize(("value", "told"), [("fr", True), ("Français", True), ("", False), ("EN_us", False)])
def test_a_language_that_there_is_not_is_told(cli: Cli, value: str, *, told: bool) -> None:
    """SAFETOK_LANG=fr is Vietnamese: doctor says that it was left aside, and what it may be."""
    findings = found(cli, env={"SAFETOK_LANG": value})
    assert ("language_unknown" in findings) is told
    if told:
        assert value in findings["language_unknown"]["message"]


def test_a_rule_for_no_agency_is_told(cli: Cli) -> None:
    """A misspelt agency's rule would change nothing in silence: doctor and `agencies list` name it, and which one may be meant."""
    rule = '.acceptance]\nrule = "hours"\namount = 48\n'
    text = f"[agencies.VNACS{rule}[agencies.misa{rule}[agencies.v5{rule}"
    text += '[authorities.SAFE-CA.acceptance.ixhdd]\nrule = "none"\n'
    settings = home(cli.env).settings
    settings.parent.mkdir(mode=0o700)
    settings.write_text(text, encoding="utf-8")
    strange = [one for one in cli.json("doctor", "--offline").data["findings"] if one["code"] == "agency_unknown"]
    assert [one["about"] for one in strange] == [
        "agencies.VNACS.acceptance",
        "agencies.misa.acceptance",
        "authorities.SAFE-CA.acceptance.ixhdd",
    ]
    assert [one["grade"] for one in strange] == ["warn"] * 3
    assert all(f"là {agency} không?" in strange[at]["message"] for at, agency in ((0, "vnaccs"), (2, "ixhd")))
    said = cli.json("agencies", "list")
    assert said.status == 0
    assert all(one["about"] in said.err for one in strange)
