"""What is said of tokens that are in and show no certificate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from safetok.errors import DriverFailed, PersonNeeded
from safetok.locale import _

if TYPE_CHECKING:
    from safetok.domain.tokens import TokenReading


def nothing_on(tokens: Sequence[TokenReading]) -> PersonNeeded | DriverFailed:
    """Why no certificate was found on these tokens: one that could not be read may hold it, one that is empty waits for its CA."""
    token = next((one for one in tokens if one.unread), tokens[0])
    serial = token.info.serial
    if token.unread:
        return DriverFailed(
            _("Token {serial} could not be read: what it holds is not known.").format(serial=serial),
            code="token_unread",
            hint=_("No PIN was asked for. Plug it in again and close other programs that use it; then: safetok doctor"),
            token=serial,
        )
    if token.unreadable and not token.certificates:
        return PersonNeeded(
            _("Token {serial} holds {n} certificate objects that cannot be read.").format(
                serial=serial, n=token.unreadable
            ),
            code="certificate_unreadable",
            hint=_("They are left alone. If a certificate is missing, ask its CA: safetok contacts"),
            token=serial,
        )
    return _not_activated(token)


def _not_activated(token: TokenReading) -> PersonNeeded:
    """The refusal to use a token that holds no certificate: no PIN is to be typed."""
    return PersonNeeded(
        _("The USB token {serial} holds no certificate yet.").format(serial=token.info.serial),
        code="not_activated",
        hint=_("If it has just come from LCS: not being activated is normal. Do not type a PIN."),
        token=token.info.serial,
        data={"token": token.info.serial, "old_serial": None, "contract_end": None},
    )
