"""The worker process: loads one driver, answers its parent's requests one at a time, and outlives it by the one in hand.

Run in isolated mode; `python -I -m safetok.tokens.worker` does it by hand. Speaks frames on what were its stdin and stdout.
Imports as little as possible: its start is on the way of every `status`.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # `signal` without its enums: 6 ms
import atexit
import gc
import os
import sys

from safetok.tokens import frames

TYPE_CHECKING = False  # not typing's: its import costs the worker's start 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from safetok.tokens.cryptoki import Module
    from safetok.tokens.hands import Hands
    from safetok.tokens.locks import TokenLock

FOR_A_SESSION = "session"  # argument of a worker that is not to look first: it loads what a session takes at once
LEAVE = 20  # seconds a driver is given for its own end
_FEW = 16  # tokens; so many are listed anew for each session, which sees a doubled serial that has come since
GRACE = 300  # seconds beyond its deadline after which an operation that nobody waits for any more ends with its process
_REMOVED = {
    "GENERAL_ERROR",
    "FUNCTION_FAILED",
    "DEVICE_ERROR",
    "SESSION_HANDLE_INVALID",
    "SESSION_CLOSED",
    "TOKEN_NOT_PRESENT",
    "SLOT_ID_INVALID",
    "OBJECT_HANDLE_INVALID",
    "KEY_HANDLE_INVALID",
}


class Refusal(Exception):
    """What the worker itself will not do: `no_token`, `doubled`, `held`, `locks`, `not_open`."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(name)
        self.name, self.detail = name, detail


class Worker:
    """The requests a worker answers. Each returns one plain value; `read` yields one frame a token before it."""

    def __init__(self, send: Callable[[Any], None]) -> None:
        self._send = send
        self._path = ""
        self._module: Module | None = None
        self._hands: Hands | None = None
        self._lock: TokenLock | None = None
        self._serial = ""
        self._places: dict[str, list[int]] = {}  # slots by serial, as last listed
        self.session_follows = False  # what a session needs is loaded in the time nobody waits for

    # --- looking -------------------------------------------------------------------------------------------------

    def _load(self, path: str, *, refresh: bool) -> Module:
        """The driver, initialised. `refresh` lets one of software slots see new tokens: only a second C_Initialize shows
        them there, and it ends all sessions; a driver of real readers notices by itself and is left in peace.
        """
        if self._module is None:
            from safetok.tokens.cryptoki import Module

            self._module = Module(path)
            self._path = path
        elif self._path != path:
            raise Refusal("worker")
        elif refresh and self._hands is None and not self._module.watches_hardware():
            self._places.clear()
            self._module.finalize()
            self._module.initialize()
        return self._module

    def load(self, path: str) -> None:
        """Only that: what is plugged in is left in peace."""
        self._load(path, refresh=False)

    def infos(self, path: str, *, refresh: bool) -> list[dict[str, Any]]:
        """Every token, without opening a session."""
        return [shown for _slot, shown in self._listed(self._load(path, refresh=refresh))]

    def read(self, path: str, *, refresh: bool, session_follows: bool = False) -> None:
        """Every token with what it holds, a frame each."""
        self.session_follows = session_follows
        module = self._load(path, refresh=refresh)
        from safetok.tokens import look

        for shown in look.read(module, self._listed(module)):
            self._send(["item", shown])

    def _listed(self, module: Module) -> Iterator[tuple[int, dict[str, Any]]]:
        """Every slot's token; where each was is known from then on."""
        from safetok.tokens import look

        places: dict[str, list[int]] = {}
        for slot, shown in look.tokens(module):
            places.setdefault(str(shown.get("serial", "")), []).append(slot)
            yield slot, shown
        self._places = places

    def prepare(self) -> None:
        """Load what a session takes, once; what fails here fails again, and is told, when the session is opened."""
        self.session_follows = False
        try:
            _load_hands()
        except ImportError:
            return

    # --- a session -----------------------------------------------------------------------------------------------

    def open(
        self, path: str, *, refresh: bool, serial: str, read_write: bool, locks: str | None, note: str
    ) -> dict[str, Any]:
        """Lock the token (unless `locks` is None: a dry run) and open a session on it; its CK_TOKEN_INFO, read now."""
        from safetok.tokens.locks import Held, TokenLock

        if self._hands is not None:
            raise Refusal("busy")
        module = self._load(path, refresh=refresh)
        slots = self._slots_of(module, serial)
        if not slots or not serial:
            raise Refusal("no_token")
        if len(slots) > 1:
            raise Refusal("doubled")
        if locks is not None:
            try:
                self._lock = TokenLock(locks, serial, note)
            except Held as held:
                raise Refusal("held", str(held)) from held
            except OSError as error:
                raise Refusal("locks", error.strerror or "") from error
        try:
            self._hands = _load_hands()(module, self._path, slots[0], read_write=read_write)
            self._serial = serial
            shown = self._hands.info()
            if shown["serial"] != serial:  # another token was put in between the look and the session
                raise Refusal("no_token")  # noqa: TRY301
        except BaseException:
            self.close()
            raise
        return shown

    def _slots_of(self, module: Module, serial: str) -> list[int]:
        """The slots of this serial. All are listed once; then the one known is asked alone, as long as it is what it was: with
        a thousand slots a listing for each session would be most of the work.
        """
        from safetok.tokens import look
        from safetok.tokens.cryptoki import CryptokiError

        known = self._places.get(serial, [])
        if len(known) == 1 and len(self._places) > _FEW:
            try:
                if look.token(module.token_info(known[0]))["serial"] == serial:
                    return known
            except CryptokiError:
                pass
        for _listed in self._listed(module):
            pass
        return self._places.get(serial, [])

    def _open(self) -> Hands:
        if self._hands is None:
            raise Refusal("not_open")
        return self._hands

    def info(self) -> dict[str, Any]:
        return self._open().info()

    def login(self, pin: bytes | None) -> None:
        self._open().login(pin)

    def logout(self) -> None:
        self._open().logout()

    def change_pin(self, old: bytes | None, new: bytes | None) -> None:
        self._open().change_pin(old, new)

    def objects(self) -> dict[str, Any]:
        return self._open().objects()

    def sign(self, key: int, how: dict[str, Any], data: bytes, *, asks: bool, pin: bytes | None) -> bytes:
        return self._open().sign(key, how, data, asks=asks, pin=pin)

    def generate(self, key_type: str, bits: int, ec_params: bytes, cka_id: bytes, label: str) -> dict[str, Any]:
        return self._open().generate(key_type, bits, ec_params, cka_id, label)

    def place_certificate(self, fields: dict[str, bytes], cka_id: bytes, label: str) -> dict[str, Any]:
        return self._open().place_certificate(fields, cka_id, label)

    def destroy(self, handles: list[int], object_class: int) -> int:
        return self._open().destroy(handles, object_class)

    def close(self) -> None:
        """End the session, then free the lock: in this order, and both whatever happens."""
        hands, self._hands = self._hands, None
        lock, self._lock = self._lock, None
        try:
            if hands is not None:
                hands.close()
        finally:
            if lock is not None:
                lock.release()

    def leave(self) -> None:
        """The end: session, lock, driver."""
        self.close()
        if self._module is not None:
            self._module.finalize()

    # --- failures ------------------------------------------------------------------------------------------------

    def name_failure(self, error: Exception) -> tuple[str, str]:
        """The name and detail to report. A general error of a token that has gone is called what it is: DEVICE_REMOVED."""
        from safetok.tokens.cryptoki import CryptokiError

        if isinstance(error, Refusal):
            return error.name, error.detail
        if isinstance(error, CryptokiError):
            name, detail = error.name, str(error)
        elif isinstance(error, OSError):
            return "not_loadable", str(error)
        elif isinstance(error, AttributeError) and self._module is None:
            return "not_loadable", "C_GetFunctionList is missing"
        elif (hands := sys.modules.get("safetok.tokens.hands")) is not None and isinstance(
            error, (hands.pkcs11.exceptions.PKCS11Error, hands.Wrong)
        ):
            name = str(error) if isinstance(error, hands.Wrong) else hands.name_of(error)
            detail = name
        else:
            return "worker", type(error).__name__  # never the text: it may carry what was asked
        if name in _REMOVED and self._hands is not None and self._gone(self._hands.slot):
            name = "DEVICE_REMOVED"
        return name, detail

    def _gone(self, slot: int) -> bool:
        assert self._module is not None
        from safetok.tokens import look
        from safetok.tokens.cryptoki import CryptokiError

        try:
            return bool(look.token(self._module.token_info(slot))["serial"] != self._serial)
        except CryptokiError:
            return True


def _load_hands() -> type[Hands]:
    from safetok.tokens import lazily

    lazily.spare_helpers()
    from safetok.tokens.hands import Hands

    return Hands


REQUESTS = frozenset(
    [
        "load",
        "infos",
        "read",
        "open",
        "info",
        "login",
        "logout",
        "change_pin",
        "objects",
        "sign",
        "generate",
        "place_certificate",
        "destroy",
        "close",
    ]
)


def _requests(fd: int) -> Iterator[Any]:
    """Frames from the parent until it closes its end or dies."""
    with os.fdopen(fd, "rb") as pipe:
        while len(header := pipe.read(frames.HEADER.size)) == frames.HEADER.size:
            (length,) = frames.HEADER.unpack(header)
            body = pipe.read(length)
            if len(body) < length:
                return
            yield frames.decode(body)


def serve(read_fd: int, write_fd: int) -> None:
    """Answer until the parent is gone. Its death is noticed after the operation in hand, never within."""

    def send(value: Any) -> None:
        data = frames.encode(value)
        try:
            while data:
                data = data[os.write(write_fd, data) :]
        except OSError:  # the parent is gone: the next read says so
            return

    worker = Worker(send)
    if FOR_A_SESSION in sys.argv[1:]:
        worker.prepare()
    for request in _requests(read_fd):
        name, arguments, deadline = request
        _limit(deadline)
        try:
            if name not in REQUESTS:
                raise Refusal("worker")  # noqa: TRY301
            answer = ["done", getattr(worker, name)(**arguments)]
        except Exception as error:  # noqa: BLE001  (whatever it is, the parent must hear of it)
            answer = ["error", *worker.name_failure(error)]
        del request, arguments
        send(answer)
        if worker.session_follows:
            worker.prepare()
        _limit(0)
    _limit(-GRACE + LEAVE)
    worker.leave()


def _limit(deadline: float) -> None:
    """Have the system end this process long after an operation's deadline: a hung driver must not hold a lock for ever."""
    if hasattr(signal, "alarm"):
        signal.alarm(int(deadline + GRACE) if deadline else 0)


def _settle() -> tuple[int, int]:
    """Take the pipes away from the driver, leave signals to the parent (a service that is stopped, and a computer shut down, send
    SIGTERM to every process at once), and dump no core with a PIN in it.
    """
    pipes = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)  # not stderr: a driver that asks on stdin must meet the end of input, not the user's terminal
    try:
        os.dup2(2, 1)
    except OSError:  # started without a stderr
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
    os.close(nothing)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP", "SIGTTOU", "SIGTTIN", "SIGPIPE"):
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    try:
        import resource
    except ImportError:  # Windows
        return pipes
    # 1 keeps it from a program that takes cores, too: core(5)
    least = 1 if resource.getrlimit(resource.RLIMIT_CORE)[1] else 0
    resource.setrlimit(resource.RLIMIT_CORE, (least, least))
    return pipes


def main() -> None:
    """Serve, then end at once: nothing of a driver's runs when the C library leaves."""
    gc.set_threshold(50_000)  # what a look makes is soon given back
    pipes = _settle()
    code = 0
    try:
        serve(*pipes)
    except BaseException:  # noqa: BLE001  (a traceback on the user's terminal helps nobody; the parent names the worker)
        code = 1
    atexit._run_exitfuncs()
    os._exit(code)


if __name__ == "__main__":
    main()
