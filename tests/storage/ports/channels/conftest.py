from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_storage.bridge import open_bridge
from chat4all_storage.memory.audit import MemoryAudit
from chat4all_storage.memory.channels import memory_channels
from chat4all_storage.memory.log import wall_clock_ms
from chat4all_storage.postgres.audit import PostgresAudit
from chat4all_storage.postgres.channels import postgres_channels
from chat4all_storage.postgres.connections import Database
from tests.storage.channels import AGED_CHANNELS

from .builders import ChannelPlace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def place(database_or_memory: str | None) -> AsyncIterator[ChannelPlace]:
    if database_or_memory is None:
        ahead = 0.0

        async def wait(seconds: float) -> None:
            nonlocal ahead
            ahead += seconds

        def clock() -> int:
            return wall_clock_ms() + int(ahead * 1000)

        audit = MemoryAudit(clock)
        stores = memory_channels(clock, audit)
        yield ChannelPlace(stores, stores, wait, clock, audit)
        return
    async with open_bridge() as bridge:
        one, other = (Database(bridge, database_or_memory) for _ in range(2))

        async def age(seconds: float) -> None:
            """The database's clock can't be moved, so its rows are."""

            async def run(connection: Any) -> None:
                for statement in AGED_CHANNELS:
                    await connection.execute(statement, timedelta(seconds=seconds))

            await one.write(run)

        stores, others = postgres_channels(one), postgres_channels(other)
        yield ChannelPlace(stores, others, age, wall_clock_ms, PostgresAudit(one))
        await one.close()
        await other.close()
