"""Where a PIN comes from, and how often a run may ask for one: once, and once more if the person says so."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from safetok.domain.authorities import Authority, PinPolicy
from safetok.errors import PersonNeeded, PinWrong, UsageError
from safetok.locale import _, why
from safetok.log import secret
from safetok.records import dataclass

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from safetok.tokens.pin_guard import PinGuard
    from safetok.tokens.tokens import Session
    from safetok.workflows.context import Context

Source = Literal["prompt", "given", "keyring"]


@dataclass(kw_only=True)
class PinSource:
    """One PIN for one token. `given` is read before any child process starts; one that did not open its token is forgotten."""

    as_is: bool = False  # --pin-as-is: no question about a PIN that does not fit the CA's profile
    force_last_try: bool = False
    keyring: bool = True  # whether the keyring may be asked
    place: str = ""  # where the PIN given stands: a variable, a file
    taken: str = field(default="", repr=False)  # the PIN taken last
    _given: str | None = field(default=None, repr=False)
    _used: set[str] = field(default_factory=set)  # tokens that have had the PIN given, or the keyring's, in this run
    _opens: dict[str, str] = field(default_factory=dict, repr=False)  # the PIN given, by the token it has opened

    @property
    def given(self) -> bool:
        """Whether a PIN was given with the command and has not been used yet: it fits one token alone."""
        return self._given is not None

    def called(self, came_from: Source) -> str:
        """The PIN taken last, as a sentence about it begins."""
        if came_from == "prompt":
            return _("The PIN just typed")
        if came_from == "keyring":
            return _("The PIN kept in the keyring")
        return _("The PIN in {place}").format(place=self.place) if self.place else _("The PIN given")

    def worked(self, token_serial: str, came_from: Source) -> None:
        """The keyring's PIN, or the one given, opened this token: it may do so again, where one run logs in to it twice."""
        if came_from == "keyring":
            self._used.discard(token_serial)
        elif came_from == "given":
            self._opens[token_serial] = self.taken

    def purpose(self, came_from: Source) -> str:
        """What the log of tries is told a login was for."""
        from safetok.store.pins import KEYRING

        return KEYRING if came_from == "keyring" else "login"

    def settled(self, token_serial: str, *, opened: bool) -> None:
        """A login with the PIN taken last is over: whether it opened the token."""

    def take(self, context: Context, token_serial: str, name: str) -> tuple[str, Source]:
        """The PIN and where it came from: given, else the keyring's, else asked for. PersonNeeded (`pin_needed`) when nobody
        can be asked.
        """
        without_core()
        self.taken, came_from = self._take(context, token_serial, name)
        return self.taken, came_from

    def _take(self, context: Context, token_serial: str, name: str) -> tuple[str, Source]:
        if self._given is not None:
            pin, self._given = self._given, None
            self._used.add(token_serial)
            return pin, "given"
        if (opens := self._opens.get(token_serial)) is not None:
            return opens, "given"
        unheard = ""
        if self.keyring and token_serial not in self._used:
            stored, unheard = _stored(context, token_serial)
            if stored is not None:
                self._used.add(token_serial)
                return stored, "keyring"
        if not context.prompter.interactive:
            raise PersonNeeded(
                _("The PIN of token {serial} is needed, and nobody can be asked.").format(serial=token_serial),
                code="pin_needed",
                hint=f"{unheard} {_('Give it with --pin-stdin, --pin-env NAME or --pin-file FILE.')}".lstrip(),
                token=token_serial,
            )
        if unheard:
            context.prompter.warn(unheard)
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
    without_core()
    environ = os.environ if environ is None else environ
    if sum((from_stdin, env is not None, file is not None)) > 1:
        raise UsageError(_("Give the PIN in one way only: --pin-stdin, --pin-env or --pin-file."), code="pin_sources")
    given: str | None = None
    if from_stdin:
        given = pin_of_stdin()
    elif env is not None:
        given = environ.pop(env, None)
        if not given:
            text = _("The variable {name} is not set.") if given is None else _("The variable {name} is empty.")
            raise UsageError(
                text.format(name=env),
                code="pin_env_missing",
                hint=_("Set it, or give the PIN with --pin-stdin or --pin-file FILE. No try is spent."),
            )
    elif file is not None:
        given = pin_of_file(file)
    if given is not None:
        secret(given)
    place = env or (str(file) if file is not None else "")
    return PinSource(_given=given, place=place, as_is=as_is, force_last_try=force_last_try)


def log_in(context: Context, session: Session, source: PinSource, *, name: str, authority: Authority | None) -> Source:
    """Log in to the session's token, spending a try only for a PIN that somebody gave; where the PIN came from.

    A wrong PIN of the keyring is dropped at once. A person may try once more, and is told that a try is gone.
    Raises PinWrong (5), PinRefused (6), PersonNeeded (11), UsageError (2, no try spent).
    """
    from safetok.tokens.pin_guard import refuse_locally

    refuse_not_activated(context, session.serial)
    policy = authority.pin_policy if authority else PinPolicy()
    guard = guard_for(context, authority, force_last_try=source.force_last_try)
    info = session.last_info
    serial = info.serial
    guard.check(info)
    if info.pin_pad:
        somebody_at_the_pad(context, serial)
        context.prompter.say(_("Type the PIN on the token's own keypad."))
        guard.login(session, None)
        return "prompt"
    for attempt in (1, 2):
        pin, came_from = source.take(context, serial, name)
        refuse_locally(info, pin)
        check_profile(context, pin, policy, called=source.called(came_from), as_is=source.as_is, serial=serial)
        opened = False
        try:
            guard.login(session, pin, purpose=source.purpose(came_from))
            opened = True
        except PinWrong as error:
            if came_from == "keyring":
                _drop(context, serial, error)
            elif attempt == 1 and came_from == "prompt" and _once_more(context, guard, session, error):
                continue
            raise
        finally:
            source.settled(serial, opened=opened)
        source.worked(serial, came_from)
        return came_from
    raise AssertionError  # the second attempt returned or raised


def somebody_at_the_pad(context: Context, token_serial: str) -> None:
    """Raise PersonNeeded (`pin_pad`) where nobody is there: the keypad would wait, and a try without an answer counts as wrong."""
    if not context.prompter.interactive:
        raise PersonNeeded(
            _("The PIN of token {serial} is typed on its own keypad, and nobody is there to be asked.").format(
                serial=token_serial
            ),
            code="pin_pad",
            hint=_("Run it in a terminal, beside the token. No try is spent."),
            token=token_serial,
        )


def refuse_not_activated(context: Context, token_serial: str) -> None:
    """Raise PersonNeeded (`not_activated`) for a token that has come from its CA and, by its dossier, is not activated yet."""
    from safetok.domain.dossier import newest
    from safetok.store.dossiers import Dossiers

    store = Dossiers(context.database)
    for one in store.list(token=token_serial):
        if one.not_activated and one in newest(store.list(mst=one.mst)):
            raise PersonNeeded(
                _("By its dossier the USB token {serial} is not activated yet. No PIN was asked for.").format(
                    serial=token_serial
                ),
                code="not_activated",
                hint=_("That is normal; do not type a PIN. Once LCS says it is activated: safetok dossier activated"),
                token=token_serial,
            )


def guard_for(context: Context, authority: Authority | None, *, force_last_try: bool) -> PinGuard:
    """The guard over this token's PIN, with what its CA says of tries and of unlocking."""
    from safetok.store.pins import PinLog
    from safetok.tokens.pin_guard import PinGuard

    return PinGuard(
        PinLog(context.database),
        context.clock,
        tries_assumed=(authority.pin_policy if authority else PinPolicy()).tries,
        force_last_try=force_last_try,
        unlock=unlock_way(authority),
    )


def unlock_way(authority: Authority | None) -> str:
    """What to do about a locked PIN, as this CA says it."""
    if authority is None:
        return _("Ask the CA that issued the certificate how to unlock it; safetok cannot. See: safetok contacts")
    if authority.contacts.unlock:
        return f"{authority.title}: {authority.contacts.unlock}."
    return _("Only {ca} can unlock it: {contact}.").format(
        ca=authority.title, contact=authority.contacts.hotline or "safetok contacts"
    )


def _drop(context: Context, serial: str, error: PinWrong) -> None:
    """The keyring's PIN was wrong: it must not be tried again, by this run or the next."""
    from safetok.errors import SafetokError
    from safetok.store import pin_store

    try:
        pin_store.forget(serial)
    except SafetokError:  # locked meanwhile: the log of tries keeps it from being used again
        context.prompter.warn(_("The PIN kept in the keyring was wrong. Remove it: safetok pin forget"))
        return
    error.hint = f"{_('The PIN kept in the keyring was wrong and has been dropped.')} {error.hint}"


def _once_more(context: Context, guard: PinGuard, session: Session, error: PinWrong) -> bool:
    """Whether the person wants the one more try of this run; not asked where it would be refused."""
    from safetok.errors import PinRefused

    try:
        guard.check(session.info)
    except PinRefused:
        return False
    context.prompter.warn(f"{error.message} {error.hint}")
    return context.prompter.confirm(_("Type it again?"), default=False)


def check_profile(context: Context, pin: str, policy: PinPolicy, *, called: str, as_is: bool, serial: str) -> None:
    """Ask once about a PIN that does not look like this CA's; nothing has been sent to the token yet. `called`: how a sentence
    names it (PinSource.called). One that the token itself could not take has been refused before.
    Raises UsageError (`pin_profile`).
    """
    if as_is:
        return
    low, high = policy.min_length or 0, policy.max_length or sys.maxsize
    if not pin.isascii():  # the Vietnamese keyboard is on: no CA's PIN has marks
        said = _("{pin} has Vietnamese marks. Nothing was sent to the token, no try is spent.").format(pin=called)
    elif pin != pin.strip() or not pin.isprintable():  # an arrow key, a paste, text in another encoding
        said = _(
            "{pin} begins or ends with a space, or holds a key that writes nothing (an arrow, a tab). Nothing was sent to the "
            "token, no try is spent."
        ).format(pin=called)
    elif not low <= len(pin) <= high:
        said = _("{pin} has not {low} to {high} characters. Nothing was sent to the token, no try is spent.").format(
            pin=called, low=low, high=high
        )
    else:
        return
    if not context.prompter.interactive:
        raise UsageError(
            said, code="pin_profile", hint=_("If it is right all the same, add --pin-as-is."), token=serial
        )
    from safetok.tokens.pin_guard import pin_again

    context.prompter.warn(said)
    if not context.prompter.confirm(_("Send it to the token all the same?"), default=False):
        raise UsageError(said, code="pin_profile", hint=pin_again(), token=serial)


def _stored(context: Context, token_serial: str) -> tuple[str | None, str]:
    """The keyring's PIN; a missing, locked or failing keyring is as if it held none, and the person is asked. So is one whose
    PIN has been tried and did not open the token, or may not have: nobody would notice the second try. Beside it what is to be
    said of a keyring that may hold one and does not give it.
    """
    from safetok.errors import SafetokError
    from safetok.store import pin_store
    from safetok.store.pins import PinLog

    failed = PinLog(context.database).keyring_failed(token_serial)
    try:
        stored = pin_store.get(token_serial)
    except SafetokError as error:
        return None, error.message if error.data.get("keyring") in {"locked", "silent"} else ""
    if stored is not None and failed:
        return None, " ".join(keyring_rests(token_serial))
    if stored is not None:
        secret(stored)
    return stored, ""


def keyring_rests(token_serial: str) -> tuple[str, str]:
    """Why a keyring's PIN is not tried by itself any more, and what to do about it."""
    why = _(
        "The PIN kept in the keyring is not tried again by itself: its last login did not open the token, or was cut off."
    )
    step = _("If it is right, type it once, then it is used again: safetok pin store --serial {serial}")
    return why, step.format(serial=token_serial)


def without_core() -> None:
    """From here on this process holds a PIN: if it dies it leaves no core, which would hold it too.

    A limit of 1 byte, not of 0: core(5) sends one to a program (Ubuntu's apport, WSL) for any other.
    """
    try:
        import resource
    except ImportError:  # Windows keeps no core files
        return
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (1 if hard else 0, hard))


def pin_of_stdin() -> str:
    """The next line of standard input, as it is. Raises UsageError (`pin_stdin`)."""
    try:
        return sys.stdin.buffer.readline(4096).decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError(_("What came on standard input is not text."), code="pin_stdin") from None


def pin_of_file(path: Path) -> str:
    """The first line of a file that its owner alone can read, in UTF-8 or as Notepad's "Unicode" (UTF-16), without its byte order
    mark. Raises UsageError (`pin_file_open`, `pin_file`).
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
                raise UsageError(
                    _("Others can read {path}: the PIN in it is not used.").format(path=path),
                    code="pin_file_open",
                    hint=_("Make it yours alone: chmod 600 {path}").format(path=path),
                )
            raw = file.read(4096)
    except OSError as error:
        raise UsageError(
            _("The PIN file {path} cannot be read: {why}.").format(path=path, why=why(error)),
            code="pin_file",
            hint=_("Name the file that holds the PIN. Nothing was sent to the token, no try is spent."),
        ) from error
    try:
        text = raw.decode("utf-16" if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(
            _("The PIN file {path} is not text.").format(path=path), code="pin_file", hint=_first_line()
        ) from None
    pin = next(iter(text.splitlines()), "")
    if not pin:
        raise UsageError(
            _("The PIN file {path} is empty, or its first line is.").format(path=path),
            code="pin_file",
            hint=_first_line(),
        )
    return pin


def _first_line() -> str:
    return _("Write the PIN into its first line. Nothing was sent to the token, no try is spent.")
