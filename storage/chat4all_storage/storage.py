"""All stores of a node, opened together."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from msgspec import Struct

from .memory import MemoryDirectory, MemoryShard
from .migrations import migrate, pending
from .ports import Rejected
from .postgres import with_connection
from .postgres_directory import PostgresDirectory
from .postgres_shard import PostgresShard
from .sharding import default_placement
from .shards import Shards

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from .bridge import Bridge
    from .ports import Directory


class Storage(Struct, frozen=True):
    """What the node keeps its truth in."""

    directory: Directory
    shards: Shards


def memory_storage(databases: int = 1, *, member_limit: int = 1000) -> Storage:
    """Stores in memory, for simulations."""
    shards = [
        MemoryShard(f"memory-{number}", member_limit=member_limit) for number in range(databases)
    ]
    places = default_placement(databases)
    directory = MemoryDirectory([shards[index].name for index in places])
    return Storage(directory, Shards(shards, places, directory))


@asynccontextmanager
async def open_postgres(
    bridge: Bridge,
    dsns: Sequence[str],
    *,
    apply_migrations: bool = True,
    member_limit: int = 1000,
) -> AsyncIterator[Storage]:
    """Stores in these databases, the first of which is also the directory.

    Raises:
        Unavailable: a database can't be reached.
        Rejected: a schema does not fit, a database that holds shards is missing, or one belongs to
            another directory (the order of the databases has changed).
    """
    identities: list[_Identity] = []
    for dsn in dsns:
        if apply_migrations:
            await migrate(bridge, dsn)
        elif missing := await pending(bridge, dsn):
            raise Rejected(f"the schema lacks {', '.join(missing)}; run: chat4all migrate")
        identities.append(await with_connection(bridge, dsn, _identity, timeout=10.0))
    names = [identity.name for identity in identities]
    if len(set(names)) < len(names):
        raise Rejected("the same database is configured twice")
    for identity in identities:
        identity.check(directory=names[0])
    for dsn in dsns:
        identity = await with_connection(bridge, dsn, lambda c: _claim(c, names[0]), timeout=10.0)
        identity.check(directory=names[0])  # another node may have come first
    directory = PostgresDirectory(bridge, dsns[0])
    shards = [
        PostgresShard(bridge, dsn, name, member_limit=member_limit)
        for dsn, name in zip(dsns, names, strict=True)
    ]
    try:
        placement = await directory.place_shards(names)
        yield Storage(directory, Shards(shards, placement, directory))
    finally:
        with trio.CancelScope(shield=True):  # bounded: each close has a time-out
            await directory.close()
            for shard in shards:
                await shard.close()


class _Identity(Struct, frozen=True):
    name: str
    directory: str | None
    """The first of the databases it is used with."""

    def check(self, *, directory: str) -> None:
        if self.directory not in (None, directory):
            raise Rejected(
                f"database {self.name} belongs to the directory in {self.directory}:"
                " name that one first"
            )


async def _identity(connection: Any) -> _Identity:
    row = await connection.fetchrow("SELECT name, directory FROM database_identity")
    return _Identity(str(row["name"]), str(row["directory"]) if row["directory"] else None)


async def _claim(connection: Any, directory: str) -> _Identity:
    await connection.execute(
        "UPDATE database_identity SET directory = $1 WHERE directory IS NULL", directory
    )
    return await _identity(connection)
