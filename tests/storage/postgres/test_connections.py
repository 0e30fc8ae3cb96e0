"""How stores keep, share and give up their connections to PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.errors import InDoubt, Unavailable
from chat4all_storage.ports.events import Status
from chat4all_storage.postgres import connections as postgres
from chat4all_storage.postgres.connections import Database
from chat4all_storage.postgres.directory import PostgresDirectory
from chat4all_storage.postgres.shard import PostgresShard
from tests.storage.builders import append, commit, commit_one, new_conversation
from tests.storage.probes import (
    ask,
    backend,
    locked,
    sleep,
    terminate_blocked,
    until_blocked,
    until_sleeping,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from chat4all_storage.bridge import Bridge
    from tests.support.storage_servers import PostgresServer


@pytest.fixture
async def store(bridge: Bridge, database: str) -> AsyncIterator[PostgresShard]:
    store = PostgresShard(bridge, database, "store")
    yield store
    await store.close()


@pytest.fixture
async def connections(bridge: Bridge, database: str) -> AsyncIterator[Database]:
    """A database without a store over it."""
    connections = Database(bridge, database)
    yield connections
    await connections.close()


async def test_writers_share_one_connection(
    connections: Database, store: PostgresShard, database: str
) -> None:
    seen: set[int] = set()

    async def write() -> None:
        seen.add(await connections.write(backend))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(write)
    assert len(seen) == 1
    (row,) = await ask(
        database,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'chat4all' AND datname = current_database()",
    )
    assert row["count"] == 1


async def test_a_busy_pool_is_unavailable_and_leaves_the_writer_alone(
    connections: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "ACQUIRE_TIMEOUT", 0.2)
    async with trio.open_nursery() as nursery:
        for _ in range(postgres.READ_CONNECTIONS):
            nursery.start_soon(connections.read, sleep)
        await until_sleeping(database, postgres.READ_CONNECTIONS)
        with pytest.raises(Unavailable):
            await connections.read(backend)
        assert await connections.write(backend) > 0
        nursery.cancel_scope.cancel()
    assert await connections.read(backend) > 0


async def test_a_writer_that_others_occupy_is_unavailable(
    connections: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "ACQUIRE_TIMEOUT", 0.2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connections.write, sleep)
        await until_sleeping(database)
        with pytest.raises(Unavailable):
            await connections.write(backend)
        nursery.cancel_scope.cancel()
    assert await connections.write(backend) > 0


async def test_a_cancelled_write_gives_its_connection_up(
    connections: Database, database: str
) -> None:
    before = await connections.write(backend)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connections.write, sleep)
        await until_sleeping(database)
        nursery.cancel_scope.cancel()
    assert await connections.write(backend) != before


async def test_a_lock_that_is_held_too_long_is_unavailable(
    store: PostgresShard, bridge: Bridge, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres.SETTINGS, "lock_timeout", "100ms")
    conversation = await new_conversation(store, "ann")
    entry = append(conversation, "ann")
    async with locked(bridge, database):
        with pytest.raises(Unavailable, match="55P03"):
            await commit(store, entry)
    assert (await commit_one(store, entry)).status is Status.STORED


async def test_a_write_that_was_ended_from_outside_is_in_doubt(
    store: PostgresShard, bridge: Bridge, database: str
) -> None:
    conversation = await new_conversation(store, "ann")
    entry = append(conversation, "ann")
    async with locked(bridge, database), trio.open_nursery() as nursery:

        async def doubtful() -> None:
            with pytest.raises(InDoubt):
                await commit(store, entry)

        nursery.start_soon(doubtful)
        await until_blocked(database)
        await terminate_blocked(database)
    assert (await commit_one(store, entry)).status is Status.STORED


async def test_a_write_whose_answer_was_lost_is_in_doubt(
    connections: Database, store: PostgresShard
) -> None:
    conversation = await new_conversation(store, "ann")

    async def write_and_lose(connection: asyncpg.Connection) -> None:
        await connection.execute("UPDATE conversations SET title = 'written'")
        raise ConnectionResetError

    with pytest.raises(InDoubt):
        await connections.write(write_and_lose)
    found = await store.conversation(conversation)
    assert found is not None
    assert found.title == "written"


async def test_a_database_that_is_missing_is_unavailable(
    bridge: Bridge, postgres_server: PostgresServer
) -> None:
    store = PostgresShard(bridge, postgres_server.dsn_of("missing"), "missing")
    with pytest.raises(Unavailable, match='"missing" does not exist'):
        await commit(store, append(new_id(), "ann"))
    with pytest.raises(Unavailable, match="3D000"):
        await store.conversation(new_id())
    await store.close()


async def test_the_settings_of_the_database_do_not_weaken_ours(
    connections: Database, database: str
) -> None:
    for setting in ("synchronous_commit = off", "default_transaction_isolation = 'serializable'"):
        name = database.partition("?")[0].rpartition("/")[2]
        await ask(database, f"ALTER DATABASE {name} SET {setting}")

    async def show(connection: asyncpg.Connection) -> list[str]:
        names = ("synchronous_commit", "transaction_isolation")
        return [await connection.fetchval(f"SHOW {name}") for name in names]

    assert await connections.write(show) == ["on", "read committed"]
    assert await connections.read(show) == ["on", "read committed"]


# --- closing --------------------------------------------------------------------------------------


async def test_closing_ends_what_is_under_way_and_lets_nothing_begin(
    connections: Database, database: str
) -> None:
    async def reading() -> None:
        with pytest.raises(Unavailable):
            await connections.read(sleep)

    async def writing() -> None:
        with pytest.raises(InDoubt):
            await connections.write(sleep)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reading)
        nursery.start_soon(writing)
        await until_sleeping(database, 2)
        await connections.close()
    with pytest.raises(Unavailable):
        await connections.read(backend)
    with pytest.raises(Unavailable):
        await connections.write(backend)
    await connections.close()


async def test_a_directory_that_is_closed_is_unavailable(bridge: Bridge, database: str) -> None:
    directory = PostgresDirectory(bridge, database)
    user = User(new_id(), "ann", b"hash")
    await directory.add_user(user)
    await directory.close()
    with pytest.raises(Unavailable):
        await directory.find_user("ann")
    with pytest.raises(Unavailable):
        await directory.add_user(user)
