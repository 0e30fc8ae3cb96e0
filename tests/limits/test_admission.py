from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.limits.admission import LONGEST_RETRY, Gate, Overloaded, Turnstile

if TYPE_CHECKING:
    from trio.testing import MockClock

# The gate


def taken(gate: Gate, count: int) -> list[float]:
    """How long each of so many has to wait who come at once."""
    return [round(gate.take(), 6) for _ in range(count)]


def refused(gate: Gate) -> float:
    with pytest.raises(Overloaded) as caught:
        gate.take()
    return round(caught.value.retry_after, 6)


async def test_a_burst_passes_at_once_and_those_beyond_wait_their_turn(
    mock_clock: MockClock,
) -> None:
    gate = Gate(10, burst=3, patience=0.4)
    assert taken(gate, 7) == [0, 0, 0, 0.1, 0.2, 0.3, 0.4]
    refused(gate)
    mock_clock.jump(0.1)
    assert taken(gate, 1) == [0.4]
    refused(gate)


async def test_who_would_wait_too_long_is_to_come_back_when_the_others_have_passed(
    mock_clock: MockClock,
) -> None:
    gate = Gate(10, burst=1, patience=0.2)
    assert taken(gate, 3) == [0, 0.1, 0.2]
    assert [refused(gate) for _ in range(3)] == [0.3, 0.4, 0.5]
    mock_clock.jump(0.25)
    assert taken(gate, 2) == [0.05, 0.15]
    assert refused(gate) == 0.35


async def test_after_a_pause_there_is_a_burst_again_and_no_more(mock_clock: MockClock) -> None:
    gate = Gate(10, burst=3, patience=0.1)
    assert taken(gate, 4) == [0, 0, 0, 0.1]
    mock_clock.jump(100)
    assert taken(gate, 4) == [0, 0, 0, 0.1]


async def test_nobody_is_sent_away_for_longer_than_the_bound(mock_clock: MockClock) -> None:
    gate = Gate(1, burst=1, patience=1)
    assert taken(gate, 2) == [0, 1]
    assert [refused(gate) for _ in range(200)][-1] == LONGEST_RETRY


async def test_a_rate_of_0_is_unlimited(mock_clock: MockClock) -> None:
    assert set(taken(Gate(0, burst=1, patience=1), 100)) == {0}


# The turnstile


class Person:
    """Goes in when there is room, and out when told."""

    def __init__(self) -> None:
        self.within = False
        self.retry_after: float | None = None
        self.go = trio.Event()

    async def visit(self, turnstile: Turnstile) -> None:
        try:
            await turnstile.enter(self)
        except Overloaded as error:
            self.retry_after = error.retry_after
            return
        self.within = True
        try:
            await self.go.wait()
        finally:
            turnstile.leave(self)
            self.within = False


async def crowd(nursery: trio.Nursery, turnstile: Turnstile, count: int) -> list[Person]:
    """So many, one after the other."""
    people = [Person() for _ in range(count)]
    for person in people:
        nursery.start_soon(person.visit, turnstile)
        await wait_all_tasks_blocked()
    return people


async def test_so_many_are_within_at_once_and_the_others_follow_in_order(
    autojump_clock: MockClock,
) -> None:
    turnstile = Turnstile(2, 3, 5.0)
    async with trio.open_nursery() as nursery:
        people = await crowd(nursery, turnstile, 5)
        for first in range(4):
            assert [person.within for person in people] == [
                first <= position < first + 2 for position in range(5)
            ]
            people[first].go.set()
            await wait_all_tasks_blocked()
        assert len(turnstile) == 1
        people[4].go.set()
    assert (len(turnstile), turnstile.refused) == (0, 0)
    async with trio.open_nursery() as nursery:  # there is room for two again
        people = await crowd(nursery, turnstile, 2)
        assert all(person.within for person in people)
        nursery.cancel_scope.cancel()


async def test_more_than_may_wait_are_turned_away_at_once(autojump_clock: MockClock) -> None:
    turnstile = Turnstile(1, 1, 5.0, chance=lambda: 0.5)
    async with trio.open_nursery() as nursery:
        people = await crowd(nursery, turnstile, 3)
        assert [person.retry_after for person in people] == [None, None, 7.5]
        assert trio.current_time() == 0
        assert turnstile.refused == 1
        nursery.cancel_scope.cancel()


async def test_nobody_waits_for_longer_than_the_patience(autojump_clock: MockClock) -> None:
    turnstile = Turnstile(1, 1, 5.0, chance=lambda: 0.0)
    async with trio.open_nursery() as nursery:
        people = await crowd(nursery, turnstile, 2)
        await trio.sleep(5)
        await wait_all_tasks_blocked()
        assert people[1].retry_after == 5
        assert turnstile.refused == 1
        # It left the queue to others.
        (late,) = await crowd(nursery, turnstile, 1)
        people[0].go.set()
        await wait_all_tasks_blocked()
        assert late.within
        nursery.cancel_scope.cancel()


async def test_one_that_gives_up_waiting_takes_no_room(autojump_clock: MockClock) -> None:
    turnstile = Turnstile(1, 2, 5.0)
    async with trio.open_nursery() as nursery:
        (first,) = await crowd(nursery, turnstile, 1)
        async with trio.open_nursery() as leaving:
            await crowd(leaving, turnstile, 1)
            leaving.cancel_scope.cancel()
        (last,) = await crowd(nursery, turnstile, 1)
        first.go.set()
        await wait_all_tasks_blocked()
        assert last.within
        last.go.set()
    assert len(turnstile) == 0


async def test_leaving_twice_makes_room_once(autojump_clock: MockClock) -> None:
    turnstile = Turnstile(1, 0, 5.0)
    await turnstile.enter("one")
    turnstile.leave("one")
    turnstile.leave("one")
    turnstile.leave("another")
    await turnstile.enter("two")
    with pytest.raises(Overloaded):
        await turnstile.enter("three")
