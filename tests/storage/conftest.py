from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from chat4all_storage.bridge import open_bridge
from chat4all_storage.memory.accounts import memory_accounts
from chat4all_storage.memory.directory import MemoryDirectory
from chat4all_storage.memory.log import wall_clock_ms
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.postgres.accounts import postgres_accounts
from chat4all_storage.postgres.directory import PostgresDirectory
from chat4all_storage.postgres.shard import PostgresShard
from tests.storage.builders import RULES
from tests.support.s3_server import BUCKET, REGION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from chat4all_storage.ports.accounts import AccountStores
    from chat4all_storage.ports.directory import Directory
    from chat4all_storage.ports.shard import ShardStore
    from chat4all_storage.s3.objects import S3Objects
    from tests.support.s3_server import S3Server


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


@pytest.fixture
async def s3_store(s3_server: S3Server) -> AsyncIterator[S3Objects]:
    # Here, because their import takes longer than most tests.
    from chat4all_storage.s3.client import Bucket
    from chat4all_storage.s3.objects import open_s3

    bucket = Bucket(BUCKET, s3_server.endpoint, REGION)
    async with open_s3(bucket, public_endpoint=None, timeout=10) as store:
        yield store


class AccountPlace(NamedTuple):
    """A directory with its account stores, and a way to let time pass in them."""

    directory: Directory
    stores: AccountStores
    later: Callable[[float], Awaitable[None]]
    """Make everything that was written so many seconds older."""


@pytest.fixture
async def place(database_or_memory: str | None) -> AsyncIterator[AccountPlace]:
    if database_or_memory is None:
        ahead = 0.0

        async def wait(seconds: float) -> None:
            nonlocal ahead
            ahead += seconds

        memory = MemoryDirectory(clock_ms=lambda: wall_clock_ms() + int(ahead * 1000))
        yield AccountPlace(memory, memory_accounts(memory), wait)
        return
    async with open_bridge() as bridge:
        directory = PostgresDirectory(bridge, database_or_memory)
        database = directory.database

        async def age(seconds: float) -> None:
            """The database's clock can't be moved, so its rows are."""

            async def run(connection: Any) -> None:
                for statement in AGEING:
                    await connection.execute(statement, timedelta(seconds=seconds))

            await database.write(run)

        yield AccountPlace(directory, postgres_accounts(database), age)
        await directory.close()


AGEING = (
    """UPDATE logins SET created_at = created_at - $1::interval,
           last_used_at = last_used_at - $1::interval, rotated_at = rotated_at - $1::interval,
           expires_at = expires_at - $1::interval""",
    "UPDATE ended_logins SET at = at - $1::interval",
    """UPDATE second_factors SET attempts = ARRAY(
           SELECT a - $1::interval FROM unnest(attempts) WITH ORDINALITY AS x (a, n) ORDER BY n)""",
    "UPDATE audit SET at = at - $1::interval",
    "UPDATE idempotency SET claimed_at = claimed_at - $1::interval",
    """UPDATE signing_keys SET active_from = active_from - $1::interval,
           retires_at = retires_at - $1::interval, created_at = created_at - $1::interval""",
    "UPDATE revoked_names SET valid_from = valid_from - extract(epoch FROM $1::interval)",
)
