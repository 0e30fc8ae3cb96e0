"""What a session starts from: its conversations and what it missed, in one read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.events import event_size
from chat4all_storage.ports.shard import Replay
from tests.storage.builders import append, commit, events, fill, new_conversation

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import Resumed, ShardStore

PLENTY = Replay(each=100, events=1000, size=1_000_000)


async def resume(store: ShardStore, cursors: dict[str, int], replay: Replay = PLENTY) -> Resumed:
    return await store.resume("ann", cursors, details=99, replay=replay)


def seqs(found: Resumed) -> dict[str, list[int]]:
    return {id_: [event.seq for event in missed] for id_, missed in found.events.items()}


async def test_what_was_missed_comes_with_the_memberships(shard_store: ShardStore) -> None:
    one, other, quiet = [await new_conversation(shard_store, "ann") for _ in range(3)]
    body = append(one, "ann", b"body", meta=b"meta")
    await commit(shard_store, body)
    await commit(shard_store, append(one, "ann", None, target=1, kind="edit"))
    await fill(shard_store, other, "ann", 5)
    await fill(shard_store, quiet, "ann", 2)
    found = await resume(shard_store, {one: 0, other: 3, quiet: 2})
    assert {each.conversation: each.head for each in found.memberships} == {
        one: 2,
        other: 5,
        quiet: 2,
    }
    assert found.events == {
        one: await events(shard_store, one),
        other: (await events(shard_store, other))[3:],
    }
    assert found.unserved == frozenset()


async def test_only_members_are_told_anything(shard_store: ShardStore) -> None:
    foreign = await new_conversation(shard_store, "bob")
    await fill(shard_store, foreign, "bob", 3)
    found = await resume(shard_store, {foreign: 0, new_id(): 0})
    assert (found.memberships, found.events) == ([], {})


async def test_a_cursor_beyond_the_head_or_far_behind_brings_nothing(
    shard_store: ShardStore,
) -> None:
    near, far, ahead = [await new_conversation(shard_store, "ann") for _ in range(3)]
    await fill(shard_store, near, "ann", 3)
    await fill(shard_store, far, "ann", 4)
    await fill(shard_store, ahead, "ann", 1)
    found = await resume(shard_store, {near: 0, far: 0, ahead: 9}, replace(PLENTY, each=3))
    assert seqs(found) == {near: [1, 2, 3]}


async def test_the_number_of_events_is_bounded_latest_conversations_first(
    shard_store: ShardStore,
) -> None:
    made = [await new_conversation(shard_store, "ann") for _ in range(4)]
    for conversation in made:
        await fill(shard_store, conversation, "ann", 4)
    cursors = dict.fromkeys(made, 0)
    found = await resume(shard_store, cursors, replace(PLENTY, events=5))
    latest = [each.conversation for each in found.memberships]
    assert seqs(found) == {id_: [1, 2, 3, 4] for id_ in latest[:2]}
    assert seqs(await resume(shard_store, cursors, replace(PLENTY, events=0))) == {}


async def test_their_bytes_are_bounded_and_a_conversation_may_be_cut_short(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await commit(
        shard_store,
        *(append(conversation, "ann", b"x" * 1000, meta=b"m" * 500) for _ in range(4)),
    )
    size = event_size((await events(shard_store, conversation))[0])
    for room, expected in ((size - 1, []), (size, [1]), (3 * size, [1, 2, 3]), (99 * size, None)):
        found = await resume(shard_store, {conversation: 0}, replace(PLENTY, size=room))
        assert seqs(found).get(conversation, []) == ([1, 2, 3, 4] if expected is None else expected)
