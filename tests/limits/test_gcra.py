from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from chat4all_actors.limits.gcra import ASKING, OVERFLOW, Rate, RateLimiter

if TYPE_CHECKING:
    from collections.abc import Sequence


async def test_a_burst_passes_at_once_and_not_one_more(mock_clock: MockClock) -> None:
    limiter = RateLimiter(60, burst=5)
    assert [limiter.take("ana") for _ in range(5)] == [0.0] * 5
    assert limiter.take("ana") == pytest.approx(1.0)


async def test_a_refusal_tells_when_the_next_would_pass_and_costs_nothing(
    mock_clock: MockClock,
) -> None:
    limiter = RateLimiter(6, burst=1)
    assert limiter.take("ana") == 0.0
    for _ in range(3):
        assert limiter.take("ana") == pytest.approx(10.0)
    mock_clock.jump(9.99)
    assert limiter.take("ana") == pytest.approx(0.01)
    mock_clock.jump(0.01)
    assert limiter.take("ana") == 0.0


async def test_in_the_long_run_the_rate_passes(mock_clock: MockClock) -> None:
    limiter = RateLimiter(100, burst=20)
    passed = 0
    for _ in range(10 * 60 * 10):  # ten minutes of ten messages a second
        passed += limiter.take("ana") == 0.0
        mock_clock.jump(0.1)
    assert 1000 + 19 <= passed <= 1000 + 20


async def test_rest_gives_back_the_burst_but_never_more(mock_clock: MockClock) -> None:
    limiter = RateLimiter(60, burst=3)
    for _ in range(3):
        limiter.take("ana")
    mock_clock.jump(2.0)
    assert [limiter.take("ana") for _ in range(3)] == [0.0, 0.0, pytest.approx(1.0)]
    mock_clock.jump(3600.0)
    assert [limiter.take("ana") == 0.0 for _ in range(4)] == [True, True, True, False]


async def test_keys_are_independent(mock_clock: MockClock) -> None:
    limiter = RateLimiter(60, burst=1)
    assert limiter.take("ana") == 0.0
    assert limiter.take("bob") == 0.0
    assert limiter.take("ana") > 0


async def test_a_rate_of_zero_is_unlimited(mock_clock: MockClock) -> None:
    limiter = RateLimiter(0, burst=1)
    assert [limiter.take("ana") for _ in range(100)] == [0.0] * 100


async def test_keys_that_are_at_rest_make_room_for_new_ones(mock_clock: MockClock) -> None:
    limiter = RateLimiter(60, burst=2, max_keys=100)
    for number in range(5000):
        assert limiter.take(f"user {number}") == 0.0
        mock_clock.jump(0.1)  # each is at rest after a second
    assert len(limiter) <= 20


async def test_a_key_that_is_not_at_rest_is_never_forgotten(mock_clock: MockClock) -> None:
    limiter = RateLimiter(1, burst=1, max_keys=100)
    assert limiter.take("busy") == 0.0
    for number in range(50):
        limiter.take(f"other {number}")
        mock_clock.jump(1.0)
    assert limiter.take("busy") == pytest.approx(10.0)


async def test_beyond_the_bound_new_keys_share_budgets_and_memory_stays_bounded(
    mock_clock: MockClock,
) -> None:
    limiter = RateLimiter(1, burst=1, max_keys=160)
    passed = sum(limiter.take(f"user {number}") == 0.0 for number in range(10_000))
    assert 160 < passed <= 160 + 160 // OVERFLOW
    assert len(limiter) == passed
    assert limiter.take("user 1") > 0  # those that are held keep their own
    mock_clock.jump(60.0)
    # All are at rest: new ones soon have budgets of their own again.
    passed = sum(limiter.take(f"late {number}") == 0.0 for number in range(100))
    assert passed >= 90
    assert len(limiter) <= 160 + 160 // OVERFLOW


class Window:
    """The reference: what a minute accepts, told by looking at all that were accepted."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._times: list[float] = []

    def note(self, now: float) -> None:
        self._times.append(now)

    def check(self) -> None:
        """Between any two that were accepted lie at most the burst and the rate."""
        for first, start in enumerate(self._times):
            for last in range(first, len(self._times)):
                seconds = self._times[last] - start
                allowed = self._rate.burst + seconds / self._rate.interval
                assert last - first + 1 <= allowed + 1e-6

    def room(self, now: float) -> bool:
        """Whether one more would still be within the limit."""
        return all(
            len(self._times) - first + 1
            <= self._rate.burst + (now - start) / self._rate.interval - 1e-6
            for first, start in enumerate(self._times)
        )


@given(
    per_minute=st.integers(1, 600),
    burst=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 30, allow_nan=False), max_size=60),
)
def test_exactly_what_every_window_has_room_for_is_accepted(
    per_minute: int, burst: int, pauses: Sequence[float]
) -> None:
    clock = MockClock()

    async def run() -> None:
        limiter, window = RateLimiter(per_minute, burst), Window(Rate(per_minute, burst))
        for pause in pauses:
            clock.jump(pause)
            now = trio.current_time()
            if (wait := limiter.take("ana")) == 0.0:
                window.note(now)
            else:
                assert not window.room(now)
                assert 0 < wait <= limiter.rate.interval + 1e-6
        window.check()

    trio.run(run, clock=clock)


# In step with other nodes


def collected(limiter: RateLimiter) -> dict[str, tuple[int, float]]:
    return {key: (count, round(ahead, 6)) for key, count, ahead in limiter.collect(10)}


async def test_what_was_used_is_collected_once_and_settled_as_all_nodes_stand(
    mock_clock: MockClock,
) -> None:
    limiter = RateLimiter(60, burst=5)
    limiter.share(lambda: None)
    limiter.divide(2, apart=False)
    for _ in range(3):
        limiter.take("ana")
    assert collected(limiter) == {"ana": (3, 3.0)}
    assert collected(limiter) == {}
    limiter.take("ana")  # while the answer is on its way
    limiter.settle("ana", 3.5, sole_until=0.0)
    assert limiter.take("ana") == pytest.approx(0.5)  # 3.5 of all, one of ours, a burst of 5


async def test_a_standing_that_says_less_changes_nothing(mock_clock: MockClock) -> None:
    limiter = RateLimiter(60, burst=5)
    limiter.share(lambda: None)
    limiter.divide(2, apart=False)
    for _ in range(5):
        limiter.take("ana")
    limiter.collect(10)
    limiter.settle("ana", 0.0, sole_until=0.0)
    assert limiter.take("ana") == pytest.approx(1.0)


async def test_a_key_that_is_watched_is_asked_for_at_no_cost(mock_clock: MockClock) -> None:
    woken: list[None] = []
    limiter = RateLimiter(60, burst=5)
    limiter.share(lambda: woken.append(None))
    limiter.divide(2, apart=False)
    limiter.watch("ana")
    assert woken
    assert collected(limiter) == {"ana": (0, 0.0)}
    limiter.settle("ana", 4.5, sole_until=0.0)
    assert limiter.take("ana") == pytest.approx(0.5)


async def test_what_could_not_be_told_is_told_later_as_far_as_it_is_outstanding(
    mock_clock: MockClock,
) -> None:
    limiter = RateLimiter(60, burst=5)
    limiter.share(lambda: None)
    limiter.divide(2, apart=False)
    for _ in range(4):
        limiter.take("ana")
    limiter.take("bob")
    told = limiter.collect(10)
    mock_clock.jump(1.5)
    for key, count, _ in told:
        limiter.restore(key, count)
    assert collected(limiter) == {"ana": (3, 2.5)}


async def test_nodes_that_are_apart_take_their_parts_together_the_limit(
    mock_clock: MockClock,
) -> None:
    nodes = [RateLimiter(60, burst=10) for _ in range(4)]
    for node in nodes:
        node.divide(4, apart=True)
    passed = 0
    for _ in range(600):
        passed += sum(node.take("ana") == 0.0 for node in nodes)
        mock_clock.jump(0.1)
    assert 60 <= passed <= 60 + 10
    nodes[0].divide(4, apart=False)
    mock_clock.jump(60.0)
    nodes[0].settle("ana", 0.0, sole_until=trio.current_time() + 1)
    assert sum(nodes[0].take("ana") == 0.0 for _ in range(20)) == 10


async def test_a_limit_has_room_for_one_however_many_nodes_are_apart(
    mock_clock: MockClock,
) -> None:
    limiter = RateLimiter(60, burst=5)
    limiter.divide(50, apart=True)
    assert limiter.take("ana") == 0.0
    assert limiter.take("ana") == pytest.approx(50.0)


async def test_many_nodes_give_a_part_of_the_burst_until_they_have_asked(
    mock_clock: MockClock,
) -> None:
    woken: list[None] = []
    limiter = RateLimiter(100, burst=20)
    limiter.share(lambda: woken.append(None))
    limiter.divide(5, apart=False)
    assert [limiter.take("ana") for _ in range(4)] == [0.0, 0.0, 0.0, ASKING]
    assert woken
    limiter.collect(10)
    limiter.settle("ana", 1.8, sole_until=trio.current_time() + 1)
    assert [limiter.take("ana") for _ in range(17)] == [0.0] * 17
    assert limiter.take("ana") == pytest.approx(0.6)


def test_two_nodes_give_the_burst_of_messages_without_asking() -> None:
    assert Rate(100, 20).blind(1) == Rate(100, 20).blind(2) == float("inf")
    assert [Rate(100, 20).blind(nodes) for nodes in (3, 4, 5, 9, 100)] == [6, 4, 3, 2, 2]
