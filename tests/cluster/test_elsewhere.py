"""What happened on other nodes, as the conversations alive here take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.cluster.elsewhere import RETRY_MAX, Elsewhere
from chat4all_actors.conversation.actor import MAX_RELAYED
from chat4all_actors.wire import framed, message
from chat4all_protocol.codec import encode_body
from chat4all_protocol.frames import Conv, Create, FileProgress, Gap, MemberBody, Msg, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append
from chat4all_storage.ports.logical_shards import logical_shard
from chat4all_storage.ports.shard import Range

from ..actors.harness import Person, person, running_node

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

    from chat4all_actors.node import Node
    from chat4all_protocol.frames import ConversationType
    from chat4all_storage.ports.shard import Conversation


def join(conv: str, user: str, by: str = "bob") -> Append:
    body = encode_body(MemberBody(user, "member"))
    return Append(conv, by, new_id(), "join", body, 0, subject=user, role="member")


class Scene:
    """A node with one conversation, to which another node writes."""

    def __init__(self, node: Node, ana: Person, conv: str) -> None:
        self.node = node
        self.ana = ana
        self.conv = conv
        self.store = node._storage.shards.of(conv)
        self.elsewhere = Elsewhere(node.conversations)

    async def store_elsewhere(self, words: str) -> None:
        body = encode_body(TextBody(words))
        await self.store.commit([Append(self.conv, "bob", new_id(), "message", body, 0)], [])

    async def relay(self, first: int, last: int) -> None:
        (events,) = await self.store.history([Range(self.conv, first - 1, last, 100)])
        senders = [event.sender for event in events]
        self.elsewhere.events(
            self.conv, first, senders, [framed(message(event)) for event in events]
        )
        await trio.testing.wait_all_tasks_blocked()

    def heard(self) -> list[int]:
        return [msg.seq for msg in self.ana.outlet.of(Msg)]


async def scene_of(node: Node, events: int, type_: ConversationType = "private") -> Scene:
    ana = await person(node, "ana")
    await ana.say(Create(rid=1, type=type_, members=["bob"]))
    scene = Scene(node, ana, ana.outlet.of(Conv)[0].conv)
    for number in range(events):
        await scene.store_elsewhere(str(number))
    return scene


async def test_events_are_passed_once_however_often_they_come(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        scene = await scene_of(node, 3)
        for first, last in ((1, 2), (1, 2), (2, 3)):
            await scene.relay(first, last)
        scene.elsewhere.stands(scene.conv, 3)
        await trio.testing.wait_all_tasks_blocked()
        assert scene.heard() == [1, 2, 3]


async def test_what_is_missing_before_them_is_read_from_the_store(
    autojump_clock: MockClock,
) -> None:
    async with running_node() as node:
        scene = await scene_of(node, 3)
        await scene.relay(3, 3)
        assert scene.heard() == []
        await trio.sleep(0.1)
        assert scene.heard() == [1, 2, 3]


async def test_a_conversation_with_too_much_waiting_reads_it_later(
    autojump_clock: MockClock,
) -> None:
    async with running_node() as node:
        scene = await scene_of(node, 2)
        actor = node.conversations.get(scene.conv)
        assert actor is not None
        actor.relayed_bytes = MAX_RELAYED + 1
        await scene.relay(1, 2)
        assert scene.heard() == [1, 2]
        assert actor.relayed_bytes == MAX_RELAYED + 1


async def test_what_nobody_reads_here_changes_nothing(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        elsewhere, unknown = Elsewhere(node.conversations), new_id()
        elsewhere.events(unknown, 1, ["bob"], [b""])
        elsewhere.stands(unknown, 1)
        elsewhere.marks(unknown, [])
        elsewhere.composes(unknown, "bob", "text")
        elsewhere.introduce(unknown, 0, ["nobody"])
        await trio.testing.wait_all_tasks_blocked()
        assert node.conversations.alive() == []


async def test_a_user_who_is_told_something_elsewhere_learns_it_here(
    autojump_clock: MockClock,
) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        news = FileProgress(new_id(), "ready", 9, 9, "plan.png", "image/png")
        Elsewhere(node.conversations).tells("ana", framed(news))
        assert ana.outlet.of(FileProgress) == [news]
        assert bob.outlet.of(FileProgress) == []


async def test_who_came_in_elsewhere_is_introduced_where_it_starts_and_told_of_the_rest(
    autojump_clock: MockClock,
) -> None:
    async with running_node() as node:
        carla, conv = await person(node, "carla"), new_id()
        store = node._storage.shards.of(conv)
        await store.create(conv, "group", "title", "bob", {"bob": "owner", "carla": "member"})
        body = encode_body(TextBody("hello"))
        await store.commit([Append(conv, "bob", new_id(), "message", body, 0)], [])
        for _ in range(2):
            Elsewhere(node.conversations).introduce(conv, 0, ["bob", "carla"])
            await trio.testing.wait_all_tasks_blocked()
        (introduced,) = carla.outlet.of(Conv)
        assert (introduced.conv, introduced.head) == (conv, 0)
        assert [(gap.from_, gap.to) for gap in carla.outlet.of(Gap)] == [(1, 1)]


async def test_members_are_not_known_worse_by_an_introduction_that_took_long(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_node() as node:
        await person(node, "bob")
        carla, conv = await person(node, "carla"), new_id()
        store, elsewhere = node._storage.shards.of(conv), Elsewhere(node.conversations)
        await store.create(conv, "group", None, "bob", {"bob": "owner", "carla": "member"})
        elsewhere.introduce(conv, 0, ["bob"])
        await trio.testing.wait_all_tasks_blocked()
        read = node._storage.shards.conversation

        async def slowly(id_: str) -> Conversation | None:
            monkeypatch.undo()
            stored = await read(id_)
            await trio.sleep(0.1)  # the journal has not been looked at meanwhile
            return stored

        monkeypatch.setattr(node._storage.shards, "conversation", slowly)
        elsewhere.introduce(conv, 0, ["carla"])
        await trio.testing.wait_all_tasks_blocked()
        await store.commit([join(conv, "ana")], [])
        elsewhere.stands(conv, 1)
        await trio.sleep(0.5)
        actor = node.conversations.get(conv)
        assert actor is not None
        assert set(actor.members or ()) == {"ana", "bob", "carla"}
        assert [frame.head for frame in carla.outlet.of(Conv)] == [0]


async def test_who_came_in_before_the_conversation_came_alive_here_is_introduced(
    autojump_clock: MockClock,
) -> None:
    async with running_node() as node:
        carla, conv = await person(node, "carla"), new_id()
        store, elsewhere = node._storage.shards.of(conv), Elsewhere(node.conversations)
        await store.create(conv, "group", None, "bob", {"bob": "owner"})
        await store.commit([join(conv, "carla")], [])
        bob = await person(node, "bob")  # from here on it is alive, and past the event
        for _ in range(2):
            elsewhere.stands(conv, 1)
            elsewhere.introduce(conv, 1, ["carla"])
            await trio.testing.wait_all_tasks_blocked()
        assert [frame.head for frame in carla.outlet.of(Conv)] == [1]
        assert carla.outlet.of(Gap) == []
        assert bob.outlet.of(Conv) == []  # it was in `ready`


async def test_who_comes_in_with_an_event_that_is_still_to_be_passed_is_let_in_once(
    autojump_clock: MockClock,
) -> None:
    async with running_node() as node:
        scene, carla = await scene_of(node, 0, "group"), await person(node, "carla")
        await scene.store_elsewhere("before")
        await scene.store.commit([join(scene.conv, "carla", by="ana")], [])
        await scene.store_elsewhere("after")
        scene.elsewhere.introduce(scene.conv, 2, ["carla"])
        await trio.testing.wait_all_tasks_blocked()
        scene.elsewhere.introduce(scene.conv, 2, ["carla"])  # the journal says so too
        scene.elsewhere.stands(scene.conv, 3)
        await trio.testing.wait_all_tasks_blocked()
        assert [frame.head for frame in carla.outlet.of(Conv)] == [2]
        assert [msg.seq for msg in carla.outlet.of(Msg)] == [3]


async def test_an_introduction_waits_for_the_store(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_node() as node:
        carla, conv = await person(node, "carla"), new_id()
        store, elsewhere = node._storage.shards.of(conv), Elsewhere(node.conversations)
        await store.create(conv, "group", None, "bob", {"bob": "owner", "carla": "member"})

        async def fail(id_: str) -> Conversation | None:
            raise Unavailable("gone")

        with monkeypatch.context() as patch:
            patch.setattr(node._storage.shards, "conversation", fail)
            for _ in range(3):
                elsewhere.introduce(conv, 0, ["carla"])
                await trio.sleep(10)
            assert carla.outlet.of(Conv) == []
        await trio.sleep(2 * RETRY_MAX)
        assert [frame.conv for frame in carla.outlet.of(Conv)] == [conv]


async def test_a_session_that_lacks_the_shard_is_not_introduced(
    autojump_clock: MockClock,
) -> None:
    async with running_node() as node:
        phone, conv = await person(node, "carla", "phone"), new_id()
        laptop = await person(node, "carla", "laptop")
        laptop.session.missing = frozenset({logical_shard(conv)})
        store = node._storage.shards.of(conv)
        await store.create(conv, "group", None, "bob", {"bob": "owner", "carla": "member"})
        Elsewhere(node.conversations).introduce(conv, 0, ["carla"])
        await trio.testing.wait_all_tasks_blocked()
        assert [frame.conv for frame in phone.outlet.of(Conv)] == [conv]
        assert laptop.outlet.of(Conv) == []


async def test_who_is_no_member_any_more_is_not_introduced(autojump_clock: MockClock) -> None:
    async with running_node() as node:
        carla, conv = await person(node, "carla"), new_id()
        await node._storage.shards.of(conv).create(conv, "group", None, "bob", {"bob": "owner"})
        Elsewhere(node.conversations).introduce(conv, 0, ["carla"])
        await trio.testing.wait_all_tasks_blocked()
        assert carla.outlet.of(Conv) == []
