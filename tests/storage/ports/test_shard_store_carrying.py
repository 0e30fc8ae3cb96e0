"""What every shard store tells of events that were to carry something: which bodies stand now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.ids import new_id, private_conversation_id
from chat4all_storage.ports.events import Status
from tests.storage.builders import (
    append,
    change,
    commit,
    commit_one,
    delete,
    edit,
    join,
    leave,
    new_conversation,
)

if TYPE_CHECKING:
    from chat4all_storage.ports.events import Append
    from chat4all_storage.ports.shard import ShardStore


async def said(store: ShardStore, entry: Append) -> tuple[str, str]:
    """Store an event, and how it is asked for."""
    assert (await commit_one(store, entry)).status is Status.STORED
    return entry.conversation, entry.id


async def test_the_body_of_a_message_stands_for_its_members_until_they_leave(
    shard_store: ShardStore,
) -> None:
    group = await new_conversation(shard_store, "ann", "bob")
    message = await said(shard_store, append(group, "ann", b"file"))
    for reader, found in (("ann", True), ("bob", True), ("tom", False), (None, True)):
        expected = {message: [b"file"]} if found else {}
        assert await shard_store.carrying([message], reader) == expected
    await commit(shard_store, leave(group, "ann", "bob"))
    assert await shard_store.carrying([message], "bob") == {}
    assert await shard_store.carrying([message], None) == {message: [b"file"]}


async def test_who_comes_later_reads_what_came_before(shard_store: ShardStore) -> None:
    group = await new_conversation(shard_store, "ann", "bob")
    before = await said(shard_store, append(group, "ann", b"one"))
    await commit(shard_store, leave(group, "ann", "bob"))
    for newcomer in ("bob", "carl"):
        assert await shard_store.carrying([before], newcomer) == {}
        await commit(shard_store, join(group, "ann", newcomer))
    after = await said(shard_store, append(group, "ann", b"two"))
    for reader in ("bob", "carl"):
        found = await shard_store.carrying([before, after], reader)
        assert found == {before: [b"one"], after: [b"two"]}


async def test_many_are_asked_for_together_and_what_there_is_none_of_is_left_out(
    shard_store: ShardStore,
) -> None:
    one, two = [await new_conversation(shard_store, "ann") for _ in range(2)]
    first = await said(shard_store, append(one, "ann", b"1"))
    second = await said(shard_store, append(two, "ann", b"2"))
    absent = [(one, new_id()), (new_id(), new_id()), (one, one)]
    found = await shard_store.carrying([absent[0], second, *absent[1:], first], "ann")
    assert found == {first: [b"1"], second: [b"2"]}
    assert await shard_store.carrying([], "ann") == await shard_store.carrying([], None) == {}


async def test_of_an_edited_message_only_the_last_body_stands(shard_store: ShardStore) -> None:
    group = await new_conversation(shard_store, "ann", "bob")
    message = await said(shard_store, append(group, "ann", b"text"))
    first = await said(shard_store, edit(group, "ann", 1, b"file one"))
    assert await shard_store.carrying([message, first], "bob") == {
        message: [b"file one"],
        first: [b"file one"],
    }
    second = await said(shard_store, edit(group, "ann", 1, b"file two"))
    for reader in ("bob", None):
        found = await shard_store.carrying([message, first, second], reader)
        assert set(found) == {message, first, second}
        assert all(bodies == [b"file two"] for bodies in found.values())


async def test_nothing_stands_of_a_message_that_is_emptied_nor_of_its_edits(
    shard_store: ShardStore,
) -> None:
    for how in ("deleted", "expired"):
        group = await new_conversation(shard_store, "ann")
        message = await said(shard_store, append(group, "ann", b"file"))
        edited = await said(shard_store, edit(group, "ann", 1, b"another"))
        if how == "deleted":
            gone = await said(shard_store, delete(group, "ann", 1))
        else:
            gone = await said(shard_store, change(group, "ann", retention=1))
            await shard_store.expire(100, now=2**50)
        for reader in ("ann", None):
            assert await shard_store.carrying([message, edited, gone], reader) == {}


async def test_events_of_other_kinds_carry_nothing(shard_store: ShardStore) -> None:
    group = await new_conversation(shard_store, "ann")
    await commit(shard_store, append(group, "ann"))
    reaction = await said(shard_store, append(group, "ann", b"body", kind="react", target=1))
    joined = await said(
        shard_store, append(group, "ann", b"b", kind="join", subject="x", role="member")
    )
    assert await shard_store.carrying([reaction, joined], None) == {}


async def test_each_sender_may_have_an_event_of_one_id(shard_store: ShardStore) -> None:
    group = await new_conversation(shard_store, "ann", "bob")
    id_ = new_id()
    for sender in ("ann", "bob"):
        await commit(shard_store, append(group, sender, f"of {sender}".encode(), id=id_))
    foreign = await new_conversation(shard_store, "carl")
    await commit(shard_store, append(foreign, "carl", b"of carl", id=id_))
    found = await shard_store.carrying([(group, id_)], "ann")
    assert found == {(group, id_): [b"of ann", b"of bob"]}


async def test_an_event_of_another_logical_shard_is_another_one(shard_store: ShardStore) -> None:
    group = await new_conversation(shard_store, "ann")
    _, id_ = await said(shard_store, append(group, "ann", b"file"))
    elsewhere = group[:-2] + f"{int(group[-2:], 16) ^ 1:02x}"
    assert await shard_store.carrying([(elsewhere, id_)], None) == {}
    same_shard = f"{new_id()[:-2]}{group[-2:]}"
    assert await shard_store.carrying([(same_shard, id_)], "ann") == {(same_shard, id_): [b"file"]}


@pytest.mark.parametrize("limit", [1, 100])
async def test_while_a_user_is_erased_what_others_said_stands_all_the_time(
    shard_store: ShardStore, limit: int
) -> None:
    private = private_conversation_id("zed", "bob")
    await new_conversation(shard_store, "zed", "bob", type="private", id=private)
    erased = await said(shard_store, append(private, "zed", b"zed's"))
    message = await said(shard_store, append(private, "bob", b"text"))
    edited = await said(shard_store, edit(private, "bob", 2, b"file"))
    done = False
    while not done:
        done = await shard_store.erase_user("zed", "erased:1", limit)
        found = await shard_store.carrying([message, edited], None)
        assert found == {message: [b"file"], edited: [b"file"]}
    assert await shard_store.conversation(private) is None
    everything = [erased, message, edited]
    assert await shard_store.carrying(everything, "bob") == found
    assert await shard_store.carrying(everything, "zed") == {}
