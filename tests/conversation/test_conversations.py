from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from chat4all_protocol.frames import Conv, Create, Error, Recv, Send, TextBody
from chat4all_protocol.ids import new_id, private_conversation_id

from ..actors.harness import person, running_node

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_new_conversation_reaches_all_members_and_answers_its_creator() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        tablet, carla = await person(node, "ana", "tablet"), await person(node, "carla")
        await ana.say(Create(rid=5, type="group", members=["BOB", "bob", "ana"], title="t"))
        (mine,), (his,), (other,) = (p.outlet.of(Conv) for p in (ana, bob, tablet))
        assert (mine.rid, his.rid, other.rid) == (5, None, None)
        assert (mine.members, mine.title, mine.head) == (["ana", "bob"], "t", 0)
        assert mine.conv == his.conv == other.conv
        assert carla.outlet.of(Conv) == []


async def test_the_same_pair_has_one_private_conversation_whoever_opens_it() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        await bob.say(Create(rid=2, type="private", members=["Ana"]))
        found = {conv.conv for conv in ana.outlet.of(Conv) + bob.outlet.of(Conv)}
        assert found == {private_conversation_id("ana", "bob")}
        assert [conv.rid for conv in bob.outlet.of(Conv)] == [None, 2]


@pytest.mark.parametrize(
    ("frame", "code", "field"),
    [
        (Create(rid=1, type="private", members=[]), "INVALID_PAYLOAD", "members"),
        (Create(rid=1, type="private", members=["ana"]), "INVALID_PAYLOAD", "members"),
        (Create(rid=1, type="private", members=["bob", "carla"]), "INVALID_PAYLOAD", "members"),
        (
            Create(rid=1, type="private", members=["bob"], title="t"),
            "INVALID_PAYLOAD",
            "title",
        ),
        (Create(rid=1, type="group", members=["bob", "zoe"]), "NOT_FOUND", "members"),
        (Create(rid=1, type="group", members=["bob", "carla"]), "TOO_LARGE", "members"),
    ],
)
async def test_what_can_not_be_created_is_refused_with_the_field(
    frame: Create, code: str, field: str
) -> None:
    async with running_node(max_members=2) as node:
        ana = await person(node, "ana")
        await ana.say(frame)
        (error,) = ana.outlet.of(Error)
        assert (error.rid, error.code, error.field) == (1, code, field)
        assert ana.outlet.of(Conv) == []


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
