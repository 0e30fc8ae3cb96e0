"""A store neither writes nor shows what is, or may be, in another database by now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
import trio

from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.errors import Moved
from chat4all_storage.ports.events import Mark, Status
from chat4all_storage.ports.shard import Range
from tests.storage.builders import append, commit, conversation_of, new_conversation
from tests.support.storage_servers import execute

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import ShardStore

SHARD = 4
HERE, THERE = conversation_of(SHARD), conversation_of(SHARD + 1)
"""Only the first is in the shard that is fenced."""
EVERYTHING = (0, 9, 9)


class Fence(Protocol):
    async def __call__(self, state: str, until: str = "infinity") -> None:
        """Put a fence around the shard."""


@pytest.fixture
def fence(shard_store: ShardStore, database_or_memory: str | None) -> Fence:
    async def put(state: str, until: str = "infinity") -> None:
        if isinstance(shard_store, MemoryShard):
            (shard_store.frozen_shards if state == "frozen" else shard_store.moved_shards).add(
                SHARD
            )
            return
        assert database_or_memory is not None
        await trio.to_thread.run_sync(
            execute,
            database_or_memory,
            """INSERT INTO shard_fences VALUES
               ($1, $2::text, CASE WHEN $2 = 'frozen' THEN $3::text::timestamptz END)""",
            SHARD,
            state,
            until,
        )

    return put


@pytest.fixture
async def filled(shard_store: ShardStore) -> None:
    for id_ in (HERE, THERE):
        await new_conversation(shard_store, "ann", "bob", id=id_)
        await commit(shard_store, append(id_, "ann"), append(id_, "bob"))


@pytest.mark.parametrize("state", ["frozen", "copying", "moved"])
async def test_nothing_is_written_to_a_shard_behind_a_fence(
    shard_store: ShardStore, filled: None, fence: Fence, state: str
) -> None:
    await fence(state)
    appends = [append(HERE, "ann"), append(THERE, "ann"), append(HERE, "nobody")]
    marks = [Mark(HERE, "ann", 1, 1), Mark(THERE, "ann", 1, 1)]
    result = await shard_store.commit(appends, marks)
    assert [each.status for each in result.outcomes] == [
        Status.MOVED,
        Status.STORED,
        Status.MOVED,
    ]
    assert result.marks == [None, Mark(THERE, "ann", 1, 1)]
    assert result.moved == {SHARD}
    assert (await shard_store.commit([], marks[:1])).moved == {SHARD}
    with pytest.raises(Moved):
        await shard_store.create(conversation_of(SHARD), "group", None, "ann", {"ann": "owner"})


async def test_a_frozen_shard_is_read(shard_store: ShardStore, filled: None, fence: Fence) -> None:
    await fence("frozen")
    assert len((await shard_store.history([Range(HERE, *EVERYTHING)]))[0]) == 2
    assert await shard_store.conversation(HERE) is not None
    assert await shard_store.heads([HERE, THERE]) == {HERE: 2, THERE: 2}


@pytest.mark.parametrize("state", ["copying", "moved"])
async def test_what_is_elsewhere_is_not_read(
    shard_store: ShardStore, filled: None, fence: Fence, state: str
) -> None:
    await fence(state)
    with pytest.raises(Moved):
        await shard_store.history([Range(THERE, *EVERYTHING), Range(HERE, *EVERYTHING)])
    for at in ({"after": 0, "before": None}, {"after": None, "before": None}):
        with pytest.raises(Moved):
            await shard_store.page(HERE, "ann", limit=9, **at)
    for missing in (HERE, conversation_of(SHARD)):  # whether it was ever here or not
        with pytest.raises(Moved):
            await shard_store.conversation(missing)
        with pytest.raises(Moved):
            await shard_store.members([THERE, missing])
    # What is asked of a whole database leaves it out.
    assert await shard_store.heads([HERE, THERE]) == {THERE: 2}
    assert [id_ for id_, _, _ in await shard_store.conversations_of(["ann"])] == [THERE]
    another = conversation_of(SHARD + 1)
    await new_conversation(shard_store, "ann", "carl", id=another)
    assert await shard_store.acquainted("ann", ["bob", "carl"]) == {"bob", "carl"}
    assert len((await shard_store.history([Range(THERE, *EVERYTHING)]))[0]) == 2
    assert await shard_store.conversation(THERE) is not None


async def test_a_freeze_ends_by_itself(shard_store: ShardStore, fence: Fence) -> None:
    """In PostgreSQL: whoever froze it may be dead."""
    if isinstance(shard_store, MemoryShard):
        return
    await new_conversation(shard_store, "ann", id=HERE)
    await fence("frozen", "2020-01-01")
    assert [each.status for each in await commit(shard_store, append(HERE, "ann"))] == [
        Status.STORED
    ]
