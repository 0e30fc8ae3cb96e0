"""What every shard store keeps of events that may have to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.storage.builders import (
    append,
    commit,
    commit_one,
    delete,
    edit,
    events,
    join,
    leave,
    new_conversation,
)

if TYPE_CHECKING:
    from chat4all_storage.ports.outbox import Leaving
    from chat4all_storage.ports.shard import ShardStore

WHATSAPP = "whatsapp:+5511999998888"
EVERYTHING = 100


async def leaving(store: ShardStore, conversation: str) -> list[Leaving]:
    return [row for row in await store.leaving(EVERYTHING) if row.conversation == conversation]


async def seqs(store: ShardStore, conversation: str) -> list[int]:
    return [row.seq for row in await leaving(store, conversation)]


@pytest.fixture
async def external(shard_store: ShardStore) -> str:
    return await new_conversation(shard_store, "ann", WHATSAPP)


async def test_what_is_said_among_users_does_not_leave(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob")
    await commit(
        shard_store,
        append(conversation, "ann"),
        append(conversation, "ann", channels=("internal",)),
        append(conversation, "bob", channels=()),
    )
    await commit(shard_store, edit(conversation, "ann", 1))
    assert await leaving(shard_store, conversation) == []


async def test_an_event_leaves_with_all_that_says_where_to(
    shard_store: ShardStore, external: str
) -> None:
    await commit_one(shard_store, append(external, "ann", channels=("internal", "telegram")))
    (row,) = await leaving(shard_store, external)
    assert (row.seq, row.sender, row.kind, row.target) == (1, "ann", "message", None)
    assert row.channels == ("internal", "telegram")
    assert row.members == ["ann", WHATSAPP]


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (None, None),
        ((), ("internal",)),
        (("internal",), ("internal",)),
        (("internal", "internal"), ("internal",)),
        (("all",), ("all",)),
        (("telegram:support", 'a",\n'), ("telegram:support", 'a",\n')),
    ],
)
async def test_the_choice_of_the_sender_is_told(
    shard_store: ShardStore,
    external: str,
    chosen: tuple[str, ...] | None,
    told: tuple[str, ...] | None,
) -> None:
    await commit_one(shard_store, append(external, "ann", channels=chosen))
    (row,) = await leaving(shard_store, external)
    assert row.channels == told


async def test_messages_and_what_is_done_to_them_leave_but_no_changes_of_members(
    shard_store: ShardStore, external: str
) -> None:
    await commit(shard_store, append(external, "ann"), append(external, "ann"))
    await commit(shard_store, join(external, "ann", "bob"))
    await commit(
        shard_store,
        edit(external, "ann", 1),
        delete(external, "ann", 2),
        append(external, "bob", kind="react", target=1),
    )
    await commit(shard_store, leave(external, "ann", "bob"))
    found = await leaving(shard_store, external)
    assert [(row.seq, row.kind, row.target) for row in found] == [
        (1, "message", None),
        (2, "message", None),
        (4, "edit", 1),
        (5, "delete", 2),
        (6, "react", 1),
    ]


async def test_what_was_not_stored_does_not_leave(shard_store: ShardStore, external: str) -> None:
    message = append(external, "ann")
    await commit(shard_store, message, append(external, "stranger"))
    await commit(shard_store, message)
    assert await seqs(shard_store, external) == [1]


async def test_a_conversation_is_external_from_when_somebody_external_came_in(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await commit(shard_store, append(conversation, "ann"))
    await commit(shard_store, join(conversation, "ann", WHATSAPP))
    await commit(shard_store, append(conversation, "ann"))
    await commit(shard_store, leave(conversation, "ann", WHATSAPP))
    await commit(shard_store, append(conversation, "ann"))
    assert await seqs(shard_store, conversation) == [3, 5]


async def test_a_conversation_is_external_after_an_event_that_named_a_channel(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob")
    named = append(conversation, "ann", channels=("telegram",))
    await commit(shard_store, append(conversation, "ann"), named, append(conversation, "ann"))
    await commit(shard_store, append(conversation, "bob"))
    assert await seqs(shard_store, conversation) == [2, 4]


async def test_a_refused_event_makes_no_conversation_external(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await commit(shard_store, append(conversation, "stranger", channels=("telegram",)))
    await commit(shard_store, append(conversation, "ann"))
    assert await seqs(shard_store, conversation) == []


async def test_rows_go_when_they_are_routed_however_often(
    shard_store: ShardStore, external: str
) -> None:
    await commit(shard_store, *(append(external, "ann") for _ in range(3)))
    first, *_ = await leaving(shard_store, external)
    await shard_store.routed([first.id])
    await shard_store.routed([first.id])
    await shard_store.routed([])
    assert await seqs(shard_store, external) == [2, 3]


async def test_the_oldest_come_first_and_no_more_than_asked_for(shard_store: ShardStore) -> None:
    one, other = [await new_conversation(shard_store, "ann", WHATSAPP) for _ in range(2)]
    for conversation in (one, other, one):
        await commit(shard_store, append(conversation, "ann"))
    found = await shard_store.leaving(2)
    assert [(row.conversation, row.seq) for row in found] == [(one, 1), (other, 1)]


async def test_an_event_tells_through_which_channel_it_came(
    shard_store: ShardStore, external: str
) -> None:
    await commit(
        shard_store, append(external, WHATSAPP, channel="whatsapp"), append(external, "ann")
    )
    assert [event.channel for event in await events(shard_store, external)] == ["whatsapp", None]


async def test_of_private_conversations_of_an_erased_user_nothing_leaves(
    shard_store: ShardStore,
) -> None:
    private = await new_conversation(shard_store, "ann", WHATSAPP, type="private")
    group = await new_conversation(shard_store, "bob", "ann", WHATSAPP)
    await commit(shard_store, append(private, "ann"), append(group, "ann"), append(group, "bob"))
    while not await shard_store.erase_user("ann", "someone", 100):
        pass
    found = await shard_store.leaving(EVERYTHING)
    assert [(row.conversation, row.sender) for row in found] == [
        (group, "someone"),
        (group, "bob"),
    ]
