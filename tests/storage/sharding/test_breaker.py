"""A database that does not answer keeps nobody waiting, and is found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_storage.ports.errors import InDoubt, Moved, Rejected, Unavailable
from chat4all_storage.sharding.breaker import FAILURES, PROBE_TIMEOUT, STALL, Breaker

if TYPE_CHECKING:
    from trio.testing import MockClock


async def answer() -> str:
    await trio.lowlevel.checkpoint()
    return "answer"


async def fail() -> str:
    await trio.lowlevel.checkpoint()
    raise Unavailable("no route")


async def hang() -> str:
    await trio.sleep_forever()
    raise AssertionError("unreachable")


async def tripped() -> Breaker:
    breaker = Breaker("db")
    for _ in range(FAILURES):
        with pytest.raises(Unavailable, match="no route"):
            await breaker.call(fail)
    assert breaker.open
    return breaker


async def test_answers_and_errors_pass() -> None:
    breaker = Breaker("db")
    assert await breaker.call(answer) == "answer"
    for error in (Unavailable, InDoubt, Moved, Rejected):

        async def raises(error: type[Exception] = error) -> None:
            raise error("as it is")

        with pytest.raises(error, match="as it is"):
            await breaker.call(raises)
    assert not breaker.open


async def test_after_some_failures_calls_are_refused_at_once() -> None:
    breaker = await tripped()
    with pytest.raises(Unavailable, match="out of reach"):
        await breaker.call(hang)


async def test_an_answer_in_between_starts_the_count_again() -> None:
    breaker = Breaker("db")
    for _ in range(FAILURES):
        with pytest.raises(Unavailable):
            await breaker.call(fail)
        assert await breaker.call(answer) == "answer"
    assert not breaker.open


async def test_refusals_of_the_store_are_answers() -> None:
    breaker = Breaker("db")

    async def moved() -> None:
        raise Moved("elsewhere")

    for _ in range(FAILURES):
        with pytest.raises(Moved):
            await breaker.call(moved)
    assert not breaker.open


async def test_who_waits_is_let_go_when_nothing_is_answered(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    breaker = Breaker("db")
    refused: list[Exception] = []

    async def wait(writes: bool) -> None:
        try:
            await breaker.call(hang, writes=writes)
        except (Unavailable, InDoubt) as error:
            refused.append(error)

    nursery.start_soon(wait, False)
    nursery.start_soon(wait, True)
    await trio.sleep(STALL - 0.1)
    await breaker.watch(answer)
    assert not breaker.open
    await trio.sleep(0.2)
    await breaker.watch(answer)
    assert breaker.open
    await trio.testing.wait_all_tasks_blocked()
    assert sorted(type(error).__name__ for error in refused) == ["InDoubt", "Unavailable"]


async def test_a_caller_that_gives_up_opens_it_unless_others_were_answered(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    breaker = Breaker("db")

    async def answered_meanwhile() -> None:
        await trio.sleep(1)
        await breaker.call(answer)

    nursery.start_soon(answered_meanwhile)
    with pytest.raises(Unavailable, match="does not answer"):
        await breaker.call(hang, patience=1.5)
    assert trio.current_time() == 1.5
    assert not breaker.open
    with pytest.raises(InDoubt, match="does not answer"):
        await breaker.call(hang, writes=True, patience=1.5)
    assert breaker.open


async def test_one_slow_call_is_no_stall_while_others_are_answered(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    breaker = Breaker("db")
    nursery.start_soon(breaker.call, hang)
    for _ in range(5):
        await trio.sleep(STALL * 0.9)
        await breaker.call(answer)
        await breaker.watch(answer)
    assert not breaker.open
    nursery.cancel_scope.cancel()


async def test_a_probe_that_is_answered_closes_it(autojump_clock: MockClock) -> None:
    breaker = await tripped()
    await breaker.watch(fail)
    start = trio.current_time()
    await breaker.watch(hang)
    assert trio.current_time() - start == pytest.approx(PROBE_TIMEOUT)
    assert breaker.open
    await breaker.watch(answer)
    assert not breaker.open
    assert await breaker.call(answer) == "answer"
