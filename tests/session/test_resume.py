from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from chat4all_protocol.codec import encode
from chat4all_protocol.codes import CloseCode
from chat4all_protocol.frames import (
    Connect,
    Conv,
    Create,
    Error,
    Gap,
    Msg,
    Ready,
    Send,
    TextBody,
)
from chat4all_protocol.ids import new_id
from chat4all_storage.ports.errors import Unavailable

from ..actors.harness import Person, memory_with_users, person, running_node

if TYPE_CHECKING:
    from chat4all_actors.node import Node
    from chat4all_storage.ports.shard import Resumed
    from chat4all_storage.storage import Storage


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
        node.tokens.lifetime = -5
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


class SlowStore:
    """Holds the answers to who connects back until it is told to `go`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, storage: Storage) -> None:
        self.go = trio.Event()
        (store,) = storage.shards.all
        self._resume = store.resume
        monkeypatch.setattr(store, "resume", self._wait)

    async def _wait(self, user: str, cursors: Any, **options: Any) -> Resumed:
        await self.go.wait()
        return await self._resume(user, cursors, **options)


async def begin(nursery: trio.Nursery, node: Node, user: str, device: str = "d") -> Person:
    """Somebody whose `connect` is being answered."""
    someone = Person(node)
    token = node.tokens.issue(f"id of {user}", user)
    nursery.start_soon(someone.session.receive, encode(Connect(token=token, device=device)))
    await trio.testing.wait_all_tasks_blocked()
    return someone


async def test_when_too_many_connect_the_last_are_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    storage = await memory_with_users()
    limits: dict[str, Any] = {
        "max_connecting": 1,
        "max_connecting_waiting": 1,
        "connecting_patience": 5.0,
    }
    async with running_node(storage, **limits) as node:
        live = await person(node, "bob", "d")
        store = SlowStore(monkeypatch, storage)
        async with trio.open_nursery() as nursery:
            first = await begin(nursery, node, "ana")
            second = await begin(nursery, node, "carla")
            third = await begin(nursery, node, "bob")
            (error,) = third.outlet.of(Error)
            assert (error.code, error.temporary, error.rid) == ("UNAVAILABLE", True, None)
            assert error.retry_after_ms is not None
            assert 5000 <= error.retry_after_ms < 10_000
            assert third.outlet.closed is not None
            assert third.outlet.closed[0] == CloseCode.OVERLOADED
            assert live.outlet.closed is None  # nothing took its place
            assert first.outlet.of(Ready) == second.outlet.of(Ready) == []
            store.go.set()
            await trio.testing.wait_all_tasks_blocked()
            assert len(first.outlet.of(Ready)) == len(second.outlet.of(Ready)) == 1
        assert node.statistics().refused == 1


async def test_who_waits_too_long_to_connect_is_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    storage = await memory_with_users()
    async with running_node(storage, max_connecting=1, connecting_patience=5.0) as node:
        store = SlowStore(monkeypatch, storage)
        async with trio.open_nursery() as nursery:
            await begin(nursery, node, "ana")
            late = await begin(nursery, node, "bob")
            await trio.sleep(5)
            await trio.testing.wait_all_tasks_blocked()
            assert late.outlet.closed is not None
            assert late.outlet.closed[0] == CloseCode.OVERLOADED
            assert [error.code for error in late.outlet.of(Error)] == ["UNAVAILABLE"]
            store.go.set()
        assert len(node.resumes) == 0


async def test_a_client_that_reads_slowly_keeps_nobody_from_connecting() -> None:
    async with running_node(max_connecting=1, max_connecting_waiting=0, max_outbound=4096) as node:
        ana = await person(node, "ana")
        await ana.say(Create(rid=1, type="private", members=["bob"]))
        conv = ana.outlet.of(Conv)[0].conv
        await ana.say(Send(rid=2, conv=conv, id=new_id(), body=TextBody("hi")))
        slow = Person(node)
        slow.outlet.stuck = True
        slow.outlet.held.append(bytes(8192))
        async with trio.open_nursery() as nursery:
            token = node.tokens.issue("id of bob", "bob")
            connect = encode(Connect(token=token, device="d", cursors={conv: 0}))
            nursery.start_soon(slow.session.receive, connect)
            await trio.testing.wait_all_tasks_blocked()
            assert len(nursery.child_tasks) == 1  # what it missed waits for room
            await person(node, "carla")
            nursery.cancel_scope.cancel()
