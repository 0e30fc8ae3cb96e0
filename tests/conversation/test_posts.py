"""Events of those who have no session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from chat4all_protocol.codec import encode_body
from chat4all_protocol.frames import Conv, Create, Msg, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable
from chat4all_storage.ports.events import Append

from ..actors.harness import Person, person, running_node

if TYPE_CHECKING:
    from trio.testing import MockClock

    from chat4all_actors.messages import Post
    from chat4all_actors.node import Node
    from chat4all_protocol.frames import Error


class Inbox:
    """An origin that keeps what it is told."""

    def __init__(self) -> None:
        self.answers: list[tuple[object, ...]] = []

    def stored(self, post: Post, seq: int, ts: int, *, dup: bool) -> None:
        self.answers.append(("stored", post.rid, seq, dup))

    def refused(self, post: Post, error: Error) -> None:
        assert error.rid == post.rid
        self.answers.append(("refused", post.rid, error.code))

    def lost(self, post: Post) -> None:
        self.answers.append(("lost", post.rid))


def text(conv: str, sender: str, words: str = "hi") -> Append:
    return Append(conv, sender, new_id(), "message", encode_body(TextBody(words)), 1)


async def begun(someone: Person, *members: str) -> str:
    await someone.say(Create(rid=1, type="group", members=list(members), title="t"))
    return someone.outlet.of(Conv)[-1].conv


async def emptied(node: Node, *members: str) -> str:
    """A conversation that nobody reads."""
    ana = await person(node, "ana")
    conv = await begun(ana, *members)
    ana.session.ended()
    await wait_all_tasks_blocked()
    assert len(node.conversations) == 0
    return conv


async def test_a_post_reaches_the_readers_and_answers_its_origin() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        inbox = Inbox()
        await node.conversations.post(text(conv, "ana"), inbox, 7)
        await wait_all_tasks_blocked()
        assert inbox.answers == [("stored", 7, 1, False)]
        # The sender's own sessions get it like everybody else's: none of them sent it.
        assert [one.seq for one in ana.outlet.of(Msg) + bob.outlet.of(Msg)] == [1, 1]


async def test_a_post_wakes_a_conversation_that_nobody_reads() -> None:
    async with running_node() as node:
        conv = await emptied(node, "bob")
        inbox = Inbox()
        for words in ("one", "two"):
            await node.conversations.post(text(conv, "bob", words), inbox)
            await wait_all_tasks_blocked()
        assert inbox.answers == [("stored", 0, 1, False), ("stored", 0, 2, False)]


async def test_a_woken_conversation_knows_its_members_and_whether_they_are_a_pair() -> None:
    async with running_node() as node:
        pair, _ = await node.conversations.create("private", "ana", ["bob"], None)
        group, _ = await node.conversations.create("group", "ana", ["bob"], "t")
        for conv, private in ((pair.id, True), (group.id, False)):
            await node.conversations.post(text(conv, "bob"), Inbox())
            woken = node.conversations.get(conv)
            assert woken is not None
            assert (woken.members, woken.private) == (["ana", "bob"], private)


async def test_a_woken_conversation_lingers_and_then_ends(autojump_clock: MockClock) -> None:
    async with running_node(conversation_linger=10) as node:
        one, another = await emptied(node), await emptied(node)
        for _ in range(2):
            for conv in (one, another):
                await node.conversations.post(text(conv, "ana"), Inbox())
            await trio.sleep(8)
        assert node.conversations.alive() == [one, another]
        await trio.sleep(3)
        assert node.conversations.alive() == []


async def test_a_lingering_conversation_passes_what_comes_to_whoever_enters() -> None:
    async with running_node() as node:
        conv = await emptied(node)
        await node.conversations.post(text(conv, "ana"), Inbox())
        await wait_all_tasks_blocked()
        ana = await person(node, "ana")
        await node.conversations.post(text(conv, "ana"), Inbox())
        await wait_all_tasks_blocked()
        assert [one.seq for one in ana.outlet.of(Msg)] == [2]


async def test_a_repeated_post_is_told_that_it_was_stored_before() -> None:
    async with running_node() as node:
        conv = await emptied(node)
        inbox, append = Inbox(), text(conv, "ana")
        for _ in range(2):
            await node.conversations.post(append, inbox)
            await wait_all_tasks_blocked()
        assert inbox.answers == [("stored", 0, 1, False), ("stored", 0, 1, True)]


async def test_strangers_and_a_missing_conversation_are_refused_alike() -> None:
    async with running_node() as node:
        conv = await emptied(node)
        inbox = Inbox()
        for id_ in (conv, new_id()):
            await node.conversations.post(text(id_, "bob"), inbox, 7)
            await wait_all_tasks_blocked()
        assert inbox.answers == [("refused", 7, "NOT_FOUND")] * 2


async def test_a_store_that_can_not_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_node() as node:
        conv = await emptied(node)

        async def away(_: str) -> None:
            raise Unavailable("gone")

        monkeypatch.setattr(node.conversations.storage.shards, "conversation", away)
        inbox = Inbox()
        with pytest.raises(Unavailable):
            await node.conversations.post(text(conv, "ana"), inbox)
        assert inbox.answers == []


async def test_a_post_that_a_fault_swallows_is_lost() -> None:
    async with running_node() as node:
        conv = await emptied(node)
        await node.conversations.post(text(conv, "ana"), Inbox())
        await wait_all_tasks_blocked()
        actor = node.conversations.get(conv)
        assert actor is not None
        inbox = Inbox()
        actor.tell_nowait("no message")  # type: ignore[arg-type]
        await node.conversations.post(text(conv, "ana"), inbox, 3)
        await wait_all_tasks_blocked()
        assert inbox.answers == [("lost", 3)]
