from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.codec import encode_body
from chat4all_protocol.frames import MemberBody
from chat4all_storage.ports.errors import Rejected, Unavailable
from chat4all_storage.postgres.migrations import Migration, load, migrate, pending
from tests.storage.probes import ask
from tests.support.storage_servers import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chat4all_storage.bridge import Bridge
    from tests.support.storage_servers import PostgresServer

ONE = Migration(1, "0001_one", "CREATE TABLE one (id integer); INSERT INTO one VALUES (1)")
TWO = Migration(2, "0002_two", "CREATE TABLE two (id integer)")
SLOW = Migration(1, "0001_slow", "SELECT pg_sleep(0.3); CREATE TABLE slow (id integer)")


@pytest.fixture
def empty(postgres_server: PostgresServer) -> Iterator[str]:
    """The DSN of a database without our schema."""
    with postgres_server.empty_database() as dsn:
        yield dsn


async def tables(dsn: str) -> set[str]:
    return {row["tablename"] for row in await ask(dsn, "SELECT tablename FROM pg_tables")}


async def test_a_new_database_gets_every_migration_once(bridge: Bridge, empty: str) -> None:
    names = [migration.name for migration in load()]
    assert await pending(bridge, empty) == names
    assert await migrate(bridge, empty) == names
    assert await pending(bridge, empty) == []
    assert await migrate(bridge, empty) == []
    assert {"conversations", "events", "members", "users"} <= await tables(empty)
    recorded = await ask(empty, "SELECT number, name, checksum FROM migrations ORDER BY number")
    assert [tuple(row) for row in recorded] == [
        (migration.number, migration.name, migration.checksum) for migration in load()
    ]


async def test_events_of_before_learn_whom_they_are_about(bridge: Bridge, empty: str) -> None:
    names = ["bob", "x" * 31, "y" * 32, "z" * 64]
    await migrate(bridge, empty, load()[:4])
    await trio.to_thread.run_sync(
        execute,
        empty,
        """INSERT INTO conversations (id, type, created_by, created_at, active_at, head)
           VALUES ('00000000-0000-4000-8000-000000000000', 'group', 'ann', 0, 0, 4)""",
    )
    for seq, name in enumerate(names, 1):
        body = encode_body(MemberBody(name, "admin" if seq % 2 else None))
        await trio.to_thread.run_sync(
            execute,
            empty,
            """INSERT INTO events (conversation, seq, id, sender, kind, ts, digest, body)
               SELECT id, $1, gen_random_uuid(), 'ann', 4, 0, 0, $2 FROM conversations""",
            seq,
            body,
        )
        await trio.to_thread.run_sync(
            execute,
            empty,
            """INSERT INTO members (conversation, username, role, position)
               SELECT id, $1, 'member', $2 FROM conversations""",
            name,
            seq,
        )
    await migrate(bridge, empty)
    rows = await ask(empty, "SELECT subject FROM events ORDER BY seq")
    assert [row["subject"] for row in rows] == names
    rows = await ask(empty, "SELECT username, since FROM members ORDER BY position")
    assert [tuple(row) for row in rows] == [(name, seq) for seq, name in enumerate(names, 1)]


async def test_only_what_is_missing_is_applied(bridge: Bridge, empty: str) -> None:
    assert await migrate(bridge, empty, [ONE]) == ["0001_one"]
    assert await migrate(bridge, empty, [ONE, TWO]) == ["0002_two"]
    assert len(await ask(empty, "SELECT FROM one")) == 1


async def test_nodes_that_start_together_migrate_once(bridge: Bridge, empty: str) -> None:
    applied: list[list[str]] = []

    async def start() -> None:
        applied.append(await migrate(bridge, empty, [SLOW]))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(start)
    assert sorted(applied) == [[], [], [], ["0001_slow"]]


async def test_a_migration_that_fails_leaves_nothing_and_can_be_tried_again(
    bridge: Bridge, empty: str
) -> None:
    broken = Migration(2, "0002_two", f"{TWO.sql}; SELECT 1 / 0")
    with pytest.raises(Rejected, match="22012"):
        await migrate(bridge, empty, [ONE, broken])
    found = await tables(empty)
    assert "one" in found
    assert "two" not in found
    assert await migrate(bridge, empty, [ONE, TWO]) == ["0002_two"]


async def test_a_migration_that_has_changed_is_refused(bridge: Bridge, empty: str) -> None:
    await migrate(bridge, empty, [ONE])
    changed = Migration(1, "0001_one", ONE.sql + " -- changed")
    with pytest.raises(Rejected, match="0001_one is not what was applied"):
        await migrate(bridge, empty, [changed, TWO])
    assert "two" not in await tables(empty)


async def test_a_database_of_a_newer_version_is_refused(bridge: Bridge, empty: str) -> None:
    await migrate(bridge, empty, [ONE, TWO])
    with pytest.raises(Rejected, match="migration 2, of a newer version"):
        await migrate(bridge, empty, [ONE])


async def test_looking_for_what_is_pending_refuses_alike(bridge: Bridge, empty: str) -> None:
    await migrate(bridge, empty)
    await trio.to_thread.run_sync(execute, empty, "UPDATE migrations SET checksum = 'another'")
    with pytest.raises(Rejected, match="not what was applied"):
        await pending(bridge, empty)
    newer = "INSERT INTO migrations (number, name, checksum) VALUES (9999, 'newer', '')"
    await trio.to_thread.run_sync(execute, empty, newer)
    with pytest.raises(Rejected, match="newer version"):
        await pending(bridge, empty)


async def test_looking_for_what_is_pending_changes_nothing(bridge: Bridge, empty: str) -> None:
    before = await tables(empty)
    await pending(bridge, empty)
    assert await tables(empty) == before


async def test_a_database_that_is_away_is_unavailable(
    bridge: Bridge, postgres_server: PostgresServer
) -> None:
    with pytest.raises(Unavailable):
        await migrate(bridge, postgres_server.dsn_of("missing"))
    with pytest.raises(Unavailable):
        await pending(bridge, postgres_server.dsn_of("missing"))


def test_the_checksum_is_of_the_text() -> None:
    same = Migration(3, "0003_other_name", ONE.sql)
    assert ONE.checksum == same.checksum
    assert ONE.checksum != TWO.checksum


def test_migrations_are_numbered_without_gaps() -> None:
    assert [migration.number for migration in load()] == list(range(1, len(load()) + 1))
    assert all(migration.name.startswith(f"{migration.number:04}_") for migration in load())
