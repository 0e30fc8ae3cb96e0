"""The quick look at a frame: whatever it lets through, the walk would have let through too."""

from __future__ import annotations

import tracemalloc
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_protocol.scan import MAX_ITEMS, Malformed, check, is_plain

from .test_scan import REFUSED

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=40),
    st.binary(max_size=3),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner)
    ),
    max_leaves=12,
)


def is_admitted(data: bytes) -> bool:
    try:
        check(data)
    except Malformed:
        return False
    return True


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=4))
def test_what_is_plain_is_admitted(value: dict[str, Any]) -> None:
    data = msgpack.packb(value)
    assert not is_plain(data) or is_admitted(data)


@given(
    st.dictionaries(st.text(max_size=3), VALUES, min_size=1, max_size=4),
    st.data(),
)
def test_what_is_plain_is_admitted_when_bytes_were_changed(
    value: dict[str, Any], data: st.DataObject
) -> None:
    bytes_ = bytearray(msgpack.packb(value))
    for _ in range(data.draw(st.integers(1, 3))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    assert not is_plain(bytes(bytes_)) or is_admitted(bytes(bytes_))


@pytest.mark.parametrize("part", [each for several in REFUSED.values() for each in several])
def test_nothing_that_is_refused_is_plain_alone_or_in_a_frame(part: bytes) -> None:
    assert not is_plain(part)
    assert not is_plain(b"\x82\xa1t\xa4send\xa1x" + part)


def test_a_frame_as_clients_write_it_is_plain() -> None:
    frame = {
        "t": "send",
        "rid": 70_000,
        "conv": "0" * 36,
        "body": {"type": "text", "text": "ação " * 30},
        "meta": {"due": 1.5, "tags": ["a", "b"]},
        "reply_to": None,
    }
    assert is_plain(msgpack.packb(frame))


def test_what_could_hold_too_many_items_is_walked() -> None:
    data = msgpack.packb({"a": [0] * MAX_ITEMS})
    assert not is_plain(data)
    assert not is_admitted(data)


@pytest.mark.parametrize("length", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"])
def test_a_length_that_is_only_claimed_costs_no_memory(length: bytes) -> None:
    tracemalloc.start()
    try:
        assert not is_plain(b"\x81\xa1a" + length)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000
