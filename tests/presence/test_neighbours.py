"""The other nodes, as one of them keeps track of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.presence.carrier import RosterItem, RosterSnapshot
from chat4all_actors.presence.neighbours import (
    ASK_AGAIN,
    DEPARTED_KEPT,
    SNAPSHOT_PAUSE,
    Neighbours,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


class Carried:
    """A carrier that writes down to whom it brings something."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, float]] = []

    def send(self, node: str, item: RosterItem) -> None:
        self.sent.append((node, trio.current_time()))

    def broadcast(self, item: RosterItem) -> None:
        raise NotImplementedError


def parts(count: int) -> list[RosterSnapshot]:
    return [RosterSnapshot([], first=not n, last=n == count - 1) for n in range(count)]


async def test_a_node_that_joins_is_asked_if_it_does_not_tell_by_itself(
    mock_clock: MockClock,
) -> None:
    neighbours = Neighbours()
    neighbours.joined("a")
    assert (list(neighbours.there), neighbours.incomplete, neighbours.busy) == (["a"], 1, True)
    now = trio.current_time()
    assert neighbours.to_ask(now + ASK_AGAIN - 1) == []
    assert neighbours.to_ask(now + ASK_AGAIN) == ["a"]
    assert neighbours.to_ask(now + 2 * ASK_AGAIN - 1) == []
    assert neighbours.to_ask(now + 2 * ASK_AGAIN) == ["a"]
    neighbours.whole("a")
    assert (neighbours.incomplete, neighbours.busy) == (0, False)


async def test_what_was_missed_is_asked_for_soon_and_once(mock_clock: MockClock) -> None:
    neighbours = Neighbours()
    neighbours.joined("a")
    now = trio.current_time()
    assert neighbours.missed("a", wait=1)
    assert neighbours.missed("a", wait=2)  # the first counts
    assert neighbours.to_ask(now + 1) == ["a"]
    assert not neighbours.missed("b", wait=1)
    assert neighbours.incomplete == 1


async def test_the_users_of_a_lost_node_are_given_up_later(mock_clock: MockClock) -> None:
    neighbours = Neighbours()
    neighbours.joined("a")
    neighbours.lost("a", 1234, expiry=300)
    assert (list(neighbours.there), neighbours.incomplete, neighbours.busy) == ([], 0, True)
    now = trio.current_time()
    assert neighbours.expired(now + 299) == []
    assert neighbours.expired(now + 300) == [("a", 1234)]
    assert neighbours.expired(now + 300) == []
    assert not neighbours.busy
    assert not neighbours.has_left("a")


async def test_a_lost_node_that_came_back_and_left_is_not_given_up_again(
    mock_clock: MockClock,
) -> None:
    neighbours = Neighbours()
    neighbours.lost("a", 1234, expiry=300)
    neighbours.joined("a")
    neighbours.left("a")
    assert neighbours.expired(trio.current_time() + 300) == []


async def test_a_node_that_left_counts_no_more_until_it_joins(mock_clock: MockClock) -> None:
    neighbours = Neighbours()
    neighbours.joined("a")
    neighbours.left("a")
    assert neighbours.has_left("a")
    assert not neighbours.busy
    neighbours.joined("a")
    assert not neighbours.has_left("a")


async def test_it_remembers_the_last_nodes_that_left(mock_clock: MockClock) -> None:
    neighbours = Neighbours()
    for number in range(DEPARTED_KEPT + 1):
        neighbours.left(f"node {number}")
    assert not neighbours.has_left("node 0")
    assert neighbours.has_left("node 1")


async def test_snapshots_go_out_part_by_part_to_all_in_turn(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    neighbours, carrier = Neighbours(), Carried()
    nursery.start_soon(neighbours.run, carrier)
    began = trio.current_time()
    neighbours.owe("a", iter(parts(3)))
    neighbours.owe("b", iter(parts(1)))
    neighbours.owe("b", iter(parts(2)))  # in place of the other one
    await trio.sleep(1)
    rounds = [(node, round((at - began) / SNAPSHOT_PAUSE)) for node, at in carrier.sent]
    assert rounds == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2)]
    neighbours.owe("c", iter(parts(9)))
    await trio.sleep(1.5 * SNAPSHOT_PAUSE)
    neighbours.left("c")
    await trio.sleep(1)
    assert [node for node, _ in carrier.sent[5:]] == ["c", "c"]
