"""What every shard store answers when it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.ids import new_id, private_conversation_id
from chat4all_storage.ports.shard import UNREAD_LIMIT, Conversation, MemberInfo, Membership, Range
from tests.storage.builders import (
    LARGEST,
    append,
    commit,
    events,
    fill,
    join,
    leave,
    mark,
    memberships,
    new_conversation,
    watermarks,
)

if TYPE_CHECKING:
    from chat4all_storage.ports.events import Append
    from chat4all_storage.ports.shard import ShardStore

HEAD = 10


@pytest.fixture
async def conversation(shard_store: ShardStore) -> str:
    """A conversation of ann and bob with ten events."""
    conversation = await new_conversation(shard_store, "ann", "bob")
    await fill(shard_store, conversation, "ann", HEAD)
    return conversation


async def ranges(store: ShardStore, *wanted: Range) -> list[list[int]]:
    return [[event.seq for event in found] for found in await store.history(wanted)]


async def page(
    store: ShardStore,
    conversation: str,
    *,
    after: int | None = None,
    before: int | None = None,
    limit: int = 3,
) -> list[int]:
    found = await store.page(conversation, "bob", after=after, before=before, limit=limit)
    assert found is not None
    assert found.head == HEAD
    return [event.seq for event in found.events]


# --- history --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "upto", "limit", "expected"),
    [
        (0, LARGEST, LARGEST, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (3, 6, 100, [4, 5, 6]),
        (3, 6, 2, [4, 5]),
        (3, 4, 1, [4]),
        (9, 99, 100, [10]),
        (3, 3, 100, []),
        (6, 3, 100, []),
        (10, 99, 100, []),
        (0, 10, 0, []),
        (-5, 2, 100, [1, 2]),
        (-5, -2, 100, []),
    ],
)
async def test_a_range_is_exactly_what_was_asked_for(
    shard_store: ShardStore,
    conversation: str,
    after: int,
    upto: int,
    limit: int,
    expected: list[int],
) -> None:
    assert await ranges(shard_store, Range(conversation, after, upto, limit)) == [expected]


async def test_ranges_are_answered_each_in_its_place(
    shard_store: ShardStore, conversation: str
) -> None:
    other = await new_conversation(shard_store, "ann")
    await fill(shard_store, other, "ann", 2)
    wanted = [
        Range(other, 0, 9, 9),
        Range(new_id(), 0, 9, 9),
        Range(conversation, 8, 9, 9),
        Range(other, 2, 9, 9),
        Range(conversation, 0, 2, 9),
        Range(conversation, 8, 9, 9),
    ]
    assert await ranges(shard_store, *wanted) == [[1, 2], [], [9], [], [1, 2], [9]]
    assert [event.conversation for event in (await shard_store.history(wanted))[0]] == [other] * 2


async def test_no_ranges_are_nothing(shard_store: ShardStore) -> None:
    assert await shard_store.history([]) == []


# --- pages ----------------------------------------------------------------------------------------


async def test_a_page_after_is_the_first_events_above(
    shard_store: ShardStore, conversation: str
) -> None:
    assert await page(shard_store, conversation, after=0) == [1, 2, 3]
    assert await page(shard_store, conversation, after=4) == [5, 6, 7]
    assert await page(shard_store, conversation, after=8) == [9, 10]
    assert await page(shard_store, conversation, after=10) == []
    assert await page(shard_store, conversation, after=LARGEST) == []


async def test_a_page_before_is_the_last_events_below(
    shard_store: ShardStore, conversation: str
) -> None:
    assert await page(shard_store, conversation, before=LARGEST) == [8, 9, 10]
    assert await page(shard_store, conversation, before=11) == [8, 9, 10]
    assert await page(shard_store, conversation, before=10) == [7, 8, 9]
    assert await page(shard_store, conversation, before=3) == [1, 2]
    assert await page(shard_store, conversation, before=1) == []
    assert await page(shard_store, conversation, before=0) == []


async def test_a_page_without_a_position_is_the_last_events(
    shard_store: ShardStore, conversation: str
) -> None:
    assert await page(shard_store, conversation) == [8, 9, 10]
    assert await page(shard_store, conversation, limit=99) == list(range(1, 11))


async def test_a_page_holds_the_events_of_the_history(
    shard_store: ShardStore, conversation: str
) -> None:
    found = await shard_store.page(conversation, "ann", after=None, before=None, limit=99)
    assert found is not None
    assert found.events == await events(shard_store, conversation)


async def test_only_members_are_given_pages(shard_store: ShardStore, conversation: str) -> None:
    async def sees(conversation: str, reader: str) -> bool:
        found = await shard_store.page(conversation, reader, after=0, before=None, limit=1)
        return found is not None

    assert not await sees(conversation, "carl")
    assert not await sees(new_id(), "ann")
    assert await sees(conversation, "bob")
    await commit(shard_store, leave(conversation, "bob", "bob"))
    assert not await sees(conversation, "bob")


# --- conversations --------------------------------------------------------------------------------


async def test_a_conversation_names_its_members_in_the_order_they_came(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "zoe", "ann", "mia", title="Trip")
    await commit(shard_store, leave(conversation, "zoe", "ann"))
    await commit(shard_store, join(conversation, "zoe", "bob", "admin"))
    await commit(shard_store, join(conversation, "zoe", "ann"))
    await mark(shard_store, conversation, "mia", recv=2, read=1)
    found = await shard_store.conversation(conversation)
    assert found is not None
    assert found == Conversation(
        id=conversation,
        type="group",
        title="Trip",
        created_by="zoe",
        created_at=found.created_at,
        head=3,
        members={
            "zoe": MemberInfo("owner", 0, 0),
            "mia": MemberInfo(
                "member", 2, 1, found.members["mia"].recv_at, found.members["mia"].read_at
            ),
            "bob": MemberInfo("admin", 2, 2, since=2),
            "ann": MemberInfo("member", 3, 3, since=3),
        },
    )
    assert list(found.members) == ["zoe", "mia", "bob", "ann"]


async def test_a_conversation_that_everybody_left_is_still_there(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann")
    await commit(shard_store, leave(conversation, "ann", "ann"))
    assert await watermarks(shard_store, conversation) == {}
    assert len(await events(shard_store, conversation)) == 1


async def test_there_is_no_unknown_conversation(shard_store: ShardStore) -> None:
    assert await shard_store.conversation(new_id()) is None


# --- memberships ----------------------------------------------------------------------------------


async def test_memberships_come_in_the_order_of_their_last_activity(
    shard_store: ShardStore,
) -> None:
    made = [await new_conversation(shard_store, "ann") for _ in range(3)]
    await new_conversation(shard_store, "bob")
    for conversation in made:
        await fill(shard_store, conversation, "ann", 1)
    found = await memberships(shard_store, "ann", details=9)
    # Those of the same millisecond come in the order of their ids.
    assert [mine.conversation for mine in found] == [
        mine.conversation
        for mine in sorted(found, key=lambda mine: (-mine.active_at, mine.conversation))
    ]
    assert {mine.conversation for mine in found} == set(made)
    assert await memberships(shard_store, "nobody", details=9) == []


async def test_a_membership_says_where_its_member_stands(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob", title="Trip")
    await fill(shard_store, conversation, "ann", 5)
    await mark(shard_store, conversation, "bob", recv=4, read=2)
    (mine,) = await memberships(shard_store, "bob", details=1)
    assert mine == Membership(
        conversation=conversation,
        type="group",
        title="Trip",
        head=5,
        active_at=mine.active_at,
        recv=4,
        read=2,
        unread=3,
        peer=None,
    )


async def test_unread_are_messages_of_others_after_the_last_read_one(
    shard_store: ShardStore,
) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob")
    seen: list[Append] = [append(conversation, "ann"), append(conversation, "ann")]
    counted = [append(conversation, "ann"), append(conversation, "ann", None)]
    others = [
        append(conversation, "bob"),
        append(conversation, "ann", kind="edit", target=1),
        append(conversation, "ann", kind="delete", target=1),
        append(conversation, "ann", kind="react", target=1),
        append(conversation, "ann", kind="change"),
        join(conversation, "ann", "carl"),
    ]
    await commit(shard_store, *seen, *counted, *others)
    await mark(shard_store, conversation, "bob", read=len(seen))
    (mine,) = await memberships(shard_store, "bob", details=1)
    assert mine.unread == len(counted)
    (mine,) = await memberships(shard_store, "carl", details=1)
    assert mine.unread == 0


async def test_unread_messages_are_counted_up_to_a_limit(shard_store: ShardStore) -> None:
    conversation = await new_conversation(shard_store, "ann", "bob")
    await fill(shard_store, conversation, "ann", UNREAD_LIMIT + 1)
    (mine,) = await memberships(shard_store, "bob", details=1)
    assert mine.unread == UNREAD_LIMIT
    await mark(shard_store, conversation, "bob", read=2)
    (mine,) = await memberships(shard_store, "bob", details=1)
    assert mine.unread == UNREAD_LIMIT - 1


async def test_a_private_conversation_names_the_peer(shard_store: ShardStore) -> None:
    private = private_conversation_id("ann", "bob")
    await new_conversation(shard_store, "ann", "bob", id=private, type="private")
    for user, peer in [("ann", "bob"), ("bob", "ann")]:
        (mine,) = await memberships(shard_store, user, details=1)
        assert (mine.type, mine.peer) == ("private", peer)


async def test_a_private_conversation_with_oneself_has_no_peer(shard_store: ShardStore) -> None:
    private = private_conversation_id("ann", "ann")
    await new_conversation(shard_store, "ann", id=private, type="private")
    (mine,) = await memberships(shard_store, "ann", details=1)
    assert mine.peer is None


async def test_details_are_for_the_latest_conversations_alone(shard_store: ShardStore) -> None:
    for peer in ("bob", "carl", "dora"):
        private = private_conversation_id("ann", peer)
        await new_conversation(shard_store, "ann", peer, id=private, type="private")
        await fill(shard_store, private, peer, 2)
    for details in (0, 1, 2, 3, 99):
        found = await memberships(shard_store, "ann", details=details)
        detailed = [(mine.unread, mine.peer is not None) for mine in found]
        given = min(details, 3)
        assert detailed == [(2, True)] * given + [(0, False)] * (3 - given)
        assert [mine.head for mine in found] == [2, 2, 2]


# --- acquaintances --------------------------------------------------------------------------------


async def test_acquainted_are_those_who_share_a_conversation_now(shard_store: ShardStore) -> None:
    await new_conversation(shard_store, "ann", "bob")
    group = await new_conversation(shard_store, "ann", "carl", "bob")
    await new_conversation(shard_store, "carl", "dora")
    others = ["bob", "carl", "dora", "nobody"]
    assert await shard_store.acquainted("ann", others) == {"bob", "carl"}
    assert await shard_store.acquainted("ann", []) == set()
    assert await shard_store.acquainted("nobody", others) == set()
    await commit(shard_store, leave(group, "ann", "carl"))
    assert await shard_store.acquainted("ann", others) == {"bob"}
    await commit(shard_store, join(group, "ann", "dora"))
    assert await shard_store.acquainted("ann", others) == {"bob", "dora"}
