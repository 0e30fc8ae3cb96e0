"""Looking into PostgreSQL from outside the stores, and standing in their way."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import trio

from chat4all_storage.ports.events import DEFAULT_RULES
from chat4all_storage.postgres.shard import PostgresShard
from tests.support.storage_servers import fetch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.ports.events import Rules

_OURS = "application_name = 'chat4all' AND datname = current_database()"


@asynccontextmanager
async def open_shard(
    bridge: Bridge, dsn: str, *, rules: Rules = DEFAULT_RULES
) -> AsyncIterator[PostgresShard]:
    """A store that is closed whatever happens: its connections must end on the bridge's loop."""
    store = PostgresShard(bridge, dsn, "store", rules=rules)
    try:
        yield store
    finally:
        with trio.CancelScope(shield=True):
            await store.close()


async def ask(dsn: str, query: str) -> list[Any]:
    """The rows of a query on a connection of its own."""
    return await trio.to_thread.run_sync(fetch, dsn, query)


async def until_blocked(dsn: str) -> None:
    """Wait until a statement of ours waits for a lock."""
    await _until(dsn, f"SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND {_OURS}")


async def until_sleeping(dsn: str, count: int = 1) -> None:
    """Wait until so many of our connections `sleep`."""
    query = f"SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND {_OURS}"
    await _until(dsn, f"{query} HAVING count(*) = {count}")


async def until_none_of_ours(dsn: str) -> None:
    """Wait until the database has no connection of ours."""
    await _until(dsn, f"SELECT FROM pg_stat_activity WHERE {_OURS} HAVING count(*) = 0")


async def until_no_move(dsn: str) -> None:
    """Wait until the server has noticed that whoever moved a shard is gone."""
    held = """SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
              WHERE l.locktype = 'advisory' AND l.classid = x'6334'::integer::oid AND l.objid = 2
                  AND d.datname = current_database()"""
    await _until(dsn, f"SELECT WHERE NOT EXISTS ({held})")


async def _until(dsn: str, query: str) -> None:
    while not await ask(dsn, query):  # noqa: ASYNC110 - the server sets no events
        await trio.sleep(0.01)


async def terminate_blocked(dsn: str) -> None:
    """End the connections of ours that wait for a lock, as an administrator does."""
    ended = await ask(
        dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE wait_event_type = 'Lock' AND {_OURS}",
    )
    assert ended


@asynccontextmanager
async def locked(bridge: Bridge, dsn: str, *, reads: bool = False) -> AsyncIterator[None]:
    """Commits and creations (and `reads`) get stuck for as long as the block lasts."""
    mode = "ACCESS EXCLUSIVE" if reads else "EXCLUSIVE"

    async def lock() -> asyncpg.Connection:
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"BEGIN; LOCK TABLE conversations IN {mode} MODE")
        return connection

    connection = await bridge.call(lock, timeout=30)
    try:
        yield
    finally:
        with trio.CancelScope(shield=True):
            await bridge.call(connection.close, timeout=30)


async def sleep(connection: asyncpg.Connection) -> None:
    """Occupy a connection until somebody interferes."""
    await connection.execute("SELECT pg_sleep(60)")


async def backend(connection: asyncpg.Connection) -> int:
    """Which process of the server is behind a connection."""
    pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid
