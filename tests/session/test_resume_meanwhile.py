"""What happens to a conversation while the `connect` of one of its members is being answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_actors.conversation import appends
from chat4all_protocol.frames import Conv, Create, Gap, Hello, Msg, Ready, Send, TextBody
from chat4all_protocol.ids import new_id

from ..actors.harness import Person, memory_with_users, person, running_node
from ..conversation.test_posts import Inbox
from .test_resume import During, group

if TYPE_CHECKING:
    from chat4all_actors.node import Node
    from chat4all_storage.ports.events import Append
    from chat4all_storage.ports.shard import Range
    from chat4all_storage.storage import Storage


async def post(node: Node, change: Append) -> None:
    await node.conversations.post(change, Inbox())
    await trio.testing.wait_all_tasks_blocked()


async def asleep(storage: Storage) -> str:
    """A conversation of Ana and Bob that nobody reads."""
    conv = new_id()
    await storage.shards.create(conv, "group", "t", "ana", {"ana": "owner", "bob": "member"})
    return conv


def words(conv: str) -> Append:
    return appends.message(conv, "ana", new_id(), TextBody("hi"))


@pytest.mark.parametrize("removed", [False, True])
async def test_a_membership_read_before_its_conversation_woke_here_is_read_again(
    monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        conv = await asleep(storage)
        await storage.shards.of(conv).commit([words(conv)], [])
        elsewhere = appends.leave(conv, "ana", new_id(), "bob") if removed else words(conv)

        async def act() -> None:
            await storage.shards.of(conv).commit([elsewhere], [])
            await post(node, words(conv))

        During(monkeypatch, storage, act)
        bob = await person(node, "bob", cursors={conv: 1})
        assert bob.outlet.of(Ready)[0].convs == []
        await post(node, words(conv))
        told = [(type(frame).__name__) for frame in bob.outlet.taken[2:]]
        if removed:
            assert told == []
        else:
            assert told == ["Conv", "Gap", "Msg"]
            assert bob.outlet.of(Conv)[0].head == 1
            assert [(gap.from_, gap.to) for gap in bob.outlet.of(Gap)] == [(2, 3)]
            assert bob.outlet.of(Msg)[0].seq == 4


async def test_who_is_added_while_connecting_and_missed_nothing_is_told_of_no_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=0, type="group", members=[], title="t"))
        conv = ana.outlet.of(Conv)[-1].conv
        join = appends.join(conv, "ana", new_id(), "bob", "member")
        During(monkeypatch, storage, lambda: post(node, join))
        bob = await person(node, "bob")
        assert [type(frame) for frame in bob.outlet.taken] == [Hello, Ready, Conv]
        assert bob.outlet.of(Conv)[0].head == 1


async def test_who_is_added_to_several_while_connecting_is_introduced_to_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        for _ in range(2):
            await ana.say(Create(rid=0, type="group", members=[], title="t"))
        convs = [conv.conv for conv in ana.outlet.of(Conv)]

        async def add() -> None:
            for conv in convs:
                await post(node, appends.join(conv, "ana", new_id(), "bob", "member"))

        During(monkeypatch, storage, add)
        bob = await person(node, "bob", cursors=dict.fromkeys(convs, 0))
        assert [(conv.conv, conv.head) for conv in bob.outlet.of(Conv)] == [(c, 0) for c in convs]
        assert [(one.conv, one.seq) for one in bob.outlet.of(Msg)] == [(conv, 1) for conv in convs]


async def test_of_very_much_that_is_stored_while_the_store_is_asked_the_rest_is_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        conv = await group(ana, 1)

        async def speak() -> None:
            for rid in range(101):
                await ana.say(Send(rid=rid, conv=conv, id=new_id(), body=TextBody("hi")))

        During(monkeypatch, storage, speak)
        bob = await person(node, "bob", cursors={conv: 1})
        assert [one.seq for one in bob.outlet.of(Msg)] == list(range(2, 102))
        assert [(gap.from_, gap.to) for gap in bob.outlet.of(Gap)] == [(102, 102)]


async def test_what_the_store_has_and_this_node_has_not_passed_yet_is_told_once() -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        conv = await group(ana, 2)
        await storage.shards.of(conv).commit([words(conv)], [])
        bob = await person(node, "bob", cursors={conv: 0})
        assert bob.outlet.of(Ready)[0].convs[0].head == 2
        await ana.say(Send(rid=9, conv=conv, id=new_id(), body=TextBody("hi")))
        assert [one.seq for one in bob.outlet.of(Msg)] == [1, 2, 3, 4]


async def test_who_is_removed_while_its_replay_waits_for_room_is_told_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_node() as node:
        conv = await group(await person(node, "ana"), 2)
        bob = Person(node)

        async def room(below: int) -> None:
            if not bob.outlet.of(Conv):
                await post(node, appends.leave(conv, "ana", new_id(), "bob"))

        monkeypatch.setattr(bob.outlet, "room", room)
        await bob.connect("bob", cursors={conv: 0})
        assert [type(frame) for frame in bob.outlet.taken] == [Hello, Ready, Conv]
        assert bob.outlet.of(Conv)[0].left


@pytest.mark.parametrize("waits_for", ["the store", "room"])
async def test_who_is_removed_while_the_rest_of_its_replay_is_read_is_told_nothing_more(
    monkeypatch: pytest.MonkeyPatch, waits_for: str
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        conv = await group(ana, 1)
        bob = Person(node)
        (store,) = storage.shards.all
        history = store.history
        told: list[int] = []

        async def remove() -> None:
            if not bob.outlet.of(Conv):
                told.append(len(bob.outlet.taken))
                await post(node, appends.leave(conv, "ana", new_id(), "bob"))

        async def slow(ranges: list[Range]) -> object:
            found = await history(ranges)
            if any(each.conversation == conv for each in ranges):
                if waits_for == "room":
                    monkeypatch.setattr(bob.outlet, "room", lambda below: remove())
                else:
                    await remove()
            return found

        async def speak() -> None:
            await ana.say(Send(rid=9, conv=conv, id=new_id(), body=TextBody("meanwhile")))
            monkeypatch.setattr(store, "history", slow)

        During(monkeypatch, storage, speak)
        await bob.connect("bob", cursors={conv: 0})
        (before,) = told
        assert [one.seq for one in bob.outlet.of(Msg)] == [1]
        assert [type(frame) for frame in bob.outlet.taken[before:]] == [Conv]
