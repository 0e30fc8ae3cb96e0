"""People who chat through the real server: what is stored, in which order, and who gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chat4all_protocol.frames import (
    Conv,
    Create,
    Error,
    Fetch,
    Info,
    Msg,
    Read,
    Recv,
    Send,
    Sent,
    TextBody,
    Typing,
)
from chat4all_protocol.ids import new_id
from tests.life.devices import people, texts

if TYPE_CHECKING:
    from chat4all_protocol.frames import AnyClientFrame, ConversationType
    from tests.life.conftest import Names
    from tests.life.processes import ServerProcess


async def test_two_people_chat(server: ServerProcess, names: Names) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, bobs = await here.connect(ana), await here.connect(bob)
        conv = await anas.create("private", [bob])
        assert (conv.type, conv.members, conv.head) == ("private", sorted([ana, bob]), 0)
        told = await bobs.expect(Conv)
        assert (told.conv, told.rid, told.members) == (conv.conv, None, conv.members)

        sent = await anas.say(conv.conv, "hello 😀")
        assert (sent.seq, sent.dup) == (1, False)
        got = await bobs.expect(Msg)
        assert (got.conv, got.seq, got.id, got.from_, got.ts) == (
            conv.conv, 1, sent.id, ana, sent.ts,
        )  # fmt: skip
        assert (got.body, got.kind) == (TextBody("hello 😀"), "message")

        assert (await bobs.say(conv.conv, "hi")).seq == 2
        assert texts([await anas.expect(Msg)]) == [(2, bob, "hi")]
        assert await anas.seen() == []
        assert await bobs.seen() == []


async def test_the_same_pair_has_one_conversation_whoever_creates_it(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, bobs = await here.connect(ana), await here.connect(bob)
        first = await anas.create("private", [bob])
        await bobs.expect(Conv)
        assert (await anas.create("private", [bob, ana])).conv == first.conv
        assert (await bobs.create("private", [ana])).conv == first.conv


async def test_everybody_in_a_group_gets_the_same_messages_in_the_same_order(
    server: ServerProcess, names: Names
) -> None:
    ana, bob, carla = names(3)
    async with people(server) as here:
        devices = [await here.connect(name) for name in (ana, bob, carla)]
        conv = await devices[0].create("group", [bob, carla], "Café ☕")
        assert (conv.type, conv.title, sorted(conv.members)) == (
            "group", "Café ☕", sorted([ana, bob, carla]),
        )  # fmt: skip
        for device in devices[1:]:
            assert (await device.expect(Conv)).title == "Café ☕"
        seen: list[list[str]] = []
        for device in devices:
            for number in range(30):
                await device.send(device.message(conv.conv, f"{number}"))
        for device in devices:
            ids: list[str] = []
            while len(ids) < 90:
                frame = await device.receive()
                assert isinstance(frame, Msg | Sent)
                assert frame.seq == len(ids) + 1
                ids.append(frame.id)
            seen.append(ids)
        assert seen[0] == seen[1] == seen[2]


async def test_hundreds_of_pipelined_sends_are_stored_and_answered_in_order(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, bobs = await here.connect(ana), await here.connect(bob)
        conv = (await anas.create("private", [bob])).conv
        await bobs.expect(Conv)
        sends = [anas.message(conv, f"{number}") for number in range(500)]
        for send in sends:
            await anas.send(send)
        for number, send in enumerate(sends, 1):
            sent = await anas.expect(Sent)
            assert (sent.rid, sent.id, sent.seq) == (send.rid, send.id, number)
        got = [await bobs.expect(Msg) for _ in sends]
        assert texts(got) == [(number + 1, ana, f"{number}") for number in range(500)]


async def test_a_retry_is_answered_with_the_same_seq_and_delivered_once(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, bobs = await here.connect(ana), await here.connect(bob)
        conv = (await anas.create("private", [bob])).conv
        await bobs.expect(Conv)
        first = await anas.say(conv, "once", meta={"a": [1]}, id=(chosen := new_id()))
        await anas.say(conv, "between")
        again = await anas.say(conv, "once", meta={"a": [1]}, id=chosen)
        assert (again.seq, again.ts, again.dup) == (first.seq, first.ts, True)
        # From another connection too, and another person may use the same id.
        other = await here.connect(ana, "tablet")
        assert (await other.say(conv, "once", meta={"a": [1]}, id=chosen)).dup
        assert (await bobs.expect(Msg)).seq == 1
        assert (await bobs.expect(Msg)).seq == 2
        mine = await bobs.say(conv, "mine", id=chosen)
        assert (mine.seq, mine.dup) == (3, False)


async def test_a_retry_in_the_same_moment_is_stored_once(
    server: ServerProcess, names: Names
) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas, bobs = await here.connect(ana), await here.connect(bob)
        conv = (await anas.create("private", [bob])).conv
        await bobs.expect(Conv)
        chosen = new_id()
        for _ in range(10):
            await anas.send(anas.message(conv, "once", id=chosen))
        answers = [await anas.expect(Sent) for _ in range(10)]
        assert {answer.seq for answer in answers} == {1}
        assert [answer.dup for answer in answers].count(False) == 1
        assert texts([await bobs.expect(Msg)]) == [(1, ana, "once")]
        assert await bobs.seen() == []


@pytest.mark.parametrize("change", ["text", "meta", "reply_to"])
async def test_the_same_id_with_other_content_is_a_conflict(
    server: ServerProcess, names: Names, change: str
) -> None:
    (ana, bob) = names(2)
    async with people(server) as here:
        anas = await here.connect(ana)
        conv = (await anas.create("private", [bob])).conv
        await anas.say(conv, "zero")
        sent = await anas.say(conv, "one", id=new_id())
        changed = {
            "text": anas.message(conv, "other", id=sent.id),
            "meta": anas.message(conv, "one", id=sent.id, meta={}),
            "reply_to": anas.message(conv, "one", id=sent.id, reply_to=1),
        }
        error = await anas.refused(changed[change])
        assert (error.code, error.temporary) == ("CONFLICT", False)
        assert (await anas.say(conv, "two")).seq == 3


async def test_reply_to_and_meta_are_handed_on(server: ServerProcess, names: Names) -> None:
    ana, bob = names(2)
    meta = {"tags": ["a", "b"], "n": -1, "pi": 3.5, "deep": {"on": True, "none": None}}
    async with people(server) as here:
        anas, bobs = await here.connect(ana), await here.connect(bob)
        conv = (await anas.create("private", [bob])).conv
        await bobs.expect(Conv)
        await anas.say(conv, "question")
        await anas.say(conv, "answer", reply_to=1, meta=meta, channels=["internal", "all"])
        await bobs.expect(Msg)
        got = await bobs.expect(Msg)
        assert (got.reply_to, got.meta) == (1, meta)
        assert (await bobs.fetch(conv)).items[1] == got


async def test_reply_to_must_name_an_event(server: ServerProcess, names: Names) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas = await here.connect(ana)
        conv = (await anas.create("private", [bob])).conv
        error = await anas.refused(anas.message(conv, "to what?", reply_to=1))
        assert (error.code, error.field) == ("INVALID_PAYLOAD", "reply_to")


async def test_a_channel_that_is_not_set_up_is_refused(server: ServerProcess, names: Names) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas = await here.connect(ana)
        conv = (await anas.create("private", [bob])).conv
        error = await anas.refused(anas.message(conv, "out", channels=["internal", "telegram"]))
        assert error.code == "CHANNEL_UNAVAILABLE"
        assert (await anas.fetch(conv)).items == []


async def test_a_conversation_of_others_looks_like_one_that_does_not_exist(
    server: ServerProcess, names: Names
) -> None:
    ana, bob, eve = names(3)
    async with people(server) as here:
        anas, eves = await here.connect(ana), await here.connect(eve)
        theirs = (await anas.create("private", [bob])).conv
        await anas.say(theirs, "secret")
        answers: list[list[Error]] = []
        for conv in (theirs, new_id()):
            requests: list[AnyClientFrame] = [
                Send(rid=1, conv=conv, id=new_id(), body=TextBody("let me in")),
                Fetch(rid=2, conv=conv),
                Info(rid=3, conv=conv),
            ]
            answers.append([await eves.refused(request) for request in requests])
            for mark in (Recv(conv, 1), Read(conv, 1), Typing(conv)):
                await eves.send(mark)
            assert await eves.seen() == []
        assert answers[0] == answers[1]
        assert {error.code for error in answers[0]} == {"NOT_FOUND"}
        assert await anas.seen() == []
        assert texts((await anas.fetch(theirs)).items) == [(1, ana, "secret")]


async def test_a_new_conversation_reaches_every_connected_device_at_once(
    server: ServerProcess, names: Names
) -> None:
    ana, bob, carla, dora = names(4)
    async with people(server) as here:
        anas, tablet = await here.connect(ana), await here.connect(ana, "tablet")
        others = [await here.connect(bob, "one"), await here.connect(bob, "two")]
        stranger = await here.connect(dora)
        conv = (await anas.create("group", [bob, carla])).conv
        for device in (tablet, *others):
            assert (await device.expect(Conv)).conv == conv
        await others[0].say(conv, "I am here already")
        for device in (anas, tablet, others[1]):
            assert (await device.expect(Msg)).seq == 1
        assert await stranger.seen() == []


@pytest.mark.parametrize(
    ("type_", "members", "title", "code"),
    [
        ("private", ["nobody-of-that-name"], None, "NOT_FOUND"),
        ("group", ["nobody-of-that-name"], None, "NOT_FOUND"),
        ("private", [], None, "INVALID_PAYLOAD"),
        ("private", ["ME"], None, "INVALID_PAYLOAD"),
        ("private", ["OTHER", "THIRD"], None, "INVALID_PAYLOAD"),
        ("private", ["OTHER"], "a title", "INVALID_PAYLOAD"),
    ],
)
async def test_a_conversation_that_can_not_be_is_refused(
    server: ServerProcess,
    names: Names,
    type_: ConversationType,
    members: list[str],
    title: str | None,
    code: str,
) -> None:
    known = dict(zip(("ME", "OTHER", "THIRD"), names(3), strict=True))
    chosen = [known.get(name, name) for name in members]
    async with people(server) as here:
        device, other = await here.connect(known["ME"]), await here.connect(known["OTHER"])
        create = Create(rid=9, type=type_, members=chosen, title=title)
        assert (await device.refused(create)).code == code
        assert await other.seen() == []


async def test_names_are_given_as_they_were_registered(server: ServerProcess, names: Names) -> None:
    ana, bob = names(2)
    async with people(server) as here:
        anas = await here.connect(ana)
        shouted = await anas.create("private", [bob.upper()])
        assert sorted(shouted.members) == sorted([ana, bob])
        assert (await anas.create("private", [bob])).conv == shouted.conv
