"""Where each row's PIN is, and when it is not tried: a source that failed on a token rests until it has changed."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from safetok.errors import PersonNeeded, PinRefused, SafetokError, UsageError
from safetok.locale import _, why
from safetok.log import secret
from safetok.workflows.pins import PinSource, Source, keyring_rests, pin_of_file, without_core

if TYPE_CHECKING:
    from safetok.domain.plan import PlanRow
    from safetok.workflows.batch.board import Board
    from safetok.workflows.context import Context


class _Shared:
    """A source that serves several tokens: one try at a time, and none after the first that failed, in whichever process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed = False
        self._board: Board | None = None
        self._place = 0

    def share(self, board: Board, place: int) -> None:
        """From here on processes forked from this one keep to it too."""
        self._board, self._place = board, place

    def take(self) -> None:
        """Wait until nobody else is trying it."""
        self._lock.acquire()
        if self._board is not None:
            self._board.lock(self._place)

    def give_back(self) -> None:
        if self._board is not None:
            self._board.unlock(self._place)
        self._lock.release()

    @property
    def failed(self) -> bool:
        return self._failed or (self._board is not None and self._board.raised(self._place))

    def fail(self) -> None:
        self._failed = True
        if self._board is not None:
            self._board.raise_flag(self._place)


class PinSources:
    """Every PIN source of one run; `rows` are all that the plan may ever run, of this run and others. The variables are taken out
    of the environment before any child is started.
    """

    def __init__(
        self,
        context: Context,
        rows: Iterable[PlanRow],
        folder: Path,
        *,
        changed: bool = False,
        environ: MutableMapping[str, str] | None = None,
    ) -> None:
        without_core()
        environ = os.environ if environ is None else environ
        self.context, self._folder, self.changed = context, folder, changed
        self._variables = {name: environ.pop(name) for name in [*environ] if name.startswith("SAFETOK_PIN_")}
        for pin in self._variables.values():
            secret(pin)
        named = [row.pin_source for row in rows]
        self._keyring = "keyring" in named
        self._shared = {
            source: _Shared() for source in dict.fromkeys(named) if source != "keyring" and named.count(source) > 1
        }

    @property
    def in_files_alone(self) -> bool:
        """Whether a forked process may have them. The system shows one the environment its parent began with, and what a keyring's
        library keeps open (a connection, often) does not bear a fork.
        """
        return not self._variables and not self._keyring

    def share(self, board: Board) -> None:
        """Before processes are forked that try them too: each source that serves several tokens has its place from 1 on."""
        for place, shared in enumerate(self._shared.values(), 1):
            shared.share(board, place)

    def check_keyring(self, serial: str) -> None:
        """Raises PersonNeeded (`keyring_unusable`) at once when the keyring is locked or there is none."""
        _kept(serial)

    def of(self, source: str) -> RowPin:
        """The PIN of one row."""
        return RowPin(self, source, self._shared.get(source))

    def path_of(self, source: str) -> Path | None:
        """The file that a source is, where it is one and may be used: `value` says why it may not."""
        try:
            return file_of(self._folder, source) if source.startswith("file:") else None
        except SafetokError:
            return None

    def value(self, source: str, path: Path | None) -> str:
        """The PIN of a variable or a file (`path_of`). Raises PersonNeeded (`pin_needed`), UsageError (`pin_file…`)."""
        kind, _colon, name = source.partition(":")
        if kind == "env":
            if name not in self._variables:
                raise PersonNeeded(
                    _("The variable {name} is not set.").format(name=name),
                    code="pin_env_missing",
                    hint=_("Set it, then run the plan again."),
                )
            return self._variables[name]
        pin = pin_of_file(path or file_of(self._folder, source))
        secret(pin)
        return pin

    def purpose(self, source: str, path: Path | None) -> str:
        """What the log of tries calls this source: a file by its place, size and time, so that a changed one is another."""
        text = source
        if path is not None:
            with suppress(OSError):
                seen = path.stat()
                text = f"{path}:{seen.st_mtime_ns}:{seen.st_size}:{seen.st_ino}"
        return f"batch {hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}"


class RowPin(PinSource):
    """workflows.pins.PinSource for one row of a batch: nobody is asked."""

    def __init__(self, sources: PinSources, source: str, shared: _Shared | None) -> None:
        super().__init__()
        self._sources, self._source, self._shared = sources, source, shared
        self._holding = False
        self._known_as = ""  # what the log of tries calls the source as it was when its PIN was taken
        self._since = 0  # the newest try of all by then

    def _take(self, context: Context, token_serial: str, name: str) -> tuple[str, Source]:  # noqa: ARG002
        if self._source == "keyring":
            return self._from_keyring(context, token_serial)
        from safetok.store.pins import PinLog

        if self._shared is not None:
            self._shared.take()
            self._holding = True
        try:
            path = self._sources.path_of(self._source)
            self._known_as, self._since = self._sources.purpose(self._source, path), PinLog(context.database).last()
            self._refuse_what_failed(context, token_serial)
            return self._sources.value(self._source, path), "given"
        except BaseException:
            self.release()
            raise

    def _from_keyring(self, context: Context, token_serial: str) -> tuple[str, Source]:
        from safetok.store.pins import PinLog

        if PinLog(context.database).keyring_failed(token_serial) and not self._sources.changed:
            rests, step = keyring_rests(token_serial)
            raise PersonNeeded(rests, code="pin_source_failed", hint=step, token=token_serial)
        stored = _kept(token_serial)
        if stored is None:
            raise PersonNeeded(
                _("The keyring holds no PIN for token {serial}.").format(serial=token_serial),
                code="pin_needed",
                hint=_("Save it: safetok pin store --serial {serial}").format(serial=token_serial),
                token=token_serial,
            )
        secret(stored)
        return stored, "keyring"

    def _refuse_what_failed(self, context: Context, token_serial: str) -> None:
        from safetok.store.pins import PinLog

        if self._sources.changed and not (self._shared is not None and self._shared.failed):
            return
        log, purpose = PinLog(context.database), self._known_as
        stopped = self._shared is not None and (self._shared.failed or log.wrong(purpose))
        if stopped:
            raise PersonNeeded(
                _(
                    "{source} serves several tokens and was wrong on one of them, or may have been: it is tried on no other."
                ).format(source=self._source),
                code="pin_source_stopped",
                hint=_("Put it right; then run the plan again (with --pins-changed where it is a variable)."),
                token=token_serial,
            )
        if log.failed(purpose, token_serial):
            raise PersonNeeded(
                _("{source} did not open this token before: it is not tried again until it has changed.").format(
                    source=self._source
                ),
                code="pin_source_failed",
                hint=_("Put it right; then run the plan again (with --pins-changed where it is a variable)."),
                token=token_serial,
            )

    def purpose(self, came_from: Source) -> str:
        if came_from == "given":
            return self._known_as or self._sources.purpose(self._source, self._sources.path_of(self._source))
        return super().purpose(came_from)

    def settled(self, token_serial: str, *, opened: bool) -> None:
        if self._shared is not None and not opened:
            from safetok.store.pins import PinLog

            log = PinLog(self._sources.context.database)  # a refusal before the token was asked says nothing of the PIN
            if log.wrong(self._known_as, token_serial, after=self._since):
                self._shared.fail()
        self.release()

    def release(self) -> None:
        """Let the next row use a shared source."""
        if self._holding and self._shared is not None:
            self._holding = False
            self._shared.give_back()


def next_step(refused: PinRefused) -> str:
    """What to do about a token that takes no PIN from a list."""
    if refused.code != "last_try":
        return refused.hint
    return _(
        "Ask the person who holds the PIN. Whoever is certain of it renews by hand: "
        "safetok renew --serial {serial} --force-last-try"
    ).format(serial=refused.token)


def _kept(serial: str) -> str | None:
    """What the keyring holds for a token. Raises PersonNeeded (`keyring_unusable`) with what a run of a list can do about it."""
    from safetok.store import pin_store

    try:
        return pin_store.get(serial)
    except PersonNeeded as error:
        error.hint = _(
            "Unlock it (or install one: gnome-keyring, KWallet) and run the plan again; or "
            "write another source into the list's column nguon_pin (env:SAFETOK_PIN_… or file:NAME) and make the plan again."
        )
        raise


def file_of(folder: Path, source: str) -> Path:
    """The file a row names, which must really lie below the folder of its list. Raises UsageError (`pin_file`,
    `pin_file_open`).
    """
    name = source.removeprefix("file:")
    try:
        path, root = (folder / name).resolve(strict=True), folder.resolve(strict=True)
        if not path.is_relative_to(root):
            raise UsageError(
                _("The PIN file {path} does not lie below the folder of the list.").format(path=name), code="pin_file"
            )
        seen = path.stat()
    except OSError as error:
        raise UsageError(
            _("The PIN file {path} cannot be read: {why}.").format(path=name, why=why(error)), code="pin_file"
        ) from error
    if not stat.S_ISREG(seen.st_mode) or (os.name == "posix" and stat.S_IMODE(seen.st_mode) & 0o077):
        raise UsageError(
            _("Others can read {path}: the PIN in it is not used.").format(path=name),
            code="pin_file_open",
            hint=_("Make it yours alone: chmod 600 {path}").format(path=name),
        )
    return path
