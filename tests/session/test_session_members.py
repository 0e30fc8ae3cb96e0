"""What a session tells of the conversations that its user enters and leaves."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace

from chat4all_actors.conversation import appends
from chat4all_protocol.frames import Conv, Create, Gap, Msg, Presence, Watch
from chat4all_protocol.ids import new_id

from ..actors.harness import person, running_node
from ..conversation.test_posts import Inbox
from .test_session import text


async def test_a_new_member_is_introduced_and_one_that_left_hears_no_more() -> None:
    async with running_node() as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await ana.say(Create(rid=1, type="group", members=[], title="t"))
        conv = ana.outlet.of(Conv)[0].conv
        join = appends.join(conv, "ana", new_id(), "bob", "member")
        await node.conversations.post(join, Inbox())
        await trio.testing.wait_all_tasks_blocked()
        assert bob.session.conversations == [conv]
        await ana.say(text(conv))
        bob.session.departures = set()
        await node.conversations.post(appends.leave(conv, "ana", new_id(), "bob"), Inbox())
        await trio.testing.wait_all_tasks_blocked()
        await ana.say(text(conv))
        assert [(frame.conv, frame.left) for frame in bob.outlet.of(Conv)] == [
            (conv, False),
            (conv, True),
        ]
        assert bob.outlet.of(Msg)[-1].seq == 2
        assert bob.session.departures == {conv}


async def test_who_was_removed_while_behind_is_not_even_told_what_it_missed() -> None:
    async with running_node(max_outbound=4096) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        await ana.say(Create(rid=1, type="group", members=["bob"], title="t"))
        conv = ana.outlet.of(Conv)[0].conv
        bob.outlet.stuck = True
        for number in range(20):
            await ana.say(text(conv, number, "x" * 500))
        await node.conversations.post(appends.leave(conv, "ana", new_id(), "bob"), Inbox())
        await trio.testing.wait_all_tasks_blocked()
        bob.outlet.release(bob.session)
        assert bob.outlet.of(Gap) == []
        assert bob.outlet.of(Conv)[-1].left


async def test_while_connect_is_being_answered_changes_of_membership_are_kept_for_it() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        taken = len(ana.outlet.taken)
        ana.session.early = {}
        came = Conv(conv=new_id(), type="group", members=["ana"], head=0)
        went = replace(came, conv=new_id(), left=True)
        ana.session.entered(came)
        ana.session.left(went)
        assert ana.session.early == {came.conv: came, went.conv: went}
        assert len(ana.outlet.taken) == taken


@pytest.mark.parametrize("creator", ["ana", "bob"])
async def test_the_presence_of_whom_it_met_is_shown(creator: str) -> None:
    async with running_node() as node:
        people = {name: await person(node, name) for name in ("ana", "bob")}
        ana = people["ana"]
        await ana.say(Watch(users=["bob"]))
        assert ana.outlet.of(Presence)[-1].status == "offline"
        (other,) = people.keys() - {creator}
        await people[creator].say(Create(rid=1, type="private", members=[other]))
        assert ana.outlet.of(Presence)[-1].status == "online"


@pytest.mark.parametrize("leaver", ["ana", "bob"])
async def test_the_presence_of_a_new_member_is_shown_until_one_of_them_leaves(leaver: str) -> None:
    async with running_node() as node:
        ana, _ = await person(node, "ana"), await person(node, "bob")
        group, _ = await node.conversations.create("group", "carla", ["ana"], "t")
        await ana.say(Watch(users=["bob"]))
        assert ana.outlet.of(Presence)[-1].status == "offline"
        for change, status in [
            (appends.join(group.id, "carla", new_id(), "bob", "member"), "online"),
            (appends.leave(group.id, leaver, new_id(), leaver), "offline"),
        ]:
            await node.conversations.post(change, Inbox())
            await trio.testing.wait_all_tasks_blocked()
            assert ana.outlet.of(Presence)[-1].status == status


async def test_when_one_member_leaves_the_presence_of_the_others_is_not_asked_for_again() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        group, _ = await node.conversations.create("group", "carla", ["ana", "bob"], "t")
        await ana.say(Watch(users=["bob", "carla"]))
        before = len(ana.outlet.of(Presence))
        await node.conversations.post(appends.leave(group.id, "bob", new_id(), "bob"), Inbox())
        await trio.testing.wait_all_tasks_blocked()
        assert {shown.user for shown in ana.outlet.of(Presence)[before:]} == {"bob"}
