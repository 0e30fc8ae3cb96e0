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
from .sharding import ShardMap, default_placement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from .bridge import Bridge
    from .ports import Directory, ShardStore


class Storage(Struct, frozen=True):
    """What the node keeps its truth in."""

    directory: Directory
    shards: ShardMap[ShardStore]


def memory_storage(databases: int = 1, *, member_limit: int = 1000) -> Storage:
    """Stores in memory, for simulations."""
    shards = [
        MemoryShard(f"memory-{number}", member_limit=member_limit) for number in range(databases)
    ]
    return Storage(MemoryDirectory(), ShardMap(shards, default_placement(databases)))


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
        Rejected: a schema does not fit, or a database that holds shards is missing.
    """
    names: list[str] = []
    for dsn in dsns:
        if apply_migrations:
            await migrate(bridge, dsn)
        elif missing := await pending(bridge, dsn):
            raise Rejected(f"the schema lacks {', '.join(missing)}; run: chat4all migrate")
        names.append(await with_connection(bridge, dsn, _identity, timeout=10.0))
    if len(set(names)) < len(names):
        raise Rejected("the same database is configured twice")
    directory = PostgresDirectory(bridge, dsns[0])
    shards = [
        PostgresShard(bridge, dsn, name, member_limit=member_limit)
        for dsn, name in zip(dsns, names, strict=True)
    ]
    try:
        placement = await directory.place_shards(names)
        yield Storage(directory, ShardMap(shards, placement))
    finally:
        with trio.CancelScope(shield=True):  # bounded: each close has a time-out
            await directory.close()
            for shard in shards:
                await shard.close()


async def _identity(connection: Any) -> str:
    return str(await connection.fetchval("SELECT name FROM database_identity"))
