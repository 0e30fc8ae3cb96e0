"""What every shard store does with appends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from chat4all_protocol.ids import new_id
from chat4all_storage.ports.events import CommitResult, Outcome, Status, StoredEvent
from tests.storage.builders import (
    LARGEST,
    MEMBER_LIMIT,
    append,
    commit,
    commit_one,
    events,
    fill,
    join,
    leave,
    memberships,
    new_conversation,
    watermarks,
)

if TYPE_CHECKING:
    from chat4all_protocol.frames import Kind
    from chat4all_storage.ports.shard import ShardStore


async def test_an_empty_batch_is_nothing(shard_store: ShardStore) -> None:
    assert await shard_store.commit([], []) == CommitResult([], [])


async def test_events_are_numbered_from_one_in_the_order_of_the_batch(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob")
    batch = [append(conversation, sender, body) for sender, body in [("ann", b"1"), ("bob", b"2")]]
    outcomes = await commit(shard_store, *batch)
    assert [(outcome.status, outcome.seq) for outcome in outcomes] == [
        (Status.STORED, 1),
        (Status.STORED, 2),
    ]
    assert (await commit_one(shard_store, append(conversation, "ann"))).seq == 3


async def test_conversations_of_one_batch_are_numbered_each_by_itself(
    shard_store: ShardStore,
) -> None:
    one, other = [await new_conversation(shard_store, "ann") for _ in range(2)]
    await fill(shard_store, one, "ann", 5)
    outcomes = await commit(
        shard_store, *(append(conversation, "ann") for conversation in (one, other, one, other))
    )
    assert [outcome.seq for outcome in outcomes] == [6, 1, 7, 2]


async def test_what_is_refused_takes_no_number(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    first = append(conversation, "ann", b"first")
    await commit(shard_store, first)
    outcomes = await commit(
        shard_store,
        append(conversation, "stranger"),
        append(conversation, "ann"),
        first,
        append(conversation, "ann", reply_to=99),
        append(conversation, "ann"),
        join(conversation, "ann", "ann"),
    )
    assert [(outcome.status, outcome.seq) for outcome in outcomes] == [
        (Status.NOT_MEMBER, 0),
        (Status.STORED, 2),
        (Status.DUPLICATE, 1),
        (Status.BAD_REFERENCE, 0),
        (Status.STORED, 3),
        (Status.ALREADY_MEMBER, 0),
    ]
    assert [event.seq for event in await events(shard_store, conversation)] == [1, 2, 3]


async def test_everything_the_sender_wrote_is_stored(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await fill(shard_store, conversation, "ann", 3)
    entry = append(conversation, "ann", b"b", reply_to=3, target=2, meta=b"m")
    outcome = await commit_one(shard_store, entry)
    assert (await events(shard_store, conversation))[-1] == StoredEvent(
        conversation=conversation,
        seq=4,
        id=entry.id,
        sender="ann",
        kind="message",
        ts=outcome.ts,
        body=b"b",
        reply_to=3,
        target=2,
        meta=b"m",
        channel=None,
        deleted=False,
    )


@pytest.mark.parametrize("kind", ["message", "edit", "delete", "react", "change"])
async def test_the_kind_is_kept(shard_store: ShardStore, kind: Kind) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await fill(shard_store, conversation, "ann", 1)
    await commit(shard_store, append(conversation, "ann", kind=kind, target=1))
    assert [event.kind for event in await events(shard_store, conversation)] == ["message", kind]


@pytest.mark.parametrize(
    "data",
    [None, b"", b"\0", bytes(range(256)), "\ud7ff\ue000\U0010ffff e\u0301 \u202e".encode()],
    ids=["none", "empty", "NUL", "all bytes", "odd characters"],
)
async def test_bodies_and_meta_are_bytes_of_any_kind(
    shard_store: ShardStore, data: bytes | None
) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await commit(shard_store, append(conversation, "ann", data, meta=data))
    (event,) = await events(shard_store, conversation)
    assert (event.body, event.meta) == (data, data)


@pytest.mark.parametrize("number", [-LARGEST - 1, -1, 0, LARGEST])
async def test_digests_and_targets_use_all_64_bits(shard_store: ShardStore, number: int) -> None:
    conversation = await new_conversation(shard_store, "ann")
    entry = replace(append(conversation, "ann", target=number), digest=number)
    first, again = await commit(shard_store, entry), await commit(shard_store, entry)
    assert [outcome.status for outcome in first + again] == [Status.STORED, Status.DUPLICATE]
    assert (await events(shard_store, conversation))[0].target == number


# --- repeating ------------------------------------------------------------------------------------


async def test_a_retry_is_told_where_the_event_stands(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob")
    entry = append(conversation, "ann")
    stored = await commit_one(shard_store, entry)
    await fill(shard_store, conversation, "bob", 3)
    assert await commit_one(shard_store, entry) == Outcome(Status.DUPLICATE, stored.seq, stored.ts)
    assert len(await events(shard_store, conversation)) == 4


async def test_the_same_id_with_other_content_is_a_conflict(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    entry = append(conversation, "ann", b"one")
    await commit(shard_store, entry)
    other = append(conversation, "ann", b"other", id=entry.id)
    assert await commit_one(shard_store, other) == Outcome(Status.CONFLICT)
    assert [event.body for event in await events(shard_store, conversation)] == [b"one"]


async def test_an_id_belongs_to_its_sender_and_conversation(shard_store: ShardStore) -> None:
    one, other = [await new_conversation(shard_store, "ann", "bob") for _ in range(2)]
    id_ = new_id()
    places = [(one, "ann"), (one, "bob"), (other, "ann")]
    outcomes = await commit(shard_store, *(append(*place, id=id_) for place in places))
    assert [outcome.status for outcome in outcomes] == [Status.STORED] * 3


async def test_a_former_member_still_learns_what_became_of_its_events(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob")
    entry = append(conversation, "bob", b"one")
    stored = await commit_one(shard_store, entry)
    await commit(shard_store, leave(conversation, "ann", "bob"))
    outcomes = await commit(
        shard_store,
        entry,
        append(conversation, "bob"),
    )
    assert outcomes == [
        Outcome(Status.DUPLICATE, stored.seq, stored.ts),
        Outcome(Status.NOT_MEMBER),
    ]
    conflict = append(conversation, "bob", b"other", id=entry.id)
    assert await commit_one(shard_store, conflict) == Outcome(Status.CONFLICT)


async def test_a_refused_id_can_be_used_again(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    entry = append(conversation, "bob")
    assert (await commit_one(shard_store, entry)).status is Status.NOT_MEMBER
    await commit(shard_store, join(conversation, "ann", "bob"))
    assert (await commit_one(shard_store, entry)).status is Status.STORED


async def test_a_retried_join_or_leave_changes_nothing_more(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    came, left = join(conversation, "ann", "bob"), leave(conversation, "ann", "bob")
    for entry in (came, left):
        await commit(shard_store, entry)
    assert (await commit_one(shard_store, came)).status is Status.DUPLICATE
    assert list(await watermarks(shard_store, conversation)) == ["ann"]
    await commit(shard_store, join(conversation, "ann", "bob"))
    assert (await commit_one(shard_store, left)).status is Status.DUPLICATE
    assert list(await watermarks(shard_store, conversation)) == ["ann", "bob"]


# --- refusing -------------------------------------------------------------------------------------


async def test_a_missing_conversation_looks_like_a_foreign_one(shard_store: ShardStore) -> None:
    foreign = await new_conversation(shard_store, "ann")
    await fill(shard_store, foreign, "ann", 1)
    for conversation in (foreign, new_id()):
        outcomes = await commit(
            shard_store,
            append(conversation, "bob"),
            append(conversation, "bob", reply_to=1),
            append(conversation, "bob", reply_to=99),
            join(conversation, "bob", "bob"),
        )
        assert outcomes == [Outcome(Status.NOT_MEMBER)] * 4


async def test_a_reply_is_to_an_event_that_stood_before_the_batch(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await fill(shard_store, conversation, "ann", 2)
    outcomes = await commit(
        shard_store,
        *(append(conversation, "ann", reply_to=seq) for seq in (1, 2, 3, LARGEST, 0, -1)),
    )
    assert [outcome.status for outcome in outcomes] == [
        Status.STORED,
        Status.STORED,
        Status.BAD_REFERENCE,
        Status.BAD_REFERENCE,
        Status.BAD_REFERENCE,
        Status.BAD_REFERENCE,
    ]


async def test_members_come_and_go_with_the_commit(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await fill(shard_store, conversation, "ann", 2)
    assert (await commit_one(shard_store, join(conversation, "ann", "bob", "admin"))).seq == 3
    found = await shard_store.conversation(conversation)
    assert found is not None
    assert found.members["bob"].role == "admin"
    assert (await commit_one(shard_store, append(conversation, "bob"))).seq == 4
    assert (await commit_one(shard_store, leave(conversation, "bob", "bob"))).seq == 5
    assert list(await watermarks(shard_store, conversation)) == ["ann"]


async def test_whoever_joins_has_read_everything_up_to_the_join(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await fill(shard_store, conversation, "ann", 2)
    await commit(shard_store, append(conversation, "ann"), join(conversation, "ann", "bob"))
    assert await watermarks(shard_store, conversation) == {"ann": (0, 0), "bob": (4, 4)}


async def test_changes_of_members_that_change_nothing_are_refused(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob")
    refused = await commit_one(shard_store, join(conversation, "ann", "bob", "admin"))
    assert refused == Outcome(Status.ALREADY_MEMBER)
    refused = await commit_one(shard_store, leave(conversation, "ann", "carl"))
    assert refused == Outcome(Status.NO_SUCH_MEMBER)
    found = await shard_store.conversation(conversation)
    assert found is not None
    assert {name: member.role for name, member in found.members.items()} == {
        "ann": "owner",
        "bob": "member",
    }


async def test_a_full_conversation_takes_nobody_until_somebody_leaves(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann")
    for number in range(1, MEMBER_LIMIT):
        outcome = await commit_one(shard_store, join(conversation, "ann", f"guest-{number}"))
        assert outcome.status is Status.STORED
    late = join(conversation, "ann", "late")
    assert await commit_one(shard_store, late) == Outcome(Status.FULL)
    await commit(shard_store, leave(conversation, "guest-1", "guest-1"))
    assert (await commit_one(shard_store, late)).status is Status.STORED
    assert list(await watermarks(shard_store, conversation)) == [
        "ann",
        "guest-2",
        "guest-3",
        "late",
    ]


async def test_an_event_before_a_leave_of_the_same_batch_is_stored(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob")
    outcomes = await commit(
        shard_store, append(conversation, "bob"), leave(conversation, "bob", "bob")
    )
    assert [(outcome.status, outcome.seq) for outcome in outcomes] == [
        (Status.STORED, 1),
        (Status.STORED, 2),
    ]


async def test_the_head_and_the_activity_follow_the_last_event(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    outcomes = await commit(shard_store, *(append(conversation, "ann") for _ in range(3)))
    (mine,) = await memberships(shard_store, "ann", details=0)
    assert (mine.head, mine.active_at) == (3, outcomes[-1].ts)


async def test_times_never_go_back_along_the_log(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    created = await shard_store.conversation(conversation)
    assert created is not None
    for _ in range(3):
        await fill(shard_store, conversation, "ann", 3)
    times = [event.ts for event in await events(shard_store, conversation)]
    assert times == sorted(times)
    assert times[0] >= created.created_at


async def test_what_one_node_commits_another_one_continues(
    shard_stores: tuple[ShardStore, ShardStore],
) -> None:
    one, other = shard_stores
    conversation = await new_conversation(one, "ann")
    entry = append(conversation, "ann")
    stored = await commit_one(one, entry)
    assert await commit_one(other, entry) == Outcome(Status.DUPLICATE, 1, stored.ts)
    assert (await commit_one(other, append(conversation, "ann"))).seq == 2
    assert (await commit_one(one, append(conversation, "ann"))).seq == 3
    assert await events(one, conversation) == await events(other, conversation)
