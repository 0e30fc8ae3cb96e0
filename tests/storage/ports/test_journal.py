"""What every shard store tells other nodes about its commits, and the notices of a directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.directory import User
from chat4all_storage.ports.events import Status
from chat4all_storage.postgres.shard import PostgresShard
from tests.storage.builders import (
    append,
    commit,
    commit_one,
    fill,
    join,
    leave,
    mark,
    new_conversation,
)
from tests.storage.probes import ask

if TYPE_CHECKING:
    from chat4all_storage.bridge import Bridge
    from chat4all_storage.ports.directory import Directory
    from chat4all_storage.ports.shard import JournalRow, ShardStore

Stores = tuple["ShardStore", "ShardStore"]


async def journal(store: ShardStore, after: int = 0) -> list[JournalRow]:
    return await store.journal(after, [], lag=0, limit=1000)


async def test_a_commit_is_one_row_with_the_heads_it_reached(shard_stores: Stores) -> None:
    store, other = shard_stores
    one, two = await new_conversation(store, "ann"), await new_conversation(store, "ann")
    before = (await journal(other))[-1].id
    await commit(store, append(one, "ann"), append(two, "ann"), append(one, "ann"))
    (row,) = await journal(other, before)
    assert sorted(row.heads) == sorted([(one, 2), (two, 1)])
    assert row.joined == []


async def test_what_stores_nothing_has_no_row(shard_stores: Stores) -> None:
    store, other = shard_stores
    conversation = await new_conversation(store, "ann")
    first = append(conversation, "ann")
    await commit(store, first)
    before = (await journal(other))[-1].id
    await commit(store, first)
    await commit_one(store, append(conversation, "nobody"))
    await commit_one(store, append(new_id(), "ann"))
    assert await journal(other, before) == []


async def test_a_creation_names_everybody_who_is_in(shard_stores: Stores) -> None:
    store, other = shard_stores
    conversation = await new_conversation(store, "ann", "bob")
    (row,) = await journal(other)
    assert row.heads == [(conversation, 0)]
    assert row.joined == [(conversation, "ann"), (conversation, "bob")]
    await new_conversation(store, "carl", id=conversation)
    assert await journal(other, row.id) == []


async def test_who_joins_is_named_and_who_leaves_is_not(shard_stores: Stores) -> None:
    store, other = shard_stores
    conversation = await new_conversation(store, "ann")
    (created,) = await journal(other)
    await commit(store, join(conversation, "ann", "bob"))
    await commit(store, leave(conversation, "ann", "bob"))
    joined, left = await journal(other, created.id)
    assert joined.joined == [(conversation, "bob")]
    assert left.joined == []
    assert left.heads == [(conversation, 2)]


async def test_rows_are_found_again_by_id_and_a_limit_takes_the_first(
    shard_stores: Stores,
) -> None:
    store, other = shard_stores
    conversation = await new_conversation(store, "ann")
    for _ in range(3):
        await fill(store, conversation, "ann", 1)
    ids = [row.id for row in await journal(other)]
    assert ids == sorted(ids)
    found = await other.journal(ids[2], [ids[0], ids[3] + 1000], lag=0, limit=1000)
    assert [row.id for row in found] == [ids[0], ids[3]]
    found = await other.journal(0, [], lag=0, limit=2)
    assert [row.id for row in found] == ids[:2]


async def test_young_rows_wait_and_old_ones_are_removed(shard_stores: Stores) -> None:
    store, other = shard_stores
    await new_conversation(store, "ann")
    assert await other.journal(0, [], lag=3600, limit=10) == []
    assert await store.trim_journal(3600) == 0
    assert await store.trim_journal(-1) == 1
    assert await journal(other) == []


async def test_readers_start_near_the_end(shard_stores: Stores) -> None:
    store, other = shard_stores
    assert await other.journal_end() == 0
    await new_conversation(store, "ann")
    (row,) = await journal(other)
    assert await other.journal_end() <= row.id


async def test_own_rows_are_empty_unless_somebody_came_in(bridge: Bridge, database: str) -> None:
    store = PostgresShard(bridge, database, "store")
    conversation = await new_conversation(store, "ann")
    await fill(store, conversation, "ann", 1)
    created, filled = await journal(store)
    await store.close()
    assert created.joined == [(conversation, "ann")]
    assert filled.heads == []


async def test_heads_and_members_are_those_of_what_exists(shard_store: ShardStore) -> None:
    one = await new_conversation(shard_store, "ann", "bob")
    two = await new_conversation(shard_store, "carl")
    await fill(shard_store, one, "ann", 2)
    asked = [one, two, new_id()]
    assert await shard_store.heads(asked) == {one: 2, two: 0}
    assert await shard_store.members(asked) == {one: (2, ["ann", "bob"]), two: (0, ["carl"])}


async def test_who_is_a_member_of_what(shard_store: ShardStore) -> None:
    one = await new_conversation(shard_store, "ann", "bob")
    two = await new_conversation(shard_store, "ann", "carl")
    await fill(shard_store, one, "ann", 1)
    assert await mark(shard_store, one, "ann", recv=1) == (1, 0)
    found = await shard_store.conversations_of(["ann", "carl", "nobody"])
    assert sorted(found) == sorted([(one, "ann", 1), (two, "ann", 0), (two, "carl", 0)])


async def test_what_is_fenced_off_is_told_apart_and_stored_nowhere(
    bridge: Bridge, database: str
) -> None:
    store = PostgresShard(bridge, database, "store")
    conversation = await new_conversation(store, "ann")
    entry = append(conversation, "ann")
    shard = f"logical_shard('{conversation}')"
    for fence in ("'moved', NULL", "'copying', NULL", "'frozen', now() + interval '1 hour'"):
        await ask(database, f"INSERT INTO shard_fences VALUES ({shard}, {fence})")
        assert (await commit_one(store, entry)).status is Status.MOVED
        await ask(database, "DELETE FROM shard_fences")
    await ask(
        database, f"INSERT INTO shard_fences VALUES ({shard}, 'frozen', now() - interval '1 s')"
    )
    assert (await commit_one(store, entry)).status is Status.STORED
    await store.close()


# --- notices --------------------------------------------------------------------------------------


async def test_notices_come_in_order_and_are_removed_when_old(directory: Directory) -> None:
    start = await directory.notices_end()
    for body in (b"one", b"two", b"three"):
        await directory.notify(body)
    found = await directory.notices(start, [], limit=2)
    assert [notice.body for notice in found] == [b"one", b"two"]
    first, second = (notice.id for notice in found)
    again = await directory.notices(second, [first], limit=10)
    assert [notice.body for notice in again] == [b"one", b"three"]
    assert await directory.trim_notices(3600) == 0
    assert await directory.trim_notices(-1) == 3


async def test_a_revocation_is_found_by_everybody_who_looks(directory: Directory) -> None:
    await directory.add_user(User(new_id(), "Ann", b"hash"))
    assert await directory.revocations(0) == {}
    assert await directory.revoke("nobody") is None
    revoked = await directory.revoke("ann")
    assert revoked is not None
    name, valid_from = revoked
    assert name == "Ann"
    assert await directory.revocations(valid_from - 1) == {"Ann": valid_from}
    assert await directory.revocations(valid_from) == {}
