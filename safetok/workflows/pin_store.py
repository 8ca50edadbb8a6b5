"""PINs in the keyring, and a token's PIN changed: what is saved has opened the token and reads back, what is changed is proven."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from safetok.domain.authorities import PinPolicy
from safetok.errors import DriverFailed, NotTrusted, PersonNeeded, PinWrong, SafetokError, SeveralTokens, UsageError
from safetok.locale import _, later
from safetok.records import dataclass
from safetok.workflows import pins
from safetok.workflows.nothing_found import nothing_on
from safetok.workflows.pulled_out import no_token_once_pulled_out
from safetok.workflows.renew.choose import no_token

if TYPE_CHECKING:
    from safetok.domain.authorities import Authority
    from safetok.domain.tokens import Reading, TokenReading
    from safetok.tokens.pin_guard import PinGuard
    from safetok.tokens.tokens import Session
    from safetok.workflows.context import Context
    from safetok.workflows.pins import PinSource


_GIVE_NEW = later("Give it as a second line of --pin-stdin, or with --new-pin-env NAME or --new-pin-file FILE.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PinResult:
    """What became of one token's PIN. `in_keyring`: whether the keyring holds it now."""

    token: str
    name: str
    done: bool
    in_keyring: bool
    verified: bool = False

    def data(self) -> dict[str, Any]:
        """What scripts read."""
        return {
            "token": self.token,
            "name": self.name,
            "done": self.done,
            "in_keyring": self.in_keyring,
            "verified": self.verified,
        }


def store(context: Context, source: PinSource, *, serial: str | None) -> PinResult:
    """Keep a token's PIN in the keyring, once it has opened the token: one login, counted like any other.

    Raises NoToken, SeveralTokens, PinWrong, PinRefused, PersonNeeded (`keyring_unusable` before any try, `keyring_forgets`).
    """
    from safetok.store import pin_store

    pin_store.get("")  # a keyring that cannot be used says so before a PIN is asked for
    source.keyring = False  # what it holds now is not what is to be saved
    with context.tokens() as tokens:
        token = _choose(context, tokens.read(), serial)
        name, authority = whose(context, token)
        with no_token_once_pulled_out(), tokens.session(token.info.serial) as session:
            if token.info.pin_pad:
                raise PersonNeeded(
                    _("This token has a PIN pad of its own: its PIN is typed there, and cannot be kept."),
                    code="pin_pad",
                    token=token.info.serial,
                )
            pins.log_in(context, session, source, name=name, authority=authority)
    keep(context, token.info.serial, source.taken)
    return PinResult(token=token.info.serial, name=name, done=True, in_keyring=True, verified=True)


def forget(context: Context, *, serial: str | None) -> PinResult:
    """Remove a token's PIN from the keyring; with its serial, no driver is opened. Raises PersonNeeded (`keyring_unusable`)."""
    from safetok.store import pin_store

    name = ""
    if serial is None:
        with context.tokens() as tokens:
            token = _choose(context, tokens.read(), None, any_token=True)
        serial, name = token.info.serial, whose(context, token)[0]
    serial = serial.strip()
    return PinResult(token=serial, name=name or serial, done=pin_store.forget(serial), in_keyring=False)


def change(context: Context, old: PinSource, new: PinSource, *, serial: str | None) -> PinResult:
    """Change a token's PIN, then open it with the new one. A wrong old PIN costs a try like any other.

    The keyring's copy goes before the change and comes back after it, so that a run cut short leaves no PIN there that is
    wrong. Raises NoToken, SeveralTokens, PinWrong, PinRefused, UsageError (`new_pin_refused`), NotTrusted (`pin_not_changed`).
    """
    with context.tokens() as tokens:
        token = _choose(context, tokens.read(), serial)
        name, authority = whose(context, token)
        with ExitStack() as open_:
            with no_token_once_pulled_out():
                session = open_.enter_context(tokens.session(token.info.serial))
                pins.refuse_not_activated(context, token.info.serial)
                guard = pins.guard_for(context, authority, force_last_try=old.force_last_try)
                guard.check(session.info)
                by_pad = session.info.pin_pad
            if by_pad:
                return _change_on_pad(context, guard, session, name)
            return _change(context, guard, session, old=old, new=new, name=name, authority=authority)


def _change(
    context: Context,
    guard: PinGuard,
    session: Session,
    *,
    old: PinSource,
    new: PinSource,
    name: str,
    authority: Authority | None,
) -> PinResult:
    from safetok.tokens.pin_guard import refuse_locally

    serial, policy = session.serial, authority.pin_policy if authority else PinPolicy()
    old_pin, came_from = old.take(context, serial, name)
    with no_token_once_pulled_out(_nothing_sent(serial)):
        refuse_locally(session.info, old_pin)
    pins.check_profile(context, old_pin, policy, called=old.called(came_from), as_is=old.as_is, serial=serial)
    new_from: pins.Source = "given" if new.given else "prompt"
    new_pin = _new_pin(context, new, name=name, serial=serial)
    with no_token_once_pulled_out(_nothing_sent(serial)):
        refuse_locally(session.info, new_pin)
    pins.check_profile(context, new_pin, policy, called=new.called(new_from), as_is=new.as_is, serial=serial)
    if new_pin == old_pin:
        raise UsageError(
            _("The new PIN is the old one. Nothing was sent to the token; no try is spent."),
            code="pin_same",
            hint=_("Run it again with another new PIN."),
            token=serial,
        )
    held = _take_out(context, serial)
    try:
        with _in_doubt():
            guard.change(session, old_pin, new_pin)
    except PinWrong:
        if held is not None and held != old_pin:
            _put_back(context, serial, held, proven=False)  # the token still has it: what was typed was wrong
        elif came_from == "keyring" or held is not None:
            context.prompter.warn(_("The PIN kept in the keyring was wrong and has been dropped."))
        raise
    except SafetokError as error:
        if held is not None and error.code == "new_pin_refused":
            _put_back(context, serial, held, proven=False)
        elif held is not None:
            context.prompter.warn(
                _("Which PIN the token has now is not known: the keyring keeps none for it. Later: safetok pin store")
            )
        raise
    try:
        with _changed():
            guard.login(session, new_pin)
    except PinWrong as error:
        raise NotTrusted(
            _("The token took the change, but the new PIN does not open it. Try no further."),
            code="pin_not_changed",
            hint=pins.unlock_way(authority),
            token=serial,
        ) from error
    kept = held is not None and _put_back(context, serial, new_pin, proven=True)
    return PinResult(token=serial, name=name, done=True, in_keyring=kept, verified=True)


def _change_on_pad(context: Context, guard: PinGuard, session: Session, name: str) -> PinResult:
    pins.somebody_at_the_pad(context, session.serial)
    context.prompter.say(_("Type the old PIN, then the new one twice, on the token's own keypad."))
    with _in_doubt():
        guard.change(session, None, None)
    context.prompter.say(_("Type the new PIN once more on the keypad: it is being checked."))
    with _changed():
        guard.login(session, None)
    return PinResult(token=session.serial, name=name, done=True, in_keyring=False, verified=True)


def _nothing_sent(serial: str) -> str:
    """The next step where a token was pulled out while the PINs were typed."""
    return _("The PIN is the old one, no try is spent. Plug token {serial} in again, then: safetok pin change").format(
        serial=serial
    )


def _in_doubt() -> AbstractContextManager[None]:
    """A change that nobody answered may have been made: the next step warns of typing the old PIN twice."""
    return _unanswered(
        _(
            "Whether the token has the old PIN or the new one is not known. Plug it in again, then: safetok pin change. If the "
            "old PIN is refused, the new one is set: do not type the old one again."
        )
    )


@contextmanager
def _changed() -> Iterator[None]:
    """The change was made and its trial could not be: the next step says which PIN there is now."""
    said = _("The token has taken the new PIN, which could not be tried: use the new one from now on.")
    with no_token_once_pulled_out(said), _unanswered(said):
        yield


@contextmanager
def _unanswered(hint: str) -> Iterator[None]:
    """`hint` is the next step where nobody answered."""
    from safetok.tokens.pin_guard import NO_ANSWER

    try:
        yield
    except DriverFailed as error:
        if error.code in NO_ANSWER:
            error.hint = hint
        raise


def _new_pin(context: Context, source: PinSource, *, name: str, serial: str) -> str:
    """The new PIN: given, else typed twice. Raises UsageError (`pin_differs`) when the two are not the same."""
    if source.given:
        if given := source.take(context, serial, name)[0]:
            return given
        raise UsageError(
            _("The new PIN is missing. Nothing was sent to the token; no try is spent."),
            code="pin_refused_locally",
            hint=_(_GIVE_NEW),
            token=serial,
        )
    question = _("NEW PIN of {name}, Token ID {serial} (turn the Vietnamese keyboard off; nothing is shown): ")
    if not context.prompter.interactive:
        raise PersonNeeded(
            _("The new PIN of token {serial} is needed, and nobody can be asked.").format(serial=serial),
            code="pin_needed",
            hint=_(_GIVE_NEW),
            token=serial,
        )
    first = context.prompter.pin(question.format(name=name, serial=serial))
    if first and context.prompter.pin(_("The new PIN once more: ")) != first:
        raise UsageError(
            _("The two are not the same. Nothing was sent to the token; no try is spent."),
            code="pin_differs",
            hint=_("Run it again."),
            token=serial,
        )
    return first


def keep(context: Context, serial: str, pin: str) -> None:
    """Put a PIN that has opened the token into the keyring and read it back. Raises PersonNeeded (`keyring_unusable`,
    `keyring_forgets`).
    """
    from safetok.store.pins import PinLog

    _save(serial, pin)
    PinLog(context.database).keyring_changed(serial)


def _save(serial: str, pin: str) -> None:
    from safetok.store import pin_store

    if not pin_store.put(serial, pin):
        raise PersonNeeded(
            _("The keyring of this computer took the PIN and does not give it back: NOTHING IS SAVED."),
            code="keyring_forgets",
            hint=_("Install or unlock a keyring that keeps what it is given, then run it again."),
            token=serial,
        )


def _take_out(context: Context, serial: str) -> str | None:
    """The keyring's PIN, no longer in it; None where it holds none or cannot be asked: what it may hold is then never tried."""
    from safetok.store import pin_store
    from safetok.store.pins import PinLog

    try:
        held = pin_store.get(serial)
        if held is not None:
            pin_store.forget(serial)
    except SafetokError as error:
        if error.code != "keyring_unusable":
            raise
        PinLog(context.database).keyring_outdated(serial, context.now())
        if error.data.get("keyring") != "none":
            context.prompter.warn(
                _(
                    "{why} Should it hold a PIN of this token, that one is not used any more. Save the new one: safetok pin store"
                ).format(why=error.message)
            )
        return None
    else:
        return held


def _put_back(context: Context, serial: str, pin: str, *, proven: bool) -> bool:
    """Whether the keyring holds it (again). Only one that has opened the token makes up for what the log of tries says of it."""
    try:
        if proven:
            keep(context, serial, pin)
        else:
            _save(serial, pin)
    except SafetokError as error:
        context.prompter.warn(
            _("The PIN is no longer in the keyring ({why}). Save it again: safetok pin store").format(why=error.message)
        )
        return False
    return True


def whose(context: Context, token: TokenReading) -> tuple[str, Authority | None]:
    """The company a token is called by, and the CA of its latest certificate."""
    from safetok.store.settings import authority_of

    latest = max(
        (stored.certificate for stored in token.certificates if not stored.certificate.is_ca),
        key=lambda certificate: certificate.not_before,
        default=None,
    )
    if latest is None:
        return token.info.label or token.info.serial, None
    return latest.subject_name, authority_of(latest, context.settings)


def _choose(context: Context, reading: Reading, serial: str | None, *, any_token: bool = False) -> TokenReading:
    """The one token meant. Raises NoToken (3), SeveralTokens (4), DriverFailed (17), PersonNeeded (11, `not_activated`)."""
    tokens = [token for token in reading.tokens if serial is None or token.info.serial == serial.strip()]
    if not tokens:
        raise no_token(reading, serial)
    if serial is None and not any_token:
        tokens = [token for token in tokens if token.certificates] or tokens
    if len(tokens) == 1:
        if not tokens[0].certificates and not any_token:
            raise nothing_on(tokens)
        return tokens[0]
    if not context.prompter.interactive:
        raise SeveralTokens(
            _("{n} USB tokens are plugged in and none was chosen.").format(n=len(tokens)),
            hint=_("Choose one with --serial TOKEN; see which are in: safetok tokens"),
            data={"choices": [{"token": token.info.serial} for token in tokens]},
        )
    options = [
        _("{name} · Token ID {serial}").format(name=whose(context, token)[0], serial=token.info.serial)
        for token in tokens
    ]
    question = _("{n} USB tokens are plugged in. Choose the company (safetok opens only the token chosen):")
    return tokens[context.prompter.choose(question.format(n=len(tokens)), options)]
