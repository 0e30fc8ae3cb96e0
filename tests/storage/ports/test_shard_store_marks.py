"""What every shard store does with watermarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.events import Mark, Status
from tests.storage.builders import (
    LARGEST,
    append,
    commit,
    fill,
    join,
    leave,
    mark,
    new_conversation,
    watermarks,
)

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import ShardStore


@pytest.fixture
async def conversation(shard_store: ShardStore) -> str:
    """A conversation of ann and bob with ten events."""
    conversation = await new_conversation(shard_store, "ann", "bob")
    await fill(shard_store, conversation, "ann", 10)
    return conversation


async def test_a_mark_raises_the_watermarks_of_its_member_alone(
    shard_store: ShardStore, conversation: str
) -> None:
    assert await mark(shard_store, conversation, "bob", recv=7, read=4) == (7, 4)
    assert await watermarks(shard_store, conversation) == {"ann": (0, 0), "bob": (7, 4)}


async def test_reading_is_holding(shard_store: ShardStore, conversation: str) -> None:
    assert await mark(shard_store, conversation, "bob", read=6) == (6, 6)
    assert await mark(shard_store, conversation, "bob", recv=3, read=8) == (8, 8)


async def test_watermarks_never_fall(shard_store: ShardStore, conversation: str) -> None:
    await mark(shard_store, conversation, "bob", recv=9, read=5)
    for recv, read in [(0, 0), (8, 4), (-1, -LARGEST)]:
        assert await mark(shard_store, conversation, "bob", recv=recv, read=read) == (9, 5)
    assert await mark(shard_store, conversation, "bob", recv=2, read=6) == (9, 6)
    assert await watermarks(shard_store, conversation) == {"ann": (0, 0), "bob": (9, 6)}


async def test_watermarks_never_pass_the_head(shard_store: ShardStore, conversation: str) -> None:
    assert await mark(shard_store, conversation, "bob", recv=LARGEST, read=3) == (10, 3)
    assert await mark(shard_store, conversation, "bob", read=LARGEST) == (10, 10)
    await fill(shard_store, conversation, "ann", 1)
    assert (await watermarks(shard_store, conversation))["bob"] == (10, 10)


async def test_marks_of_strangers_stand_nowhere(shard_store: ShardStore, conversation: str) -> None:
    marks = [Mark(conversation, "carl", 1, 1), Mark(new_id(), "ann", 1, 1)]
    assert (await shard_store.commit([], marks)).marks == [None, None]


async def test_each_mark_is_answered_in_its_place(
    shard_store: ShardStore, conversation: str
) -> None:
    other = await new_conversation(shard_store, "bob")
    await fill(shard_store, other, "bob", 2)
    marks = [
        Mark(other, "bob", 9, 0),
        Mark(conversation, "carl", 1, 1),
        Mark(conversation, "bob", 4, 2),
        Mark(conversation, "ann", 0, 0),
    ]
    assert (await shard_store.commit([], marks)).marks == [
        Mark(other, "bob", 2, 0),
        None,
        Mark(conversation, "bob", 4, 2),
        Mark(conversation, "ann", 0, 0),
    ]


async def test_marks_see_the_events_and_members_of_their_own_batch(
    shard_store: ShardStore, conversation: str
) -> None:
    result = await shard_store.commit(
        [append(conversation, "ann"), join(conversation, "ann", "carl")],
        [Mark(conversation, "bob", 99, 0), Mark(conversation, "carl", 99, 0)],
    )
    assert [outcome.status for outcome in result.outcomes] == [Status.STORED] * 2
    assert result.marks == [Mark(conversation, "bob", 12, 0), Mark(conversation, "carl", 12, 12)]
    result = await shard_store.commit(
        [leave(conversation, "bob", "bob")], [Mark(conversation, "bob", 1, 1)]
    )
    assert result.marks == [None]


async def test_whoever_comes_back_starts_at_the_join(
    shard_store: ShardStore, conversation: str
) -> None:
    await mark(shard_store, conversation, "bob", read=3)
    await commit(shard_store, leave(conversation, "ann", "bob"))
    await commit(shard_store, join(conversation, "ann", "bob"))
    assert (await watermarks(shard_store, conversation))["bob"] == (12, 12)


async def test_marks_of_two_nodes_rise_to_the_higher_one(
    shard_stores: tuple[ShardStore, ShardStore], conversation: str
) -> None:
    one, other = shard_stores
    assert await mark(one, conversation, "bob", recv=8, read=2) == (8, 2)
    assert await mark(other, conversation, "bob", recv=5, read=4) == (8, 4)
    assert await mark(one, conversation, "bob") == (8, 4)


async def test_a_watermark_is_dated_when_it_rises(
    shard_store: ShardStore, conversation: str
) -> None:
    async def dates() -> tuple[int | None, int | None]:
        found = await shard_store.conversation(conversation)
        assert found is not None
        return found.members["bob"].recv_at, found.members["bob"].read_at

    assert await dates() == (None, None)
    await mark(shard_store, conversation, "bob", recv=3)
    received, read = await dates()
    assert received is not None
    assert read is None
    await mark(shard_store, conversation, "bob", read=2)
    again, read = await dates()
    assert again == received
    assert read is not None
    assert read >= received
