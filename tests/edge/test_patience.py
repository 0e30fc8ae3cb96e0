from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from chat4all_actors.edge.patience import STOP_PATIENCE, Patience

if TYPE_CHECKING:
    from trio.testing import MockClock


async def lasts(patience: Patience, seconds: float) -> float:
    """How long somebody waits who would wait for ever."""
    began = trio.current_time()
    with patience.limit(seconds):
        await trio.sleep_forever()
    return trio.current_time() - began


async def test_a_limit_ends_what_takes_too_long(autojump_clock: MockClock) -> None:
    assert await lasts(Patience(), 10) == 10


async def test_when_the_node_stops_nobody_has_longer_than_a_moment(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    patience = Patience()
    ended: list[tuple[float, float]] = []

    async def wait(seconds: float) -> None:
        ended.append((seconds, await lasts(patience, seconds)))

    for seconds in (math.inf, 10.0, 5.5, 5.0):
        nursery.start_soon(wait, seconds)
    await trio.sleep(5)
    assert not patience.over
    patience.end()
    assert patience.over
    await trio.sleep(2)
    most = 5 + STOP_PATIENCE
    assert sorted(ended) == [(5.0, 5.0), (5.5, 5.5), (10.0, most), (math.inf, most)]
    assert await lasts(patience, 10) == STOP_PATIENCE
    assert await lasts(patience, 0.5) == 0.5


async def test_who_is_done_in_time_is_not_looked_after_any_more(autojump_clock: MockClock) -> None:
    patience = Patience()
    with patience.limit(10) as scope:
        await trio.sleep(1)
    patience.end()
    assert not scope.cancelled_caught
    assert scope.deadline == 10
