from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.ports import Rejected, Status, Unavailable, User
from chat4all_storage.sharding import logical_shard
from chat4all_storage.storage import Storage, memory_storage, open_postgres
from tests.storage.builders import append, commit_one, events, new_conversation
from tests.storage.probes import until_none_of_ours

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.ports import ShardStore
    from tests.storage_servers import PostgresServer


@pytest.fixture
def two_databases(postgres_server: PostgresServer) -> Iterator[list[str]]:
    """Two databases without our schema."""
    with postgres_server.empty_database() as one, postgres_server.empty_database() as other:
        yield [one, other]


async def write_everywhere(storage: Storage) -> dict[str, ShardStore]:
    """A conversation with one event in each logical shard, and where it went."""
    stores: dict[str, ShardStore] = {}
    while len({logical_shard(conversation) for conversation in stores}) < 64:
        conversation = new_id()
        store = storage.shards.of(conversation)
        await new_conversation(store, "ann", id=conversation)
        assert (await commit_one(store, append(conversation, "ann"))).status is Status.STORED
        stores[conversation] = store
    return stores


async def test_one_database_is_migrated_and_holds_everything(
    bridge: Bridge, two_databases: list[str]
) -> None:
    async with open_postgres(bridge, two_databases[:1]) as storage:
        (store,) = storage.shards.all
        assert set((await write_everywhere(storage)).values()) == {store}
        user = User(new_id(), "ann", b"hash")
        await storage.directory.add_user(user)
        assert await storage.directory.find_user("ann") == user


async def test_two_databases_share_the_conversations(
    bridge: Bridge, two_databases: list[str]
) -> None:
    async with open_postgres(bridge, two_databases) as storage:
        stores = await write_everywhere(storage)
        one, other = storage.shards.all
        assert one.name != other.name
        for conversation, store in stores.items():
            assert len(await events(store, conversation)) == 1
            elsewhere = other if store is one else one
            assert await elsewhere.conversation(conversation) is None
        assert len({store.name for store in stores.values()}) == 2
        names = {conversation: store.name for conversation, store in stores.items()}
    async with open_postgres(bridge, two_databases) as storage:
        assert {each: storage.shards.of(each).name for each in names} == names


async def test_a_database_that_holds_shards_must_not_be_left_out(
    bridge: Bridge, two_databases: list[str]
) -> None:
    async with open_postgres(bridge, two_databases):
        pass
    with pytest.raises(Rejected, match="not among those configured"):
        async with open_postgres(bridge, two_databases[:1]):
            pass


async def test_the_directory_stays_the_first_database(
    bridge: Bridge, two_databases: list[str], database: str
) -> None:
    async with open_postgres(bridge, two_databases):
        pass
    # Another first database has no placement, and would make one that is wrong.
    for dsns in (two_databases[::-1], two_databases[1:], [database, *two_databases]):
        with pytest.raises(Rejected, match="name that one first"):
            async with open_postgres(bridge, dsns):
                pass
    async with open_postgres(bridge, two_databases) as storage:
        assert len(storage.shards.all) == 2
    # What was refused has left no trace.
    async with open_postgres(bridge, [*two_databases, database]) as storage:
        assert len(storage.shards.all) == 3


async def test_the_same_database_twice_is_refused(bridge: Bridge, two_databases: list[str]) -> None:
    with pytest.raises(Rejected, match="configured twice"):
        async with open_postgres(bridge, [two_databases[0], two_databases[0]]):
            pass


async def test_without_migrating_a_schema_must_be_complete(
    bridge: Bridge, two_databases: list[str], database: str
) -> None:
    with pytest.raises(Rejected, match="0001_conversations"):
        async with open_postgres(bridge, two_databases[:1], apply_migrations=False):
            pass
    async with open_postgres(bridge, [database], apply_migrations=False) as storage:
        await write_everywhere(storage)


async def test_a_database_that_is_away_is_unavailable(
    bridge: Bridge, postgres_server: PostgresServer, database: str
) -> None:
    with pytest.raises(Unavailable):
        async with open_postgres(bridge, [database, postgres_server.dsn_of("missing")]):
            pass


async def test_no_connection_is_left(bridge: Bridge, two_databases: list[str]) -> None:
    async with open_postgres(bridge, two_databases) as storage:
        conversation, *_ = await write_everywhere(storage)
        await storage.shards.of(conversation).conversation(conversation)
        await storage.directory.find_user("ann")
    for dsn in two_databases:
        await until_none_of_ours(dsn)  # a backend ends a moment after its connection


async def test_the_member_limit_is_of_every_store(bridge: Bridge, database: str) -> None:
    async with open_postgres(bridge, [database], member_limit=1) as storage:
        for each in (storage, memory_storage(2, member_limit=1)):
            conversation = new_id()
            store = each.shards.of(conversation)
            await new_conversation(store, "ann", id=conversation)
            join = append(conversation, "ann", kind="join", subject="bob", role="member")
            assert (await commit_one(store, join)).status is Status.FULL


async def test_storage_in_memory_is_divided_alike() -> None:
    storage = memory_storage(2)
    assert [store.name for store in storage.shards.all] == ["memory-0", "memory-1"]
    assert len(set((await write_everywhere(storage)).values())) == 2
