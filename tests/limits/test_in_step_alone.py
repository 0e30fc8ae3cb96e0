"""What nodes accept while the tally is away, has forgotten, or others are not known."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.limits.in_step import HURRY, ROUND
from chat4all_storage.memory.tally import MemoryTally
from chat4all_storage.ports.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from chat4all_storage.ports.tally import Standing, Usage

from .nodes import MINUTE, Node, cluster, rounds


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
