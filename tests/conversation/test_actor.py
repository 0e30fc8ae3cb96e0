from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_actors.messages import Relayed
from chat4all_actors.wire import framed, message
from chat4all_protocol.codec import encode_body
from chat4all_protocol.frames import (
    Conv,
    Create,
    Error,
    MemberBody,
    Msg,
    Read,
    Receipt,
    Send,
    Sent,
    TextBody,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import InDoubt, Unavailable
from chat4all_storage.ports.events import Append, Mark
from chat4all_storage.ports.shard import Range

from ..actors.harness import Person, person, running_node

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

    from chat4all_actors.node import Node


async def begun(ana: Person, *members: str) -> str:
    await ana.say(Create(rid=1, type="group", members=list(members), title="t"))
    return ana.outlet.of(Conv)[-1].conv


def text(conv: str, rid: int = 1) -> Send:
    return Send(rid=rid, conv=conv, id=new_id(), body=TextBody("hi"))


def change(conv: str, kind: str, by: str, whom: str) -> Append:
    body = encode_body(MemberBody(whom))
    return Append(conv, by, new_id(), kind, body, 1, subject=whom, role="member")  # type: ignore[arg-type]


class Silent:
    """An origin that only counts."""

    def __init__(self) -> None:
        self.answers: list[str] = []

    def stored(self, *_: object, **__: object) -> None:
        self.answers.append("stored")

    def refused(self, *_: object) -> None:
        self.answers.append("refused")

    def lost(self, *_: object) -> None:
        self.answers.append("lost")


async def post(node: Node, append: Append, reader: Person) -> Silent:
    """Send an event through the conversation that `reader` reads."""
    from chat4all_actors.messages import Post

    conversation = node.conversations.read_by(append.conversation, reader.session)
    assert conversation is not None
    origin = Silent()
    conversation.tell_nowait(Post(append, 0, origin))
    await trio.testing.wait_all_tasks_blocked()
    return origin


async def test_events_of_another_writer_are_passed_before_what_follows_them() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        store = node.logs.all[0].store
        foreign = [
            Append(conv, "bob", new_id(), "message", encode_body(TextBody("far")), 1)
            for _ in range(3)
        ]
        await store.commit(foreign, [])
        await ana.say(text(conv))
        assert [one.seq for one in bob.outlet.of(Msg)] == [1, 2, 3, 4]
        assert [type(f).__name__ for f in ana.outlet.taken[-4:]] == ["Msg", "Msg", "Msg", "Sent"]


async def test_an_event_that_came_from_another_node_is_not_passed_again_with_its_answer() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        body = encode_body(TextBody("far"))
        first, second = (Append(conv, "bob", new_id(), "message", body, 1) for _ in range(2))
        # Both were stored through another node, which tells of the second one only.
        store = node.logs.all[0].store
        await store.commit([first, second], [])
        (events,) = await store.history([Range(conv, 1, 2, 2)])
        conversation = node.conversations.read_by(conv, bob.session)
        assert conversation is not None
        conversation.tell_nowait(Relayed(2, ["bob"], [framed(message(events[0]))]))
        # And the second one is sent again through this one.
        retry = await post(node, second, bob)
        assert retry.answers == ["stored"]
        assert [one.seq for one in ana.outlet.of(Msg)] == [1, 2]
        await ana.say(text(conv))
        assert [one.seq for one in bob.outlet.of(Msg)] == [1, 2, 3]


async def test_a_commit_in_doubt_is_answered_once_it_is_certain(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        store = node.logs.all[0].store
        commit = store.commit
        failures = [True, True]

        async def broken(appends: list[Append], marks: list[Mark]) -> object:
            result = await commit(appends, marks)
            if failures:
                failures.pop()
                raise InDoubt("the answer was lost")
            return result

        monkeypatch.setattr(store, "commit", broken)
        await ana.say(text(conv))
        assert not ana.outlet.of(Sent)
        assert not bob.outlet.of(Msg)
        await trio.sleep(2)
        assert [sent.seq for sent in ana.outlet.of(Sent)] == [1]
        assert [one.seq for one in bob.outlet.of(Msg)] == [1]


async def test_a_store_that_stays_away_refuses_for_now(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_node(log_patience=5) as node:
        ana = await person(node, "ana")
        conv = await begun(ana)

        async def away(*_: object) -> object:
            raise Unavailable("gone")

        monkeypatch.setattr(node.logs.all[0].store, "commit", away)
        await ana.say(text(conv, 1))
        assert ana.outlet.of(Error) == []
        await trio.sleep(10)
        await ana.say(text(conv, 2))
        answers = [(e.rid, e.code, e.temporary) for e in ana.outlet.of(Error)]
        assert answers == [(1, "UNAVAILABLE", True), (2, "UNAVAILABLE", True)]
        assert node.unready() is not None


async def test_who_joins_starts_there_and_who_leaves_gets_nothing_more() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana)
        await ana.say(text(conv))
        assert (await post(node, change(conv, "join", "ana", "bob"), ana)).answers == ["stored"]
        (entered,) = bob.outlet.of(Conv)
        assert (entered.head, entered.members, entered.left) == (2, ["ana", "bob"], False)
        await ana.say(text(conv))
        assert [one.seq for one in bob.outlet.of(Msg)] == [3]
        await post(node, change(conv, "leave", "ana", "bob"), ana)
        left = bob.outlet.taken[-1]
        assert isinstance(left, Conv)
        assert (left.left, left.members) == (True, [])
        await ana.say(text(conv))
        assert bob.outlet.taken[-1] is left
        assert [one.kind for one in ana.outlet.of(Msg)] == ["join", "leave"]
        assert (await post(node, change(conv, "join", "carla", "bob"), ana)).answers == ["refused"]


async def test_a_member_s_watermarks_are_written_once_in_an_interval(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_node(mark_interval=1) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        for rid in range(10):
            await ana.say(text(conv, rid))
        store = node.logs.all[0].store
        commit = store.commit
        written: list[tuple[int, int]] = []

        async def counted(appends: list[Append], marks: list[Mark]) -> object:
            written.extend((mark.recv, mark.read) for mark in marks)
            return await commit(appends, marks)

        monkeypatch.setattr(store, "commit", counted)
        for seq in range(1, 10):
            await bob.say(Read(conv=conv, seq=seq))
        assert written == [(1, 1)]
        await trio.sleep(1.5)
        assert written == [(1, 1), (9, 9)]
        await trio.sleep(5)
        await bob.say(Read(conv=conv, seq=3))  # behind: nothing rises
        told = [(r.recv, r.read) for r in ana.outlet.of(Receipt)]
        assert told[:2] == [(1, 1), (9, 9)]
        assert all(mark == (9, 9) for mark in told[2:])
