"""Edits and deletions: what every shard store does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_storage.memory.shard import MemoryShard
from chat4all_storage.ports.events import Outcome, Status
from tests.storage.builders import (
    append,
    commit,
    commit_one,
    delete,
    edit,
    events,
    fill,
    new_conversation,
    status_of,
)
from tests.storage.probes import ask

if TYPE_CHECKING:
    from chat4all_storage.ports.shard import ShardStore


async def test_an_edit_replaces_the_body_and_is_an_event_itself(
    shard_store: ShardStore, group: str
) -> None:
    outcome = await commit_one(shard_store, edit(group, "mia", 3, b"better"))
    *_, message, edited = await events(shard_store, group)
    assert (message.seq, message.body, message.edited_at) == (3, b"better", outcome.ts)
    assert (message.sender, message.kind, message.deleted) == ("mia", "message", False)
    assert (edited.seq, edited.kind, edited.target, edited.body) == (4, "edit", 3, b"better")
    assert edited.edited_at is None


async def test_an_edit_keeps_what_else_the_message_has(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await fill(shard_store, conversation, "ann", 1)
    await commit(shard_store, append(conversation, "ann", reply_to=1, meta=b"meta"))
    (_, before) = await events(shard_store, conversation)
    await commit(shard_store, edit(conversation, "ann", 2))
    (_, after, _) = await events(shard_store, conversation)
    assert (after.meta, after.reply_to, after.ts) == (b"meta", 1, before.ts)


async def test_nobody_edits_what_somebody_else_wrote(shard_store: ShardStore, group: str) -> None:
    for sender in ("ann", "adam"):
        assert await status_of(shard_store, edit(group, sender, 3)) == "FORBIDDEN"
    assert (await events(shard_store, group))[2].body == b"of mia"


@pytest.mark.parametrize("target", [None, -1, 0, 5, 99, 2**63 - 1])
async def test_a_target_that_does_not_exist_is_a_bad_one(
    shard_store: ShardStore, group: str, target: int | None
) -> None:
    for kind in ("edit", "delete"):
        entry = append(group, "ann", kind=kind, target=target)
        assert await status_of(shard_store, entry) == "BAD_TARGET"


async def test_only_messages_are_targets(shard_store: ShardStore, group: str) -> None:
    await commit(shard_store, edit(group, "ann", 1))
    for entry in (edit(group, "ann", 4), delete(group, "ann", 4)):
        assert await status_of(shard_store, entry) == "BAD_TARGET"


async def test_a_retried_edit_or_deletion_changes_nothing_more(
    shard_store: ShardStore, group: str
) -> None:
    first, second = edit(group, "mia", 3, b"first"), edit(group, "mia", 3, b"second")
    await commit(shard_store, first)
    await commit(shard_store, second)
    assert (await commit_one(shard_store, first)).status is Status.DUPLICATE
    assert (await events(shard_store, group))[2].body == b"second"
    gone = delete(group, "mia", 3)
    stored = await commit_one(shard_store, gone)
    assert await commit_one(shard_store, gone) == Outcome(Status.DUPLICATE, 6, stored.ts)


async def test_an_edited_or_deleted_message_is_still_known_by_its_id(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann")
    entry = append(conversation, "ann", b"as it was")
    await commit(shard_store, entry)
    for later in (edit(conversation, "ann", 1), delete(conversation, "ann", 1)):
        await commit(shard_store, later)
        again = await commit_one(shard_store, entry)
        assert (again.status, again.seq) == (Status.DUPLICATE, 1)


async def test_a_deletion_leaves_nothing_but_the_place(shard_store: ShardStore, group: str) -> None:
    await commit(shard_store, edit(group, "mia", 3, b"better"))
    outcome = await commit_one(shard_store, delete(group, "mia", 3))
    *_, message, edited, deletion = await events(shard_store, group)
    for each in (message, edited):
        assert (each.body, each.meta, each.deleted) == (None, None, True)
        assert each.deleted_at == outcome.ts
    assert (deletion.kind, deletion.target, deletion.deleted) == ("delete", 3, False)


async def test_a_deleted_message_has_no_history(
    shard_store: ShardStore, group: str, database_or_memory: str | None
) -> None:
    for body in (b"better", b"best"):
        await commit(shard_store, edit(group, "mia", 3, body))
    await commit(shard_store, edit(group, "ann", 1))
    assert await kept(shard_store, database_or_memory) == [
        (1, 6, b"of ann"),
        (3, 4, b"of mia"),
        (3, 5, b"better"),
    ]
    await commit(shard_store, delete(group, "mia", 3))
    assert await kept(shard_store, database_or_memory) == [(1, 6, b"of ann")]


async def kept(store: ShardStore, database: str | None) -> list[tuple[int, int, bytes | None]]:
    """The former bodies that are stored, with the seqs of their message and edit."""
    if database is not None:
        rows = await ask(database, "SELECT seq, edit, body FROM revisions ORDER BY seq, edit")
        return [tuple(row) for row in rows]
    assert isinstance(store, MemoryShard)
    (log,) = store._logs.values()
    return sorted(
        (seq, edit_seq, body) for seq, former in log.revisions.items() for edit_seq, body in former
    )


async def test_owners_and_admins_delete_what_anybody_wrote(
    shard_store: ShardStore, group: str
) -> None:
    assert await status_of(shard_store, delete(group, "adam", 1)) == "STORED"
    assert await status_of(shard_store, delete(group, "ann", 3)) == "STORED"
    assert await status_of(shard_store, delete(group, "mia", 2)) == "FORBIDDEN"


async def test_nobody_deletes_what_the_other_wrote_in_private(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob", type="private")
    await fill(shard_store, conversation, "bob", 1)
    assert await status_of(shard_store, delete(conversation, "ann", 1)) == "FORBIDDEN"
    assert await status_of(shard_store, delete(conversation, "bob", 1)) == "STORED"


async def test_what_is_deleted_is_neither_deleted_nor_edited_again(
    shard_store: ShardStore, group: str
) -> None:
    await commit(shard_store, delete(group, "mia", 3))
    assert await status_of(shard_store, delete(group, "mia", 3)) == "TARGET_DELETED"
    assert await status_of(shard_store, delete(group, "ann", 3)) == "TARGET_DELETED"
    assert await status_of(shard_store, edit(group, "mia", 3)) == "TARGET_DELETED"


async def test_a_stranger_learns_nothing_from_a_target(shard_store: ShardStore, group: str) -> None:
    for target in (1, 99):
        assert await status_of(shard_store, edit(group, "tom", target)) == "NOT_MEMBER"
        assert await status_of(shard_store, delete(group, "tom", target)) == "NOT_MEMBER"


async def test_several_messages_are_edited_and_deleted_in_one_batch(
    shard_store: ShardStore, group: str
) -> None:
    outcomes = await commit(
        shard_store,
        append(group, "ann", b"new"),
        edit(group, "ann", 1, b"better"),
        delete(group, "adam", 2),
        edit(group, "mia", 3, b"best"),
    )
    assert [outcome.seq for outcome in outcomes] == [4, 5, 6, 7]
    bodies = [event.body for event in await events(shard_store, group)]
    assert bodies == [b"better", None, b"best", b"new", b"better", None, b"best"]


async def pass_seconds(store: ShardStore, database: str | None, seconds: int) -> None:
    if database is not None:
        await ask(database, f"UPDATE events SET ts = ts - {seconds * 1000}")
    else:
        assert isinstance(store, MemoryShard)
        now = store._clock_ms() + seconds * 1000
        store._clock_ms = lambda: now


async def test_after_their_time_messages_are_only_deleted_by_owners_and_admins(
    limited: ShardStore, database_or_memory: str | None
) -> None:
    conversation = await new_conversation(limited, "ann", "adam", "mia", admins=("adam",))
    await fill(limited, conversation, "mia", 2)
    await fill(limited, conversation, "ann", 1)
    assert await status_of(limited, edit(conversation, "mia", 1)) == "STORED"
    await pass_seconds(limited, database_or_memory, 3600)
    assert await status_of(limited, edit(conversation, "mia", 1)) == "TOO_LATE"
    assert await status_of(limited, edit(conversation, "ann", 3)) == "TOO_LATE"
    assert await status_of(limited, delete(conversation, "mia", 1)) == "TOO_LATE"
    assert await status_of(limited, delete(conversation, "adam", 1)) == "STORED"
    assert await status_of(limited, delete(conversation, "ann", 3)) == "STORED"
