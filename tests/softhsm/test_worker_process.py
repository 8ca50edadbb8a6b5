"""A worker as an operating-system process: how it ends, what is said of its end, and many tokens behind one driver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from support_fleet import make_fleet
from support_simulator import Simulator
from support_tokens import MadeToken, SoftHsm, spki_of

from safetok.domain.times import system_clock
from safetok.errors import DriverFailed, NoToken, NotTrusted
from safetok.tokens.drivers import DriverFile
from safetok.tokens.images import image
from safetok.tokens.keys import TokenRsaKey
from safetok.tokens.process import Worker, WorkerFailure
from safetok.tokens.tokens import Tokens

Make = Callable[..., MadeToken]


def test_a_worker_says_how_it_ended(softhsm: SoftHsm) -> None:
    """By a signal's name, by its exit status, or not at all where somebody else has waited for it."""
    killed, confused, waited = Worker(), Worker(), Worker()
    os.kill(killed.pid, signal.SIGKILL)
    os.write(confused._pipe._out, b"\0\0\0\1x")  # type: ignore[union-attr]
    os.kill(waited.pid, signal.SIGKILL)
    os.waitpid(waited.pid, 0)
    ends = []
    for worker in (killed, confused, waited):
        with pytest.raises(WorkerFailure) as raised:
            worker.call("infos", deadline=10, path=softhsm.module, refresh=False)
        assert (raised.value.name, worker.alive) == ("crashed", False)
        ends.append(raised.value.detail)
    assert ends == ["SIGKILL", "exit 1", "exit 0"]
    for worker in (killed, confused, waited):
        worker.kill()
        worker.close()


def test_a_worker_that_does_not_end_is_ended(softhsm: SoftHsm, simulator: Simulator) -> None:
    """One that hangs within its driver when it is told to leave is killed after the wait."""
    worker = Worker()
    worker.call("infos", deadline=10, path=str(simulator.module), refresh=False)
    simulator.steer(faults=["C_Finalize 0 hang"])
    worker.close(wait=0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)
    worker.close()


def test_a_command_works_without_a_stderr(softhsm: SoftHsm, make_token: Make, tmp_path: Path) -> None:
    """Started by something that closed its stderr: the token is shown all the same."""
    made = make_token()
    shown = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m safetok tokens --serials 2>&-"],
        env={**os.environ, "SAFETOK_HOME": str(tmp_path / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shown.returncode, shown.stdout.split()) == (0, [made.serial])


def test_among_many_tokens_each_is_found_and_a_pulled_one_missed(tmp_path: Path, simulator_module: Path) -> None:
    """Twenty tokens: sessions on several in a row, one that is pulled out meanwhile, one that nobody has."""
    fleet = make_fleet(Path("/dev/shm") / f"safetok-fleet-{os.getpid()}", 20)
    simulator = Simulator(simulator_module, tmp_path / "simulator.conf")
    simulator.steer(forward=fleet.module)
    given = {"SOFTHSM2_CONF": str(fleet.places.softhsm), **simulator.environment}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        driver = DriverFile(path=str(simulator.module), name="driver", source="flag")
        with Tokens([driver], locks=tmp_path / "locks", clock=system_clock) as tokens:
            tokens.read()
            for serial in fleet.serials[:3]:
                with tokens.session(serial) as session:
                    assert session.info.serial == serial
            lists = simulator.count("C_GetSlotList")
            with tokens.session(fleet.serials[1]) as session:
                assert session.info.serial == fleet.serials[1]
            assert simulator.count("C_GetSlotList") - lists <= 2, "the known slot was asked alone"
            asked = simulator.count("C_GetTokenInfo")
            simulator.steer(faults=[f"C_GetTokenInfo {asked + 1} return DEVICE_ERROR"])
            with tokens.session(fleet.serials[2]) as session:
                assert session.info.serial == fleet.serials[2]
            with pytest.raises(NoToken):
                tokens.session("ffffffffffffffff")
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        fleet.stop()


def test_a_signature_of_an_unknown_kind_is_refused(rsa_key: object) -> None:
    """Neither PKCS#1 nor PSS: nothing is sent to the token."""
    sent: list[bytes] = []
    key = TokenRsaKey(rsa_key.public_key(), lambda _how, data: sent.append(data) or b"")  # type: ignore[attr-defined,func-returns-value]
    with pytest.raises(NotTrusted) as raised:
        key.sign(b"x", padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None), hashes.SHA256())
    assert (raised.value.code, sent) == ("unknown_scheme", [])
    key.sign(b"x", padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH), hashes.SHA256())
    key.sign(b"x", padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH), hashes.SHA256())
    assert len(sent) == 2


def test_what_is_no_program_file_has_no_kind(tmp_path: Path) -> None:
    """A folder, a missing file, a DOS program, a Java class: no kind, no crash."""
    for name, content in (
        ("dos", b"MZ".ljust(0x3C, b"\0") + b"\x40\0\0\0" + bytes(64)),
        ("java", b"\xca\xfe\xba\xbe\0\0\0\x41"),
    ):
        (tmp_path / name).write_bytes(content)
    assert [image(str(tmp_path / name)) for name in ("", "none", "dos", "java")] == [None] * 4


def test_a_driver_that_fails_at_the_last_moment_harms_nobody(
    simulator: Simulator, make_token: Make, ec_key: ec.EllipticCurvePrivateKey, tmp_path: Path
) -> None:
    """It crashes while its session is closed: what was done is done, and the next session works."""
    made = make_token("Company", keys=[ec_key])
    driver = DriverFile(path=str(simulator.module), name="driver", source="flag")
    simulator.steer(faults=["C_Logout 1 crash"])
    with Tokens([driver], locks=tmp_path / "locks", clock=system_clock) as tokens:
        session = tokens.session(made.serial)
        session.login(made.pin)
        key = session.private_key(spki_of(ec_key))
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        signature = key.sign(b"x", ec.ECDSA(hashes.SHA256()))
        session.close()
        session.close()
        with pytest.raises(DriverFailed):
            key.sign(b"x", ec.ECDSA(hashes.SHA256()))
        with tokens.session(made.serial) as again:
            again.login(made.pin)
            assert again.key_id(spki_of(ec_key))
    ec_key.public_key().verify(signature, b"x", ec.ECDSA(hashes.SHA256()))
