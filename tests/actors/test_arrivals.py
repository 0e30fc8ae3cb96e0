from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_actors.arrivals import Reception
from chat4all_storage.memory import MemoryDirectory
from chat4all_storage.ports import Arrivals, InDoubt, Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection


class SlowDirectory(MemoryDirectory):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[set[str]] = []
        self.go = trio.Semaphore(0)
        self.error: Exception | None = None

    async def arrivals(self, usernames: Collection[str]) -> Arrivals:
        self.asked.append(set(usernames))
        await self.go.acquire()
        if self.error is not None:
            raise self.error
        return await super().arrivals(usernames)


async def test_who_asks_while_an_answer_is_awaited_shares_the_next() -> None:
    directory = SlowDirectory()
    reception = Reception(directory)
    answers: dict[str, Arrivals] = {}

    async def ask(user: str) -> None:
        answers[user] = await reception.ask(user)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reception.run)
        for user in ("ana", "bob", "carla"):
            nursery.start_soon(ask, user)
            await wait_all_tasks_blocked()
        directory.go.release()
        await wait_all_tasks_blocked()
        assert list(answers) == ["ana"]
        directory.go.release()
        await wait_all_tasks_blocked()
        assert directory.asked == [{"ana"}, {"bob", "carla"}]
        assert answers["bob"] is answers["carla"]
        assert answers["bob"].read_at > answers["ana"].read_at
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("error", [Unavailable("no connection"), InDoubt("cut")])
async def test_a_failure_is_everybodys_and_the_next_answer_is_not(error: Exception) -> None:
    directory = SlowDirectory()
    reception = Reception(directory)
    refused: list[Exception] = []

    async def ask(user: str) -> None:
        with pytest.raises(type(error), match=str(error)) as caught:
            await reception.ask(user)
        refused.append(caught.value)

    async with trio.open_nursery() as nursery:
        for user in ("ana", "bob"):
            nursery.start_soon(ask, user)
        await wait_all_tasks_blocked()
        nursery.start_soon(reception.run)
        directory.error = error
        directory.go.release()
        await wait_all_tasks_blocked()
        assert len({id(one) for one in refused}) == 2
        directory.error = None
        directory.go.release()
        assert (await reception.ask("ana")).invisible == frozenset()
        nursery.cancel_scope.cancel()


async def test_who_still_waits_at_the_end_is_refused() -> None:
    directory = SlowDirectory()
    reception = Reception(directory)
    refused: list[str] = []

    async def ask(user: str) -> None:
        with pytest.raises(Unavailable):
            await reception.ask(user)
        refused.append(user)

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def run() -> None:
            with scope:
                await reception.run()

        nursery.start_soon(run)
        for user in ("ana", "bob"):
            nursery.start_soon(ask, user)
            await wait_all_tasks_blocked()
        scope.cancel()
    assert sorted(refused) == ["ana", "bob"]
