from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace

from chat4all_protocol.frames import (
    Composing,
    Conv,
    Create,
    Error,
    Fetch,
    FileBody,
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
    Sent,
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


async def test_a_retry_gets_the_same_seq_and_another_body_a_conflict() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        conv = await begun(ana)
        first = text(conv)
        await ana.say(first)
        await ana.say(replace(first, rid=2))
        for other in (
            replace(first, rid=3, body=TextBody("other")),
            replace(first, rid=4, meta={"a": 1}),
            replace(first, rid=5, reply_to=1),
        ):
            await ana.say(other)
        assert [(s.rid, s.seq, s.dup) for s in ana.outlet.of(Sent)] == [(1, 1, False), (2, 1, True)]
        errors = [(e.rid, e.code, e.field) for e in ana.outlet.of(Error)]
        assert errors == [(rid, "CONFLICT", "id") for rid in (3, 4, 5)]


async def test_missing_and_forbidden_conversations_look_the_same() -> None:
    async with running_node() as node:
        ana, carla = await person(node, "ana"), await person(node, "carla")
        for conv in (await begun(ana), new_id()):
            for frame in (text(conv, 2), Fetch(rid=2, conv=conv), Info(rid=2, conv=conv)):
                await carla.say(frame)
        errors = {(e.code, e.message, e.rid) for e in carla.outlet.of(Error)}
        assert errors == {("NOT_FOUND", "no such conversation", 2)}
        assert len(carla.outlet.of(Error)) == 6


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"body": TextBody("x" * 11)}, "TOO_LARGE", "body.text"),
        ({"meta": {"a": "x" * 30}}, "TOO_LARGE", "meta"),
        ({"body": FileBody(new_id())}, "INVALID_PAYLOAD", "body.type"),
        ({"channels": ["telegram"]}, "CHANNEL_UNAVAILABLE", "channels"),
        ({"reply_to": 1}, "INVALID_PAYLOAD", "reply_to"),
    ],
)
async def test_a_message_beyond_a_limit_names_the_field(
    fields: dict[str, object], code: str, field: str
) -> None:
    async with running_node(max_text=10, max_meta=20) as node:
        ana = await person(node, "ana")
        conv = await begun(ana)
        await ana.say(replace(text(conv, 7), **fields))
        (error,) = ana.outlet.of(Error)
        assert (error.rid, error.code, error.field, error.temporary) == (7, code, field, False)
        await ana.say(replace(text(conv, 8, "x" * 10), channels=["internal", "all"]))
        assert ana.outlet.of(Sent)[0].seq == 1


async def test_messages_beyond_the_rate_are_refused_with_the_time_to_wait() -> None:
    async with running_node(rate_messages_per_minute=60, rate_burst=2) as node:
        ana = await person(node, "ana")
        conv = await begun(ana)
        for rid in range(3):
            await ana.say(text(conv, rid))
        (error,) = ana.outlet.of(Error)
        assert (error.rid, error.code, error.temporary) == (2, "RATE_LIMITED", True)
        assert error.retry_after_ms is not None
        assert 0 < error.retry_after_ms <= 1001


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
