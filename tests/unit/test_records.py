from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import field
from typing import Any

import pytest

from safetok import records


def both(**how: Any) -> list[Any]:
    """The same class made by the standard library and by us."""
    made = []
    for decorate in (dataclasses.dataclass, records.dataclass):

        @decorate(**how)  # type: ignore[arg-type]
        class Point:
            x: int
            y: int = 2
            tags: list[str] = field(default_factory=list)
            note: str = field(default="hidden", repr=False, compare=False)
            fixed: int = field(default=7, init=False)

            @property
            def sum(self) -> int:
                return self.x + self.y

            def __post_init__(self) -> None:
                if self.x < 0:
                    raise ValueError(self.x)

        made.append(Point)
    return made


FROZEN = {"frozen": True, "slots": True}


@pytest.mark.parametrize("how", [FROZEN, {**FROZEN, "kw_only": True}, {"frozen": True}, {"slots": True}, {}])
def test_a_record_is_the_standard_library_s(how: dict[str, bool]) -> None:
    """Fields, text, equality, hash, refusal to change, and what `dataclasses` and `copy` do with one."""
    standard, ours = both(**how)
    assert [f.name for f in dataclasses.fields(ours)] == [f.name for f in dataclasses.fields(standard)]
    assert ours.__match_args__ == standard.__match_args__
    assert hasattr(ours(x=1), "__dict__") is hasattr(standard(x=1), "__dict__")
    for made in (standard, ours):
        one = made(x=1, tags=["a"], note="other")
        assert repr(one).endswith("Point(x=1, y=2, tags=['a'], fixed=7)")
        assert one == made(x=1, tags=["a"])
        assert one != made(x=2, tags=["a"])
        assert one != (1, 2, ["a"], 7)
        assert dataclasses.replace(one, y=5).sum == 6
        assert dataclasses.asdict(one) == {"x": 1, "y": 2, "tags": ["a"], "note": "other", "fixed": 7}
        assert made(x=1).tags is not made(x=1).tags
        assert copy.copy(one) == copy.deepcopy(one) == one
        assert copy.deepcopy(one).tags is not one.tags
        with pytest.raises(ValueError, match="-1"):
            made(x=-1)
        with pytest.raises(TypeError):
            made()
        with pytest.raises(TypeError):
            made(x=1, z=3)
        with pytest.raises(TypeError):
            made(x=1, fixed=3)
        if how.get("kw_only"):
            with pytest.raises(TypeError):
                made(1)
        else:
            assert made(1, 3).y == 3
        if how.get("frozen"):
            for act in (lambda o: setattr(o, "x", 3), lambda o: delattr(o, "x")):
                with pytest.raises(dataclasses.FrozenInstanceError):
                    act(one)
            with pytest.raises(
                (dataclasses.FrozenInstanceError, TypeError)
            ):  # the standard library stumbles over its slots
                one.new = 3


@records.dataclass(frozen=True, slots=True)
class Base:
    """A base."""

    a: int


@records.dataclass(frozen=True, slots=True)
class More(Base):
    b: int = 2

    def __repr__(self) -> str:
        return "mine"


@records.dataclass(frozen=True, slots=True)
class Empty:
    pass


def test_records_build_on_records() -> None:
    """Fields are inherited, a method of the class's own stays, a hash is of the values, and pickle brings one back."""
    assert (More(1).a, More(1, 3).b) == (1, 3)
    assert repr(More(1)) == "mine"
    assert repr(Base(1)) == "Base(a=1)"
    assert hash(More(1)) == hash(More(1, 2))
    assert len({More(1), More(1, 2), More(2)}) == 2
    assert Base(1) != More(1)
    assert Empty() == Empty()
    assert hash(Empty()) == hash(Empty())
    assert pickle.loads(pickle.dumps(More(4))) == More(4)  # noqa: S301  (our own)
    assert Empty.__doc__ == "Empty"
    assert Base.__doc__ == "A base."
