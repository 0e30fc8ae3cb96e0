"""Events of other nodes that came too early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from chat4all_actors.conversation.early import Early
from chat4all_actors.messages import Relayed

if TYPE_CHECKING:
    import random


def relayed(first: int, count: int = 1) -> Relayed:
    seqs = range(first, first + count)
    return Relayed(first, [f"sender {seq}" for seq in seqs], [b"%d" % seq for seq in seqs])


def take(early: Early, head: int) -> list[int]:
    passing, senders = early.take(head)
    assert senders == [f"sender {each.seq}" for each in passing]
    assert [each.data for each in passing] == [b"%d" % each.seq for each in passing]
    return [each.seq for each in passing]


def test_what_follows_the_head_is_taken_and_what_does_not_waits() -> None:
    early = Early()
    early.add(relayed(4, 2), head=1)
    assert take(early, 1) == []
    assert early.first == 4
    early.add(relayed(2, 2), head=1)
    assert take(early, 1) == [2, 3, 4, 5]
    assert len(early) == 0


def test_what_was_passed_before_is_not_kept() -> None:
    early = Early()
    early.add(relayed(1, 3), head=2)
    assert take(early, 2) == [3]
    early.add(relayed(6), head=3)
    assert take(early, 6) == []  # it was read from the store meanwhile
    assert len(early) == 0


@given(st.integers(1, 30), st.randoms(use_true_random=False))
def test_in_whatever_order_they_come_each_is_taken_once_and_in_order(
    count: int, rng: random.Random
) -> None:
    arrivals = [relayed(seq) for seq in range(1, count + 1)] * 2
    rng.shuffle(arrivals)
    early, head, taken = Early(), 0, []
    for arrival in arrivals:
        early.add(arrival, head)
        found = take(early, head)
        taken += found
        head += len(found)
    assert taken == list(range(1, count + 1))
    assert len(early) == 0
