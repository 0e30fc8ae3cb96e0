"""What every shard store tells of its changes, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.memory.files import MemoryFiles
from chat4all_storage.memory.log import wall_clock_ms
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.changes import Activity, Failure, ReadyFile, Rise
from chat4all_storage.postgres.connections import Database
from chat4all_storage.postgres.files import PostgresFiles
from chat4all_storage.postgres.shard import PostgresShard
from tests.storage.builders import append, commit, fill, mark, new_conversation
from tests.storage.files import READY, UNSCANNED, in_state, new_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chat4all_storage.bridge import Bridge
    from chat4all_storage.ports.changes import Changed
    from chat4all_storage.ports.shard import ShardStore

Stores = tuple["ShardStore", "ShardStore"]


async def changes(store: ShardStore, after: int = 0) -> list[Changed]:
    return (await store.changes(after, limit=1000)).rows


async def test_own_commits_are_told_like_those_of_others(shard_stores: Stores) -> None:
    store, other = shard_stores
    one = await new_conversation(store, "ann", "bob")
    await commit(store, append(one, "ann"), append(one, "ann"))
    for each in (store, other):
        created, written = await changes(each)
        assert created.heads == [(one, 0)]
        assert written.heads == [(one, 2)]
        assert created.at <= written.at
        assert await changes(each, created.id) == [written]


async def test_all_events_of_a_conversation_in_one_commit_have_one_time(
    shard_store: ShardStore,
) -> None:
    one = await new_conversation(shard_store, "ann")
    result = await shard_store.commit([append(one, "ann") for _ in range(50)], [])
    assert len({outcome.ts for outcome in result.outcomes}) == 1


async def test_a_limit_takes_the_first_and_says_that_there_are_more(
    shard_store: ShardStore,
) -> None:
    one = await new_conversation(shard_store, "ann")
    for _ in range(3):
        await fill(shard_store, one, "ann", 1)
    first = await shard_store.changes(0, limit=2)
    assert [row.heads for row in first.rows] == [[(one, 0)], [(one, 1)]]
    assert first.more
    assert first.at == first.rows[-1].at
    rest = await shard_store.changes(first.rows[-1].id, limit=1000)
    assert [row.heads for row in rest.rows] == [[(one, 2)], [(one, 3)]]
    assert not rest.more
    assert rest.at >= rest.rows[-1].at


async def test_what_was_trimmed_is_passed(shard_store: ShardStore) -> None:
    one = await new_conversation(shard_store, "ann")
    await shard_store.trim_journal(-1)
    await fill(shard_store, one, "ann", 1)
    assert [row.heads for row in await changes(shard_store)] == [[(one, 1)]]


async def test_no_row_is_passed_before_those_that_may_still_come(
    bridge: Bridge, database: str, shard_store_on: ShardStore
) -> None:
    store = shard_store_on
    one = await new_conversation(store, "ann")
    (created,) = await changes(store)
    async with Writer(bridge, database) as writer:
        await writer.begin("INSERT INTO journal (writer, heads) VALUES ('late', '')")
        await fill(store, one, "ann", 1)
        for _ in range(3):
            told = await store.changes(created.id, limit=10)
            assert told.rows == []
            assert created.at <= told.at
        await writer.end("COMMIT")
        late, filled = await changes(store, created.id)
    assert late.heads == []
    assert filled.heads == [(one, 1)]


async def test_a_row_that_was_rolled_back_holds_nothing_up(
    bridge: Bridge, database: str, shard_store_on: ShardStore
) -> None:
    store = shard_store_on
    one = await new_conversation(store, "ann")
    (created,) = await changes(store)
    async with Writer(bridge, database) as writer:
        await writer.begin("INSERT INTO journal (writer, heads) VALUES ('undone', '')")
        await fill(store, one, "ann", 1)
        assert await changes(store, created.id) == []
        await writer.end("ROLLBACK")
        assert [row.heads for row in await changes(store, created.id)] == [[(one, 1)]]


# --- what is no event -----------------------------------------------------------------------------


async def test_watermarks_are_told_only_while_somebody_wants_to_know(
    shard_store: ShardStore,
) -> None:
    one = await new_conversation(shard_store, "ann", "bob")
    await fill(shard_store, one, "ann", 3)
    await mark(shard_store, one, "bob", recv=1)
    known = (await changes(shard_store))[-1].id
    assert await changes(shard_store, known) == []
    await shard_store.watch(60)
    await mark(shard_store, one, "bob", recv=2)
    await mark(shard_store, one, "bob", read=3)
    received, read = await changes(shard_store, known)
    assert received.rises == [Rise(one, "bob", 2, None)]
    assert read.rises == [Rise(one, "bob", 3, 3)]
    assert received.heads == read.heads == []
    assert await shard_store.journal(known, [], lag=0, limit=10) != []  # and others pass them


async def test_watermarks_that_do_not_rise_are_not_told(shard_store: ShardStore) -> None:
    one = await new_conversation(shard_store, "ann", "bob")
    await fill(shard_store, one, "ann", 1)
    await shard_store.watch(60)
    await mark(shard_store, one, "bob", read=1)
    known = (await changes(shard_store))[-1].id
    await mark(shard_store, one, "bob", recv=1)
    assert await changes(shard_store, known) == []


async def test_a_shorter_watch_does_not_end_a_longer_one(shard_store: ShardStore) -> None:
    one = await new_conversation(shard_store, "ann", "bob")
    await fill(shard_store, one, "ann", 1)
    await shard_store.watch(60)
    await shard_store.watch(-60)
    await mark(shard_store, one, "bob", recv=1)
    assert (await changes(shard_store))[-1].rises == [Rise(one, "bob", 1, None)]


@pytest.mark.parametrize("way", ["checked", "released"])
async def test_a_file_is_told_when_it_may_be_used(
    bridge: Bridge, database_or_memory: str | None, way: str
) -> None:
    if database_or_memory is None:
        memory = MemoryShard()
        await tell_file(memory, MemoryFiles(wall_clock_ms, note_ready=memory.note_ready), way)
        return
    shard = PostgresShard(bridge, database_or_memory, "one")
    directory = Database(bridge, database_or_memory)
    await tell_file(shard, PostgresFiles(directory), way)
    await shard.close()
    await directory.close()


async def tell_file(store: ShardStore, files: Any, way: str) -> None:
    await in_state(files, "ready")
    assert await changes(store) == []  # nobody wanted to know
    await store.watch(60)
    asked = new_file()
    await files.add(asked, lifetime=60, quota=0, max_uploads=0)
    await files.begin_check(asked.id, b"hash", holder="h", lease=60)
    verdict = READY if way == "checked" else UNSCANNED
    await files.finish(asked.id, verdict, holder="h")
    if way == "released":
        assert await changes(store) == []
        await files.release(asked.id)
    (row,) = await changes(store)
    assert row.file == ReadyFile(asked.id, asked.owner)


async def test_a_failure_is_told_only_while_somebody_wants_to_know(
    shard_store: ShardStore,
) -> None:
    failures = [
        Failure(new_id(), 3, "whatsapp:+55", "whatsapp", "not there"),
        Failure(new_id(), 4, "bob", "telegram:support", None),
    ]
    await shard_store.note_failure(failures[0])
    assert await changes(shard_store) == []
    await shard_store.watch(60)
    for each in failures:
        await shard_store.note_failure(each)
    rows = await changes(shard_store)
    assert [row.failure for row in rows] == failures
    assert not any(row.heads or row.rises or row.file for row in rows)
    assert len(await shard_store.journal(0, [], lag=0, limit=10)) == 2  # and others pass them


async def test_nothing_names_a_user_who_was_erased(shard_store: ShardStore) -> None:
    one = await new_conversation(shard_store, "ann", "bob")
    await fill(shard_store, one, "ann", 1)
    await shard_store.watch(60)
    await mark(shard_store, one, "bob", read=1)
    await shard_store.note_failure(Failure(one, 1, "bob", "telegram", None))
    await shard_store.note_failure(Failure(one, 1, "telegram:7", "telegram", None))
    while not await shard_store.erase_user("bob", "erased-1", 100):
        pass
    rows = await changes(shard_store)
    assert not any(rise.user == "bob" for row in rows for rise in row.rises)
    assert [row.failure.user for row in rows if row.failure] == ["telegram:7"]


# --- who has moved --------------------------------------------------------------------------------


async def test_conversations_are_looked_at_in_pages_by_id(shard_store: ShardStore) -> None:
    ids = sorted([await new_conversation(shard_store, "ann") for _ in range(3)])
    first, unserved = await shard_store.active(0, None, after=None, limit=2)
    rest, _ = await shard_store.active(0, None, after=ids[1], limit=2)
    assert [each.conversation for each in first] == ids[:2]
    assert [each.conversation for each in rest] == ids[2:]
    assert unserved == frozenset()


async def test_what_has_happened_since_a_time_is_told_from_there_on(
    shard_store: ShardStore,
) -> None:
    one = await new_conversation(shard_store, "ann", "bob")
    outcomes = [(await shard_store.commit([append(one, "ann")], [])).outcomes[0] for _ in range(3)]
    two = await new_conversation(shard_store, "carl")
    first, created = [await shard_store.conversation(each) for each in (one, two)]
    assert first is not None
    assert created is not None
    since = outcomes[2].ts

    async def look(at: int, user: str | None) -> dict[str, Activity]:
        found, _ = await shard_store.active(at, user, after=None, limit=10)
        return {each.conversation: each for each in found}

    assert await look(first.created_at, "bob") == {one: Activity(one, -1, 3, True)}
    all_ = await look(since, None)
    older = [each.seq for each in outcomes if each.ts < since]  # all may be of one millisecond
    before = older[-1] if older else -1 if first.created_at >= since else 0
    assert all_[one] == Activity(one, before, 3, True)
    assert all_[two] == Activity(two, -1, 0, True)
    assert await look(created.created_at + 1, "carl") == {two: Activity(two, 0, 0, False)}
    assert await look(since, "nobody") == {}


async def test_a_watermark_that_rose_is_activity_too(shard_store: ShardStore) -> None:
    one = await new_conversation(shard_store, "ann", "bob")
    result = await shard_store.commit([append(one, "ann")], [])
    since = result.outcomes[0].ts + 1
    quiet, _ = await shard_store.active(since, None, after=None, limit=1)
    while wall_clock_ms() < since:
        pass  # a millisecond
    await mark(shard_store, one, "bob", recv=1)
    (rose,), _ = await shard_store.active(since, None, after=None, limit=1)
    assert quiet == [Activity(one, 1, 1, False)]
    assert rose == Activity(one, 1, 1, True)


class Writer:
    """A transaction that a test begins and ends."""

    def __init__(self, bridge: Bridge, dsn: str) -> None:
        self._bridge = bridge
        self._dsn = dsn
        self._connection: Any = None

    async def __aenter__(self) -> Writer:
        self._connection = await self._bridge.call(asyncpg.connect, self._dsn, timeout=10)
        return self

    async def begin(self, statement: str) -> None:
        await self._bridge.call(self._connection.execute, "BEGIN", timeout=10)
        await self._bridge.call(self._connection.execute, statement, timeout=10)

    async def end(self, how: str) -> None:
        await self._bridge.call(self._connection.execute, how, timeout=10)

    async def __aexit__(self, *_: object) -> None:
        await self._bridge.call(self._connection.close, timeout=10)


@pytest.fixture
async def shard_store_on(bridge: Bridge, database: str) -> AsyncIterator[ShardStore]:
    store = PostgresShard(bridge, database, "one")
    yield store
    await store.close()
