from __future__ import annotations

import pytest

from safetok.domain.kinds import KindRule, decide, kind_of
from safetok.domain.tokens import Kind, PinState, TokenInfo
from safetok.errors import UsageError
from safetok.knowledge import load


def info(**changes: str) -> TokenInfo:
    shown = {
        "serial": "54071505112727",
        "label": "SAFE-CA",
        "manufacturer": "EnterSafe",
        "model": "ePass2003",
        "firmware": "16.50",
    }
    return TokenInfo(
        **{**shown, **changes},
        hardware="16.50",
        pin_state=PinState.OK,
        pin_min=6,
        pin_max=8,
        pin_pad=False,
        write_protected=False,
        free_public=None,
        free_private=None,
        drivers=("/usr/lib/libcastle.so",),
    )


def test_nothing_is_guessed() -> None:
    """Without a rule or a person's word a token is UNKNOWN, and no rule is shipped."""
    assert load.kind_rules() == ()
    kind, reason = decide(info(), load.kind_rules(), None)
    assert kind is Kind.UNKNOWN
    assert reason


def test_what_the_person_saw_wins() -> None:
    """A kind that was set for this token stands against any rule."""
    rule = KindRule(kind=Kind.V1, model="ePass*", reason="rule")
    assert decide(info(), [rule], Kind.V2)[0] is Kind.V2


def test_unknown_is_no_choice() -> None:
    """A stored UNKNOWN is not the person's word: the rules decide."""
    assert decide(info(), [KindRule(kind=Kind.V1, model="ePass*")], Kind.UNKNOWN)[0] is Kind.V1


@pytest.mark.parametrize(
    ("patterns", "fits"),
    [
        ({"model": "epass*"}, True),
        ({"model": "ePass"}, False),
        ({"model": "/^epass\\d+$/"}, True),
        ({"firmware": "/^17/"}, False),
        ({"model": "ePass*", "firmware": "16.*"}, True),
        ({"model": "ePass*", "label": "V2*"}, False),
        ({"serial": "540715*", "manufacturer": "EnterSafe"}, True),
        ({"label": "SAFE-CA"}, True),
    ],
)
def test_a_rule_needs_every_pattern(patterns: dict[str, str], fits: bool) -> None:
    """Shell patterns cover the whole value without regard to letter case, expressions between slashes are searched."""
    assert (decide(info(), [KindRule(kind=Kind.V1, **patterns)], None)[0] is Kind.V1) is fits


def test_the_first_rule_that_matches_decides() -> None:
    """Rules stand in order of precedence, and the deciding one gives the reason."""
    rules = [KindRule(kind=Kind.V2, label="SAFE*", reason="first"), KindRule(kind=Kind.V1, label="*", reason="second")]
    assert decide(info(), rules, None) == (Kind.V2, "first")


def test_a_rule_without_a_reason_shows_what_it_matched() -> None:
    """The reason names the fields that matched, with the token's own values."""
    assert "model ePass2003" in decide(info(), [KindRule(kind=Kind.V1, model="ePass*")], None)[1]


@pytest.mark.parametrize(
    ("kind", "patterns"), [(Kind.V1, {}), (Kind.UNKNOWN, {"label": "*"}), (Kind.V1, {"label": "/(/"})]
)
def test_a_broken_rule_is_refused(kind: Kind, patterns: dict[str, str]) -> None:
    """A rule without a pattern, without a kind, or with a broken expression is a usage error, not a silent miss."""
    with pytest.raises(UsageError) as caught:
        KindRule(kind=kind, **patterns)
    assert caught.value.code == "bad_kind_rule"


def test_kinds_as_people_write_them() -> None:
    """`v1` and `V2 ` are kinds, anything else is a usage error."""
    assert (kind_of("v1"), kind_of("V2 ")) == (Kind.V1, Kind.V2)
    for wrong in ("v3", "unknown", ""):
        with pytest.raises(UsageError):
            kind_of(wrong)
