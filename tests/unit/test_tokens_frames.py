import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safetok.tokens import frames

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_a_value_comes_back_as_it_was_sent(value: object) -> None:
    """What one end encodes the other decodes to the same value."""
    frame = frames.encode(value)
    (length,) = frames.HEADER.unpack_from(frame)
    assert length == len(frame) - 4
    assert frames.decode(frame[4:]) == value


def test_the_largest_ck_ulong_travels() -> None:
    """A driver may use any handle: one with its highest bit set had cost all its tokens."""
    largest = {"handle": (1 << 64) - 1, "free_public": 1 << 63}
    assert frames.decode(frames.encode(largest)[4:]) == largest


@given(st.binary(max_size=64))
def test_nonsense_is_only_ever_a_bad_frame(body: bytes) -> None:
    """Whatever a driver scribbles into the pipe, the parent gets a value or BadFrame and nothing else."""
    with contextlib.suppress(frames.BadFrame):
        frames.decode(body)


@given(values, st.data())
def test_a_cut_frame_is_a_bad_frame(value: object, data: st.DataObject) -> None:
    """No proper prefix of a frame is a frame."""
    body = frames.encode(value)[4:]
    with pytest.raises(frames.BadFrame):
        frames.decode(body[: data.draw(st.integers(0, len(body) - 1))])


def test_a_deep_frame_is_a_bad_frame() -> None:
    """Nesting cannot exhaust the parent's stack."""
    with pytest.raises(frames.BadFrame):
        frames.decode(b"l\0\0\0\1" * 5000 + b"n")


def test_a_huge_count_costs_nothing() -> None:
    """A list that says it has four thousand million items ends at the first that is missing."""
    with pytest.raises(frames.BadFrame):
        frames.decode(b"l\xff\xff\xff\xff")


@pytest.mark.parametrize("value", [1.5, object(), {1: 2}, {"a": {3}}])
def test_other_kinds_of_value_are_refused(value: object) -> None:
    """Only plain values travel."""
    with pytest.raises(TypeError):
        frames.encode(value)


def test_an_int_beyond_64_bits_is_refused() -> None:
    """An int that does not fit is an error where it is made."""
    with pytest.raises(OverflowError):
        frames.encode(1 << 64)
