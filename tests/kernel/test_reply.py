from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.kernel import Reply


async def test_an_answer_may_come_before_or_during_the_wait() -> None:
    early: Reply[int] = Reply()
    early.resolve(1)
    assert await early.wait() == 1

    late: Reply[int] = Reply()
    answers: list[int] = []

    async def wait() -> None:
        answers.append(await late.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        late.resolve(2)
    assert answers == [2]


async def test_an_error_is_an_answer() -> None:
    reply: Reply[int] = Reply()
    reply.fail(LookupError("nobody"))
    with pytest.raises(LookupError, match="nobody"):
        await reply.wait()


def test_a_second_answer_is_a_bug() -> None:
    reply: Reply[int] = Reply()
    reply.resolve(1)
    with pytest.raises(RuntimeError, match="answered before"):
        reply.resolve(1)
    with pytest.raises(RuntimeError, match="answered before"):
        reply.fail(ValueError())


def test_an_answer_after_the_asker_gave_up_is_silently_too_late() -> None:
    reply: Reply[int] = Reply()
    assert reply.open
    reply.abandon()
    assert not reply.open
    reply.resolve(1)
    reply.fail(ValueError())


async def test_abandoning_does_not_take_an_answer_back() -> None:
    reply: Reply[int] = Reply()
    reply.resolve(1)
    reply.abandon(ValueError())
    assert await reply.wait() == 1


async def test_a_cancelled_wait_may_be_answered_later() -> None:
    reply: Reply[int] = Reply()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reply.wait)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    reply.resolve(1)
    assert await reply.wait() == 1


async def test_who_was_told_that_nobody_answers_is_told_nothing_else() -> None:
    reply: Reply[int] = Reply()
    raised: list[Exception] = []

    async def wait() -> None:
        with pytest.raises(LookupError) as caught:
            await reply.wait()
        raised.append(caught.value)

    gone = LookupError("gone")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        reply.abandon(gone)
        reply.fail(ValueError("too late"))
    assert raised == [gone]
