from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from chat4all_protocol.frames import (
    Composing,
    Conv,
    Create,
    Error,
    Fetch,
    Info,
    Msg,
    Page,
    Ping,
    Pong,
    React,
    Read,
    Receipt,
    Recv,
    Send,
    TextBody,
    Typing,
)
from chat4all_protocol.ids import new_id

from ..actors.harness import Person, person, running_node

if TYPE_CHECKING:
    from trio.testing import MockClock


async def begun(ana: Person, *members: str) -> str:
    await ana.say(Create(rid=1, type="group", members=list(members), title="t"))
    return ana.outlet.of(Conv)[-1].conv


def text(conv: str, rid: int = 1, words: str = "hi") -> Send:
    return Send(rid=rid, conv=conv, id=new_id(), body=TextBody(words))


async def test_missing_and_forbidden_conversations_look_the_same() -> None:
    async with running_node() as node:
        ana, carla = await person(node, "ana"), await person(node, "carla")
        for conv in (await begun(ana), new_id()):
            for frame in (text(conv, 2), Fetch(rid=2, conv=conv), Info(rid=2, conv=conv)):
                await carla.say(frame)
        errors = {(e.code, e.message, e.rid) for e in carla.outlet.of(Error)}
        assert errors == {("NOT_FOUND", "no such conversation", 2)}
        assert len(carla.outlet.of(Error)) == 6


async def test_a_page_says_whether_its_direction_goes_on_and_is_bounded_in_bytes() -> None:
    async with running_node(max_page=64 * 1024, max_frame=60 * 1024, max_text=60_000) as node:
        ana = await person(node, "ana")
        conv = await begun(ana)
        for rid in range(6):
            await ana.say(text(conv, rid, "x" * 20_000))

        async def page(**fields: int) -> tuple[list[int], bool]:
            await ana.say(Fetch(rid=9, conv=conv, **fields))
            found = ana.outlet.of(Page)[-1]
            return [item.seq for item in found.items], found.more

        assert await page(after=0, limit=2) == ([1, 2], True)
        assert await page(after=4, limit=2) == ([5, 6], False)
        assert await page(after=6) == ([], False)
        assert await page(before=3, limit=2) == ([1, 2], False)
        assert await page(before=3, limit=1) == ([2], True)
        assert await page(limit=1) == ([6], True)
        assert await page(after=0) == ([1, 2, 3], True)
        assert await page() == ([4, 5, 6], True)


async def test_watermarks_are_clamped_and_told_to_the_others(autojump_clock: MockClock) -> None:
    async with running_node(mark_interval=1) as node:
        ana, bob = await person(node, "ana"), await person(node, "bob")
        conv = await begun(ana, "bob")
        await ana.say(text(conv))
        await ana.say(text(conv))
        await bob.say(Recv(conv=conv, seq=99))
        await bob.say(Read(conv=conv, seq=1))
        await bob.say(Read(conv=new_id(), seq=1))
        await trio.sleep(2.5)
        told = [(r.user, r.recv, r.read) for r in ana.outlet.of(Receipt)]
        assert told == [("bob", 2, 0), ("bob", 2, 1)]
        assert bob.outlet.of(Receipt) == []
        await ana.say(Info(rid=3, conv=conv))
        details = ana.outlet.of(Conv)[-1].details
        assert details is not None
        assert (details["bob"].recv, details["bob"].read, details["ana"].role) == (2, 1, "owner")


async def test_typing_reaches_the_others_and_not_too_often() -> None:
    async with running_node() as node:
        ana, bob, carla = [await person(node, name) for name in ("ana", "bob", "carla")]
        conv = await begun(ana, "bob")
        await ana.say(Typing(conv=conv, kind="voice"))
        await ana.say(Typing(conv=conv))
        await carla.say(Typing(conv=conv))
        told = [(one.user, one.kind, one.ttl) for one in bob.outlet.of(Composing)]
        assert told == [("ana", "voice", 6000)]
        assert ana.outlet.of(Composing) == carla.outlet.of(Composing) == []


async def test_what_is_not_offered_says_so() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        conv, id_ = await begun(ana), new_id()
        await ana.say(React(rid=4, conv=conv, id=id_, target=1, emoji="+", on=True))
        assert [(e.code, e.rid) for e in ana.outlet.of(Error)] == [("UNKNOWN_FRAME", 4)]


async def test_a_ping_is_answered_with_its_time() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        await ana.say(Ping(at=42))
        await ana.say(Ping())
        assert [pong.at for pong in ana.outlet.of(Pong)] == [42, None]
        assert ana.outlet.of(Msg) == []
