"""Where a PIN comes from, and how often a run may ask for one: once, and once more if the person says so."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from safetok.domain.authorities import Authority, PinPolicy
from safetok.errors import PersonNeeded, PinWrong, UsageError
from safetok.locale import _

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from safetok.tokens.tokens import Session
    from safetok.workflows.context import Context

Source = Literal["prompt", "given", "keyring"]


@dataclass(kw_only=True)
class PinSource:
    """One PIN for one token. `given` is read before any child process starts and forgotten after its one use."""

    as_is: bool = False  # --pin-as-is: no question about a PIN that does not fit the CA's profile
    force_last_try: bool = False
    _given: str | None = field(default=None, repr=False)
    spent: bool = False

    def take(self, context: Context, token_serial: str, name: str) -> tuple[str, Source]:
        """The PIN and where it came from: given, else the keyring's, else asked for. PersonNeeded (`pin_needed`) when nobody
        can be asked.
        """
        if self._given is not None:
            pin, self._given, self.spent = self._given, None, True
            return pin, "given"
        if not self.spent and (stored := _stored(token_serial)) is not None:
            self.spent = True
            return stored, "keyring"
        if not context.prompter.interactive:
            raise PersonNeeded(
                _("The PIN of token {serial} is needed, and nobody can be asked.").format(serial=token_serial),
                code="pin_needed",
                hint=_("Give it with --pin-stdin, --pin-env NAME or --pin-file FILE."),
                token=token_serial,
            )
        question = _("PIN of {name}, Token ID {serial} (turn the Vietnamese keyboard off; nothing is shown): ")
        return context.prompter.pin(question.format(name=name, serial=token_serial)), "prompt"


def pin_source(
    *,
    from_stdin: bool = False,
    env: str | None = None,
    file: Path | None = None,
    as_is: bool = False,
    force_last_try: bool = False,
    environ: MutableMapping[str, str] | None = None,
) -> PinSource:
    """Read the PIN that the command line points at. UsageError when two sources are named, the variable is not set, or
    others can read the file. The variable is removed from the environment, so no child sees it.
    """
    environ = os.environ if environ is None else environ
    if sum((from_stdin, env is not None, file is not None)) > 1:
        raise UsageError(_("Give the PIN in one way only: --pin-stdin, --pin-env or --pin-file."), code="pin_sources")
    given: str | None = None
    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
    elif env is not None:
        given = environ.pop(env, None)
        if given is None:
            raise UsageError(_("The variable {name} is not set.").format(name=env), code="pin_env_missing")
    elif file is not None:
        given = _from_file(file)
    return PinSource(_given=given, as_is=as_is, force_last_try=force_last_try)


def log_in(context: Context, session: Session, source: PinSource, *, name: str, authority: Authority | None) -> None:
    """Log in to the session's token, spending a try only for a PIN that somebody gave.

    A wrong PIN of the keyring is dropped at once. A person may try once more, and is told that a try is gone.
    Raises PinWrong (5), PinRefused (6), PersonNeeded (11), UsageError (2, no try spent).
    """
    from safetok.store.pins import PinLog
    from safetok.tokens.pin_guard import PinGuard

    policy = authority.pin_policy if authority else PinPolicy()
    guard = PinGuard(
        PinLog(context.database), context.clock, tries_assumed=policy.tries, force_last_try=source.force_last_try
    )
    serial = session.info.serial
    guard.check(session.info)
    if session.info.pin_pad:
        context.prompter.say(_("Type the PIN on the token's own keypad."))
        guard.login(session, None)
        return
    for attempt in (1, 2):
        pin, came_from = source.take(context, serial, name)
        _check_profile(context, pin, policy, source, serial)
        try:
            guard.login(session, pin)
        except PinWrong as error:
            if came_from == "keyring":
                from safetok.store import pin_store

                pin_store.forget(serial)
                error.hint = _("The PIN kept in the keyring was wrong and has been dropped.")
            elif attempt == 1 and came_from == "prompt" and _once_more(context, error):
                continue
            raise
        return


def _once_more(context: Context, error: PinWrong) -> bool:
    context.prompter.warn(f"{error.message} {error.hint}")
    return context.prompter.confirm(_("Type it again?"), default=False)


def _check_profile(context: Context, pin: str, policy: PinPolicy, source: PinSource, serial: str) -> None:
    """Ask once about a PIN that does not look like this CA's; nothing has been sent to the token yet."""
    if source.as_is or not pin:
        return
    low, high = policy.min_length or 0, policy.max_length or sys.maxsize
    if not pin.isascii():  # the Vietnamese keyboard is on: no CA's PIN has marks
        said = _("The PIN just typed has Vietnamese marks. Nothing was sent to the token, no try is spent.")
    elif not low <= len(pin) <= high:
        said = _(
            "The PIN just typed has not {low} to {high} characters. Nothing was sent to the token, no try is spent."
        ).format(low=low, high=high)
    else:
        return
    if not context.prompter.interactive:
        raise UsageError(
            said, code="pin_profile", hint=_("If it is right all the same, add --pin-as-is."), token=serial
        )
    context.prompter.warn(said)
    if not context.prompter.confirm(_("Send it to the token all the same?"), default=False):
        raise UsageError(said, code="pin_profile", token=serial)


def _stored(token_serial: str) -> str | None:
    """The keyring's PIN; a missing, locked or failing keyring is as if it held none, and the person is asked."""
    from safetok.errors import SafetokError
    from safetok.store import pin_store

    try:
        return pin_store.get(token_serial)
    except SafetokError:
        return None


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise UsageError(
                    _("Others can read {path}: the PIN in it is not used.").format(path=path),
                    code="pin_file_open",
                    hint=_("Make it yours alone: chmod 600 {path}").format(path=path),
                )
            text = file.read(4096)
    except OSError as error:
        raise UsageError(
            _("The PIN file {path} cannot be read: {why}.").format(path=path, why=error.strerror), code="pin_file"
        ) from error
    try:
        return text.decode("utf-8").splitlines()[0] if text else ""
    except UnicodeDecodeError as error:
        raise UsageError(_("The PIN file {path} is not text.").format(path=path), code="pin_file") from error
