"""How every shard store creates conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.shard import Conversation, MemberInfo
from tests.storage.builders import (
    append,
    commit,
    fill,
    memberships,
    new_conversation,
)

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import ShardStore


async def test_a_new_conversation_is_as_it_was_asked_for(shard_store: ShardStore) -> None:
    id_ = new_id()
    made, new = await shard_store.create(
        id_, "group", "Tr\u00eep \U0001f6f6", "ann", {"ann": "owner", "bob": "member"}
    )
    assert new
    assert made == Conversation(
        id=id_,
        type="group",
        title="Tr\u00eep \U0001f6f6",
        created_by="ann",
        created_at=made.created_at,
        head=0,
        members={"ann": MemberInfo("owner", 0, 0), "bob": MemberInfo("member", 0, 0)},
    )
    assert await shard_store.conversation(id_) == made
    (mine,) = await memberships(shard_store, "ann", details=0)
    assert mine.active_at == made.created_at


async def test_creating_again_finds_what_is_there(shard_store: ShardStore) -> None:
    id_ = await new_conversation(shard_store, "ann", "bob", title="first")
    await fill(shard_store, id_, "ann", 2)
    stands = await shard_store.conversation(id_)
    again = await shard_store.create(id_, "private", "second", "carl", {"carl": "owner"})
    assert again == (stands, False)
    assert await shard_store.conversation(id_) == stands


async def test_of_two_who_create_at_once_one_does_and_both_see_the_same(
    shard_stores: tuple[ShardStore, ShardStore],
) -> None:
    async def create(store: ShardStore, creator: str) -> None:
        answers.append(await store.create(id_, "group", None, creator, {creator: "owner"}))

    for _ in range(10):
        id_ = new_id()
        answers: list[tuple[Conversation, bool]] = []
        async with trio.open_nursery() as nursery:
            for store, creator in zip(shard_stores, ("ann", "bob"), strict=True):
                nursery.start_soon(create, store, creator)
        (one, made_one), (other, made_other) = answers
        assert one == other
        assert sorted([made_one, made_other]) == [False, True]


async def test_creating_and_committing_do_not_disturb_each_other(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(commit, shard_store, append(conversation, "ann"))
            nursery.start_soon(new_conversation, shard_store, "ann")
    found = await memberships(shard_store, "ann", details=0)
    assert sorted(mine.head for mine in found) == [0] * 20 + [20]
