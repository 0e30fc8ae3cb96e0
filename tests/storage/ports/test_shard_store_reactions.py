"""Reactions to messages: what every shard store does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.codec import decode_meta
from chat4all_protocol.ids import new_id
from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.errors import Moved
from chat4all_storage.ports.logical_shards import logical_shard
from chat4all_storage.ports.queries import Reaction
from tests.storage.builders import (
    append,
    change,
    commit,
    commit_one,
    delete,
    edit,
    events,
    join,
    leave,
    new_conversation,
    react,
    status_of,
)

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import ShardStore

GONE = "deleted-1"


async def standing(
    store: ShardStore, conversation: str, seq: int, limit: int = 99
) -> list[tuple[str, str]]:
    return [(each.sender, each.emoji) for each in await store.reactions(conversation, seq, limit)]


async def test_a_reaction_is_an_event_and_leaves_the_message_as_it_is(
    shard_store: ShardStore, group: str
) -> None:
    before = (await events(shard_store, group))[2]
    outcome = await commit_one(shard_store, react(group, "mia", 3, "🎉"))
    *_, message, reaction = await events(shard_store, group)
    assert message == before
    assert (reaction.seq, reaction.ts, reaction.sender) == (4, outcome.ts, "mia")
    assert (reaction.kind, reaction.target, reaction.body) == ("react", 3, None)
    assert reaction.meta is not None
    assert decode_meta(reaction.meta) == {"emoji": "🎉", "on": True}


async def test_every_member_reacts_and_nobody_else(shard_store: ShardStore, group: str) -> None:
    for name in ("ann", "adam", "mia"):
        assert await status_of(shard_store, react(group, name, 1)) == "STORED"
    assert await status_of(shard_store, react(group, "stranger", 1)) == "NOT_MEMBER"
    await commit(shard_store, leave(group, "mia", "mia"))
    assert await status_of(shard_store, react(group, "mia", 1)) == "NOT_MEMBER"


async def test_in_a_private_conversation_both_react(shard_store: ShardStore) -> None:
    private = await new_conversation(shard_store, "ann", "bob", type="private")
    await commit(shard_store, append(private, "ann"))
    for name in ("ann", "bob"):
        assert await status_of(shard_store, react(private, name, 1)) == "STORED"


@pytest.mark.parametrize("target", [None, -1, 0, 4, 99, 2**63 - 1])
async def test_what_does_not_exist_is_not_reacted_to(
    shard_store: ShardStore, group: str, target: int | None
) -> None:
    assert await status_of(shard_store, react(group, "ann", target)) == "BAD_TARGET"


async def test_only_messages_are_reacted_to(shard_store: ShardStore, group: str) -> None:
    for entry in (
        edit(group, "ann", 1),
        react(group, "ann", 1),
        join(group, "ann", "zoe"),
        change(group, "ann", title="another"),
    ):
        seq = (await commit_one(shard_store, entry)).seq or 4
        assert await status_of(shard_store, react(group, "ann", seq)) == "BAD_TARGET"


async def test_a_deleted_message_takes_no_reactions_and_keeps_those_it_has(
    shard_store: ShardStore, group: str
) -> None:
    await commit(shard_store, react(group, "ann", 3))
    before = (await events(shard_store, group))[3]
    await commit(shard_store, delete(group, "mia", 3))
    for on in (True, False):
        assert await status_of(shard_store, react(group, "ann", 3, on=on)) == "TARGET_DELETED"
    assert (await events(shard_store, group))[3] == before


async def test_of_a_batch_that_deletes_a_message_what_was_before_is_stored(
    shard_store: ShardStore, group: str
) -> None:
    outcomes = await commit(shard_store, react(group, "ann", 3), delete(group, "mia", 3))
    assert [each.seq for each in outcomes] == [4, 5]


async def test_a_message_of_the_same_batch_is_not_known_yet(
    shard_store: ShardStore, group: str
) -> None:
    said, reacted = await commit(shard_store, append(group, "ann"), react(group, "ann", 4))
    assert (said.seq, reacted.status.name) == (4, "BAD_TARGET")


async def test_messages_and_reactions_of_a_batch_are_numbered_as_they_came(
    shard_store: ShardStore, group: str
) -> None:
    outcomes = await commit(
        shard_store,
        react(group, "ann", 3),
        append(group, "adam"),
        react(group, "mia", 99),
        react(group, "adam", 3),
        append(group, "mia"),
    )
    assert [each.seq for each in outcomes] == [4, 5, 0, 6, 7]


async def test_a_retried_reaction_is_known_and_the_same_again_is_another_event(
    shard_store: ShardStore, group: str
) -> None:
    once = react(group, "ann", 3)
    stored = await commit_one(shard_store, once)
    again = await commit_one(shard_store, once)
    assert (again.status.name, again.seq, again.ts) == ("DUPLICATE", stored.seq, stored.ts)
    assert (await commit_one(shard_store, react(group, "ann", 3))).seq == stored.seq + 1


# --- which stand ------------------------------------------------------------------------------


async def test_those_stand_that_were_put_and_not_taken_back(
    shard_store: ShardStore, group: str
) -> None:
    for entry in (
        react(group, "ann", 3, "👍"),
        react(group, "mia", 3, "👍"),
        react(group, "ann", 3, "🎉"),
        react(group, "adam", 1, "🎉"),
        react(group, "ann", 3, "👍", on=False),
        react(group, "adam", 3, "👎", on=False),
    ):
        await commit(shard_store, entry)
    assert await shard_store.reactions(group, 3, 99) == [
        Reaction(5, "mia", "👍"),
        Reaction(6, "ann", "🎉"),
    ]
    assert await standing(shard_store, group, 1) == [("adam", "🎉")]
    assert await standing(shard_store, group, 2) == []


async def test_what_is_put_again_is_the_last_and_there_once(
    shard_store: ShardStore, group: str
) -> None:
    for entry in (
        react(group, "ann", 3),
        react(group, "mia", 3),
        react(group, "ann", 3),
        react(group, "mia", 3, on=False),
        react(group, "mia", 3),
    ):
        await commit(shard_store, entry)
    assert await shard_store.reactions(group, 3, 99) == [
        Reaction(6, "ann", "👍"),
        Reaction(8, "mia", "👍"),
    ]


async def test_no_more_than_the_last_ones_are_told(shard_store: ShardStore, group: str) -> None:
    for emoji in ("1", "2", "3"):
        await commit(shard_store, react(group, "ann", 3, emoji))
    assert await standing(shard_store, group, 3, limit=2) == [("ann", "2"), ("ann", "3")]


async def test_an_emoji_is_any_short_text(shard_store: ShardStore, group: str) -> None:
    emojis = ["👨‍👩‍👧‍👦", "a", "é" * 32, "\u2764\ufe0f"]
    for emoji in emojis:
        await commit(shard_store, react(group, "ann", 3, emoji))
    assert [emoji for _, emoji in await standing(shard_store, group, 3)] == emojis


async def test_a_conversation_that_does_not_exist_has_none(shard_store: ShardStore) -> None:
    assert await shard_store.reactions(new_id(), 1, 99) == []


async def test_reactions_of_who_left_stand_and_of_who_was_erased_do_not(
    shard_store: ShardStore, group: str
) -> None:
    for name in ("mia", "adam", "ann"):
        await commit(shard_store, react(group, name, 1))
    await commit(shard_store, leave(group, "mia", "mia"))
    while not await shard_store.erase_user("adam", GONE, 100):
        pass
    assert await standing(shard_store, group, 1) == [("mia", "👍"), ("ann", "👍")]
    reaction = next(
        each for each in await events(shard_store, group) if each.kind == "react" and each.seq == 5
    )
    assert (reaction.sender, reaction.meta, reaction.deleted) == (GONE, None, False)


async def test_retention_empties_messages_and_leaves_what_was_reacted(
    shard_store: ShardStore, group: str
) -> None:
    await commit(shard_store, react(group, "mia", 3))
    await commit(shard_store, change(group, "ann", retention=1))
    before = (await events(shard_store, group))[3]
    assert (await shard_store.expire(100, now=2**50)).messages == 3
    assert (await events(shard_store, group))[3] == before
    assert await status_of(shard_store, react(group, "mia", 3)) == "TARGET_DELETED"


async def test_what_is_not_served_here_is_not_told() -> None:
    store = MemoryShard()
    conversation = await new_conversation(store, "ann")
    store.moved_shards.add(logical_shard(conversation))
    with pytest.raises(Moved):
        await store.reactions(conversation, 1, 99)
