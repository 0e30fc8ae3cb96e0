"""What every shard store answers to requests that are not about a stretch of history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.queries import Receipt
from chat4all_storage.sharding import everywhere
from chat4all_storage.storage import memory_storage
from tests.storage.builders import (
    append,
    change,
    commit,
    commit_one,
    delete,
    edit,
    events,
    fill,
    join,
    leave,
    mark,
    new_conversation,
)

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import ShardStore


# --- by id ----------------------------------------------------------------------------------------


async def test_an_event_is_found_by_its_id_where_the_reader_is_a_member(
    shard_store: ShardStore,
) -> None:
    mine = await new_conversation(shard_store, "ann", "bob", admins=("bob",))
    foreign = await new_conversation(shard_store, "carl")
    id_ = new_id()
    for conversation, sender in [(mine, "ann"), (mine, "bob"), (foreign, "carl")]:
        await commit(shard_store, append(conversation, sender, id=id_))
    found = (await shard_store.find(id_, "bob")).items
    assert [(each.event, each.type, each.role) for each in found] == [
        (event, "group", "admin") for event in await events(shard_store, mine)
    ]
    for reader, asked in [("tom", id_), ("ann", new_id())]:
        assert (await shard_store.find(asked, reader)).items == []


async def test_who_has_left_finds_nothing_any_more(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob")
    entry = append(conversation, "bob")
    await commit(shard_store, entry)
    await commit(shard_store, leave(conversation, "ann", "bob"))
    assert (await shard_store.find(entry.id, "bob")).items == []


# --- the list -------------------------------------------------------------------------------------


async def test_a_list_tells_all_about_each_conversation(shard_store: ShardStore) -> None:
    conversation = await new_conversation(
        shard_store, "ann", "bob", "carl", admins=("carl",), title="Trip"
    )
    await fill(shard_store, conversation, "ann", 4)
    await commit(shard_store, change(conversation, "ann", metadata=b"m", retention=9))
    await commit(shard_store, delete(conversation, "ann", 4))
    await mark(shard_store, conversation, "bob", recv=3, read=1)
    (mine,) = (await shard_store.listing("bob", before=None, limit=9)).items
    assert (mine.conversation, mine.type, mine.title) == (conversation, "group", "Trip")
    assert (mine.metadata, mine.retention, mine.created_by) == (b"m", 9, "ann")
    assert (mine.head, mine.recv, mine.read, mine.unread) == (6, 3, 1, 2)
    assert (mine.role, mine.member_count) == ("member", 3)
    assert list(mine.members.items()) == [("ann", "owner"), ("bob", "member"), ("carl", "admin")]
    log = await events(shard_store, conversation)
    assert mine.last == log[2]
    assert (mine.active_at, mine.place) == (log[-1].ts, (log[-1].ts, conversation))
    assert mine.created_at <= log[0].ts


async def test_a_conversation_without_messages_has_no_last_one(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await commit(shard_store, join(conversation, "ann", "bob"))
    (mine,) = (await shard_store.listing("bob", before=None, limit=9)).items
    assert (mine.last, mine.unread, mine.head) == (None, 0, 1)


async def test_pages_follow_each_other_by_activity(shard_store: ShardStore) -> None:
    ids = [await new_conversation(shard_store, "ann") for _ in range(7)]
    await new_conversation(shard_store, "bob")
    for id_ in ids[::2]:
        await fill(shard_store, id_, "ann", 1)
    whole = (await shard_store.listing("ann", before=None, limit=99)).items
    assert sorted(each.conversation for each in whole) == sorted(ids)
    assert [each.place for each in whole] == sorted(
        (each.place for each in whole), key=lambda place: (-place[0], place[1])
    )
    paged = []
    place = None
    while page := (await shard_store.listing("ann", before=place, limit=3)).items:
        paged += page
        place = page[-1].place
    assert paged == whole
    assert (await shard_store.listing("tom", before=None, limit=3)).items == []


async def test_a_list_and_a_search_go_through_all_databases() -> None:
    shards = memory_storage(2).shards
    ids = [new_id() for _ in range(12)]
    entries = {}
    for id_ in ids:
        await shards.create(id_, "group", None, "ann", {"ann": "owner"})
        entries[id_] = append(id_, "ann")
        await commit_one(shards.of(id_), entries[id_])
    assert len({shards.of(id_).name for id_ in ids}) == 2
    first = await everywhere.listing(shards, "ann", before=None, limit=7)
    rest = await everywhere.listing(shards, "ann", before=first[-1].place, limit=7)
    assert len(first) == 7
    assert sorted(each.conversation for each in first + rest) == sorted(ids)
    for id_, entry in entries.items():
        assert [each.conversation for each in await everywhere.find(shards, entry.id, "ann")] == [
            id_
        ]


async def test_a_list_is_whole_or_an_error_but_what_is_found_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shards = memory_storage(2).shards
    id_ = next(each for each in iter(new_id, None) if shards.of(each) is shards.all[0])
    await shards.create(id_, "group", None, "ann", {"ann": "owner"})
    entry = append(id_, "ann")
    await commit_one(shards.of(id_), entry)

    async def away(*_: object, **__: object) -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(shards.all[1], "find", away)
    monkeypatch.setattr(shards.all[1], "listing", away)
    with pytest.raises(Unavailable):
        await everywhere.listing(shards, "ann", before=None, limit=9)
    assert len(await everywhere.find(shards, entry.id, "ann")) == 1
    with pytest.raises(Unavailable):
        await everywhere.find(shards, new_id(), "ann")


async def test_what_has_moved_is_asked_for_where_it_is(autojump_clock: object) -> None:
    shards = memory_storage(2).shards
    source, target = shards.all
    assert isinstance(source, MemoryShard)
    source.moved_shards = set(range(64))
    with pytest.raises(Unavailable):
        await everywhere.listing(shards, "ann", before=None, limit=9)
    assert (await target.listing("ann", before=None, limit=9)).unserved == frozenset()


# --- one message ----------------------------------------------------------------------------------


async def test_receipts_tell_how_far_each_member_is(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob", "carl")
    await fill(shard_store, conversation, "ann", 2)
    await commit(shard_store, join(conversation, "ann", "dora"))
    await mark(shard_store, conversation, "bob", read=2)
    await mark(shard_store, conversation, "carl", recv=1)
    found = await shard_store.conversation(conversation)
    assert found is not None
    bob, carl = found.members["bob"], found.members["carl"]
    assert await shard_store.receipts(conversation, 1, "ann") == [
        Receipt("bob", "READ", bob.recv_at, bob.read_at),
        Receipt("carl", "DELIVERED", carl.recv_at, None),
    ]
    assert await shard_store.receipts(conversation, 2, "bob") == [
        Receipt("bob", "READ", bob.recv_at, bob.read_at),
        Receipt("carl", "SENT", None, None),
    ]


async def test_a_message_that_nobody_else_can_have_has_no_receipts(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await fill(shard_store, conversation, "ann", 1)
    assert await shard_store.receipts(conversation, 1, "ann") == []
    assert await shard_store.revisions(conversation, 1, "ann") == []


async def test_strangers_and_missing_events_get_no_answer(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await fill(shard_store, conversation, "ann", 1)
    for asked in [(conversation, 1, "bob"), (conversation, 2, "ann"), (new_id(), 1, "ann")]:
        assert await shard_store.receipts(*asked) is None
        assert await shard_store.revisions(*asked) is None


async def test_former_bodies_are_kept_with_the_time_of_the_edit(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await commit(shard_store, append(conversation, "ann", b"first"))
    for body in (b"second", b"third"):
        await commit(shard_store, edit(conversation, "ann", 1, body))
    log = await events(shard_store, conversation)
    former = await shard_store.revisions(conversation, 1, "ann")
    assert former is not None
    assert [(each.edit, each.until, each.body) for each in former] == [
        (2, log[1].ts, b"first"),
        (3, log[2].ts, b"second"),
    ]
    await commit(shard_store, delete(conversation, "ann", 1))
    assert await shard_store.revisions(conversation, 1, "ann") == []
