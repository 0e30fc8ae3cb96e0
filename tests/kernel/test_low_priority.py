"""What gives way makes few steps in each pass of the scheduler, and is otherwise as it was."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.kernel import LowPriority, low_priority
from chat4all_actors.kernel.low_priority import BUDGET

if TYPE_CHECKING:
    from collections.abc import Generator

MANY = 20


class Costs:
    """A clock that goes on by what a step costs; every step looks at it twice."""

    def __init__(self) -> None:
        self.step = 0.0
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self.step
        return self._now


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> Costs:
    costs = Costs()
    monkeypatch.setattr(low_priority, "perf_counter", costs)
    return costs


async def passes_of(lane: LowPriority, tasks: int, steps: int) -> list[int]:
    """How many steps were made between one look of another task and the next."""
    made = ended = 0

    async def work() -> None:
        nonlocal made, ended
        for _ in range(steps):
            made += 1
            await trio.lowlevel.checkpoint()
        ended += 1

    found = []
    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(lane.run, work)
        while ended < tasks:
            before = made
            await trio.lowlevel.checkpoint()
            found.append(made - before)
    assert made == tasks * steps
    return found


async def test_of_costly_steps_one_is_made_in_each_pass(costs: Costs) -> None:
    costs.step = 2 * BUDGET
    found = await passes_of(LowPriority(), MANY, 3)
    # In between are what is left of a pass, and what comes first in the next one.
    assert max(found) <= 2
    assert len(found) >= 3 * MANY - 1


async def test_cheap_steps_share_a_pass(costs: Costs) -> None:
    costs.step = BUDGET / 1000
    found = await passes_of(LowPriority(), MANY, 3)
    assert len(found) < MANY


async def test_they_come_in_the_order_in_which_they_became_possible(costs: Costs) -> None:
    costs.step = 2 * BUDGET
    lane, order = LowPriority(), []

    async def work(number: int) -> None:
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(MANY):
            nursery.start_soon(lane.run, work, number)
            await trio.lowlevel.checkpoint()
            if number < MANY // 2:
                await wait_all_tasks_blocked()
    assert order == list(range(MANY))


async def test_one_alone_waits_for_nobody() -> None:
    lane, done = LowPriority(), []

    async def work() -> int:
        done.append("work")
        return 7

    async def other() -> None:
        done.append("other")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        assert await lane.run(work) == 7
    assert done == ["work", "other"]
    assert lane.waiting == 0


@types.coroutine
def _asking() -> Generator[str, str, str]:
    """Yields what trio knows nothing of, as only a test does."""
    try:
        return (yield "question")
    except LookupError:
        return (yield "question after an error")


async def test_what_is_thrown_into_it_is_its_own_to_handle() -> None:
    async def work() -> str:
        return await _asking()

    steps = LowPriority().run(work)
    assert steps.send(None) == "question"
    assert steps.throw(LookupError("thrown")) == "question after an error"
    with pytest.raises(StopIteration) as end:
        steps.send("answer")
    assert end.value.value == "answer"


async def test_alone_it_yields_to_others_when_its_time_in_a_pass_is_used_up(costs: Costs) -> None:
    costs.step = 2 * BUDGET
    found = await passes_of(LowPriority(), 1, MANY)
    assert max(found) <= 2


async def test_what_it_raises_is_raised() -> None:
    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError("of its own")

    with pytest.raises(LookupError, match="of its own"):
        await LowPriority().run(fail)


async def test_a_cancel_reaches_it_in_its_turn_and_nobody_waits_for_it_longer(costs: Costs) -> None:
    costs.step = 2 * BUDGET
    lane, ended = LowPriority(), []

    async def work(number: int) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(MANY):
            nursery.start_soon(lane.run, work, number)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sorted(ended) == list(range(MANY))
    assert lane.waiting == 0
    await lane.run(trio.lowlevel.checkpoint)


async def test_time_and_tasks_of_its_own_go_on_as_always(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def work() -> bool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 3)
        with trio.move_on_after(5) as scope:
            await trio.sleep_forever()
        return scope.cancelled_caught

    assert await LowPriority().run(work)
    assert trio.current_time() == 8


async def test_once_closed_it_watches_nothing_and_those_who_wait_still_have_their_turns(
    costs: Costs,
) -> None:
    costs.step = 2 * BUDGET
    lane, ended = LowPriority(), []

    async def work(number: int) -> None:
        await trio.lowlevel.checkpoint()
        ended.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(MANY):
            nursery.start_soon(lane.run, work, number)
        while lane.waiting < MANY // 2:
            await trio.lowlevel.checkpoint()
        lane.close()
    assert sorted(ended) == list(range(MANY))
    lane.close()
    with pytest.raises(KeyError):
        trio.lowlevel.remove_instrument(lane)
