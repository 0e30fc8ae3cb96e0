"""What nodes tell each other comes out as it went in."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.cluster.items import (
    AnyItem,
    Bye,
    Composes,
    Events,
    Marks,
    Stands,
    Tells,
    decode_entry,
    encode_entry,
    encode_item,
    portions,
)
from chat4all_actors.presence.carrier import RosterChanges, RosterWanted, UserState

ITEMS: list[AnyItem] = [
    Events("conversation", 7, ["ana", "bob"], [b"\x82\x01\x00", b""]),
    Stands("conversation", 0, ["ana", "bob"]),
    Marks("conversation", [("ana", 5, 3, 4, 0)]),
    Composes("conversation", "ana", "voice", 1_700_000_000_000),
    Tells("ana", b"\x82\x01\x00"),
    RosterChanges([UserState("ana", {"phone": 17}, active=True)]),
    RosterWanted(),
    Bye(),
]


def test_an_entry_carries_items_in_order() -> None:
    entry = decode_entry(encode_entry("node", 9, [encode_item(item) for item in ITEMS]))
    assert (entry.sender, entry.number) == ("node", 9)
    assert entry.items == ITEMS


def test_events_know_their_last() -> None:
    events = ITEMS[0]
    assert isinstance(events, Events)
    assert events.last == 8


def test_items_that_only_a_newer_version_knows_are_left_out() -> None:
    newer = [msgspec.msgpack.encode(each) for each in (["unheard of", 1], ["odd"])]
    known = [encode_item(item) for item in ITEMS]
    entry = decode_entry(encode_entry("node", 9, [newer[0], *known, newer[1]]))
    assert (entry.sender, entry.number) == ("node", 9)
    assert entry.items == ITEMS


ODD: list[object] = [["tells", "ana"], ["stands", 1, 1, []], [], [1], {}, None]


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc0", *(msgspec.msgpack.encode(["node", 1, [item]]) for item in ODD)],
)
def test_what_is_no_entry_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_entry(data)


@given(st.lists(st.integers(1, 12)), st.integers(1, 10))
def test_portions_are_all_of_it_in_order_and_as_large_as_they_may_be(
    sizes: list[int], limit: int
) -> None:
    found = [sizes[some] for some in portions(sizes, limit)]
    assert [size for some in found for size in some] == sizes
    assert all(some and (sum(some) <= limit or len(some) == 1) for some in found)
    for some, following in itertools.pairwise(found):
        assert sum(some) + following[0] > limit
