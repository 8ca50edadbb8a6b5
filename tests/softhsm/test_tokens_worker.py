import base64
import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from support_tokens import MadeToken, SoftHsm, run, spki_of

from safetok.tokens import cryptoki, process
from safetok.tokens.locks import lock_name
from safetok.tokens.process import Worker, WorkerFailure
from safetok.tokens.tokens import Deadlines, Tokens

Make = Callable[..., MadeToken]


@pytest.fixture
def worker(softhsm: SoftHsm) -> Worker:
    """A worker with SoftHSM loaded."""
    started = Worker()
    started.call("infos", deadline=10, path=softhsm.module, refresh=False)
    return started


def test_a_worker_keeps_its_pipes_from_the_driver(worker: Worker) -> None:
    """What a driver prints goes to stderr and what it reads is the end of input: the frames' pipes are elsewhere."""
    fds = Path(f"/proc/{worker.pid}/fd")
    assert (fds / "0").readlink() == Path("/dev/null")
    assert (fds / "1").readlink() == (fds / "2").readlink()
    worker.close()


def test_a_worker_is_out_of_the_terminals_reach(worker: Worker, softhsm: SoftHsm) -> None:
    """Its own process group, deaf to the terminal's signals, no core dump, nor one sent to a program (core(5))."""
    assert os.getpgid(worker.pid) == worker.pid
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        os.kill(worker.pid, number)
    assert worker.call("infos", deadline=10, path=softhsm.module, refresh=False) == []
    limits = Path(f"/proc/{worker.pid}/limits").read_text()
    least = "1" if resource.getrlimit(resource.RLIMIT_CORE)[1] else "0"
    assert next(line.split()[4:6] for line in limits.splitlines() if "core" in line) == [least, least]
    worker.close()


def test_a_worker_is_found_where_its_parent_was(softhsm: SoftHsm) -> None:
    """Also where isolated mode does not look: in a user's own packages (`pip install --user`), or a folder of PYTHONPATH."""
    code = (
        f"import sys; sys.path += {sys.path!r}; from safetok.tokens.process import Worker;"
        f"print(Worker(for_a_session=True).call('infos', deadline=10, path={softhsm.module!r}, refresh=False))"
    )
    without_it = sys._base_executable  # type: ignore[attr-defined]  # no environment of its own, and nothing of ours in it
    assert run(without_it, "-I", "-c", code).strip() == "[]"


def test_a_worker_that_only_looks_loads_nothing_heavy(softhsm: SoftHsm, make_token: Make) -> None:
    """Neither python-pkcs11 nor cryptography nor asn1crypto nor typing is imported for a look: `status` waits for it."""
    make_token()
    code = (
        "import sys; from safetok.tokens import worker; w = worker.Worker(lambda value: None);"
        f"w.read({softhsm.module!r}, refresh=False); print(*sorted(sys.modules))"
    )
    loaded = run(sys.executable, "-I", "-c", code).split()
    heavy = {"pkcs11", "cryptography", "asn1crypto", "typing", "enum", "re", "json", "subprocess", "runpy", "pathlib"}
    bare = set(run(sys.executable, "-I", "-c", "import sys; print(*sys.modules)").split())
    assert "safetok.tokens.look" in loaded
    assert heavy & (set(loaded) - bare) == set()


def test_a_worker_with_a_session_loads_no_key_formats() -> None:
    """python-pkcs11's helpers stay unloaded until one is used: a batch starts a worker for each token, and they are half of it."""
    code = (
        "import sys; from safetok.tokens import worker; worker._load_hands(); print('asn1crypto' in sys.modules);"
        "import pkcs11; print(pkcs11.util.rsa.encode_rsa_public_key.__name__, 'asn1crypto' in sys.modules)"
    )
    assert run(sys.executable, "-I", "-c", code).split() == ["False", "encode_rsa_public_key", "True"]


def test_a_worker_started_for_a_session_has_loaded_it(softhsm: SoftHsm, worker: Worker) -> None:
    """The worker of a batch's second hand has python-pkcs11 before it is asked anything; one that is to look first does not."""
    second = Worker(for_a_session=True)
    assert second.call("infos", deadline=10, path=softhsm.module, refresh=False) == []
    loaded = ["_pkcs11" in Path(f"/proc/{one.pid}/maps").read_text() for one in (second, worker)]
    assert loaded == [True, False]
    second.close()
    worker.close()


def test_the_driver_is_initialised_with_the_systems_locks(softhsm: SoftHsm) -> None:
    """CKF_OS_LOCKING_OK, and python-pkcs11 then works on the same library without its own C_Initialize."""
    code = (
        f"from safetok.tokens.cryptoki import Module; m = Module({softhsm.module!r}); print(m.locking);"
        "from pkcs11 import _pkcs11;"
        f"l = _pkcs11.lib.__new__(_pkcs11.lib, {softhsm.module!r}); print(l.initialized, len(l.get_slots()));"
        "import ctypes; print(_pkcs11.lib.__mro__[-2].__basicsize__ == object.__basicsize__ + 24);"
        "print(ctypes.c_void_p.from_address(id(l) + object.__basicsize__).value == m.address)"
    )
    assert run(sys.executable, "-I", "-c", code).split() == ["os", "False", "1", "True", "True"]


@pytest.mark.parametrize(("first", "expected"), [(0x0A, "none"), (0x09, "none"), (0x07, "none"), (0x191, "os")])
def test_a_driver_that_cannot_lock_is_initialised_without(first: int, expected: str) -> None:
    """CANT_LOCK, NEED_TO_CREATE_THREADS and ARGUMENTS_BAD lead to C_Initialize(NULL); an initialised driver is good."""
    module = cryptoki.Module.__new__(cryptoki.Module)
    module.locking = "os"
    answers = iter([first, 0])
    module.call = lambda _name, *_arguments: next(answers)  # type: ignore[method-assign]
    module.initialize()
    assert module.locking == expected


def test_a_request_unknown_to_the_worker_is_refused(worker: Worker) -> None:
    """Only requests run, whatever else the worker's object can do; a missing session is named."""
    for name in ("leave", "__init__", "nothing"):
        with pytest.raises(WorkerFailure) as raised:
            worker.call(name, deadline=5)
        assert raised.value.name == "worker"
    with pytest.raises(WorkerFailure) as raised:
        worker.call("login", deadline=5, pin=b"246813")
    assert (raised.value.name, raised.value.detail) == ("not_open", "")
    worker.close()


def test_an_unforeseen_failure_never_repeats_what_was_asked(worker: Worker) -> None:
    """A request with wrong arguments is reported by its kind alone: its text could hold a PIN."""
    with pytest.raises(WorkerFailure) as raised:
        worker.call("login", deadline=5, secret="246813")
    assert (raised.value.name, raised.value.detail) == ("worker", "TypeError")
    worker.close()


def test_the_pin_is_nowhere_but_in_the_pipe(tokens: Tokens, make_token: Make, softhsm: SoftHsm) -> None:
    """A canary PIN is in no argv, no environment and no file of the run, in no spelling, before and after a wrong try."""
    canary = "7319550246"
    made = make_token(pin=canary)
    spelled = [
        canary.encode(),
        canary.encode("utf-16-le"),
        canary.encode().hex().encode(),
        base64.b64encode(canary.encode()),
    ]
    with tokens.session(made.serial) as session:
        session.login(canary)
        folder = Path(f"/proc/{session._worker.pid}")
        places = [folder / "cmdline", folder / "environ", *(f for f in softhsm.folder.parent.rglob("*") if f.is_file())]
        for place in places:
            content = place.read_bytes()
            assert not [form for form in spelled if form in content], place


def test_a_prestarted_worker_is_taken_by_the_first_that_needs_one(
    open_tokens: Callable[..., Tokens], make_token: Make
) -> None:
    """prestart begins one worker, the reading adopts it, and one that nobody takes is ended."""
    make_token()
    process.prestart()
    process.prestart()
    (waiting,) = process._waiting
    tokens = open_tokens()
    assert len(tokens.read().tokens) == 1
    assert next(iter(tokens._idle.values())) == [waiting]
    process.prestart()
    (unused,) = process._waiting
    process.discard()
    assert (process._waiting, unused.alive) == ([], False)


def test_a_worker_finishes_its_work_when_the_parent_dies(
    softhsm: SoftHsm, locks: Path, make_token: Make, rsa_key: rsa.RSAPrivateKey, open_tokens: Callable[..., Tokens]
) -> None:
    """SIGKILL to the parent while a key is made: the pair is whole, and the lock is held until then and free afterwards."""
    made = make_token()
    parent = f"""
import sys
from pathlib import Path
from safetok.domain.times import system_clock
from safetok.tokens.drivers import find_drivers
from safetok.tokens.tokens import Tokens
import os
drivers = find_drivers(module=None, configured=(), known=(), environ=os.environ)
tokens = Tokens(drivers, locks=Path({str(locks)!r}), clock=system_clock)
session = tokens.session({made.serial!r})
session.login({made.pin!r})
session._worker.ask("generate", deadline=300, key_type="RSA", bits=2048, ec_params=b"", cka_id=b"k" * 20, label="safetok k")
print(session._worker.pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert int(running.stdout.readline())
        running.kill()
    with (locks / lock_name(made.serial)).open("r+b") as lock:
        with pytest.raises(OSError, match="unavailable"):
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(lock, fcntl.LOCK_EX)  # waits for the worker's end
    with open_tokens().session(made.serial) as session:
        session.login(made.pin)
        (key,) = session.keys()
        assert (key.cka_id, key.label, key.private, key.public) == (b"k" * 20, "safetok k", True, True)


def test_a_write_that_takes_too_long_is_left_to_end_by_itself(
    open_tokens: Callable[..., Tokens], make_token: Make, locks: Path, rsa_key: rsa.RSAPrivateKey
) -> None:
    """Past its deadline a generation is `timed_out` and unknown; the worker is not killed within it, and looking settles it."""
    from safetok.errors import DriverFailed

    made = make_token()
    with open_tokens(deadlines=Deadlines(generate=0.001)).session(made.serial) as session:
        session.login(made.pin)
        with pytest.raises(DriverFailed) as raised:
            session.generate(spki_of(rsa_key), cka_id=b"t" * 20, label="safetok t")
        assert raised.value.code == "timed_out"
    with (locks / lock_name(made.serial)).open("r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
    with open_tokens().session(made.serial) as session:
        session.login(made.pin)
        (key,) = session.keys()
        assert (key.cka_id, key.private, key.public) == (b"t" * 20, True, True)


def test_nonsense_from_a_worker_ends_it() -> None:
    """Bytes that are no frame, or a frame that is no answer, are a crashed driver, never an exception of another kind."""
    for scribbled in (b"\xff\xff\xff\xff", b"\0\0\0\1x", b"\0\0\0\1n", b"\0\0\0\5l\0\0\0\0"):
        broken = Worker()
        broken._buffer += scribbled
        with pytest.raises(WorkerFailure) as raised:
            broken.call("infos", deadline=5, path="x", refresh=False)
        assert (raised.value.name, raised.value.detail, broken.alive) == ("crashed", "nonsense", False)
