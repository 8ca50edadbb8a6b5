"""Which generation a token is, by rules over what PKCS#11 shows of it; without a rule the answer is UNKNOWN."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from safetok.domain.tokens import Kind
from safetok.errors import UsageError
from safetok.locale import _
from safetok.records import dataclass

if TYPE_CHECKING:
    from safetok.domain.tokens import TokenInfo

FIELDS = ("label", "manufacturer", "model", "firmware", "serial")


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRule:
    r"""A token is of `kind` when every pattern given matches it.

    A pattern is a shell pattern over the whole value, letter case ignored (`ePass*`), or a regular expression between
    slashes, found anywhere in it (`/^ePass\d+$/`). UsageError (`bad_kind_rule`) when no pattern is given or one is broken.
    """

    kind: Kind
    reason: str = ""
    label: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    firmware: str | None = None
    serial: str | None = None

    def __post_init__(self) -> None:
        if not self.patterns() or self.kind is Kind.UNKNOWN:
            raise UsageError(
                _("A rule for V1 or V2 needs a kind and at least one of: {fields}.").format(fields=", ".join(FIELDS)),
                code="bad_kind_rule",
            )
        for pattern in self.patterns().values():
            if _is_expression(pattern):
                try:
                    re.compile(pattern[1:-1])
                except re.error as error:
                    raise UsageError(
                        _("This pattern of a rule for V1 or V2 is no regular expression: {pattern}").format(
                            pattern=pattern
                        ),
                        code="bad_kind_rule",
                    ) from error

    def patterns(self) -> dict[str, str]:
        """The patterns given, by field."""
        given = {field: getattr(self, field) for field in FIELDS}
        return {field: pattern for field, pattern in given.items() if pattern is not None}

    def matches(self, info: TokenInfo) -> bool:
        """Whether every pattern fits what the token shows."""
        return all(_fits(pattern, getattr(info, field)) for field, pattern in self.patterns().items())


def _is_expression(pattern: str) -> bool:
    return len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/")


def _fits(pattern: str, value: str) -> bool:
    if _is_expression(pattern):
        return re.search(pattern[1:-1], value, re.IGNORECASE) is not None
    return fnmatchcase(value.casefold(), pattern.casefold())


def kind_of(text: str) -> Kind:
    """V1 or V2 as a person writes it (`v1`, `V2`); UsageError (`bad_kind`) for anything else."""
    try:
        kind = Kind(text.strip().upper())
    except ValueError:
        kind = Kind.UNKNOWN
    if kind is Kind.UNKNOWN:
        raise UsageError(
            _("A token is V1 (grey) or V2 (white), not “{kind}”.").format(kind=text),
            code="bad_kind",
            hint=_("Look at the colour of the token: V1 is grey, V2 is white."),
        )
    return kind


def decide(info: TokenInfo, rules: Iterable[KindRule], chosen_by_user: Kind | None) -> tuple[Kind, str]:
    """The kind and why, in the user's language: what the person said of this token, else the first rule that matches.

    Rules come in order of precedence, the user's before the shipped.
    """
    if chosen_by_user is not None and chosen_by_user is not Kind.UNKNOWN:
        return chosen_by_user, _("recorded with `tokens set-kind`")
    for rule in rules:
        if rule.matches(info):
            if rule.reason:
                return rule.kind, rule.reason
            shown = ", ".join(f"{field} {getattr(info, field)}" for field in rule.patterns())
            return rule.kind, _("by a rule of the settings: {fields}").format(fields=shown)
    return Kind.UNKNOWN, _("no public information tells V1 from V2 here; look at the colour (V1 grey, V2 white)")
