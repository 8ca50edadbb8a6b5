"""One renewal being carried on: its row, the token it needs, the CA it speaks to, and how it comes to rest when it must wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from safetok.domain import certificates
from safetok.domain.authorities import Authority
from safetok.domain.certificates import Certificate
from safetok.domain.renewal import HOLD_EXITS, Hold, Renewal, State
from safetok.errors import CaUnreachable, CaWait, DriverFailed, NoToken, NotTrusted, PersonNeeded, SafetokError
from safetok.locale import _
from safetok.records import dataclass
from safetok.workflows.pins import PinSource, log_in

if TYPE_CHECKING:
    from safetok.ca.cmp.endpoint import Endpoint
    from safetok.store.journal import Journal
    from safetok.tokens.tokens import Session, Tokens
    from safetok.workflows.context import Context


_HELD_HERE = {State.VERIFIED, State.WRITTEN, State.PROVEN}  # the journal holds the new certificate


class Held(Exception):
    """The renewal must wait. `error` is what the user is told, with the exit status of this hold (`HOLD_EXITS`)."""

    def __init__(self, hold: Hold, error: SafetokError) -> None:
        super().__init__()
        assert error.exit_status is HOLD_EXITS[hold], (hold, error.code)
        self.hold = hold
        self.error = error


@dataclass(kw_only=True)
class Run:
    """Carries one row on. The token is opened and logged in to only when a step needs it, once."""

    context: Context
    journal: Journal
    tokens: Tokens | None
    renewal: Renewal
    authority: Authority
    pin: PinSource
    kit: bool = True
    sent_with_commit: bool = False  # the commit of REQUESTED already counted the send that follows it
    begun_here: bool = False  # the row was made by this run: nothing that came before may have been cut short
    _session: Session | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def old(self) -> Certificate:
        return certificates.parse(self.renewal.old_certificate)

    @cached_property
    def issuers(self) -> tuple[Certificate, ...]:
        """The authority's issuing CAs."""
        from safetok.store.settings import load_pem

        return tuple(c for path in self.authority.issuers for c in load_pem(path))

    @cached_property
    def anchors(self) -> tuple[Certificate, ...]:
        from safetok.store.settings import load_pem

        return tuple(c for path in self.authority.anchors for c in load_pem(path))

    @cached_property
    def endpoint(self) -> Endpoint:
        from safetok.workflows.renew.believing import endpoint

        return endpoint(self.authority, self.issuers)

    def advance(self, state: State | Sequence[State], **changes: Any) -> None:
        """Commit the next state (or several, one after the other) with what it brings, before anything else happens."""
        self.renewal = self.journal.advance(self.renewal, state, now=self.context.now(), **changes)

    def update(self, **changes: Any) -> None:
        """Commit what changed within the state."""
        self.renewal = self.journal.update(self.renewal, now=self.context.now(), **changes)

    def lend(self, session: Session) -> None:
        """Use the session that the renewal was begun in: open, and logged in."""
        self._session, self.begun_here = session, True

    def opened(self) -> Session:
        """The token, to be looked at: no PIN is asked for. Raises Held (NEED_TOKEN) when it is not in."""
        if self._session is not None:
            return self._session
        serial = self.renewal.token_serial
        if self.tokens is None:
            self.tokens = self._stack.enter_context(self.context.tokens())
        try:
            self._session = self._stack.enter_context(self.tokens.session(serial))
        except NoToken as error:
            error.hint = _("Plug in token {serial} again, then: safetok renew --resume").format(serial=serial)
            raise Held(Hold.NEED_TOKEN, error) from error
        return self._session

    def session(self) -> Session:
        """The token, logged in. Raises Held (NEED_TOKEN, NEED_PIN) when it is not in or nobody gives its PIN."""
        session = self.opened()
        if session.logged_in:
            return session
        try:
            log_in(self.context, session, self.pin, name=self.old.subject_name, authority=self.authority)
        except PersonNeeded as error:
            raise Held(Hold.NEED_PIN, error) from error
        return session

    def close(self) -> None:
        """Log out and let the token go."""
        self._session = None
        self._stack.close()


@contextmanager
def token_step(run: Run, doing: str) -> Iterator[None]:
    """Turn what a token can do to a step into a hold: pulled out, full, write-protected. `doing` names the step to the user."""
    try:
        yield
    except (NoToken, DriverFailed) as error:
        if isinstance(error, DriverFailed) and error.code != "token_removed":
            error.hint = error.hint or _("The old certificate is intact. Carry on with: safetok renew --resume")
            raise
        serial = run.renewal.token_serial
        message = _("The USB token was pulled out while {doing}. The old certificate is intact.").format(doing=doing)
        if run.renewal.state in _HELD_HERE:
            message = " ".join((message, _("The new certificate is saved on this computer.")))
        raise Held(
            Hold.NEED_TOKEN,
            NoToken(
                message,
                code="token_removed",
                hint=_("Plug in the RIGHT token, {serial}, again, then: safetok renew --resume").format(serial=serial),
            ),
        ) from error
    except NotTrusted as error:
        hold = {"no_space": Hold.NEED_SPACE, "write_protected": Hold.NEED_WRITE, "write_failed": Hold.NEED_WRITE}.get(
            error.code
        )
        if hold is None:
            raise
        raise Held(hold, error) from error


def no_answer(error: CaUnreachable | CaWait) -> Held:
    """Nothing usable came: the same bytes go out again later."""
    hint = _("`safetok renew --resume` asks for the result again; it does not ask for a second certificate.")
    if isinstance(error, CaWait):
        error.hint = hint
        return Held(Hold.PENDING, error)
    return Held(
        Hold.CA_UNREACHABLE,
        CaUnreachable(
            _(
                "The connection was lost after the request was sent ({why}). Your progress is kept, the old certificate "
                "is intact."
            ).format(why=error.message.rstrip(".")),
            code=error.code,
            hint=hint,
        ),
    )


def not_now(said: str) -> Held:
    """The CA says, under its signature, that it cannot serve now: what it was sent goes to it again later."""
    return Held(
        Hold.CA_UNREACHABLE,
        CaUnreachable(
            _("The CA cannot serve now: {why}").format(why=said),
            code="ca_busy",
            hint=_("Your progress is kept. Later: safetok renew --resume"),
        ),
    )
