"""People on channels as members of conversations, over the socket and REST."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat4all_actors.conversation.outside import Refusal
from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from chat4all_connectors.loopback.settings import LoopbackSettings
from chat4all_protocol.frames import Conv, Create, Error, Send, Sent, TextBody
from chat4all_protocol.ids import new_id
from tests.edge.rest.harness import Api

from .world import BEA, said, world

if TYPE_CHECKING:
    from trio.testing import MockClock

    from .world import World


def rest(there: World, user: str = "ana") -> Api:
    return Api(build(there.node, GROUPS, version="1"), there.node, user)


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"payload": {"type": "text", "text": words}, **more}


def seen(there: World, person: str = "bea") -> list[str]:
    return [line.text for line in there.stage.lines(person)]


async def test_somebody_there_is_written_to_by_their_address(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = rest(there)
        sent = await ana.ask("POST", "/v1/messages", text("hello", recipient_id=BEA))
        assert sent.status == 202
        again = await ana.ask("POST", "/v1/messages", text("and again", to=[BEA]))
        assert again.json["conversation_id"] == sent.json["conversation_id"]
        await there.soon()
        assert seen(there) == ["hello", "and again"]
        there.stage.say("bea", "hi")
        await there.soon()
        path = f"/v1/conversations/{sent.json['conversation_id']}"
        history = (await ana.ask("GET", f"{path}/messages")).json["messages"]
        assert [(each["from"], each["channel"]) for each in history] == [
            ("ana", None),
            ("ana", None),
            (BEA, "loopback"),
        ]
        assert (await ana.ask("GET", path)).json["members"] == ["ana", BEA]


async def test_a_session_opens_a_conversation_with_somebody_there(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        ana = await there.person("ana")
        await ana.say(Create(rid=1, type="private", members=[BEA]))
        (conv,) = ana.outlet.of(Conv)
        assert set(conv.members) == {"ana", BEA}
        await ana.say(Send(rid=2, conv=conv.conv, id=new_id(), body=TextBody("hello")))
        await there.soon()
        assert seen(there) == ["hello"]


async def test_in_a_group_everybody_there_is_told_who_speaks(autojump_clock: MockClock) -> None:
    async with world() as there:
        there.stage.person("cem", "Cem")
        ana = await there.person("ana")
        members = ["bob", BEA, "loopback:cem"]
        await ana.say(Create(rid=1, type="group", members=members, title="All"))
        (conv,) = ana.outlet.of(Conv)
        bob = await there.person("bob")
        await bob.say(Send(rid=2, conv=conv.conv, id=new_id(), body=TextBody("hello")))
        await there.soon()
        assert seen(there) == seen(there, "cem") == ["bob: hello"]
        there.stage.say("bea", "hi all")
        await there.soon()
        assert said(ana) == [("bob", "hello"), (BEA, "hi all")]
        assert seen(there, "cem")[-1] == "Bea: hi all"
        assert seen(there) == ["bob: hello", "hi all"]


async def test_members_there_come_and_go_like_others(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = rest(there)
        made = await ana.ask("POST", "/v1/conversations", {"type": "group", "members": ["bob"]})
        path = f"/v1/conversations/{made.json['conversation_id']}"
        added = await ana.ask("POST", f"{path}/members", {"username": BEA})
        assert added.status == 201
        assert added.json["roles"][BEA] == "member"
        refused = await ana.ask("PATCH", f"{path}/members/{BEA}", {"role": "admin"})
        assert (refused.status, refused.field) == (400, "role")
        refused = await ana.ask(
            "POST", f"{path}/members", {"username": "loopback:cem", "role": "admin"}
        )
        assert (refused.status, refused.field) == (400, "role")
        assert (await ana.ask("DELETE", f"{path}/members/{BEA}")).status == 204
        assert (await ana.ask("GET", path)).json["members"] == ["ana", "bob"]


@pytest.mark.parametrize(
    ("type_", "members", "code"),
    [
        ("private", ["telegram:12345"], "CHANNEL_UNAVAILABLE"),
        ("group", ["bob", "loopback:(bea)"], "INVALID_PAYLOAD"),
    ],
)
async def test_who_can_not_be_a_member_is_refused(
    autojump_clock: MockClock, type_: Any, members: list[str], code: str
) -> None:
    async with world() as there:
        ana = await there.person("ana")
        await ana.say(Create(rid=1, type=type_, members=members))
        (error,) = ana.outlet.of(Error)
        assert (error.code, error.field) == (code, "members")


async def test_conversations_are_somebody_s_here(autojump_clock: MockClock) -> None:
    async with world() as there:
        there.stage.person("cem")
        create = there.node.conversations.create
        for type_ in ("private", "group"):
            with pytest.raises(Refusal) as refused:
                await create(type_, "shop", [BEA, "loopback:cem"], None, joins=False)
            assert refused.value.field == "members"


async def test_who_has_to_write_first_can_not_be_written_to(autojump_clock: MockClock) -> None:
    async with world(loopback=LoopbackSettings(window=60.0)) as there:
        reply = await rest(there).ask("POST", "/v1/messages", text("hello", recipient_id=BEA))
        assert (reply.status, reply.code) == (422, "CHANNEL_UNAVAILABLE")
        assert reply.field == "recipient_id"


@pytest.mark.parametrize(
    ("channels", "goes"),
    [(None, True), (["loopback"], True), (["all"], True), (["internal"], False), ([], False)],
)
async def test_the_sender_chooses_where_it_goes(
    autojump_clock: MockClock, channels: list[str] | None, goes: bool
) -> None:
    async with world() as there:
        conversation = await there.with_bea("group", bob="member")
        ana, bob = await there.person("ana"), await there.person("bob")
        id_ = new_id()
        body = TextBody("hello")
        await ana.say(Send(rid=1, conv=conversation, id=id_, body=body, channels=channels))
        await there.soon()
        assert seen(there) == (["ana: hello"] if goes else [])
        assert said(bob) == [("ana", "hello")]
        again = text("hello", conversation_id=conversation, message_id=id_)
        if channels is not None:
            again["channels"] = channels
        reply = await rest(there).ask("POST", "/v1/messages", again)
        assert (reply.status, reply.json["sequence_number"]) == (202, 1)
        other = again | {"channels": ["internal", "all"]}
        assert (await rest(there).ask("POST", "/v1/messages", other)).status == 409
        assert [sent.seq for sent in ana.outlet.of(Sent)] == [1]


async def test_a_channel_that_is_not_set_up_is_refused(autojump_clock: MockClock) -> None:
    async with world() as there:
        conversation = await there.with_bea()
        ana = await there.person("ana")
        body = TextBody("hello")
        await ana.say(Send(rid=1, conv=conversation, id=new_id(), body=body, channels=["telegram"]))
        (error,) = ana.outlet.of(Error)
        assert (error.code, error.field) == ("CHANNEL_UNAVAILABLE", "channels")
