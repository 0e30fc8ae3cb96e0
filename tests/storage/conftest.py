from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_storage.bridge import open_bridge
from chat4all_storage.memory import MemoryDirectory, MemoryShard
from chat4all_storage.postgres_directory import PostgresDirectory
from chat4all_storage.postgres_shard import PostgresShard
from tests.storage.builders import RULES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.ports import Directory, ShardStore


@pytest.fixture(params=["memory", "postgres"])
def database_or_memory(request: pytest.FixtureRequest) -> str | None:
    """Each port has one suite of tests, which every implementation passes."""
    if request.param == "memory":
        return None
    dsn: str = request.getfixturevalue("database")
    return dsn


@pytest.fixture
async def shard_stores(
    database_or_memory: str | None,
) -> AsyncIterator[tuple[ShardStore, ShardStore]]:
    """Two handles on the same data, as two nodes have them."""
    if database_or_memory is None:
        memory = MemoryShard(rules=RULES)
        yield memory, memory
        return
    async with open_bridge() as bridge:
        one, other = (
            PostgresShard(bridge, database_or_memory, name, rules=RULES)
            for name in ("one", "other")
        )
        yield one, other
        await one.close()
        await other.close()


@pytest.fixture
def shard_store(shard_stores: tuple[ShardStore, ShardStore]) -> ShardStore:
    return shard_stores[0]


@pytest.fixture
async def directory(database_or_memory: str | None) -> AsyncIterator[Directory]:
    if database_or_memory is None:
        yield MemoryDirectory()
        return
    async with open_bridge() as bridge:
        directory = PostgresDirectory(bridge, database_or_memory)
        yield directory
        await directory.close()
