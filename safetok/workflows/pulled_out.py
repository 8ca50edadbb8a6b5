"""What a command says whose token was pulled out before anything was begun: it is not in, and nothing ails its driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from safetok.errors import DriverFailed, NoToken


@contextmanager
def no_token_once_pulled_out(hint: str = "") -> Iterator[None]:
    """Raise NoToken where a token was pulled out, with `hint` as the next step where there is one to be said."""
    try:
        yield
    except DriverFailed as error:
        if error.code != "token_removed":
            raise
        raise NoToken(
            error.message, code=error.code, hint=hint or error.hint, token=error.token, data=error.data
        ) from error
