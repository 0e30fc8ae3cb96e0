from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.ports.events import Rules, Status
from chat4all_storage.ports.logical_shards import logical_shard
from chat4all_storage.postgres.identity import LateOpening, address_of
from chat4all_storage.postgres.shard import PostgresShard
from chat4all_storage.storage import Storage, memory_storage, open_postgres
from tests.storage.builders import append, commit_one, events, new_conversation
from tests.storage.probes import until_none_of_ours
from tests.support.storage_servers import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.ports.shard import ShardStore
    from tests.support.storage_servers import PostgresServer


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


async def test_a_database_that_was_used_before_may_be_away_at_the_start(
    bridge: Bridge, postgres_server: PostgresServer, database: str
) -> None:
    other, away = (postgres_server.dsn_of(name) for name in ("comes_and_goes", "elsewhere"))

    def rename(former: str, now: str) -> None:
        execute(postgres_server.maintenance_dsn, f"ALTER DATABASE {former} RENAME TO {now}")

    execute(postgres_server.maintenance_dsn, "CREATE DATABASE comes_and_goes TEMPLATE template1")
    try:
        async with open_postgres(bridge, [database, other]) as storage:
            stores = await write_everywhere(storage)
        await until_none_of_ours(other)
        await trio.to_thread.run_sync(rename, "comes_and_goes", "elsewhere")
        async with open_postgres(bridge, [database, other]) as storage:
            for conversation, former in stores.items():
                store = storage.shards.of(conversation)
                assert store.name == former.name
                if store is storage.shards.all[0]:
                    assert len(await events(store, conversation)) == 1
                else:
                    with pytest.raises(Unavailable):
                        await events(store, conversation)
                    with pytest.raises(Unavailable):
                        await commit_one(store, append(conversation, "ann"))
            await trio.to_thread.run_sync(rename, "elsewhere", "comes_and_goes")
            for conversation in stores:
                store = storage.shards.of(conversation)
                assert (await commit_one(store, append(conversation, "ann"))).seq == 2
        with pytest.raises(Unavailable):  # the directory is no such database
            async with open_postgres(bridge, [away, other]):
                pass
    finally:
        execute(postgres_server.maintenance_dsn, "DROP DATABASE comes_and_goes WITH (FORCE)")


async def test_another_database_in_its_place_is_not_used(
    bridge: Bridge, postgres_server: PostgresServer, database: str
) -> None:
    with postgres_server.empty_database() as other:
        address = address_of(other)
        former = str(uuid.uuid4())
        async with open_postgres(bridge, [database]):
            pass
        await trio.to_thread.run_sync(
            execute, database, "INSERT INTO databases VALUES ($1, $2)", former, address
        )
        opening = LateOpening(former, former, apply_migrations=True)
        store = PostgresShard(bridge, other, former, prepare=opening)
        with pytest.raises(Unavailable, match="this is not database"):
            await store.conversation(new_id())
        with pytest.raises(Unavailable, match="this is not database"):
            await commit_one(store, append(new_id(), "ann"))
        await store.close()


def test_an_address_holds_no_credentials() -> None:
    assert address_of("postgresql://me:secret@db.example:5433/chat?sslmode=require") == (
        "db.example:5433/chat"
    )
    assert (
        address_of("postgres://me@/chat?host=/run/pg&password=secret") == "/chat?host=%2Frun%2Fpg"
    )


async def test_no_connection_is_left(bridge: Bridge, two_databases: list[str]) -> None:
    async with open_postgres(bridge, two_databases) as storage:
        conversation, *_ = await write_everywhere(storage)
        await storage.shards.of(conversation).conversation(conversation)
        await storage.directory.find_user("ann")
    for dsn in two_databases:
        await until_none_of_ours(dsn)  # a backend ends a moment after its connection


async def test_the_member_limit_is_of_every_store(bridge: Bridge, database: str) -> None:
    async with open_postgres(bridge, [database], rules=Rules(member_limit=1)) as storage:
        for each in (storage, memory_storage(2, rules=Rules(member_limit=1))):
            conversation = new_id()
            store = each.shards.of(conversation)
            await new_conversation(store, "ann", id=conversation)
            join = append(conversation, "ann", kind="join", subject="bob", role="member")
            assert (await commit_one(store, join)).status is Status.FULL


async def test_storage_in_memory_is_divided_alike() -> None:
    storage = memory_storage(2)
    assert [store.name for store in storage.shards.all] == ["memory-0", "memory-1"]
    assert len(set((await write_everywhere(storage)).values())) == 2
