from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from chat4all_actors.kernel import (
    ActorFailed,
    ActorState,
    ActorStopped,
    AskTimeout,
    Pool,
    Reply,
)
from tests.kernel.actors import Clerk, expect, question


async def test_ask_returns_the_answer_or_raises_it(pool: Pool) -> None:
    clerk = Clerk(pool)
    assert await clerk.ask(question("echo"), timeout=1) == "echo"
    with pytest.raises(LookupError, match="bad input"):
        await clerk.ask(question("bad input"), timeout=1)
    assert clerk.state is ActorState.IDLE
    assert clerk.statistics().pending_asks == 0


async def test_ask_times_out_and_a_late_answer_is_no_fault(
    pool: Pool, autojump_clock: MockClock
) -> None:
    clerk = Clerk(pool)
    begin = trio.current_time()
    with pytest.raises(AskTimeout, match=r"clerk: no answer within 2 s"):
        await clerk.ask(question("wait"), timeout=2)
    assert trio.current_time() - begin == 2
    assert clerk.statistics().pending_asks == 0
    assert not clerk.seen[0].open
    clerk.seen[0].resolve("late")


async def test_the_time_out_covers_the_wait_for_room(pool: Pool, autojump_clock: MockClock) -> None:
    clerk = Clerk(pool, capacity=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, AskTimeout, clerk.ask(question("wait"), timeout=9))
        await wait_all_tasks_blocked()
        clerk.tell_nowait(("echo", Reply()))
        begin = trio.current_time()
        with pytest.raises(AskTimeout):
            await clerk.ask(question("echo"), timeout=2)
        assert trio.current_time() - begin == 2
        assert clerk.statistics().mailbox.waiting_senders == 0


@pytest.mark.parametrize("timeout", [0, -1, math.inf, math.nan])
async def test_an_ask_always_has_a_time_out(pool: Pool, timeout: float) -> None:
    with pytest.raises(ValueError, match="time-out"):
        await Clerk(pool).ask(question("echo"), timeout=timeout)


async def test_an_actor_without_anybody_waiting_may_find_the_reply_closed(pool: Pool) -> None:
    clerk = Clerk(pool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clerk.ask, question("wait"), 9)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not clerk.seen[0].open
    assert clerk.statistics().pending_asks == 0


async def test_a_crash_fails_the_asks_in_hand_and_in_the_mailbox(pool: Pool) -> None:
    clerk = Clerk(pool)
    failures: list[ActorFailed] = []

    async def ask(text: str) -> None:
        with pytest.raises(ActorFailed, match="clerk") as caught:
            await clerk.ask(question(text), timeout=9)
        failures.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "wait")
        await wait_all_tasks_blocked()
        nursery.start_soon(ask, "crash")
        await wait_all_tasks_blocked()
        nursery.start_soon(ask, "ignored")
        await wait_all_tasks_blocked()
        clerk.gate.set()
    assert clerk.state is ActorState.FAILED
    assert {repr(error.__cause__) for error in failures} == {"ValueError('a fault')"}
    assert len({id(error) for error in failures}) == 3


async def test_the_end_answers_those_who_wait_also_when_others_gave_up(pool: Pool) -> None:
    clerk = Clerk(pool)
    hasty = trio.CancelScope()

    async def give_up() -> None:
        with hasty:
            await clerk.ask(question("wait"), timeout=9)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up)
        await wait_all_tasks_blocked()
        nursery.start_soon(expect, ActorFailed, clerk.ask(question("crash"), timeout=9))
        await wait_all_tasks_blocked()
        hasty.cancel()
        await wait_all_tasks_blocked()
        assert clerk.statistics().pending_asks == 1
        clerk.gate.set()
        await wait_all_tasks_blocked()
        assert clerk.state is ActorState.FAILED


async def test_stopping_fails_the_asks_that_are_open(pool: Pool) -> None:
    clerk = Clerk(pool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, ActorStopped, clerk.ask(question("wait"), timeout=9))
        await wait_all_tasks_blocked()
        nursery.start_soon(expect, ActorStopped, clerk.ask(question("echo"), timeout=9))
        await wait_all_tasks_blocked()
        clerk.stop()
        clerk.gate.set()
    assert clerk.state is ActorState.STOPPED


async def test_who_asks_after_the_end_does_not_disturb_those_who_are_told_of_it(pool: Pool) -> None:
    clerk = Clerk(pool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect, ActorStopped, clerk.ask(question("ignored"), timeout=9))
        await wait_all_tasks_blocked()
        clerk.stop()
        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await clerk.ask(question("echo"), timeout=9)
    assert cancelled.cancelled_caught
    assert clerk.statistics().pending_asks == 0


async def test_who_gets_no_answer_is_told_from_whom(pool: Pool) -> None:
    clerk = Clerk(pool)
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(ActorStopped, match="clerk: stopped before it answered"):
                await clerk.ask(question("wait"), timeout=9)

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        clerk.stop()
        clerk.gate.set()


async def test_an_answer_given_before_the_crash_stands(pool: Pool) -> None:
    clerk = Clerk(pool)
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await clerk.ask(question("echo"), timeout=9))

    async with trio.open_nursery() as nursery:
        clerk.tell_nowait(("wait", Reply()))
        await wait_all_tasks_blocked()
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        clerk.tell_nowait(("crash", Reply()))
        clerk.gate.set()
    assert answers == ["echo"]
    assert clerk.state is ActorState.FAILED
