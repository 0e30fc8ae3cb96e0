"""Small writes that come at the same time share a transaction, and so one flush to the disk.

They are done in the order of what they lock, so that two nodes' transactions never wait for each
other in a circle. When the database refuses one, all are done anew, each as a savepoint, so that it
alone is undone: that is rare, and savepoints are two more calls of the database for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import asyncpg
import outcome
from msgspec import Struct

from ..ports.errors import Rejected
from ..together import Together
from .connections import not_written

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .connections import Database

T = TypeVar("T")

MOST: Final = 64
"""Writes of one transaction: it ends within the time that a statement has."""

Locked: TypeAlias = tuple[int, str]
"""What a write locks: its kind, in the order in which kinds are locked, and which one."""


class _Write(Struct):
    locked: Locked
    run: Callable[[Any], Awaitable[Any]]


class WritesTogether:
    """The writing connection of a database, for many small writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._together: Together[_Write, outcome.Outcome[Any]] = Together(
            self._carry_out, most=MOST, at_once=1
        )

    async def write(self, locked: Locked, fn: Callable[[Any], Awaitable[T]]) -> T:
        """Run `fn(connection)` in a transaction with others; as `Database.write` does otherwise.

        It may be run more than once, when what was done before is undone.

        Raises:
            Unavailable, Rejected: nothing was written.
            InDoubt: it may have been.
        """
        found: T = (await self._together.ask(_Write(locked, fn))).unwrap()
        return found

    async def _carry_out(self, writes: list[_Write]) -> list[outcome.Outcome[Any]]:
        order = sorted(range(len(writes)), key=lambda place: writes[place].locked)

        async def all_or_none(connection: Any) -> list[outcome.Outcome[Any]]:
            found: dict[int, outcome.Outcome[Any]] = {}
            async with connection.transaction():
                for place in order:
                    found[place] = outcome.Value(await writes[place].run(connection))
            return [found[place] for place in range(len(writes))]

        async def each_alone(connection: Any) -> list[outcome.Outcome[Any]]:
            found: dict[int, outcome.Outcome[Any]] = {}
            async with connection.transaction():
                for place in order:
                    found[place] = await _undoable(connection, writes[place])
            return [found[place] for place in range(len(writes))]

        try:
            return await self._database.write(all_or_none)
        except Rejected:
            return await self._database.write(each_alone)


async def _undoable(connection: Any, write: _Write) -> outcome.Outcome[Any]:
    """What came of one write; of one that is refused for good nothing stays."""
    try:
        async with connection.transaction():
            return outcome.Value(await write.run(connection))
    except (asyncpg.PostgresError, ValueError) as error:
        meaning = not_written(error)
        if not isinstance(meaning, Rejected):
            raise  # it concerns them all
        return outcome.Error(meaning)
