from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import gc
import threading
from typing import TYPE_CHECKING, NoReturn

import pytest
import trio

from chat4all_storage.bridge import Bridge, BridgeClosed, open_bridge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

LONG = 3600.0


class Probe:
    """A coroutine on the asyncio side that says where it is, and waits until it is told."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.ended = threading.Event()
        self.cancels = 0

    async def wait(self) -> NoReturn:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancels += 1
            raise
        finally:
            self.ended.set()
        raise AssertionError("the event is never set")

    async def wait_and_clean_up_slowly(self) -> NoReturn:
        try:
            await self.wait()
        finally:
            self.ended.clear()
            await asyncio.sleep(0.02)
            self.ended.set()

    async def ignore_the_cancel(self) -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await self.wait()
        return "done all the same"

    async def hang_at_the_cancel(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self.wait()
        await asyncio.sleep(LONG)

    async def has_started(self) -> None:
        await trio.to_thread.run_sync(self.started.wait)


async def add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def fail(error: BaseException) -> NoReturn:
    await asyncio.sleep(0)
    raise error


def threads_of_bridges() -> int:
    return [thread.name for thread in threading.enumerate()].count("chat4all-bridge")


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    async with open_bridge(grace=LONG) as bridge:
        yield bridge


async def test_a_call_returns_what_the_coroutine_returns(bridge: Bridge) -> None:
    assert await bridge.call(add, 1, 2, timeout=LONG) == 3


async def test_a_call_raises_the_very_exception_that_the_coroutine_raised(bridge: Bridge) -> None:
    error = LookupError("no such row")
    with pytest.raises(LookupError) as caught:
        await bridge.call(fail, error, timeout=LONG)
    assert caught.value is error


async def test_a_function_that_fails_before_it_is_a_coroutine_fails_the_call(
    bridge: Bridge,
) -> None:
    def broken() -> NoReturn:
        raise LookupError("at once")

    with pytest.raises(LookupError, match="at once"):
        await bridge.call(broken, timeout=LONG)
    assert await bridge.call(add, 1, 2, timeout=LONG) == 3


async def test_all_calls_run_on_one_thread_that_is_not_the_callers(bridge: Bridge) -> None:
    async def here() -> int:
        return threading.get_ident()

    idents = {await bridge.call(here, timeout=LONG) for _ in range(3)}
    assert len(idents) == 1
    assert threading.get_ident() not in idents


async def test_calls_overlap(bridge: Bridge) -> None:
    async def new_barrier() -> asyncio.Barrier:
        return asyncio.Barrier(20)

    barrier = await bridge.call(new_barrier, timeout=LONG)

    async def meet() -> None:
        await barrier.wait()  # nobody passes before all 20 are there

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(lambda: bridge.call(meet, timeout=LONG))
    assert bridge.statistics().calls == 21


async def test_the_coroutine_sees_the_context_variables_of_the_caller(bridge: Bridge) -> None:
    variable = contextvars.ContextVar[str]("variable")

    async def read() -> str:
        return variable.get()

    variable.set("of the caller")
    assert await bridge.call(read, timeout=LONG) == "of the caller"


async def test_a_call_that_takes_too_long_is_cancelled_and_raises_timeout_error(
    bridge: Bridge,
) -> None:
    probe = Probe()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.01 s"):
        await bridge.call(probe.wait, timeout=0.01)
    assert probe.ended.is_set()
    assert bridge.statistics().timed_out == 1


async def test_a_timeout_error_of_the_coroutine_itself_does_not_count_as_timed_out(
    bridge: Bridge,
) -> None:
    with pytest.raises(TimeoutError):
        await bridge.call(fail, TimeoutError(), timeout=LONG)
    assert bridge.statistics().timed_out == 0


async def test_time_outs_are_in_real_time_under_a_mock_clock(
    autojump_clock: trio.testing.MockClock, bridge: Bridge
) -> None:
    async def work() -> str:
        await asyncio.sleep(0.02)
        return "in time"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.sleep, 2 * LONG)  # jumps over it while the call is under way
        assert await bridge.call(work, timeout=LONG) == "in time"
    with pytest.raises(TimeoutError):
        await bridge.call(Probe().wait, timeout=0.01)
    assert trio.current_time() >= 2 * LONG


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
async def test_every_call_has_a_time_out(bridge: Bridge, timeout: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        await bridge.call(add, 1, 2, timeout=timeout)


async def test_a_cancelled_call_ends_only_after_its_coroutine_has_cleaned_up(
    bridge: Bridge,
) -> None:
    probe = Probe()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: bridge.call(probe.wait_and_clean_up_slowly, timeout=LONG))
            await probe.has_started()
            scope.cancel()
    assert scope.cancelled_caught
    assert probe.ended.is_set()
    assert bridge.statistics().cancelled == 1
    assert bridge.statistics().in_flight == 0


async def test_the_clean_up_of_a_timed_out_call_is_not_disturbed_by_a_cancel(
    bridge: Bridge,
) -> None:
    probe = Probe()
    cleaning = threading.Event()

    async def clean_up_slowly() -> None:
        try:
            await probe.wait()
        finally:
            cleaning.set()
            await asyncio.sleep(0.02)
            probe.started.clear()  # the last line: it has not been interrupted

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: bridge.call(clean_up_slowly, timeout=0.01))
            await trio.to_thread.run_sync(cleaning.wait)
            scope.cancel()
    assert scope.cancelled_caught
    assert not probe.started.is_set()


async def test_what_a_cancelled_call_answers_is_dropped(bridge: Bridge) -> None:
    probe = Probe()
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await bridge.call(probe.ignore_the_cancel, timeout=LONG))

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await probe.has_started()
            scope.cancel()
    assert scope.cancelled_caught
    assert probe.cancels == 1
    assert answers == []


async def test_a_call_in_a_cancelled_scope_never_starts(bridge: Bridge) -> None:
    probe = Probe()
    with trio.CancelScope() as scope:
        scope.cancel()
        await bridge.call(probe.wait, timeout=LONG)
    assert scope.cancelled_caught
    assert bridge.statistics().calls == 0
    assert not probe.started.is_set()


@pytest.fixture
def _collected() -> Iterator[None]:
    """Tasks that are left behind complain when they are collected: here, not in a later test."""
    yield
    gc.collect()


@pytest.mark.usefixtures("_collected")
async def test_a_coroutine_that_does_not_end_at_a_cancel_is_left_behind_after_the_grace() -> None:
    probe = Probe()
    async with open_bridge(grace=0.01) as bridge:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: bridge.call(probe.hang_at_the_cancel, timeout=LONG))
                await probe.has_started()
                scope.cancel()
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError):
            await bridge.call(Probe().hang_at_the_cancel, timeout=0.01)
        assert bridge.statistics().abandoned == 2
        assert await bridge.call(add, 1, 2, timeout=LONG) == 3


async def test_a_coroutine_cancelled_by_its_own_side_fails_the_call(bridge: Bridge) -> None:
    with pytest.raises(RuntimeError, match="cancelled on the asyncio side"):
        await bridge.call(fail, asyncio.CancelledError(), timeout=LONG)


async def test_closing_fails_outstanding_calls_and_joins_the_thread() -> None:
    probe = Probe()
    caught: list[Exception] = []

    async def call(bridge: Bridge) -> None:
        try:
            await bridge.call(probe.wait, timeout=LONG)
        except BridgeClosed as error:
            caught.append(error)

    async with trio.open_nursery() as nursery:
        async with open_bridge() as bridge:
            nursery.start_soon(call, bridge)
            while not probe.started.is_set():
                await trio.lowlevel.checkpoint()
        assert threads_of_bridges() == 0
    assert [str(error) for error in caught] == ["the bridge was closed"]
    assert probe.ended.is_set()


async def test_a_call_after_the_end_raises_bridge_closed() -> None:
    async with open_bridge() as bridge:
        pass
    with pytest.raises(BridgeClosed):
        await bridge.call(add, 1, 2, timeout=LONG)
    assert bridge.statistics().calls == 0


async def test_closing_ends_the_tasks_that_the_drivers_started() -> None:
    probe = Probe()

    async def start() -> None:
        tasks.append(asyncio.create_task(probe.wait()))

    tasks: list[asyncio.Task[NoReturn]] = []
    async with open_bridge() as bridge:
        await bridge.call(start, timeout=LONG)
        await probe.has_started()
    assert probe.ended.is_set()
    assert tasks[0].cancelled()


async def test_a_bridge_closes_when_its_block_is_cancelled() -> None:
    with trio.CancelScope() as scope:
        async with open_bridge() as bridge:
            scope.cancel()
            await bridge.call(add, 1, 2, timeout=LONG)
    assert scope.cancelled_caught
    assert threads_of_bridges() == 0


async def test_the_death_of_the_loop_fails_every_caller_and_is_not_lost() -> None:
    probe = Probe()
    caught: list[BaseException | None] = []

    async def wait_for_ever(bridge: Bridge) -> None:
        with pytest.raises(BridgeClosed) as closed:
            await bridge.call(probe.wait, timeout=LONG)
        caught.append(closed.value.__cause__)

    death = SystemExit("from a driver")

    async def run() -> None:
        async with open_bridge() as bridge, trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_ever, bridge)
            await probe.has_started()
            with pytest.raises(SystemExit):  # the caller of the culprit gets it as it is
                await bridge.call(fail, death, timeout=LONG)
            with pytest.raises(BridgeClosed):
                await bridge.call(add, 1, 2, timeout=LONG)

    with pytest.raises(BridgeClosed, match="the event loop died") as end:
        await run()
    assert end.value.__cause__ is death
    assert caught == [death]


async def test_bridges_in_one_process_are_independent() -> None:
    async with open_bridge() as one:
        async with open_bridge() as other:
            assert await other.call(add, 1, 1, timeout=LONG) == 2
        assert await one.call(add, 2, 2, timeout=LONG) == 4
        assert other.statistics().calls == one.statistics().calls == 1


async def test_many_random_cancels_leave_nothing_in_flight(bridge: Bridge) -> None:
    async def some_steps(n: int) -> int:
        for _ in range(n):
            await asyncio.sleep(0)
        return n

    outcomes: list[int | None] = []

    async def caller(n: int) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def ask() -> None:
                    outcomes.append(await bridge.call(some_steps, n, timeout=LONG))

                nursery.start_soon(ask)
                for _ in range(n % 7):
                    await trio.lowlevel.checkpoint()
                if n % 3:
                    scope.cancel()
        if scope.cancelled_caught:
            outcomes.append(None)

    async with trio.open_nursery() as nursery:
        for n in range(300):
            nursery.start_soon(caller, n)
    assert len(outcomes) == 300
    assert set(range(0, 300, 3)) <= set(outcomes)  # the ones that nobody cancelled
    assert bridge.statistics().in_flight == 0


async def test_statistics_are_a_frozen_record(bridge: Bridge) -> None:
    statistics = bridge.statistics()
    with pytest.raises(dataclasses.FrozenInstanceError):
        statistics.calls = 1  # type: ignore[misc]
