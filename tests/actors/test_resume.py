from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chat4all_actors.resume import Held
from chat4all_protocol.codec import decode_server
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import Connect, Conv, Create, Error, Gap, Msg, Ready, Send, TextBody
from chat4all_protocol.ids import new_id
from chat4all_storage.ports import Unavailable

from .harness import Person, memory_with_users, person, running_node

if TYPE_CHECKING:
    from chat4all_storage.ports import Resumed


async def group(ana: Person, messages: int) -> str:
    await ana.say(Create(rid=0, type="group", members=["bob"], title="t"))
    conv = ana.outlet.of(Conv)[-1].conv
    for rid in range(messages):
        await ana.say(Send(rid=rid, conv=conv, id=new_id(), body=TextBody("hi")))
    return conv


@pytest.mark.parametrize(("missed", "replayed"), [(0, 0), (1, 1), (100, 100)])
async def test_what_was_missed_follows_ready(missed: int, replayed: int) -> None:
    async with running_node() as node:
        conv = await group(await person(node, "ana"), missed + 3)
        bob = await person(node, "bob", cursors={conv: 3})
        assert [one.seq for one in bob.outlet.of(Msg)] == list(range(4, 4 + replayed))
        assert bob.outlet.of(Gap) == []


async def test_more_than_100_missed_events_are_a_gap() -> None:
    async with running_node() as node:
        conv = await group(await person(node, "ana"), 104)
        bob = await person(node, "bob", cursors={conv: 3})
        assert bob.outlet.of(Msg) == []
        assert [(gap.from_, gap.to) for gap in bob.outlet.of(Gap)] == [(4, 104)]


async def test_beyond_the_bounds_of_a_replay_there_is_a_gap() -> None:
    async with running_node(max_replay_events=6) as node:
        ana = await person(node, "ana")
        convs = [await group(ana, 4) for _ in range(3)]
        bob = await person(node, "bob", cursors=dict.fromkeys(convs, 1))
        replayed = [one.conv for one in bob.outlet.of(Msg)]
        (gap,) = bob.outlet.of(Gap)
        assert (gap.from_, gap.to) == (2, 4)
        assert sorted([*replayed, *[gap.conv] * 3]) == sorted(convs * 3)
    async with running_node(max_replay=64 * 1024) as node:
        ana = await person(node, "ana")
        conv = await group(ana, 0)
        for rid in range(9):
            text = TextBody("x" * 9000)
            await ana.say(Send(rid=rid, conv=conv, id=new_id(), body=text))
        bob = await person(node, "bob", cursors={conv: 0})
        assert [one.seq for one in bob.outlet.of(Msg)] == list(range(1, 8))
        assert [(gap.from_, gap.to) for gap in bob.outlet.of(Gap)] == [(8, 9)]


async def test_what_is_stored_while_the_store_is_asked_is_read_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage = await memory_with_users()
    async with running_node(storage) as node:
        ana = await person(node, "ana")
        conv = await group(ana, 2)
        store = storage.shards.all[0]
        resume = store.resume

        async def slow(*arguments: Any, **options: Any) -> Resumed:
            found = await resume(*arguments, **options)
            await ana.say(Send(rid=9, conv=conv, id=new_id(), body=TextBody("meanwhile")))
            return found

        monkeypatch.setattr(store, "resume", slow)
        bob = await person(node, "bob", cursors={conv: 1})
        assert bob.outlet.of(Ready)[0].convs[0].head == 3
        assert [one.seq for one in bob.outlet.of(Msg)] == [2, 3]
        assert bob.outlet.of(Gap) == []


async def test_a_cursor_that_can_not_be_right_counts_for_nothing() -> None:
    async with running_node() as node:
        ana = await person(node, "ana")
        conv = await group(ana, 2)
        carla = await person(node, "carla", cursors={conv: 0, new_id(): 5})
        bob = await person(node, "bob", cursors={conv: 50})
        assert carla.outlet.of(Msg) == bob.outlet.of(Msg) == []
        await ana.say(Send(rid=9, conv=conv, id=new_id(), body=TextBody("hi")))
        assert [one.seq for one in bob.outlet.of(Msg)] == [3]
        assert carla.outlet.of(Msg) == []


async def test_a_bad_token_and_an_expired_one_are_told_apart() -> None:
    async with running_node() as node:
        codes = []
        node.tokens._lifetime = -5
        for token in ("nonsense", node.tokens.issue("id", "ana")):
            someone = Person(node)
            await someone.say(Connect(token=token, device="d"))
            assert someone.outlet.of(Error)[0].code == "UNAUTHENTICATED"
            assert someone.outlet.closed is not None
            codes.append(someone.outlet.closed[0])
        assert codes == [CloseCode.BAD_TOKEN, CloseCode.TOKEN_EXPIRED]


async def test_the_same_device_takes_its_own_place_and_too_many_devices_are_refused() -> None:
    async with running_node(max_sessions_per_user=2) as node:
        first = await person(node, "ana", "one")
        await person(node, "ana", "two")
        await person(node, "ana", "one")
        assert first.outlet.closed is not None
        assert first.outlet.closed[0] == CloseCode.REPLACED
        third = Person(node)
        await third.say(Connect(token=node.tokens.issue("id of ana", "ana"), device="three"))
        assert third.outlet.closed is not None
        assert third.outlet.closed[0] == CloseCode.TOO_MANY_CONNECTIONS


async def test_a_store_that_is_away_refuses_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> object:
        raise Unavailable("gone")

    storage = await memory_with_users()
    async with running_node(storage) as node:
        monkeypatch.setattr(storage.shards.all[0], "resume", away)
        ana = Person(node)
        await ana.say(Connect(token=node.tokens.issue("id of ana", "ana"), device="d"))
        (error,) = ana.outlet.of(Error)
        assert (error.code, error.temporary) == ("UNAVAILABLE", True)
        assert ana.outlet.closed is not None
        assert ana.outlet.closed[0] == CloseCode.OVERLOADED


def test_held_events_beyond_the_bound_become_a_gap_behind_those_that_fit() -> None:
    held = Held(["a"], max_bytes=10)
    assert held.take("a", 1, 2, b"12345678")
    assert held.take("a", 3, 3, b"12345678")
    assert held.take("a", 4, 6, b"1")
    assert not held.take("b", 1, 1, b"1")
    data = held.release("a")
    assert data.startswith(b"12345678")
    gap = decode_server(data[8 + 2 :])
    assert isinstance(gap, Gap)
    assert (gap.from_, gap.to) == (3, 6)
    assert not held.take("a", 7, 7, b"1")
    assert held.release("a") == b""
