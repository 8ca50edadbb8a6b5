"""No sequence of commands locks a token that locks at three wrong tries, whatever its flags say."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from support_inside import Inside
from support_pins import Keyring, Person, at_the_keyboard, command_line, settle
from support_simulator import Simulator
from support_tokens import MadeToken, SoftHsm, remove

from safetok.store.pins import PinLog

RIGHT, OTHER, WRONG = "246813", "135790", ("000000", "111111", "99999999")
PINS = st.sampled_from([RIGHT, OTHER, *WRONG, "", "12"])
# More sequences, longer ones: SAFETOK_SEQUENCES=500 pytest tests/faults/test_pin_never_locks.py
SEQUENCES = int(os.environ.get("SAFETOK_SEQUENCES", "4"))


@dataclass(frozen=True)
class Ground:
    """What every sequence starts from."""

    softhsm: SoftHsm
    module: Path
    token: MadeToken
    certificate: x509.Certificate
    traits: dict[str, Any]


class Commands(RuleBasedStateMachine):
    """A person, a script and a keyring at one token, each with right and wrong PINs, without --force-last-try."""

    ground: Ground

    @initialize()
    def begin(self) -> None:
        ground = type(self).ground
        self.folder = Path(tempfile.mkdtemp(prefix="safetok-test-", dir="/dev/shm"))
        shutil.copytree(ground.softhsm.folder, self.folder / "tokens")
        configuration = self.folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {self.folder / 'tokens'}\nlog.level = ERROR\n")
        self.simulator = Simulator(ground.module, self.folder / "simulator.conf")
        self.simulator.steer(forward=ground.softhsm.module, pin_tries=3, **ground.traits)
        home = self.folder / "home"
        settle(home, ground.certificate)
        env = self.simulator.surroundings
        self.run = Inside(command_line(home, env).env)
        self.service = Keyring.in_use()
        self.keyring = self.service.__enter__()
        self.faults = 0

    def teardown(self) -> None:
        self.service.__exit__(None, None, None)
        remove(self.folder)

    @rule(pin=PINS, as_is=st.booleans())
    def a_script_saves(self, pin: str, *, as_is: bool) -> None:
        self.run("pin", "store", "--pin-stdin", *(["--pin-as-is"] if as_is else []), stdin=f"{pin}\n")

    @rule(pins=st.lists(PINS, max_size=2), again=st.booleans())
    def a_person_saves(self, pins: list[str], *, again: bool) -> None:
        with at_the_keyboard(Person(pins, yes=again)):
            self.run("pin", "store")

    @rule(old=PINS, new=st.sampled_from([RIGHT, OTHER]))
    def a_script_changes(self, old: str, new: str) -> None:
        self.run("pin", "change", "--pin-stdin", stdin=f"{old}\n{new}\n")

    @rule(pins=st.lists(PINS, max_size=3))
    def a_person_changes(self, pins: list[str]) -> None:
        with at_the_keyboard(Person(pins)):
            self.run("pin", "change")

    @rule(pin=st.sampled_from([RIGHT, *WRONG]))
    def a_table_is_imported(self, pin: str) -> None:
        table = self.folder / "pins.csv"
        table.write_text(f"token,pin\n{type(self).ground.token.serial},{pin}\n")
        assert self.run("pin", "import", str(table)).status == 0

    @rule()
    def the_keyring_forgets(self) -> None:
        self.run("pin", "forget", "--serial", type(self).ground.token.serial)

    @rule(pin=st.none() | PINS, new_key=st.booleans())
    def a_request_is_made(self, pin: str | None, *, new_key: bool) -> None:
        """With a PIN given, or the keyring's, or nobody's; then given up, so that the next one is a new one."""
        words = ["renew", "--csr", str(self.folder / f"{len(list(self.folder.iterdir()))}.pem")]
        given = ["--pin-stdin"] if pin is not None else []
        said = self.run.json(*words, *given, *(["--new-key"] if new_key else []), stdin=f"{pin}\n")
        if said.status == 0 and said.data["renewal_id"]:
            more = {"stdin": f"{pin}\n"} if pin is not None else {}
            self.run("renew", "--abandon", said.data["renewal_id"], "--force", *given, **more)

    @rule()
    def what_is_unfinished_is_carried_on(self) -> None:
        self.run("renew", "--resume")

    @rule(action=st.sampled_from(["crash", "crash_after", "remove", "return GENERAL_ERROR", "return PIN_INCORRECT"]))
    def the_next_login_goes_wrong(self, action: str) -> None:
        number = self.simulator.count("C_Login") + 1
        self.simulator.steer(faults=[f"C_Login {number} {action}"])

    @rule()
    def it_is_plugged_in_again(self) -> None:
        self.simulator.plug()

    @rule()
    def everybody_looks(self) -> None:
        self.run("status")
        self.run("certs", "list")

    @invariant()
    def it_is_not_locked(self) -> None:
        if hasattr(self, "simulator") and Path(f"{self.simulator.config}.state").exists():
            assert self.simulator.memory(type(self).ground.token.serial).failed < 3


MODES = [
    {"flags": "honest"},
    {"flags": "process"},
    {"flags": "never"},
    {"flags": "never", "wrong_pin": "GENERAL_ERROR"},
    {"flags": "honest", "wrong_pin": "GENERAL_ERROR"},
    {"flags": "process", "always_authenticate": "yes"},
]


@pytest.fixture
def ground(
    softhsm: SoftHsm, simulator_module: Path, make_token: Any, ec_key: Any, make_certificate: Any
) -> Callable[[dict[str, Any]], None]:
    """Sets where sequences start from: a company's token, with these traits."""

    def made(traits: dict[str, Any]) -> None:
        certificate = make_certificate(ec_key)
        token = make_token("Company", certificates=[certificate], keys=[ec_key], pin=RIGHT)
        Commands.ground = Ground(softhsm, simulator_module, token, certificate, traits)

    return made


def run_sequences(count: int) -> None:
    """Run `count` sequences from the ground that was set."""
    run_state_machine_as_test(
        Commands,
        settings=settings(
            max_examples=count,
            stateful_step_count=12,
            deadline=None,
            derandomize=count < 50,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=[Phase.generate],
            print_blob=False,
        ),
    )


@pytest.mark.parametrize("traits", MODES, ids=[" ".join(mode.values()) for mode in MODES])
def test_no_sequence_of_commands_locks_the_token(
    traits: dict[str, Any], ground: Callable[[dict[str, Any]], None]
) -> None:
    """Right and wrong PINs, typed, piped, kept and imported, with drivers that fail: the token never hears a third wrong one."""
    ground(traits)
    run_sequences(SEQUENCES)


def test_a_guard_that_does_not_count_is_caught(
    ground: Callable[[dict[str, Any]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of the test: with the own count taken away, and flags that say nothing, such a sequence locks the token."""
    monkeypatch.setattr(PinLog, "count", lambda *_given: 0)
    ground({"flags": "never"})
    with pytest.raises(AssertionError):
        run_sequences(20)
