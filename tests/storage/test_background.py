"""Work for many bytes is done by threads that give way to all others."""

from __future__ import annotations

import gc
import os
import sys
import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_storage.background import LOWEST, Background


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_a_call_returns_what_the_function_returned() -> None:
    assert await Background(1, "test").run(divmod, 7, 2) == (3, 1)


async def test_a_call_raises_what_the_function_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await Background(1, "test").run(divmod, 7, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
async def test_it_gives_way_and_nobody_else_does() -> None:
    before = niceness()
    assert await Background(1, "test").run(niceness) == LOWEST
    assert niceness() == before
    assert await trio.to_thread.run_sync(niceness) == before
    assert await Background(1, "test", niceness=LOWEST - 1).run(niceness) == LOWEST - 1


async def test_there_are_as_many_calls_at_once_as_threads_and_the_others_come_in_turn() -> None:
    background = Background(2, "test")
    begun, gate = [threading.Event() for _ in range(4)], threading.Event()
    order: list[int] = []

    def work(number: int) -> None:
        order.append(number)
        begun[number].set()
        gate.wait()

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(background.run, work, number)
            await wait_all_tasks_blocked()
        for number in (0, 1):
            await trio.to_thread.run_sync(begun[number].wait)
        await wait_all_tasks_blocked()
        assert background.waiting == 2
        assert sorted(order) == [0, 1]
        gate.set()
    assert background.waiting == 0
    assert sorted(order) == [0, 1, 2, 3]


async def test_a_call_is_not_broken_off() -> None:
    background, gate, over = Background(1, "test"), threading.Event(), trio.Event()
    done: list[bool] = []

    def work() -> None:
        gate.wait()
        done.append(True)

    async with trio.open_nursery() as nursery:

        async def call() -> None:
            try:
                await background.run(work)
            finally:
                over.set()

        nursery.start_soon(call)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            assert not over.is_set()
            gate.set()
            await over.wait()
    assert done == [True]


async def test_the_threads_end_with_it() -> None:
    background = Background(1, "test")
    thread = await background.run(threading.current_thread)
    del background
    gc.collect()
    await trio.to_thread.run_sync(thread.join)
    assert not thread.is_alive()
