"""Several nodes with one tally: what they accept together, and what that costs."""

from __future__ import annotations

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.limits.gcra import OVERSHOOT
from chat4all_actors.limits.in_step import HURRY, MAX_KEYS, ROUND

from .nodes import MINUTE, RATE, SpiedTally, cluster, rounds


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
