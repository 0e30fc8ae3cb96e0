from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chat4all_storage.bridge import open_bridge
from chat4all_storage.memory.audit import MemoryAudit
from chat4all_storage.memory.files import MemoryFiles
from chat4all_storage.memory.log import wall_clock_ms
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.memory.webhooks import MemoryWebhooks
from chat4all_storage.ports.events import Rules
from chat4all_storage.postgres.connections import Database
from chat4all_storage.postgres.files import PostgresFiles
from chat4all_storage.postgres.shard import PostgresShard
from chat4all_storage.postgres.webhooks import PostgresWebhooks
from tests.storage.builders import (
    append,
    commit,
    new_conversation,
)
from tests.storage.ports.local_place import local_place
from tests.storage.ports.object_places import ObjectPlace, memory_place, s3_place

from ..files import AGED_FILES, FilePlace
from ..webhooks import AGED_WEBHOOKS, WebhookPlace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.ports.shard import ShardStore
    from chat4all_storage.s3.objects import S3Objects
    from tests.support.s3_server import S3Server


@pytest.fixture
async def group(shard_store: ShardStore) -> str:
    """A group of an owner, two admins and a member, with a message of each; the first is Ann's."""
    conversation = await new_conversation(
        shard_store, "ann", "adam", "mia", "eve", admins=("adam", "eve"), title="before"
    )
    for sender in ("ann", "adam", "mia"):
        await commit(shard_store, append(conversation, sender, f"of {sender}".encode()))
    return conversation


@pytest.fixture
async def limited(database_or_memory: str | None) -> AsyncIterator[ShardStore]:
    """A store with windows of a second."""
    rules = Rules(edit_window=1, delete_window=1)
    if database_or_memory is None:
        memory = MemoryShard(rules=rules)
        memory._clock_ms = lambda: 1_000
        yield memory
        return
    async with open_bridge() as bridge:
        store = PostgresShard(bridge, database_or_memory, "limited", rules=rules)
        yield store
        await store.close()


@pytest.fixture
def memory_objects() -> ObjectPlace:
    return memory_place()


@pytest.fixture
async def local_objects(tmp_path: Path) -> AsyncIterator[ObjectPlace]:
    async with local_place(tmp_path / "files") as place:
        yield place


@pytest.fixture
def s3_objects(s3_server: S3Server, s3_store: S3Objects) -> Iterator[ObjectPlace]:
    with s3_place(s3_server, s3_store) as place:
        yield place


@pytest.fixture(params=["memory", "local", pytest.param("s3", marks=pytest.mark.xdist_group("s3"))])
def objects(request: pytest.FixtureRequest) -> ObjectPlace:
    """Every object store, each of which passes the suite."""
    place: ObjectPlace = request.getfixturevalue(f"{request.param}_objects")
    return place


@pytest.fixture
async def file_place(database_or_memory: str | None) -> AsyncIterator[FilePlace]:
    if database_or_memory is None:
        ahead = 0.0

        async def wait(seconds: float) -> None:
            nonlocal ahead
            ahead += seconds

        memory = MemoryFiles(lambda: wall_clock_ms() + int(ahead * 1000))
        yield FilePlace(memory, memory, wait)
        return
    async with open_bridge() as bridge:
        one, other = (Database(bridge, database_or_memory) for _ in range(2))

        async def age(seconds: float) -> None:
            """The database's clock can't be moved, so its rows are."""

            async def run(connection: Any) -> None:
                for statement in AGED_FILES:
                    await connection.execute(statement, timedelta(seconds=seconds))

            await one.write(run)

        yield FilePlace(PostgresFiles(one), PostgresFiles(other), age)
        await one.close()
        await other.close()


@pytest.fixture
async def hooks(database_or_memory: str | None, bridge: Bridge) -> AsyncIterator[WebhookPlace]:
    if database_or_memory is None:
        ahead = 0.0

        def clock() -> int:
            return wall_clock_ms() + int(ahead * 1000)

        async def wait(seconds: float) -> None:
            nonlocal ahead
            ahead += seconds

        memory = MemoryWebhooks(MemoryAudit(clock), clock)
        yield WebhookPlace(memory, memory, wait)
        return
    one, other = (Database(bridge, database_or_memory) for _ in range(2))

    async def age(seconds: float) -> None:
        """The database's clock can't be moved, so its rows are."""

        async def run(connection: Any) -> None:
            for statement in AGED_WEBHOOKS:
                await connection.execute(statement, timedelta(seconds=seconds))

        await one.write(run)

    yield WebhookPlace(PostgresWebhooks(one), PostgresWebhooks(other), age)
    await one.close()
    await other.close()
