from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import trio
import trio.testing

from chat4all_storage.ports.errors import Rejected
from chat4all_storage.postgres.connections import Database
from chat4all_storage.postgres.written_together import WritesTogether

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from chat4all_storage.bridge import Bridge

T = TypeVar("T")


class Counting(Database):
    """Counts what it is asked to write, and can keep it waiting."""

    def __init__(self, bridge: Bridge, dsn: str) -> None:
        super().__init__(bridge, dsn)
        self.writes = 0
        self.open = trio.Event()
        self.open.set()

    async def write(self, fn: Callable[[Any], Awaitable[T]]) -> T:
        self.writes += 1
        await self.open.wait()
        return await super().write(fn)


@pytest.fixture
async def counting(bridge: Bridge, database: str) -> AsyncIterator[Counting]:
    counting = Counting(bridge, database)
    await counting.write(lambda c: c.execute("CREATE TABLE noted (number int PRIMARY KEY)"))
    counting.writes = 0
    yield counting
    await counting.close()


def note(number: int) -> Callable[[Any], Awaitable[Any]]:
    statement = "INSERT INTO noted VALUES ($1) RETURNING number"
    return lambda connection: connection.fetchval(statement, number)


async def noted(database: Database) -> list[int]:
    rows = await database.read(lambda c: c.fetch("SELECT number FROM noted ORDER BY number"))
    return [row[0] for row in rows]


async def test_writes_that_come_while_another_is_done_share_the_next_transaction(
    counting: Counting,
) -> None:
    together = WritesTogether(counting)
    counting.open = trio.Event()
    found: dict[int, int] = {}

    async def write(number: int) -> None:
        found[number] = await together.write((1, str(number)), note(number))

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(write, number)
        await trio.testing.wait_all_tasks_blocked()
        counting.open.set()
    assert found == {number: number for number in range(40)}
    assert await noted(counting) == list(range(40))
    assert counting.writes == 1


async def test_of_a_write_that_is_refused_nothing_stays_and_the_others_stand(
    counting: Counting,
) -> None:
    together = WritesTogether(counting)
    counting.open = trio.Event()
    refused: list[int] = []

    async def write(number: int, locked: int) -> None:
        try:
            await together.write((1, str(locked)), note(number))
        except Rejected:
            refused.append(locked)

    async with trio.open_nursery() as nursery:
        for locked, number in enumerate([1, 2, 2, 3]):
            nursery.start_soon(write, number, locked)
        await trio.testing.wait_all_tasks_blocked()
        counting.open.set()
    assert await noted(counting) == [1, 2, 3]
    assert refused == [2]


async def test_they_are_done_in_the_order_of_what_they_lock(counting: Counting) -> None:
    together = WritesTogether(counting)
    counting.open = trio.Event()
    order: list[tuple[int, str]] = []

    async def write(locked: tuple[int, str]) -> None:
        async def run(connection: Any) -> None:
            order.append(locked)

        await together.write(locked, run)

    async with trio.open_nursery() as nursery:
        for locked in [(1, "b"), (0, "z"), (1, "a"), (0, "y")]:
            nursery.start_soon(write, locked)
        await trio.testing.wait_all_tasks_blocked()
        counting.open.set()
    assert order == [(0, "y"), (0, "z"), (1, "a"), (1, "b")]
