"""People on channels, wherever members are shown or counted as users are."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import trio

from chat4all_actors.edge.rest.api import GROUPS
from chat4all_actors.edge.rest.app import build
from chat4all_protocol.frames import Error, Presence, Ready, Watch
from tests.actors.harness import Person
from tests.edge.rest.harness import Api

from .world import BEA, said, world

if TYPE_CHECKING:
    from trio.testing import MockClock

    from .world import World


def rest(there: World, user: str = "ana") -> Api:
    return Api(build(there.node, GROUPS, version="1"), there.node, user)


async def talk(there: World) -> str:
    """A private conversation in which Bea has the last word; its id."""
    id_ = await there.with_bea()
    hello: dict[str, Any] = {"payload": {"type": "text", "text": "hello"}, "conversation_id": id_}
    assert (await rest(there).ask("POST", "/v1/messages", hello)).status == 202
    await there.soon()
    there.stage.say("bea", "hi Ana")
    await there.soon()
    return id_


async def test_who_comes_later_finds_her_as_the_peer_and_her_words_unread(
    autojump_clock: MockClock,
) -> None:
    async with world() as there:
        id_ = await talk(there)
        late = Person(there.node)
        ready: Ready = await late.connect("ana", cursors={id_: 0})
        (conv,) = ready.convs
        assert (conv.conv, conv.peer, conv.head, conv.unread) == (id_, BEA, 2, 1)
        assert said(late) == [("ana", "hello"), (BEA, "hi Ana")]


async def test_the_list_and_a_copy_of_the_account_have_her(autojump_clock: MockClock) -> None:
    async with world() as there:
        id_ = await talk(there)
        ana = rest(there)
        (listed,) = (await ana.ask("GET", "/v1/conversations")).json["conversations"]
        assert (listed["members"], listed["unread"]) == (["ana", BEA], 1)
        assert listed["last_message"]["from"] == BEA

        export = await ana.ask("GET", "/v1/users/me/export")
        with zipfile.ZipFile(io.BytesIO(export.body)) as archive:
            lines = archive.read(f"conversations/{id_}.jsonl").splitlines()
        copied = [json.loads(line) for line in lines]
        assert [(each["from"], each["channel"]) for each in copied] == [
            ("ana", None),
            (BEA, "loopback"),
        ]


async def test_nobody_is_shown_whether_she_is_there(autojump_clock: MockClock) -> None:
    async with world() as there:
        ana = await there.person("ana")
        await ana.say(Watch(users=["bob"]))
        await talk(there)
        await trio.sleep(2 * there.node.settings.presence_damping)  # some is shown so late
        assert {frame.user for frame in ana.outlet.of(Presence)} == {"bob"}
        assert ana.outlet.of(Error) == []
        await ana.say(Watch(users=[BEA]))
        (error,) = ana.outlet.of(Error)
        assert (error.code, error.field) == ("INVALID_PAYLOAD", "users[0]")


async def test_her_conversation_is_the_same_whoever_began_it(autojump_clock: MockClock) -> None:
    async with world() as there:
        there.stage.say("bea", "anybody there?")
        await there.soon()
        answer = {"payload": {"type": "text", "text": "yes"}, "recipient_id": BEA}
        reply = await rest(there).ask("POST", "/v1/messages", answer)
        assert reply.json["sequence_number"] == 2
