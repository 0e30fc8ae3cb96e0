from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.codec import encode_body
from chat4all_protocol.frames import Conv, Create, Msg, Receipt, Recv, Send, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.events import Append, Mark

from ..actors.harness import person, running_node
from .test_posts import Inbox

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_conversation_lives_as_long_as_somebody_reads_it(
    autojump_clock: MockClock,
) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        conv = ana.outlet.of(Conv)[0].conv
        await ana.say(Send(rid=2, conv=conv, id=new_id(), body=TextBody("hi")))
        await bob.say(Recv(conv=conv, seq=1))
        ana.session.ended()
        assert len(node.conversations) == 1
        bob.session.ended()
        await trio.sleep(5)  # until its watermarks may be written again
        assert len(node.conversations) == 0


async def test_a_conversation_that_fails_sends_its_readers_to_connect_again() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        carla = await person(node, "carla")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        conv = node.conversations.read_by(ana.outlet.of(Conv)[0].conv, ana.session)
        assert conv is not None
        conv.tell_nowait("no message")  # type: ignore[arg-type]
        await trio.testing.wait_all_tasks_blocked()
        assert [p.outlet.closed is not None for p in (ana, bob, carla)] == [True, True, False]
        assert len(node.conversations) == 0


async def test_what_nobody_reads_here_can_be_left_and_marked() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        node.conversations.leave(new_id(), ana.session)
        node.conversations.marked(Mark(new_id(), "ana", 1, 1))
        assert node.conversations.alive() == []


async def test_who_does_not_read_a_conversation_may_leave_it() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conversation = node.conversations.enter(new_id(), 0, "group", ana.session)
        node.conversations.leave(conversation.id, bob.session)
        assert list(conversation.readers) == [ana.session]


async def test_watermarks_of_somebody_without_a_session_are_shown_the_others() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        node.conversations.marked(Mark(ana.outlet.of(Conv)[0].conv, "bob", 2, 1))
        await trio.testing.wait_all_tasks_blocked()
        (shown,) = ana.outlet.of(Receipt)
        assert (shown.user, shown.recv, shown.read) == ("bob", 2, 1)


async def test_a_conversation_tells_what_was_stored_before_it_woke() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        id_ = new_id()
        assert not node.conversations.unseen(id_, 0)
        node.conversations.enter(id_, 3, "group", ana.session)
        assert [node.conversations.unseen(id_, head) for head in (2, 3)] == [True, False]


async def test_a_member_who_is_not_known_here_yet_is_let_in_and_told() -> None:
    async with running_node() as node:
        bob, carla, id_ = await person(node, "bob"), await person(node, "carla"), new_id()
        store = node.conversations.shards.of(id_)
        await store.create(id_, "group", "t", "ana", {"ana": "owner", "bob": "member"})
        for who, there in ((bob, True), (bob, True), (carla, False)):
            found = await node.conversations.reach(id_, who.session)
            assert (found is not None) is there
        assert [(conv.conv, conv.head) for conv in bob.outlet.of(Conv)] == [(id_, 0)]
        assert carla.outlet.of(Conv) == []
        assert await node.conversations.reach(new_id(), bob.session) is None


async def test_a_pair_that_is_reached_is_a_pair() -> None:
    async with running_node() as node:
        pair, _ = await node.conversations.create("private", "ana", ["bob"], None)
        ana = await person(node, "ana")
        node.conversations.leave(pair.id, ana.session)
        assert node.conversations.alive() == []
        conversation = await node.conversations.reach(pair.id, ana.session)
        assert conversation is not None
        assert conversation.private


async def test_who_was_a_member_before_the_members_changed_is_not_let_in() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        id_ = new_id()
        store = node.conversations.shards.of(id_)
        await store.create(id_, "group", "t", "ana", {"ana": "owner", "bob": "member"})
        conversation = node.conversations.enter(id_, 0, "group", ana.session)
        conversation.changed_at = 1
        assert await node.conversations.reach(id_, bob.session) is conversation
        assert bob.outlet.of(Conv) == []


async def test_what_an_ended_conversation_could_not_pass_the_next_one_reads() -> None:
    async with running_node() as node:
        ana, id_ = await person(node, "ana"), new_id()
        store = node.conversations.shards.of(id_)
        await store.create(id_, "group", "t", "ana", {"ana": "owner"})
        node.conversations.overtaken(id_, 1)
        body = encode_body(TextBody("hi"))
        await store.commit([Append(id_, "ana", new_id(), "message", body, 1)], [])
        node.conversations.enter(id_, 0, "group", ana.session)
        assert ana.outlet.of(Msg) == []
        node.conversations.overtaken(id_, 1)
        await trio.testing.wait_all_tasks_blocked()
        assert [msg.seq for msg in ana.outlet.of(Msg)] == [1]


@pytest.mark.parametrize("missed", ["it came and went", "it had gone, and its log stored more"])
async def test_a_conversation_is_woken_behind_what_a_read_has_missed(missed: str) -> None:
    async with running_node() as node:
        ana, id_ = await person(node, "ana"), new_id()
        conversations = node.conversations
        store = conversations.shards.of(id_)
        await store.create(id_, "group", "t", "ana", {"ana": "owner"})
        body = encode_body(TextBody("hi"))
        await store.commit([Append(id_, "ana", new_id(), "message", body, 1)], [])
        with conversations.heads.reading():
            if missed == "it came and went":
                conversations.enter(id_, 1, "group", ana.session)
                conversations.leave(id_, ana.session)
            else:
                conversations.overtaken(id_, 1)
            conversation = conversations.enter(id_, 0, "group", ana.session)
            await trio.testing.wait_all_tasks_blocked()
        assert (conversation.born, conversation.head) == (0, 1)
        assert [msg.seq for msg in ana.outlet.of(Msg)] == [1]


async def test_a_conversation_that_asks_is_told_its_members() -> None:
    async with running_node() as node:
        ana, id_ = await person(node, "ana"), new_id()
        await node.conversations.shards.of(id_).create(
            id_, "group", "t", "ana", {"ana": "owner", "bob": "member"}
        )
        conversation = node.conversations.enter(id_, 0, "group", ana.session)
        assert conversation.members is None
        node.conversations.read_members(conversation)
        await trio.testing.wait_all_tasks_blocked()
        assert conversation.members == ["ana", "bob"]


async def test_the_head_in_a_frame_is_how_far_its_readers_here_are() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        stored, _ = await node.conversations.create("group", "ana", [], "t")
        for rid in (1, 2):
            await ana.say(Send(rid=rid, conv=stored.id, id=new_id(), body=TextBody("hi")))
        frame = node.conversations.frame(stored, 7)
        assert (frame.rid, frame.head) == (7, 2)
        ana.session.ended()
        assert node.conversations.get(stored.id) is None
        frame = node.conversations.frame(stored)
        assert (frame.rid, frame.head) == (None, 0)


async def test_the_end_of_a_conversation_leaves_the_one_that_took_its_place() -> None:
    async with running_node() as node:
        ana, id_ = await person(node, "ana"), new_id()
        before = node.conversations.enter(id_, 0, "group", ana.session)
        before.stop()
        after = node.conversations.enter(id_, 0, "group", ana.session)
        node.conversations.forget(before, 0)
        assert node.conversations.get(id_) is after


async def test_conversations_that_are_being_stopped_are_told_nothing() -> None:
    async with running_node() as node:
        ana, id_ = await person(node, "ana"), new_id()
        conversation = node.conversations.enter(id_, 0, "group", ana.session)
        conversation.stands(1)
        conversation.stop()  # in the midst of that
        assert node.conversations.get(id_) is conversation
        node.conversations.marked(Mark(id_, "bob", 1, 1))
        node.conversations.overtaken(id_, 2)
        await trio.testing.wait_all_tasks_blocked()
        assert ana.outlet.of(Receipt) == []


async def test_a_post_of_a_conversation_that_has_just_ended_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        conversation = node.conversations.get(ana.outlet.of(Conv)[0].conv)
        assert conversation is not None
        conversation.stop()
        monkeypatch.setitem(node.conversations._alive, conversation.id, conversation)
        inbox = Inbox()
        append = Append(conversation.id, "ana", new_id(), "message", b"", 1)
        await node.conversations.post(append, inbox)
        assert inbox.answers == [("lost", 0)]
