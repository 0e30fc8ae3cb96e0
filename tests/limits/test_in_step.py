"""Several nodes with one tally: what they accept together, and what each does without it."""

from __future__ import annotations

import logging
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.limits.gcra import OVERSHOOT, Rate, RateLimiter
from chat4all_actors.limits.in_step import HURRY, MAX_KEYS, ROUND, InStep
from chat4all_storage.memory.tally import MemoryTally
from chat4all_storage.ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chat4all_storage.ports.tally import Standing, Usage

RATE = Rate(100, 20)
MINUTE = 60.0


class SpiedTally(MemoryTally):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[Usage]] = []

    async def exchange(self, node: str, usages: Sequence[Usage]) -> list[Standing]:
        self.asked.append(list(usages))
        return await super().exchange(node, usages)


class Node:
    """One node's limiter of messages, and its part in keeping it in step."""

    def __init__(self, name: str, tally: MemoryTally | None, rate: Rate = RATE) -> None:
        self.limiter = RateLimiter(rate.per_minute, rate.burst)
        self.peers: int | None = 0
        self.in_step = InStep(
            {"messages": self.limiter},
            tally,
            secret="the cluster's",
            node=lambda: name,
            peers=lambda: self.peers,
        )
        self.scope = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            await self.in_step.run(task_status=task_status)

    def flood(self, key: str = "ana", *, most: float = math.inf) -> int:
        """Take as much as there is, at once."""
        taken = 0
        while taken < most and self.limiter.take(key) == 0.0:
            taken += 1
        return taken


@asynccontextmanager
async def cluster(
    count: int, tally: MemoryTally | None = None, rate: Rate = RATE
) -> AsyncIterator[list[Node]]:
    tally = tally or MemoryTally()
    nodes = [Node(f"node {number}", tally, rate) for number in range(count)]
    async with trio.open_nursery() as nursery:
        for node in nodes:
            node.peers = count - 1
            await nursery.start(node.run)
        yield nodes
        nursery.cancel_scope.cancel()


async def rounds(seconds: float = 2 * ROUND) -> None:
    await trio.sleep(seconds)
    await wait_all_tasks_blocked()


async def test_what_one_node_accepted_the_other_knows_a_round_later(
    autojump_clock: MockClock,
) -> None:
    async with cluster(2) as (one, other):
        assert one.flood() == 20
        await rounds()
        other.limiter.watch("ana")
        await rounds(3 * HURRY)
        assert other.flood() <= 2  # what a second and a half gave back


async def test_a_flood_of_several_nodes_is_a_debt_that_is_paid(autojump_clock: MockClock) -> None:
    async with cluster(3) as nodes:
        accepted = 0
        for _ in range(600):
            accepted += sum(node.flood() for node in nodes)
            await rounds(0.1)
        assert 100 <= accepted <= 120 + 2  # each may be one ahead of what it knows


async def test_the_rate_over_long_is_that_of_one_node(autojump_clock: MockClock) -> None:
    async with cluster(4) as nodes:
        accepted = 0
        for _ in range(10 * 60 * 5):
            accepted += sum(node.flood() for node in nodes)
            await rounds(0.2)
        assert 1000 * 0.97 <= accepted <= 1020 + 3


async def test_a_user_of_one_node_has_the_whole_limit_there(autojump_clock: MockClock) -> None:
    async with cluster(5) as (one, *_):
        one.limiter.watch("ana")
        await rounds(3 * HURRY)
        assert one.flood() == 20
        accepted = 20
        for _ in range(600):
            await rounds(0.1)
            accepted += one.flood()
        assert 118 <= accepted <= 120


async def test_a_key_goes_from_node_to_node_with_what_it_used(autojump_clock: MockClock) -> None:
    async with cluster(2) as nodes:
        accepted = 0
        for number in range(60):
            node = nodes[number % 2]
            node.limiter.watch("ana")
            await rounds(3 * HURRY)
            accepted += node.flood()
            await rounds(0.7)
        assert accepted <= 120


async def test_what_a_node_that_stops_accepted_is_told_with_its_last_words(
    autojump_clock: MockClock,
) -> None:
    async with cluster(2) as (one, other):
        one.flood()
        one.scope.cancel()
        await wait_all_tasks_blocked()
        other.limiter.watch("ana")
        await rounds(3 * HURRY)
        assert other.flood() <= 1


async def test_whoever_is_refused_is_told_of_at_once(autojump_clock: MockClock) -> None:
    async with cluster(2) as (one, other):
        await rounds()
        assert one.flood() == 20
        await rounds(2 * HURRY)
        other.limiter.watch("ana")
        await rounds(2 * HURRY)
        assert other.flood() <= 1


async def test_what_a_node_accepted_alone_is_told_when_another_comes(
    autojump_clock: MockClock,
) -> None:
    async with cluster(2) as (one, other):
        one.peers = 0
        await rounds()
        assert one.flood() == 20
        one.peers = 1
        await rounds(1.2)
        assert one.flood() == 2
        await rounds()
        other.limiter.watch("ana")
        await rounds(3 * HURRY)
        assert other.flood() <= 5


# The tally is away


async def test_without_the_tally_each_node_takes_its_part_of_the_limit(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    tally = MemoryTally()
    async with cluster(4, tally) as nodes:
        tally.down = True
        nodes[0].flood("somebody", most=1)
        with caplog.at_level(logging.WARNING):
            await rounds()
            assert nodes[0].flood() == 5
            assert nodes[0].limiter.take("ana") == pytest.approx(4 * 0.6, abs=0.1)
        for node in nodes:
            node.flood("somebody", most=1)
        await rounds(300)
        accepted = 0
        for number in range(600):
            accepted += sum(node.flood("bob") for node in nodes)
            await rounds(0.1)
            if number == 10:
                assert accepted <= 20 + 4
        assert accepted <= 120
    assert [record.getMessage() for record in caplog.records].count(
        "each node takes only its part of the rate limits: the tally is down"
    ) == len(nodes)  # once each


async def test_a_node_that_finds_the_tally_away_again_is_stricter_after_the_first_round(
    autojump_clock: MockClock,
) -> None:
    tally = MemoryTally()
    async with cluster(2, tally) as nodes:
        tally.down = True
        accepted = 0
        for _ in range(600):
            accepted += sum(node.flood() for node in nodes)
            await rounds(0.1)
        assert accepted <= 140  # the first burst of each was given before it was noticed
        accepted = 0
        for _ in range(600):
            accepted += sum(node.flood() for node in nodes)
            await rounds(0.1)
        assert 90 <= accepted <= 101


async def test_limits_are_in_step_again_by_themselves(autojump_clock: MockClock) -> None:
    tally = MemoryTally()
    async with cluster(2, tally) as (one, other):
        tally.down = True
        one.flood(most=1)
        await rounds()
        tally.down = False
        await rounds(MINUTE)
        assert one.flood() == 20  # the whole burst
        await rounds()
        other.limiter.watch("ana")
        await rounds()
        assert other.flood() <= 4


async def test_what_was_accepted_while_the_tally_was_away_is_told_but_not_for_ever(
    autojump_clock: MockClock,
) -> None:
    tally = MemoryTally()
    async with cluster(2, tally) as (one, other):
        tally.down = True
        for _ in range(3000):  # ten minutes at the half rate
            one.flood()
            await rounds(0.2)
        tally.down = False
        await rounds(1.0)
        wait = max(one.limiter.take("ana"), other.limiter.take("ana"))
        assert wait <= 20 * 0.6


async def test_a_tally_that_answers_nothing_and_does_all_later_is_told_no_more_than_once_again(
    autojump_clock: MockClock,
) -> None:
    class Stalled(MemoryTally):
        def __init__(self) -> None:
            super().__init__()
            self.waiting: list[tuple[str, Sequence[Usage]]] | None = None

        async def exchange(self, node: str, usages: Sequence[Usage]) -> list[Standing]:
            if self.waiting is not None:
                self.waiting.append((node, usages))
                raise Unavailable("no answer in time")
            return await super().exchange(node, usages)

    tally = Stalled()
    async with cluster(2, tally) as (one, _):
        tally.waiting = []
        for _ in range(300):
            one.flood()
            await rounds(0.2)
        calls, tally.waiting = tally.waiting, None
        for node, usages in calls:
            await tally.exchange(node, usages)
        await rounds(2 * ROUND)
        assert one.limiter.take("ana") <= 20 * 0.6


async def test_a_tally_that_has_forgotten_all_is_told_what_nodes_know(
    autojump_clock: MockClock,
) -> None:
    tally = MemoryTally()
    async with cluster(3, tally) as (one, _, other):
        one.limiter.watch("ana")
        await rounds()
        one.flood()
        await rounds()
        tally.forget()
        await rounds(0.7)
        assert one.flood() == 2
        await rounds()
        other.limiter.watch("ana")
        await rounds(3 * HURRY)
        assert other.flood() <= 5


async def test_while_the_backbone_fails_each_node_takes_the_part_that_was_known(
    autojump_clock: MockClock,
) -> None:
    async with cluster(4) as (one, *_):
        await rounds()
        one.peers = None
        await rounds()
        assert one.flood() == 5
        one.peers = 0
        await rounds(MINUTE)
        assert one.flood() == 20


async def test_a_node_that_waits_for_the_tally_heeds_what_the_backbone_knows(
    autojump_clock: MockClock,
) -> None:
    class Hanging(MemoryTally):
        async def exchange(self, node: str, usages: Sequence[Usage]) -> list[Standing]:
            await trio.sleep(1.0)
            return await super().exchange(node, usages)

    async with cluster(4, Hanging()) as (one, *_):
        await rounds()
        one.peers = None
        one.flood("somebody", most=1)
        await rounds(ROUND + 0.1)
        assert one.flood() == 5


async def test_before_it_is_known_who_lives_a_node_takes_half(autojump_clock: MockClock) -> None:
    node = Node("alone?", MemoryTally())
    node.peers = None
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        assert node.flood() == 10
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("tally", [None, MemoryTally()])
async def test_a_node_without_others_keeps_no_count_for_them(
    autojump_clock: MockClock, tally: MemoryTally | None
) -> None:
    node = Node("alone", tally)
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        assert node.flood() == 20
        node.limiter.watch("bob")
        assert node.limiter.used == 0
        nursery.cancel_scope.cancel()


# What it costs, and what it tells


async def test_a_round_is_one_call_for_all_keys_and_none_when_nothing_was_used(
    autojump_clock: MockClock,
) -> None:
    tally = SpiedTally()
    async with cluster(2, tally) as (one, _):
        await rounds(10.0)
        assert tally.asked == []
        for number in range(1000):
            one.limiter.take(f"user {number}")
        await rounds(10.0)
        assert [len(usages) for usages in tally.asked] == [1000]


async def test_more_keys_than_a_round_takes_are_told_in_the_next_ones(
    autojump_clock: MockClock,
) -> None:
    tally = SpiedTally()
    async with cluster(2, tally) as (one, _):
        for number in range(2 * MAX_KEYS + 1):
            one.limiter.take(f"user {number}")
        await rounds(ROUND + 3 * HURRY)
    assert [len(usages) for usages in tally.asked] == [MAX_KEYS, MAX_KEYS, 1]


async def test_many_who_are_refused_hasten_rounds_to_ten_a_second_at_most(
    autojump_clock: MockClock,
) -> None:
    tally = SpiedTally()
    async with cluster(2, tally) as (one, _):
        for _ in range(1000):
            one.flood("ana", most=1)
            one.limiter.take("ana")
            one.flood("bob")
            await rounds(0.01)
    assert len(tally.asked) <= 10 / HURRY + 1


async def test_no_key_of_the_tally_shows_whose_it_is(autojump_clock: MockClock) -> None:
    tally = SpiedTally()
    async with cluster(2, tally) as (one, _):
        one.limiter.take("ana")
        await rounds()
        one.limiter.take("ana")
        one.limiter.take("bob")
        await rounds()
    ((first,), (again, bob)) = tally.asked
    assert first.key == again.key != bob.key
    assert "ana" not in first.key
    assert first.key.startswith("messages:")


# Whatever is done


@settings(deadline=None)
@given(
    count=st.integers(2, 4),
    phases=st.lists(
        st.tuples(
            st.integers(0, 3),  # the node
            st.integers(1, 25),  # how much it tries at once
            st.floats(0.0, 8.0, allow_nan=False),  # and the pause after it
        ),
        max_size=60,
    ),
)
def test_in_any_minute_all_nodes_accept_at_most_a_fifth_more_than_one_would(
    count: int, phases: list[tuple[int, int, float]]
) -> None:
    accepted: list[float] = []

    async def run() -> None:
        async with cluster(count) as nodes:
            for number, tries, pause in phases:
                taken = nodes[number % count].flood(most=tries)
                accepted.extend([trio.current_time()] * taken)
                await rounds(pause)

    trio.run(run, clock=MockClock(autojump_threshold=0))
    for start in accepted:
        in_a_minute = sum(start <= at < start + MINUTE for at in accepted)
        assert in_a_minute <= (1 + OVERSHOOT) * (RATE.per_minute + RATE.burst)


@settings(deadline=None)
@given(
    count=st.integers(1, 4),
    pauses=st.lists(st.floats(0.6, 3.0, allow_nan=False), max_size=40),
    nodes=st.lists(st.integers(0, 3), min_size=40, max_size=40),
)
def test_whoever_stays_below_the_rate_is_never_refused_on_whatever_nodes(
    count: int, pauses: list[float], nodes: list[int]
) -> None:
    async def run() -> None:
        async with cluster(count) as members:
            for pause, number in zip(pauses, nodes, strict=False):
                assert members[number % count].limiter.take("ana") == 0.0
                await rounds(pause)

    trio.run(run, clock=MockClock(autojump_threshold=0))
