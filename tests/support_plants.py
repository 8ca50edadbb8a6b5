"""Three bugs that a renewal must not have, planted on purpose: the fault matrices have to find each (tests of the tests)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from safetok.domain.renewal import State

_DEAF = (
    "from safetok.tokens import locks; locks._lock = lambda fd: None; from safetok.tokens.worker import main; main()"
)
_BLIND = """
from safetok.tokens.hands import Hands
from safetok.tokens.worker import main

def blindly(hands, fields, cka_id, label):
    hands._write_certificate(fields, cka_id, label)
    return hands.objects() | {"info": hands.info()}

Hands.place_certificate = blindly
main()
"""


def plant(name: str) -> None:
    """Change this process as `name` says."""
    {"no_look": _no_look, "late_answer": _late_answer, "lock_in_parent": _lock_in_parent}[name]()


def _no_look() -> None:
    """The certificate is written without looking whether it is there."""
    from safetok.tokens import process

    process._ARGUMENTS = ("-I", "-c", _BLIND)


def _late_answer() -> None:
    """The CA's answer is kept in memory, and stored only with the next state: after the token was written."""
    from safetok.workflows.renew.run import Run

    advance = Run.advance
    late: list[tuple[Any, tuple[State, ...], dict[str, Any]]] = []

    def lazy(run: Run, state: State | Sequence[State], **changes: Any) -> None:
        states = (state,) if isinstance(state, State) else tuple(state)
        if {State.ISSUED, State.VERIFIED}.issuperset(states):
            late.append((run.renewal, states, changes))
            run.renewal = replace(run.renewal, state=states[-1], **changes)
            return
        if late:
            run.renewal = late[0][0]
            for _before, kept, with_it in late:
                advance(run, kept, **with_it)
            late.clear()
        advance(run, state, **changes)

    Run.advance = lazy  # type: ignore[method-assign]


def _lock_in_parent() -> None:
    """The lock on the token is the parent's: it dies with it, while its worker is still at work."""
    from safetok.tokens import process
    from safetok.tokens.locks import Held, TokenLock
    from safetok.tokens.process import WorkerFailure
    from safetok.tokens.tokens import Tokens

    process._ARGUMENTS = ("-I", "-c", _DEAF)
    opened = Tokens.session

    def session(tokens: Tokens, serial: str, **given: Any) -> Any:
        from safetok.tokens import failures

        try:
            lock = TokenLock(str(tokens._locks), serial, str(sys.argv))
        except Held as held:
            raise failures.translate(
                WorkerFailure("held", str(held)), operation="open", driver="", token=serial
            ) from held
        made = opened(tokens, serial, **given)
        made._parents_lock = lock
        close = made.close

        def closed() -> None:
            close()
            lock.release()

        made.close = closed
        return made

    Tokens.session = session  # type: ignore[method-assign, assignment]
