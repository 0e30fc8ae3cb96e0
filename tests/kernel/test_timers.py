from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.kernel import Timers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def timers() -> AsyncIterator[Timers[str]]:
    timers: Timers[str] = Timers("timers")
    async with trio.open_nursery() as nursery:
        await nursery.start(timers.run)
        yield timers
        nursery.cancel_scope.cancel()


class Log:
    def __init__(self) -> None:
        self.entries: list[tuple[float, str]] = []
        self.begin = trio.current_time()

    def __call__(self, text: str) -> None:
        self.entries.append((trio.current_time() - self.begin, text))


async def test_timers_fire_in_the_order_of_their_deadlines(
    timers: Timers[str], autojump_clock: MockClock
) -> None:
    log = Log()
    timers.set("b", 2, log, "b")
    timers.set("a", 1, log, "a")
    timers.set("c", 2, log, "c")
    await trio.sleep(5)
    assert log.entries == [(1, "a"), (2, "b"), (2, "c")]
    assert len(timers) == 0


async def test_setting_a_key_again_replaces_its_timer(
    timers: Timers[str], autojump_clock: MockClock
) -> None:
    log = Log()
    timers.set("later", 1, log, "old")
    timers.set("later", 3, log, "new")
    timers.set("sooner", 3, log, "old")
    timers.set("sooner", 1, log, "new")
    await trio.sleep(5)
    assert log.entries == [(1, "new"), (3, "new")]


async def test_a_cancelled_timer_does_not_fire(
    timers: Timers[str], autojump_clock: MockClock
) -> None:
    log = Log()
    timers.set("a", 1, log, "a")
    assert "a" in timers
    assert timers.cancel("a")
    assert not timers.cancel("a")
    await trio.sleep(5)
    assert log.entries == []


async def test_a_callback_may_set_cancel_and_replace_timers(
    timers: Timers[str], autojump_clock: MockClock
) -> None:
    log = Log()

    def first() -> None:
        timers.cancel("same moment")
        timers.set("first", 1, log, "again")

    timers.set("first", 1, first)
    timers.set("same moment", 1, log, "must not fire")
    await trio.sleep(5)
    assert log.entries == [(2, "again")]


async def test_a_callback_that_raises_is_reported_and_does_not_disturb_the_others(
    autojump_clock: MockClock,
) -> None:
    faults: list[tuple[str, str]] = []
    timers: Timers[str] = Timers(
        "wheel", on_fault=lambda name, error: faults.append((name, repr(error)))
    )
    log = Log()

    def broken() -> None:
        raise ValueError("broken")

    timers.set("a", 1, broken)
    timers.set("b", 1, log, "b")
    timers.set("c", 1, broken)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    assert log.entries == [(1, "b")]
    assert faults == [(f"wheel: {key}", "ValueError('broken')") for key in "ac"]
    assert (timers.statistics().fired, timers.statistics().faults) == (3, 2)


async def test_a_timer_that_always_sets_itself_again_lets_others_run(
    timers: Timers[str], autojump_clock: MockClock
) -> None:
    rounds = 0

    def again() -> None:
        nonlocal rounds
        rounds += 1
        if rounds < 1000:
            timers.set("busy", 0, again)

    timers.set("busy", 0, again)
    while rounds == 0:
        await trio.lowlevel.checkpoint()
    assert rounds < 1000
    await wait_all_tasks_blocked()
    assert rounds == 1000


async def test_replaced_and_cancelled_timers_do_not_pile_up(
    timers: Timers[str], autojump_clock: MockClock
) -> None:
    for number in range(10_000):
        timers.set("hot", 10, print)
        timers.set(f"other {number % 10}", 10, print)
    assert timers.statistics().heap <= 2 * 11 + 64
    for number in range(10):
        assert timers.cancel(f"other {number}")
    assert timers.statistics().pending == 1
    assert timers.statistics().heap <= 2 + 64


async def test_a_few_cancelled_timers_are_not_worth_sorting_out(timers: Timers[str]) -> None:
    for number in range(100):
        timers.set(str(number), 10, print)
    for number in range(64):
        timers.cancel(str(number))
    assert timers.statistics().heap == 100
    timers.cancel("64")
    assert timers.statistics().heap == timers.statistics().pending == 35


async def test_compaction_keeps_what_is_set(timers: Timers[str], autojump_clock: MockClock) -> None:
    log = Log()
    for number in range(200):
        timers.set(str(number), 1, log, "kept")
    for number in range(100):
        timers.cancel(str(number))
        timers.set("hot", 2, log, "hot")
    await trio.sleep(5)
    assert log.entries == [(1, "kept")] * 100 + [(2, "hot")]


async def test_timers_set_before_or_between_two_runs_fire_in_the_second(
    autojump_clock: MockClock,
) -> None:
    timers: Timers[str] = Timers("timers")
    log = Log()
    timers.set("before", 1, log, "before")
    with trio.move_on_after(0.5):
        await timers.run()
    timers.set("between", 2, log, "between")
    await trio.sleep(3)
    with trio.move_on_after(1):
        await timers.run()
    assert log.entries == [(3.5, "before"), (3.5, "between")]


@pytest.mark.parametrize("delay", [-1, math.inf, math.nan])
async def test_a_delay_must_be_finite_and_not_negative(
    timers: Timers[str], autojump_clock: MockClock, delay: float
) -> None:
    with pytest.raises(ValueError, match="finite"):
        timers.set("a", delay, print)


async def test_timers_run_only_once_at_a_time(
    timers: Timers[str], autojump_clock: MockClock
) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        await timers.run()
